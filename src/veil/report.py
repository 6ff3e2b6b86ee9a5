"""Tables and pages rebuilt from rows.

`summarise` is pure: rows in, numbers out. `write_protection_report` makes the page that a person opens after
`veil protect`: one HTML file, which needs no network, no script and nothing beside it. Its numbers come from
the rows alone; its pictures are read again, one photo at a time, from the originals and the protected files.

The same rows give the same bytes: nothing on the page depends on the time, on how long the work took, or on
where the folder lies. The page's size is bounded: `SHOWN` photos have pictures, `LISTED` rows are listed.

Every text that is put into the page goes through `veil.folders.printable` and is escaped, whatever it is and
wherever it stands: file names, class names and error messages were written by others.
"""

import base64
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from pathlib import Path
from statistics import fmean, median
from typing import Any, TypeVar

import jinja2
from markupsafe import Markup
from PIL import Image, ImageChops

from veil import folders, images
from veil.images import ImageError, Photo

_T = TypeVar("_T")

PAGE = "report.html"
SHOWN = 24  # photos with pictures
LISTED = 2000  # rows in the table of all photos, and errors in theirs
THUMBNAIL = 320  # pixels along the longer side of a picture
CROP = 160  # the same of the noise's crop, which is shown at twice its size
FACTORS = (100, 50, 20, 10, 5, 2, 1)  # by which noise may be amplified
TOP = 5  # answers that a patient attacker looks at

_TREATMENTS = {
    "jpeg90": "saved again as JPEG, quality 90",
    "jpeg75": "saved again as JPEG, quality 75",
    "half size and back": "scaled to half its size and back",
}
_SETTINGS = {
    "step": "noise step, grey levels",
    "budget": "noise limit, grey levels",
    "required_score": "required score of the target",
    "max_iterations": "steps at most, per attempt",
    "excluded_top": "best classes that are no targets",
    "retries": "further targets, where one is not reached",
    "targets": "target classes per photo",
    "combine": "how several noises are combined",
    "models": "networks",
    "weights": "fingerprints of their weights",
    "format": "format of the files",
    "quality": "JPEG quality",
    "keep_metadata": "metadata kept",
    "verify_with": "unseen networks",
    "survival": "survival measured",
    "truths": "digest of the given labels",
    "precision": "arithmetic of the descent",
    "seed": "seed of the random targets",
    "version": "version of the rows",
}


def summarise(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What rows of `veil protect` say together; as JSON.

    Returns:
        ``photos``, ``protected``, ``not_protected``, ``failed``: counts.

        ``networks``: for each network its ``role``; how often the true class is on top, as counts
        (``on_top_before``, ``on_top_after``) and shares (``top1_before``, ``top1_after``); how often it is
        among the first five (``in_top5_after``); means of ICP and of ICE in nats; ``survival``, by treatment,
        None where it was not measured.

        ``noise``, None where nothing was written: ``mean_abs``, its largest ``mean_abs_max`` and
        ``mean_signed`` in units of [0, 1]; ``linf_*`` in grey levels; ``psnr_*`` in dB, None where no photo
        changed; ``ssim_*``, None where all photos are smaller than its window.
    """
    done = [row for row in rows if not row["error"]]
    views: dict[str, list[Mapping[str, Any]]] = {}
    for row in done:
        for view in row["networks"]:
            views.setdefault(view["network"], []).append(view)
    return {
        "photos": len(rows),
        "protected": sum(bool(row["protected"]) for row in rows),
        "failed": len(rows) - len(done),
        "not_protected": sum(not row["protected"] for row in done),
        "networks": [_network(name, each) for name, each in views.items()],
        "noise": _noise(done) if done else None,
    }


def _network(name: str, views: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    before = sum(view["class_before"] == view["true_class"] for view in views)
    after = sum(view["class_after"] == view["true_class"] for view in views)
    treated: dict[str, list[tuple[bool, Mapping[str, Any]]]] = {}
    for view in views:
        for treatment, left in view.get("survival", {}).items():
            treated.setdefault(treatment, []).append((left["class_after"] == view["true_class"], left))
    return {
        "network": name,
        "role": views[0]["role"],
        "photos": len(views),
        "on_top_before": before,
        "on_top_after": after,
        "top1_before": before / len(views),
        "top1_after": after / len(views),
        "in_top5_after": sum(view["rank_after"] <= TOP for view in views),
        **{key: fmean(view[key] for view in views) for key in ("icp_before", "icp_after", "ice_before", "ice_after")},
        "survival": {
            treatment: {
                "photos": len(left),
                "on_top": sum(on_top for on_top, _ in left),
                "icp": fmean(each["icp_after"] for _, each in left),
                "ice": fmean(each["ice_after"] for _, each in left),
            }
            for treatment, left in treated.items()
        }
        or None,
    }


def _noise(done: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    psnr = [row["psnr"] for row in done if row["psnr"] is not None]
    ssim = [row["ssim"] for row in done if row["ssim"] is not None]
    return {
        "mean_abs": fmean(row["mean_abs"] for row in done),
        "mean_abs_max": max(row["mean_abs"] for row in done),
        "mean_signed": fmean(row["mean_signed"] for row in done),
        "mean_signed_max": max((row["mean_signed"] for row in done), key=abs),
        "linf_median": median(row["linf"] for row in done),
        "linf_max": max(row["linf"] for row in done),
        "psnr_median": median(psnr) if psnr else None,
        "psnr_min": min(psnr, default=None),
        "ssim_median": median(ssim) if ssim else None,
        "ssim_min": min(ssim, default=None),
    }


def write_protection_report(
    out: Path,
    rows: Sequence[Mapping[str, Any]],
    *,
    settings: Mapping[str, Any],
    sources: Mapping[str, Path],
    class_counts: Mapping[str, int] | None = None,
    shown: int = SHOWN,
) -> Path:
    """Writes the page of a run of `veil protect`, whole or not at all.

    A photo that cannot be read any more has a card without that picture; it never ends the report.

    Args:
        out: the run's folder; a photo lies at ``out / row["out"]``.
        rows: as `veil.protection.Protector.protect_folder` returns them.
        settings: as `veil.protection.Protector.describe` returns them.
        sources: path of the original by ``row["file"]``.
        class_counts: number of classes K by network, for the floors 1/K and ln K.
        shown: photos with pictures at most: those that are not protected first, then a spread of the others.

    Returns:
        The page's path.

    Raises:
        OSError: where the page cannot be written.
    """
    summary = summarise(rows)
    chosen = select(rows, shown)
    factor = amplification(chosen)
    cards = [_card(row, out, sources, settings, factor) for row in chosen]
    done = [row for row in rows if not row["error"]]
    networks = summary["networks"]
    text = _environment().get_template("protection.html").render(
        summary=summary,
        headline=headline(summary, _models(summary, settings)),
        findings=findings(summary),
        models=_models(summary, settings),
        scheme=settings.get("scheme"),
        required_score=settings.get("settings", {}).get("required_score"),
        descent=[network for network in networks if network["role"] == "descent"],
        unseen=[network for network in networks if network["role"] != "descent"],
        measured=[network for network in networks if network["survival"]],
        treatments=list(dict.fromkeys(t for network in networks for t in network["survival"] or ())),
        classes=class_counts or {},
        cards=cards,
        with_pictures=any(card.before or card.after for card in cards),
        factor=factor,
        left_out=len(done) - len(cards),
        done=done[:LISTED],
        done_count=len(done),
        errors=[row for row in rows if row["error"]][:LISTED],
        settings=_flat(settings),
        crop=CROP,
        top=TOP,
    )  # fmt: skip
    page = out / PAGE
    folders.write_atomically(page, text)
    return page


def headline(summary: Mapping[str, Any], models: Sequence[str]) -> str:
    """The verdict in one sentence."""
    photos, protected = summary["photos"], summary["protected"]
    against = f" against {_listed(models)}" if models else ""
    if photos == 0:
        return "There were no photos to protect"
    if summary["failed"] == photos:
        return "The photo could not be processed" if photos == 1 else f"None of {photos:,} photos could be processed"
    if photos == 1:
        return f"The photo is {'protected' if protected else 'not protected'}{against}"
    if protected == 0:
        return f"None of {photos:,} photos is protected{against}"
    return f"{protected:,} of {photos:,} photos {'is' if protected == 1 else 'are'} protected{against}"


def findings(summary: Mapping[str, Any]) -> list[str]:
    """What the verdict leaves out, worst news not left out: a sentence each."""
    found = []
    if missed := summary["not_protected"]:
        found.append(f"{_photos(missed)} {'is' if missed == 1 else 'are'} written but not protected.")
    if failed := summary["failed"]:
        found.append(f"{_photos(failed)} could not be processed and {'has' if failed == 1 else 'have'} no output.")
    networks = summary["networks"]
    found += [
        f"{network['network']}, which the noise did not see, still names the true class first for "
        f"{_of(network['on_top_after'], network['photos'])} (before: {network['on_top_before']:,})."
        for network in networks
        if network["role"] != "descent"
    ]
    if networks and all(network["role"] == "descent" for network in networks):
        found.append("Whether other networks are misled was not measured (--verify-with does it).")
    for network in networks:
        if network["role"] == "descent" and network["survival"]:
            treatment, left = max(network["survival"].items(), key=lambda each: each[1]["on_top"] / each[1]["photos"])
            found.append(
                f"When a protected photo is {_TREATMENTS.get(treatment, treatment)}, {network['network']} "
                f"names the true class first for {_of(left['on_top'], left['photos'])} "
                f"(as written: {network['on_top_after']:,})."
            )
    if networks and not any(network["survival"] for network in networks):
        found.append("What is left after re-compression and scaling was not measured (--survival does it).")
    return found


def select(rows: Sequence[Mapping[str, Any]], shown: int) -> list[Mapping[str, Any]]:
    """The photos that get a card: first those that are not protected, in the order of the rows.

    Where a part is larger than its places, it is represented by photos at equal distances.
    """
    missed = [row for row in rows if not row["error"] and not row["protected"]]
    protected = [row for row in rows if not row["error"] and row["protected"]]
    first = _spread(missed, shown)
    return first + _spread(protected, shown - len(first))


def _spread(items: Sequence[_T], places: int) -> list[_T]:
    places = min(places, len(items))
    return [items[number * len(items) // places] for number in range(places)]


def amplification(rows: Iterable[Mapping[str, Any]]) -> int:
    """The factor at which the noise of most of ``rows`` is easy to see and stays within the grey levels."""
    largest = median([row["linf"] for row in rows] or [1.0])
    return next((factor for factor in FACTORS if factor * largest <= 100), 1)


@dataclass(frozen=True)
class Picture:
    """A picture as a data URI, with the size in pixels at which it is stored."""

    uri: Markup
    width: int
    height: int


@dataclass
class Card:
    """A photo on the page.

    ``reason`` says why it is not protected, ``problems`` which picture is missing, and why.
    """

    row: Mapping[str, Any]
    reason: str | None
    before: Picture | None = None
    after: Picture | None = None
    noise: Picture | None = None
    whole: bool = False
    problems: list[str] = field(default_factory=list)


def _card(
    row: Mapping[str, Any], out: Path, sources: Mapping[str, Path], settings: Mapping[str, Any], factor: int
) -> Card:
    card = Card(row, None if row["protected"] else _reason(row, settings))
    pixels = max(images.MAX_PIXELS, row["width"] * row["height"])
    seen: list[Image.Image] = []  # the middle of each, all that is kept of it beside its thumbnail
    source = sources.get(row["file"])
    try:
        if source is None:
            raise ImageError("it is not among the files of this run")
        if _changed(source, row.get("source")):
            raise ImageError("it was changed since")
        card.before, middle = _shown(images.load(source, max_pixels=pixels))
        seen.append(middle)
    except (ImageError, OSError, MemoryError) as error:
        card.problems.append(f"The original cannot be shown: {_said(error)}.")
    try:
        card.after, middle = _shown(images.load(out / row["out"], max_pixels=pixels))
        seen.append(middle)
    except (ImageError, OSError, MemoryError) as error:
        card.problems.append(f"The protected photo cannot be shown: {_said(error)}.")
    if len(seen) == 2 and seen[0].size == seen[1].size:
        card.noise = _picture(_amplified(seen[0], seen[1], factor), "PNG", optimize=True)
        card.whole = seen[0].size == (row["width"], row["height"])
    elif len(seen) == 2:
        card.problems.append("The noise cannot be shown: the two photos are not of one size.")
    return card


def _changed(source: Path, stamp: Mapping[str, int] | None) -> bool:
    """Whether ``source`` is another file than the one that was protected; one that is gone did not change."""
    try:
        return bool(stamp) and folders.stamp(source) != stamp
    except (OSError, ValueError):
        return False


def _said(error: Exception) -> str:
    return "there is not enough memory" if isinstance(error, MemoryError) else str(error) or type(error).__name__


def _shown(photo: Photo) -> tuple[Picture, Image.Image]:
    """A thumbnail, and the centre of the photo at its own resolution, in which noise is not averaged away."""
    image = _over_white(photo)
    thumbnail = image.resize(_within(image.size, THUMBNAIL), Image.Resampling.LANCZOS, reducing_gap=3)
    # The crop has the photo's shape, so that it stands beside the thumbnail; of a panorama it is taller.
    shape = _within(image.size, CROP)
    crop = min(image.width, max(shape[0], CROP // 4)), min(image.height, max(shape[1], CROP // 4))
    left, top = (image.width - crop[0]) // 2, (image.height - crop[1]) // 2
    centre = image.crop((left, top, left + crop[0], top + crop[1])).convert("RGB")
    return _picture(thumbnail, "JPEG", quality=85), centre


def _within(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Width and height scaled down until the longer is at most ``side``, the shorter at least one pixel."""
    scale = min(1.0, side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _over_white(photo: Photo) -> Image.Image:
    """What is seen of a photo on white paper: mode L or RGB."""
    pixels = photo.pixels
    image = Image.fromarray((pixels[0] if len(pixels) == 1 else pixels.permute(1, 2, 0)).contiguous().numpy())
    if photo.alpha is None:
        return image
    return Image.composite(image, Image.new(image.mode, image.size, "white"), Image.fromarray(photo.alpha.numpy()))


def _amplified(before: Image.Image, after: Image.Image, factor: int) -> Image.Image:
    """128 + (after − before) · factor, clipped to 0 to 255."""
    # Darker and brighter places apart, because Pillow's images hold no negative numbers.
    brighter = ImageChops.subtract(after, before).point(lambda level: min(level * factor, 127))
    darker = ImageChops.subtract(before, after).point(lambda level: min(level * factor, 128))
    grey = Image.new("RGB", before.size, (128, 128, 128))
    return ImageChops.subtract(ImageChops.add(grey, brighter), darker)


def _picture(image: Image.Image, format: str, **options: Any) -> Picture:
    buffer = BytesIO()
    image.save(buffer, format, **options)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return Picture(Markup(f"data:image/{format.lower()};base64,{data}"), image.width, image.height)


def _reason(row: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """Why a photo that was written is not protected, in words."""
    descent = [view for view in row["networks"] if view["role"] == "descent"]
    seen = [view["network"] for view in descent if view["class_after"] == view["true_class"]]
    required = settings.get("settings", {}).get("required_score")
    if seen:
        return f"The true class is still the first choice of {_listed(seen)}."
    if settings.get("scheme") == "crs" and required is not None and row["target_score"] < required:
        score = f"{row['target_score']:.4f}"
        return f"The true class is no longer first, but the target class has only {score}; {required:.4g} is required."
    surer = [view["network"] for view in descent if view["ice_after"] < view["ice_before"]]
    if settings.get("scheme") == "cis" and surer:
        return f"The true class is no longer first, but {_listed(surer)} is surer of its answer than before."
    return "The scheme's own condition is not met."


def _models(summary: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    """The networks that the noise was made against; those of the rows where the settings do not say."""
    descent = [network["network"] for network in summary["networks"] if network["role"] == "descent"]
    return list(settings.get("models", descent))


def _flat(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and values for a person to read, the scheme's own settings in the place where they stand."""
    pairs: list[tuple[str, str]] = []
    for key, value in settings.items():
        if isinstance(value, Mapping):
            pairs += _flat(value)
        else:
            text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else f"{value}"
            pairs.append((_SETTINGS.get(key, key.replace("_", " ")), text))
    return pairs


def _photos(count: int) -> str:
    return f"{count:,} photo" if count == 1 else f"{count:,} photos"


def _of(count: int, total: int) -> str:
    return "the one photo" if count == total == 1 else f"{count:,} of {_photos(total)}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _percent(share: float) -> str:
    """A probability: three digits, and neither certainty nor nothing where it is not."""
    percent = 100 * share
    if 0 < percent < 0.01:
        return "< 0.01 %"
    if 99.9 < percent < 100:
        return "> 99.9 %"
    return f"{percent:.{2 if percent < 1 else 1}f} %"


def _share(count: int, total: int) -> str:
    """A count as per cent, where 100 means all and 0 none."""
    percent = round(100 * count / total)
    if percent == 100 and count < total:
        return "> 99 %"
    return "< 1 %" if percent == 0 and count else f"{percent} %"


def _small(value: float) -> str:
    """A number in [0, 1] of which small values matter: no more digits than can be read."""
    return "< 0.0001" if 0 < value < 0.0001 else f"{value:.{3 if value >= 0.01 else 4}f}"


def _signed(value: float, digits: int = 3) -> str:
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")


def _short(name: str) -> str:
    """The first of the words that stand for a class, as in ``clog, geta, patten``."""
    return " + ".join(part.split(",")[0] for part in name.split(" + "))


@cache
def _environment() -> jinja2.Environment:
    filters: dict[str, Callable[..., Any]] = {
        "percent": _percent,
        "small": _small,
        "signed": _signed,
        "short": _short,
        "listed": _listed,
        "ln": math.log,
        "treatment": lambda name: _TREATMENTS.get(name, name),
    }
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("veil"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=_finalised,
    )  # fmt: skip
    environment.filters.update(filters)
    environment.globals["share"] = _share
    return environment


def _finalised(value: object) -> object:
    """Text as `printable` has it, unless it is a piece of the template."""
    return folders.printable(value) if isinstance(value, str) and not hasattr(value, "__html__") else value
