"""The engine: outcomes do not depend on company, finished photos leave, memory stays bounded."""

import pytest
import torch
from networks import convolutional, linear, photos

from veil.protections.noise import SCHEMES
from veil.protections.noise import engine as engine_module
from veil.protections.noise.crs import CrsSettings
from veil.protections.noise.engine import Engine
from veil.protections.noise.scheme import Job, StepSettings
from veil.protections.noise.targets import cross_entropy


def run(engine: Engine, images: list[torch.Tensor], settings: CrsSettings | None = None, seed: int = 0) -> list:
    scheme, settings = SCHEMES["crs"], settings or CrsSettings(budget=6, required_score=0.9)
    plans = (
        (i, scheme.plan(image, settings, label_spaces=[0] * len(engine.classifiers), truth=None, seed=seed))
        for i, image in enumerate(images)
    )
    released = dict(engine.run(plans, scheme.objective, settings))
    return [released[i] for i in range(len(images))]


def test_every_photo_comes_back_once() -> None:
    released = run(Engine([convolutional()], batch=4, device="cpu"), photos(11))
    assert len(released) == 11
    assert all(r.reached for r in released)


@pytest.mark.parametrize("batch", [1, 3, 4, 8, 16])
def test_same_bytes_whatever_the_batch_and_the_order(batch: int) -> None:
    images = photos(9)
    expected = run(Engine([convolutional()], batch=8, device="cpu"), images)
    found = run(Engine([convolutional()], batch=batch, device="cpu"), images[::-1])[::-1]
    for one, other in zip(expected, found, strict=True):
        assert torch.equal(one.pixels, other.pixels)
        assert (one.targets, one.iterations) == (other.targets, other.iterations)


def test_seed_changes_targets_and_the_same_seed_does_not() -> None:
    engine, images = Engine([convolutional()], device="cpu"), photos(6)
    first, again, other = run(engine, images), run(engine, images), run(engine, images, seed=1)
    assert [r.targets for r in first] == [r.targets for r in again]
    assert [r.targets for r in first] != [r.targets for r in other]


def test_finished_photos_leave_and_waiting_ones_take_their_place() -> None:
    """The engine evaluates each photo once more than it steps, and no more: nothing waits for its neighbours."""
    engine = Engine([convolutional()], batch=4, device="cpu")
    released = run(engine, photos(12))
    assert engine.evaluations == sum(r.iterations + 1 for r in released)
    assert len({r.iterations for r in released}) > 1


def test_noise_stays_within_the_budget_and_the_image_within_range() -> None:
    images = [
        torch.zeros(3, 30, 30, dtype=torch.uint8),
        torch.full((3, 30, 30), 255, dtype=torch.uint8),
        *photos(4),
    ]
    settings = CrsSettings(step=0.7, budget=2.9, required_score=0.9999, max_iterations=12, retries=0)
    for image, released in zip(images, run(Engine([convolutional()], device="cpu"), images, settings), strict=True):
        assert int((released.pixels.int() - image.int()).abs().max()) <= 2
        assert released.pixels.dtype == torch.uint8


def test_what_is_not_reached_comes_back_as_the_best_iterate() -> None:
    weight = torch.zeros(2, 64)
    weight[0] = 100.0  # class 0 stays far ahead whatever three grey levels do
    engine = Engine([linear(weight, 8)], device="cpu")
    settings = CrsSettings(max_iterations=5, retries=1, excluded_top=1)
    (released,) = run(engine, [torch.full((1, 8, 8), 128, dtype=torch.uint8)], settings)
    assert not released.reached
    assert released.iterations == 10  # both attempts count
    assert released.targets == [[1]]


def test_an_ensemble_is_done_when_every_network_is() -> None:
    classifiers = [convolutional(0, name="a"), convolutional(1, name="b")]
    engine = Engine(classifiers, device="cpu")
    images = photos(5)
    for image, released in zip(images, run(engine, images), strict=True):
        assert released.reached
        first, second = (int(goal.argmax()) for goal in released.goals[0])
        assert first == second  # one label space, one target
        for logits in engine.logits([released.pixels]):
            assert float(logits.softmax(1)[0, first]) >= 0.9
        assert not torch.equal(image, released.pixels)


def test_networks_of_other_classes_get_targets_of_their_own() -> None:
    classifiers = [convolutional(0, name="a"), convolutional(1, classes=7, name="b")]
    scheme, settings = SCHEMES["crs"], CrsSettings(budget=6, required_score=0.8)
    engine = Engine(classifiers, device="cpu")
    ((_, released),) = engine.run(
        [(0, scheme.plan(photos(1)[0], settings, label_spaces=[0, 1], truth=None, seed=0))],
        cross_entropy,
        settings,
    )
    assert released.reached
    assert 0 <= int(released.goals[0][1].argmax()) < 7


def test_bfloat16_is_confirmed_in_float32() -> None:
    engine = Engine([convolutional()], precision="bfloat16", device="cpu")
    for released in run(engine, photos(4)):
        (logits,) = engine.logits([released.pixels])
        assert released.reached
        assert float(logits.softmax(1)[0, released.targets[0][0]]) >= 0.9


def test_large_photos_wait_for_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "MAX_ACTIVE_PIXELS", 1500)
    engine = Engine([convolutional()], batch=8, device="cpu")
    largest = 0
    step = engine._step

    def watched(slots, *rest):  # type: ignore[no-untyped-def]
        nonlocal largest
        largest = max(largest, sum(slot.image[0].numel() for slot in slots))
        return step(slots, *rest)

    monkeypatch.setattr(engine, "_step", watched)
    images = photos(8)
    assert len(run(engine, images)) == 8
    assert largest <= max(1500, *(image[0].numel() for image in images))


def test_plans_are_drawn_lazily() -> None:
    drawn = []
    scheme, settings = SCHEMES["crs"], CrsSettings(required_score=0.9)

    def plans():  # type: ignore[no-untyped-def]
        for i, image in enumerate(photos(20)):
            drawn.append(i)
            yield i, scheme.plan(image, settings, label_spaces=[0], truth=None, seed=0)

    running = Engine([convolutional()], batch=4, device="cpu").run(plans(), cross_entropy, settings)
    next(running)
    assert len(drawn) < 20


def test_a_plan_without_jobs_returns_at_once() -> None:
    def plan():  # type: ignore[no-untyped-def]
        return "nothing to do"
        yield [Job(photos(1)[0], lambda logits: [])]

    engine = Engine([convolutional()], device="cpu")
    assert list(engine.run([(1, plan()), (2, plan())], cross_entropy, StepSettings())) == [
        (1, "nothing to do"),
        (2, "nothing to do"),
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"budget": 0}, {"budget": 300}, {"budget": -1}, {"step": 0}, {"step": 4}, {"required_score": 1},
        {"required_score": 0}, {"max_iterations": 0}, {"excluded_top": 0}, {"retries": -1}, {"budget": float("nan")},
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong)).replace("_", " ")):
        CrsSettings(**wrong)  # type: ignore[arg-type]


def test_unknown_devices_are_refused() -> None:
    with pytest.raises(ValueError, match="no device"):
        Engine([convolutional()], device="abacus")
    with pytest.raises(ValueError, match="at least one"):
        Engine([])
