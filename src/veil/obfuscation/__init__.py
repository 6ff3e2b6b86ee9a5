"""Features that a service's own classifier reads, and nobody else: obfuscators, trained against attackers."""

from veil.obfuscation.deep_obfuscator import train
from veil.obfuscation.networks import Fitted, Material, Networks
from veil.obfuscation.settings import PRESETS, ObfuscatorSettings, only

__all__ = ["PRESETS", "Fitted", "Material", "Networks", "ObfuscatorSettings", "only", "train"]
