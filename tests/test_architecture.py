"""The house rules that a machine can hold: which way imports go, what is public, what is never loaded."""

import ast
from pathlib import Path

import pytest

import veil

SOURCE = Path(veil.__file__).parent
# Lower numbers may not import higher ones; areas of one number do not import each other.
LEVELS = {
    "allocator": 0, "devices": 0, "images": 0, "keys": 0, "metrics": 0, "names": 0, "provenance": 0, "rows": 0,
    "seeds": 0,
    "models": 1, "data": 1, "folders": 1, "lossless": 1, "training": 1,
    "noise": 2, "encryption": 2, "transformation": 2, "obfuscation": 2, "attacks": 2,
    "evaluation": 3, "report": 4, "audit": 4, "study": 4, "protection": 4, "recipes": 5, "cli": 6, "__main__": 7,
}  # fmt: skip
SIBLINGS_APART = {2}


def imports(file: Path) -> set[str]:
    """Areas of veil that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            parts = node.module.split(".")
            if parts[0] == "veil":
                found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("veil.")}
    return found & set(LEVELS)


@pytest.mark.parametrize("file", sorted(SOURCE.rglob("*.py")), ids=lambda f: f.relative_to(SOURCE).as_posix())
def test_imports_go_one_way(file: Path) -> None:
    area = file.relative_to(SOURCE).parts[0].removesuffix(".py")
    if area == "__init__":
        return
    assert area in LEVELS, f"{area} has no place in the order of imports"
    for other in imports(file) - {area}:
        assert LEVELS[other] <= LEVELS[area], f"{area} imports {other}"
        assert not (LEVELS[other] == LEVELS[area] and LEVELS[area] in SIBLINGS_APART), f"{area} imports {other}"


def test_public_names_exist_and_are_sorted() -> None:
    assert all(hasattr(veil, name) for name in veil.__all__)
    assert sorted(veil.__all__) == sorted(set(veil.__all__))
    private = {"noise", "protection", "models", "evaluation"}
    assert not private & set(veil.__all__)


def test_nothing_foreign_is_executed() -> None:
    """Rule 8: no pickle, and torch.load only for plain tensors."""
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name for alias in node.names} | {getattr(node, "module", "") or ""}
                assert not names & {"pickle", "dill", "joblib", "cloudpickle"}, file
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                assert any(k.arg == "weights_only" and ast.unparse(k.value) == "True" for k in node.keywords), file
