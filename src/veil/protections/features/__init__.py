"""Features that a service's own classifier reads, and nobody else: obfuscators, trained against attackers."""

from veil.protections.features.deep_obfuscator import train
from veil.protections.features.settings import PRESETS, ObfuscatorSettings, only
from veil.protections.features.training_data import Fitted, Material, Networks

__all__ = ["PRESETS", "Fitted", "Material", "Networks", "ObfuscatorSettings", "only", "train"]
