"""Changes of fields of a format, after which checksums and lengths still fit: they reach behind the first check.

`STRUCTURES` has a mutator for every suffix that has one. They raise anything where the bytes are not of their format.
"""

import gzip
import json
import pickletools
import re
import struct
from collections.abc import Callable, Sequence
from functools import cache
from random import Random
from typing import Any

from fuzzing import graphs, pictures
from fuzzing.mutators import NUMBERS, Mutator

TEXTS = (
    "", " ", "\x00", "\x1b[31m", "\n", "../../x", "/etc/passwd", "C:\\x", "a" * 5000, "\ud800", "é", "null", "-1",
    "1e999", "=1+1", ",", '"', "\r\n", "🙂" * 300, "__class__", "%s%n", "0" * 400, "NaN", "./.", "x\ty",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 0.5, -0.0, float("nan"), float("inf"), 1e308, 10**30, -(10**30), [], {}, [[]],
    [None], {"": None}, *NUMBERS, *TEXTS,
)  # fmt: skip
_MARK = "\u2620 raw \u2620"
_RAW = ("[" * 5000 + "]" * 5000, '{"a":' * 3000 + "1" + "}" * 3000, "9" * 6000, "-" + "9" * 400, "1e99999", "1.0",
        '{"kind": 1, "kind": 2}', "Infinity")  # fmt: skip


def json_text(data: bytes, random: Random, seeds: Sequence[bytes]) -> bytes:
    """A value of a JSON document changed, removed, repeated or renamed."""
    return tree_text(json.loads(data), random).encode("utf-8", "surrogatepass")


def json_lines(data: bytes, random: Random, seeds: Sequence[bytes]) -> bytes:
    """A line changed as JSON, or lines repeated, removed, exchanged."""
    lines = data.splitlines(keepends=True)
    return _one_of(lines, random, lambda line: json_text(line, random, seeds) + b"\n")


def tree_text(document: Any, random: Random) -> str:
    """The JSON text of a document in which one value was changed."""
    holder = {"": document}
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], dict | list):
                walk(node[key])

    walk(holder)
    node, key = random.choice(places)
    match random.randrange(7):
        case 0 if isinstance(node, dict) and key != "":
            del node[key]
        case 1 if isinstance(node, dict) and key != "":
            node[random.choice(TEXTS)] = node.pop(key)
        case 2 if isinstance(node, list):
            node[key : key + 1] = [node[key]] * random.choice((0, 2, 3, 1000))
        case 3:
            node[key] = random.choice(
                random.choice(places)[0] if isinstance(node, list) else [[node[key]], {"x": node[key]}]
            )
        case 4:
            text = json.dumps(holder[""] if node is holder else _with(node, key, _MARK, holder))
            return text.replace(json.dumps(_MARK), random.choice(_RAW), 1)
        case 5 if isinstance(node[key], int | float) and not isinstance(node[key], bool):
            node[key] = random.choice((node[key] + 1, node[key] - 1, -node[key], node[key] * 1000, str(node[key])))
        case _:
            node[key] = random.choice(VALUES)
    return json.dumps(holder[""], ensure_ascii=random.random() < 0.5)


def _with(node: Any, key: Any, value: Any, holder: Any) -> Any:
    node[key] = value
    return holder[""]


def toml(data: bytes, random: Random, seeds: Sequence[bytes]) -> bytes:
    """A line of TOML changed, repeated, removed; its value made extreme."""
    lines = data.splitlines(keepends=True)

    def changed(line: bytes) -> bytes:
        name, equals, value = line.partition(b"=")
        if not equals:
            return random.choice((b"[a" + b".a" * 500 + b"]\n", b"[[input]]\n", b"[options.x]\n", line * 2))
        if random.random() < 0.2:
            return random.choice((name + b"." + name, b'"' + name.strip() + b'\\u0000"', b"x" * 3000)) + b"=" + value
        texts = [json.dumps(text) for text in TEXTS] + [str(number) for number in NUMBERS]
        texts += [
            "nan",
            "inf",
            "-inf",
            "1e400",
            "9" * 5000,
            "[" * 900 + "]" * 900,
            "{a=1}",
            "[1,[2]]",
            "1979-05-27",
            "true",
        ]
        texts += [
            "[0.5, 0.5]",
            "[nan, 0.5, 0.5]",
            "[28.5, 28]",
            "'''x",
            '"timm/resnet18"',
            '"veil/vgg13"',
            '"veil/locally-connected"',
        ]
        return name + b"= " + random.choice(texts).encode("utf-8", "replace") + b"\n"

    return _one_of(lines, random, changed)


def table(data: bytes, random: Random, seeds: Sequence[bytes]) -> bytes:
    """A line of a text of cells changed: cells made extreme, removed, quoted, or lines repeated."""
    lines = data.splitlines(keepends=True)

    def changed(line: bytes) -> bytes:
        cells = re.split(rb"([,\s]+)", line.rstrip(b"\r\n"))
        place = random.randrange(0, len(cells), 2)
        texts = [
            *TEXTS,
            *(str(number) for number in NUMBERS),
            "9" * 5000,
            '"',
            '""x',
            "\ufeff",
            "٣",
            "1_000",
            "x" * 140_000,
        ]
        match random.randrange(4):
            case 0:
                del cells[place : place + 2]
            case 1:
                cells[place:place] = [b"1", b","]
            case _:
                cells[place] = random.choice(texts).encode("utf-8", random.choice(("replace", "surrogatepass")))
        return b"".join(cells) + random.choice((b"\n", b"\n", b"\r\n", b"\r", b""))

    return _one_of(lines, random, changed)


def _one_of(lines: list[bytes], random: Random, change: Callable[[bytes], bytes]) -> bytes:
    place = random.randrange(len(lines))
    match random.randrange(8):
        case 0:
            del lines[place]
        case 1:
            lines[place : place + 1] = [lines[place]] * random.choice((2, 3, 200))
        case 2:
            lines.insert(random.randrange(len(lines) + 1), lines[place])
        case 3 if len(lines) > 1:
            random.shuffle(lines)
        case _:
            lines[place] = change(lines[place])
    return b"".join(lines)


def safetensors(data: bytes, random: Random, seeds: Sequence[bytes]) -> bytes:
    """The JSON header changed, or the JSON card inside of it; the length fits, nearly always."""
    (length,) = struct.unpack_from("<Q", data)
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    card = header.get("__metadata__", {}).get("veil")
    if card is not None and random.random() < 0.6:
        header["__metadata__"]["veil"] = tree_text(json.loads(card), random)
        text = json.dumps(header)
    else:
        text = tree_text(header, random)
    encoded = text.encode("utf-8", "surrogatepass")
    claimed = len(encoded) if random.random() < 0.95 else random.choice(NUMBERS) % 2**64
    return struct.pack("<Q", claimed) + encoded + body


def pickle(data: bytes, random: Random, seeds: Sequence[bytes]) -> bytes:
    """Instructions repeated, removed, moved, or put in: those that build and call above all."""
    places = [place for _, _, place in pickletools.genops(data) if place is not None]
    steps = [data[a:b] for a, b in zip(places, [*places[1:], len(data)], strict=True)]
    place = random.randrange(len(steps))
    match random.randrange(5):
        case 0:
            del steps[place]
        case 1:
            steps[place : place + 1] = [steps[place]] * random.choice((2, 3, 1000))
        case 2:
            other = random.randrange(len(steps))
            steps[place], steps[other] = steps[other], steps[place]
        case _:
            steps.insert(place, random.choice(_PICKLED))
    return b"".join(steps)


_PICKLED = (
    b"cos\nsystem\n", b"cbuiltins\neval\n", b"cnumpy\nndarray\n", b"cnumpy\ndtype\n", b"(", b"t", b"R", b"b", b"0",
    b"2", b"}", b"]", b")", b"a", b"e", b"s", b"u", b"o", b"N", b"\x81", b"\x85", b"\x86", b"\x87", b"h\0", b"q\xff",
    b"K\xff",
    b"J\xff\xff\xff\x7f", b"\x8a\xff" + b"\xff" * 255, b"\x8b\xff\xff\xff\x7f", b"B\xff\xff\xff\x7fab", b"U\x03abc",
    b"X\x02\0\0\0O8", b"C\x08AAAAAAAA", b"I99999999999999999999\n", b"F1e999\n", b"\x82\x01", b"P1\n", b"Q", b"\x93",
    b"\x94", b"\x95\xff\xff\xff\xff\xff\xff\xff\xff", b"ccopy_reg\n_reconstructor\n", b"c_codecs\nencode\n", b".",
)  # fmt: skip


def gzipped(data: bytes, random: Random, seeds: Sequence[bytes]) -> bytes:
    """What is packed changed and packed again; or a bomb; or several members."""
    raw = gzip.decompress(data)
    match random.randrange(5):
        case 0:
            return _bomb(raw[:16], random.choice((1 << 20, 1 << 25, 1 << 28)))
        case 1:
            return data * random.choice((2, 500))
        case _:
            return gzip.compress(idx(raw, random, [raw]), mtime=0)


@cache
def _bomb(head: bytes, zeros: int) -> bytes:
    return gzip.compress(head + bytes(zeros), 1, mtime=0)


def idx(data: bytes, random: Random, seeds: Sequence[bytes]) -> bytes:
    """A number of the head changed."""
    changed = bytearray(data)
    if random.random() < 0.3:
        changed[random.randrange(4)] = random.choice((0, 1, 3, 8, 9, 255))
    else:
        struct.pack_into(">I", changed, 4 * random.randrange(1, 4), random.choice(NUMBERS) % 2**32)
    return bytes(changed)


def request(data: bytes, random: Random, seeds: Sequence[bytes]) -> bytes:
    """A header of an HTTP request changed, repeated, folded; requests behind each other; another body."""
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    place = random.randrange(len(lines))
    match random.randrange(8):
        case 0:
            return data * random.choice((2, 20)) + random.choice(list(seeds))
        case 1:
            body = random.choice(
                (b"", b"a" * 2000, b"%", b"a=%00&b", b"&" * 500, b"0\r\n\r\n", random.choice(list(seeds)))
            )
        case 2:
            del lines[place]
        case 3:
            lines[place : place + 1] = [lines[place]] * random.choice((2, 200))
        case 4:
            lines[place] = lines[place].replace(b" ", random.choice((b"  ", b"\t", b"\r\n ", b"\0", b"\n")), 1)
        case 5:
            name, colon, value = lines[place].partition(b":")
            lines[place] = (
                name
                + colon
                + random.choice((b"", b" ", b" -1", b" +5", b" 0x5", b" 1,2", b" " + b"9" * 30, value * 100, b" \xff"))
            )
        case 6:
            path = random.choice(
                (
                    b"/../x",
                    b"/%00",
                    b"/%",
                    b"//",
                    b"*",
                    b"/" + b"a" * 9000,
                    b"/images/..%2f.png",
                    b"http://[",
                    b"/?" + b"a=" * 900,
                )
            )
            verb, *rest = lines[0].split(b" ")
            lines[0] = b" ".join([verb, path, *rest[1:]])
        case _:
            lines.insert(place, random.choice(_HEADERS))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


_HEADERS = (
    b"Transfer-Encoding: chunked", b"Transfer-Encoding: xchunked", b"Content-Length: 5", b"Content-Length: 0",
    b"Expect: 100-continue", b"Upgrade: h2c", b"Connection: Upgrade, close", b"Upgrade: websocket", b"Cookie: a=b; a",
    b"X: " + b"x" * 20_000, b"Host: [", b"Range: bytes=0-", b"Origin: null", b"Content-Encoding: gzip",
    b"X-Forwarded-For: x",
)  # fmt: skip


STRUCTURES: dict[str, Mutator] = {
    ".json": json_text, ".key": json_text, ".jsonl": json_lines, ".toml": toml, ".csv": table, ".txt": table,
    ".safetensors": safetensors, ".png": pictures.png, ".jpg": pictures.jpeg, ".tiff": pictures.tiff,
    ".gif": pictures.gif, ".onnx": graphs.onnx_network, ".webp": pictures.riff,
    ".pickle": pickle, ".gz": gzipped, ".idx": idx, ".http": request,
}  # fmt: skip
