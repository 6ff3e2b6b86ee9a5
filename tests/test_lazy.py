"""What does not wait for torch."""

import subprocess
import sys

TORCH_FREE = (
    "import veil; dir(veil); veil.__version__",
    "import veil; veil.images.SUFFIXES",
    "import veil.cli.app",
    "from veil.protections.noise import SCHEMES; [(row.title, row.settings()) for row in SCHEMES.values()]",
    "from veil.attacks.noise import NOISE_ATTACKS; dict(NOISE_ATTACKS)",
    "from veil.protections import PROTECTIONS; [(row.title, row.settings) for row in PROTECTIONS.values()]",
    "from veil.protections.transformation import METHODS; [(row.title, row.presets) for row in METHODS.values()]",
    "from veil.attacks.images import ATTACKS; [(row.title, row.settings) for row in ATTACKS.values()]",
    "import veil; veil.audit, veil.encrypt, veil.decrypt, veil.transform, veil.ImageTransform, veil.Key",
    "from veil.attacks.features import FEATURE_ATTACKERS; dict(FEATURE_ATTACKERS)",
    "from veil.protections.features import PRESETS; dict(PRESETS)",
    "from veil.audits.features import FeatureAuditResult, audit_client; import veil.audits.protocol",
    "import veil; veil.obfuscate, veil.classify, veil.Features, veil.FeatureAuditResult",
    "import veil.cli.obfuscate, veil.cli.obfuscate_train, veil.cli.audit_features, veil.cli.audit_pictures",
    "import veil.cli.protect",
    "import veil.cli.models, veil.cli.reproduce, veil.cli.train",
    "import veil.cli.audit, veil.cli.encrypt, veil.cli.key, veil.cli.transform",
    "import veil.runtime.lazy, veil.runtime.tables, veil.jobs.folders, veil.jobs.rows",
    "import veil.models.weights",
    "from veil.models.names import packaged; packaged()",
    "from veil.training.classifier_settings import PRESETS; dict(PRESETS)",
    "from veil.models.architectures import ADAPTATIONS, ARCHITECTURES; dict(ADAPTATIONS), dict(ARCHITECTURES)",
    "from veil.data.layouts import DATASETS; dict(DATASETS)",
    "from veil.recipes import PAPERS; [r.cost('cpu') for p in PAPERS.values() for r in p.recipes]",
    "from veil.cli.reproduce import reproduce; reproduce(show_list=True)",
)


def test_torch_is_not_imported() -> None:
    """Nor anything that imports it; all in one process, which says after what it was."""
    check = "assert 'torch' not in sys.modules, {!r}"
    lines = [line for code in TORCH_FREE for line in (code, check.format(code))]
    subprocess.run([sys.executable, "-c", "\n".join(["import sys", *lines])], check=True)


def test_help_and_completion_do_not_wait_for_torch() -> None:
    """Nor for NumPy or Pillow: the help of every command, and what a shell is offered for values and options."""
    code = """
import os, sys
import typer.main
from veil.cli import main
from veil.cli.app import app

HEAVY = {"torch", "numpy", "PIL", "scipy", "matplotlib", "lightning_fabric"}

def run(*words, after):
    try:
        main(words or None)
    except SystemExit as stop:
        assert stop.code == 0, after
    assert not HEAVY & sys.modules.keys(), (after, HEAVY & sys.modules.keys())

def helped(group, words):
    run(*words, "--help", after=words)
    for name, command in getattr(group, "commands", {}).items():
        helped(command, [*words, name])

def completed(command, words):
    os.environ |= {"COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    run(after=words)

def values(group, words):
    for parameter in group.params:
        if parameter.opts[0].startswith("--") and not parameter.is_flag:
            completed(group, [*words, parameter.opts[0], ""])
    completed(group, [*words, ""])
    completed(group, [*words, "--"])
    for name, command in getattr(group, "commands", {}).items():
        values(command, [*words, name])

program = typer.main.get_command(app)
helped(program, [])
os.environ |= {"_VEIL_COMPLETE": "complete_bash"}
sys.argv = ["veil"]
values(program, ["veil"])
completed(program, ["veil", "train", "--network", "res"])
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "resnet18" in done.stdout.splitlines()[-1] + done.stdout.splitlines()[-2]
