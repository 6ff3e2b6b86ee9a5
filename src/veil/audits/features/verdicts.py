"""What rows of an audit of features say, in plain words.

The strongest attacker counts, of all kinds and seeds. It is chosen by the same faces that judge it, so the choice
favours the attacker. `lift` puts a metric on a scale from its floor, 0, to the best possible value, 1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from veil.attacks.features import FEATURE_ATTACKERS, PersonFinder
from veil.attacks.features.in_loop import IN_LOOP
from veil.audits.features.settings import ALL
from veil.audits.images.verdicts import BROKEN, LEAKS
from veil.jobs.rows import Row
from veil.report.numbers import interval

GUESSES = ("mean", "unrelated", "grey")
RECOGNISED = {
    "one_of_4": "picked from four photos, this one among them",
    "one_of_4_another": "picked from four photos of others and one of the same person’s",
    "rank_one": "first of all photos",
    "true_accepts": "accepted at 1 % of strangers",
}


@dataclass(frozen=True)
class FeatureVerdict:
    """What comes out about one thing.

    Attributes:
        about: an attribute, or ``the image``, ``the person``.
        level: ``broken``, ``leaks`` or ``nothing``.
        text: a sentence or two.
        strongest: the row that says most.
    """

    about: str
    level: str
    text: str
    strongest: Row


def titled(name: str) -> str:
    """What an attacker is called in a sentence; its name where its package is not installed here."""
    return FEATURE_ATTACKERS[name].title if name in FEATURE_ATTACKERS else name


def retrained(row: Row) -> bool:
    """Whether a row is of an attacker who came later, from nothing, and gave something."""
    name = row["attack"]
    return "failed" not in row and (name not in FEATURE_ATTACKERS or FEATURE_ATTACKERS[name].retrained)


def lift(value: float, floor: float, most: float = 1.0) -> float:
    """How far a metric is above its floor, of what there is to be had; 0 where it is below."""
    return max(0.0, (value - floor) / (most - floor)) if most > floor else 0.0


def of_attribute(rows: Sequence[Row], name: str, share: float | str | None = None) -> list[Row]:
    """Rows of retrained attackers on an attribute that gave something, of one share or of all."""
    return [
        row for row in rows
        if row["kind"] == "attribute" and row.get("attribute") == name and retrained(row)
        and share in (None, row["share"])
    ]  # fmt: skip


def floor_of(rows: Sequence[Row], name: str) -> Row:
    """The row of what the true target attributes say of a private one."""
    return next(row for row in rows if row["kind"] == "floor" and row["attribute"] == name)


def least(row: Row, metric: str = "balanced_accuracy") -> float:
    """The floor of a metric: what the target attributes give away, and never less than a guess."""
    return max(0.5, float(row[metric]))


def strongest(rows: Sequence[Row], name: str, metric: str = "balanced_accuracy") -> Row:
    """The attacker that tells an attribute best."""
    return max(of_attribute(rows, name), key=lambda row: float(row[metric]))


def in_loop(rows: Sequence[Row], name: str) -> Row | None:
    """What the training's own adversary says of an attribute."""
    of_it = (row for row in rows if row["kind"] == "attribute" and row["attack"] == IN_LOOP.name)
    return next((row for row in of_it if row["attribute"] == name), None)


def gaps(rows: Sequence[Row], of_training: Mapping[str, float]) -> list[Row]:
    """What a training does not know of itself: for each attribute, what its adversaries and the strongest other read.

    Args:
        of_training: balanced accuracies of the former, by attribute; what was not attacked is left out.
    """
    lines = []
    for name, own in of_training.items():
        if not of_attribute(rows, name):
            continue
        best = strongest(rows, name)
        value = float(best["balanced_accuracy"])
        lines.append({"attribute": name, "training": own, "retrained": value, "attack": best["attack"],
                      "gap": round(value - own, 4)})  # fmt: skip
    return lines


def reconstructions(rows: Sequence[Row], *, in_loop: bool = False) -> list[Row]:
    """Rows of what was drawn from features by attackers who came later; with ``in_loop`` by the training's own, too."""
    drawn = [row for row in rows if row["kind"] == "reconstruction" and "failed" not in row]
    return [row for row in drawn if in_loop or retrained(row)]


def picture_floor(rows: Sequence[Row], name: str) -> Row:
    """The row of a picture that needs no features: ``plain``, ``mean``, ``unrelated``, ``grey``."""
    return next(row for row in rows if row["kind"] == "picture-floor" and row["floor"] == name)


def guess(rows: Sequence[Row], metric: str) -> float:
    """What the best picture has that needs no features."""
    return max(float(picture_floor(rows, name)[metric] or 0.0) for name in GUESSES)


def drawn_best(rows: Sequence[Row], metric: str) -> Row | None:
    """The reconstruction that is nearest to the photo by a metric: LPIPS is a distance, the others likenesses."""
    measured = [row for row in reconstructions(rows) if row.get(metric) is not None]
    nearest = min if metric == "lpips" else max
    return nearest(measured, key=lambda row: float(row[metric]), default=None)


def verdicts(rows: Sequence[Row], hides: Sequence[str]) -> list[FeatureVerdict]:
    """One for each private attribute, one for the image, and one for the person where people are known."""
    reached = [_attribute(rows, name) for name in hides if of_attribute(rows, name)]
    if drawn_best(rows, "ms_ssim") is not None:
        reached.append(_image(rows))
    if person := _person(rows):
        reached.append(person)
    return reached


def _level(value: float) -> str:
    return "broken" if value >= BROKEN else "leaks" if value >= LEAKS else "nothing"


def _attribute(rows: Sequence[Row], name: str) -> FeatureVerdict:
    best, floor = strongest(rows, name), floor_of(rows, name)
    own = lift(best["balanced_accuracy"], least(floor))
    certain = best["balanced_accuracy_interval"][0] > least(floor)
    text = (
        f"{titled(best['attack'])}, with {best['faces']:,} faces to learn from, is right in {_percent(best)} "
        f"({interval(best['balanced_accuracy_interval'])}; balanced accuracy); the service’s own answers, were they "
        f"all right, would give away {100 * least(floor):.1f} %."
    )
    loop = in_loop(rows, name)
    if loop is not None:
        text += f" The training’s own adversary is right in {_percent(loop)}, and says nothing of one who comes later."
    return FeatureVerdict(name, _level(own) if certain else "nothing", text[0].upper() + text[1:], best)


def _percent(row: Row) -> str:
    return f"{100 * row['balanced_accuracy']:.1f} %"


def _image(rows: Sequence[Row]) -> FeatureVerdict:
    best = drawn_best(rows, "ms_ssim")
    assert best is not None
    metrics = [metric for metric in _TITLES if best.get(metric) is not None]
    lifts = {metric: lift(float((drawn_best(rows, metric) or best)[metric]), guess(rows, metric)) for metric in metrics}
    parts = [
        f"{_TITLES[metric]} {(drawn_best(rows, metric) or best)[metric]:.3f} by "
        f"{titled((drawn_best(rows, metric) or best)['attack'])} (without any features {guess(rows, metric):.3f})"
        for metric in metrics
    ]
    return FeatureVerdict("the image", _level(max(lifts.values())), f"{'; '.join(parts)}.", best)


_TITLES = {"ms_ssim": "MS-SSIM", "ssim": "SSIM", "visible": "shows"}


def _person(rows: Sequence[Row]) -> FeatureVerdict | None:
    """Whether people are found again, in pictures or by features: by whatever is surely above a guess, and most."""
    answers = [
        (row, asked, row[asked])
        for row in rows if row["kind"] in ("reconstruction", "identity") and retrained(row)
        for asked in ASKED if row.get(asked)
    ]  # fmt: skip
    if not answers:
        return None
    certain = [(row, asked, share) for row, asked, share in answers if share["interval"][0] > share["chance"]]
    best, asked, share = max(certain or answers, key=lambda answer: lift(answer[2]["rate"], answer[2]["chance"]))
    by = compared_by(best["attack"])
    how = f"by what is sent{by and f', with {by}'}" if best["kind"] == "identity" else (
        f"in what {titled(best['attack'])} draws"
    )  # fmt: skip
    text = (
        f"{ASKED[asked]} {100 * share['rate']:.0f} % ({interval(share['interval'])}) {how}; "
        f"a guess has {100 * share['chance']:.1f} %."
    )
    level = _level(lift(share["rate"], share["chance"])) if certain else "nothing"
    return FeatureVerdict("the person", level, text, best)


ASKED = {
    "one_of_4": "Of four photos, the very one is picked in",
    "one_of_4_another": "Of four people, the right one is picked, by another photo, in",
    "rank_one": "Among all photos, another one of the same person comes first in",
}


def compared_by(name: str) -> str:
    """What an attacker compares features of two photos by; nothing where they are compared as they are."""
    if name not in FEATURE_ATTACKERS:
        return name
    row = FEATURE_ATTACKERS[name]
    return row.by if isinstance(row, PersonFinder) else ""


def spread_over_seeds(rows: Sequence[Row], name: str, attack: str) -> list[float]:
    """Balanced accuracies of an attacker that has most, by seed."""
    return [float(row["balanced_accuracy"]) for row in of_attribute(rows, name, ALL) if row["attack"] == attack]


def mean_over_seeds(rows: Sequence[Row], name: str, attack: str) -> float | None:
    """Their mean; None where there are none."""
    shares = spread_over_seeds(rows, name, attack)
    return fmean(shares) if shares else None
