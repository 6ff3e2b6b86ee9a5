"""Ciphers and transformation networks: results/sirichotedumrong2020, cpu scale, one seed unless it says more."""

from collections.abc import Callable
from itertools import pairwise
from statistics import fmean

from quoted.sources import Conclusions, Numbers, about, one, percent, rows, signed, some
from veil.audits.images import verdicts
from veil.audits.images.verdicts import BROKEN, LEAKS
from veil.jobs.rows import Row

KEYS, ATTACKED = "sirichotedumrong2020/key-statistics/cpu", "sirichotedumrong2020/table1-ssim/cpu"
ACCURACY, NETWORKS = "sirichotedumrong2020/table1-accuracy/cpu", "sirichotedumrong2020/transformation/cpu"
PROTECTIONS = ("transformed", "pixel-same", "pixel-different", "tanaka")
RECOGNISABLE = 0.9
"""SSIM from which an image that came back counts as read."""


def audit(protection: str) -> list[Row]:
    """Rows of the audit on things100 at 64×64."""
    return some(ATTACKED, data="things100", protection=protection)


def attack(protection: str, name: str, **fields: object) -> Row:
    """The row of one attack on it."""
    return one(ATTACKED, data="things100", protection=protection, attack=name, kind="attack", **fields)


def strongest(protection: str, metric: str, rank: int = 0) -> float:
    """The most that attackers whose knowledge is of that rank at most reach by a metric; 0 sees protected images."""
    row = verdicts.strongest(audit(protection), metric, rank)
    assert row is not None
    return float(row[metric])


def floor(name: str, metric: str) -> float:
    """What a picture has that is no attack: ``plain``, ``mean``, ``unrelated``."""
    return float(verdicts.floor(audit("transformed"), name)[metric])


def guess(metric: str) -> float:
    """The best that can be had without the protected image."""
    return float(verdicts.guess(audit("transformed"), metric) or 0.0)


def keys(cipher: str, images: int) -> list[Row]:
    """What is read from so many encrypted images, a row for each key."""
    return some(KEYS, cipher=cipher, images=images)


def needed(cipher: str, enough: Callable[[Row], bool]) -> int:
    """The least number of encrypted images from which on, with each key, enough comes back."""
    counts: list[int] = sorted({row["images"] for row in some(KEYS, cipher=cipher)})
    return next(
        count
        for n, count in enumerate(counts)
        if all(not row["failed"] and enough(row) for more in counts[n:] for row in keys(cipher, more))
    )


def whole_key() -> int:
    """Images that give the pixel-based cipher's key away, all of it."""
    return needed("pixel-same", lambda row: row["exact"] == 1)


def most_of_the_key() -> int:
    """Images that give Tanaka's key away as far as people see."""
    return needed("tanaka", lambda row: row["ssim"] > RECOGNISABLE)


def learned(data: str, protection: str) -> float:
    """Accuracy of the network that was trained on protected images."""
    (row,) = (row for row in some(ACCURACY, data=data, protection=protection) if row["adaptation"] != "pixel-random")
    return float(row["top1"])


def known_pairs(protection: str) -> int:
    """The least number of known images that gives all others back, byte for byte."""
    exact = (row for row in audit(protection) if row.get("attack") == "known-plaintext" and row.get("exact") == 1)
    return min(int(row["pairs"]) for row in exact)


def exact(protection: str, name: str) -> bool:
    """Whether an attack gives every image back, byte for byte."""
    return any(row.get("exact") == 1 for row in audit(protection) if row.get("attack") == name)


def above_guess(protection: str, name: str, metric: str = "visible") -> bool:
    """Whether an attack gives back more than a tenth of what lies between a guess and the plain images."""
    row = attack(protection, name)
    return "failed" not in row and (verdicts.lift(audit(protection), row, metric) or 0.0) >= LEAKS


def minutes(protection: str) -> float:
    """How long the audit of a protection took."""
    return float(sum(row["seconds"] for row in audit(protection)) / 60)


NUMBERS: Numbers = {
    "keys.pixel.images": lambda: f"{whole_key()}",
    "keys.pixel.keys": lambda: f"{len(keys('pixel-same', whole_key()))}",
    "keys.tanaka.images": lambda: f"{most_of_the_key()}",
    "keys.tanaka.ssim": lambda: f"{fmean(row['ssim'] for row in keys('tanaka', most_of_the_key())):.2f}",
    "keys.side": lambda: "×".join(2 * [str(keys("tanaka", 1)[0]["side"])]),
    "pixel-different.shows": lambda: f"{strongest('pixel-different', 'visible'):.2f}",
    "pixel-different.named": lambda: percent(strongest("pixel-different", "accuracy"), 0),
    "pixel-different.ga.ssim": lambda: signed(attack("pixel-different", "ga")["ssim"], 2),
    "pixel-different.ga.shows": lambda: f"{attack('pixel-different', 'ga')['visible']:.2f}",
    "plain.named": lambda: percent(floor("plain", "accuracy"), 0),
    "guess.named": lambda: percent(guess("accuracy"), 0),
    "guess.shows": lambda: f"{guess('visible'):.2f}",
    "guess.mean.ssim": lambda: f"{floor('mean', 'ssim'):.3f}",
    "pixel-same.known": lambda: str(known_pairs("pixel-same")),
    "pixel-same.shows": lambda: f"{strongest('pixel-same', 'visible'):.2f}",
    "pixel-same.ga.shows": lambda: f"{attack('pixel-same', 'ga')['visible']:.2f}",
    "pixel-same.uwa.shows": lambda: f"{attack('pixel-same', 'uwa')['visible']:.2f}",
    "tanaka.inverse.ssim": lambda: f"{attack('tanaka', 'inverse')['ssim']:.2f}",
    "pixel-same.inverse.ssim": lambda: f"{attack('pixel-same', 'inverse')['ssim']:.2f}",
    "tanaka.ga.ssim": lambda: f"{attack('tanaka', 'ga')['ssim']:.2f}",
    "tanaka.ga.ssim.photos": lambda: (
        f"{one(ATTACKED, data='nips17', protection='tanaka', attack='ga', kind='attack')['ssim']:.2f}"
    ),
    "attackers.images": lambda: f"{about(ATTACKED)['settings']['own']:,}",
    "transformed.inverse.ssim": lambda: f"{attack('transformed', 'inverse')['ssim']:.3f}",
    "transformed.inverse.shows": lambda: f"{attack('transformed', 'inverse')['visible']:.2f}",
    "audits.minutes.least": lambda: f"{min(map(minutes, PROTECTIONS)):.0f}",
    "audits.minutes.most": lambda: f"{max(map(minutes, PROTECTIONS)):.0f}",
    "learned.cifar10.plain": lambda: percent(learned("cifar10", "plain")),
    "learned.cifar10.transformed": lambda: percent(learned("cifar10", "transformed")),
    "learned.things100.plain": lambda: percent(learned("things100", "plain")),
    "learned.things100.transformed": lambda: percent(learned("things100", "transformed")),
}

CONCLUSIONS: Conclusions = {
    "keys.in-a-second": lambda: (
        max(row["seconds"] for file in [rows(KEYS)] for last, row in pairwise(file) if last["run"] == row["run"]) < 1
    ),
    "tanaka.one-known-image": lambda: known_pairs("tanaka") == 1,
    "one-chosen-image": lambda: exact("tanaka", "chosen-plaintext") and exact("pixel-same", "chosen-plaintext"),
    "tanaka.ga.recognisable": lambda: (verdicts.lift(audit("tanaka"), attack("tanaka", "ga"), "ssim") or 0.0) >= BROKEN,
    "pixel-same.uwa.nothing": lambda: not above_guess("pixel-same", "uwa"),
    "pixel-same.affine.all": lambda: exact("pixel-same", "affine"),
    "pixel-different.no-key": lambda: (
        not any(exact("pixel-different", name) for name in ("pixel-statistics", "block-statistics", "known-plaintext"))
        and "failed" in attack("pixel-different", "pixel-statistics")
    ),
    "pixel-different.ga.negative": lambda: attack("pixel-different", "ga")["ssim"] < 0,
    "transformed.inverse.little": lambda: not above_guess("transformed", "inverse"),
    "transformed.other-data.little": lambda: (
        learned("things100", "transformed") < learned("things100", "plain") / 2
        and learned("cifar10", "transformed") > learned("cifar10", "plain")
    ),
}
