"""What every row of a table must keep, Veil's own and a stranger's: one check for each table."""

import dataclasses
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from veil import images, training
from veil.attacks.features import AttributeAttacker, FeatureAttacker, ImageSearch, PersonFinder, Reconstructor
from veil.attacks.features.attackers import KnownAttributes, KnownImages, KnownPeople, TrainedAttack
from veil.attacks.images.attack import ImageAttack
from veil.attacks.noise.attack import NoiseAttack
from veil.data import faces, photo_sets, small_images
from veil.data.labelled_images import LabelledImages
from veil.data.layouts import DigitsLayout, FacesLayout, Layout, PhotosLayout, SmallImagesLayout
from veil.jobs.row_formats import RowFormat
from veil.metrics.attributes import auroc
from veil.metrics.identity import rank_one
from veil.metrics.recovery import mean_image
from veil.models import cards
from veil.models.architectures import ARCHITECTURES, Architecture
from veil.models.cards import CardError
from veil.models.classifier import Preprocessing
from veil.protections.features import ObfuscatorPreset
from veil.protections.image_protection import ImageProtection
from veil.protections.noise.scheme import Scheme
from veil.recipes.paper import Paper
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


def check_paper(row: Paper) -> None:
    """A paper has a citation and text; an item has a head, and functions that measure and show it."""
    check_name_and_title(row)
    assert row.citation
    assert all(row.text)
    items = [recipe.item for recipe in row.recipes]
    assert len(set(items)) == len(items) > 0
    for recipe in row.recipes:
        assert recipe.title
        assert set(recipe.needs) <= set(items) - {recipe.item}
        module = import_module(recipe.module)
        assert callable(getattr(module, recipe.shows))
        head = recipe.head()
        assert recipe.item in head["Item"].split(", ")
        assert head["Command"].startswith((f"veil reproduce {row.name} ", f"veil report {row.name}"))
        if recipe.measures is not None:
            assert callable(getattr(module, recipe.measures))
            assert recipe.item in head["Command"]
            assert all(recipe.cost(scale) for scale in SCALES)


def check_architecture(row: Architecture, folder: Path) -> None:
    """A network of three classes answers to a batch as to its images, and comes back from a card as it was.

    Args:
        folder: an empty one.
    """
    check_name_and_title(row)
    assert row.channels in (1, 3)
    network = row.build({"num_classes": 3}).eval()
    images = torch.rand(2, row.channels, row.side or 32, row.side or 32, requires_grad=True)
    logits = network(images)
    assert logits.shape == (2, 3)
    assert logits.isfinite().all()
    torch.testing.assert_close(logits[:1], network(images[:1]), atol=1e-4, rtol=1e-4)
    (gradient,) = torch.autograd.grad(logits.sum(), images)
    assert gradient.ne(0).any()

    sizes = {"resize": [row.side or 32] * 2, "mean": [0.0] * row.channels, "std": [1.0] * row.channels}
    card = folder / "card.toml"
    cards.write(
        card, network, name="card", architecture=f"veil/{row.name}", options={"num_classes": 3}, classes="abc",
        input_fields=sizes, accuracy={}, training={},
    )  # fmt: skip
    registered = row.name in ARCHITECTURES
    if not registered:
        with pytest.raises(CardError, match="there is no architecture"):
            cards.load(card)
    classifier = cards.load(card, None if registered else row)
    assert isinstance(classifier.preprocessing, Preprocessing)
    torch.testing.assert_close(classifier(images), logits, atol=1e-4, rtol=1e-4)

    for options in ({"num_classes": 0}, {"num_classes": "3"}, {"num_classes": 3, "checkpoint_path": "x"}):
        with pytest.raises(ValueError, match=r"a card can set|num_classes is"):
            row.build(options)
    for name, option in row.options.items():
        assert option.words
        for value in ("../weights.bin", "https://example.org", {}, -1, 10**9, [10**9], float("nan"), True):
            assert not option.allows(value), f"{name} = {value}"


def check_dataset(row: Layout, folder: Path, write: Callable[[Path], Path] | None) -> None:
    """A layout knows its folders by their names, reads what it knows, and refuses in one line what it does not.

    Args:
        folder: an empty one.
        write: writes an example into an empty folder, and returns the set's own; None where it reads no folders.
    """
    check_name_and_title(row)
    assert row.on_disk == row.on_disk.strip() != ""
    (folder / "empty").mkdir()
    (folder / "example").mkdir()
    assert not row.matches(folder / "empty")
    if write is None:
        return
    read = row.read if not isinstance(row, SmallImagesLayout) else lambda place: row.read(place, None)  # type: ignore[attr-defined]
    with pytest.raises((FileNotFoundError, ValueError)) as raised:
        read(folder / "empty")
    assert "\n" not in str(raised.value)
    place = write(folder / "example")
    assert row.matches(place)
    assert row.called(place)
    _check_read(row, place, read)


def _check_read(row: Layout, place: Path, read: Callable[[Path], Any]) -> None:
    if isinstance(row, SmallImagesLayout):
        parts = read(place)
        assert parts.fingerprint == small_images.read(place).fingerprint == read(place).fingerprint
        assert small_images.load(f"{row.name}:{place}", 8).train.images.shape[2:] == (8, 8)
        for part in (parts.train, parts.test):
            _check_labelled(part, 3)
        assert parts.train.classes == parts.test.classes
    elif isinstance(row, DigitsLayout):
        digits = row.read(place)
        for part in (digits.train, digits.validation, digits.test):
            _check_labelled(part, 1)
    elif isinstance(row, PhotosLayout):
        photos = row.read(place)
        assert photos == photo_sets.read(place) == photo_sets.load(f"{row.name}:{place}")
        assert len(photos) == len(photos.labels) > 0
        assert all(file.is_file() for file in photos.files)
        assert min(photos.labels) >= 0
    else:
        assert isinstance(row, FacesLayout)
        known = row.read(place)
        assert known.files == faces.listed(place).files
        assert known.attributes.dtype == torch.bool
        assert known.attributes.shape == (len(known.files), len(known.names))
        assert faces.read(f"{row.name}:{place}", 8).fingerprint == faces.read(place, 8).fingerprint


def _check_labelled(part: LabelledImages, channels: int) -> None:
    assert part.images.dtype == torch.uint8
    assert part.images.shape[:2] == (len(part), channels)
    assert len(part) == 0 or (part.labels.min() >= 0 and part.labels.max() < len(part.classes))


def check_protection(row: ImageProtection) -> None:
    """A row of `veil.protections.PROTECTIONS`: bytes to bytes, repeatable, nothing shrinks, and no key is shown."""
    import torch
    from drawn import images

    from veil.images.forms import FORMS
    from veil.protections.ciphers.keys import Key
    from veil.protections.image_protection import KEYS

    check_name_and_title(row)
    assert row.threat
    assert row.broken_by
    assert row.form in FORMS
    assert row.key in KEYS
    secret, other = Key(bytes(range(32))), Key(bytes(range(1, 33)))
    key = secret if row.takes_key else None
    protect = row.build(key)
    for size in ((32, 32), (33, 31), (5, 4)):
        plain = images(3, *size)
        before = plain.clone()
        protected = protect(plain, torch.Generator().manual_seed(0))
        assert protected.dtype == torch.uint8
        assert protected.shape == (3, 3, *(-(-side // row.multiple) * row.multiple for side in size))
        assert plain.equal(before)
        assert not protected.is_inference()
        assert row.build(key)(plain, torch.Generator().manual_seed(0)).equal(protected)
        assert protect(plain).shape == protected.shape
        if row.decrypts:
            assert row.cipher(secret).decrypt(protected, size).equal(plain)
    if row.takes_key:
        assert not row.build(other)(images(2, 16, 16)).equal(row.build(secret)(images(2, 16, 16)))
    if row.key_bits is not None:
        assert 0 < row.effective_bits(8, 8) <= 256
    for wrong in (torch.zeros(1, 3, 8, 8), images(1, 8, 8)[0], images(1, 8, 8)[:, :1]):
        _refuses(protect, wrong)
    _refuses(row.build, None if row.takes_key else secret)
    _refuses(row.build, key, object())
    assert len(repr(protect)) < 100
    assert not any(shown in repr(protect) for shown in ("tensor", bytes(range(32)).hex()))


def check_image_attack(row: ImageAttack, folder: Path) -> None:
    """A row of `veil.attacks.images.ATTACKS`: called with what it knows, it gives images back, or says why it cannot.

    Args:
        folder: for checkpoints, where it is trained.
    """
    import torch

    from veil import training
    from veil.attacks.errors import AttackFailed
    from veil.attacks.images.attack import KNOWLEDGE, AttackersImages
    from veil.data import synthetic
    from veil.runtime.scales import SCALES
    from veil.training.run import Run

    check_name_and_title(row)
    assert row.knows in KNOWLEDGE
    assert set(row.scales) <= set(SCALES)
    plain = synthetic.small_images(train=24, test=4, side=32, seed=0)
    given = AttackersImages(plain.train.images, 255 - plain.train.images, lambda chosen: 255 - chosen)
    before = given.plain.clone()
    options: dict[str, Any] = {"form": "pixels"} if row.takes_form else {}
    if row.settings is not None:
        assert dataclasses.is_dataclass(row.settings)
        runner = training.fabric("cpu", "32-true")
        run = Run(folder=folder / row.name, seed=0, runner=runner, logged=lambda line: None)
        options |= {"settings": row.settings_at("smoke"), "run": run}
    arguments = row.knowledge.arguments(given, row.knowledge.pairs[-1])
    try:
        reconstruct = row.attack(*arguments, **options)
    except AttackFailed as reason:
        said = str(reason)
    else:
        said = ""
    assert "\n" not in said
    if said:
        return
    unseen = 255 - plain.test.images
    back = reconstruct(unseen)
    assert back.dtype == torch.uint8
    assert back.shape == unseen.shape
    assert reconstruct(unseen[:1]).shape == unseen[:1].shape
    assert given.plain.equal(before)
    assert given.protected.equal(255 - before)


def _refuses(call: Callable[..., object], *arguments: object) -> None:
    """Refuses them by a ValueError of one line."""
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        call(*arguments)


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


def check_row_format(row_format: RowFormat[Any], row: dict[str, Any]) -> None:
    """A format of a folder job's rows, with a row of it: whatever is missing or of another type is noticed."""
    assert row_format.problem(row) is None
    for name in row_format.done.__required_keys__:  # type: ignore[attr-defined]
        without = {key: value for key, value in row.items() if key != name}
        problem = row_format.problem(without)
        # Without an error it is a row of a file that is done.
        assert problem == f"{name} is missing" or (name == "error" and problem), name
        assert row_format.problem(row | {name: object()}), name
    assert row_format.problem({"file": row["file"], "out": None, **row_format.failed, "error": "why"}) is None
    assert row_format.problem(row | {"version": row_format.version + 1})
