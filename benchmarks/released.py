"""Compares the outputs of two checkouts of Veil: pixels, metadata and features, byte by byte.

    python benchmarks/released.py --before 7c1583f
    python benchmarks/released.py --before REVISION_OR_FOLDER --after FOLDER --only encrypt decrypt

This is a developer's tool. Both checkouts run the same commands on the same files, in separate processes, with the same
interpreter and number of threads. A revision is checked out into a temporary folder. Released files are compared after
decoding: pixels with alpha, and the metadata that Pillow reads. Equal bytes are reported but not required. The exit
status is 1 if anything differs, or a command fails or releases nothing.

Real photos and the ImageNet networks come from ``../shared/data`` (or VEIL_SHARED). Without this folder, the tool
compares only small pictures and packaged networks, and says so.

Cost: three minutes on two cores.
Expected: everything is equal, but for what was changed on purpose. Against 7c1583f, 8 of 37 commands differ: the four
with `--keep-metadata` in metadata, which is built from a list now; the three that encrypt in metadata, which hold a
mark now, while pixels are equal; and `protect` with defaults, whose budget is 8 and was 3.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, islice, product
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms

REPOSITORY = Path(__file__).resolve().parents[1]
FIXTURES = REPOSITORY / "tests/support/old_formats/7c1583f"  # a key, clients and a noise that both checkouts read
SHARED = Path(os.environ.get("VEIL_SHARED", REPOSITORY.parent / "shared/data"))
CARDS = ("mobilenetv2_100", "squeezenet1_0")
SCHEMES = ("crs", "cis", "entropy")
PRECISIONS = {0: "auto", 7: "float32"}
"""By seed: the descent in either precision, where the processor has both."""
STEPS = ("--budget", "8", "--step", "2", "--max-iterations", "5", "--required-score", "0.7")
REAL_PHOTOS, ODD_PHOTOS = 3, ("exif.jpg", "grey.png", "deep.png", "alpha.png")
_BESIDE = {"rows.jsonl", "run.json", "report.html", ".lock"}  # of the outputs, in revisions before OUT-private
_PLACES_IN_FILE = {273, 279, 324, 325}  # TIFF's tags of where pixels lie, and how many bytes they take
_GOOD = (0, 3)  # 3: some photos are not protected
_XMP = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="3"/></rdf:RDF></x:xmpmeta>"""
_PROGRAM = """
import json, runpy, sys, time, traceback
with open(sys.argv[1], "w") as results:
    for words in json.loads(sys.argv[2]):
        began, status, sys.argv = time.perf_counter(), 0, ["veil", *words]
        try:
            runpy.run_module("veil", run_name="__main__")
        except SystemExit as stop:
            status = stop.code or 0
        except Exception:
            status = 1
            traceback.print_exc()
        print(json.dumps([status, time.perf_counter() - began]), file=results, flush=True)
"""
_HEADINGS = ("command", "files", "pixels", "metadata", "bytes", "seconds before", "after")


@dataclass(frozen=True)
class Job:
    """A command whose outputs are compared; it gets ``-o`` with a folder named like the job.

    Attributes:
        group: commands of one group share a process, because starting one takes longer than most of them.
    """

    group: str
    name: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class Checkout:
    """One side of the comparison.

    Attributes:
        source: its ``src/``.
        out: folder for what its commands release, and their current one.
        threads: of every command.
    """

    source: Path
    out: Path
    threads: int

    @cached_property
    def environment(self) -> dict[str, str]:
        """The environment of its processes: this checkout's Veil takes precedence over an installed one."""
        passphrase = "not a secret"  # of the sealed one of `FIXTURES`' keys
        return {**os.environ, "PYTHONPATH": str(self.source), "OMP_NUM_THREADS": str(self.threads),
                "VEIL_PASSPHRASE": passphrase}  # fmt: skip

    def check(self) -> None:
        """Ends the program if another Veil would run."""
        command = [sys.executable, "-P", "-c", "import veil; print(veil.__file__)"]
        process = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        if process.returncode or not Path(process.stdout.strip()).resolve().is_relative_to(self.source.resolve()):
            sys.exit(f"{self.source} is not what Python imports as veil: {process.stdout}{process.stderr[-500:]}")

    def run(self, jobs: Sequence[Job]) -> list[tuple[int, float]]:
        """Runs commands, one after another, in one process.

        Returns:
            Exit status and seconds of each command; status -1 if the process died before.
        """
        commands = [[*job.words, "-o", job.name] for job in jobs]
        results = self.out / f"{jobs[0].group}.json"
        command = [sys.executable, "-P", "-c", _PROGRAM, str(results), json.dumps(commands)]
        done = subprocess.run(command, cwd=self.out, env=self.environment, capture_output=True, text=True, check=False)
        endings = [tuple(json.loads(line)) for line in results.read_text().splitlines()] if results.exists() else []
        if len(endings) < len(jobs) or any(status not in _GOOD for status, _ in endings):
            print(f"{self.out.name}, {jobs[0].group}: {done.stderr.strip()[-2000:]}", file=sys.stderr)
        return endings + [(-1, 0.0)] * (len(jobs) - len(endings))


@dataclass(frozen=True)
class Comparison:
    """The comparison of one job; for pictures ``pixels`` and ``metadata`` count, for other files ``bytes``."""

    job: str
    problem: str
    files: int
    pixels: int
    metadata: int
    bytes: int
    seconds: tuple[float, float]

    @property
    def equal(self) -> bool:
        """Whether everything that counts is equal, and there is any output."""
        return not self.problem and self.files > 0 and self.files == self.pixels == self.metadata


# Inputs


def write_photos(folder: Path, odd: Path, shared: Path) -> None:
    """Some real photos, if available, and some of the odd pictures."""
    folder.mkdir()
    for name in ODD_PHOTOS:
        shutil.copyfile(odd / name, folder / name)
    archive = shared / "nips17-400.tar.xz"
    if archive.is_file():
        with tarfile.open(archive) as packed:
            for member in islice((entry for entry in packed if entry.name.endswith(".jpg")), REAL_PHOTOS):
                content = packed.extractfile(member)
                assert content is not None
                (folder / Path(member.name).name).write_bytes(content.read())


def write_odd(folder: Path) -> None:
    """Pictures with EXIF, XMP, a profile, a resolution; grey, with alpha, of 16 bits."""
    folder.mkdir()
    cat, coffee, camera = (picture(name) for name in ("chelsea.png", "coffee.png", "camera.png"))
    exif = Image.Exif()
    exif[0x010F], exif[0x0132], exif[0x0112] = "A camera", "2020:02:02 20:20:20", 6
    exif.get_ifd(0x8769)[0x829A] = 0.01
    exif.get_ifd(0x8825)[2] = (52.0, 30.0, 0.0)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    cat.save(folder / "exif.jpg", quality=93, exif=exif, icc_profile=profile, dpi=(300, 300), comment=b"a cat")
    coffee.save(folder / "profile.webp", lossless=True, exif=exif, icc_profile=profile, xmp=_XMP)
    coffee.resize((90, 70)).save(folder / "dpi.png", dpi=(72, 72), icc_profile=profile)
    grey = camera.convert("L")
    grey.save(folder / "grey.png", dpi=(150, 150))
    Image.fromarray(np.asarray(grey.resize((80, 64))).astype(np.uint16) * 257 + 3).save(folder / "deep.png")
    cat = cat.resize((96, 80))
    cat.putalpha(grey.resize(cat.size))
    cat.save(folder / "alpha.png", exif=exif)
    cat.convert("RGB").save(folder / "tagged.tiff", compression="tiff_lzw", exif=exif, dpi=(200, 200))


def picture(name: str) -> Image.Image:
    """A small, free picture of scikit-image; a gradient if it is not installed."""
    try:
        import skimage
    except ImportError:
        y, x = np.mgrid[:120, :160]
        slopes = np.stack([x + y // 2, 255 - x, 40 + 2 * y // 3], 2) + len(name)
        return Image.fromarray(slopes.clip(0, 255).astype(np.uint8))
    with Image.open(Path(skimage.__file__).parent / "data" / name) as opened:
        return opened.convert("RGB").resize((160, 120), Image.Resampling.BICUBIC)


# Commands


def noise_jobs(photos: Path, shared: Path) -> Iterator[Job]:
    """Schemes, seeds and networks, with few steps."""
    cards = [shared / "weights" / f"{name}.toml" for name in CARDS]
    models = {card.stem: str(card) for card in cards if card.is_file()} | {"things100": "things100"}
    for (name, model), scheme, (seed, precision) in product(models.items(), SCHEMES, PRECISIONS.items()):
        chosen = ["--model", model, "--scheme", scheme, "--seed", str(seed), "--precision", precision]
        yield Job(f"noise {name}", f"protect {name} {scheme} {seed}", ("protect", str(photos), *chosen, *STEPS))


def file_jobs(odd: Path) -> Iterator[Job]:
    """The defaults; every format, with metadata and without; a universal noise."""
    yield Job("files", "protect defaults", ("protect", str(odd / "dpi.png"), str(odd / "grey.png")))
    for form, keep in product(("png", "jpeg", "webp", "tiff"), ((), ("--keep-metadata",))):
        chosen = ["--format", form, *keep, "--max-iterations", "1", "--retries", "0"]
        yield Job("files", " ".join(("protect", form, *keep)), ("protect", str(odd), *chosen))
    universal = ["--scheme", "entropy", "--universal", str(FIXTURES / "noise.safetensors")]
    yield Job("files", "protect universal", ("protect", str(FIXTURES / "photos"), *universal))


def other_jobs(photos: Path, keys: Path) -> Iterator[Job]:
    """Ciphers there and back, features, the packaged transformation."""
    one, other = (("--key", str(keys / name)) for name in ("plain.key", "sealed.key"))
    for name, chosen in {
        "encrypt tanaka": ("encrypt", str(photos), "--cipher", "tanaka", *one),
        "encrypt pixel": ("encrypt", str(photos), "--cipher", "pixel", *other),
        "encrypt pixel small": ("encrypt", str(photos), "--cipher", "pixel", *one, "--size", "32"),
        "decrypt tanaka": ("decrypt", "encrypt tanaka", *one),
        "decrypt pixel": ("decrypt", "encrypt pixel", *other),
    }.items():
        yield Job("ciphers", name, chosen)
    for client in ("obfuscator", "maps"):
        chosen = ("obfuscate", "extract", str(photos), "--client", str(FIXTURES / client / "client.safetensors"))
        yield Job("networks", f"obfuscate extract {client}", chosen)
    yield Job("networks", "transform apply", ("transform", "apply", str(photos)))
    yield Job("networks", "transform apply small", ("transform", "apply", str(photos), "--size", "32"))


# Comparing


def released(folder: Path) -> dict[str, Path]:
    """The outputs of a job, by name."""
    files = (file for file in folder.rglob("*") if file.is_file() and file.name not in _BESIDE)
    return {file.relative_to(folder).as_posix(): file for file in files}


def decoded(file: Path) -> tuple[Any, Any]:
    """A picture's pixels and metadata; for any other file its bytes and no metadata."""
    if file.suffix == ".features":
        return file.read_bytes(), None
    with Image.open(file) as image:
        image.load()
        tags = {tag: str(value) for tag, value in image.getexif().items() if tag not in _PLACES_IN_FILE}
        inner = {name: str(dict(image.getexif().get_ifd(name))) for name in (0x8769, 0x8825)}
        return (image.mode, image.size, image.tobytes()), (image.format, str(image.info), tags, inner)


def compare(job: Job, outs: Sequence[Path], statuses: Sequence[int], seconds: tuple[float, float]) -> Comparison:
    """Counts what is equal among the files that a job released on both sides."""
    before, after = (released(out / job.name) for out in outs)
    problem = ""
    if statuses[0] != statuses[1] or statuses[0] not in _GOOD:
        problem = f"exit status {statuses[0]} and {statuses[1]}"
    elif before.keys() != after.keys():
        problem = f"other files: {', '.join(sorted(before.keys() ^ after.keys()))}"
    pixels = metadata = same = 0
    for name in sorted(before.keys() & after.keys()):
        one, other = decoded(before[name]), decoded(after[name])
        pixels += one[0] == other[0]
        metadata += one[1] == other[1]
        same += before[name].read_bytes() == after[name].read_bytes()
    return Comparison(job.name, problem, len(before), pixels, metadata, same, seconds)


def show(comparisons: Sequence[Comparison]) -> None:
    """The table; of each kind how many of a job's files are equal."""
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for heading in _HEADINGS:
        table.add_column(heading, justify="left" if heading == "command" else "right")
    for row in comparisons:
        counts = (f"{count}" if count == row.files else f"[red]{count}[/]" for count in (row.pixels, row.metadata))
        name = row.job if row.equal else f"[red]{row.job}: {row.problem or 'differs'}[/]"
        table.add_row(name, str(row.files), *counts, str(row.bytes), *(f"{seconds:.1f}" for seconds in row.seconds))
    Console(width=120).print(table)


def prepare(place: Path, shared: Path) -> list[Job]:
    """Writes all inputs below ``place``; the commands on them."""
    photos, odd, keys = place / "photos", place / "odd", place / "keys"
    write_odd(odd)
    write_photos(photos, odd, shared)
    shutil.copytree(FIXTURES / "keys", keys)
    for key in keys.iterdir():
        key.chmod(0o600)
    return [*noise_jobs(photos, shared), *file_jobs(odd), *other_jobs(photos, keys)]


# The two checkouts


@contextmanager
def checked_out(what: str, folder: Path) -> Iterator[Path]:
    """A folder's ``src/``, or that of a revision of this repository, which is removed afterwards."""
    if Path(what).is_dir():
        yield Path(what).resolve() / "src"
        return
    git = ["git", "-C", str(REPOSITORY), "worktree"]
    done = subprocess.run([*git, "add", "--detach", str(folder), what], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{what} is neither a folder nor a revision: {done.stderr.strip()}")
    try:
        yield folder / "src"
    finally:
        subprocess.run([*git, "remove", "--force", str(folder)], check=False)


def run_both(jobs: Sequence[Job], checkouts: Sequence[Checkout]) -> list[Comparison]:
    """Runs all commands on both sides in parallel."""
    for checkout in checkouts:
        checkout.out.mkdir()
        checkout.check()

    groups = [list(group) for _, group in groupby(jobs, lambda job: job.group)]

    def run_all(checkout: Checkout) -> list[tuple[int, float]]:
        return [result for group in groups for result in checkout.run(group)]

    with ThreadPoolExecutor(len(checkouts)) as pool:
        before, after = pool.map(run_all, checkouts)
    outs = [checkout.out for checkout in checkouts]
    return [
        compare(job, outs, (one[0], other[0]), (one[1], other[1]))
        for job, one, other in zip(jobs, before, after, strict=True)
    ]


def main() -> int:
    """Exit status 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", required=True, help="a revision, or the folder of a checkout")
    parser.add_argument("--after", default=str(REPOSITORY), help="the same; this checkout if not given")
    parser.add_argument("--only", nargs="+", default=[""], help="commands that begin so: protect, …")
    parser.add_argument("--threads", type=int, default=1, help="of every command")
    parser.add_argument("--shared", type=Path, default=SHARED, help="folder of real photos and weights")
    given = parser.parse_args()
    if not given.shared.is_dir():
        print(f"{given.shared} is absent: neither real photos nor the ImageNet networks are compared", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="veil-released-") as name:
        place = Path(name)
        jobs = [job for job in prepare(place, given.shared.resolve()) if job.name.startswith(tuple(given.only))]
        with checked_out(given.before, place / "one") as one, checked_out(given.after, place / "other") as other:
            sides = {"before": one, "after": other}
            comparisons = run_both(jobs, [Checkout(sides[side], place / side, given.threads) for side in sides])
    show(comparisons)
    different = sum(not row.equal for row in comparisons)
    print(f"{len(comparisons)} commands, of which {different} differ")
    return 1 if different or not comparisons else 0


if __name__ == "__main__":
    sys.exit(main())
