"""Makes the fixtures of every format that Veil 7c1583f wrote, by its own command line.

    cd tests/support && python -m old_formats.make CHECKOUT OUT

``CHECKOUT`` is a checkout of 7c1583f, such as `git worktree add CHECKOUT 7c1583f` makes, and the Python needs what that
Veil needs. ``OUT`` must not exist. Three minutes on a quiet core. Keys, salts, dates, times and the participants'
names are drawn anew each time, and the last digits of what is trained are the processor's, so no two runs give the
same bytes.

Nothing of Veil is imported: one step alone has no command and asks that Veil's Python (`_THIN`).
"""

import json
import lzma
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from html import unescape
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode

from old_formats import drawn
from old_formats.jobs import JOBS, PASSPHRASE

COMMIT = "7c1583f"
_VEIL = "import runpy, sys; sys.argv[0] = 'veil'; runpy.run_module('veil', run_name='__main__')"
# No U-Net is small. A hundredth of this one's weights stays, the largest; what is zero takes no room. Its imports are
# those of 7c1583f, whatever modules are called now.
_THIN = """
import sys
from dataclasses import replace
from pathlib import Path
from veil.transformation.file import Transformation
trained = Transformation.load(Path(sys.argv[1]))
for value in trained.network.state_dict().values():
    if value.numel() > 1000:
        least = value.abs().flatten().kthvalue(value.numel() - max(50, value.numel() // 100)).values
        value[value.abs() < least] = 0
replace(trained).save(Path(sys.argv[2]))
"""
_NOT_KEPT = ("card/checkpoint", "card/log.*", "transformation", "obfuscator/*", "maps/*", "audits/*/attackers", "runs")
_KEPT = ("obfuscator/client.safetensors", "obfuscator/service.safetensors", "maps/client.safetensors")
_REBUILT = ("report.html", "report", "figures", ".lock")


class Maker:
    """Gives commands in the folder of the fixtures, and keeps what they said."""

    def __init__(self, checkout: Path, out: Path) -> None:
        self.out = out
        self.environment = os.environ | {
            "PYTHONPATH": str(checkout / "src"), "OMP_NUM_THREADS": "1", "VEIL_PASSPHRASE": PASSPHRASE,
        }  # fmt: skip
        self.statuses: dict[str, int] = {}

    def start(self, words: tuple[str, ...], program: str = _VEIL) -> subprocess.Popen[str]:
        """A command that runs."""
        command = [sys.executable, "-P", "-u", "-c", program, *words]
        return subprocess.Popen(command, cwd=self.out, env=self.environment, stdout=subprocess.PIPE, text=True)

    def run(self, *names: str) -> None:
        """Jobs, one after another; what those with ``--json`` said goes to ``said/``."""
        for name in names:
            print(name, file=sys.stderr, flush=True)
            process = self.start(JOBS[name])
            said, _ = process.communicate()
            if process.returncode not in ((0, 1, 3) if "--json" in JOBS[name] else (0,)):
                sys.exit(f"{name} failed with status {process.returncode}")
            self.statuses[name] = process.returncode
            if "--json" in JOBS[name]:
                file = self.out / "said" / f"{name}.json"
                file.parent.mkdir(exist_ok=True)
                file.write_text(json.dumps(json.loads(said), indent=1) + "\n")


def main(checkout: Path, out: Path) -> None:
    """All fixtures, in the order in which they need each other."""
    _check(checkout)
    out.mkdir(parents=True)
    maker = Maker(checkout.resolve(), out.resolve())
    drawn.photos(out / "photos")
    drawn.small_images(out / "small")
    drawn.faces(out / "faces")
    (out / "keys").mkdir()
    maker.run("key-plain", "key-sealed", "key-show", "train", "inspect")
    _train_and_stop(maker)
    _protect(maker)
    maker.run("encrypt-tanaka", "encrypt-same", "encrypt-different", "decrypt-tanaka", "transform-train")
    _thin(maker)
    maker.run("transform-show", "transform-apply", "obfuscate-train", "obfuscate-maps", "show-client", "show-service")
    maker.run("extract", "extract-maps", "classify-csv", "classify-jsonl", "audit-images", "audit-features")
    maker.run("audit-drawn", "study-new")
    _take_part(maker)
    maker.run("study-report", "reproduce-keys", "reproduce-trade-off")
    _train_anew(maker)
    _keep_numbers(out)
    (out / "said" / "statuses.json").write_text(json.dumps(maker.statuses, indent=1) + "\n")
    _drop(out)


def _check(checkout: Path) -> None:
    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", checkout, *words], capture_output=True, text=True, check=True).stdout

    if not git("rev-parse", "HEAD").startswith(COMMIT) or git("status", "--porcelain", "src"):
        sys.exit(f"{checkout} is no checkout of {COMMIT} as it was committed")


def _train_and_stop(maker: Maker) -> None:
    """Kills a training when its first epoch is done."""
    log, process = maker.out / "training/log.jsonl", maker.start(JOBS["train-stopped"])
    while not log.exists():
        time.sleep(0.002)
    process.kill()
    process.communicate()
    if len(log.read_text().splitlines()) != 1:
        sys.exit("the training was not stopped in time; try again")


def _protect(maker: Maker) -> None:
    """Whole folders; and one that was stopped: of four files two are done, one failed, and one was never begun."""
    maker.run("fit-noise", "protect-crs", "protect-cis", "protect-entropy", "protect-universal")
    some = maker.out / "some"
    some.mkdir()
    for name in ("colour.png", "grey.png"):
        shutil.copyfile(maker.out / "photos" / name, some / name)
    (some / "broken.png").write_bytes(b"not a photo")
    maker.run("protect-stopped")
    shutil.copyfile(maker.out / "photos/alpha.png", some / "alpha.png")
    with (maker.out / "protected/stopped/rows.jsonl").open("a") as rows:
        rows.write('{"file": "alpha.png", "out": "alp')
    (maker.out / "protected/stopped/.0123456789abcdef.part").write_bytes(b"\x89PNG")


def _thin(maker: Maker) -> None:
    thin = maker.out / "transformation.safetensors"
    process = maker.start(("transformation/transformation.safetensors", thin.name), _THIN)
    process.communicate()
    if process.returncode:
        sys.exit("the transformation could not be thinned")
    thin.with_suffix(".safetensors.xz").write_bytes(lzma.compress(thin.read_bytes(), preset=9))


def _take_part(maker: Maker) -> None:
    """Two people answer the whole study, one is right; a third one stops."""
    solutions = json.loads((maker.out / "study/study.json").read_text())["questions"]
    right = {each["name"]: each["right"] for each in solutions}
    attention = {each["name"] for each in solutions if each["attention"]}
    process = maker.start(JOBS["study-serve"])
    assert process.stdout is not None
    found = re.search(r":(\d+)/", process.stdout.readline())
    assert found is not None
    for is_right, answers in ((True, len(right)), (False, len(right)), (True, 1)):
        _answer(int(found[1]), answers, {n: p if is_right or n in attention else 1 - p for n, p in right.items()})
    process.send_signal(signal.SIGINT)
    process.communicate()


def _answer(port: int, answers: int, choices: dict[str, int]) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Origin": f"http://127.0.0.1:{port}", "Content-Type": "application/x-www-form-urlencoded"}

    def ask(method: str, path: str, **form: object) -> str:
        connection.request(method, path, urlencode(form) if method == "POST" else None, headers)
        response = connection.getresponse()
        if cookie := response.headers["Set-Cookie"]:
            headers["Cookie"] = cookie.partition(";")[0]
        return response.read().decode()

    ask("POST", "/start")
    for _ in range(answers):
        (question,) = re.findall(r'name="question" value="(\w+)"', ask("GET", "/question"))[:1]
        ask("POST", "/answer", question=question, choice=choices[question])
    connection.close()


def _train_anew(maker: Maker) -> None:
    """Has rows of a network that is no more be taken back: as if its checkpoints were lost, and it came out otherwise.

    The file is cut in its first rows, in which another network is named then.
    """
    file = maker.out / "results/li2019/trade-off/smoke.jsonl"
    lines = file.read_text().splitlines()
    row = json.loads(lines[1])
    lines[1] = json.dumps(row | {"network": "0" * len(row["network"])})
    file.write_text("\n".join(lines[:5]) + "\n")
    maker.run("reproduce-trade-off")
    if '"void"' not in file.read_text():
        sys.exit("no row was taken back")


def numbers(page: str) -> list[str]:
    """The numbers in the cells of a page's tables, in their order."""
    cells = re.findall(r"<td[^>]*>(.*?)</td>", page, re.DOTALL)
    texts = [unescape(re.sub(r"<[^>]*>", " ", cell)) for cell in cells]
    return [number for text in texts for number in re.findall(r"(?<![\w.])\d+(?:[.,]\d+)*(?!\w)", text)]


def _keep_numbers(out: Path) -> None:
    """What the tables of all reports say, for reports that are built again."""
    pages = sorted(file.relative_to(out) for file in out.rglob("report.html"))
    kept = {page.as_posix(): numbers((out / page).read_text(encoding="utf-8")) for page in pages}
    lines = ",\n".join(f" {json.dumps(page)}: {json.dumps(found)}" for page, found in kept.items())
    (out / "said" / "numbers.json").write_text(f"{{\n{lines}\n}}\n")


def _drop(out: Path) -> None:
    """What can be drawn or built again, or is too large and not needed to go on."""
    for name in (*_NOT_KEPT, *(f"**/{name}" for name in _REBUILT)):
        for found in list(out.glob(name)):
            if found.relative_to(out).as_posix() in _KEPT:
                continue
            if found.is_dir():
                shutil.rmtree(found)
            else:
                found.unlink()
    for name in ("small", "faces"):
        shutil.rmtree(out / name)
    (out / "transformation.safetensors").unlink()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
