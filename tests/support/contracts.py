"""What every row of a table must keep, Veil's own and a stranger's: one check for each table."""

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from veil import images, training
from veil.attacks.features import AttributeAttacker, FeatureAttacker, ImageSearch, PersonFinder, Reconstructor
from veil.attacks.features.attackers import KnownAttributes, KnownImages, KnownPeople, TrainedAttack
from veil.attacks.noise.attack import NoiseAttack
from veil.metrics.attributes import auroc
from veil.metrics.identity import rank_one
from veil.metrics.recovery import mean_image
from veil.protections.features import ObfuscatorPreset
from veil.protections.noise.scheme import Scheme
from veil.runtime.scales import SCALES
from veil.training.run import Run


def check_name_and_title(row: object) -> None:
    """Names are typed and kept in files; titles are read by people."""
    name, title = row.name, row.title  # type: ignore[attr-defined]
    assert name == name.strip().lower()
    assert ":" not in name
    assert "/" not in name
    assert title
    assert title == title.strip()
    assert "\n" not in title


def check_settings(settings: type) -> None:
    """A frozen dataclass with defaults, that can be made without arguments, and a ``help`` for every field."""
    assert dataclasses.is_dataclass(settings)
    for field in dataclasses.fields(settings):
        assert field.metadata.get("help"), field.name
    made = settings()
    try:
        made.step = 1  # type: ignore[attr-defined]
    except dataclasses.FrozenInstanceError:
        return
    raise AssertionError(f"{settings.__name__} is not frozen")


def check_scheme(row: Scheme) -> None:
    """A row of `veil.protections.noise.SCHEMES`, with a descent of one photo."""
    import torch
    from networks import convolutional, photos

    from veil.protections.noise.engine import Engine
    from veil.protections.noise.scheme import Released, Verdict

    check_name_and_title(row)
    check_settings(row.settings)
    sentence = row.protected_when.format(networks="A and B", score="a score of at least 0.9")
    assert "A and B" in sentence
    assert sentence.endswith(".")
    verdict = Verdict(
        truth_on_top=True, icp_before=1, icp_after=1, entropy_before=0, entropy_after=9, target_score=1
    )  # fmt: skip
    settings = row.settings(budget=8, max_iterations=3)
    assert not row.protects(verdict, settings), "a photo whose true class is on top is never protected"
    image = photos(1)[0]
    engine = Engine([convolutional()], batch=4, device="cpu")
    plan = row.plan(image, settings, label_spaces=[0], truth=0, seed=0)
    ((key, released),) = engine.run([("photo", plan)], row.objective, settings)
    assert key == "photo"
    assert isinstance(released, Released)
    assert released.pixels.dtype == torch.uint8
    assert released.pixels.shape == image.shape
    assert int((released.pixels.int() - image.int()).abs().max()) <= 8
    again = row.plan(image, settings, label_spaces=[0], truth=0, seed=0)
    ((_, repeated),) = engine.run([("photo", again)], row.objective, settings)
    assert repeated.pixels.equal(released.pixels)


def check_noise_attack(row: NoiseAttack) -> None:
    """A row of `veil.attacks.noise.NOISE_ATTACKS`, on grey and colour."""
    import torch

    from veil.images.processing import processed

    check_name_and_title(row)
    assert row.knows
    for channels in (1, 3):
        pixels = torch.randint(256, (channels, 20, 31), dtype=torch.uint8)
        before = pixels.clone()
        result = processed(pixels, row.process)
        assert result.dtype == torch.uint8
        assert result.shape == pixels.shape
        assert pixels.equal(before)


VECTOR, MAPS = (64, 1, 1), (6, 8, 8)


def check_feature_attacker(row: FeatureAttacker) -> None:
    """An attacker says what it knows, has settings for each scale, and finds what is there for everybody to find."""
    check_name_and_title(row)
    assert row.knows
    assert row.reads
    assert set(row.scales) <= set(SCALES)
    assert set(row.default_at) <= set(SCALES)
    if not row.retrained:
        return
    assert dataclasses.is_dataclass(row.settings)
    assert type(row.settings).__dataclass_params__.frozen  # type: ignore[attr-defined]
    for scale in SCALES:
        assert isinstance(row.settings_at(scale), type(row.settings))
    reasons = [row.cannot(shape) for shape in (VECTOR, MAPS)]
    assert None in reasons, "it reads nothing"
    assert all(reason is None or reason[0].islower() for reason in reasons), "the end of a sentence"
    if isinstance(row, AttributeAttacker):
        check_attribute_attacker(row)
    elif isinstance(row, Reconstructor):
        check_reconstructor(row)
    elif isinstance(row, ImageSearch):
        check_image_search(row)
    else:
        assert isinstance(row, PersonFinder), "it is of none of the four kinds"
        check_person_finder(row)


def check_attribute_attacker(row: AttributeAttacker) -> None:
    """It answers for each attribute, the same each time, and reads what all values say."""
    shapes = [shape for shape in (VECTOR, MAPS) if row.cannot(shape) is None]
    for shape in shapes:
        own, others, unseen = (_leaking(shape, count, seed) for count, seed in ((64, 1), (32, 2), (32, 3)))
        attack = _trained(row, own, others, "smoke")
        scores = attack(unseen.features)
        assert scores.shape == unseen.labels.shape
        assert scores.dtype == torch.float32
        _check_answers(attack, unseen.features)
    assert torch.equal(_trained(row, own, others, "smoke")(unseen.features), scores), "the same seed, another attacker"
    own, others, unseen = (_leaking(shapes[0], count, seed) for count, seed in ((64, 1), (32, 2), (32, 3)))
    scores = _trained(row, own, others, "cpu")(unseen.features)
    areas = [auroc(scores[:, place], unseen.labels[:, place]) for place in range(2)]
    assert min(areas) > 0.9, f"it misses what all values say: {areas}"


def check_reconstructor(row: Reconstructor) -> None:
    """It draws images, the same each time, and better ones than the mean of its own."""
    own, others, unseen = (_pictures(count, seed) for count, seed in ((32, 1), (8, 2), (16, 3)))
    attack = _trained(row, own, others, "smoke")
    drawn = attack(unseen.features)
    _check_images(drawn, unseen.images)
    _check_answers(attack, unseen.features)
    assert torch.equal(_trained(row, own, others, "smoke")(unseen.features), drawn), "the same seed, another attacker"
    drawn = _trained(row, own, others, "cpu")(unseen.features)
    by_mean = mean_image(own.images).round().to(torch.uint8).expand(unseen.images.shape)
    assert _error(drawn, unseen.images) < 0.95 * _error(by_mean, unseen.images), "it draws no more than the mean image"


def check_image_search(row: ImageSearch) -> None:
    """It finds images, the same each time, whose features are nearer than those of the mean image."""
    plain = images.to_float(_pictures(3, 1).images)
    mean = torch.full(plain.shape[1:], 0.5)

    def obfuscate(x: Tensor) -> Tensor:
        return F.pixel_unshuffle(x, 4)

    def search(scale: Any) -> Tensor:
        return row.search(obfuscate(plain), obfuscate, (12, 12), row.settings_at(scale), seed=0, mean=mean)

    _check_images(search("smoke"), plain)
    assert torch.equal(search("smoke"), search("smoke"))
    found = images.to_float(search("cpu"))
    assert float((found - plain).abs().mean()) < 0.5 * float((mean - plain).abs().mean())


def check_person_finder(row: PersonFinder) -> None:
    """Its embeddings are alike for features that are the same for a person."""
    own, unseen = _people(40, 1), _people(30, 2)
    if not row.needs_people:
        row.fit(KnownPeople(own.features, None), own, row.settings_at("smoke"))
    attack = row.fit(own, unseen, row.settings_at("smoke"))
    _check_answers(attack, unseen.features)
    embeddings = attack(unseen.features)
    assert embeddings.ndim == 2
    again = row.fit(own, unseen, row.settings_at("smoke"))
    assert torch.equal(again(unseen.features), embeddings)
    assert unseen.identities is not None
    found = rank_one(embeddings, embeddings, unseen.identities, photo="another")
    assert found is not None
    assert found.rate > 0.9


def _trained(row: Any, own: Any, others: Any, scale: Any) -> TrainedAttack:
    """Of a fresh folder; what it is given stays as it is."""
    before = [getattr(own, field.name).clone() for field in dataclasses.fields(own)]
    with tempfile.TemporaryDirectory() as folder:
        run = Run(folder=Path(folder), seed=0, runner=training.fabric("cpu", "32-true"), logged=lambda row: None)
        attack: TrainedAttack = row.train(own, others, row.settings_at(scale), run)
    after = (getattr(own, field.name) for field in dataclasses.fields(own))
    assert all(torch.equal(one, other) for one, other in zip(after, before, strict=True))
    assert 0 <= attack.best_epoch < max(1, len(attack.log))
    return attack


def _check_answers(attack: TrainedAttack, features: Tensor) -> None:
    """Finite, and a photo's own answer whatever stands beside it; of half precision, too."""
    answers = attack(features)
    assert bool(answers.float().isfinite().all())
    alone = torch.cat([attack(features[place : place + 1]) for place in range(3)]).float()
    assert torch.allclose(alone, answers[:3].float(), atol=1 if answers.dtype == torch.uint8 else 1e-3, rtol=1e-3)
    assert attack(features.half()).shape == answers.shape


def _leaking(shape: tuple[int, int, int], count: int, seed: int) -> KnownAttributes:
    """Two attributes, one that shifts half of all channels and one that shifts the others."""
    generator = Generator().manual_seed(seed)
    labels = torch.rand(count, 2, generator=generator) < 0.5
    shifts = labels.float().mul(2).sub(1).repeat_interleave(shape[0] // 2, 1)
    return KnownAttributes(torch.randn(count, *shape, generator=generator) + shifts[:, :, None, None], labels)


def _pictures(count: int, seed: int) -> KnownImages:
    """Images of 12×12 pixels, of four colours in quarters, and their means over 4×4 pixels."""
    colours = torch.rand(count, 3, 2, 2, generator=Generator().manual_seed(seed))
    plain = images.quantise(F.interpolate(colours, (12, 12)))
    return KnownImages(F.avg_pool2d(images.to_float(plain), 4), plain)


def _people(count: int, seed: int) -> KnownPeople:
    """Four photos of each person, who is the same in all values but for a little noise."""
    generator = Generator().manual_seed(seed)
    identities = torch.arange(count).repeat_interleave(4)
    own = torch.randn(count, *VECTOR, generator=generator)[identities]
    return KnownPeople(own + 0.1 * torch.randn(own.shape, generator=generator), identities)


def _check_images(drawn: Tensor, wanted: Tensor) -> None:
    assert drawn.dtype == torch.uint8
    assert drawn.shape == wanted.shape


def _error(drawn: Tensor, plain: Tensor) -> float:
    return float((images.to_float(drawn) - images.to_float(plain)).abs().mean())


def check_obfuscator_preset(row: ObfuscatorPreset) -> None:
    """A preset trains a client and its service, and both files are read again; made as small as smoke scale is."""
    from veil.cli.obfuscate_train import SMOKE
    from veil.data import synthetic_faces
    from veil.protections.features.file import Client, Service
    from veil.protections.features.trainer import train_pair

    check_name_and_title(row)
    settings = dataclasses.replace(row.settings, **SMOKE | {"pretraining": 1, "epochs": 1, "values": 2})
    with tempfile.TemporaryDirectory() as folder:
        run = Run(folder=Path(folder), seed=0, runner=training.fabric("cpu", "32-true"), logged=lambda row: None)
        pair = train_pair(synthetic_faces.faces(60, side=32), ["Smiling"], ["Male"], settings, run, name="one")
        pair.client.save(Path(folder) / "client")
        pair.service.save(Path(folder) / "service")
        client, service = Client.load(Path(folder) / "client"), Service.load(Path(folder) / "service")
    assert service.client == client.fingerprint
    images = torch.randint(256, (3, 3, 32, 32), dtype=torch.uint8)
    assert service(client(images)).shape == (3, 1)
