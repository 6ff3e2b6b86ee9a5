"""`veil check`: photos as they are now, such as downloaded again from a website, judged as `veil protect` judges.

Each photo is read as it is; networks say what they see. Where the folder of the run is given (`Released`), the photo's
row is found by name, or by look where it was renamed, and the photo is compared with the file that was released.

**When a photo counts as protected here.** A photo whose pixels are those that were released has the verdict of its row.
A photo that was changed since counts as protected where none of the networks of the descent has the true class first.
That is less than a scheme asks of a new file: the score of its target is not asked again. Without a row and without a
label the true class is not known, and there is no verdict.

**Noise left** needs the original: the projection of (photo − original) on (released − original) at the photo's present
size, in units of the noise's energy as released. 1 is all of it, 0 none.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NotRequired, TypedDict

import torch
from torch import Tensor
from torch.nn import functional as F

from veil import images
from veil.images import ImageError, Photo
from veil.images.photo import alike_in_channels
from veil.jobs.row_formats import Row
from veil.metrics import fidelity, privacy
from veil.models.answers import NoFiniteAnswer
from veil.models.classifier import TORCH
from veil.protections.noise.passes import JUDGED_TOGETHER, Passes
from veil.protections.noise.readings import label_spaces
from veil.protections.noise.released_photos import Match, Released
from veil.runtime import names
from veil.runtime.files import printable
from veil.runtime.names import UnsafeName

if TYPE_CHECKING:
    from veil.models.classifier import Classifier


class CheckedView(TypedDict):
    """What one network says of a photo.

    Attributes:
        role: ``descent`` where it counts for the verdict, ``unseen`` where it is only asked.
        run_by: ``onnxruntime`` where that runs the network; not there where torch does.
        true_class: None where it is not known; the same for the fields that need it.
        first_before: whether the true class came first before anything was done, by the run's row.
    """

    network: str
    role: str
    class_after: int
    class_after_name: str
    score_after: float
    ice_after: float
    true_class: int | None
    true_class_name: str | None
    icp_after: float | None
    rank_after: int | None
    first_before: bool | None
    run_by: NotRequired[str]


class CheckedRow(TypedDict):
    """Row of a checked photo.

    Attributes:
        file: its name, as given.
        released: output of the run that it is, None where no run was given.
        matched: ``name`` or ``look``; None as above.
        unchanged: whether its pixels are those that were released.
        scale: its width in units of the released file's; None as above.
        psnr: in dB, to the released file scaled to its size; None as above, and where nothing changed.
        noise_left: share of the noise; None where the original was not given.
        protected: None where there is no verdict.
        reason: why it is not protected; None otherwise.
    """

    file: str
    error: None
    width: int
    height: int
    released: str | None
    matched: str | None
    unchanged: bool | None
    scale: float | None
    psnr: float | None
    noise_left: float | None
    protected: bool | None
    reason: str | None
    networks: list[CheckedView]
    seconds: float
    notes: list[str]


class _Comparison(TypedDict):
    """How far a photo is from what was released; fields of `CheckedRow`."""

    released: str | None
    matched: str | None
    unchanged: bool | None
    scale: float | None
    psnr: float | None


class FailedCheck(TypedDict):
    """Row of a photo that cannot be read, or is none of the run, with the reason in one line."""

    file: str
    protected: None
    error: str


class Checker:
    """Judges photos as they are now.

    Args:
        classifiers: those whose answers make the verdict.
        unseen: others that are asked.
        released: the run that released the photos.
        originals: folder of the run's inputs; without it the noise that is left is not measured.
        truths: true class by file name, for the first classifier's classes.
        device: see `Engine`.
    """

    def __init__(
        self,
        classifiers: Sequence["Classifier"],
        *,
        unseen: Sequence["Classifier"] = (),
        released: Released | None = None,
        originals: Path | None = None,
        truths: Mapping[str, int] | None = None,
        device: str = "auto",
    ) -> None:
        self.passes = Passes([*classifiers, *unseen], together=JUDGED_TOGETHER, device=device)
        self.roles = ["descent"] * len(classifiers) + ["unseen"] * len(unseen)
        self.released, self.originals, self.truths = released, originals, truths or {}
        self.spaces = label_spaces(self.passes.classifiers)

    def strangers(self) -> list[str]:
        """Names of the networks of the verdict that are not those of the run, by their weights."""
        if self.released is None:
            return []
        known = set(self.released.weights)
        judging = (c for c, role in zip(self.passes.classifiers, self.roles, strict=True) if role == "descent")
        return [classifier.name for classifier in judging if classifier.fingerprint() not in known]

    def check(self, file: str, path: Path, *, limits: images.Limits = images.LIMITS) -> CheckedRow:
        """The row of a photo.

        Raises:
            ImageError: for a file that cannot be read; `Unmatched`, where it is no photo of the run.
        """
        begun = time.perf_counter()
        photo = images.load(path, limits=limits)
        match = None
        if self.released is not None:
            match = self.released.match(file, photo)
        label = self.truths.get(file, self.truths.get(file.rpartition("/")[2]))
        views = self._views(photo, label, None if match is None else match.row)
        compared = _compared(photo, match)
        protected, reason = _verdict(views, match if compared["unchanged"] else None)
        return {
            "file": file, "error": None, "width": photo.width, "height": photo.height,
            "released": compared["released"], "matched": compared["matched"], "unchanged": compared["unchanged"],
            "scale": compared["scale"], "psnr": compared["psnr"], "noise_left": self._noise_left(photo, match),
            "protected": protected, "reason": reason, "networks": views,
            "seconds": round(time.perf_counter() - begun, 3), "notes": list(photo.notes),
        }  # fmt: skip

    def _views(self, photo: Photo, label: int | None, row: Row | None) -> list[CheckedView]:
        known = {view["network"]: view for view in row["networks"]} if row is not None else {}
        answers = self.passes.logits([photo.pixels])
        views: list[CheckedView] = []
        for classifier, role, space, logits in zip(
            self.passes.classifiers, self.roles, self.spaces, answers, strict=True
        ):
            before = known.get(classifier.name)
            truth = before["true_class"] if before is not None else label if space == self.spaces[0] else None
            if truth is not None and not 0 <= truth < len(classifier.classes):
                raise ImageError(f"{classifier.name} has no class {truth}")
            first = None if before is None else before["class_before"] == before["true_class"]
            views.append(_view(classifier, role, logits, truth, first))
        return views

    def _noise_left(self, photo: Photo, match: Match | None) -> float | None:
        if match is None or self.originals is None:
            return None
        try:
            original = images.load(names.below(self.originals, match.row["file"]))
        except (ImageError, UnsafeName):
            return None
        if original.pixels.shape[1:] != match.photo.pixels.shape[1:]:
            return None
        return noise_left(photo.pixels, match.photo.pixels, original.pixels)


def _view(
    classifier: "Classifier", role: str, logits: Tensor, truth: int | None, first_before: bool | None
) -> CheckedView:
    score, chosen = logits.softmax(1).max(1)
    true = None if truth is None else torch.tensor([truth])
    view: CheckedView = {
        "network": classifier.name, "role": role,
        "class_after": int(chosen), "class_after_name": classifier.classes[int(chosen)], "score_after": float(score),
        "ice_after": float(privacy.ice(logits)), "true_class": truth,
        "true_class_name": None if truth is None else classifier.classes[truth],
        "icp_after": None if true is None else float(privacy.icp(logits, true)),
        "rank_after": None if true is None else int(privacy.rank(logits, true)),
        "first_before": first_before,
    }  # fmt: skip
    if classifier.run_by != TORCH:
        view["run_by"] = classifier.run_by
    return view


def _compared(photo: Photo, match: Match | None) -> "_Comparison":
    """How far a photo is from what was released."""
    if match is None:
        return {"released": None, "matched": None, "unchanged": None, "scale": None, "psnr": None}
    released = match.photo.pixels
    now, then = alike_in_channels(photo.pixels, _sized(released, photo))
    unchanged = released.shape == photo.pixels.shape and bool(released.equal(photo.pixels))
    psnr = None if unchanged else fidelity.psnr(then, now)
    return {
        "released": match.row["out"], "matched": match.by, "unchanged": unchanged,
        "scale": photo.width / match.photo.width, "psnr": psnr if psnr != float("inf") else None,
    }  # fmt: skip


def _verdict(views: Iterable[CheckedView], unchanged: Match | None) -> tuple[bool | None, str | None]:
    """Whether a photo is protected, and why it is not; see the head of this module."""
    judging = [view for view in views if view["role"] == "descent" and view["true_class"] is not None]
    seen = [view["network"] for view in judging if view["class_after"] == view["true_class"]]
    if seen:
        return False, f"{', '.join(seen)} has the true class first"
    if unchanged is not None and not unchanged.row["protected"]:
        return False, "it was not protected when it was released"
    return (True, None) if judging else (None, None)


def noise_left(now: Tensor, released: Tensor, original: Tensor) -> float | None:
    """Share of the noise in a photo that is left, as the head of this module defines it; None where there was none.

    Args:
        now: uint8 (C, h, w), of any size.
        released, original: uint8 (C, H, W).
    """
    released, original = alike_in_channels(released, original)
    noise = released.float() - original.float()
    energy = float(noise.square().mean())
    if energy == 0:
        return None
    size = now.shape[-2:]
    scaled, start = _resized(noise, size), _resized(original.float(), size)
    start, current = alike_in_channels(start, now.float())
    return float(((current - start) * scaled).mean()) / energy


def _sized(pixels: Tensor, photo: Photo) -> Tensor:
    """uint8 pixels scaled to a photo's size."""
    size = (photo.height, photo.width)
    return pixels if pixels.shape[1:] == size else _resized(pixels.float(), size).round().clamp(0, 255).to(torch.uint8)


def _resized(values: Tensor, size: Sequence[int]) -> Tensor:
    if values.shape[-2:] == tuple(size):
        return values
    return F.interpolate(values[None], tuple(size), mode="bilinear", antialias=True)[0]


def check_files(
    checker: Checker, files: Iterable[tuple[Path, str]], *, limits: images.Limits = images.LIMITS
) -> Iterator[CheckedRow | FailedCheck]:
    """A row for every photo, one after another.

    Args:
        files: paths and names, such as `veil.jobs.listing.find` lists.
    """
    for path, file in files:
        try:
            yield checker.check(file, path, limits=limits)
        except (ImageError, NoFiniteAnswer, OSError, MemoryError) as error:
            reason = "not enough memory" if isinstance(error, MemoryError) else str(error)
            yield {"file": file, "protected": None, "error": printable(" ".join(reason.split()))}
