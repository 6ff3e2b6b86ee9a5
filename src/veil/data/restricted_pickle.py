"""Reads the pickles of published data sets without running anything in them.

A pickle is a program for a small virtual machine, and Python's own machine calls whatever the program names. CIFAR's
files are dictionaries of strings, numbers, lists and NumPy arrays of bytes. `load` is a machine that knows only the few
instructions for these. A name in the file becomes a `_Token`, which cannot be called or changed. The three calls in
such files are recognised by their arguments and carried out here. Everything else is refused.

Memory stays near the size of the file: arrays are views of its bytes, the number of instructions is limited, and the
bytes that text is converted to are limited by the file's size.
"""

import math
import pickletools
from collections.abc import Callable
from enum import Enum, auto
from pathlib import Path
from typing import Any

import numpy as np

from veil.runtime import foreign

MOST_BYTES = 1 << 29
"""Of a file. CIFAR-100's training images have 155 million; written again by Python 3, up to twice as many."""
MOST_STEPS = 1_000_000
"""Instructions in a file. CIFAR-100's training images have some 200,000; written again by Python 3, some 500,000."""
_MOST_AXES = 4


class PickleRefused(ValueError):
    """The file is not a pickle, or needs more than plain data does; the message is one line."""


class _Token(Enum):
    """The replacement for a name in a file."""

    NDARRAY = auto()
    DTYPE = auto()
    RECONSTRUCT = auto()
    ENCODE = auto()
    UINT8 = auto()  # what calling DTYPE gives


class _Blank:
    """An array that is filled by a later instruction; ``places`` are those of the memo that hold it."""

    def __init__(self) -> None:
        self.places: list[int] = []


_TOKENS = {
    ("numpy", "ndarray"): _Token.NDARRAY,
    ("numpy", "dtype"): _Token.DTYPE,
    ("_codecs", "encode"): _Token.ENCODE,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Token.RECONSTRUCT for core in ("core", "_core")},
}
_VALUES = frozenset({
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
})  # fmt: skip
"""Instructions that push their argument."""
_STRINGS = frozenset({"STRING", "BINSTRING", "SHORT_BINSTRING"})
"""The same for Python 2's strings, which are bytes."""
_MADE: dict[str, Callable[[], object]] = {
    "EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple,
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False,
}  # fmt: skip
_IGNORED = frozenset({"PROTO", "FRAME", "STOP"})


def load(file: Path) -> Any:
    """The plain data in a pickle; strings of Python 2 come as bytes, arrays cannot be written to.

    Raises:
        PickleRefused: where the file is more than plain data, is no pickle, or is larger than `MOST_BYTES`.
    """
    try:
        return _Machine(foreign.bytes_of(file, MOST_BYTES)).run()
    except foreign.Unreadable as error:
        raise PickleRefused(str(error)) from None
    except PickleRefused as error:
        raise PickleRefused(f"{file.name}: refused: {error}") from None
    except Exception as error:  # what a broken pickle leads to is too varied to list
        raise PickleRefused(f"{file.name}: not a pickle of plain data ({type(error).__name__})") from None


class _Machine:
    """Carries out the instructions of one file. Inconsistent instructions may raise any exception."""

    def __init__(self, program: bytes) -> None:
        self.program = program
        self.stack: list[Any] = []
        self.marks: list[int] = []  # heights of the stack
        self.memo: dict[int, Any] = {}
        self.encoded = 0
        self.instructions = {
            "MARK": self.mark, "PUT": self.put, "BINPUT": self.put, "LONG_BINPUT": self.put, "MEMOIZE": self.put,
            "GET": self.get, "BINGET": self.get, "LONG_BINGET": self.get,
            "TUPLE": self.make_tuple, "TUPLE1": self.make_tuple, "TUPLE2": self.make_tuple, "TUPLE3": self.make_tuple,
            "LIST": self.make_list, "APPEND": self.append, "APPENDS": self.append,
            "DICT": self.make_dict, "SETITEM": self.set_items, "SETITEMS": self.set_items,
            "GLOBAL": self.name, "STACK_GLOBAL": self.name, "REDUCE": self.call, "BUILD": self.fill,
        }  # fmt: skip

    def run(self) -> Any:
        for number, (opcode, argument, _) in enumerate(pickletools.genops(self.program), start=1):
            if number > MOST_STEPS:
                raise PickleRefused(f"it has more than {MOST_STEPS:,} instructions")
            self.step(opcode.name, argument)
        (data,) = self.stack
        if isinstance(data, _Token | _Blank):
            raise PickleRefused("it holds no data")
        return data

    def step(self, name: str, argument: Any) -> None:
        if name in _VALUES:
            self.stack.append(argument)
        elif name in _STRINGS:
            self.stack.append(argument.encode("latin1"))  # as `pickletools` decoded it
        elif name in _MADE:
            self.stack.append(_MADE[name]())
        elif name in self.instructions:
            self.instructions[name](name, argument)
        elif name not in _IGNORED:
            raise PickleRefused(f"it has the instruction {name}, which plain data does not need")

    def mark(self, name: str, argument: Any) -> None:
        self.marks.append(len(self.stack))

    def above_mark(self) -> list[Any]:
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def put(self, name: str, argument: Any) -> None:
        place = len(self.memo) if name == "MEMOIZE" else argument
        if not 0 <= place < MOST_STEPS:
            raise PickleRefused("it numbers its objects in an unusual way")
        self.memo[place] = self.stack[-1]
        if isinstance(self.stack[-1], _Blank):
            self.stack[-1].places.append(place)

    def get(self, name: str, argument: Any) -> None:
        self.stack.append(self.memo[argument])

    def make_tuple(self, name: str, argument: Any) -> None:
        if name != "TUPLE":
            self.marks.append(len(self.stack) - int(name.removeprefix("TUPLE")))
        self.stack.append(tuple(self.above_mark()))

    def make_list(self, name: str, argument: Any) -> None:
        self.stack.append(self.above_mark())

    def append(self, name: str, argument: Any) -> None:
        items = self.above_mark() if name == "APPENDS" else [self.stack.pop()]
        if not isinstance(self.stack[-1], list):
            raise PickleRefused("it appends to what is no list")
        self.stack[-1].extend(items)

    def make_dict(self, name: str, argument: Any) -> None:
        items = self.above_mark()
        self.stack.append({})
        self.update(items)

    def set_items(self, name: str, argument: Any) -> None:
        if name == "SETITEM":
            self.marks.append(len(self.stack) - 2)
        self.update(self.above_mark())

    def update(self, items: list[Any]) -> None:
        keys, values = items[::2], items[1::2]
        # Hashing nested tuples can take forever, and numbers can be chosen to collide.
        if not isinstance(self.stack[-1], dict) or not all(isinstance(key, str | bytes) for key in keys):
            raise PickleRefused("it sets items that are not those of a dictionary with strings for keys")
        self.stack[-1].update(zip(keys, values, strict=True))

    def name(self, name: str, argument: Any) -> None:
        if name == "STACK_GLOBAL":
            called, module = self.stack.pop(), self.stack.pop()
        else:
            module, _, called = argument.partition(" ")
        if not isinstance(module, str) or not isinstance(called, str):
            raise PickleRefused("it asks for something without a name")
        if (module, called) not in _TOKENS:
            raise PickleRefused(f"it asks for {f'{module}.{called}'[:80]}, which plain data does not need")
        self.stack.append(_TOKENS[module, called])

    def call(self, name: str, argument: Any) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        match function, arguments:
            case _Token.RECONSTRUCT, (_Token.NDARRAY, (0,), "b" | b"b"):
                self.stack.append(_Blank())
            case _Token.DTYPE, ("u1" | b"u1", 0, 1):
                self.stack.append(_Token.UINT8)
            case _Token.ENCODE, (str(text), "latin1"):
                self.stack.append(self.encode(text))
            case _Token.DTYPE, _:
                raise PickleRefused("it has an array of other values than bytes")
            case _:
                raise PickleRefused("it makes something in a way that plain data does not need")

    def encode(self, text: str) -> bytes:
        """Python 2's bytes as Python 3 writes them. A text that is encoded again and again would fill the memory."""
        self.encoded += len(text)
        if self.encoded > len(self.program):
            raise PickleRefused("it makes more bytes than it has")
        return text.encode("latin1")

    def fill(self, name: str, argument: Any) -> None:
        state = self.stack.pop()
        match self.stack[-1], state:
            case _Token.UINT8, (3, "|" | b"|", None, None, None, -1, -1, 0):
                pass  # what every dtype of bytes has
            case _Blank(places=places), (1, tuple(shape), _Token.UINT8, int(by_columns), bytes(values)):
                self.stack[-1] = _array(shape, values, bool(by_columns))
                self.memo.update(dict.fromkeys(places, self.stack[-1]))
            case _:
                raise PickleRefused("it fills something in a way that plain data does not need")


def _array(shape: tuple[Any, ...], values: bytes, by_columns: bool) -> np.ndarray[Any, Any]:
    axes_fit = 1 <= len(shape) <= _MOST_AXES and all(type(side) is int and 0 <= side <= MOST_BYTES for side in shape)
    if not axes_fit or math.prod(shape) != len(values):
        raise PickleRefused("it has an array whose shape does not fit its values")
    return np.frombuffer(values, np.uint8).reshape(shape, order="F" if by_columns else "C")
