"""The speed at which Veil adds noise, compared with its peers and with the limit of the hardware.

    python benchmarks/noise.py --scale smoke
    python benchmarks/noise.py --scale cpu --model CARD --photos FOLDER

All contenders have the same network, photos, targets, step, budget and limit of steps. Each contender runs in a fresh
process with the same number of threads, several times in turn with the others; loading, tuning of the batch and warm-up
are not timed. One process judges all images, rounded to 8 bits. Rows are appended as contenders finish; README.md
beside this file describes them.

The *floor* is the time of only the forward and backward passes of Veil's own run.

Cost: smoke half a minute; cpu about 45 minutes on two quiet cores, nearly all of it the peers'.
Expected: Veil at least 8 times as fast as the best peer, within 1.15 times the floor; memory flat.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from benchmark import Benchmark, Row, WrongUsage, peak_mib, print_table
from peers import CONTENDERS, Problem, Rules
from veil.images import SUFFIXES, load, quantise, to_float
from veil.models import catalog
from veil.models.residual import ResidualNet
from veil.protections.noise.crs import CrsSettings
from veil.protections.noise.engine import Engine
from veil.protections.noise.scheme import StepSettings
from veil.protections.noise.targets import draw
from veil.runtime.devices import computes_bfloat16

HERE = Path(__file__).resolve().parent
BENCH_PYTHON = HERE.parent / ".bench-venv/bin/python"
HEADINGS = ("contender", "images/s", "success", "misread", "× best peer", "× floor", "batch", "peak MiB")
RIVALS = ("torchattacks", "foolbox", "art")
MEASURED = ("success", "misread", "linf", "iterations", "batch", "peak_mib", "version", "torch")
NOT_PROTECTED = 3  # exit status of `veil protect`


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How much is measured. ``memory`` holds numbers of photos, all of ``side`` pixels."""

    photos: int
    max_steps: int
    repetitions: int
    batches: tuple[int, ...] = (4, 8, 16, 32)
    memory: tuple[int, int]
    side: int


SCALES = {
    "smoke": Scale(photos=8, max_steps=20, repetitions=1, memory=(4, 12), side=48),
    "cpu": Scale(photos=64, max_steps=100, repetitions=3, memory=(100, 2000), side=192),
}


# The common problem.


def synthetic(index: int, height: int, width: int) -> Tensor:
    """A smooth uint8 photo (3, height, width); the index is its seed."""
    coarse = torch.rand(1, 3, 6, 6, generator=Generator().manual_seed(index))
    return quantise(F.interpolate(coarse, (height, width), mode="bicubic")[0])


CARD = """
name = "random"
architecture = "veil/residual"
weights = "random.safetensors"
labels = "random.txt"
options = { num_classes = 10, stem = 8, widths = [16, 32], depths = [1, 1] }
input = { resize = 36, crop = 32, mean = [0.5, 0.5, 0.5], std = [0.25, 0.25, 0.25] }
"""


def random_card(folder: Path) -> Path:
    """The card of a small network with random weights, sharp enough for targets to be within reach."""
    photos = torch.stack([to_float(synthetic(index, 32, 32)) for index in range(8)])
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        network = ResidualNet(10, stem=8, widths=(16, 32), depths=(1, 1))
        for norm in (module for module in network.modules() if isinstance(module, nn.BatchNorm2d)):
            norm.momentum = None  # its statistics become the photos'
        network((photos - 0.5) / 0.25)
        network.head.weight.mul_(100)
        network.head.bias.sub_(network.eval()((photos - 0.5) / 0.25).mean(0))
    folder.mkdir()
    save_file(network.state_dict(), folder / "random.safetensors")
    (folder / "random.txt").write_text("\n".join(f"class {k}" for k in range(10)))
    (folder / "random.toml").write_text(CARD)
    return folder / "random.toml"


def photos_of_one_size(folder: Path, count: int) -> Tensor:
    """The first photos of a folder, by name, with the size of the first one: uint8 (N, C, H, W)."""
    chosen: list[Tensor] = []
    for path in sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES):
        pixels = load(path).pixels
        if not chosen or pixels.shape == chosen[0].shape:
            chosen.append(pixels)
        if len(chosen) == count:
            return torch.stack(chosen)
    raise SystemExit(f"{folder} holds {len(chosen)} photos of one size; {count} are needed")


def problem_of(photos: Tensor, judge: Engine, rules: Rules) -> Problem:
    """Targets as Veil's own CRS draws them first, at seed 0."""
    (logits,) = judge.logits(list(photos))
    excluded = CrsSettings().excluded_top
    targets = [
        draw([row], [0], photo, excluded_top=excluded, truth=None, seed=0)[0][0]
        for row, photo in zip(logits, photos, strict=True)
    ]
    return Problem(photos=photos, targets=torch.tensor(targets), before=logits.argmax(1), rules=rules)


def judged(images: Tensor, problem: Problem, judge: Engine) -> Row:
    """Shares of photos that reached the target and that lost their first choice, on 8-bit images."""
    stored = images if images.dtype == torch.uint8 else quantise(images)
    (logits,) = judge.logits(list(stored))
    scores = logits.softmax(1).gather(1, problem.targets[:, None])[:, 0]
    return {
        "success": (scores >= problem.rules.required_score).float().mean().item(),
        "misread": (logits.argmax(1) != problem.before).float().mean().item(),
        "linf": int((stored.int() - problem.photos.int()).abs().max()),
    }


# The contest.


@dataclass(frozen=True)
class Contest:
    """The state of a benchmark run; ``peers`` is the Python of the peers' environment."""

    scale: Scale
    problem: Problem
    judge: Engine
    peers: Path
    threads: int
    folder: Path
    only: Sequence[str]


class Absent(Exception):
    """A contender cannot run here, which is not an error."""


def run_process(command: Sequence[str | Path], threads: int) -> Row:
    """The last line that a worker printed.

    Raises:
        Absent: where a package is missing.
        RuntimeError: where the worker failed.
    """
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip() or f"exit status {done.returncode}").splitlines()[-1]
        raise Absent(reason) if reason.startswith("ModuleNotFoundError") else RuntimeError(reason)
    row: Row = json.loads(done.stdout.splitlines()[-1])
    return row


def one_turn(name: str, runs: Mapping[str, list[Row]], contest: Contest) -> Row:
    """Runs one contender once and judges its images.

    Raises:
        Absent: where it cannot run here.
        RuntimeError: where it failed, or its noise leaves the budget.
    """
    if name in RIVALS and not contest.peers.is_file():
        raise Absent(f"the peers have no environment at {contest.peers}; `make bench` creates it")
    if "bf16" in name and not computes_bfloat16(torch.device("cpu")):
        raise Absent("this CPU does not compute in bfloat16")
    python = contest.peers if name in RIVALS else sys.executable
    images = contest.folder / "images.safetensors"
    command = [python, HERE / "peers.py", name, contest.folder / "problem.safetensors", images]
    if name.startswith("floor"):
        needed = runs["veil-bf16" if "bf16" in name else "veil"]
        if not needed:
            raise Absent("Veil's own run is missing")
        command += ["--evaluations", str(needed[-1]["evaluations"])]
    if runs[name]:
        command += ["--batch", str(runs[name][0]["batch"])]
    run = run_process(command, contest.threads)
    if images.exists():
        run |= judged(load_file(images)["images"], contest.problem, contest.judge)
        images.unlink()
        if run["linf"] > contest.problem.rules.budget:
            raise RuntimeError(f"noise of {run['linf']} levels leaves the budget")
    return run


def compete(contest: Contest) -> Iterator[Row]:
    """Runs all contenders in turn, several times; yields a contender's row after its last turn."""
    contest.problem.save(contest.folder / "problem.safetensors")
    photos = len(contest.problem.photos)
    runs: dict[str, list[Row]] = {name: [] for name in contest.only}
    waiting = list(runs)
    for turn in range(1, contest.scale.repetitions + 1):
        for name in tuple(waiting):
            ending: Row = {}
            try:
                runs[name].append(one_turn(name, runs, contest))
            except Absent as reason:
                ending = {"skipped": str(reason)}
            except RuntimeError as reason:
                ending = {"error": str(reason)}
            result = next(iter(ending.values()), None) or f"{runs[name][-1]['seconds'] / photos:.3g} s a photo"
            print(f"turn {turn}, {name}: {result}", file=sys.stderr, flush=True)
            if ending or turn == contest.scale.repetitions:
                waiting.remove(name)
                yield contender_row(name, runs[name], photos) | ending


def contender_row(name: str, runs: Sequence[Row], photos: int) -> Row:
    """Speed over all turns; other fields come from the last turn, because the first one includes tuning."""
    rates = [photos / run["seconds"] for run in runs]
    last = runs[-1] if runs else {}
    return {
        "kind": "floor" if name.startswith("floor") else "contender",
        "contender": name,
        "precision": "bfloat16" if "bf16" in name else "float32",
        "images_per_second": statistics.median(rates) if rates else None,
        "images_per_second_min": min(rates, default=None),
        "images_per_second_max": max(rates, default=None),
        **{key: last.get(key) for key in MEASURED},
        "evaluations": last["evaluations"] / photos if last else None,
        "repetitions": len(runs),
        "skipped": None,
        "error": None,
    }


def protect(arguments: Sequence[str]) -> None:
    """Runs `veil protect` in this process and prints its peak memory."""
    from veil.cli import main as veil_command

    try:
        veil_command(["protect", *arguments])
    except SystemExit as end:
        if end.code not in (None, 0, NOT_PROTECTED):
            raise
    print(json.dumps({"peak_mib": peak_mib()}))


def memory_rows(scale: Scale, threads: int, folder: Path) -> Iterator[Row]:
    """The peak memory of `veil protect` for few photos and for many.

    The network is the small random one: photos that stayed in memory would not hide beside it.
    """
    card = random_card(folder / "network")
    options = ["--model", str(card), "--max-iterations", "2", "--retries", "0", "--device", "cpu"]
    peaks: list[float] = []
    for count in scale.memory:
        photos, out = folder / str(count), folder / f"{count}-protected"
        photos.mkdir()
        for index in range(count):
            pixels = synthetic(index, scale.side, scale.side).permute(1, 2, 0).contiguous().numpy()
            Image.fromarray(pixels).save(photos / f"{index:05}.jpg", quality=95)
        command: list[str | Path] = [sys.executable, HERE / "noise.py", "protect", photos, "--out", out]
        peaks.append(run_process([*command, *options], threads)["peak_mib"])
        print(f"veil protect, {count} photos: {peaks[-1]:.0f} MiB", file=sys.stderr, flush=True)
        yield {
            "kind": "memory", "contender": "veil protect", "model": card.stem, "data": "synthetic",
            "photos": count, "width": scale.side, "height": scale.side,
            "peak_mib": peaks[-1], "ratio": peaks[-1] / peaks[0],
        }  # fmt: skip


# What is kept and shown.


def session(scale: Scale, given: Namespace) -> Row:
    """What all rows say."""
    return {"threads": given.threads}


def show(rows: Sequence[Row]) -> None:
    """The table, rebuilt from the rows."""
    rates = {row["contender"]: row["images_per_second"] for row in rows if row.get("images_per_second")}
    best = max((rates[name] for name in RIVALS if name in rates), default=None)
    lines = []
    for row in rows:
        name, rate = row["contender"], row.get("images_per_second")
        if row["kind"] == "memory":
            cells = [f"{name}, {row['photos']} photos", *[""] * 6, f"{row['peak_mib']:.0f}"]
        elif rate is None:
            cells = [name, "skipped" if row["skipped"] else "failed"]
        else:
            suffix = "-bf16" if row["precision"] == "bfloat16" else ""
            floor = rates.get(f"floor{suffix} (network alone)")
            shares = ["" if row[key] is None else f"{row[key]:.1%}" for key in ("success", "misread")]
            ratios = [f"{rate / best:.2f}" if best else "", f"{floor / rate:.2f}" if floor else ""]
            cells = [name, f"{rate:.3g}", *shares, *ratios, str(row["batch"]), f"{row['peak_mib']:.0f}"]
        lines.append(cells)
    print_table(HEADINGS, lines)


def measure(scale: Scale, given: Namespace) -> Iterator[Row]:
    """All rows, as they are measured."""
    if given.scale == "cpu" and not (given.model and given.photos):
        raise WrongUsage("--scale cpu needs --model and --photos")
    changed = {"photos": given.count, "max_steps": given.max_steps, "repetitions": given.repetitions}
    scale = replace(scale, **{name: value for name, value in changed.items() if value is not None})
    with tempfile.TemporaryDirectory(prefix="veil-bench-") as folder:
        yield from measurements(scale, given, Path(folder))


def measurements(scale: Scale, given: Namespace, folder: Path) -> Iterator[Row]:
    """The same, with what they need in a folder."""
    model = given.model or str(random_card(folder / "contest"))
    judge = Engine([catalog.load(model)], batch=4, device="cpu", precision="float32")
    if given.photos:
        photos = photos_of_one_size(given.photos, scale.photos)
    else:
        photos = torch.stack([synthetic(index, 48, 40) for index in range(scale.photos)])
    limits = StepSettings(max_iterations=scale.max_steps)
    rules = Rules(
        model=str(Path(model).resolve()) if model.endswith(".toml") else model,
        step=limits.step, budget=limits.budget, max_steps=limits.max_iterations,
        required_score=limits.required_score,
        batches=tuple(batch for batch in scale.batches if batch <= scale.photos) or (scale.photos,),
    )  # fmt: skip
    about = asdict(rules) | {
        "model": judge.classifiers[0].name, "data": str(given.photos or "synthetic"), "photos": scale.photos,
        "width": photos.shape[3], "height": photos.shape[2],
    }  # fmt: skip
    problem = problem_of(photos, judge, rules)
    only = [name for name in given.only if name != "memory"]
    contest = Contest(scale, problem, judge, given.peers, given.threads, folder, only)
    yield from (about | row for row in compete(contest))
    if "memory" in given.only:
        yield from memory_rows(scale, given.threads, folder)


def options(parser: ArgumentParser) -> None:
    """Options of its own."""
    parser.add_argument("--model", help="name or card of the network; smoke: a small random one if not given")
    parser.add_argument("--photos", type=Path, help="folder of photos of one size; smoke: drawn if not given")
    parser.add_argument("--peers", type=Path, default=BENCH_PYTHON, help="Python of the peers' environment")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of every contender")
    parser.add_argument("--count", type=int, help="photos, instead of the scale's number")
    parser.add_argument("--max-steps", type=int, help="steps, instead of the scale's number")
    parser.add_argument("--repetitions", type=int, help="turns, instead of the scale's number")
    parser.add_argument("--only", nargs="+", choices=[*CONTENDERS, "memory"], default=[*CONTENDERS, "memory"])


BENCHMARK = Benchmark(
    name="noise", doc=__doc__, scales=SCALES, measure=measure, show=show, options=options, session=session,
)  # fmt: skip


if __name__ == "__main__":
    if sys.argv[1:2] == ["protect"]:
        protect(sys.argv[2:])
    else:
        sys.exit(BENCHMARK.main())
