"""Seeds that depend on what they are for and on nothing else: not on batch size, order, process or platform."""

import hashlib
import json


def seed_of(*parts: object) -> int:
    """A seed of 63 bits from every part's text; bytes count as their hexadecimal digits."""
    words = [part.hex() if isinstance(part, bytes) else str(part) for part in parts]
    return int.from_bytes(hashlib.sha256(json.dumps(words).encode()).digest()[:8], "big") >> 1
