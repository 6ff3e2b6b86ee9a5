"""The type of a row of the table of readers."""

import lzma
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from fuzzing.mutators import Mutator

REPOSITORY = Path(__file__).resolve().parents[3]
CORPUS, OLD = "tests/corpus", "tests/support/old_formats/7c1583f"


class Prepared(NamedTuple):
    """A reader that is ready: a function of the mutated file's path, and the errors by which it may refuse it."""

    read: Callable[[Path], object]
    refusals: tuple[type[BaseException], ...]


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Something that reads what a stranger may have made.

    Attributes:
        name: as SECURITY.md lists it.
        title: what is read, in a few words.
        file: name of the mutated file, in the folder that the reader is prepared in.
        seeds: patterns below the repository.
        prepare: imports what it needs, and writes the other files that belong to the mutated one.
        seconds: of the processor for one input.
        mebibytes: of memory for one input, above what there was.
        longest: bytes of inputs that are changed further.
    """

    name: str
    title: str
    file: str
    seeds: tuple[str, ...]
    prepare: Callable[[Path], Prepared]
    seconds: float = 10.0
    mebibytes: float = 256.0
    longest: int = 1 << 20

    def corpus(self, structures: Mapping[str, Mutator]) -> list[tuple[bytes, Mutator | None]]:
        """Its seeds, each with the mutator of its suffix.

        Raises:
            FileNotFoundError: where a pattern matches nothing.
        """
        found: list[tuple[bytes, Mutator | None]] = []
        for pattern in self.seeds:
            files = sorted(REPOSITORY.glob(pattern))
            if not files:
                raise FileNotFoundError(f"no seed matches {pattern}")
            for file in files:
                packed = file.suffix == ".xz"
                data = lzma.decompress(file.read_bytes()) if packed else file.read_bytes()
                found.append((data, structures.get(Path(file.stem).suffix if packed else file.suffix)))
        return found
