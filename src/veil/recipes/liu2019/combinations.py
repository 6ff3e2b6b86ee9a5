"""CIS on digits: sums of the universal noises of several classes (Figures 4 to 7).

Paper:   Liu et al. 2019, section 5.2.2, Figures 4 to 7
Item:    figure4, figure5, figure6, figure7
Cost:    smoke seconds; cpu 12 min on two cores, after table2; paper the same with more seeds
Expect:  accuracy 21.7 % with the noises of 2 and 3, 32.7 % with 2, 3 and 8, 82.1 % with all ten; errors of all ten
         mostly 4 or 8
Command: veil reproduce liu2019 figure4 figure5 figure6 figure7 --scale cpu --data DIR

The paper does not say how noises are combined within the limit. Three rules are measured: *clip* (the sum, clipped to
the limit), *sum* (raw) and *mean*; every pair and triple with the first.
"""

from collections.abc import Sequence
from itertools import combinations
from statistics import fmean

import torch
from torch import Tensor

from veil.jobs.rows import Row
from veil.recipes.liu2019 import digits
from veil.recipes.liu2019.table2 import TARGETS
from veil.recipes.recipe import Conditions, Evidence
from veil.report import figures
from veil.report.numbers import spread
from veil.report.page import Picture, Section, Table

PAIR, TRIPLE, ALL = (2, 3), (2, 3, 8), tuple(TARGETS)
PRINTED = {PAIR: 21.7, TRIPLE: 32.7, ALL: 82.1}
RULES = {
    "clip": lambda noises: noises.sum(0).clamp(-digits.LIMIT, digits.LIMIT),
    "sum": lambda noises: noises.sum(0),
    "mean": lambda noises: noises.mean(0),
}
NAMES = {"clip": "sum, then clip", "sum": "raw sum", "mean": "mean"}


def combined(noises: Sequence[Tensor], rule: str) -> Tensor:
    """Several noises (1, 28, 28) as one."""
    result: Tensor = RULES[rule](torch.stack(list(noises)))
    return result


def wanted(conditions: Conditions) -> list[tuple[str, tuple[int, ...]]]:
    """Rules and sets of classes to measure."""
    sets = [(rule, chosen) for rule in RULES for chosen in PRINTED]
    if conditions.scale != "smoke":
        sets += [("clip", chosen) for n in (2, 3) for chosen in combinations(TARGETS, n) if chosen not in PRINTED]
    return sets


def measure(conditions: Conditions) -> None:
    """A row for each seed, rule and set of classes."""
    data = digits.load(conditions)
    seeds = conditions.seeds_or(digits.SEEDS)
    singles = Evidence(conditions).rows("table2")
    with conditions.rows("figure4", digits.about(data)) as rows:
        for seed in seeds:
            measured = {(row["rule"], *row["targets"]) for row in rows.find(seed=seed)}
            missing = [(rule, chosen) for rule, chosen in wanted(conditions) if (rule, *chosen) not in measured]
            if not missing:
                continue
            noises = {row["target"]: digits.unpacked(row) for row in singles if row["seed"] == seed and "noise" in row}
            classifier = digits.classifier(conditions, data, seed)
            for rule, chosen in missing:
                noise = combined([noises[target] for target in chosen], rule)
                judged = digits.judge(classifier, data.parts.test, noise)
                rows.add({"seed": seed, "rule": rule, "targets": list(chosen)} | judged | digits.magnitude(noise))
        rows.finish(seeds)


def _chosen_rows(evidence: Evidence, rule: str, chosen: tuple[int, ...]) -> list[Row]:
    rows = evidence.rows("figure4")
    return [row for row in rows if row["rule"] == rule and row["targets"] == list(chosen)]


def _noise(evidence: Evidence, chosen: tuple[int, ...]) -> tuple[Row, Tensor]:
    """The first seed's row for a clipped sum, and the noise."""
    row = _chosen_rows(evidence, "clip", chosen)[0]
    singles = {r["target"]: r for r in evidence.rows("table2") if r["seed"] == row["seed"]}
    return row, combined([digits.unpacked(singles[target]) for target in chosen], "clip")


def figure4(evidence: Evidence) -> Section:
    """All sums and rules, and the noise of all ten."""
    off = {
        NAMES[rule]: fmean(
            abs(fmean(100 * row["accuracy"] for row in _chosen_rows(evidence, rule, chosen)) - printed)
            for chosen, printed in PRINTED.items()
        )
        for rule in RULES
    }
    best = min(off, key=lambda name: off[name])
    text = [
        f"The rule that comes nearest the paper's three numbers is “{best}”: "
        + ", ".join(f"{name} is {value:.1f} points off on average" for name, value in off.items())
        + ". The paper's text and Algorithm 2 add the noises and say nothing of the limit that they then leave."
    ]
    tables = [*_by_rule(evidence)]
    rows = [row for row in evidence.rows("figure4") if row["rule"] == "clip"]
    singles = {
        (row["seed"], row["target"]): row["accuracy"] for row in evidence.rows("table2") if row["target"] is not None
    }
    sizes = {n: [row for row in rows if len(row["targets"]) == n] for n in (2, 3)}
    if len(sizes[2]) > len({row["seed"] for row in rows}):
        table, sentence = _all_sets(sizes, singles)
        tables.append(table)
        text.append(sentence)
    _, noise = _noise(evidence, ALL)
    picture = Picture(
        "figure4",
        "The sum of all ten noises, clipped (first seed). As the paper says, no digit's shape is left in the red part.",
        lambda: figures.noise_grid({"all ten": noise[0].numpy()}, digits.LIMIT),
    )
    return Section(
        "figure4", "Figure 4 · Sums of noises (CIS)", tuple(text), tuple(tables), (picture,), evidence.source("figure4")
    )


def _by_rule(evidence: Evidence) -> tuple[Table, Table]:
    """Accuracy and entropy by the rule that combines the noises."""
    named = {PAIR: "2 and 3", TRIPLE: "2, 3 and 8", ALL: "all ten"}
    accuracy = Table(
        "Accuracy in %, mean ± standard deviation over seeds, by the rule that combines the noises.",
        ("noises of", "paper", *NAMES.values()),
        tuple(
            (
                named[chosen], f"{printed:.1f}",
                *(spread(100 * row["accuracy"] for row in _chosen_rows(evidence, rule, chosen)) for rule in RULES),
            )
            for chosen, printed in PRINTED.items()
        ),
    )  # fmt: skip
    entropy = Table(
        "Mean ICE in nats (at most ln 10 = 2.303), by the same rules: what CIS is for.",
        ("noises of", "paper", *NAMES.values()),
        tuple(
            (
                named[chosen], "not given",
                *(spread((row["ice"] for row in _chosen_rows(evidence, rule, chosen)), 3) for rule in RULES),
            )
            for chosen in PRINTED
        ),
    )  # fmt: skip
    return accuracy, entropy


def _all_sets(sizes: dict[int, list[Row]], singles: dict[tuple[int, int], float]) -> tuple[Table, str]:
    """Every pair and triple against their single noises."""
    lines, worse = [], {}
    for n, of_size in sizes.items():
        names = {tuple(row["targets"]) for row in of_size}
        means = {
            name: 100 * fmean(row["accuracy"] for row in of_size if tuple(row["targets"]) == name) for name in names
        }
        low, high = min(means, key=means.__getitem__), max(means, key=means.__getitem__)
        single = [max(singles[row["seed"], target] for target in row["targets"]) for row in of_size]
        worse[n] = 100 * fmean(row["accuracy"] > top for row, top in zip(of_size, single, strict=True))
        lines.append(
            (
                f"{len(names)} {'pairs' if n == 2 else 'triples'}",
                spread(means.values()),
                f"{means[low]:.1f} ({', '.join(map(str, low))})",
                f"{means[high]:.1f} ({', '.join(map(str, high))})",
                f"{worse[n]:.0f} %",
            )
        )
    table = Table(
        "Every pair and triple, sum then clip: accuracy in %, mean ± standard deviation over the sets of their "
        "means over seeds. The last column is the share of sets and seeds that protect less than the weakest noise "
        "in them.",
        ("", "accuracy", "lowest", "highest", "worse than each alone"),
        tuple(lines),
    )
    alone = fmean(singles.values())
    on_average = all(fmean(row["accuracy"] for row in of_size) > alone for of_size in sizes.values())
    return table, (
        "The paper says that all combinations are worse than single noises. "
        f"That {'holds' if on_average else 'does not hold'} on average; of single sets it "
        f"holds for {worse[2]:.0f} % of the pairs and {worse[3]:.0f} % of the triples."
    )


def figure5(evidence: Evidence) -> Section:
    """The wrong answers under the sum of all ten noises."""
    row, noise = _noise(evidence, ALL)
    clean = {r["seed"]: r["predicted"] for r in evidence.rows("table2") if r["target"] is None}
    by_seed = [
        [row_of_seed["predicted"][digit] - clean[row_of_seed["seed"]][digit] for digit in TARGETS]
        for row_of_seed in _chosen_rows(evidence, "clip", ALL)
    ]
    gains = [fmean(gain) for gain in zip(*by_seed, strict=True)]
    most = _largest(gains)
    text = (
        f"Over all seeds, {most[0]} and {most[1]} gain the most answers ({gains[most[0]]:+.0f} and "
        f"{gains[most[1]]:+.0f} digits, as against no noise). The paper's DNN is “more likely to mislead to 4 or 8”."
    )
    if len({frozenset(_largest(of_seed)) for of_seed in by_seed}) > 1:
        text += " Which classes a blend of ten noises comes near depends on the network's random start."
    return Section(
        "figure5", "Figure 5 · Errors with the sum of all noises", (text,),
        pictures=digits.misread(evidence, "figure5", row, noise[0].numpy()), source=evidence.source("figure4"),
    )  # fmt: skip


def _largest(gains: Sequence[float]) -> list[int]:
    """The two digits that gain most."""
    return sorted(TARGETS, key=lambda digit: -gains[digit])[:2]


def figure6(evidence: Evidence) -> Section:
    """The sum of two noises."""
    _, noise = _noise(evidence, PAIR)
    picture = Picture(
        "figure6",
        "The sum of the noises for 2 and 3, clipped (first seed).",
        lambda: figures.noise_grid({"2 and 3": noise[0].numpy()}, digits.LIMIT),
    )
    return Section(
        "figure6", "Figure 6 · The noises of 2 and 3", pictures=(picture,), source=evidence.source("figure4")
    )


def figure7(evidence: Evidence) -> Section:
    """The wrong answers under the sum of two noises."""
    row, noise = _noise(evidence, PAIR)
    (clean,) = (r for r in evidence.rows("table2") if r["target"] is None and r["seed"] == row["seed"])
    share = digits.share_of_errors(row, clean, PAIR)
    text = (
        "The errors are 2s and 3s: two similar digits, as the paper supposes."
        if share > 0.9
        else f"Of 100 errors, {100 * share:.0f} are 2s and 3s, the two similar digits of the paper."
    )
    return Section(
        "figure7", "Figure 7 · Errors with the noises of 2 and 3", (text,),
        pictures=digits.misread(evidence, "figure7", row, noise[0].numpy()), source=evidence.source("figure4"),
    )  # fmt: skip
