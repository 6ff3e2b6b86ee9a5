"""What an attacker may know of how a protection changes images: the form of the change.

Protections name theirs, and attacks that can make use of it are told it.
"""

from collections.abc import Mapping
from typing import Literal

Form = Literal["blocks", "pixels", "image"]
FORMS: Mapping[Form, str] = {
    "blocks": "blocks of 4×4 pixels, each by itself",
    "pixels": "every pixel by itself",
    "image": "the image as a whole",
}
"""What is known of a protection, in words: what it changes."""
