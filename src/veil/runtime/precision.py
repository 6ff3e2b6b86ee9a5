"""In which precision trainings compute."""

from typing import Literal

Precision = Literal["auto", "32-true", "bf16-mixed"]
"""``auto`` is bfloat16, with weights in float32, where the hardware computes in it."""
