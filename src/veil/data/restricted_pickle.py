"""Reads the pickles that data sets are published as, and runs nothing that is in them.

A pickle is a program: loading one from a stranger is running it. CIFAR's are dictionaries of bytes, strings, numbers,
lists and NumPy arrays; `load` knows how to make these and refuses every other name, so that nothing else is called.
"""

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

MOST_BYTES = 1 << 30


class PickleRefused(ValueError):
    """The file asks for something that plain data does not need, or is no pickle; the message is one line."""


def _array(kind: object, shape: object, typecode: object) -> np.ndarray[Any, Any]:
    """NumPy's own way to make an array that is filled later; always empty in published files."""
    if kind is not np.ndarray or shape != (0,):
        raise PickleRefused("an array is made in an unusual way")
    return np.ndarray((0,), "b")


def _encoded(text: str, encoding: str = "latin1") -> bytes:
    """How Python 2's bytes are written by Python 3."""
    return text.encode(encoding)


_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _encoded,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _array for core in ("core", "_core")},
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise PickleRefused(f"it asks for {module}.{name}, which plain data does not need") from None

    def persistent_load(self, identifier: object) -> Any:
        raise PickleRefused("it refers to something outside the file")


def load(file: Path) -> Any:
    """The plain data in a pickle; strings of Python 2 come as bytes.

    Raises:
        PickleRefused: where the file is more than plain data, is no pickle, or is larger than a gigabyte.
    """
    if file.stat().st_size > MOST_BYTES:
        raise PickleRefused(f"{file.name}: {file.stat().st_size:,} bytes are more than such a file has")
    try:
        return _Reader(io.BytesIO(file.read_bytes()), encoding="bytes").load()
    except PickleRefused as error:
        raise PickleRefused(f"{file.name}: refused: {error}") from None
    except Exception as error:  # what a broken pickle raises is not documented
        raise PickleRefused(f"{file.name}: not a pickle of plain data ({type(error).__name__})") from None
