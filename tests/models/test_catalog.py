"""Classifiers by name: packaged, the zoo's, unknown."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from veil.models import catalog, zoo
from veil.models.catalog import UnknownModel
from veil.protections.noise.protector import Protector
from veil.runtime import provenance

COMMIT = "0123456789abcdef" * 2 + "01234567"


@pytest.mark.parametrize("name", catalog.packaged())
def test_packaged_classifiers_load_and_say_what_they_are(name: str) -> None:
    classifier = catalog.load(name)
    logits = classifier(torch.rand(2, 3, 70, 90))
    assert logits.shape == (2, len(classifier.classes))
    entry = catalog.describe(catalog.PACKAGED / f"{name}.toml", name)
    assert entry.classes == len(classifier.classes)
    assert entry.accuracy.startswith("top-1")
    assert (catalog.PACKAGED / f"{name}.safetensors").stat().st_size <= 6_000_000


def test_names_near_an_unknown_one_are_suggested() -> None:
    with pytest.raises(UnknownModel, match="near it: mnist-cnn"):
        catalog.load("mnist-cn")
    with pytest.raises(UnknownModel, match="no model card"):
        catalog.load("nowhere.toml")
    with pytest.raises(UnknownModel, match="timm/resnet50"):
        catalog.load("timm/resnet5O")
    with pytest.raises(UnknownModel, match="torchvision/resnet18"):
        catalog.load("torchvision/resnet_18")


def test_timm_weights_come_as_safetensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    asked: list[tuple[str, str, str | None]] = []
    network = zoo.build("timm", "mobilenetv3_small_050", {})
    file = tmp_path / "snapshots" / COMMIT / "model.safetensors"
    file.parent.mkdir(parents=True)
    save_file(network.state_dict(), file)

    def download(repository: str, name: str, revision: str | None) -> str:
        asked.append((repository, name, revision))
        return str(file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.setattr(provenance, "_fetched", {})
    repository = "timm/mobilenetv3_small_050.lamb_in1k"
    catalog.load("timm/mobilenetv3_small_050@v1.0")
    classifier = catalog.load("timm/mobilenetv3_small_050")
    assert asked == [(repository, "model.safetensors", revision) for revision in ("v1.0", None)]
    assert provenance.provenance()["fetched"] == [f"timm/mobilenetv3_small_050@{COMMIT}"]
    described = Protector(classifier, scheme="crs", excluded_top=1, budget=3).describe()
    assert described["fetched"] == [f"timm/mobilenetv3_small_050@{COMMIT}"]
    assert len(classifier.classes) == 1000
    assert classifier.classes[0].startswith("tench")
    assert classifier.preprocessing.crop == 224
    assert classifier(torch.rand(1, 3, 240, 260)).shape == (1, 1000)


def test_torchvision_weights_are_read_as_plain_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    models = zoo._library("torchvision")
    weights = models.get_model_weights("squeezenet1_1").DEFAULT
    given: dict[str, Any] = {}

    def get_state_dict(self: object, **options: Any) -> dict[str, torch.Tensor]:
        given.update(options)
        return zoo.build("torchvision", "squeezenet1_1", {}).state_dict()

    monkeypatch.setattr(type(weights), "get_state_dict", get_state_dict)
    monkeypatch.setattr(provenance, "_fetched", {})
    classifier = catalog.load("torchvision/squeezenet1_1")
    assert given["weights_only"] is True
    assert given["check_hash"] is True
    assert classifier.preprocessing.resize == 256
    assert len(classifier.classes) == 1000
    assert provenance.fetched() == ["torchvision/squeezenet1_1@IMAGENET1K_V1"]
    with pytest.raises(zoo.HubError, match="no weights 'IMAGENET1K_V9' for squeezenet1_1; there are IMAGENET1K_V1"):
        catalog.load("torchvision/squeezenet1_1@IMAGENET1K_V9")


@pytest.mark.parametrize("revision", ["", "../main", "a b", "-x", "x" * 200])
def test_a_revision_that_cannot_be_one_is_refused(revision: str) -> None:
    with pytest.raises(zoo.HubError, match="is no revision of timm/mobilenetv3_small_050"):
        catalog.load(f"timm/mobilenetv3_small_050@{revision}")


def test_a_hub_that_cannot_be_reached_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def download(repository: str, name: str, revision: str | None) -> str:
        raise ConnectionError("no\nnetwork")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    with pytest.raises(zoo.HubError, match="could not be fetched: no network"):
        catalog.load("timm/mobilenetv3_small_050")


def test_without_the_extra_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> None:
        raise ModuleNotFoundError("No module named 'torchvision'")

    zoo._library.cache_clear()
    monkeypatch.setattr(zoo, "import_torchvision", absent)
    with pytest.raises(zoo.ZooMissing, match=r'pip install "veil\[zoo\]"'):
        catalog.load("timm/resnet18")
    zoo._library.cache_clear()


@pytest.mark.parametrize("name", ["mobilenetv2_100", "squeezenet1_0"])
def test_the_shared_cards_load(shared: Path, name: str) -> None:
    classifier = catalog.load(str(shared / "weights" / f"{name}.toml"))
    assert len(classifier.classes) == 1000
    assert classifier.classes[281].startswith("tabby")
