"""An audit of a client from Python, and folders of audits that go on: of older versions, and with other attackers."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import obfuscators
import pytest
from torch import Tensor

from veil.attacks.features import FEATURE_ATTACKERS, AttributeAttacker, TrainedAttack
from veil.attacks.features.attackers import KnownAttributes
from veil.audits.features import FeatureAuditResult, audit_client
from veil.audits.features.api import Progress
from veil.audits.features.settings import SCALES, FeatureAuditSettings, named, recorded_before
from veil.audits.protocol import UnknownTrainingFaces
from veil.data.faces import FaceParts
from veil.jobs.rows import Row, RowFile, RowsError
from veil.protections.features.file import Client, Service
from veil.protections.features.trainer import drawn_faces
from veil.recipes.li2019 import audits, figure7, reduced, tradeoff, variants
from veil.recipes.li2019.variants import SETTINGS, VARIANTS
from veil.training.run import Run

RESULTS = Path(__file__).parents[3] / "results/li2019"


@pytest.fixture(scope="module")
def faces() -> FaceParts:
    return drawn_faces(32, 0)


@pytest.fixture(scope="module")
def pair(faces: FaceParts) -> tuple[Client, Service]:
    training = {"data": faces.name, "fingerprint": faces.fingerprint, "split": "official", "split_seed": 0}
    return obfuscators.tiny(
        size=(32, 32), target=("Smiling", "High_Cheekbones"), hides=("Male",), training=training
    )  # fmt: skip


def sign(own: KnownAttributes, validation: KnownAttributes, settings: Any, run: Run) -> TrainedAttack:
    """A stranger's attacker: the sum of all values."""

    def answer(features: Tensor) -> Tensor:
        return features.flatten(1).float().sum(1, keepdim=True).expand(-1, own.labels.shape[1])

    return TrainedAttack(answer)


SIGN = AttributeAttacker(
    name="sign", title="sum of all values", knows="features", settings=replace(FEATURE_ATTACKERS["linear"].settings),
    fit=sign,
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(pair: tuple[Client, Service], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of an audit by two attackers."""
    out = tmp_path_factory.mktemp("audit")
    audit_client(pair[0], scale="smoke", out=out, attacks=["linear", "cosine"], device="cpu")
    return out


def lines(folder: Path) -> list[Row]:
    return [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]


def of_attackers(folder: Path) -> dict[str, int]:
    """How many rows there are of each attacker."""
    found = [row["attack"] for row in lines(folder) if row.get("kind") in ("attribute", "identity")]
    return {name: found.count(name) for name in dict.fromkeys(found)}


def copied(folder: Path, to: Path) -> Path:
    to.mkdir()
    (to / "rows.jsonl").write_text((folder / "rows.jsonl").read_text())
    return to


def older(folder: Path, to: Path, **changes: Any) -> Path:
    """The same audit as commit 7c1583f would have left it: settings of all attackers in ``about``, no rows of them."""
    to.mkdir()
    settings = SCALES["smoke"]
    known = {row.name: settings.recorded(row) for row in named("linear", "mlp", "mirror", "inversion")}
    known["inversion"].pop("searched")
    rows = [row for row in lines(folder) if row.get("kind") != "attacker"]
    rows[0]["about"]["settings"] = {
        "seeds": 1, "shares": [1.0], "attackers": ["linear", "mlp"], "reconstructors": ["mirror"], "inverted": 4,
        "judged": 24, "drawn": 1, "components": 16, "mirrored": True, "scale": "smoke", "attribute_changes": {},
        "reconstructor_changes": {}, "attacks": known,
    } | changes  # fmt: skip
    (to / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return to


def test_an_audit_is_a_result(pair: tuple[Client, Service], faces: FaceParts, monkeypatch: pytest.MonkeyPatch) -> None:
    """In memory, without a folder; what was heard on the way; and how it is shown."""
    said: list[str] = []
    result = audit_client(
        pair[0], faces, scale="smoke", service=pair[1], attacks=["mlp", SIGN, "mirror", "cosine"], device="cpu",
        reconstructed=5, progress=Progress(say=said.append),
    )  # fmt: skip
    assert isinstance(result, FeatureAuditResult)
    assert said[0] == "reading faces"
    assert "sum of all values, all faces, seed 0" in said
    assert [verdict.about for verdict in result.verdicts] == ["Male", "the image", "the person"]
    assert {row["attribute"] for row in result.rows if row["kind"] == "service"} == {"Smiling", "High_Cheekbones"}
    assert (result.report, result.about["known"], result.about["faces"]["judged"]) == (None, True, 60)
    assert result.reconstructed is not None
    assert len(result.reconstructed[0]) == 5
    assert result.reconstructed[1].shape == (5, 3, 32, 32)
    assert repr(result).startswith("FeatureAuditResult('tiny', smoke, Male: ")
    assert result.verdicts[0].text.split("’")[0] in result._repr_html_()
    records: list[Row] = []
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(json_normalize=records.extend))
    result.to_dataframe()
    assert {row["kind"] for row in records} == {row["kind"] for row in result.rows} - {"shown"}
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        result.to_dataframe()


def test_files_are_taken_as_well(pair: tuple[Client, Service], tmp_path: Path) -> None:
    pair[0].save(tmp_path / "client")
    pair[1].save(tmp_path / "service")
    result = audit_client(
        str(tmp_path / "client"), scale="smoke", service=tmp_path / "service", attacks=["linear"], device="cpu",
        out=tmp_path / "out",
    )  # fmt: skip
    assert result.report == tmp_path / "out/report.html"
    assert "Audit of tiny" in result.report.read_text()


def test_what_is_refused_before_anything_is_trained(pair: tuple[Client, Service], tmp_path: Path) -> None:
    other = obfuscators.tiny(size=(32, 32), target=("Smiling", "Male"), hides=("Heavy_Makeup",), seed=1)
    with pytest.raises(ValueError, match="an audit needs faces"):
        audit_client(pair[0], out=tmp_path / "out")
    with pytest.raises(ValueError, match="is not the service of tiny"):
        audit_client(pair[0], scale="smoke", service=other[1], out=tmp_path / "out")
    with pytest.raises(ValueError, match="no feature attacker 'forest'"):
        audit_client(pair[0], scale="smoke", attacks=["forest"], out=tmp_path / "out")
    with pytest.warns(UnknownTrainingFaces, match="does not say"), pytest.raises(ValueError, match="of all"):
        audit_client(other[0], _all_alike(), scale="smoke", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def _all_alike() -> FaceParts:
    """Faces whose hidden attribute all of those that are judged have."""
    drawn = drawn_faces(32, 1)
    place = drawn.test.names.index("Heavy_Makeup")
    attributes = drawn.test.attributes.clone()
    attributes[:, place] = True
    return replace(drawn, test=replace(drawn.test, attributes=attributes))


def test_a_new_attacker_goes_into_a_folder_that_is_there(
    pair: tuple[Client, Service], folder: Path, tmp_path: Path
) -> None:
    out = copied(folder, tmp_path / "out")
    before = lines(out)
    result = audit_client(pair[0], scale="smoke", out=out, attacks=["linear", "cosine", SIGN], device="cpu")
    assert lines(out)[: len(before)] == before
    assert of_attackers(out) == {"linear": 2, "cosine": 1, "sign": 2}
    assert {row["attack"] for row in result.rows if row["kind"] == "attacker"} == {"linear", "cosine", "sign"}
    whole = lines(out)
    audit_client(pair[0], scale="smoke", out=out, attacks=["linear"], device="cpu")
    assert lines(out) == whole  # and one that is not asked again leaves its rows


def test_other_settings_of_an_attacker_are_refused(
    pair: tuple[Client, Service], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = copied(folder, tmp_path / "out")
    linear = FEATURE_ATTACKERS["linear"]
    changed = replace(linear, settings=replace(linear.settings, dropout=0.1))
    with pytest.raises(RowsError, match=r"holds rows of linear that were measured with other settings \(dropout\)"):
        audit_client(pair[0], scale="smoke", out=out, attacks=[SIGN, changed], device="cpu")
    assert lines(out) == lines(folder)
    with pytest.raises(RowsError, match=r"other conditions \(seed\)"):
        audit_client(pair[0], scale="smoke", out=out, attacks=["linear"], device="cpu", seed=1)


def test_a_folder_of_an_older_version_goes_on(pair: tuple[Client, Service], folder: Path, tmp_path: Path) -> None:
    """With what stands there, whatever attackers there are today; new ones come beside."""
    out = older(folder, tmp_path / "out")
    before = (out / "rows.jsonl").read_bytes()
    audit_client(pair[0], scale="smoke", out=out, attacks=["linear", "cosine"], device="cpu")
    assert (out / "rows.jsonl").read_bytes() == before
    audit_client(pair[0], scale="smoke", out=out, attacks=["linear", "cosine", SIGN], device="cpu")
    assert (out / "rows.jsonl").read_bytes().startswith(before)
    assert of_attackers(out) == {"linear": 2, "cosine": 1, "sign": 2}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"judged": 10}, "other conditions"),
        ({"scale": "cpu"}, "other conditions"),
        ({"attacks": {"linear": {"epochs": 3}}}, r"rows of linear that were measured with other settings \(epochs\)"),
    ],
)
def test_a_folder_of_an_older_version_that_says_something_else_is_refused(
    pair: tuple[Client, Service], folder: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    out = older(folder, tmp_path / "out", **changes)
    with pytest.raises(RowsError, match=message):
        audit_client(pair[0], scale="smoke", out=out, attacks=["linear", "cosine"], device="cpu")


def experiments() -> dict[str, tuple[dict[str, Any], dict[str, FeatureAuditSettings]]]:
    """What rows of the experiments in results/ depend on today, and how much of each obfuscator is audited."""
    settings = {name: audits.audit_settings("cpu", name) for name in VARIANTS}
    found = {audits.ITEM: (variants.described(SETTINGS["cpu"], VARIANTS, settings), settings)}
    for item, points in ((figure7.ITEM, figure7.points("cpu")), (tradeoff.ITEM, tradeoff.points("cpu"))):
        of_points = {point.folder: reduced.audit_settings("cpu", point) for point in points}
        found[item] = (reduced.about("cpu", points), of_points)
    return found


@pytest.mark.parametrize("item", [audits.ITEM, figure7.ITEM, tradeoff.ITEM])
def test_the_results_of_li2019_stand(item: str) -> None:
    """Rows of commit 7c1583f are not refused, and no attacker would be measured again."""
    file = RESULTS / item / "cpu.jsonl"
    about, settings = experiments()[item]
    rows = RowFile(file, variants.as_the_file_has_it(file, about))
    assert rows.complete == {0}
    for name, audited in settings.items():
        before = recorded_before(rows.about["audits"][name])
        for row in audited.attackers or ():
            wanted = audited.recorded(row)
            assert {key: wanted.get(key) for key in before.get(row.name, {})} == before.get(row.name, {}), row.name
