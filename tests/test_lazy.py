"""What does not wait for torch."""

import subprocess
import sys

import pytest

TORCH_FREE = (
    "import veil; dir(veil); veil.__version__",
    "import veil; veil.images.SUFFIXES",
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
    "from veil.models.architectures import ADAPTATIONS, ARCHITECTURES; dict(ADAPTATIONS), dict(ARCHITECTURES)",
    "from veil.data.layouts import DATASETS; dict(DATASETS)",
    "from veil.recipes import PAPERS; [r.cost('cpu') for p in PAPERS.values() for r in p.recipes]",
    "from veil.cli.reproduce import reproduce; reproduce(show_list=True)",
)


@pytest.mark.parametrize("code", TORCH_FREE)
def test_torch_is_not_imported(code: str) -> None:
    """Nor anything that imports it."""
    run = f"{code}\nimport sys\nassert 'torch' not in sys.modules, 'torch was imported'"
    subprocess.run([sys.executable, "-c", run], check=True)
