"""The page that a person opens after `veil protect`: one HTML file, which needs no network and nothing beside it.

Its numbers come from the rows alone; its pictures are read again from the originals and the protected files.

The same rows give the same bytes: nothing on the page depends on the time, on how long the work took, or on where the
folder lies. The page's size is bounded (`veil.report.row_digest`): some photos have pictures and some rows are listed,
and the page says of how many.

Every text that is put into the page goes through `veil.runtime.files.printable` and is escaped, whatever it is and
wherever it stands: file names, class names and error messages were written by others.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from veil.attacks.noise import NOISE_ATTACKS
from veil.jobs.layout import layout_of, make_private
from veil.jobs.locks import locked
from veil.models import families
from veil.protections.noise import SCHEMES
from veil.protections.noise.advice import advice
from veil.protections.noise.scheme import Scheme, surer
from veil.report.pictures import CROP, amplification, card
from veil.report.row_digest import SHOWN, Digest, digest
from veil.report.summary import TOP
from veil.runtime.files import PRIVATE_FILE, printable, write_atomically

_SETTINGS = {
    "step": "noise step, grey levels",
    "budget": "noise limit, grey levels",
    "required_score": "required score of the target",
    "max_iterations": "steps at most, per attempt",
    "excluded_top": "best classes that are no targets",
    "retries": "further targets, where one is not reached",
    "targets": "target classes per photo (0: all)",
    "combine": "how several noises are combined",
    "models": "networks",
    "weights": "fingerprints of their weights",
    "format": "format of the files",
    "quality": "JPEG quality",
    "keep_metadata": "metadata kept",
    "keep_copyright": "artist and copyright kept",
    "verify_with": "unseen networks",
    "universal": "fingerprint of the universal noise",
    "survival": "survival measured",
    "truths": "digest of the given labels",
    "precision": "arithmetic of the descent",
    "seed": "seed of the random targets",
    "version": "version of the rows",
}


def write_protection_report(
    out: Path,
    rows: Iterable[Mapping[str, Any]] | Digest,
    *,
    settings: Mapping[str, Any],
    sources: Mapping[str, Path],
    scheme: Scheme | None = None,
    class_counts: Mapping[str, int] | None = None,
    shown: int = SHOWN,
) -> Path:
    """Writes the page of a run of `veil protect`, whole or not at all.

    A photo that cannot be read any more has a card without that picture; it never ends the report.

    The page holds small pictures of the originals. So it lies in the run's private folder (`veil.jobs.layout`), with
    permissions for its owner alone.

    Args:
        out: the run's folder; a photo lies at ``out / row["out"]``, and is shown if that is below the folder.
        rows: as `veil.protections.noise.protector.Protector.protect_folder` returns them, or their digest.
        settings: as `veil.protections.noise.protector.Protector.describe` returns them.
        sources: path of the original by ``row["file"]``.
        scheme: the run's; the one of that name in the table where it is None.
        class_counts: number of classes K by network, for the floors 1/K and ln K.
        shown: photos with pictures at most: those that are not protected first, then a spread of the others. A digest
            has chosen them already.

    Returns:
        The page's path.

    Raises:
        FolderError: where another process works in the folder, or it cannot be written.
        OSError: where the page cannot be written.
    """
    digested = rows if isinstance(rows, Digest) else digest(rows, shown)
    summary, factor = digested.summary, amplification(digested.shown)
    scheme = scheme or _scheme(settings)
    cards = [
        card(row, out, sources, None if row["protected"] else _reason(row, settings, scheme), factor)
        for row in digested.shown
    ]
    done_count = summary["photos"] - summary["failed"]
    networks = summary["networks"]
    text = _environment().get_template("protection.html").render(
        summary=summary,
        headline=headline(summary, _models(summary, settings)),
        findings=findings(summary),
        advice=advice(settings) if summary["not_protected"] else [],
        models=_models(summary, settings),
        protected_when=_protected_when(settings, _models(summary, settings), scheme),
        ice_note=scheme.ice_note if scheme is not None else "",
        descent=[network for network in networks if network["role"] == "descent"],
        unseen=[network for network in networks if network["role"] != "descent"],
        measured=[network for network in networks if network["survival"]],
        treatments=list(dict.fromkeys(t for network in networks for t in network["survival"] or ())),
        classes=class_counts or {},
        cards=cards,
        with_pictures=any(card.before or card.after for card in cards),
        factor=factor,
        left_out=done_count - len(cards),
        done=digested.listed,
        done_count=done_count,
        errors=digested.errors,
        settings=_flat(settings),
        crop=CROP,
        top=TOP,
    )  # fmt: skip
    layout = layout_of(out)
    if not layout.old:
        make_private(layout.private)
    with locked(layout.private, outputs=out):
        write_atomically(layout.page, text, mode=PRIVATE_FILE)
    return layout.page


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
    """What the verdict does not say, bad news included: one sentence per finding."""
    sentences = []
    if missed := summary["not_protected"]:
        sentences.append(f"{_photos(missed)} {'is' if missed == 1 else 'are'} written but not protected.")
    if failed := summary["failed"]:
        sentences.append(f"{_photos(failed)} could not be processed and {'has' if failed == 1 else 'have'} no output.")
    return sentences + reservations(summary)


def reservations(summary: Mapping[str, Any]) -> list[str]:
    """What to know before anybody relies on the verdict: other networks, and re-compression."""
    networks = summary["networks"]
    sentences = [
        f"{network['network']}, which the noise did not see, still names the true class first for "
        f"{_of(network['on_top_after'], network['photos'])} (before: {network['on_top_before']:,})."
        for network in networks
        if network["role"] != "descent"
    ]
    surrogates, judges = (
        [
            (network["network"], network.get("family"))
            for network in networks
            if (network["role"] == "descent") is descent
        ]
        for descent in (True, False)
    )
    sentences += [families.warning(*pair) for pair in families.related(surrogates, judges)]
    if networks and all(network["role"] == "descent" for network in networks):
        sentences.append(
            "Other networks mostly still see what photos show. "
            "With these photos this was not measured (--verify-with does it)."
        )
    for network in networks:
        if network["role"] == "descent" and network["survival"]:
            treatment, left = max(network["survival"].items(), key=lambda item: item[1]["on_top"] / item[1]["photos"])
            sentences.append(
                f"When a protected photo is {_processing(treatment)}, {network['network']} "
                f"names the true class first for {_of(left['on_top'], left['photos'])} "
                f"(as written: {network['on_top_after']:,})."
            )
    if networks and not any(network["survival"] for network in networks):
        sentences.append(
            "Re-compression and scaling, as websites do them, take part of the noise away. "
            "What is left was not measured (--survival does it)."
        )
    return sentences


def _reason(row: Mapping[str, Any], settings: Mapping[str, Any], scheme: Scheme | None) -> str:
    """Why a photo that was written is not protected, in words."""
    descent = [view for view in row["networks"] if view["role"] == "descent"]
    seen = [view["network"] for view in descent if view["class_after"] == view["true_class"]]
    if seen:
        return f"The true class is still the first choice of {_listed(seen)}."
    shortfall = surer if settings.get("universal") else scheme.shortfall if scheme is not None else None
    why = shortfall(row, settings.get("settings", {})) if shortfall is not None else None
    return why or "The scheme's own condition is not met."


def _scheme(settings: Mapping[str, Any]) -> Scheme | None:
    """The scheme of a run; None where it is not at hand, such as one of a package that is not installed."""
    name = settings.get("scheme")
    return SCHEMES[name] if isinstance(name, str) and name in SCHEMES else None


def _protected_when(settings: Mapping[str, Any], models: Sequence[str], scheme: Scheme | None) -> str:
    """When a photo of the run counts as protected, in a sentence."""
    if scheme is None or settings.get("universal"):
        return f"The written file, read back, meets the scheme’s condition on {_listed(models)}."
    required = settings.get("settings", {}).get("required_score")
    score = "the required score" if required is None else f"a score of at least {required:.4g}"
    return scheme.protected_when.format(networks=_listed(models), score=score)


def _processing(name: str) -> str:
    """What is done to a photo, in words."""
    return NOISE_ATTACKS[name].title if name in NOISE_ATTACKS else name


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
        "treatment": _processing,
    }
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("veil.report"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=_finalised,
    )  # fmt: skip
    environment.filters.update(filters)
    environment.globals["share"] = _share
    return environment


def _finalised(value: object) -> object:
    """Text as `printable` has it, unless it is a piece of the template."""
    return printable(value) if isinstance(value, str) and not hasattr(value, "__html__") else value
