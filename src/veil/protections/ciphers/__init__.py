"""Learnable image encryption: people see noise, a network trained on encrypted images sees enough.

None of these ciphers is encryption in the cryptographic sense; their rows in `veil.protections.PROTECTIONS` say what
breaks them, docs/encryption.md when they are of use nevertheless.
"""

from veil.protections.ciphers.cipher import Cipher
from veil.protections.ciphers.pixel import PixelDifferent, PixelSame
from veil.protections.ciphers.tanaka import Tanaka, TanakaSettings

__all__ = ["Cipher", "PixelDifferent", "PixelSame", "Tanaka", "TanakaSettings"]
