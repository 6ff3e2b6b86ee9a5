"""DeepObfuscator's training: who learns in which phase, that losses fall, and that a stopped run ends as another."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from contracts import check_obfuscator_preset
from torch import Generator, Tensor

from veil import images, training
from veil.jobs.rows import Row
from veil.metrics.structural import ms_ssim
from veil.protections.features import PRESETS, ObfuscatorSettings, losses, only
from veil.protections.features.deep_obfuscator import (
    _PHASES,
    ADVERSARIAL,
    ATTACKERS,
    PRETRAINING,
    _Batch,
    _Game,
    train,
)
from veil.protections.features.monitoring import scalars_of
from veil.protections.features.settings import PHASES
from veil.protections.features.training_data import Networks, TrainedNetworks, TrainingFaces
from veil.training.run import Run

SMALL = ObfuscatorSettings(
    width=8, reader=8, head="pool", pretraining=2, attackers=2, epochs=2, batch_size=8, learning_rate=1e-3,
    adversaries=2, padding=2,
)  # fmt: skip
JOINT = replace(
    SMALL, values=4, phases=("joint",), lambda2=0.0, bounded=True, steps=2, renewed=1, clip=1.0, falling=True
)
ADVERSARIES = {"adversary0", "adversary1"}
ALL = {"obfuscator", "classifier", "reconstructor", *ADVERSARIES}
LEARN: dict[str, set[str]] = {
    "pretrain": {"obfuscator", "classifier"},
    "defend-reconstruction": {"obfuscator"},
    "defend-noise": {"obfuscator"},
    "defend-original": {"obfuscator"},
    "defend-attributes": {"obfuscator"},
    "attack": {*ADVERSARIES, "reconstructor"},
    "recover": {"classifier"},
    "joint": ALL,
}


def drawn_faces(count: int = 32, side: int = 32, private: int = 1) -> TrainingFaces:
    """Pictures whose brightness is the target, and whose colours are private."""
    generator = Generator().manual_seed(0)
    target = torch.rand(count, 1, generator=generator) < 0.5
    hidden = torch.rand(count, private, generator=generator) < 0.5
    pictures = torch.rand(count, 3, side, side, generator=generator) * 0.4
    pictures += 0.4 * target.float().view(-1, 1, 1, 1)
    if private:
        pictures[:, 0] += 0.2 * hidden[:, :1].float().view(-1, 1, 1)
    return TrainingFaces(images.quantise(pictures.clamp(0, 1)), target, hidden)


def game(settings: ObfuscatorSettings, optimizer: Callable[..., Any] = torch.optim.Adam) -> _Game:
    faces, run = drawn_faces(), Run(folder=Path(), seed=0, runner=training.fabric("cpu", "32-true"))
    playing = _Game(Networks.create(faces, settings, 0), faces, settings, run)
    playing.optimizers = {name: optimizer(module.parameters(), lr=1e-3) for name, module in playing.modules.items()}
    return playing


def batch(given: TrainingFaces, seed: int = 0) -> _Batch:
    return _Batch(
        images.to_float(given.images[:16]), given.target[:16], given.private[:16], Generator().manual_seed(seed)
    )


def states(playing: _Game, kind: str) -> dict[str, dict[str, Tensor]]:
    """Parameters or buffers of all networks."""
    return {
        name: {key: value.detach().clone() for key, value in getattr(module, f"named_{kind}")()}
        for name, module in playing.modules.items()
    }


def changed(before: dict[str, dict[str, Tensor]], after: dict[str, dict[str, Tensor]]) -> set[str]:
    return {name for name, values in before.items() if any(not v.equal(after[name][k]) for k, v in values.items())}


@pytest.mark.parametrize("phase", LEARN)
@pytest.mark.parametrize("values", [None, 4])
def test_a_phase_trains_the_networks_that_the_paper_says(phase: str, values: int | None) -> None:
    """And with it the statistics of their normalisation; idle networks stay as they are in everything."""
    playing = game(replace(SMALL, values=values))
    before, buffers = states(playing, "parameters"), states(playing, "buffers")
    scalars = _PHASES[phase](playing, batch(playing.faces))
    assert changed(before, states(playing, "parameters")) == LEARN[phase]
    vectors = {"classifier", *ADVERSARIES} if values else set()  # perceptrons, which do not normalise
    assert changed(buffers, states(playing, "buffers")) == LEARN[phase] - vectors
    assert scalars
    assert all(bool(torch.isfinite(value)) for value in scalars.values())


def test_every_phase_is_known() -> None:
    assert set(_PHASES) == {"pretrain", *PHASES}


def test_idle_networks_normalise_as_in_training_where_the_authors_do() -> None:
    playing = game(replace(SMALL, idle="train"))
    buffers, weights = states(playing, "buffers"), states(playing, "parameters")
    _PHASES["defend-attributes"](playing, batch(playing.faces))
    assert changed(weights, states(playing, "parameters")) == {"obfuscator"}
    assert changed(buffers, states(playing, "buffers")) == {"obfuscator", "classifier", *ADVERSARIES}


def objective(playing: _Game, given: _Batch, phase: str) -> float:
    """What the paper has the obfuscator minimise, from the networks and the metric alone."""
    networks, settings = playing.networks, playing.settings
    assert networks.reconstructor is not None
    with torch.no_grad():
        features = networks.obfuscator(given.images)
        classifier = losses.attributes(networks.classifier(features), given.target)
        read = [losses.attributes(adversary(features), given.private) for adversary in networks.adversaries]
        drawn = networks.reconstructor(features)
        noise = playing.fixed.expand_as(drawn)
        original, towards = 1 - ms_ssim(given.images, drawn).mean(), 1 - ms_ssim(noise, drawn).mean()
    against = {
        "defend-attributes": -settings.lambda1 * torch.stack(read).mean(),
        "defend-reconstruction": settings.lambda2 * (towards - original),
        "defend-noise": settings.lambda2 * towards,
        "defend-original": -settings.lambda2 * original,
    }
    return float(classifier + against[phase])


@pytest.mark.parametrize("phase", ["defend-attributes", "defend-reconstruction", "defend-noise", "defend-original"])
def test_a_defence_goes_down_the_papers_objective(phase: str) -> None:
    """By as much as the square of its gradient says, for a small step of plain gradient descent."""
    settings = replace(SMALL, norm="group", target="fixed-noise", lambda1=2.0, lambda2=3.0)
    rate = 3e-5
    playing = game(settings, lambda parameters, lr: torch.optim.SGD(parameters, lr=rate))
    given = batch(playing.faces)
    before = objective(playing, given, phase)
    old = {name: value.detach().clone() for name, value in playing.networks.obfuscator.named_parameters()}
    _PHASES[phase](playing, given)
    fallen = before - objective(playing, given, phase)
    parameters = playing.networks.obfuscator.named_parameters()
    wanted = sum(float(((value.detach() - old[name]) / rate).square().sum()) for name, value in parameters) * rate
    assert fallen > 0
    assert fallen == pytest.approx(wanted, rel=0.1)


def test_attackers_learn_from_features_without_moving_them() -> None:
    playing = game(SMALL)
    given = batch(playing.faces)
    first = {name: float(value) for name, value in _PHASES["attack"](playing, given).items()}
    for _ in range(20):
        last = _PHASES["attack"](playing, given)
    assert float(last["adversary"]) < first["adversary"]
    assert float(last["reconstructor"]) < first["reconstructor"]


def test_the_weight_of_a_defence_follows_its_factors() -> None:
    playing = game(replace(SMALL, factors=(10.0, 3.0)))
    factors = []
    for epoch in range(4):
        playing._begin(epoch, PRETRAINING)
        factors.append(playing.factor)
    assert factors == [10, 3, 3, 3]


def test_a_reconstructor_may_prepare_longer_than_the_adversaries() -> None:
    playing = game(replace(SMALL, attackers=1, reconstructor=2))
    given, seen = batch(playing.faces), []
    for epoch in range(2):
        playing._begin(epoch, ATTACKERS)
        before = states(playing, "parameters")
        _PHASES["attack"](playing, given)
        seen.append(changed(before, states(playing, "parameters")))
    assert seen == [{*ADVERSARIES, "reconstructor"}, {"reconstructor"}]
    playing._begin(5, ADVERSARIAL)
    assert playing.attacking == playing.attackers


def test_a_renewed_adversary_is_new() -> None:
    playing = game(replace(SMALL, renewed=1))
    _PHASES["attack"](playing, batch(playing.faces))
    before, drawn = states(playing, "parameters"), torch.get_rng_state()
    playing._begin(0, ADVERSARIAL)
    playing._begin(1, PRETRAINING)
    assert not changed(before, states(playing, "parameters"))
    playing._begin(1, ADVERSARIAL)
    assert changed(before, states(playing, "parameters")) == {"adversary1"}
    assert not playing.optimizers["adversary1"].state
    assert playing.optimizers["adversary0"].state
    assert torch.get_rng_state().equal(drawn)
    first = {key: value.clone() for key, value in playing.modules["adversary1"].state_dict().items()}
    _PHASES["attack"](playing, batch(playing.faces))
    playing._begin(1, ADVERSARIAL)
    assert all(value.equal(first[key]) for key, value in playing.modules["adversary1"].state_dict().items())
    playing._begin(2, ADVERSARIAL)
    assert "adversary0" in changed(before, states(playing, "parameters"))


def trained(
    folder: Path, settings: ObfuscatorSettings, faces: TrainingFaces | None = None, *,
    logged: Callable[[Row], None] = lambda row: None, validation: TrainingFaces | None = None,
) -> TrainedNetworks:  # fmt: skip
    run = Run(folder=folder, seed=0, runner=training.fabric("cpu", "32-true"), logged=logged)
    return train(faces or drawn_faces(), settings, run, validation=validation)


@pytest.mark.parametrize("settings", [SMALL, JOINT], ids=["paper", "joint"])
def test_a_run_that_was_stopped_in_any_stage_ends_as_one_that_was_not(
    settings: ObfuscatorSettings, tmp_path: Path
) -> None:
    class Stopped(Exception):
        pass

    whole = trained(tmp_path / "whole", settings)
    assert {stage: len(log) for stage, log in whole.logs.items()} == dict.fromkeys(
        ("pretraining", "attackers", "adversarial"), 2
    )
    wanted = {name: module.state_dict() for name, module in whole.networks.named().items()}
    for after in (1, 3, 5):  # one in each stage
        rows: list[Row] = []

        def stop(row: Row, rows: list[Row] = rows, after: int = after) -> None:
            rows.append(row)
            if len(rows) == after:
                raise Stopped

        folder = tmp_path / str(after)
        with pytest.raises(Stopped):
            trained(folder, settings, logged=stop)
        torch.rand(3)  # another process begins with other global randomness
        again = trained(folder, settings)
        for name, module in again.networks.named().items():
            assert all(value.equal(wanted[name][key]) for key, value in module.state_dict().items()), (after, name)
            assert not module.training


def test_the_classifier_learns_and_the_log_says_so(tmp_path: Path) -> None:
    settings = replace(SMALL, pretraining=6, epochs=1)
    found = trained(tmp_path, settings, validation=drawn_faces(16))
    log = found.logs["pretraining"]
    assert log[-1]["classifier"] < log[0]["classifier"]
    attackers = {"watched_adversary", "watched_reconstructor"}
    assert "watched_classifier" in log[0]
    assert not attackers & set(log[0])  # they have not learnt anything
    for stage in ("attackers", "adversarial"):
        assert {"watched_classifier", *attackers} <= set(found.logs[stage][0])


@pytest.mark.parametrize(
    ("settings", "private", "networks"),
    [
        (SMALL, 0, {"obfuscator", "classifier", "reconstructor"}),
        (replace(SMALL, lambda2=0.0), 1, ALL - {"reconstructor"}),
        (replace(SMALL, lambda1=0.0), 1, ALL - ADVERSARIES),
        (replace(SMALL, phases=only(SMALL.phases, images=False, attributes=True)), 1, ALL - {"reconstructor"}),
        (replace(SMALL, phases=only(SMALL.phases, images=True, attributes=False)), 1, ALL - ADVERSARIES),
        (replace(SMALL, lambda1=0.0, lambda2=0.0), 1, {"obfuscator", "classifier"}),
        (replace(JOINT, lambda3=1.0), 1, ALL - {"reconstructor"}),
        (JOINT, 0, {"obfuscator", "classifier"}),
        (replace(JOINT, lambda2=1.0, target="mean"), 2, ALL),
    ],
)
def test_what_is_not_defended_has_no_adversary(
    settings: ObfuscatorSettings, private: int, networks: set[str], tmp_path: Path
) -> None:
    found = trained(tmp_path, replace(settings, pretraining=1, attackers=1, epochs=1), drawn_faces(private=private))
    assert set(found.networks.named()) == networks
    assert bool(found.logs["adversarial"]) == (len(networks) > 2)


def test_only_leaves_out_one_defence() -> None:
    paper = PRESETS["paper"].settings.phases
    assert only(paper, images=True, attributes=True) == paper
    assert only(paper, images=False, attributes=True) == ("defend-attributes", "attack", "recover")
    assert only(paper, images=True, attributes=False) == ("defend-reconstruction", "attack", "recover")
    authors = PRESETS["authors-code"].settings.phases
    assert only(authors, images=False, attributes=False) == ("attack", "recover")


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_keeps_the_contract(name: str) -> None:
    check_obfuscator_preset(PRESETS[name])
    assert PRESETS[name].name == name


def test_presets_are_what_they_are_named() -> None:
    paper, authors = PRESETS["paper"].settings, PRESETS["authors-code"].settings
    assert (paper.lambda1, paper.lambda2, paper.batch_size, paper.values, paper.bounded) == (1, 1, 64, None, False)
    assert (authors.batch_size, authors.epochs, authors.learning_rate, len(authors.phases)) == (32, 20, 1e-4, 5)
    assert [authors.factor(epoch) for epoch in (0, 9, 10, 18, 19, 30)] == [10, 10, 9, 1, 1, 1]


@pytest.mark.parametrize(
    "wrong",
    [{"batch_size": 0}, {"steps": 0}, {"epochs": -1}, {"learning_rate": 0.0}, {"phases": ()}, {"phases": ("rest",)}],
)
def test_settings_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong)).rstrip('s')}"):
        ObfuscatorSettings(**wrong)


def test_refusals(tmp_path: Path) -> None:
    given = drawn_faces(4)
    with pytest.raises(ValueError, match="target labels must be bool"):
        TrainingFaces(given.images, given.target.float(), given.private)
    with pytest.raises(ValueError, match="private labels must be bool"):
        TrainingFaces(given.images, given.target, given.private[:2])
    with pytest.raises(ValueError, match="at least one attribute"):
        TrainingFaces(given.images, given.target[:, :0], given.private)
    with pytest.raises(ValueError, match="two images at least, not 1"):
        trained(tmp_path, SMALL, drawn_faces(1))
    trained(tmp_path, replace(SMALL, epochs=0, attackers=0, pretraining=1))
    with pytest.raises(ValueError, match="other settings"):
        trained(tmp_path, replace(SMALL, epochs=0, attackers=0, pretraining=1, lambda1=2.0))


def test_fewer_images_than_a_batch_are_one_batch(tmp_path: Path) -> None:
    found = trained(tmp_path, replace(SMALL, batch_size=1000, pretraining=1, attackers=0, epochs=0))
    assert len(found.logs["pretraining"]) == 1


def test_asking_the_networks_changes_nothing() -> None:
    playing = game(SMALL)
    weights, buffers = states(playing, "parameters"), states(playing, "buffers")
    row = scalars_of(playing.networks, drawn_faces(12), torch.device("cpu"))
    assert set(row) == {"watched_classifier", "watched_adversary", "watched_reconstructor"}
    assert not changed(weights, states(playing, "parameters"))
    assert not changed(buffers, states(playing, "buffers"))
