"""What rows of `veil protect` say together: rows in, numbers out."""

from collections.abc import Mapping, Sequence
from statistics import fmean, median
from typing import Any

TOP = 5  # answers that a patient attacker looks at


def summarise(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What rows of `veil protect` say together; as JSON.

    Returns:
        ``photos``, ``protected``, ``not_protected``, ``failed``: counts.

        ``networks``: for each network its ``role``; how often the true class is on top, as counts
        (``on_top_before``, ``on_top_after``) and shares (``top1_before``, ``top1_after``); how often it is
        among the first five (``in_top5_after``); means of ICP and of ICE in nats; ``survival``, by treatment,
        None where it was not measured.

        ``noise``, None where nothing was written: ``mean_abs``, its largest ``mean_abs_max`` and
        ``mean_signed`` in units of [0, 1]; ``linf_*`` in grey levels; ``psnr_*`` in dB, None where no photo
        changed; ``ssim_*``, None where all photos are smaller than its window.
    """
    done = [row for row in rows if not row["error"]]
    views: dict[str, list[Mapping[str, Any]]] = {}
    for row in done:
        for view in row["networks"]:
            views.setdefault(view["network"], []).append(view)
    return {
        "photos": len(rows),
        "protected": sum(bool(row["protected"]) for row in rows),
        "failed": len(rows) - len(done),
        "not_protected": sum(not row["protected"] for row in done),
        "networks": [_network(name, each) for name, each in views.items()],
        "noise": _noise(done) if done else None,
    }


def _network(name: str, views: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    before = sum(view["class_before"] == view["true_class"] for view in views)
    after = sum(view["class_after"] == view["true_class"] for view in views)
    treated: dict[str, list[tuple[bool, Mapping[str, Any]]]] = {}
    for view in views:
        for treatment, left in view.get("survival", {}).items():
            treated.setdefault(treatment, []).append((left["class_after"] == view["true_class"], left))
    return {
        "network": name,
        "role": views[0]["role"],
        "photos": len(views),
        "on_top_before": before,
        "on_top_after": after,
        "top1_before": before / len(views),
        "top1_after": after / len(views),
        "in_top5_after": sum(view["rank_after"] <= TOP for view in views),
        **{key: fmean(view[key] for view in views) for key in ("icp_before", "icp_after", "ice_before", "ice_after")},
        "survival": {
            treatment: {
                "photos": len(left),
                "on_top": sum(on_top for on_top, _ in left),
                "icp": fmean(each["icp_after"] for _, each in left),
                "ice": fmean(each["ice_after"] for _, each in left),
            }
            for treatment, left in treated.items()
        }
        or None,
    }


def _noise(done: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    psnr = [row["psnr"] for row in done if row["psnr"] is not None]
    ssim = [row["ssim"] for row in done if row["ssim"] is not None]
    return {
        "mean_abs": fmean(row["mean_abs"] for row in done),
        "mean_abs_max": max(row["mean_abs"] for row in done),
        "mean_signed": fmean(row["mean_signed"] for row in done),
        "mean_signed_max": max((row["mean_signed"] for row in done), key=abs),
        "linf_median": median(row["linf"] for row in done),
        "linf_max": max(row["linf"] for row in done),
        "psnr_median": median(psnr) if psnr else None,
        "psnr_min": min(psnr, default=None),
        "ssim_median": median(ssim) if ssim else None,
        "ssim_min": min(ssim, default=None),
    }
