"""Makes before-after.png for the README: one photo, its noise, and what the packaged network says.

    python docs/figures/before_after.py

The photo is scikit-image's "chelsea" (CC0, by Stéfan van der Walt).
"""

from importlib.resources import files
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")
import matplotlib.pyplot as plt
import torch

import veil

FACTOR = 10
NAME = "chelsea.png"


def main() -> None:
    photo = veil.images.load(Path(str(files("skimage.data") / NAME)))
    protector = veil.Protector("things100", scheme="crs", budget=8)
    protected = protector.protect(photo)
    classifier = protector.engine.classifiers[0]
    noise = (protected.photo.pixels.int() - photo.pixels.int()) * FACTOR + 128
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.5), layout="constrained")
    shown = {
        "original": photo.pixels,
        f"noise × {FACTOR} (at most {protected.row['linf']:.0f} of 255)": noise.clamp(0, 255).to(torch.uint8),
        "protected": protected.photo.pixels,
    }
    for axis, (title, pixels) in zip(axes, shown.items(), strict=True):
        axis.imshow(pixels.permute(1, 2, 0).numpy())
        axis.set_axis_off()
        axis.set_title(title, fontsize=12)
        if not title.startswith("noise"):
            scores = protector.engine.logits([pixels])[0].softmax(1)[0].topk(2)
            said = [f"{classifier.classes[int(i)]} {float(p):.0%}" for p, i in zip(*scores, strict=True)]
            axis.text(0.5, -0.08, " · ".join(said), transform=axis.transAxes, ha="center", fontsize=12)
    figure.savefig(Path(__file__).with_name("before-after.png"), dpi=100)


if __name__ == "__main__":
    main()
