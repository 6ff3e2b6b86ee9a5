"""The page of `veil check`: what became of photos, in one table of networks and one of photos."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from veil.metrics.intervals import wilson
from veil.report.page import Page, Section, Table, write_html

LISTED = 2000
"""Photos in the table; a page of more says so."""
VERDICTS = {True: "protected", False: "not protected", None: "no verdict"}


@dataclass
class NetworkCount:
    """How often one network was asked, and how often the true class came first, of the photos of which it is known."""

    role: str
    run_by: str | None = None
    asked: int = 0
    known: int = 0
    first: int = 0
    first_before: int = 0
    known_before: int = 0


@dataclass
class CheckSummary:
    """What the rows of a check say together. Rows come one by one; the first ones are kept for the table."""

    photos: int = 0
    protected: int = 0
    not_protected: int = 0
    failed: int = 0
    networks: dict[str, NetworkCount] = field(default_factory=dict)
    listed: list[Mapping[str, Any]] = field(default_factory=list)

    def add(self, row: Mapping[str, Any]) -> None:
        """Takes a row."""
        self.photos += 1
        if len(self.listed) < LISTED:
            self.listed.append(row)
        if row["error"] is not None:
            self.failed += 1
            return
        self.protected += row["protected"] is True
        self.not_protected += row["protected"] is False
        for view in row["networks"]:
            network = self.networks.setdefault(view["network"], NetworkCount(view["role"], view.get("run_by")))
            network.asked += 1
            if view["true_class"] is not None:
                network.known += 1
                network.first += view["class_after"] == view["true_class"]
            if view["first_before"] is not None:
                network.known_before += 1
                network.first_before += view["first_before"]

    @property
    def no_verdict(self) -> int:
        """Photos that were read and of which the true class is not known."""
        return self.photos - self.protected - self.not_protected - self.failed

    def as_json(self) -> dict[str, Any]:
        """Counts, and a list of networks."""
        return {
            "photos": self.photos, "protected": self.protected, "not_protected": self.not_protected,
            "no_verdict": self.no_verdict, "failed": self.failed,
            "networks": [{"network": name, **vars(network)} for name, network in self.networks.items()],
        }  # fmt: skip


def named(name: str, network: NetworkCount) -> str:
    """A network's name, and what runs it where that is not torch."""
    return f"{name} (run by {network.run_by})" if network.run_by else name


def shared(count: int, total: int) -> str:
    """A share with its count and its 95 % interval (Wilson): ``3 of 4 (75 %; 30 to 95 %)``."""
    if not total:
        return "not known"
    low, high = wilson(count, total)
    return f"{count:,} of {total:,} ({100 * count / total:.0f} %; {100 * low:.0f} to {100 * high:.0f} %)"


def write_check_report(out: Path, summary: CheckSummary, *, about: Iterable[str]) -> Path:
    """Writes ``report.html``; returns its path.

    Args:
        about: sentences about what was checked, and against what.
    """
    return write_html(page(summary, about), out)


def headline(summary: CheckSummary) -> str:
    """The verdict in one sentence, with the networks that it speaks of."""
    judged = summary.protected + summary.not_protected
    judging = [name for name, network in summary.networks.items() if network.role == "descent"]
    if not judged:
        return f"Of {summary.photos:,} photos none has a verdict"
    return f"{summary.protected:,} of {judged:,} photos are protected against {' and '.join(judging)}, as they are now"


def page(summary: CheckSummary, about: Iterable[str]) -> Page:
    """The page as an object."""
    verdict = (
        f"{summary.photos:,} photos: {summary.protected:,} protected, {summary.not_protected:,} not protected, "
        f"{summary.no_verdict:,} without a verdict, {summary.failed:,} failed."
    )
    networks = Table(
        "How often the true class comes first, with 95 % intervals. Before: on the original, by the rows of the run.",
        ("network", "counts for the verdict", "before", "now"),
        tuple(
            (named(name, network), "yes" if network.role == "descent" else "no",
             shared(network.first_before, network.known_before), shared(network.first, network.known))
            for name, network in summary.networks.items()
        ),
    )  # fmt: skip
    more = f" The first {LISTED:,} of {summary.photos:,}." if summary.photos > LISTED else ""
    photos = Table(
        f"Every photo as it is now.{more}",
        ("photo", "verdict", "released as", "size (× released)", "PSNR to it, dB", "noise left", "answers"),
        tuple(_line(row) for row in summary.listed),
    )
    return Page(
        headline(summary), "", (*about, "Networks that were not asked may still see what the photos show."),
        (
            Section("networks", "What networks see", (verdict,), (networks,)),
            Section("photos", "Photos", (), (photos,)),
        ),
        kind="veil check",
    )  # fmt: skip


def _line(row: Mapping[str, Any]) -> tuple[str, ...]:
    if row["error"] is not None:
        return row["file"], f"failed: {row['error']}", "", "", "", "", ""
    released = row["released"] or ""
    if row["matched"] == "look":
        released += " (by its look)"
    verdict = VERDICTS[row["protected"]] + (f": {row['reason']}" if row["reason"] else "")
    scale = "" if row["scale"] is None or row["scale"] == 1 else f" (×{row['scale']:.2f})"
    psnr = "unchanged" if row["unchanged"] else "" if row["psnr"] is None else f"{row['psnr']:.1f}"
    left = "" if row["noise_left"] is None else f"{row['noise_left']:.2f}"
    answers = "; ".join(f"{view['network']}: {_answer(view)}" for view in row["networks"])
    return row["file"], verdict, released, f"{row['width']}×{row['height']}{scale}", psnr, left, answers


def _answer(view: Mapping[str, Any]) -> str:
    truth = " (true class)" if view["class_after"] == view["true_class"] else ""
    return f"{view['class_after_name']} {100 * view['score_after']:.0f} %{truth}"
