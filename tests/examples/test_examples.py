"""The examples run."""

import subprocess
import sys

from repository import REPOSITORY


def test_a_network_learns_from_images_that_two_workers_encrypt() -> None:
    example = REPOSITORY / "examples/train_on_encrypted_images.py"
    command = [sys.executable, "-W", "error", str(example)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ImageTransform('pixel-same', key ")
    losses = [float(line.split()[-1]) for line in done.stdout.splitlines() if line.startswith("epoch")]
    assert losses[-1] < losses[0] / 2
    right = int(done.stdout.splitlines()[-1].split()[2])
    assert right > 60  # of 80 images of four classes; a guess has 20, and with ten other keys it was 79 or 80
