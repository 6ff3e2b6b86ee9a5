"""The effect of `veil.runtime.memory.keep_memory` on a network's forward and backward passes.

    python benchmarks/allocator.py --model CARD

Both variants run in fresh processes, by turns; a row is appended to results/benchmarks/allocator.jsonl. Cost: half a
minute.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import torch

from veil.models import catalog
from veil.runtime.memory import keep_memory
from veil.runtime.provenance import provenance

RESULTS = Path(__file__).resolve().parent.parent / "results/benchmarks/allocator.jsonl"
BATCH, PASSES, TURNS = 8, 20, 3


def passes(model: str, keep: bool) -> list[float]:
    """Milliseconds per photo of each forward and backward pass, after two warm-up passes."""
    classifier = catalog.load(model)
    if keep:
        keep_memory()
    images = torch.randn(BATCH, classifier.preprocessing.channels, *classifier.preprocessing.size)
    times = []
    for _ in range(2 + PASSES):
        began = time.perf_counter()
        inputs = images.clone(memory_format=torch.channels_last).requires_grad_()
        torch.autograd.grad(classifier.network(inputs).logsumexp(1).sum(), inputs)
        times.append(1000 * (time.perf_counter() - began) / BATCH)
    return times[2:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--worker", choices=["kept", "returned"])
    given = parser.parse_args()
    if given.worker:
        print(json.dumps(passes(given.model, given.worker == "kept")))
        return
    times: dict[str, list[float]] = {"kept": [], "returned": []}
    for _ in range(TURNS):
        for way, measured in times.items():
            command = [sys.executable, __file__, "--model", given.model, "--worker", way]
            measured += json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    row = {"benchmark": "allocator", "scale": "cpu", "model": Path(given.model).stem, "batch": BATCH}
    row |= {f"ms_per_photo_{way}": round(median(measured), 2) for way, measured in times.items()}
    row |= {"ratio": round(median(times["returned"]) / median(times["kept"]), 3)}
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row | provenance()) + "\n")
    print(json.dumps(row))


if __name__ == "__main__":
    main()
