"""Fixtures that all tests share."""

import os
import signal
from pathlib import Path

import pytest
import torch
from repository import REPOSITORY

# Two test processes on two cores: threads of one would only wait for those of the other.
torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A shell's background jobs ignore Ctrl-C, and so would commands that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of the real data and weights; VEIL_SHARED names it, ``../shared/data`` beside the checkout is the
    default."""
    folder = Path(os.environ.get("VEIL_SHARED", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"needs real data and weights: {folder} is absent (set VEIL_SHARED)")
    return folder
