"""What `veil.protect` calls: one photo is protected in memory, folders of photos into another folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from veil import images
from veil.models.names import DEFAULT
from veil.protections.noise.protector import Protector
from veil.protections.noise.results import Protected, ProtectedFolder

if TYPE_CHECKING:
    from veil.images.conversion import ImageLike
    from veil.models.classifier import Classifier
    from veil.protections.noise.scheme import Scheme


@overload
def protect(
    what: ImageLike, out: None = None, *, models: str | Classifier | Sequence[str | Classifier] = ...,
    scheme: str | Scheme = ..., truths: Mapping[str, int] | None = ..., **options: Any,
) -> Protected: ...  # fmt: skip
@overload
def protect(
    what: Path | str | Sequence[Path | str], out: Path | str, *,
    models: str | Classifier | Sequence[str | Classifier] = ..., scheme: str | Scheme = ...,
    truths: Mapping[str, int] | None = ..., **options: Any,
) -> ProtectedFolder: ...  # fmt: skip
def protect(
    what: ImageLike | Sequence[Path | str],
    out: Path | str | None = None,
    *,
    models: str | Classifier | Sequence[str | Classifier] = DEFAULT,
    scheme: str | Scheme = "crs",
    truths: Mapping[str, int] | None = None,
    **options: Any,
) -> Protected | ProtectedFolder:
    """Adds noise to a photo, or to folders of photos, so that classifiers misread them.

    Networks that are not named with ``models`` mostly still see what the photo shows. ``verify_with=…`` measures it;
    `Protected.row` holds the result.

    Args:
        what: a photo (path, Pillow image, array or tensor; see `veil.images.conversion`), or, with ``out``, files and
            folders.
        out: folder for the protected files and their rows; the same call goes on where it was stopped.
        models: networks to mislead: names (`veil models`), or classifiers; several form an ensemble.
        scheme: a name of `veil.SCHEMES`, ``module:object``, or a row.
        options: of a `Protector` (``verify_with``, ``survival``, ``seed``, ``batch``, ``device``, ``precision``,
            ``universal``), and the scheme's settings (``budget``, ``step``, ``required_score``, ``max_iterations``, …).
        truths: true class by file name, with ``out``.

    Returns:
        The photo with its noise, and its row; or the folder.

    Raises:
        ValueError, UnknownModel, CardError, ZooMissing: as `Protector` does.
        ImageError, TypeError: for what is no image.
        FolderError: where a job cannot start or go on.
        ValueError: for a folder without ``out``, and for an ``out`` that is called as a photo is.

    >>> veil.protect("cat.jpg", budget=8).save("cat.png")                   # doctest: +SKIP
    >>> veil.protect("holiday/", "holiday-protected/", budget=8, seed=1)    # doctest: +SKIP
    """
    if out is None:
        if isinstance(what, list | tuple) or (isinstance(what, str | Path) and Path(what).is_dir()):
            raise ValueError("folders of photos need a folder for what is written: veil.protect(what, out)")
        return Protector(models, scheme, **options).protect(what)  # type: ignore[arg-type]
    if not isinstance(what, list | tuple | str | Path):
        raise TypeError(f"with out, files and folders are protected, not a {type(what).__name__}")
    if Path(out).suffix.lower() in images.SUFFIXES:
        raise ValueError(f"out is a folder, not a photo; for one: veil.protect(photo).save({str(out)!r})")
    inputs = [Path(path) for path in ([what] if isinstance(what, str | Path) else what)]
    Protector(models, scheme, **options).protect_folder(inputs, Path(out), truths=truths)
    return ProtectedFolder(Path(out))
