"""CIFAR's pickles as Python 2 and Python 3 write them, and files that use pickle's instructions to harm."""

import pickle
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from veil.data import restricted_pickle
from veil.data.restricted_pickle import PickleRefused

NDARRAY, DTYPE = b"cnumpy\nndarray\n", b"cnumpy\ndtype\n"
EMPTY = b"cnumpy.core.multiarray\n_reconstruct\n" + NDARRAY + b"K\x00\x85U\x01b\x87R"
BYTES = DTYPE + b"U\x02u1K\x00K\x01\x87R"
STATE = b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
POINTERS = b"\x80\x03" + NDARRAY + b"K\x01\x85X\x01\x00\x00\x00OC\x08AAAAAAAA\x87R."
"""An array of one object that lies at an address of the file's choice."""


def array(shape: bytes, values: bytes, dtype: bytes = BYTES + STATE, order: bytes = b"\x89") -> bytes:
    return EMPTY + b"(K\x01" + shape + dtype + order + b"T" + struct.pack("<i", len(values)) + values + b"tb"


def read(folder: Path, content: bytes) -> Any:
    (folder / "batch").write_bytes(content)
    return restricted_pickle.load(folder / "batch")


def test_a_file_of_python_2_is_read(tmp_path: Path) -> None:
    """The instructions of CIFAR-10's ``data_batch_1``, with fewer images, of 2×3 bytes."""
    content = (
        b"\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x15training batch 1 of 5q\x03U\x06labelsq\x04]q\x05(K\x06K\x09e"
        b"U\x04dataq\x06cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85U\x01b\x87Rq\t"
        b"(K\x01K\x02K\x03\x86cnumpy\ndtype\nq\nU\x02u1K\x00K\x01\x87Rq\x0b"
        b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x06\x00\x01\x7f\x80\xfe\xfftb"
        b"U\tfilenamesq\x0c]q\r(U\x05a.pngq\x0eU\x05b.pngq\x0feu."
    )
    found = read(tmp_path, content)
    expected = pickle.loads(content, encoding="bytes")
    assert found.pop(b"data").tolist() == expected.pop(b"data").tolist() == [[0, 1, 127], [128, 254, 255]]
    assert found == expected
    assert found[b"labels"] == [6, 9]


@pytest.mark.parametrize("protocol", range(5))
@pytest.mark.parametrize("by_columns", [False, True])
def test_what_python_3_writes_is_read(tmp_path: Path, protocol: int, by_columns: bool) -> None:
    values = np.arange(0, 252, dtype=np.uint8).reshape(84, 3)
    first = np.asfortranarray(values) if by_columns else values
    data = {
        b"first": first,
        b"again": first,
        b"second": values[:1],
        b"names": [b"\xff\x00", "ü"],
        b"n": [1, 2.5, -7, None],
    }
    found = read(tmp_path, pickle.dumps(data, protocol=protocol))
    assert {key: found[key] for key in (b"names", b"n")} == {key: data[key] for key in (b"names", b"n")}
    assert found[b"first"] is found[b"again"]
    for key in (b"first", b"second"):
        assert found[key].dtype == np.uint8
        assert np.array_equal(found[key], data[key])


def test_names_of_numpy_are_opaque(tmp_path: Path) -> None:
    """The numbers that NumPy's own `ndarray` would take for addresses are never seen by it."""
    with pytest.raises(PickleRefused, match="in a way that plain data does not need"):
        read(tmp_path, POINTERS)


SHAPES = {
    "objects": array(b"K\x01\x85", b"A" * 8, DTYPE + b"U\x02O8K\x00K\x01\x87R" + STATE.replace(b"|", b"<")),
    "float32": array(b"K\x01\x85", b"A" * 4, DTYPE + b"U\x02f4K\x00K\x01\x87R"),
    "fields": array(
        b"K\x01\x85", b"A",
        BYTES + b"(K\x03U\x01|NU\x01a\x85}U\x01a" + BYTES + b"K\x00\x86sJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb",
    ),
    "metadata": array(b"K\x01\x85", b"A", BYTES + b"(K\x04U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00}tb"),
    "sub-array": array(
        b"K\x01\x85", b"A", BYTES + b"(K\x03U\x01|" + BYTES + b"K\x09\x85\x86NNK\x09K\x01K\x00tb"
    ),
    "wide items": array(b"K\x01\x85", b"A", BYTES + STATE.replace(b"J\xff\xff\xff\xff", b"J\xff\xff\xff\x0f")),
    "a flag for objects": array(b"K\x01\x85", b"A", BYTES + STATE.replace(b"K\x00tb", b"K\x3ftb")),
    "a name for a dtype": array(b"K\x01\x85", b"A", DTYPE),
    "huge": array(b"J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86", b"A"),
    "huge and empty": array(b"K\x00\x8a\x08" + b"\xff" * 7 + b"\x7f\x86", b""),
    "overflow": array(b"\x8a\x05\x00\x00\x00\x00\x01" * 2 + b"\x86", b""),
    "negative": array(b"J\xff\xff\xff\xffJ\xff\xff\xff\xff\x86", b"A"),
    "too short": array(b"K\x02\x85", b"A"),
    "too long": array(b"K\x02\x85", b"AAA"),
    "a fraction": array(b"G?\xf0\x00\x00\x00\x00\x00\x00\x85", b"A"),
    "a truth": array(b"\x88\x85", b"A"),
    "no axes": array(b")", b"A"),
    "many axes": array(b"(" + b"K\x01" * 60 + b"t", b"A"),
    "a list": array(b"]K\x01a", b"A"),
    "text": EMPTY + b"(K\x01K\x01\x85" + BYTES + b"\x89X\x01\x00\x00\x00Atb",
    "another version": array(b"K\x01\x85", b"A").replace(b"(K\x01K", b"(K\x02K"),
    "filled twice": array(b"K\x01\x85", b"A") + b"(K\x01K\x02\x85" + BYTES + b"\x89U\x02AAtb",
    "not filled": EMPTY,
    "begun with a size": EMPTY.replace(b"K\x00\x85", b"J\xff\xff\xff\x7f\x85"),
    "begun with objects": EMPTY.replace(b"U\x01b", b"U\x01O"),
    "begun with a dtype": EMPTY.replace(NDARRAY, DTYPE),
}  # fmt: skip


@pytest.mark.parametrize("content", SHAPES.values(), ids=SHAPES)
def test_arrays_are_of_bytes_and_as_large_as_what_is_there(tmp_path: Path, content: bytes) -> None:
    assert read(tmp_path, b"\x80\x02" + array(b"K\x02K\x01\x86", b"AB") + b".").tolist() == [[65], [66]]
    with pytest.raises(PickleRefused, match=r"^batch: refused: "):
        read(tmp_path, b"\x80\x02" + content + b".")


ENCODE, ONE = b"c_codecs\nencode\n", b"X\x01\x00\x00\x00A"
CALLS = {
    "ndarray": NDARRAY + b"K\x01\x85\x85R",
    "ndarray of a buffer": NDARRAY + b"K\x01\x85U\x01OU\x08AAAAAAAA\x87R",
    "ndarray by NEWOBJ": NDARRAY + b"K\x01\x85\x85\x81",
    "ndarray by NEWOBJ_EX": NDARRAY + b"K\x01\x85\x85}\x92",
    "ndarray by OBJ": b"(" + NDARRAY + b"K\x01\x85o",
    "ndarray by INST": b"(K\x01\x85inumpy\nndarray\n",
    "dtype of objects": DTYPE + b"U\x01O\x85R",
    "dtype by NEWOBJ": DTYPE + b"U\x02u1K\x00K\x01\x87\x81",
    "dtype by OBJ": b"(" + DTYPE + b"U\x02u1o",
    "dtype by INST": b"(U\x02u1inumpy\ndtype\n",
    "dtype that shares": DTYPE + b"U\x02u1K\x00K\x00\x87R",
    "encode to another": ENCODE + ONE + b"X\x05\x00\x00\x00utf-8\x86R",
    "encode by a codec": ENCODE + b"U\x01AX\x03\x00\x00\x00hex\x86R",
    "encode without one": ENCODE + ONE + b"\x85R",
    "encode with handler": ENCODE + ONE + b"X\x06\x00\x00\x00latin1X\x07\x00\x00\x00replace\x87R",
    "a dictionary for ndarray": NDARRAY + b"}U\x01aK\x01sb",
    "slots for ndarray": NDARRAY + b"N}U\x08__init__K\x01s\x86b",
    "a dictionary for dtype": DTYPE + b"}b",
    "a dictionary for bytes": BYTES + b"}U\x01_K\x01sb",
    "defaults for encode": ENCODE + b"N}X\x0c\x00\x00\x00__defaults__X\x03\x00\x00\x00hex\x85s\x86b",
    "a dictionary for an array": array(b"K\x01\x85", b"A") + b"}b",
    "a dictionary for an empty array": EMPTY + b"}b",
    "a dictionary for a list": b"]}U\x01aK\x01sb",
    "an item of a name": NDARRAY + b"K\x01K\x02s",
    "an item of an array": array(b"K\x01\x85", b"A") + b"K\x00K\x02s",
    "appending to an array": array(b"K\x01\x85", b"A") + b"K\x02a",
    "a call of a number": b"K\x01)R",
    "a call of an array": array(b"K\x01\x85", b"A") + b")R",
    "another name of numpy": b"cnumpy\nfromfile\nU\x01x\x85R",
    "a name in a name": b"cnumpy\nndarray.tofile\n",
    "a name by its parts": b"\x8c\x05numpy\x8c\x07memmap\x93",
    "a name of numbers": b"K\x01K\x02\x93",
    "an extension": b"\x82\x01",
    "something outside": b"U\x01xQ",
    "something outside, as text": b"Px\n",
    "a buffer outside": b"\x97",
    "a writable buffer": b"\x96\xff\xff\xff\xff\xff\xff\xff\x7f",
}


@pytest.mark.parametrize("content", CALLS.values(), ids=CALLS)
def test_nothing_is_called_or_changed(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(PickleRefused, match=r"^batch: .*plain data|^batch: refused: it "):
        read(tmp_path, b"\x80\x04" + content + b".")
    assert read(tmp_path, b"\x80\x02" + ENCODE + b"X\x02\x00\x00\x00\xc3\xbfX\x06\x00\x00\x00latin1\x86R.") == b"\xff"


NESTED = b")" + b"q\x00h\x00\x86" * 100  # a tuple of two tuples of two ...; hashing it takes 2 to the 100 steps
MEMO = {
    "a far place": b"]r\xff\xff\xff\x7f.",  # Python's own reader makes room for all places before it: 32 GiB
    "a place below the first": b"]p-1\n.",
    "what is not there": b"h\x01.",
    "another for ndarray": NDARRAY + b"q\x00]q\x00h\x00)R.",
    "an array in its own state": EMPTY + b"q\x00(K\x01K\x01\x85h\x00\x89U\x01Atb.",
    "a key that takes forever": b"}" + NESTED + b"K\x01s.",
    "a name that takes forever": NESTED + b"h\x00\x93.",
    "a key that is an array": b"}" + array(b"K\x01\x85", b"A") + b"K\x01s.",
    "a stack that is too low": b"a.",
    "a mark that is too low": b"(e.",
    "a mark that is missing": b"]K\x01e.",
    "two results": b"K\x01K\x02.",
    "no result": b".",
    "a cut": EMPTY,
    "a length that is not there": b"T\xff\xff\xff\x7fA.",
    "many digits": b"I" + b"9" * 10_000 + b"\n.",
}  # fmt: skip


@pytest.mark.parametrize("content", MEMO.values(), ids=MEMO)
def test_tricks_with_memo_and_stack_are_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(PickleRefused, match=r"^batch: "):
        read(tmp_path, b"\x80\x04" + content)


def test_bytes_are_not_made_again_and_again(tmp_path: Path) -> None:
    text = b"X\x00\x10\x00\x00" + b"A" * 4096 + b"q\x02"
    latin1 = b"X\x06\x00\x00\x00latin1q\x03"
    once = b"\x80\x02(" + ENCODE + b"q\x01" + text + latin1 + b"\x86R"
    assert read(tmp_path, once + b"t.") == (b"A" * 4096,)
    with pytest.raises(PickleRefused, match="more bytes than it has"):
        read(tmp_path, once + b"h\x01h\x02h\x03\x86R" * 20 + b"t.")


def test_the_number_of_instructions_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restricted_pickle, "MOST_STEPS", 100)
    assert len(read(tmp_path, b"(" + b"]" * 97 + b"l.")) == 97
    with pytest.raises(PickleRefused, match=re.escape("more than 100 instructions")):
        read(tmp_path, b"(" + b"]" * 98 + b"l.")


def test_the_size_of_the_file_has_a_limit(tmp_path: Path) -> None:
    with (tmp_path / "batch").open("wb") as file:
        file.truncate(restricted_pickle.MOST_BYTES + 1)
    with pytest.raises(PickleRefused, match="bytes, more than the"):
        restricted_pickle.load(tmp_path / "batch")
