"""One photo at a time: what the network answers before and after CRS (Figures 8, 9) and CIS (Figures 10, 11).

Paper:   Liu et al. 2019, section 5.3, Figures 8 to 11
Item:    figure8, figure9, figure10, figure11
Cost:    smoke seconds; cpu seconds; paper seconds
Expect:  CRS: black swan 96.23 % → cowboy boot 99.01 %; CIS: no class above a few per cent (American egret 3.79 %,
         bittern 3.47 %, jinrikisha 1.79 %)
Command: veil reproduce liu2019 figure8 figure9 figure10 figure11 --scale cpu --model MODEL

The paper's photos, a black swan and a minibus, are not published; ours are scikit-image's "chelsea" (Stéfan van der
Walt) and "coffee" (Rachel Michetti), both CC0 (extra ``demo``).
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from veil.jobs import rows
from veil.jobs.rows import Row
from veil.protections.noise import SCHEMES
from veil.protections.noise.engine import Engine
from veil.recipes import free_photos
from veil.recipes.liu2019 import photos
from veil.recipes.liu2019.photos import Bench, Photos
from veil.recipes.recipe import Conditions, Evidence
from veil.report import figures
from veil.report.page import Picture, Section

SIDE = 299
FACTOR = 20  # amplification of the noise
ITEMS = {
    "figure8": ("chelsea", "crs", "CRS on a photo of a cat (the paper: a black swan)"),
    "figure9": ("coffee", "crs", "CRS on a cup of coffee (the paper: a minibus)"),
    "figure10": ("chelsea", "cis", "CIS on a photo of a cat (the paper: a black swan)"),
    "figure11": ("coffee", "cis", "CIS on a cup of coffee (the paper: a minibus)"),
}


def measure(conditions: Conditions, item: str) -> None:
    """A row for each seed."""
    name, scheme, _ = ITEMS[item]
    classifier = photos.network(conditions)
    settings = photos.settings(conditions, SCHEMES[scheme].settings())
    shown = Photos(f"scikit-image, {name}", (name,), lambda _: free_photos.read(name, SIDE), (None,))
    bench = Bench(shown, Engine([classifier], device=conditions.device))
    seeds = conditions.seeds_or(photos.SEEDS)
    with conditions.rows(item, bench.about(settings)) as file:
        for seed in seeds:
            for number, pixels, released in bench.protect(bench.missing(file, seed=seed), scheme, settings, seed):
                targets = [target for of_photo in released.targets for target in of_photo]
                noise = released.pixels.int() - pixels.int()
                answers = {
                    when: bench.answers(photos) for when, photos in (("before", pixels), ("after", released.pixels))
                }
                (judged,) = bench.judge(number, pixels, [(released.pixels, targets)])
                file.add(
                    {"seed": seed, "scheme": scheme, "iterations": released.iterations}
                    | judged
                    | {"targets": [classifier.classes[target] for target in targets], "answers": answers}
                    | {"noise": rows.pack(noise.numpy().astype(np.int8))}
                )
        file.finish(seeds)


def show(evidence: Evidence, item: str) -> Section:
    """The first seed's photo before and after, with the network's answers."""
    name, scheme, title = ITEMS[item]
    row = evidence.rows(item)[0]
    original = free_photos.read(name, SIDE).permute(1, 2, 0).numpy()
    noise = rows.unpack(row["noise"]).transpose(1, 2, 0).astype(np.int64)
    picture = Picture(
        item,
        f"{free_photos.CREDITS[name]}. Noise at most {row['linf']:.0f} grey levels, mean magnitude "
        f"{255 * row['mean_abs']:.2f}; shown {FACTOR} times as strong.",
        lambda: figures.photo_comparison(
            original,
            (original + noise).clip(0, 255).astype(np.uint8),
            (128 + FACTOR * noise).clip(0, 255).astype(np.uint8),
            [(name, score) for name, score in row["answers"]["before"]],
            [(name, score) for name, score in row["answers"]["after"]],
            FACTOR,
            truth=row["answers"]["before"][0][0],
        ),
    )
    text = DESCRIBED[scheme](row)
    return Section(item, f"Figure {item.removeprefix('figure')} · {title}", (text,), pictures=(picture,),
                   source=evidence.source(item))  # fmt: skip


def _one_target(row: Row) -> str:
    before, after = row["answers"]["before"][0], row["answers"]["after"][0]
    return f"The network goes from {_answer(before)} to {_answer(after)}, in {row['iterations']} steps."


def _two_targets(row: Row) -> str:
    before, after = row["answers"]["before"][0], row["answers"]["after"][0]
    text = (
        f"Two targets ({' and '.join(map(_short, row['targets']))}): the first answer on the released photo is "
        f"{_answer(after)}, entropy {row['ice_before']:.2f} → {row['ice_after']:.2f} nats."
    )
    if after[0] == before[0]:
        text += " The first choice on the original is still the first: the sum of two noises does not rule that out."
    return text


DESCRIBED = {"crs": _one_target, "cis": _two_targets}
"""The text about a figure's photo, by the scheme of the figure."""


def _answer(answer: Sequence[Any]) -> str:
    return f"“{_short(answer[0])}” ({100 * answer[1]:.1f} %)"


def _short(name: str) -> str:
    return name.split(",")[0]


figure8, figure9, figure10, figure11 = (partial(show, item=item) for item in ITEMS)
measure8, measure9, measure10, measure11 = (partial(measure, item=item) for item in ITEMS)
