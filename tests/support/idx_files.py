"""Writes files in the IDX layout of MNIST."""

import gzip
import struct
from pathlib import Path

import numpy as np


def idx(file: Path, array: np.ndarray, compress: bool = True) -> None:
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    data = head + array.astype(np.uint8).tobytes()
    file.write_bytes(gzip.compress(data) if compress else data)
