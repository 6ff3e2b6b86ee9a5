"""Readers of single files: photos, cards, networks, noise, keys, features, lists."""

import shutil
from pathlib import Path

from fuzzing.reader import CORPUS, OLD, REPOSITORY, Prepared, Reader

_PIXELS = 1 << 20  # of a photo: the more are allowed, the more memory one may take
_ONNX_IMAGE = (3, 8, 8)
_PASSPHRASE = "not a secret"


def _photo(folder: Path) -> Prepared:
    from veil import images
    from veil.images.limits import Limits

    return Prepared(lambda file: images.load(file, limits=Limits(max_pixels=_PIXELS)), (images.ImageError,))


def _photo_of_a_set(folder: Path) -> Prepared:
    from veil.data.decoding import decode, decode_photos

    def read(file: Path) -> None:
        decode([file], [file.name], 8)

    def read_both(file: Path) -> None:
        decode_photos([file], (8, 8), resizes=True)
        read(file)

    return Prepared(read_both, (ValueError,))


def _card(folder: Path) -> Prepared:
    from veil.models import cards
    from veil.models.zoo import ZooMissing

    for file in (REPOSITORY / OLD / "card").iterdir():
        shutil.copyfile(file, folder / file.name)
    return Prepared(lambda file: cards.load(folder / "model.toml"), (cards.CardError, ZooMissing))


def _onnx(folder: Path) -> Prepared:
    from veil.models import weights
    from veil.models.cards import CardError
    from veil.models.onnx import network
    from veil.models.onnx.reading import Limits, OnnxMissing

    small = Limits(file=1 << 22, nodes=1000, value=1 << 22, values=1 << 25, multiplications=1 << 27)

    def read(file: Path) -> None:
        with weights.reading(file, "an ONNX classifier", CardError):
            network.load(file, _ONNX_IMAGE, small)

    for seed in sorted((REPOSITORY / CORPUS / "onnx").iterdir()):
        read(seed)  # the packages that it needs are imported once, and take memory
    return Prepared(read, (CardError, OnnxMissing))


def _client(folder: Path) -> Prepared:
    from veil.protections.features import file as obfuscators
    from veil.protections.features.card import ObfuscatorError

    return Prepared(obfuscators.load, (ObfuscatorError,))


def _transformation(folder: Path) -> Prepared:
    from veil.protections.transformation.file import Transformation, TransformationError

    return Prepared(Transformation.load, (TransformationError,))


def _noise(folder: Path) -> Prepared:
    from veil.protections.noise.universal import UniversalNoise

    return Prepared(UniversalNoise.load, (ValueError,))


def _key(folder: Path) -> Prepared:
    from veil.protections.ciphers.keys import Key
    from veil.protections.ciphers.keys.file import KeyFileError, header

    (folder / "image.key").touch(mode=0o600)

    def read(file: Path) -> None:
        Key.load(file, _PASSPHRASE if header(file).protected else None)

    return Prepared(read, (KeyFileError,))


def _features(folder: Path) -> Prepared:
    from veil.protections.features import feature_files
    from veil.protections.features.file import Service

    service = Service.load(REPOSITORY / OLD / "obfuscator/service.safetensors")
    return Prepared(lambda file: feature_files.read(file, service), (feature_files.FeatureError,))


def _labels(folder: Path) -> Prepared:
    import typer

    from veil.cli.options import read_labels

    return Prepared(read_labels, (typer.BadParameter,))


def _identities(folder: Path) -> Prepared:
    from veil.study.folder import read_identities
    from veil.study.questions import StudyError

    return Prepared(read_identities, (StudyError,))


_IMAGES = (f"{CORPUS}/images/*",)
_OLD_CARD = f"{OLD}/card/model"

ROWS = (
    Reader(name="photo", title="a photo in any format", file="photo.image", seeds=_IMAGES, prepare=_photo),
    Reader(name="photo-of-a-set", title="an image of a data set", file="image.jpg", seeds=_IMAGES,
           prepare=_photo_of_a_set, mebibytes=1024),
    Reader(name="card", title="a model card", file="model.toml", seeds=(f"{_OLD_CARD}.toml", f"{CORPUS}/cards/*"),
           prepare=_card, seconds=20, mebibytes=512),
    Reader(name="card-labels", title="the classes of a model", file="model.labels.txt",
           seeds=(f"{_OLD_CARD}.labels.txt",), prepare=_card),
    Reader(name="card-weights", title="the weights of a model", file="model.safetensors",
           seeds=(f"{_OLD_CARD}.safetensors",), prepare=_card),
    Reader(name="card-onnx", title="the ONNX network of a model", file="model.onnx", seeds=(f"{CORPUS}/onnx/*",),
           prepare=_onnx, seconds=20),
    Reader(name="client", title="a client or service of features", file="client.safetensors",
           seeds=(f"{OLD}/obfuscator/*.safetensors", f"{OLD}/maps/*.safetensors"), prepare=_client),
    Reader(name="transformation", title="a transformation network", file="transformation.safetensors",
           seeds=(f"{OLD}/transformation.safetensors.xz",), prepare=_transformation),
    Reader(name="universal-noise", title="a file of universal noise", file="noise.safetensors",
           seeds=(f"{OLD}/noise.safetensors",), prepare=_noise),
    Reader(name="key", title="a key file", file="image.key", seeds=(f"{OLD}/keys/*.key",), prepare=_key),
    Reader(name="features", title="a file of features", file="photo.features",
           seeds=(f"{OLD}/features/values/*.features",), prepare=_features),
    Reader(name="labels", title="a list of labels", file="labels.csv", seeds=(f"{CORPUS}/lists/labels.csv",),
           prepare=_labels),
    Reader(name="identities", title="a list of who is on which photo", file="identities.csv",
           seeds=(f"{OLD}/audits/drawn/identities.csv",), prepare=_identities),
)  # fmt: skip
