"""The table of all readers. A new reader is one row in one of the modules below."""

from fuzzing import of_files, of_folders, of_requests, of_sets
from fuzzing.reader import Prepared as Prepared
from fuzzing.reader import Reader as Reader

READERS: dict[str, Reader] = {
    row.name: row for module in (of_files, of_folders, of_sets, of_requests) for row in module.ROWS
}
