"""Draws the seeds in ``tests/corpus``: ``PYTHONPATH=tests/fuzz python -m fuzzing.seeds``.

They are the smallest files of a format that have most of what it can have. Nobody's photos are among them.
"""

import gzip
import pickle
import struct
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, PngImagePlugin

from fuzzing import of_folders
from fuzzing.reader import CORPUS, REPOSITORY

SIDE = 12
_XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a b="c"/></x:xmpmeta>'


def picture(mode: str = "RGB") -> Image.Image:
    """A slope in colours."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.uint8)
    return Image.fromarray(np.stack([20 * x, 20 * y, 10 * (x + y)], 2)).convert(mode)


def images() -> dict[str, bytes]:
    """Photos of every format and of most kinds."""
    files: dict[str, bytes] = {}

    def add(name: str, image: Image.Image, format: str, **options: object) -> None:
        buffer = BytesIO()
        image.save(buffer, format, **options)
        files[name] = buffer.getvalue()

    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    text = PngImagePlugin.PngInfo()
    text.add_text("a", "b", zip=True)
    deep = Image.fromarray(np.arange(SIDE * SIDE, dtype=np.uint16).reshape(SIDE, SIDE) * 400)
    for mode in ("L", "RGB", "RGBA", "P", "1", "LA"):
        add(f"{mode}.png", picture(mode), "PNG")
    add("deep.png", deep, "PNG")
    add("all.png", picture(), "PNG", exif=exif, icc_profile=profile, pnginfo=text)
    add("colour.jpg", picture(), "JPEG")
    add("grey.jpg", picture("L"), "JPEG")
    add("cmyk.jpg", picture("CMYK"), "JPEG")
    add("progressive.jpg", picture(), "JPEG", progressive=True, subsampling=2)
    add("all.jpg", picture(), "JPEG", exif=exif, icc_profile=profile, xmp=_XMP, comment=b"c")
    add("lossy.webp", picture(), "WEBP")
    add("alpha.webp", picture("RGBA"), "WEBP", lossless=True, exif=exif, icc_profile=profile)
    add("plain.tiff", picture(), "TIFF")
    add("lzw.tiff", picture("RGBA"), "TIFF", compression="tiff_lzw")
    add("deflate.tiff", picture("L"), "TIFF", compression="tiff_adobe_deflate")
    add("deep.tiff", deep, "TIFF")
    add("pages.tiff", picture("L"), "TIFF", save_all=True, append_images=[picture("L")])
    add("frame.gif", picture("P"), "GIF", transparency=3)
    add("frames.gif", picture("P"), "GIF", save_all=True, append_images=[picture("L").convert("P")])
    add("colour.bmp", picture(), "BMP")
    add("palette.bmp", picture("P"), "BMP")
    add("colour.ppm", picture(), "PPM")
    add("bits.ppm", picture("1"), "PPM")
    try:
        import pillow_heif

        pillow_heif.register_heif_opener()
        add("colour.heic", picture().resize((32, 32)), "HEIF")
    except ImportError:
        pass
    return {f"images/{name}": data for name, data in files.items()}


def sets() -> dict[str, bytes]:
    """Files of published data sets."""
    values = np.arange(2 * 3072, dtype=np.int64) % 251
    pixels = values.astype(np.uint8).reshape(2, 3072)
    batch = {b"data": pixels, b"labels": [0, 1], b"batch_label": b"one", b"filenames": [b"a", b"b"]}
    names = {b"label_names": [f"class{number}".encode() for number in range(10)], b"num_vis": 3072}
    digits = struct.pack(">BBBBIII", 0, 0, 8, 3, 4, 5, 5) + bytes(range(100))
    labels = struct.pack(">BBBBI", 0, 0, 8, 1, 4) + bytes(range(4))
    lists = {
        "list_attr_celeba.txt": "6\nMale Smiling\n" + "".join(f"{n:06}.jpg 1 -1\n" for n in range(1, 7)),
        "list_eval_partition.txt": "".join(f"{n:06}.jpg {n % 3}\n" for n in range(1, 7)),
        "identity_CelebA.txt": "".join(f"{n:06}.jpg {n // 2}\n" for n in range(1, 7)),
        "attributes.csv": "file,Smiling,identity,partition\n"
        + "".join(f"{n:06}.jpg,{n % 2},{n // 2},train\n" for n in range(1, 7)),
        "images.csv": "ImageId,URL,TrueLabel\na,,1\nb,,1000\nc,,20\n",
        "val.txt": "".join(f"ILSVRC2012_val_{n:08}.JPEG {label}\n" for n, label in ((1, 65), (2, 970), (3, 230))),
        "LOC_val_solution.csv": "ImageId,PredictionString\n"
        + "".join(f"ILSVRC2012_val_{n:08},n0175149{n} 1 2 3 4\n" for n in (1, 2, 3)),
        "names.txt": "".join(f"class{number}\n" for number in range(10)),
    }
    files = {
        "batch.pickle": pickle.dumps(batch, protocol=2), "batch0.pickle": pickle.dumps(batch, protocol=0),
        "batch4.pickle": pickle.dumps(batch, protocol=4), "meta.pickle": pickle.dumps(names, protocol=2),
        "batch.bin": b"".join(bytes([label]) + image.tobytes() for label, image in enumerate(pixels)),
        "stl_X.bin": bytes(3 * 96 * 96), "stl_y.bin": b"\1",
        "images-idx3.idx": digits, "images-idx3.idx.gz": gzip.compress(digits, mtime=0),
        "labels-idx1.idx.gz": gzip.compress(labels, mtime=0), **{name: text.encode() for name, text in lists.items()},
    }  # fmt: skip
    return {f"sets/{name}": data for name, data in files.items()}


def requests() -> dict[str, bytes]:
    """Requests that browsers send, and one that smuggles another."""
    form = "application/x-www-form-urlencoded"
    post = f"Host: localhost\r\nOrigin: http://localhost\r\nContent-Type: {form}\r\n"
    body = "question=0123456789abcdef&choice=1"
    hidden = f"POST /withdraw HTTP/1.1\r\n{post}Content-Length: 0\r\nX-Ignore: "
    texts = {
        "page": "GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: a\r\nAccept: text/html\r\n\r\n",
        "question": "GET /question HTTP/1.1\r\nHost: localhost\r\nCookie: veil-study-a=b\r\nConnection: close\r\n\r\n",
        "picture": "GET /images/0123456789abcdef.png HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        "start": f"POST /start HTTP/1.1\r\n{post}Content-Length: 0\r\n\r\n",
        "answer": f"POST /answer HTTP/1.1\r\n{post}Content-Length: {len(body)}\r\n\r\n{body}",
        "withdraw": f"POST /withdraw HTTP/1.1\r\n{post}Content-Length: 0\r\n\r\n",
        "smuggled": f"GET /style.css HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(hidden)}\r\n\r\n{hidden}",
        "chunked": f"POST /start HTTP/1.1\r\n{post}Transfer-Encoding: chunked\r\n\r\n3\r\na=b\r\n0\r\n\r\n",
        "old": "HEAD /keys.js HTTP/1.0\r\nHost: localhost\r\n\r\n",
    }
    return {f"requests/{name}.http": text.encode() for name, text in texts.items()}


def networks() -> dict[str, bytes]:
    """Small ONNX classifiers: one that computes shapes, one of later versions, one of many operators."""
    import onnx
    from onnx import helper, numpy_helper

    random = np.random.default_rng(0)

    def node(kind: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
        return helper.make_node(kind, inputs.split(), outputs.split(), name=outputs.split()[0], **attributes)

    def file(nodes: list[onnx.NodeProto], held: dict[str, object], version: int) -> bytes:
        weights = {"kernel": random.normal(size=(4, 3, 3, 3)), "matrix": random.normal(size=(4, 5))}
        arrays = {name: np.asarray(value, np.float32) for name, value in weights.items()}
        arrays |= {name: np.asarray(value) for name, value in held.items()}
        image = helper.make_tensor_value_info("images", 1, ["n", 3, 8, 8])
        answer = helper.make_tensor_value_info("logits", 1, ["n", 5])
        tensors = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
        graph = helper.make_graph(nodes, "classifier", [image], [answer], tensors)
        return bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)]).SerializeToString())

    shapes = [
        node("Conv", "images kernel", "a", pads=[1, 1, 1, 1], strides=[2, 2], group=1),
        node("LeakyRelu", "a", "b", alpha=0.1), node("MaxPool", "b", "c", kernel_shape=[2, 2], strides=[2, 2]),
        node("Shape", "c", "s"), node("Gather", "s first", "count", axis=0), node("Unsqueeze", "count zero", "counts"),
        node("Concat", "counts four", "shape", axis=0), node("GlobalAveragePool", "c", "d"),
        node("Reshape", "d shape", "e"), node("MatMul", "e matrix", "f"), node("Softmax", "f", "logits", axis=1),
    ]  # fmt: skip
    parts = [
        node("SpaceToDepth", "images", "x", blocksize=2), node("DepthToSpace", "x", "y", blocksize=2, mode="CRD"),
        node("Conv", "y kernel", "a", auto_pad="SAME_UPPER"), node("QuantizeLinear", "a step middle", "q"),
        node("DequantizeLinear", "q step middle", "b"), node("Split", "b", "l r", axis=1, num_outputs=2),
        node("Concat", "r l", "c", axis=1), node("Pad", "c pads", "d", mode="edge"),
        node("Slice", "d zero end last", "e"), node("Gelu", "e", "f"), node("Transpose", "f", "g", perm=[0, 2, 3, 1]),
        node("ReduceMean", "g inner", "h", keepdims=0), node("MatMul", "h matrix", "logits"),
    ]  # fmt: skip
    many = [
        node("InstanceNormalization", "images three none", "a"),
        node("BatchNormalization", "a three none none three", "b"),
        node("LRN", "b", "c", size=3), node("AveragePool", "c", "d", kernel_shape=[2, 2], strides=[2, 2]),
        node("PRelu", "d slope", "g"), node("Constant", "", "low", value_float=-1.0), node("Max", "g low", "h"),
        node("Clip", "h low high", "i"), node("Shape", "i", "s"), node("Slice", "s two end zero", "sides"),
        node("ReduceProd", "sides", "area", keepdims=0), node("Div", "area sixteen", "one"),
        node("Mod", "area seven", "rest"), node("Range", "nought stop one", "r"), node("Cast", "r", "numbers", to=1),
        node("ConstantOfShape", "end", "zeros"), node("Equal", "r rest", "m"), node("Where", "m numbers zeros", "w"),
        node("Tile", "w once", "t"), node("Expand", "t wide", "x"), node("Add", "i x", "j"),
        node("Flatten", "j", "k"), node("LayerNormalization", "k scale", "l"), node("Dropout", "l half", "o"),
        node("Identity", "o", "p"), node("Squeeze", "shift inner", "bias"), node("Gemm", "p tall bias", "q"),
        node("Pow", "q once_more", "u"), node("LogSoftmax", "u", "logits"),
    ]  # fmt: skip
    floats = {"three": np.ones(3), "none": np.zeros(3), "slope": np.ones((3, 1, 1)), "high": 6, "scale": np.ones(48),
              "half": 0.5, "tall": random.normal(size=(48, 5)), "shift": np.zeros((1, 5)), "once_more": 1}  # fmt: skip
    numbers = {"two": [2], "end": [4], "zero": [0], "sixteen": 16, "seven": 7, "nought": 0, "stop": 4, "once": [1],
               "wide": [1, 1, 1, 4], "inner": [0]}  # fmt: skip
    held = {name: np.asarray(value, np.float32) for name, value in floats.items()}
    whole = {"first": 0, "zero": [0], "four": [4]}
    bytes_inside = {"step": np.float32(0.1), "middle": np.uint8(128), "pads": [0, 0, 1, 1, 0, 0, 1, 1],
                    "zero": [0], "end": [6], "last": [-1], "inner": [1, 2]}  # fmt: skip
    return {
        "onnx/shapes.onnx": file(shapes, dict(whole), 17), "onnx/parts.onnx": file(parts, bytes_inside, 20),
        "onnx/many.onnx": file(many, {**held, **numbers}, 17),
    }  # fmt: skip


def rest() -> dict[str, bytes]:
    """Cards that name other architectures and options, and a list of labels."""
    old = (REPOSITORY / "tests/support/old_formats/7c1583f/card/model.toml").read_text()
    return {
        "cards/zoo.toml": old.replace("veil/resnet18", "timm/test_byobnet").encode(),
        "lists/labels.csv": b"file,label\na.png,1\nsub/b.png,20\n",
    }


def checkpoint() -> dict[str, bytes]:
    """The state of a training of the smallest network."""
    with tempfile.TemporaryDirectory() as folder:
        of_folders.save_checkpoint(Path(folder) / "checkpoint")
        files = sorted((Path(folder) / "checkpoint").iterdir())
        return {f"checkpoint/{file.name}": file.read_bytes() for file in files}


def main() -> None:
    """Writes all of them."""
    for name, data in (images() | networks() | sets() | requests() | rest() | checkpoint()).items():
        file = REPOSITORY / CORPUS / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


if __name__ == "__main__":
    main()
