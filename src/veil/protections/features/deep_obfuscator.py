"""DeepObfuscator (Li et al. 2019, https://arxiv.org/abs/1909.04126): features for one purpose alone.

Four networks. The obfuscator O runs on the phone, and its features are sent. The classifier C reads them on the server.
Two adversaries play the attacker: AC reads private attributes, AR draws the image. O and C are trained without any
defence; AC and AR learn from their frozen features; then Algorithm 1 takes batches in turns: O is trained against AR,
then against AC, then both learn again, then C does.

Threat model: an attacker gets the features, on the way or at the service. The attacker knows the obfuscator (it is on
every phone), has images of other people with their attributes, and can send them through it. The adversaries in this
training do not measure such an attacker, because O was trained against these very two. `veil.audits` trains others,
from nothing, against the frozen O.

Deviations: equations (5) and (9) say what O minimises, and Algorithm 1 takes turns with them; ``joint`` does both at
once, for O and C together, and then lets the adversaries learn from features that were kept. The paper's Gaussian noise
has no mean or width: here 0.5 and 0.25, cut off at 0 and 1. One device only: what takes turns does not go together with
gradients that are averaged over processes.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass

import torch
from torch import Generator, Tensor, nn

from veil import images
from veil.data.augmentation import crop_and_flip
from veil.metrics.recovery import mean_image
from veil.models.features import is_vector
from veil.models.obfuscator import FeatureClassifier
from veil.protections.features import losses
from veil.protections.features.monitoring import scalars_of
from veil.protections.features.settings import ObfuscatorSettings, Phase, only
from veil.protections.features.training_data import Networks, TrainedNetworks, TrainingFaces
from veil.runtime.seeds import seed_of
from veil.training import loop
from veil.training.checkpoints import Row, Trained
from veil.training.order import epoch_generator, whole_batches
from veil.training.run import Run
from veil.training.schedule import constant, one_cycle, set_rate

PRETRAINING, ATTACKERS, ADVERSARIAL = "pretraining", "attackers", "adversarial"
_KEPT_VECTORS, _KEPT_MAPS = 16, 2
"""Batches of features that adversaries learn from in a ``joint`` phase."""
_NOISE_MEAN, _NOISE_DEVIATION = 0.5, 0.25
Scalars = dict[str, Tensor]


def train(
    faces: TrainingFaces, settings: ObfuscatorSettings, run: Run, *, validation: TrainingFaces | None = None
) -> TrainedNetworks:
    """Trains in three stages, each from its last checkpoint below the run's folder on; see `veil.training.loop.run`.

    Args:
        run: rows of its log name their stage; ``about`` says what else the result depends on: data, attributes.
        validation: images that are not trained on: what networks say of them goes to the log.

    Raises:
        ValueError: for several devices, fewer images than a batch or than two, and as `loop.run` does.
        TrainingError: as `loop.run` does.
    """
    if run.runner.world_size > 1:
        raise ValueError("an obfuscator is trained on one device")
    if len(faces) < 2:
        raise ValueError(f"an obfuscator is trained with two images at least, not {len(faces)}")
    networks = Networks.create(faces, settings, run.seed)
    game = _Game(networks, faces, settings, run, validation)
    images_too, attributes_too = networks.reconstructor is not None, bool(networks.adversaries)
    defended = images_too or attributes_too
    played = only(settings.phases, images=images_too, attributes=attributes_too)
    stages: dict[str, tuple[int, tuple[Phase | str, ...]]] = {
        PRETRAINING: (settings.pretraining, ("pretrain",)),
        ATTACKERS: (max(map(settings.prepared, game.attackers), default=0), ("attack",)),
        ADVERSARIAL: (settings.epochs if defended and played else 0, played),
    }
    logs = {stage: game.play(stage, phases, epochs) for stage, (epochs, phases) in stages.items()}
    for network in networks.named().values():
        network.eval()
    return TrainedNetworks(networks, logs)


@dataclass(frozen=True, eq=False)
class _Batch:
    """Images in [0, 1] with their labels."""

    images: Tensor
    target: Tensor
    private: Tensor
    generator: Generator


class _Game:
    """The networks as they take turns."""

    def __init__(
        self, networks: Networks, faces: TrainingFaces, settings: ObfuscatorSettings, run: Run,
        validation: TrainingFaces | None = None,
    ) -> None:  # fmt: skip
        self.networks, self.faces, self.settings, self.run, self.validation = networks, faces, settings, run, validation
        self.runner = run.runner
        self.modules = networks.named()
        for module in self.modules.values():
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.calls: dict[str, Callable[[Tensor], Tensor]] = {
            name: self.runner.setup_module(module) for name, module in self.modules.items()
        }
        self.adversaries = [name for name in self.modules if name.startswith("adversary")]
        self.attackers = [*self.adversaries, *(["reconstructor"] if networks.reconstructor is not None else [])]
        self.attacking = self.attackers
        self.optimizers: dict[str, torch.optim.Optimizer] = {}
        self.kept: list[tuple[Tensor, Tensor, Tensor]] = []
        self.factor = 1.0
        self.fixed = noise(faces.images[:1].shape, Generator().manual_seed(seed_of("noise", run.seed)))[0]
        self.mean = (mean_image(faces.images, torch.float64) / 255).float()

    def play(self, stage: str, phases: tuple[str, ...], epochs: int) -> list[Row]:
        """A stage: each batch is used for the next one of ``phases``."""
        if not epochs:
            return []
        settings, run, count = self.settings, self.run, len(self.faces)
        size = min(settings.batch_size, count)
        schedule = one_cycle if settings.falling else constant
        self.optimizers = {
            name: torch.optim.Adam(module.parameters(), lr=settings.learning_rate)
            for name, module in self.modules.items()
        }  # fmt: skip

        def batches(epoch: int, _: Generator) -> Iterator[tuple[str, Tensor]]:
            self._begin(epoch, stage)
            order = whole_batches(count, size, epoch_generator(run.seed, stage, epoch))
            for number, index in enumerate(order):
                yield phases[number % len(phases)], index

        def step(batch: tuple[str, Tensor], now: loop.Moment) -> Scalars:
            for optimizer in self.optimizers.values():
                set_rate(optimizer, settings.learning_rate * schedule(now.progress))
            return _PHASES[batch[0]](self, self._batch(batch[1], now.generator))

        described = asdict(settings) | {"shape": list(self.faces.images.shape), **run.about, "stage": stage}
        there = run.at(stage, logged=lambda row: run.logged({"stage": stage, **row}))
        return loop.run(
            Trained(self.modules, self.optimizers), batches, step, epochs=epochs, steps_per_epoch=count // size,
            settings=described, after_epoch=lambda _: self._scalars(stage), **there.reporting,
        )  # fmt: skip

    def _scalars(self, stage: str) -> dict[str, float]:
        """What the networks say of the validation images, for the log."""
        if self.validation is None:
            return {}
        return scalars_of(self.networks, self.validation, self.runner.device, attackers=stage != PRETRAINING)

    def _begin(self, epoch: int, stage: str) -> None:
        """An epoch: nothing is kept from the one before, and one adversary may begin anew."""
        self.kept.clear()
        self.factor = self.settings.factor(epoch)
        self.attacking = [name for name in self.attackers if stage != ATTACKERS or epoch < self.settings.prepared(name)]
        every = self.settings.renewed
        if not (stage == ADVERSARIAL and every and epoch and epoch % every == 0 and self.adversaries):
            return
        name = self.adversaries[epoch // every % len(self.adversaries)]
        old = self.networks.adversaries[self.adversaries.index(name)]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of("renewed", self.run.seed, epoch))
            old.load_state_dict(FeatureClassifier(**old.options).state_dict())
        self.optimizers[name].state.clear()

    def _batch(self, index: Tensor, generator: Generator) -> _Batch:
        chosen = crop_and_flip(self.faces.images[index], generator, padding=self.settings.padding)
        device = self.runner.device
        values = images.to_float(chosen.to(device)).contiguous(memory_format=torch.channels_last)
        return _Batch(values, self.faces.target[index].to(device), self.faces.private[index].to(device), generator)

    def learning(self, *names: str) -> None:
        """These networks learn; all others are idle."""
        for name, module in self.modules.items():
            module.requires_grad_(name in names)
            module.train(name in names or self.settings.idle == "train")

    def update(self, loss: Tensor, *names: str) -> None:
        """A step of these networks down ``loss``."""
        self.runner.backward(loss)
        for name in names:
            if self.settings.clip is not None:
                nn.utils.clip_grad_norm_(self.modules[name].parameters(), self.settings.clip)
            self.optimizers[name].step()
            self.optimizers[name].zero_grad()

    def classified(self, features: Tensor, batch: _Batch) -> Tensor:
        """L(C)."""
        return losses.attributes(self.calls["classifier"](features), batch.target)

    def exposed(self, features: Tensor, batch: _Batch) -> Tensor:
        """What O makes large to hide attributes: the mean over adversaries of L(AC), or of minus their confusion."""
        exposed = []
        for name in self.adversaries:
            logits = self.calls[name](features)
            exposed.append(
                -losses.confusion(logits) if self.settings.bounded else losses.attributes(logits, batch.private)
            )
        return torch.stack(exposed).mean()

    def drawn(self, features: Tensor, batch: _Batch) -> tuple[Tensor, Tensor]:
        """L(AR2) and L(AR1); nothing is said of the original where all are to look like the mean image."""
        drawn = self.calls["reconstructor"](features)
        original = drawn.new_zeros(())
        if self.settings.target != "mean":
            original = losses.reconstruction(batch.images, drawn)
        return losses.towards(self._wanted(batch), drawn), original

    def _wanted(self, batch: _Batch) -> Tensor:
        match self.settings.target:
            case "noise":
                return noise(batch.images.shape, batch.generator).to(batch.images)
            case "fixed-noise":
                return self.fixed.to(batch.images)
            case "mean":
                return self.mean.to(batch.images)

    def read(self, features: Tensor, private: Tensor, name: str) -> Tensor:
        """An update of one AC on features that are given; L(AC)."""
        loss = losses.attributes(self.calls[name](features), private)
        self.update(loss, name)
        return loss.detach()

    def draw(self, features: Tensor, batch: _Batch) -> Tensor:
        """An update of AR; L(AR1)."""
        loss = losses.reconstruction(batch.images, self.calls["reconstructor"](features))
        self.update(loss, "reconstructor")
        return loss.detach()

    @torch.no_grad()
    def features(self, batch: _Batch) -> Tensor:
        """Of O, for others to learn from."""
        return self.calls["obfuscator"](batch.images)


def _pretrain(game: _Game, batch: _Batch) -> Scalars:
    """O and C, without any defence."""
    game.learning("obfuscator", "classifier")
    loss = game.classified(game.calls["obfuscator"](batch.images), batch)
    game.update(loss, "obfuscator", "classifier")
    return {"classifier": loss.detach()}


def _defend(loss: Callable[[_Game, Tensor, Tensor, _Batch], Tensor]) -> Callable[[_Game, _Batch], Scalars]:
    """A phase that trains O alone, down a loss that takes L(C) and the features."""

    def phase(game: _Game, batch: _Batch) -> Scalars:
        game.learning("obfuscator")
        features = game.calls["obfuscator"](batch.images)
        classifier = game.classified(features, batch)
        game.update(loss(game, classifier, features, batch), "obfuscator")
        return {"classifier": classifier.detach()}

    return phase


def _against_adversaries(game: _Game, classifier: Tensor, features: Tensor, batch: _Batch) -> Tensor:
    """Equation (5)."""
    weight = game.factor * game.settings.lambda1
    return losses.defended_attributes(classifier, game.exposed(features, batch), weight)


def _against_reconstructor(game: _Game, classifier: Tensor, features: Tensor, batch: _Batch) -> Tensor:
    """Equation (9)."""
    noise, original = game.drawn(features, batch)
    return losses.defended_reconstruction(classifier, noise, original, game.factor * game.settings.lambda2)


def _towards_noise(game: _Game, classifier: Tensor, features: Tensor, batch: _Batch) -> Tensor:
    """Half of equation (9), as the authors' code has it."""
    return classifier + game.factor * game.settings.lambda2 * game.drawn(features, batch)[0]


def _from_original(game: _Game, classifier: Tensor, features: Tensor, batch: _Batch) -> Tensor:
    """The other half."""
    return classifier - game.factor * game.settings.lambda2 * game.drawn(features, batch)[1]


def _attack(game: _Game, batch: _Batch) -> Scalars:
    """AR and AC, on features of an idle O."""
    game.learning(*game.attacking)
    features = game.features(batch)
    read = [game.read(features, batch.private, name) for name in game.adversaries if name in game.attacking]
    scalars = {} if not read else {"adversary": torch.stack(read).mean()}
    if "reconstructor" in game.attacking:
        scalars["reconstructor"] = game.draw(features, batch)
    return scalars


def _recover(game: _Game, batch: _Batch) -> Scalars:
    """C, on features of an idle O."""
    game.learning("classifier")
    loss = game.classified(game.features(batch), batch)
    game.update(loss, "classifier")
    return {"classifier": loss.detach()}


def _joint(game: _Game, batch: _Batch) -> Scalars:
    """O and C against all at once; then the adversaries, on this batch's features and on some that were kept."""
    settings = game.settings
    game.learning("obfuscator", "classifier")
    features = game.calls["obfuscator"](batch.images)
    classifier = game.classified(features, batch)
    loss = classifier
    if game.adversaries and settings.lambda1:
        loss = _against_adversaries(game, loss, features, batch)
    if "reconstructor" in game.attackers:
        loss = _against_reconstructor(game, loss, features, batch)
    if settings.lambda3:
        loss = loss + game.factor * settings.lambda3 * _apart(game, features, batch)
    game.update(loss, "obfuscator", "classifier")
    game.learning(*game.attackers)
    _keep(game, features.detach(), batch)
    scalars = {"classifier": classifier.detach(), **_learn_from_kept(game, batch.generator)}
    if "reconstructor" in game.attackers:
        scalars["reconstructor"] = game.draw(features.detach(), batch)
    return scalars


def _apart(game: _Game, features: Tensor, batch: _Batch) -> Tensor:
    """`losses.discrepancy` of a batch, with what was kept beside it: more images say more of two distributions."""
    columns = zip((features, batch.private, batch.target), *game.kept, strict=True)
    return losses.discrepancy(*(torch.cat([part.float() if part.is_floating_point() else part for part in column])
                                for column in columns))  # fmt: skip


def _keep(game: _Game, features: Tensor, batch: _Batch) -> None:
    game.kept.append((features, batch.private, batch.target))
    del game.kept[: -(_KEPT_VECTORS if is_vector(features.shape[1:]) else _KEPT_MAPS)]


def _learn_from_kept(game: _Game, generator: Generator) -> Scalars:
    if not game.adversaries:
        return {}
    features, private = (torch.cat([kept[place] for kept in game.kept]) for place in (0, 1))
    size, read = len(game.kept[-1][0]), []
    for _ in range(game.settings.steps):
        index = torch.randperm(len(features), generator=generator)[:size].to(features.device)
        read += [game.read(features[index], private[index], name) for name in game.adversaries]
    return {"adversary": torch.stack(read).mean()}


def noise(shape: Iterable[int], generator: Generator) -> Tensor:
    """Images of Gaussian noise, in [0, 1]."""
    return torch.empty(tuple(shape)).normal_(_NOISE_MEAN, _NOISE_DEVIATION, generator=generator).clamp_(0, 1)


_PHASES: dict[str, Callable[[_Game, _Batch], Scalars]] = {
    "pretrain": _pretrain,
    "defend-reconstruction": _defend(_against_reconstructor),
    "defend-noise": _defend(_towards_noise),
    "defend-original": _defend(_from_original),
    "defend-attributes": _defend(_against_adversaries),
    "attack": _attack,
    "recover": _recover,
    "joint": _joint,
}
