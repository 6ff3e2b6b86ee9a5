"""MS-SSIM of four reconstructors on obfuscated features (Table 3).

Paper:   Li et al. 2019, section 4.4, Tables 2 and 3
Item:    table3
Cost:    smoke 0 s; cpu 0 s, with audits; paper 0 s
Expect:  mirror 0.3175, URec#1 0.3123, URec#2 0.3095, ResRec 0.3169
Command: veil reproduce li2019 table3 --scale cpu --data DIR

The reconstructors are trained from nothing against the frozen obfuscator, by 1 − MS-SSIM and the mean absolute error.
The paper's implementation of MS-SSIM has some 0.22 to 0.28 for unrelated images, where ours has the floor beside it:
values compare by their distance to the floor only.
"""

from veil.attacks.features import FEATURE_ATTACKERS
from veil.audits.features.readings import guess, lift, reconstructions, retrained, titled
from veil.recipes.li2019 import audits
from veil.recipes.li2019.variants import VARIANTS
from veil.recipes.recipe import Evidence
from veil.report.page import Section, Table

ITEM = "table3"
PRINTED = {"mirror": 0.3175, "urec1": 0.3123, "urec2": 0.3095, "resrec": 0.3169}


def show(evidence: Evidence) -> Section:
    """A line for each reconstructor, a column for each variant."""
    grouped = audits.by_variant(evidence)
    drawn = {name: {row["attack"]: row for row in reconstructions(rows, in_loop=True)}
             for name, rows in grouped.items()}  # fmt: skip
    lines = []
    for attack in (name for name, row in FEATURE_ATTACKERS.items() if "images" in row.reads):
        cells = [f"{rows[attack]['ms_ssim']:.4f}" if attack in rows else "–" for rows in drawn.values()]
        if any(cell != "–" for cell in cells):
            paper = f"{PRINTED[attack]:.4f}" if attack in PRINTED else "–"
            lines.append((titled(attack), paper, *cells))
    lines.append(("no features", "–", *(f"{guess(rows, 'ms_ssim'):.4f}" for rows in grouped.values())))
    best = [max((row["ms_ssim"] for row in rows.values() if retrained(row)), default=None) for rows in drawn.values()]
    left = [
        "–" if value is None else f"{100 * lift(value, guess(rows, 'ms_ssim')):.0f} %"
        for value, rows in zip(best, grouped.values(), strict=True)
    ]
    lines.append(("the best, of what there is", "–", *left))
    table = Table(
        "MS-SSIM with the photo, means over judged faces; the last line is 0 % for the floor, 100 % for the photo.",
        ("", "paper", *(VARIANTS[name].title for name in grouped)), tuple(lines),
    )  # fmt: skip
    text = (
        "The paper shows that reconstructors of other shapes do no better than the one that the obfuscator was trained "
        "against. What it does not show is what any of them would have without features.",
    )
    title = "Table 3 · What reconstructors draw"
    return Section(ITEM, title, text, (table,), (), evidence.source(audits.ITEM))
