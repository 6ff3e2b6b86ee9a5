"""Rows of `veil protect`; docs/protect.md explains their fields."""

from typing import NotRequired, TypedDict

from veil.jobs.row_formats import DoneRow, FailedRow, RowFormat


class Survival(TypedDict):
    """A network's reading of the released photo after a processing; see `NetworkView`."""

    class_after: int
    icp_after: float
    ice_after: float


class NetworkView(TypedDict):
    """A network's reading of a photo, before and after; see `veil.protections.noise.readings.Reading`.

    Attributes:
        role: ``descent`` where the noise was made against the network, ``unseen`` where it was not.
        family: of networks that see alike; not there where it is not known.
        run_by: ``onnxruntime`` where that ran the network; not there where torch did.
        survival: by processing.
    """

    network: str
    role: str
    true_class: int
    class_before: int
    class_after: int
    score_before: float
    score_after: float
    icp_before: float
    icp_after: float
    ice_before: float
    ice_after: float
    rank_after: int
    true_class_name: str
    class_before_name: str
    class_after_name: str
    family: NotRequired[str]
    run_by: NotRequired[str]
    survival: NotRequired[dict[str, Survival]]


class ProtectedRow(DoneRow):
    """Row of a photo that was written; classes, ICP and ICE are those of the first network.

    Attributes:
        format: of the file, a name of `veil.images.FORMATS`.
        advice: what to try, in order, where it is not protected; not there otherwise.
    """

    width: int
    height: int
    format: NotRequired[str]
    class_before: str
    class_after: str
    true_class: str
    icp_before: float
    icp_after: float
    ice_before: float
    ice_after: float
    target: str
    target_score: float
    iterations: int
    linf: float
    l2: float
    mean_abs: float
    mean_signed: float
    psnr: float | None
    ssim: float | None
    ms_ssim: float | None
    protected: bool
    targets: list[int]
    networks: list[NetworkView]
    advice: NotRequired[list[str]]


class NotProcessedRow(FailedRow):
    """Row of a photo that failed."""

    protected: bool


PROTECTED_ROWS = RowFormat(
    command="`veil protect`", done=ProtectedRow, failed={"protected": False}, never_empty=("networks",),
)  # fmt: skip
