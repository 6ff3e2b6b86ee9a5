"""What is read from rows of an audit of features: floors, the strongest attackers, shares above a floor.

The strongest attacker counts, whatever it is and whichever seed it had: choosing it by the faces that it is judged on
errs on the side of the attacker. `lift` puts a metric between its floor, 0, and all there is, 1.
"""

from collections.abc import Mapping, Sequence
from statistics import fmean

from veil.attacks.features import FEATURE_ATTACKERS, PersonFinder
from veil.attacks.features.in_loop import IN_LOOP
from veil.audits.features.settings import ALL
from veil.jobs.rows import Row
from veil.metrics.curves import best_was_early

GUESSES = ("mean", "unrelated", "grey")
RECOGNISED = {
    "one_of_4": "picked from four photos, this one among them",
    "one_of_4_another": "picked from four photos of others and one of the same person’s",
    "rank_one": "first of all photos",
    "true_accepts": "accepted at 1 % of strangers",
}

PICTURE_METRICS = {"ms_ssim": "MS-SSIM", "ssim": "SSIM", "visible": "shows"}
"""By which pictures are judged: likenesses, and what they are called."""


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


def answer_floor_of(rows: Sequence[Row], name: str) -> Row | None:
    """The row of what the service's own answers, as sent, say of a private attribute; None where nobody measured it."""
    return next((row for row in rows if row["kind"] == "answer-floor" and row["attribute"] == name), None)


def floors_of(rows: Sequence[Row], name: str) -> dict[str, Row]:
    """The floors of a private attribute by name: that of true answers, and that of answers as sent where there is one.

    The last one is what verdicts take: what attackers read above it, no answer gives away.
    """
    answers = answer_floor_of(rows, name)
    return {"true": floor_of(rows, name)} | ({} if answers is None else {"answers": answers})


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


def flatness(row: Row) -> bool | None:
    """Whether the training of an attacker had gone flat, as far as its row tells; None where it has no curve.

    Rows of older versions say when the best epoch was, if anything: unless it came early, nobody knows, and the
    attacker counts as still improving.
    """
    if "flat" in row:
        flat: bool | None = row["flat"]
        return flat
    if "best_epoch" not in row:
        return None
    return "epochs" in row and (row["epochs"] == 1 or best_was_early(row["best_epoch"], row["epochs"]))


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


def attackers_at(rows: Sequence[Row], name: str, most: int) -> list[Row]:
    """Rows of an attribute of those who learnt from so many faces at most: who has more can do all that they can."""
    return [row for row in of_attribute(rows, name) if row["faces"] <= most]


def tried(rows: Sequence[Row], name: str) -> str:
    """Of how many trained attackers the strongest is taken: of an attribute, and of reconstructions."""
    drawn = len(reconstructions(rows))
    return f"{len(of_attribute(rows, name))}" + (f"; {drawn}" if drawn else "")


def lift_interval(row: Row, floor: float) -> str:
    """How far an attacker is above a floor, of what there is to be had, with its interval, in percent.

    The floor is taken as known: the interval is that of the attacker alone.
    """
    value = lift(row["balanced_accuracy"], floor)
    low, high = (lift(bound, floor) for bound in row["balanced_accuracy_interval"])
    return f"{100 * value:.0f} % (95 %: {100 * low:.0f} to {100 * high:.0f} %)"


def spread_over_seeds(rows: Sequence[Row], name: str, attack: str) -> list[float]:
    """Balanced accuracies of an attacker that has most, by seed."""
    return [float(row["balanced_accuracy"]) for row in of_attribute(rows, name, ALL) if row["attack"] == attack]


def mean_over_seeds(rows: Sequence[Row], name: str, attack: str) -> float | None:
    """Their mean; None where there are none."""
    shares = spread_over_seeds(rows, name, attack)
    return fmean(shares) if shares else None
