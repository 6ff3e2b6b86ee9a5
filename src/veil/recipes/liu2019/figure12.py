"""CIS on photos: entropy and noise against the number of target classes, 0 to 5 (Figure 12).

Paper:   Liu et al. 2019, section 5.3.2, Figure 12
Item:    figure12
Cost:    smoke seconds; cpu 25 min on two cores for 400 photos; paper 50,000 photos, a GPU
Expect:  entropy about 0.7 without noise, near 0 with one target, clearly more with two, little more after that; noise
         about linear in the number of targets
Command: veil reproduce liu2019 figure12 --scale cpu --data DIR --model MODEL

Each photo gets five descents of CRS, to the five classes that it is drawn; the noise of n targets is the sum of the
first n, raw as in Algorithm 2, and clipped to ±3 as the limit demands. A row for each photo, number of targets and
rule.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from torch import Tensor

from veil.jobs.rows import Row
from veil.protections.noise import cis
from veil.protections.noise.cis import CisSettings, Rule
from veil.protections.noise.scheme import Job, Outcome, Plan
from veil.protections.noise.targets import cross_entropy, towards
from veil.recipes.liu2019 import photos
from veil.recipes.recipe import Conditions, Evidence
from veil.report import figures
from veil.report.page import Picture, Section, Table

MOST = 5
PRINTED = 0.7
"""The paper's entropy of originals, in nats."""
RULES: dict[Rule, str] = {"clip": "clipped", "sum": "raw sum"}
SETTINGS = CisSettings(targets=MOST)


def plan(pixels: Tensor, truth: int | None, seed: int) -> Plan:
    """The descents of one photo to each of its first five classes."""
    aims = [towards(n, [0], pixels, excluded_top=SETTINGS.excluded_top, truth=truth, seed=seed) for n in range(MOST)]
    outcomes = yield [Job(pixels, aim) for aim in aims]
    return outcomes


def measure(conditions: Conditions) -> None:
    """Rows for each seed and photo; a photo's rows are measured together."""
    bench, settings = photos.load(conditions), photos.settings(conditions, SETTINGS)
    seeds = conditions.seeds_or(photos.SEEDS)
    with conditions.rows("figure12", bench.about(settings)) as rows:
        for seed in seeds:
            done = {(row["photo"], row["rule"], row["targets"]) for row in rows.find(seed=seed)}
            missing = bench.missing(rows, seed=seed, targets=MOST, rule="sum")

            def planned(pixels: Tensor, truth: int | None, seed: int = seed) -> Plan:
                return plan(pixels, truth, seed)

            for number, pixels, outcomes in bench.descend(missing, planned, cross_entropy, settings):
                photo = bench.photos.names[number]
                for row in _rows(bench, settings, number, pixels, outcomes):
                    if (photo, row["rule"], row["targets"]) not in done:
                        rows.add({"seed": seed} | row)
        rows.finish(seeds)


def _rows(
    bench: photos.Bench, settings: CisSettings, number: int, pixels: Tensor, outcomes: list[Outcome]
) -> Iterator[Row]:
    goals = [int(outcome.goals[0].argmax()) for outcome in outcomes]
    keys = list(product(RULES, range(MOST + 1)))
    released = []
    for rule, targets in keys:
        noisy = [outcome.released for outcome in outcomes[:targets]]
        combined = cis.combine(noisy, pixels, replace(settings, combine=rule)) if targets else pixels
        released.append((combined, goals[:targets]))
    for (rule, targets), judged in zip(keys, bench.judge(number, pixels, released), strict=True):
        steps = sum(outcome.iterations for outcome in outcomes[:targets])
        yield {"targets": targets, "rule": rule, "iterations": steps} | judged


def by_targets(rows: list[Row], rule: Rule) -> dict[int, dict[str, float]]:
    """Means by number of targets."""
    return {
        targets: photos.means([row for row in rows if row["targets"] == targets and row["rule"] == rule])
        for targets in range(MOST + 1)
    }


def show(evidence: Evidence) -> Section:
    """Figure 12, both panels, for both rules."""
    rows = evidence.rows("figure12")
    means = {rule: by_targets(rows, rule) for rule in RULES}
    table = Table(
        "Means over photos, on the decoded PNG: entropy in nats, noise as mean magnitude in the range [0, 1]. The "
        "paper shows a plot without numbers; its text says about 0.7 for no target and nearly 0 for one.",
        ("targets", *(f"{what}, {name}" for name in RULES.values() for what in ("ICE", "truth on top", "noise"))),
        tuple(
            (
                str(targets),
                *(
                    cell
                    for by_count in means.values()
                    for cell in (
                        f"{by_count[targets]['ice_after']:.3f}",
                        f"{by_count[targets]['top1_after']:.1f} %",
                        f"{by_count[targets]['mean_abs']:.4f}",
                    )
                ),
            )
            for targets in range(MOST + 1)
        ),
    )
    numbers = list(range(MOST + 1))
    picture = Picture(
        "figure12",
        "Entropy and mean |noise| against the number of target classes.",
        lambda: figures.curves(
            [
                figures.Panel(
                    {
                        name: figures.Curve(numbers, [means[rule][n][field] for n in numbers])
                        for rule, name in RULES.items()
                    },
                    label,
                )
                for field, label in (("ice_after", "mean ICE, nats"), ("mean_abs", "mean |noise|, range [0, 1]"))
            ],
            "number of target classes",
        ),
    )
    return Section("figure12", "Figure 12 · CIS by number of targets", _text(means), (table,), (picture,),
                   evidence.source("figure12"))  # fmt: skip


def _text(means: dict[Rule, dict[int, dict[str, float]]]) -> tuple[str, ...]:
    clip = means["clip"]
    best = max(clip, key=lambda n: clip[n]["ice_after"])
    none, one, two = (clip[n]["ice_after"] for n in range(3))
    shape = (
        "The shape is the paper's: one target makes the network sure of a wrong class, two make it hesitate."
        if one < none < two
        else "The paper's shape, less entropy with one target than with none and more with two, does not show."
    )
    grown = means["sum"][MOST]["mean_abs"] / means["sum"][1]["mean_abs"]
    return (
        f"{shape} Clipped to the limit, entropy is highest with {best} targets. The paper does not say whether its "
        "sums stayed within the limit; its “approximately linear” growth of the noise needs the raw sum, and even "
        f"that is {grown:.1f} times as large in magnitude with {MOST} targets as with one"
        + (", because noises for different classes partly cancel." if grown < 0.9 * MOST else "."),
        f"The entropy of the originals is higher here than the paper's {PRINTED}: this network is less sure than "
        "Inception v3."
        if none > PRINTED
        else f"The entropy of the originals is not above the paper's {PRINTED}.",
    )
