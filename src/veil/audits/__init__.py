"""One audit of every protection: attackers from nothing, floors beside them, and what it comes to in words.

`audit` is `veil.audit`: it takes a protection of images, or a client that sends features.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from veil.audits.features import FeatureAuditResult
    from veil.audits.images.result import ImageAuditResult
    from veil.protections.features.file import Client
    from veil.runtime.scales import Scale


def audit(
    what: Any,
    data: Any = None,
    *,
    scale: Scale = "cpu",
    out: str | Path | None = None,
    seed: int = 0,
    device: str = "auto",
    **options: Any,
) -> ImageAuditResult | FeatureAuditResult:
    """Attacks a protection in every way that Veil knows, and says what each kind of attacker gets.

    Args:
        what: a protection of images (a name, ``module:object``, a transformation file, a row of
            `veil.protections.PROTECTIONS`, or any callable on uint8 images (N, 3, H, W)); or a client of features, or
            its file.
        data: plain images or faces: a folder, ``hub:NAME``, or what lies in memory; at scale ``smoke`` drawn ones
            unless given.
        scale: ``smoke``: seconds; ``cpu``: an hour on two cores; ``paper``: a GPU.
        out: folder for rows, the report and checkpoints, where an audit goes on that was stopped. Without it all lies
            in a temporary folder, which is removed with the result.
        seed: of images, keys and attackers.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        options: of `veil.audits.images.api.audit_images`, or of `veil.audits.features.audit_client`.

    Returns:
        `veil.audits.images.result.ImageAuditResult`, or `veil.audits.features.FeatureAuditResult` for a client.

    Raises:
        ValueError: where there is no such protection or data set, or they do not go together.
    """
    shared: dict[str, Any] = {"scale": scale, "out": out, "seed": seed, "device": device}
    client = client_of(what)
    if client is not None:
        from veil.audits.features import audit_client

        return audit_client(client, data, **shared, **options)
    from veil.audits.images.api import audit_images

    return audit_images(what, data, **shared, **options)


def client_of(what: Any) -> Client | None:
    """The client that a person means; None where it is none, but something else that is audited.

    Raises:
        ValueError: for a service's file: nobody is sent that.
    """
    from veil.protections.features.card import ObfuscatorError
    from veil.protections.features.file import Client, Service, load

    if not isinstance(what, str | Path):
        return what if isinstance(what, Client) else None
    if not Path(what).is_file():
        return None
    try:
        stored = load(Path(what))
    except ObfuscatorError:
        return None
    if isinstance(stored, Service):
        raise ValueError(f"{what} is a service's file; what is audited is its client, and it goes to --service")
    return stored
