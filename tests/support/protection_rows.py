"""Rows of `veil protect`, as it writes them."""

from typing import Any

Row = dict[str, Any]


def view(network: str = "net", *, after: int = 1, role: str = "descent", **changes: Any) -> Row:
    """One network's answers: class 0 before, ``after`` behind it."""
    names = ["coot, marsh hen", "clog, geta", "crane"]
    seen = after == 0
    return {
        "network": network, "role": role, "true_class": 0, "class_before": 0, "class_after": after,
        "score_before": 0.5, "score_after": 0.995, "icp_before": 0.5, "icp_after": 0.995 if seen else 0.002,
        "ice_before": 1.5, "ice_after": 0.25, "rank_after": 1 if seen else 4,
        "class_after_name": names[after],
        "true_class_name": names[0], "class_before_name": names[0], **changes,
    }  # fmt: skip


def row(file: str = "a.jpg", *, views: list[Row] | None = None, **changes: Any) -> Row:
    """A row as `veil.protections.noise.protector` makes it."""
    views = views or [view()]
    first = views[0]
    return {
        "file": file, "out": file + ".png", "width": 8, "height": 6,
        **{key: first[f"{key}_name"] for key in ("class_before", "class_after", "true_class")},
        **{key: first[key] for key in ("icp_before", "icp_after", "ice_before", "ice_after")},
        "target": "clog, geta", "target_score": 0.995, "iterations": 7,
        "linf": 3.0, "l2": 0.5, "mean_abs": 0.004, "mean_signed": -0.0001, "psnr": 42.0, "ssim": 0.98,
        "ms_ssim": 0.99, "protected": first["class_after"] != 0, "seconds": 1.5, "error": None, "notes": [],
        "targets": [1], "networks": views, "source": {}, **changes,
    }  # fmt: skip


def failure(file: str = "broken.jpg", error: str = "the file is empty") -> Row:
    return {"file": file, "out": None, "protected": False, "error": error}
