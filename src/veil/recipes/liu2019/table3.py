"""CRS on photos (Table 3).

Paper:   Liu et al. 2019, section 5.3.1, Table 3
Item:    table3
Cost:    smoke seconds; cpu 8 min on two cores for 400 photos; paper 50,000 photos, a GPU
Expect:  probability of the true class 76.70 % on originals, 0.09 % on released photos; of the target 99.45 %; noise
         0.0015; 17.205 iterations; 0.585 s a photo
Command: veil reproduce liu2019 table3 --scale cpu --data DIR --model MODEL

The paper's settings: ±3 grey levels, target score 0.99, at most 100 iterations. A row for each photo, judged on the
decoded PNG.
"""

from collections.abc import Mapping
from statistics import fmean

from veil.protections.noise.crs import CrsSettings
from veil.recipes.liu2019 import photos
from veil.recipes.recipe import Conditions, Evidence
from veil.report.page import Section, Table

SETTINGS = CrsSettings()
ICP, SCORE, STEPS, NOISE = 0.767, 0.9945, 17.205, 0.0015
"""The paper's means: ICP of originals, the target's probability, iterations, “noise”."""


def measure(conditions: Conditions) -> None:
    """A row for each seed and photo."""
    bench, settings = photos.load(conditions), photos.settings(conditions, SETTINGS)
    seeds = conditions.seeds_or(photos.SEEDS)
    with conditions.rows("table3", bench.about(settings)) as rows:
        for seed in seeds:
            missing = bench.missing(rows, seed=seed)
            for number, pixels, released in bench.protect(missing, "crs", settings, seed):
                (judged,) = bench.judge(number, pixels, [(released.pixels, released.targets[0])])
                rows.add({"seed": seed, "iterations": released.iterations} | judged)
        rows.finish(seeds)


def show(evidence: Evidence) -> Section:
    """Table 3, line by line."""
    rows = evidence.rows("table3")
    mean = photos.means(rows)
    known = sum(row["truth_known"] for row in rows)
    seconds = sum(row["seconds"] for row in rows) / len(rows)
    target, steps = (fmean(row[field] for row in rows) for field in ("target_score", "iterations"))
    table = Table(
        f"Means over {len(rows)} photos, on the decoded PNG. ICP of a guess: "
        f"{1 / evidence.about('table3')['classes']:.3f}.",
        ("", "paper", "Veil"),
        (
            ("probability of the true class, original", f"{100 * ICP:.2f} %", f"{100 * mean['icp_before']:.2f} %"),
            ("probability of the true class, released", "0.09 %", f"{100 * mean['icp_after']:.3f} %"),
            ("true class on top, original", "not given", f"{mean['top1_before']:.1f} %"),
            ("true class on top, released", "not given", f"{mean['top1_after']:.1f} %"),
            ("probability of the target, released", f"{100 * SCORE:.2f} %", f"{100 * target:.2f} %"),
            ("noise, signed mean (range [0, 1])", "0.0015 (“noise”)", f"{mean['mean_signed']:.5f}"),
            ("noise, mean magnitude (range [0, 1])", "not given", f"{mean['mean_abs']:.4f}"),
            ("noise, largest, grey levels", "3", f"{max(row['linf'] for row in rows):.0f}"),
            ("iterations, mean", f"{STEPS}", f"{steps:.1f}"),
            ("seconds a photo", "0.585 (text: about 5)", f"{seconds:.2f}"),
        ),
    )
    text = [
        _claim(mean, target, steps),
        _certainty(evidence.about("table3")["model"], mean["icp_before"])
        + f" The paper's “noise” of {NOISE} is no mean magnitude, which is {mean['mean_abs'] / NOISE:.1f} times as "
        "large here, at three grey levels. It looks like a signed mean, of which the notebook that the paper "
        "follows shows about 0.001 for a photo; over many photos signed means cancel, and they say nothing of how "
        "visible noise is. The paper's text gives about 5 s a photo, its table 0.585 s, on a laptop's four cores; "
        "ours includes reading, writing and judging.",
    ]
    if known < len(rows):
        text.append(f"The true class was known for {known} photos; for the others the first choice stands for it.")
    return Section("table3", "Table 3 · CRS on photos", tuple(text), (table,), source=evidence.source("table3"))


def _claim(mean: Mapping[str, float], target: float, steps: float) -> str:
    """Whether the true class is gone and another class certain, and which numbers agree with the paper's."""
    if mean["top1_after"] < 1 and target > 0.99:
        text = "The paper's claim holds: the truth is gone and another class is certain, at three grey levels."
    else:
        text = (
            f"The paper's claim does not hold: the truth is on top in {mean['top1_after']:.1f} %, and the target has "
            f"{100 * target:.1f} %, at three grey levels."
        )
    agree = abs(steps / STEPS - 1) < 0.25 and abs(target - SCORE) < 0.01
    return f"{text} Iterations and the target's probability agree with the paper's." if agree else text


def _certainty(model: str, icp: float) -> str:
    if icp < ICP:
        return f"Where we differ: {model} is less sure of the originals than the paper's Inception v3."
    return f"{model} is as sure of the originals as the paper's Inception v3."
