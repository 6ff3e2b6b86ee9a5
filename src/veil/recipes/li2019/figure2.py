"""Defending only images, or only attributes (Figure 2, section 4.2).

Paper:   Li et al. 2019, sections 1 and 4.2, Figure 2
Item:    figure2
Cost:    smoke 0 s; cpu 0 s, with audits; paper 0 s
Expect:  only images defended: gender is still told in 93.7 %; only attributes: faces are still seen
Command: veil reproduce li2019 figure2 --scale cpu --data DIR
"""

from veil.audits.features.readings import drawn_best, guess, strongest, tried
from veil.recipes.li2019 import audits
from veil.recipes.li2019.variants import GENDER, VARIANTS
from veil.recipes.recipe import Evidence
from veil.report.page import Section, Table

ITEM = "figure2"
PRINTED = {"only-images": "gender 93.7", "only-attributes": "“many details” show"}
SHOWN = ("undefended", "only-images", "only-attributes", "paper")


def show(evidence: Evidence) -> Section:
    """A line for each ablation; the pictures are those of Figure 4."""
    grouped = audits.by_variant(evidence)
    lines = []
    for name in (name for name in SHOWN if name in grouped):
        best, drawn = strongest(grouped[name], GENDER), drawn_best(grouped[name], "ms_ssim")
        lines.append((
            VARIANTS[name].title, PRINTED.get(name, "–"), f"{100 * best['accuracy']:.1f}",
            f"{100 * best['balanced_accuracy']:.1f}",
            "–" if drawn is None else f"{drawn['ms_ssim']:.3f} (no features {guess(grouped[name], 'ms_ssim'):.3f})",
            tried(grouped[name], GENDER),
        ))  # fmt: skip
    table = Table(
        "Gender by the strongest retrained attacker, in %, and the best reconstruction; of how many attackers and "
        "reconstructions. One training of each.",
        ("", "paper", "accuracy", "balanced accuracy", "MS-SSIM", "strongest of"), tuple(lines),
    )  # fmt: skip
    text = ("What the paper infers, that one defence does not bring the other along, can only be seen where a defence "
            "holds by itself: the first and the last line say whether it does.",)  # fmt: skip
    title = "Figure 2 · One defence without the other"
    return Section(ITEM, title, text, (table,), (), evidence.source(audits.ITEM))
