"""Veil's own: the losses that were tried for universal noise, side by side on validation digits.

Paper:   beside Liu et al. 2019, section 5.2.2
Item:    universal-losses
Cost:    smoke seconds; cpu 3 min on two cores, after table2; paper the same
Expect:  −ICE + w · ICP lies on or near the edge of what any of the losses reaches
Command: veil reproduce liu2019 universal-losses --scale cpu --data DIR

One seed, and the 5,000 validation digits: this is where the choice was made, and nothing here is a result on test
digits. Settings as in `universal-entropy`.
"""

from collections.abc import Mapping
from dataclasses import asdict

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from veil.jobs.rows import Row
from veil.protections.noise import universal
from veil.protections.noise.universal import Loss
from veil.recipes.liu2019 import digits
from veil.recipes.liu2019.universal_entropy import settings
from veil.recipes.recipe import Conditions, Evidence
from veil.report import figures
from veil.report.page import Picture, Section, Table
from veil.runtime.scales import Scale
from veil.runtime.seeds import seed_of

SEEDS: dict[Scale, int] = {"smoke": 1, "cpu": 1, "paper": 1}


def kl_to_uniform(logits: Tensor, labels: Tensor) -> Tensor:
    """KL(uniform ‖ answer) in nats, up to a constant."""
    return -F.log_softmax(logits, 1).mean(1)


def collision(logits: Tensor, labels: Tensor) -> Tensor:
    """Σp²: the probability that two draws from the answer agree; minus its logarithm is Rényi's entropy of order 2."""
    return logits.softmax(1).square().sum(1)


def tempered(temperature: float) -> Loss:
    """−ICE of the answer at a temperature."""
    return lambda logits, labels: universal.unsure(0)(logits / temperature, labels)


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """The lead of the true class over the best other class, in logits, at least 0."""
    true = logits.gather(1, labels[:, None])
    other = logits.scatter(1, labels[:, None], -torch.inf).amax(1)
    return (true[:, 0] - other).clamp_min(0)


def icp(logits: Tensor, labels: Tensor) -> Tensor:
    """The probability of the true class."""
    return logits.softmax(1).gather(1, labels[:, None])[:, 0]


LOSSES: Mapping[str, Loss] = {
    **{f"−ICE + {weight:g} · ICP": universal.unsure(weight) for weight in (0, 0.5, 1, 2)},
    "KL to uniform": kl_to_uniform,
    "collision": collision,
    "−ICE at temperature 2": tempered(2),
    "−ICE at temperature 4": tempered(4),
    "margin": margin,
    "ICP alone": icp,
}


def measure(conditions: Conditions) -> None:
    """A row for each seed and loss, judged on the validation part."""
    data = digits.load(conditions)
    seeds = conditions.seeds_or(SEEDS)
    chosen = settings(conditions)
    with conditions.rows("universal-losses", digits.about(data) | {"settings": asdict(chosen)}) as rows:
        for seed in seeds:
            missing = {name: loss for name, loss in LOSSES.items() if not rows.find(seed=seed, loss=name)}
            if not missing:
                continue
            classifier = digits.classifier(conditions, data, seed)
            noises = universal.fit(
                classifier, data.parts.train.images, data.parts.train.labels, missing, chosen,
                generator=Generator().manual_seed(seed_of("universal losses", seed)),
            )  # fmt: skip
            for name, noise in noises.items():
                rows.add({"seed": seed, "loss": name} | digits.judge(classifier, data.parts.validation, noise))
        rows.finish(seeds)


def show(evidence: Evidence) -> Section:
    """All losses in one plane."""
    rows = evidence.rows("universal-losses")
    first = [row for row in rows if row["seed"] == rows[0]["seed"]]
    table = Table(
        "Validation digits at ±0.35, one seed. ICE at most 2.303 nats.",
        ("loss", "accuracy, %", "ICP", "ICE, nats"),
        tuple((row["loss"], f"{100 * row['accuracy']:.1f}", f"{row['icp']:.3f}", f"{row['ice']:.3f}") for row in first),
    )
    ours = [row for row in first if row["loss"].startswith("−ICE +")]
    beaten = [
        other["loss"]
        for other in first
        if any(other["ice"] > row["ice"] and other["accuracy"] < row["accuracy"] for row in ours)
    ]
    others = [name for name in dict.fromkeys(beaten) if not name.startswith("−ICE +")]
    text = _compared({row["loss"]: row for row in first}) + (
        f"Better in both than one of the −ICE + w · ICP noises: {', '.join(others)}."
        if others
        else "No other loss is better in both than one of the −ICE + w · ICP noises."
    )
    picture = Picture(
        "universal-losses",
        "Accuracy against ICE on validation digits. Up and to the left is better.",
        lambda: figures.scatter(
            {
                "−ICE + w · ICP": [
                    (100 * row["accuracy"], row["ice"], row["loss"].split(" ")[2]) for row in ours
                ],
                "others": [
                    (100 * row["accuracy"], row["ice"], row["loss"]) for row in first if row not in ours
                ],
            },
            "accuracy, %", "mean ICE, nats", connected=("−ICE + w · ICP",),
        ),
    )  # fmt: skip
    return Section("universal-losses", "Veil · Losses that were tried for universal noise", (text,), (table,),
                   (picture,), evidence.source("universal-losses"))  # fmt: skip


def _compared(rows: Mapping[str, Row]) -> str:
    """What differs from −ICE alone, as far as the rows show it."""
    plain = rows["−ICE + 0 · ICP"]

    def worse(*names: str) -> bool:
        return all(rows[name]["accuracy"] > plain["accuracy"] and rows[name]["ice"] < plain["ice"] for name in names)

    def only_misleads(*names: str) -> bool:
        return all(rows[name]["accuracy"] < plain["accuracy"] and rows[name]["ice"] < plain["ice"] for name in names)

    sentences = {
        "For a single photo KL to the uniform answer is what `entropy` descends (see `photo-entropy`). Over many "
        "images with one noise it is worse than −ICE in both measures: we suppose that it spends the noise on the "
        "images that are hardest to confuse.": worse("KL to uniform"),
        "A higher temperature is worse in both measures.": worse("−ICE at temperature 2", "−ICE at temperature 4"),
        "The margin and ICP alone mislead without confusing.": only_misleads("margin", "ICP alone"),
    }
    return "".join(f"{sentence} " for sentence, holds in sentences.items() if holds)
