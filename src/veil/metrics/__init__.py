"""What is measured: privacy of a classifier's answer, and fidelity of a released image to its original."""

from veil.metrics.fidelity import Noise, lpips, ms_ssim, noise, psnr, ssim
from veil.metrics.privacy import ice, ice_normalised, icp, rank, survives

__all__ = [
    "Noise",
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
]
