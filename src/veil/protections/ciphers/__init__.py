"""Learnable image encryption: people see noise, a network trained on encrypted images sees enough.

None of these ciphers is encryption in the cryptographic sense; their rows say what breaks them, docs/encryption.md when
they are of use nevertheless.
"""

from veil.protections.ciphers import pixel, tanaka
from veil.protections.ciphers.cipher import Cipher, CipherRow
from veil.protections.ciphers.pixel import PixelDifferent, PixelSame
from veil.protections.ciphers.tanaka import Tanaka, TanakaSettings

CIPHERS: dict[str, CipherRow] = {
    "tanaka": CipherRow(
        summary="half bytes of every block of 4×4 pixels permuted and complemented, alike in all blocks",
        create=Tanaka,
        settings=TanakaSettings,
        decrypts=True,
        key_space=tanaka.key_space,
        key_bits=tanaka.key_bits,
        attacks=(
            "sixteen encrypted images give what people see of the key by their statistics alone; one known image "
            "gives all of it; equal blocks stay equal, so that flat areas and outlines show at a quarter of the "
            "resolution; GAN attack without pairs"
        ),
        adaptation="block",
    ),
    "pixel-same": CipherRow(
        summary="values complemented and colours permuted, pixel by pixel, alike in all images",
        create=PixelSame,
        settings=None,
        decrypts=True,
        key_space=pixel.key_space,
        key_bits=pixel.key_bits,
        attacks=(
            "a few dozen encrypted images give the key by their statistics alone, a few known ones do, too; min(v, 255 "
            "- v) shows shapes without it; unshared weight attack and GAN attack without pairs"
        ),
        adaptation="pixel",
    ),
    "pixel-different": CipherRow(
        summary="values complemented and colours permuted, pixel by pixel, by a key for every image that nobody keeps",
        create=PixelDifferent,
        settings=None,
        decrypts=False,
        key_space=pixel.key_space,
        key_bits=pixel.key_bits,
        attacks="min(v, 255 - v) shows shapes without any key; GAN attack without pairs",
        adaptation="pixel",
    ),
}

__all__ = [
    "CIPHERS",
    "Cipher",
    "CipherRow",
    "PixelDifferent",
    "PixelSame",
    "Tanaka",
    "TanakaSettings",
]
