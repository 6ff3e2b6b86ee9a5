"""Readers of published data sets: one file of the set is mutated, the others are good."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from fuzzing.reader import CORPUS, REPOSITORY, Prepared, Reader

_SETS = f"{CORPUS}/sets"
_REFUSALS = (ValueError, FileNotFoundError)


def _small_images(files: dict[str, str], folder: Path) -> Prepared:
    from veil.data.small_images import read

    _copy(files, folder)
    return Prepared(lambda file: read(folder), _REFUSALS)


def _digits(folder: Path) -> Prepared:
    from veil.data.layouts.mnist import read as read_set
    from veil.data.layouts.mnist import read_idx

    good = {f"{part}-{kind}-ubyte.gz": f"{_SETS}/{kind}.idx.gz" for part in ("train", "t10k")
            for kind in ("images-idx3", "labels-idx1")}  # fmt: skip
    _copy(good, folder)

    def read(file: Path) -> None:
        read_idx(file)
        read_set(folder, validation=1)

    return Prepared(read, _REFUSALS)


def _faces(files: dict[str, str], folder: Path) -> Prepared:
    from veil.data.faces import listed

    photos = folder / "img_align_celeba" if "list_attr_celeba.txt" in files else folder
    photos.mkdir(exist_ok=True)
    for number in range(1, 7):
        (photos / f"{number:06}.jpg").touch()
    _copy(files, folder)
    return Prepared(lambda file: listed(folder), _REFUSALS)


def _photos(names: tuple[str, ...], folder: Path) -> Prepared:
    from veil.data.photo_sets import read

    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    return Prepared(lambda file: read(folder), _REFUSALS)


def _copy(files: dict[str, str], folder: Path) -> None:
    for name, seed in files.items():
        shutil.copyfile(REPOSITORY / seed, folder / name)


_PYTHON = {f"data_batch_{number}": f"{_SETS}/batch.pickle" for number in range(1, 6)} | {
    "batches.meta": f"{_SETS}/meta.pickle", "test_batch": f"{_SETS}/batch.pickle",
}  # fmt: skip
_BINARY = {f"data_batch_{number}.bin": f"{_SETS}/batch.bin" for number in range(1, 6)} | {
    "batches.meta.txt": f"{_SETS}/names.txt", "test_batch.bin": f"{_SETS}/batch.bin",
}  # fmt: skip
_STL = {f"{part}_{kind}.bin": f"{_SETS}/stl_{kind}.bin" for part in ("train", "test") for kind in "Xy"} | {
    "class_names.txt": f"{_SETS}/names.txt"
}
_CELEBA = {
    name: f"{_SETS}/{name}" for name in ("list_attr_celeba.txt", "list_eval_partition.txt", "identity_CelebA.txt")
}


_PYTHON_SET, _BINARY_SET = partial(_small_images, _PYTHON), partial(_small_images, _BINARY)
_STL_SET, _CELEBA_SET = partial(_small_images, _STL), partial(_faces, _CELEBA)
_NIPS_SET = partial(_photos, ("images/a.png", "images/b.png", "images/c.png"))
_ILSVRC_SET = partial(_photos, tuple(f"val/ILSVRC2012_val_{number:08}.JPEG" for number in (1, 2, 3)))


def _row(name: str, title: str, file: str, prepare: Callable[[Path], Prepared], seeds: str | None = None) -> Reader:
    return Reader(name=name, title=title, file=file, seeds=(f"{_SETS}/{seeds or file}",), prepare=prepare)


ROWS = (
    _row("cifar-pickle", "a batch of CIFAR, Python version", "data_batch_1", _PYTHON_SET, "batch*.pickle"),
    _row("cifar-names", "the classes of CIFAR, Python version", "batches.meta", _PYTHON_SET, "meta.pickle"),
    _row("cifar-binary", "a batch of CIFAR, binary version", "data_batch_1.bin", _BINARY_SET, "batch.bin"),
    _row("stl10", "labels of STL-10", "train_y.bin", _STL_SET, "stl_y.bin"),
    _row("class-names", "a list of classes", "class_names.txt", _STL_SET, "names.txt"),
    _row("idx", "a file of MNIST, gzipped or not", "train-images-idx3-ubyte.gz", _digits, "images-idx3.*"),
    _row("celeba-attributes", "CelebA's attributes", "list_attr_celeba.txt", _CELEBA_SET),
    _row("celeba-partition", "CelebA's partition", "list_eval_partition.txt", _CELEBA_SET),
    _row("celeba-identities", "CelebA's identities", "identity_CelebA.txt", _CELEBA_SET),
    _row("attribute-table", "a table of attributes", "attributes.csv", partial(_faces, {})),
    _row("nips17-list", "the list of NIPS 2017", "images.csv", _NIPS_SET),
    _row("ilsvrc-list", "Caffe's list of ILSVRC-2012", "val.txt", _ILSVRC_SET),
    _row("ilsvrc-solution", "Kaggle's list of ILSVRC-2012", "LOC_val_solution.csv", _ILSVRC_SET),
)
