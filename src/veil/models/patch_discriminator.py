"""PatchGAN (Isola et al. 2017, https://arxiv.org/abs/1611.07004) as in CycleGAN: is a part of an image real?

Convolutions of 4×4 to 64, 128, 256 (stride 2), 512 and 1 (stride 1) channels, instance normalisation between the first
and the last, LeakyReLU of slope 0.2 (Zhu et al. 2017, https://arxiv.org/abs/1703.10593, appendix 7.2). One answer sees
70×70 pixels; of an image of 32×32 there are 2×2 answers, each of which sees all of it.
"""

from torch import Tensor, nn


class PatchDiscriminator(nn.Sequential):
    """Maps images in [0, 1], (N, 3, H, W) with sides of at least 32, to answers (N, 1, h, w): high for real.

    Args:
        width: channels of the first layer.
    """

    def __init__(self, width: int = 64) -> None:
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for inputs, outputs, stride in ((1, 2, 2), (2, 4, 2), (4, 8, 1)):
            layers += [
                nn.Conv2d(inputs * width, outputs * width, 4, stride, 1, bias=False),
                nn.InstanceNorm2d(outputs * width), nn.LeakyReLU(0.2),
            ]  # fmt: skip
        super().__init__(*layers, nn.Conv2d(8 * width, 1, 4, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(2 * images - 1)  # type: ignore[no-any-return,no-untyped-call]
