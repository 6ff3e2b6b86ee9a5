"""The house rules that a machine can hold: which way imports go, what is public, what is never loaded."""

import ast
import re
from pathlib import Path

import pytest
from repository import REPOSITORY

import veil

SOURCE = Path(veil.__file__).parent
# The floors of the house, from the ground up. A file imports from its own floor and from those below it.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("runtime",),
    ("images", "metrics"),
    ("jobs",),
    ("data", "models"),
    ("training",),
    ("protections", "attacks"),
    ("report",),
    ("audits",),
    ("study", "recipes"),
    ("cli",),
    ("__main__",),
)
# Rooms on one floor that do not import each other; ``attacks.errors`` and the like, files beside the rooms, serve all.
APART = (
    "protections.noise", "protections.ciphers", "protections.transformation", "protections.features",
    "attacks.images", "attacks.features",
)  # fmt: skip
FILES = sorted(SOURCE.rglob("*.py"))


def module_of(file: Path) -> str:
    """``protections.noise.crs``; a package by its own name."""
    return ".".join(file.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(file): file for file in FILES}


def imported(file: Path, *, at_once: bool = False) -> set[str]:
    """Modules of veil that a file imports; with ``at_once`` only those that it imports when it is imported itself."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    late = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
        for inner in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if at_once and id(node) in late:
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "veil":
            base = (node.module or "").removeprefix("veil").removeprefix(".")
            for alias in node.names:
                inner = f"{base}.{alias.name}".removeprefix(".")
                found.add(inner if inner in MODULES else base)
        elif isinstance(node, ast.Import):
            found |= {alias.name.removeprefix("veil.") for alias in node.names if alias.name.startswith("veil.")}
    return found - {"__init__", ""}


def floor_of(module: str) -> int:
    room = module.split(".")[0]
    return next(number for number, floor in enumerate(FLOORS) if room in floor)


def room_of(module: str) -> str | None:
    return next((room for room in APART if module == room or module.startswith(room + ".")), None)


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_one_way(module: str) -> None:
    if module == "__init__":
        return
    for other in imported(MODULES[module]):
        assert floor_of(other) <= floor_of(module), f"{module} imports {other}, of a floor above"
        apart = room_of(module) is not None and room_of(other) is not None and room_of(module) != room_of(other)
        assert not apart, f"{module} imports {other}, which stands beside it"
        kinds = {module.split(".")[0], other.split(".")[0]}
        assert kinds != {"attacks", "protections"}, f"{module} imports {other}: attacks get what they know from outside"


def test_no_circle_of_imports() -> None:
    graph = {module: imported(file, at_once=True) & MODULES.keys() - {module} for module, file in MODULES.items()}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module not in done:
            for other in sorted(graph[module]):
                visit(other, (*path, module))
            done.add(module)

    for module in sorted(graph):
        if module != "__init__":
            visit(module, ())


def test_public_names_exist_and_are_sorted() -> None:
    assert all(hasattr(veil, name) for name in veil.__all__)
    assert sorted(veil.__all__) == sorted(set(veil.__all__))
    private = {"protections", "attacks", "models", "jobs"}
    assert not private & set(veil.__all__)
    assert set(veil.__all__) == {*veil._WHERE, "__version__"}
    assert set(veil.__all__) <= set(dir(veil))
    with pytest.raises(AttributeError, match="no attribute 'protection'"):
        veil.protection  # noqa: B018


def test_nothing_foreign_is_executed() -> None:
    """Rule 8: no pickle, and torch.load only for plain tensors."""
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name for alias in node.names} | {getattr(node, "module", "") or ""}
                assert not names & {"pickle", "dill", "joblib", "cloudpickle"}, file
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                assert any(k.arg == "weights_only" and ast.unparse(k.value) == "True" for k in node.keywords), file


def test_no_package_exports_a_name_that_one_of_its_modules_has() -> None:
    """Which of the two a program gets would depend on what was imported before."""
    for package in (module for module, file in MODULES.items() if file.name == "__init__.py" and module != "__init__"):
        tree = ast.parse(MODULES[package].read_text(encoding="utf-8"))
        names = {
            alias.asname or alias.name
            for node in tree.body
            if isinstance(node, ast.ImportFrom) and node.module != f"veil.{package}"
            for alias in node.names
        }
        names |= {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        modules = {module.removeprefix(f"{package}.") for module in MODULES if module.startswith(f"{package}.")}
        assert not names & modules, f"{package} exports {names & modules}"


HOUSE = REPOSITORY / "docs/house.md"


def test_the_map_of_the_house_names_every_room_on_its_floor() -> None:
    """Rooms are the packages of the tree; the page's table goes from floor to floor as `FLOORS` does."""
    cells = re.findall(r"^\| *(\d*) *\| `([^`]+)/` \|", HOUSE.read_text(encoding="utf-8"), re.MULTILINE)
    rooms = [room for _, room in cells]
    packages = {file.parent.relative_to(SOURCE).as_posix() for file in FILES if file.name == "__init__.py"} - {"."}
    assert sorted(rooms) == sorted(packages)
    floor = 0
    for number, room in cells:
        floor = int(number or floor)
        assert floor_of(room.replace("/", ".")) == floor - 1, f"{room} is not on floor {floor}"


def test_the_walks_through_the_house_name_files_that_exist() -> None:
    named = re.findall(r"`([a-z0-9_/]+\.py)`", HOUSE.read_text(encoding="utf-8"))
    files = {file.relative_to(SOURCE).as_posix() for file in FILES}
    known = files | {file.name for file in FILES}
    assert len(named) > 30
    assert not [name for name in named if name not in known and not (REPOSITORY / name).is_file()]


# What reads or unpacks what others wrote, and the one place for it. Elsewhere it is used on what Veil itself holds.
READERS = {
    "json.loads": {"runtime.foreign"},
    "json.load": {"runtime.foreign"},
    "json.JSONDecoder": {"runtime.foreign"},
    "tomllib.loads": {"runtime.foreign"},
    "tomllib.load": {"runtime.foreign"},
    "gzip.GzipFile": {"runtime.foreign"},
    "gzip.open": set(),
    "gzip.decompress": set(),
    "zlib.decompress": {"jobs.rows"},  # arrays in rows of results
    "csv.reader": {"runtime.csv_files"},
    "csv.DictReader": set(),
    "csv.writer": {"runtime.csv_files"},
    "csv.DictWriter": set(),
    "np.fromfile": set(),
    "np.load": set(),
}
# Who reads a file's bytes or text otherwise: images, what packages hold, the system's, and files of a checked size.
OTHER_FILES = {
    "images.decoding", "data.decoding", "cli.demo", "recipes.free_photos", "runtime.provenance", "jobs.locks",
    "report.page", "images.decoding_process",
}  # fmt: skip


def calls_in(module: str) -> list[ast.Call]:
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


@pytest.mark.parametrize("module", MODULES)
def test_what_others_wrote_is_read_in_one_place(module: str) -> None:
    """`veil.runtime.foreign` and `veil.runtime.csv_files` have limits on size, depth and numbers."""
    for call in calls_in(module):
        name = ast.unparse(call.func)
        copies = name == "json.loads" and ast.unparse(call.args[0]).startswith("json.dumps(")
        if name in READERS and not copies:
            assert module in READERS[name], f"{module} calls {name}: read with veil.runtime.foreign"
        if name.endswith((".read_text", ".read_bytes")):
            assert module in OTHER_FILES, f"{module} reads a file whole: use veil.runtime.foreign"


# Who uses names that were read from a file, and what checks them.
NAMES = {
    "data.face_lists": "checked",  # CelebA and tables of attributes
    "jobs.folders": "Resolver",  # rows and manifests of folder jobs
    "jobs.naming": "checked",  # names of outputs in rows
    "models.cards": "below",  # weights and labels of cards
    "report.pictures": "below",  # outputs in rows, on pages
    "study.folder": "Resolver",  # pictures of studies
}


def test_names_in_files_are_checked_in_one_place() -> None:
    """`veil.runtime.names` refuses what leads out of a folder; no other module takes names apart to that end."""
    for module, check in NAMES.items():
        assert any(ast.unparse(call.func).endswith(f"names.{check}") for call in calls_in(module)), module
    for module in MODULES.keys() - {"runtime.names"}:
        parts = [node.value for node in ast.walk(ast.parse(MODULES[module].read_text("utf-8")))
                 if isinstance(node, ast.Constant) and node.value == ".."]  # fmt: skip
        assert not parts or module in {"runtime.provenance", "jobs.layout"}, (
            f"{module} looks for '..': use veil.runtime.names"
        )
