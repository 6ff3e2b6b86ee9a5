"""Re-compression and scaling, which undo small noise without anybody meaning it (Dziugaite et al. 2016, "A study of the
effect of JPG compression on adversarial images", https://arxiv.org/abs/1608.00853).

What the attacker knows: nothing; platforms do it to every photo that is uploaded.
"""

from veil.attacks.noise.attack import NoiseAttack
from veil.images.processing import PLATFORMS

KNOWS = "nothing: platforms do it to every photo"

JPEG_90 = NoiseAttack(name="jpeg90", title="saved again as JPEG, quality 90", knows=KNOWS, process=PLATFORMS["jpeg90"])
JPEG_75 = NoiseAttack(name="jpeg75", title="saved again as JPEG, quality 75", knows=KNOWS, process=PLATFORMS["jpeg75"])
HALF_SIZE = NoiseAttack(
    name="half size and back", title="scaled to half its size and back", knows=KNOWS,
    process=PLATFORMS["half size and back"],
)  # fmt: skip
