"""How many encrypted images give the key away, without any pair: an attack that the paper does not consider.

Paper:   Sirichotedumrong and Kiya 2020, section II-B, ciphertext-only attacks; none of this kind there
Item:    key-statistics
Cost:    smoke seconds; cpu half a minute on two cores; paper 5 min on a GPU machine
Expect:  nothing in the paper; robust “against brute-force attacks”, and UWA’s and GA’s SSIM of 0.17 to 0.72
Command: veil reproduce sirichotedumrong2020 key-statistics --scale cpu --data DIR

`veil.attacks.images.pixel_statistics` and `block_statistics` on images of one key. The attacker’s own plain images are
others of the same set; reconstructions are judged on further ones.
"""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from veil.attacks.errors import AttackFailed
from veil.attacks.images import block_statistics, pixel_statistics
from veil.attacks.images.attack import Reconstruct
from veil.audits.images.subjects import subject
from veil.jobs.rows import Row
from veil.metrics.recovery import recovery
from veil.recipes.recipe import Conditions, Evidence
from veil.recipes.sirichotedumrong2020 import table1_accuracy
from veil.recipes.sirichotedumrong2020.table1_accuracy import NAMES
from veil.report.numbers import spread
from veil.report.page import Section, Table
from veil.runtime.scales import Scale
from veil.runtime.seeds import seed_of

ITEM = "key-statistics"
ATTACKS: dict[str, Callable[[Tensor, Tensor], Reconstruct]] = {
    "pixel-same": pixel_statistics.recover,
    "tanaka": block_statistics.recover,
}
COUNTS: dict[Scale, tuple[int, ...]] = {
    "smoke": (4, 32), "cpu": (1, 2, 4, 8, 16, 32, 100, 1000), "paper": (1, 2, 4, 8, 16, 32, 100, 1000, 10_000),
}  # fmt: skip
SEEDS: dict[Scale, int] = {"smoke": 1, "cpu": 5, "paper": 10}
OWN, JUDGED = 1000, 100
NEGATIVE, KNOWN = -0.4, 0.9
"""SSIM of a negative, at most, and of a readable reconstruction, at least."""


def measure(conditions: Conditions) -> None:
    """A row for each cipher, number of images and seed."""
    data = table1_accuracy.SETTINGS[conditions.scale].data[0]
    seeds = conditions.seeds_or(SEEDS)
    with conditions.rows(ITEM, {"data": data, "own": OWN, "judged": JUDGED}) as rows:
        wanted = [(cipher, count, seed) for seed in seeds for cipher in ATTACKS for count in COUNTS[conditions.scale]]
        lacking = [
            condition
            for condition in wanted
            if not rows.find(cipher=condition[0], images=condition[1], seed=condition[2])
        ]
        if lacking:
            parts = table1_accuracy.load(conditions, data)
        for cipher, count, seed in lacking:
            conditions.say(f"{NAMES[cipher]}: {count} encrypted images, seed {seed}")
            rows.add({"cipher": cipher, "images": count, "seed": seed, "side": parts.train.images.shape[-1],
                      **_row(cipher, count, seed, parts.train.images, parts.test.images)})  # fmt: skip
        rows.finish(seeds)


def _row(cipher: str, count: int, seed: int, images: Tensor, test: Tensor) -> Row:
    one, generator = subject(cipher, seed=seed), Generator().manual_seed(seed_of("key statistics", seed))
    order = torch.randperm(len(images), generator=generator)
    secret, own, judged = images[order[:count]], images[order[-OWN:]], test[:JUDGED]
    try:
        attack = ATTACKS[cipher](one.protect(secret, generator), own)
    except AttackFailed:
        return {"failed": True}
    protected = one.protect(judged, generator)
    reached = recovery(judged, attack(protected))
    return {"failed": False, "exact": reached.exact, "ssim": reached.ssim, "visible": reached.visible}


def show(evidence: Evidence) -> Section:
    """SSIM and keys found, by the number of encrypted images."""
    rows = evidence.rows(ITEM)
    counts = sorted({row["images"] for row in rows})
    table = Table(
        "By the number of encrypted images that the attacker has: SSIM of what comes back of others, and how much of "
        "them shows (0 to 1), mean ± standard deviation over keys and images; and with how many keys every image comes "
        "back byte for byte.",
        ("images", *(cell for cipher in ATTACKS for cell in (f"{NAMES[cipher]}: SSIM", "shows", "whole keys"))),
        tuple(
            (f"{count:,}", *(cell for cipher in ATTACKS for cell in _cells(rows, cipher, count))) for count in counts
        ),
    )
    text = (
        "The paper counts keys, and attacks by networks that learn to draw plain-looking images. Neither is what "
        "breaks these ciphers. What a cipher does to all images alike it does to their statistics: neighbouring pixels "
        "are alike, some bits of a block go together, and both are known from any other photos. So the key is read off "
        f"encrypted images alone, without a pair and without training, {_within(rows)}. Images that are trained on are "
        "encrypted with one key by the thousand.",
        *_surprises(rows),
        "With different keys there is no key to be found.",
    )
    title = "Keys from statistics · How many encrypted images give the key away"
    return Section(ITEM, title, text, (table,), (), evidence.source(ITEM))


def _within(rows: list[Row]) -> str:
    """The longest time of one attack, without the first of a run, which also reads the images."""
    began = {row["run"]: row for row in reversed(rows)}
    seconds = max((row["seconds"] for row in rows if row is not began[row["run"]]), default=0.0)
    return f"in {seconds:.1f} s at most" if seconds else "in seconds"


def _surprises(rows: list[Row]) -> list[str]:
    """Negatives, and the unknown part of Tanaka’s key, if rows show them."""
    worked = [row for row in rows if not row["failed"]]
    negatives = [row["visible"] for row in worked if row["ssim"] < NEGATIVE]
    most = max(row["images"] for row in rows)
    blocks = [row for row in worked if (row["cipher"], row["images"]) == ("tanaka", most)]
    sentences = []
    if negatives:
        sentences.append(
            "Where few images do not say which half of the range is the bright one, all come back as negatives: SSIM "
            f"is far below 0 then, and {min(negatives):.2f} to {max(negatives):.2f} shows."
        )
    if blocks and all(row["exact"] < 1 and row["ssim"] > KNOWN for row in blocks):
        sentences.append("Of Tanaka’s key, some low nibbles stay unknown, which are noise to the eye.")
    return [" ".join(sentences)] if sentences else []


def _cells(rows: list[Row], cipher: str, count: int) -> tuple[str, ...]:
    chosen = [row for row in rows if (row["cipher"], row["images"]) == (cipher, count)]
    worked = [row for row in chosen if not row["failed"]]
    whole = sum(row["exact"] == 1 for row in worked)
    shown = (spread([row[metric] for row in worked], 2) if worked else "fails" for metric in ("ssim", "visible"))
    return *shown, f"{whole} of {len(chosen)}"
