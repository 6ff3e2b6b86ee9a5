"""CRS and CIS on the 400 photos of nips17: what known and unseen networks read in the written files.

    python benchmarks/nips17.py run --data DIR --model CARD --unseen CARD --scheme crs
    python benchmarks/nips17.py run --data DIR --model CARD --unseen CARD --scheme cis
    python benchmarks/nips17.py table

``DIR`` holds ``images/`` and ``images.csv`` of the NIPS 2017 adversarial development set. ``run`` protects the photos
by `Protector.protect_folder` (a run that was stopped goes on), writes a row per photo to
``results/nips17/<name>.jsonl`` and one for the run to ``results/nips17/runs.jsonl``; ``table`` rebuilds docs/results.md
from the rows.

Cost: three minutes for CRS, six for CIS, on two cores.
Expected (issue and paper): at least 99 % at 0.99 on the decoded PNG, mean ICP at most 0.0009, mean |noise| at most
0.0075; with CIS, an entropy above CRS's and the original's.
"""

import argparse
import csv
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from veil.jobs.folders import Row, read_rows
from veil.protections.noise import SCHEMES
from veil.protections.noise.protector import Protector
from veil.runtime import names
from veil.runtime.files import write_atomically
from veil.runtime.provenance import provenance

HERE = Path(__file__).resolve().parent
RESULTS, PAGE = HERE.parent / "results/nips17", HERE.parent / "docs/results.md"
KEPT = (
    "file", "class_before", "class_after", "true_class", "icp_before", "icp_after", "ice_before", "ice_after", "target",
    "target_score", "iterations", "linf", "mean_abs", "mean_signed", "psnr", "ssim", "ms_ssim", "protected", "seconds",
)  # fmt: skip
HEAD = """# Results

Made by `python benchmarks/nips17.py table` from the rows in [results/nips17](../results/nips17); a test holds it
against them.

400 photos of the NIPS 2017 adversarial development set, 299×299 (JPEG quality 93). Labels are the set's own. Everything
is measured on the decoded PNG. A guess has an ICP of 1/1000; ICE is at most ln 1000 = 6.908 nats. "Unseen" networks had
no part in the noise. Noise magnitude and signed mean are of values in [0, 1].

The paper (Liu et al. 2019, Table 3, Inception v3 on ILSVRC-2012): ICP 0.767 → 0.0009, target score 0.9945, 17.2
iterations, "noise" 0.0015, which looks like a signed mean. Its Fig. 12: an entropy of about 0.7 for originals, near 0
for one target class, clearly more for two. MobileNet v2 is less sure of originals than Inception; its card cuts the
middle out of a photo, and what lies outside gets no noise.
"""


def labels(data: Path) -> dict[str, int]:
    """ImageNet class by file name; the set counts from 1, with 0 for background."""
    with (data / "images.csv").open(newline="", encoding="utf-8") as handle:
        return {f"{row['ImageId']}.jpg": int(row["TrueLabel"]) - 1 for row in csv.DictReader(handle)}


def compact(row: Row) -> Row:
    """The fields of a row to keep: the flat fields, and per network whether the true class is on top."""
    views = {
        view["network"]: {
            "role": view["role"],
            "top1_before": view["class_before"] == view["true_class"],
            "top1_after": view["class_after"] == view["true_class"],
            "top5_after": view["rank_after"] <= 5,
            **{key: view[key] for key in ("icp_before", "icp_after", "ice_before", "ice_after")},
            "top1_survival": {k: v["class_after"] == view["true_class"] for k, v in view["survival"].items()},
        }
        for view in row["networks"]
    }
    return {key: row[key] for key in KEPT} | {"networks": views}


def run(arguments: argparse.Namespace) -> None:
    """Protects the photos and writes the rows."""
    options = json.loads(arguments.options)
    protector = Protector(
        arguments.model, arguments.scheme, verify_with=arguments.unseen, survival=True, seed=arguments.seed, **options
    )
    began = time.perf_counter()
    rows = protector.protect_folder([arguments.data / "images"], arguments.out, truths=labels(arguments.data))
    seconds = time.perf_counter() - began
    name = "-".join([arguments.scheme, *(f"{k}-{v}" for k, v in options.items()), f"seed-{arguments.seed}"])
    RESULTS.mkdir(parents=True, exist_ok=True)
    write_atomically(RESULTS / f"{name}.jsonl", "".join(json.dumps(compact(row)) + "\n" for row in rows))
    row = {"name": name, "scale": "cpu", "seed": arguments.seed, "data": f"nips17, {len(rows)} photos"}
    row |= {
        "run": protector.describe(),
        "seconds": round(seconds, 1),
        "photos_per_second": round(len(rows) / seconds, 2),
    }
    runs = [*(r for r in read_runs() if r["name"] != name), row | provenance()]
    write_atomically(
        RESULTS / "runs.jsonl", "".join(json.dumps(r) + "\n" for r in sorted(runs, key=lambda r: r["name"]))
    )


def read_runs() -> list[dict[str, Any]]:
    """One row per run."""
    file = RESULTS / "runs.jsonl"
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []


def share(values: Sequence[bool]) -> str:
    """A share in percent with its count."""
    return f"{100 * fmean(values):.1f} % ({sum(values)})"


def section(run: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """The tables of one run, as Markdown."""
    settings, machine = run["run"]["settings"], run["hardware"]
    required = settings["required_score"]

    def mean(field: str, digits: int) -> str:
        return f"{fmean(row[field] for row in rows):.{digits}f}"

    lines = [
        f"\n## {run['run']['scheme'].upper()}: {', '.join(f'{k} {v}' for k, v in settings.items())}\n",
        f"Seed {run['seed']}, cpu scale; noise against {', '.join(run['run']['models'])}. {run['seconds']:.0f} s on "
        f"{machine['cores']} cores of an {machine['cpu']} ({run['photos_per_second']:.1f} photos/s, with reading, "
        f"writing and all measurements).\n",
        "| | |",
        "|---|---:|",
        f"| protected | {share([row['protected'] for row in rows])} |",
        f"| a score of {required} or more | {share([row['target_score'] >= required for row in rows])} |",
        f"| mean ICP, original → released | {mean('icp_before', 3)} → {mean('icp_after', 5)} |",
        f"| mean ICE, original → released | {mean('ice_before', 3)} → {mean('ice_after', 3)} |",
        f"| iterations, mean and most | {mean('iterations', 1)}, {max(row['iterations'] for row in rows)} |",
        f"| noise, mean magnitude and signed mean | {mean('mean_abs', 4)}, {mean('mean_signed', 5)} |",
        f"| noise, largest, in grey levels | {max(row['linf'] for row in rows):.0f} |",
        f"| PSNR and SSIM, means | {mean('psnr', 1)} dB, {mean('ssim', 4)} |\n",
        "| network | true class on top: original | released | in the top five | mean ICP | mean ICE | "
        "on top again: JPEG 90 | JPEG 75 | half size and back |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for network, first in rows[0]["networks"].items():
        views = [row["networks"][network] for row in rows]
        again = [share([v["top1_survival"][k] for v in views]) for k in first["top1_survival"]]
        cells = [share([v[k] for v in views]) for k in ("top1_before", "top1_after", "top5_after")]
        means = [f"{fmean(v['icp_after'] for v in views):.4f}", f"{fmean(v['ice_after'] for v in views):.3f}"]
        lines.append("| " + " | ".join([f"{network} ({first['role']})", *cells, *means, *again]) + " |")
    return "\n".join(lines) + "\n"


def page() -> str:
    """docs/results.md, from the rows."""
    return HEAD + "".join(section(run, read_rows(names.below(RESULTS, f"{run['name']}.jsonl"))) for run in read_runs())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    running = commands.add_parser("run")
    running.add_argument("--data", type=Path, required=True)
    running.add_argument("--model", required=True)
    running.add_argument("--unseen", action="append", default=[])
    running.add_argument("--scheme", choices=SCHEMES, default="crs")
    running.add_argument("--options", default="{}", help="settings of the scheme, as JSON")
    running.add_argument("--seed", type=int, default=0)
    running.add_argument("--out", type=Path, required=True, help="folder for the photos")
    running.set_defaults(do=run)
    commands.add_parser("table").set_defaults(do=lambda _: write_atomically(PAGE, page()))
    arguments = parser.parse_args()
    arguments.do(arguments)


if __name__ == "__main__":
    main()
