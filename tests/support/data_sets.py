"""Data sets in the layouts that they are published in, made small."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from idx_files import idx
from PIL import Image

RANDOM = np.random.default_rng(0)
TEN = [f"class{k}" for k in range(10)]
HUNDRED = [f"fine{k}" for k in range(100)]


def pixels(count: int, side: int = 32) -> np.ndarray[Any, Any]:
    return RANDOM.integers(0, 256, (count, 3, side, side), dtype=np.uint8)


def dump(file: Path, content: object) -> None:
    """As Python 2 wrote it: protocol 2."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(pickle.dumps(content, protocol=2))


def cifar10_python(folder: Path) -> tuple[np.ndarray[Any, Any], list[int]]:
    place = folder / "cifar-10-batches-py"
    dump(place / "batches.meta", {b"label_names": [name.encode() for name in TEN], b"num_vis": 3072})
    images, labels = pixels(12), [k % 10 for k in range(12)]
    for number in range(5):
        rows = slice(2 * number, 2 * number + 2)
        dump(place / f"data_batch_{number + 1}", {b"data": images[rows].reshape(2, -1), b"labels": labels[rows]})
    dump(place / "test_batch", {b"data": images[10:].reshape(2, -1), b"labels": labels[10:], b"batch_label": b"t"})
    return images, labels


def cifar10_binary(folder: Path) -> tuple[np.ndarray[Any, Any], list[int]]:
    place = folder / "cifar-10-batches-bin"
    place.mkdir()
    (place / "batches.meta.txt").write_text("\n".join(TEN) + "\n\n")
    images, labels = pixels(12), [k % 10 for k in range(12)]
    records = [bytes([label]) + image.tobytes() for image, label in zip(images, labels, strict=True)]
    for number in range(5):
        (place / f"data_batch_{number + 1}.bin").write_bytes(b"".join(records[2 * number : 2 * number + 2]))
    (place / "test_batch.bin").write_bytes(b"".join(records[10:]))
    return images, labels


def cifar100_python(folder: Path) -> tuple[np.ndarray[Any, Any], list[int]]:
    place = folder / "cifar-100-python"
    dump(place / "meta", {b"fine_label_names": [name.encode() for name in HUNDRED]})
    images, labels = pixels(12), [9 * k for k in range(12)]
    dump(
        place / "train", {b"data": images[:10].reshape(10, -1), b"fine_labels": labels[:10], b"coarse_labels": [0] * 10}
    )
    dump(place / "test", {b"data": images[10:].reshape(2, -1), b"fine_labels": labels[10:]})
    return images, labels


def cifar100_binary(folder: Path) -> tuple[np.ndarray[Any, Any], list[int]]:
    place = folder / "cifar-100-binary"
    place.mkdir()
    (place / "fine_label_names.txt").write_text("\n".join(HUNDRED))
    images, labels = pixels(12), [9 * k for k in range(12)]
    records = [bytes([3, label]) + image.tobytes() for image, label in zip(images, labels, strict=True)]
    (place / "train.bin").write_bytes(b"".join(records[:10]))
    (place / "test.bin").write_bytes(b"".join(records[10:]))
    return images, labels


def stl10(folder: Path) -> tuple[np.ndarray[Any, Any], list[int]]:
    place = folder / "stl10_binary"
    place.mkdir()
    (place / "class_names.txt").write_text("\n".join(TEN))
    images, labels = pixels(12, 96), [k % 10 for k in range(12)]
    for name, rows in (("train", slice(0, 10)), ("test", slice(10, 12))):
        (place / f"{name}_X.bin").write_bytes(images[rows].transpose(0, 1, 3, 2).tobytes())
        (place / f"{name}_y.bin").write_bytes(bytes(label + 1 for label in labels[rows]))
    return images, labels


LAYOUTS: dict[str, Callable[[Path], tuple[np.ndarray[Any, Any], list[int]]]] = {
    "cifar10-python": cifar10_python, "cifar10-binary": cifar10_binary, "cifar100-python": cifar100_python,
    "cifar100-binary": cifar100_binary, "stl10": stl10,
}  # fmt: skip


def save(file: Path, side: int = 12) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels(1, side)[0].transpose(1, 2, 0)).save(file)


def class_folders_in(folder: Path) -> Path:
    for part in ("train", "val"):
        for name in ("a", "b"):
            save(folder / part / name / "0.png")
    return folder


def mnist(folder: Path) -> Path:
    for part, count in (("train", 12), ("t10k", 4)):
        idx(folder / f"{part}-images-idx3-ubyte.gz", RANDOM.integers(0, 256, (count, 28, 28)))
        idx(folder / f"{part}-labels-idx1-ubyte.gz", np.arange(count) % 10)
    return folder


def nips17(folder: Path) -> Path:
    for name in ("a", "b"):
        save(folder / "images" / f"{name}.png")
    (folder / "images.csv").write_text("ImageId,TrueLabel\na,1\nb,1000\n")
    return folder


def ilsvrc2012(folder: Path) -> Path:
    names = [f"ILSVRC2012_val_{number:08d}.JPEG" for number in (1, 2)]
    for name in names:
        save(folder / "val" / name)
    (folder / "val.txt").write_text(f"{names[0]} 65\n{names[1]} 970\n")
    return folder


def wordnet_folders(folder: Path) -> Path:
    for name in ("n00000001", "n00000002"):
        save(folder / "val" / name / "1.JPEG")
    return folder


def celeba(folder: Path) -> Path:
    names = [f"{number:06}.jpg" for number in range(1, 13)]
    for name in names:
        save(folder / "img_align_celeba" / name)
    rows = [f"{name} {2 * (number % 2) - 1} -1" for number, name in enumerate(names)]
    (folder / "list_attr_celeba.txt").write_text("\n".join(["12", "Male Smiling", *rows]) + "\n")
    parts = [f"{name} {number // 4}" for number, name in enumerate(names)]
    (folder / "list_eval_partition.txt").write_text("\n".join(parts) + "\n")
    return folder


def attribute_table(folder: Path) -> Path:
    rows = []
    for number in range(30):
        save(folder / f"{number}.png")
        rows.append(f"{number}.png,person {number},{number % 2}")
    (folder / "attributes.csv").write_text("\n".join(["file,identity,Male", *rows]) + "\n")
    return folder


def _in_archive(write: Callable[[Path], object]) -> Callable[[Path], Path]:
    def written(folder: Path) -> Path:
        write(folder)
        return next(folder.iterdir())

    return written


EXAMPLES: dict[str, Callable[[Path], Path]] = {
    "class-folders": class_folders_in, "cifar-python": _in_archive(cifar10_python),
    "cifar-binary": _in_archive(cifar100_binary), "stl10": _in_archive(stl10), "mnist": mnist, "nips17": nips17,
    "ilsvrc2012": ilsvrc2012, "wordnet-folders": wordnet_folders, "celeba": celeba, "attribute-table": attribute_table,
}  # fmt: skip
"""An example of a layout by the name of its row: writes it into an empty folder, and returns the set's own."""
