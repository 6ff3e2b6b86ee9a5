"""What rows of `veil protect` say together: rows in, numbers out.

Rows come one by one, and none is kept: a folder may hold a million of them.
"""

from collections.abc import Iterable
from typing import Any

from veil.jobs.row_formats import Row
from veil.report.accumulators import SAMPLE, Mean, Median

TOP = 5  # answers that a patient attacker looks at
_MEANS = ("icp_before", "icp_after", "ice_before", "ice_after")


def summarise(rows: Iterable[Row]) -> dict[str, Any]:
    """What rows of `veil protect` say together; as JSON.

    Returns:
        ``photos``, ``protected``, ``not_protected``, ``failed``: counts.

        ``networks``: for each network its ``role``, and ``run_by`` and ``family`` where its views have them; how
        often the true class is on top, as counts (``on_top_before``, ``on_top_after``) and shares (``top1_before``,
        ``top1_after``); how often it is among the first five (``in_top5_after``); means of ICP and of ICE in nats;
        ``survival``, by treatment, None where it was not measured.

        ``noise``, None where nothing was written: ``mean_abs``, its largest ``mean_abs_max`` and
        ``mean_signed`` in units of [0, 1]; ``linf_*`` in grey levels; ``psnr_*`` in dB, None where no photo
        changed; ``ssim_*``, None where all photos are smaller than its window. ``median_sample`` is there where
        medians are of so many photos drawn at random.
    """
    summary = Summary()
    for row in rows:
        summary.add(row)
    return summary.result()


class Summary:
    """Takes rows one by one."""

    def __init__(self) -> None:
        self.failed = self.protected = self.not_protected = 0
        self._networks: dict[str, _Network] = {}
        self._noise = _Noise()

    def add(self, row: Row) -> None:
        """Takes a row."""
        if row["error"]:
            self.failed += 1
            return
        if row["protected"]:
            self.protected += 1
        else:
            self.not_protected += 1
        for view in row["networks"]:
            if view["network"] not in self._networks:
                self._networks[view["network"]] = _Network(view["network"], view["role"], view)
            self._networks[view["network"]].add(view)
        self._noise.add(row)

    def result(self) -> dict[str, Any]:
        """What `summarise` returns, of the rows so far."""
        done = self.protected + self.not_protected
        return {
            "photos": done + self.failed,
            "protected": self.protected,
            "failed": self.failed,
            "not_protected": self.not_protected,
            "networks": [network.result() for network in self._networks.values()],
            "noise": self._noise.result() if done else None,
        }


class _Network:
    """What one network says."""

    def __init__(self, name: str, role: str, view: Row) -> None:
        self.name, self.role = name, role
        self.about = {key: view[key] for key in ("run_by", "family") if key in view}
        self.photos = self.before = self.after = self.in_top = 0
        self.means = {key: Mean() for key in _MEANS}
        self.survival: dict[str, _Survival] = {}

    def add(self, view: Row) -> None:
        self.photos += 1
        self.before += view["class_before"] == view["true_class"]
        self.after += view["class_after"] == view["true_class"]
        self.in_top += view["rank_after"] <= TOP
        for key, mean in self.means.items():
            mean.add(view[key])
        for treatment, left in view.get("survival", {}).items():
            self.survival.setdefault(treatment, _Survival()).add(left, view["true_class"])

    def result(self) -> dict[str, Any]:
        return {
            "network": self.name,
            "role": self.role,
            **self.about,
            "photos": self.photos,
            "on_top_before": self.before,
            "on_top_after": self.after,
            "top1_before": self.before / self.photos,
            "top1_after": self.after / self.photos,
            "in_top5_after": self.in_top,
            **{key: mean.value for key, mean in self.means.items()},
            "survival": {treatment: survival.result() for treatment, survival in self.survival.items()} or None,
        }


class _Survival:
    """What one network says after a treatment."""

    def __init__(self) -> None:
        self.on_top = 0
        self.icp, self.ice = Mean(), Mean()

    def add(self, left: Row, true_class: int) -> None:
        self.on_top += left["class_after"] == true_class
        self.icp.add(left["icp_after"])
        self.ice.add(left["ice_after"])

    def result(self) -> dict[str, Any]:
        return {"photos": self.icp.count, "on_top": self.on_top, "icp": self.icp.value, "ice": self.ice.value}


class _Noise:
    """How visible the noise is."""

    def __init__(self) -> None:
        self.mean_abs, self.mean_signed = Mean(), Mean()
        self.mean_abs_max = self.mean_signed_max = self.linf_max = 0.0
        self.medians = {key: Median() for key in ("linf", "psnr", "ssim")}
        self.least: dict[str, float | None] = {"psnr": None, "ssim": None}

    def add(self, row: Row) -> None:
        self.mean_abs.add(row["mean_abs"])
        self.mean_signed.add(row["mean_signed"])
        self.mean_abs_max = max(self.mean_abs_max, row["mean_abs"])
        self.mean_signed_max = max(self.mean_signed_max, row["mean_signed"], key=abs)
        self.linf_max = max(self.linf_max, row["linf"])
        for key, median in self.medians.items():
            if row[key] is not None:
                median.add(row[key])
        for key, least in self.least.items():
            if row[key] is not None:
                self.least[key] = row[key] if least is None else min(least, row[key])

    def result(self) -> dict[str, Any]:
        medians = {key: median.value for key, median in self.medians.items()}
        sampled = not all(median.exact for median in self.medians.values())
        return {
            "mean_abs": self.mean_abs.value,
            "mean_abs_max": self.mean_abs_max,
            "mean_signed": self.mean_signed.value,
            "mean_signed_max": self.mean_signed_max,
            "linf_median": medians["linf"],
            "linf_max": self.linf_max,
            "psnr_median": medians["psnr"],
            "psnr_min": self.least["psnr"],
            "ssim_median": medians["ssim"],
            "ssim_min": self.least["ssim"],
        } | ({"median_sample": SAMPLE} if sampled else {})
