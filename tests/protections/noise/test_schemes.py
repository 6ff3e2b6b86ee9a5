"""The contract that every scheme keeps, and the closed forms of CRS and CIS on a linear classifier."""

import math

import pytest
import torch
from networks import convolutional, linear, photos
from torch.nn import functional as F

from veil.metrics.privacy import ice
from veil.protections.noise import SCHEMES, cis, entropy
from veil.protections.noise.cis import CisSettings
from veil.protections.noise.crs import CrsSettings
from veil.protections.noise.engine import Engine
from veil.protections.noise.entropy import EntropySettings
from veil.protections.noise.scheme import Released
from veil.protections.noise.targets import cross_entropy, draw


def protect(scheme: str, engine: Engine, image: torch.Tensor, seed: int = 0, **options: object) -> Released:
    row = SCHEMES[scheme]
    settings = row.settings(**options)
    plan = row.plan(image, settings, label_spaces=[0] * len(engine.classifiers), truth=None, seed=seed)
    ((_, released),) = engine.run([(0, plan)], row.objective, settings)
    return released  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine([convolutional()], device="cpu")


@pytest.mark.parametrize("scheme", SCHEMES)
class TestContract:
    def test_shape_type_and_budget(self, scheme: str, engine: Engine) -> None:
        for image in photos(3):
            released = protect(scheme, engine, image, budget=3, required_score=0.9)
            assert released.pixels.shape == image.shape
            assert released.pixels.dtype == torch.uint8
            assert 0 < int((released.pixels.int() - image.int()).abs().max()) <= 3

    def test_same_seed_same_bytes(self, scheme: str, engine: Engine) -> None:
        image = photos(1)[0]
        first, again = (protect(scheme, engine, image, seed=5, required_score=0.9) for _ in range(2))
        assert torch.equal(first.pixels, again.pixels)
        assert first.targets == again.targets

    def test_one_photo_alone_is_as_in_company(self, scheme: str, engine: Engine) -> None:
        row, images = SCHEMES[scheme], photos(5)
        settings = row.settings(required_score=0.9)
        plans = [(i, row.plan(image, settings, label_spaces=[0], truth=None, seed=0)) for i, image in enumerate(images)]
        together = dict(engine.run(plans, row.objective, settings))
        for i, image in enumerate(images):
            assert torch.equal(together[i].pixels, protect(scheme, engine, image, required_score=0.9).pixels)

    def test_grey_and_odd_sizes(self, scheme: str, engine: Engine) -> None:
        for size in ((1, 1, 1), (3, 1, 40), (1, 17, 5), (3, 64, 64)):
            image = torch.full(size, 100, dtype=torch.uint8)
            assert protect(scheme, engine, image, max_iterations=3).pixels.shape == size

    def test_true_class_and_top_classes_are_no_targets(self, scheme: str, engine: Engine) -> None:
        image = photos(1)[0]
        (logits,) = engine.logits([image])
        top = {int(k) for k in logits[0].topk(4).indices}
        for seed in range(8):
            settings = {"excluded_top": 4, "max_iterations": 2} | ({"targets": 2} if scheme == "entropy" else {})
            targets = [k for each in protect(scheme, engine, image, seed=seed, **settings).targets for k in each]
            assert 1 <= len(targets) <= 10 - 4
            assert not top & set(targets)


def two_classes(seed: int = 0, side: int = 8) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(2, side * side, generator=generator)
    weight[0] += 0.3  # class 0 wins on bright images
    return weight


@pytest.mark.parametrize("step", [1.0, 2.0])
@pytest.mark.parametrize("required", [0.6, 0.99])
def test_crs_against_the_closed_form(step: float, required: float) -> None:
    """With two classes the best noise within a limit is limit · sign(w₁ − w₀), and the steps needed follow from w."""
    weight = two_classes()
    image = torch.full((1, 8, 8), 128, dtype=torch.uint8)
    direction = weight[1] - weight[0]
    margin = float(direction.sum()) * 128 / 255
    gain = float(direction.abs().sum()) / 255
    steps = math.ceil((math.log(required / (1 - required)) - margin) / (gain * step))
    budget = float(math.ceil(steps * step)) + 3
    released = protect(
        "crs", Engine([linear(weight, 8)], device="cpu"), image,
        step=step, budget=budget, required_score=required, excluded_top=1,
    )  # fmt: skip
    assert released.reached
    assert released.iterations == steps
    expected = 128 + steps * step * direction.sign().view(1, 8, 8)
    assert torch.equal(released.pixels.float(), expected)


def test_crs_stops_at_the_limit_in_the_closed_form() -> None:
    weight = two_classes()
    image = torch.full((1, 8, 8), 128, dtype=torch.uint8)
    released = protect(
        "crs", Engine([linear(weight, 8)], device="cpu"), image,
        budget=2, required_score=0.999999, max_iterations=9, retries=0, excluded_top=1,
    )  # fmt: skip
    assert not released.reached
    assert torch.equal(released.pixels.float(), 128 + 2 * (weight[1] - weight[0]).sign().view(1, 8, 8))


def test_fgsm_is_one_step() -> None:
    """Eq. 5, with the sign that walks towards the target."""
    weight = two_classes()
    settings = CrsSettings.fgsm(8)
    image = torch.full((1, 8, 8), 128, dtype=torch.uint8)
    row = SCHEMES["crs"]
    engine = Engine([linear(weight, 8)], device="cpu")
    ((_, released),) = engine.run(
        [(0, row.plan(image, settings, label_spaces=[0], truth=0, seed=0))], row.objective, settings
    )
    assert torch.equal(released.pixels.float(), 128 + 8 * (weight[1] - weight[0]).sign().view(1, 8, 8))


def test_cis_clips_the_sum_or_leaves_it_raw() -> None:
    image = torch.tensor([[[100, 250, 3]]], dtype=torch.uint8)
    noisy = [
        torch.tensor([[[103, 253, 0]]], dtype=torch.uint8),
        torch.tensor([[[102, 253, 2]]], dtype=torch.uint8),
    ]
    assert cis.combine(noisy, image, CisSettings()).tolist() == [[[103, 253, 0]]]
    assert cis.combine(noisy, image, CisSettings(combine="sum")).tolist() == [[[105, 255, 0]]]


def test_cis_draws_n_different_targets(engine: Engine) -> None:
    released = protect("cis", engine, photos(1)[0], targets=3, required_score=0.9)
    assert len({targets[0] for targets in released.targets}) == 3


def test_cis_of_one_target_is_crs(engine: Engine) -> None:
    image = photos(1)[0]
    one, other = protect("cis", engine, image, targets=1), protect("crs", engine, image)
    assert torch.equal(one.pixels, other.pixels)


def test_cis_raises_entropy_above_crs(engine: Engine) -> None:
    images = photos(5)

    def mean_ice(scheme: str) -> float:
        released = [protect(scheme, engine, image).pixels for image in images]
        (logits,) = engine.logits(released)
        return float(-(logits.softmax(1) * logits.log_softmax(1)).sum(1).mean())

    assert mean_ice("cis") > mean_ice("crs")


def test_joint_entropy_of_one_target_draws_as_crs_does(engine: Engine) -> None:
    image = photos(1)[0]
    one, other = protect("entropy", engine, image, targets=1, required_score=0.9), protect("crs", engine, image)
    assert one.targets == other.targets


def test_score_of_a_soft_goal_is_that_of_crs_for_one_class() -> None:
    logits = torch.randn(6, 10, generator=torch.Generator().manual_seed(0))
    goals = F.one_hot(logits.argmax(1), 10).float()
    assert torch.allclose(entropy.divergence(logits, goals)[1], cross_entropy(logits, goals)[1], atol=1e-6)


def test_divergence_is_zero_at_the_goal_and_its_gradient_is_answer_minus_goal() -> None:
    goal = entropy.alike(10, [3])[None]
    loss, score = entropy.divergence(goal.log(), goal)
    assert float(loss) == pytest.approx(0, abs=1e-6)
    assert float(score) == pytest.approx(1, abs=1e-6)
    logits = torch.zeros(1, 10).index_fill(1, torch.tensor([7]), 20.0).requires_grad_()  # very sure of a wrong class
    (gradient,) = torch.autograd.grad(entropy.divergence(logits, goal)[0].sum(), logits)
    assert torch.allclose(gradient, logits.detach().softmax(1) - goal, atol=1e-6)


def test_truth_on_top_costs_the_score() -> None:
    goal = entropy.alike(10, [3])[None]
    logits = goal.log().index_fill(1, torch.tensor([3]), float(goal.log().max()) + 1e-3)
    assert float(entropy.divergence(logits, goal)[1]) < 0


def test_direct_ice_comes_near_the_ceiling_and_hides_the_first_choice(engine: Engine) -> None:
    images = photos(12)
    (before,) = engine.logits(images)
    (after,) = engine.logits([protect("entropy", engine, image, budget=8).pixels for image in images])
    assert float(ice(after).mean()) > 0.95 * math.log(10) > float(ice(before).mean()) + 0.5
    assert not (after.argmax(1) == before.argmax(1)).any()


def test_direct_ice_against_an_ensemble_with_classes_of_their_own() -> None:
    classifiers = [convolutional(0, name="a"), convolutional(1, classes=7, name="b")]
    engine, image, row = Engine(classifiers, device="cpu"), photos(1)[0], SCHEMES["entropy"]
    settings = EntropySettings(budget=8, required_score=0.9)
    plan = row.plan(image, settings, label_spaces=[0, 1], truth=None, seed=0)
    ((_, released),) = engine.run([(0, plan)], row.objective, settings)
    assert released.reached
    for before, after in zip(engine.logits([image]), engine.logits([released.pixels]), strict=True):
        assert float(ice(after)) > 0.95 * math.log(after.shape[1])
        assert int(after.argmax()) != int(before.argmax())


def test_draw_depends_on_seed_and_pixels_only() -> None:
    image, other = photos(2)
    logits = [torch.arange(10.0)]

    def drawn(image: torch.Tensor, seed: int) -> list[list[int]]:
        return draw(logits, [0], image, excluded_top=2, truth=3, seed=seed)

    assert drawn(image, 0) == drawn(image.clone(), 0)
    assert drawn(image, 0) != drawn(image, 1)
    assert drawn(image, 0) != drawn(other, 0)
    allowed, spare = drawn(image, 0)[0][:7], drawn(image, 0)[0][7:]
    assert sorted(allowed) == [0, 1, 2, 4, 5, 6, 7]
    assert spare == [8, 9]


def test_draw_never_gives_the_first_choice_where_the_truth_is_not_known() -> None:
    (order,) = draw([torch.tensor([2.0, 1.0])], [0], photos(1)[0], excluded_top=5, truth=None, seed=0)
    assert order == [1]
    with pytest.raises(ValueError, match="no target class"):
        draw([torch.tensor([2.0])], [0], photos(1)[0], excluded_top=5, truth=None, seed=0)
