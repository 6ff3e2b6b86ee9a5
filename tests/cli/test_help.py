"""The help of every command: groups, examples, defaults; and what a shell completes."""

import shlex
from collections.abc import Iterator
from typing import Any, get_args, get_origin

import pytest
import typer.main
import typer.rich_utils
from commands import said, veil

from veil.cli.app import GROUPS, app
from veil.cli.examples import examples_in
from veil.cli.protect import protect
from veil.cli.reference import commands, shown_default
from veil.images import FORMATS
from veil.protections.noise.engine import Precision
from veil.runtime.devices import NAMES

Captured = pytest.CaptureFixture[str]
PROGRAM: Any = typer.main.get_command(app)


def _all(group: Any = PROGRAM, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command and every group of commands, with the words that call it after ``veil``."""
    yield words, group
    for name, command in getattr(group, "commands", {}).items():
        yield from _all(command, (*words, name))


ALL = dict(_all())


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in the help is folded."""
    monkeypatch.setattr(typer.rich_utils, "MAX_WIDTH", 2000)


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_every_help_has_examples_that_parse(words: tuple[str, ...], capsys: Captured) -> None:
    lines = examples_in(ALL[words].epilog)
    assert lines
    assert veil(*words, "--help") == 0
    shown = " ".join(capsys.readouterr().out.split())
    for line in lines:
        assert line in shown
        program, *rest = shlex.split(line)
        assert program == "veil"
        _parse(rest)


def _parse(rest: list[str]) -> None:
    """Parses the words of an example as the command line does, and runs nothing."""
    command = PROGRAM
    while rest and rest[0] in getattr(command, "commands", {}):
        command, rest = command.commands[rest[0]], rest[1:]
    if rest != ["--help"]:
        assert not hasattr(command, "commands")
        command.make_context("veil", rest)


def test_a_wrong_example_would_be_noticed() -> None:
    with pytest.raises(Exception, match="No such option"):
        _parse(["protect", "cat.jpg", "-o", "out", "--no-such-option"])


@pytest.mark.parametrize(("name", "command"), list(commands(PROGRAM, "veil")), ids=lambda value: str(value)[:24])
@pytest.mark.usefixtures("wide")
def test_the_help_shows_every_default(name: str, command: Any, capsys: Captured) -> None:
    assert veil(*name.split()[1:], "--help") == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    for parameter in command.params:
        if parameter.required or getattr(parameter, "is_flag", False):
            continue
        default, called = shown_default(parameter), parameter.opts[0]
        assert default, f"{called} does not say what it is by default"
        line = next((line for line in lines if line.lstrip("│* ").startswith(called)), " ".join(lines))
        assert f"[default: {default}]" in line or f"[default: ({default})]" in line, called


@pytest.mark.usefixtures("wide")
def test_options_of_schemes_show_the_defaults_of_their_schemes(capsys: Captured) -> None:
    veil("protect", "--help")
    step = next(line for line in capsys.readouterr().out.splitlines() if "--step " in line)
    assert "[default: (1; entropy: 0.5)]" in step


def test_commands_are_shown_in_groups(capsys: Captured) -> None:
    veil("--help")
    shown = capsys.readouterr().out
    places = [shown.index(f"─ {group} ─") for group in GROUPS]
    assert places == sorted(places)
    assert "─ Commands ─" not in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("protect", "x.png", "-o", "out", "--format", "gif"), f"there is no 'gif'; there are {', '.join(FORMATS)}"),
        (("train", "--data", "x", "-o", "out", "--schedule", "slow"), "there is no 'slow'; there are paper, fast"),
        (("obfuscate", "train", "--target", "x", "-o", "out", "--scale", "cpu"), "there is no 'cpu'; there are full"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_other_names_than_those_of_the_table_are_wrong_usage(
    words: tuple[str, ...], message: str, capsys: Captured
) -> None:
    assert veil(*words) == 2
    assert message in said(capsys)


def test_precisions_are_those_of_the_engine() -> None:
    """They stand in the command line, too, which does not import the engine for its help."""
    kind = protect.__annotations__["precision"].__origin__
    assert get_args(kind) == get_args(Precision)
    assert get_origin(kind) is get_origin(Precision)


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("veil protect --scheme ", {"crs", "cis", "entropy"}),
        ("veil protect --format ", set(FORMATS)),
        ("veil protect --model ", {"things100", "mnist-cnn"}),
        ("veil protect --device ", set(NAMES)),
        ("veil protect --precision ", {"auto", "float32", "bfloat16"}),
        ("veil encrypt --cipher ", {"tanaka", "pixel"}),
        ("veil encrypt --format ", {"png", "webp", "tiff"}),
        ("veil train --schedule ", {"paper", "fast"}),
        ("veil train --network res", {"resnet18", "residual"}),
        ("veil transform train --preset ", {"paper", "veil"}),
        ("veil obfuscate train --split ", {"official", "paper"}),
        ("veil audit tan", {"tanaka"}),
        ("veil audit tanaka --attacks all,pixel-", {"all,pixel-statistics"}),
        ("veil reproduce l", {"liu2019", "li2019"}),
    ],
)
def test_a_shell_is_offered_the_names(typed: str, offered: set[str], monkeypatch: pytest.MonkeyPatch,
                                      capsys: Captured) -> None:  # fmt: skip
    words = typed.split(" ")
    monkeypatch.setenv("_VEIL_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    monkeypatch.setattr("sys.argv", ["veil"])
    with pytest.raises(SystemExit):
        PROGRAM(prog_name="veil")
    assert offered <= set(capsys.readouterr().out.split())
