"""The adversaries of a client's own training (Li et al. 2019, DeepObfuscator, sections 3.3 and 3.4).

The obfuscator was trained against these very networks. What they read in the end is what a training says of itself; it
is shown beside attackers who come later, and never taken for privacy. They are part of the training, so an audit does
not train them: it is given them, where the training is at hand.
"""

from dataclasses import dataclass
from typing import ClassVar

from veil.attacks.features.attackers import FeatureAttacker


@dataclass(frozen=True, kw_only=True)
class OwnAdversary(FeatureAttacker):
    """Reads attributes or draws images, and is no measure of either."""

    reads: ClassVar[str] = "attributes and images"
    retrained: ClassVar[bool] = False


IN_LOOP = OwnAdversary(name="in-loop", title="the training’s own adversary", knows="the training: it is a part of it")
