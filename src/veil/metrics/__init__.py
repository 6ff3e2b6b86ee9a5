"""Metrics: privacy of a classifier's answer, fidelity of a released image to its original, visibility of an image in
another one, and what an attacker recovered (`recovery.recovery`)."""

from veil.metrics.fidelity import Noise, lpips, ms_ssim, noise, psnr, ssim
from veil.metrics.privacy import ice, ice_normalised, icp, rank, survives
from veil.metrics.recovery import Recovery, floors
from veil.metrics.visibility import visible

__all__ = [
    "Noise",
    "Recovery",
    "floors",
    "ice",
    "ice_normalised",
    "icp",
    "lpips",
    "ms_ssim",
    "noise",
    "psnr",
    "rank",
    "ssim",
    "survives",
    "visible",
]
