"""The form in which a protection changes images, as far as an attacker may know it.

A protection declares its form, and attacks that depend on the form receive it.
"""

from collections.abc import Mapping
from typing import Literal

Form = Literal["blocks", "pixels", "image"]
FORMS: Mapping[Form, str] = {
    "blocks": "blocks of 4×4 pixels, each by itself",
    "pixels": "every pixel by itself",
    "image": "the image as a whole",
}
"""What each form changes, in words."""
