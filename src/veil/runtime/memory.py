"""Keeps freed memory in the process, so that a network's passes do not fetch the same pages anew each time.

glibc gives every block above 32 MB, and what lies free at the heap's end, back to the system at once. A forward and a
backward pass take and free the same large blocks hundreds of times; fetching their pages anew took nearly half of a
small network's time on the virtual machine where it was measured (`benchmarks/allocator.py`). The price: memory stays
with the process until it ends, up to `KEPT` bytes of it. Only the owner of a process may decide this: the command line
calls `keep_memory`, the library never does.
"""

import ctypes
import platform
from functools import cache

KEPT = 1 << 30
LARGEST = 1 << 29
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


@cache
def keep_memory() -> bool:
    """Sets glibc's allocator to keep freed memory, once per process; returns whether it did. Does nothing without
    glibc."""
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_M_MMAP_THRESHOLD, LARGEST)) and bool(mallopt(_M_TRIM_THRESHOLD, KEPT))
