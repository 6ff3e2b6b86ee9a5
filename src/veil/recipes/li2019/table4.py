"""MS-SSIM and PSNR beside two baselines, and the reconstructions (Table 4, Figure 4).

Paper:   Li et al. 2019, section 4.4, Table 4 and Figure 4
Item:    table4
Cost:    smoke 0 s; cpu 0 s, with audits; paper 0 s
Expect:  MS-SSIM 0.3175, without adversarial training 0.9458, noise 0.7263; PSNR 6.32, 27.81, 16.97 dB
Command: veil reproduce li2019 table4 --scale cpu --data DIR

The best reconstruction by each metric, of attackers who were trained afterwards.
"""

from veil.audits.features.page import drawn
from veil.audits.features.readings import drawn_best, picture_floor, reconstructions
from veil.recipes.li2019 import audits, variants
from veil.recipes.li2019.variants import VARIANTS
from veil.recipes.recipe import Evidence
from veil.report.page import Section, Table

ITEM = "table4"
PRINTED = {"paper": (0.3175, 6.32), "undefended": (0.9458, 27.81), "noise": (0.7263, 16.97)}
_METRICS = {"ms_ssim": "MS-SSIM", "psnr": "PSNR, dB", "ssim": "SSIM", "visible": "shows", "lpips": "LPIPS"}
_FLOORS = {"mean": "floor: the mean face", "unrelated": "floor: another face", "grey": "floor: grey"}


def show(evidence: Evidence) -> Section:
    """A line for each variant and floor; pictures of each."""
    grouped = audits.by_variant(evidence)
    metrics = [metric for metric in _METRICS if any(drawn_best(rows, metric) for rows in grouped.values())]
    lines = []
    for name, rows in grouped.items():
        printed = PRINTED.get(name)
        cells = []
        for metric in metrics:
            best = drawn_best(rows, metric)
            cells.append("–" if best is None else _cell(metric, best[metric]))
        paper = "–" if printed is None else f"{printed[0]:.4f}, {printed[1]:.2f} dB"
        lines.append((VARIANTS[name].title, paper, *cells, f"{len(reconstructions(rows))}"))
    first = next(iter(grouped.values()))
    for name, title in _FLOORS.items():
        row = picture_floor(first, name)
        lines.append((title, "–", *(_cell(metric, row.get(metric)) for metric in metrics), "–"))
    table = Table(
        "The best reconstruction by each metric; “shows” is 0 for nothing of the photo and 1 for all of it; "
        "of how many reconstructions it is the best. One training of each.",
        ("", "paper", *(_METRICS[metric] for metric in metrics), "best of"),
        tuple(lines),
    )
    strips = [drawn(f"figure4-{name}", rows, f"Figure 4, {VARIANTS[name].title}. {variants.CREDIT}. ")
            for name, rows in grouped.items()]  # fmt: skip
    pictures = tuple(strip for strip in strips if strip is not None)
    least, grey = PRINTED["paper"][1], picture_floor(first, "grey")["psnr"]
    text = (
        f"PSNR of {least} dB is {'less' if least < grey else 'no less'} than that of plain grey ({grey:.1f} dB): a low "
        "PSNR says that colours are wrong, not that a face is hidden.",
    )
    title = "Table 4 and Figure 4 · Reconstructions beside the baselines"
    return Section(ITEM, title, text, (table,), pictures, evidence.source(audits.ITEM))


def _cell(metric: str, value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.1f}" if metric == "psnr" else f"{value:.3f}"
