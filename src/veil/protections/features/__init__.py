"""Features instead of images, meant for a service's own classifier alone: obfuscators, trained against attackers.

`PRESETS` are ways to train them; other packages add rows by entry points of the group ``veil.obfuscator_presets``.
"""

from veil.protections.features.settings import ObfuscatorPreset, ObfuscatorSettings, only
from veil.runtime.tables import Table

__all__ = ["CLIENT_FILE", "PRESETS", "SERVICE_FILE", "ObfuscatorPreset", "ObfuscatorSettings", "only"]

_HERE = "veil.protections.features.presets"
PRESETS: Table[ObfuscatorPreset] = Table(
    "veil.obfuscator_presets",
    ObfuscatorPreset,
    "preset",
    {"veil": f"{_HERE}:VEIL", "paper": f"{_HERE}:PAPER", "authors-code": f"{_HERE}:AUTHORS_CODE"},
)
CLIENT_FILE, SERVICE_FILE = "client.safetensors", "service.safetensors"
"""Names of the two halves of an obfuscator in the folder of its training."""
