"""Names of the classifiers that come with Veil, readable without torch."""

from importlib.resources import files
from pathlib import Path

PACKAGED = Path(str(files("veil.models") / "packaged"))
"""Their model cards."""
DEFAULT = "things100"
"""The classifier of photos that is used unless another is named."""


def packaged() -> list[str]:
    """Names of the classifiers that come with Veil."""
    return sorted(path.stem for path in PACKAGED.glob("*.toml"))
