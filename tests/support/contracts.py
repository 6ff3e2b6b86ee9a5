"""What every row of a table must keep, Veil's own and a stranger's: one check for each table."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from veil.attacks.images.attack import ImageAttack
from veil.attacks.noise.attack import NoiseAttack
from veil.protections.image_protection import ImageProtection
from veil.protections.noise.scheme import Scheme


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
