"""Fits universal noise to a person's own photos, a noise for each size, and measures what it does to photos held out.

Source: Veil's own; the noise is that of `veil.protections.noise.universal`, its loss −ICE + w · ICP (`unsure`).

Threat model: as for `veil.protections.noise.universal`.

Which class counts as true: the one that was given, otherwise the first network's first choice for the photo. A given
class is an index among the first network's class names. Among networks with other class names, the first choice of the
first one that has these names counts. (A descent keeps every network's own first choice off the top:
`veil.protections.noise.targets.forbidden`.)

Photos for which a network gives no finite answer are left out, and so is a size whose fit diverges; it is said of both.

Memory: photos are read twice, once for their sizes and once, size by size, to fit. `MAX_PIXELS` bounds how many pixels
of a size are held, `MAX_BATCH_PIXELS` how many are in a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from veil import images
from veil.images import ImageError
from veil.models.answers import NoFiniteAnswer, finite_rows, no_answer, require_finite
from veil.protections.noise.universal import Size, UniversalNoise, UniversalSettings, add, fit, named, sized, unsure
from veil.runtime.files import printable
from veil.runtime.lazy import torch
from veil.runtime.seeds import seed_of

if TYPE_CHECKING:
    from torch import Tensor

    from veil.models.classifier import Classifier

MAX_PIXELS = 200_000_000  # up to 3 bytes each, held twice at most
MAX_BATCH_PIXELS = 16_000_000  # about 60 bytes each
HELD_OUT = 5  # every fifth photo is kept from the fit
File = tuple[Path, str]  # a photo, and what messages and labels call it


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    """How universal noise is fitted to photos."""

    budget: float = field(
        default=3.0, metadata={"help": "Noise limit, in grey levels (1 to 255); the file holds whole levels."}
    )
    icp_weight: float = field(default=1.0, metadata={"help": "What ICP counts beside ICE in nats."})
    iterations: int = field(default=300, metadata={"help": "Steps of the fit."})
    batch_size: int = field(default=16, metadata={"help": "Photos per step."})
    max_photos: int = field(default=256, metadata={"help": "Photos of a size at most; of more, some are drawn."})

    def __post_init__(self) -> None:
        if not 1 <= self.budget <= 255:
            raise ValueError(f"budget must lie between 1 and 255 grey levels, not {self.budget:g}")
        if not 0 <= self.icp_weight < float("inf"):
            raise ValueError(f"icp weight must not be negative, not {self.icp_weight:g}")
        if min(self.iterations, self.batch_size, self.max_photos) < 1:
            raise ValueError(
                f"iterations, batch size and max photos must be at least 1, not {self.iterations}, "
                f"{self.batch_size}, {self.max_photos}"
            )

    def universal(self, size: Size) -> UniversalSettings:
        """What `fit` needs for photos of a size.

        The learning rate keeps its ratio to the limit, 0.01 to 0.35 or limit / 35, so that as many steps lead to the
        limit. There is no penalty: it sums over values, and would grow with the photo; the limit alone bounds them.
        """
        limit = int(self.budget) / 255
        batch = min(self.batch_size, _at_most(MAX_BATCH_PIXELS, size))
        return UniversalSettings(
            limit=limit, iterations=self.iterations, batch_size=batch, learning_rate=limit / 35, penalty=0
        )


@dataclass(frozen=True)
class Group:
    """Photos of one size to fit to, in the order in which they were found, and limits to read them within."""

    size: Size
    files: tuple[File, ...]
    limits: images.Limits = images.LIMITS


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What a noise does to one network's answers: means over the photos that it was measured on, as 8-bit files.

    Attributes:
        size: of the photos, as `named`.
        network: its name.
        fitted, measured: number of photos that the noise was fitted to, and measured on.
        held_out: whether those are others.
        ice_before, ice_after: in nats.
        icp_before, icp_after: probability of the true class.
        on_top_before, on_top_after: share of photos whose true class is the first choice.
    """

    size: str
    network: str
    fitted: int
    measured: int
    held_out: bool
    ice_before: float
    ice_after: float
    icp_before: float
    icp_after: float
    on_top_before: float
    on_top_after: float


def by_size(
    files: Iterable[File],
    settings: FitSettings,
    *,
    seed: int,
    say: Callable[[str], None],
    limits: images.Limits = images.LIMITS,
) -> list[Group]:
    """Groups photos by channels, height and width, and draws those to fit to where there are too many.

    Args:
        seed: of the draw.
        limits: of a photo.
        say: called with a line for each photo that cannot be read, and each group of which some are left out.
    """
    groups_by_size: dict[Size, list[File]] = {}
    for file, pixels in _read(files, say, limits):
        channels, height, width = pixels.shape
        groups_by_size.setdefault((channels, height, width), []).append(file)
    groups = []
    for size, members in sorted(groups_by_size.items()):
        most = min(settings.max_photos, _at_most(MAX_PIXELS, size))
        generator = torch.Generator().manual_seed(seed_of("photos of a size", seed, named(size)))
        drawn = sorted(torch.randperm(len(members), generator=generator)[:most].tolist())
        if len(members) > most:
            say(f"{named(size)}: {most} of {len(members)} photos drawn, {len(members) - most} left out")
        groups.append(Group(size, tuple(members[place] for place in drawn), limits))
    return groups


def fit_groups(
    classifiers: Sequence[Classifier],
    groups: Sequence[Group],
    settings: FitSettings,
    *,
    truths: Mapping[str, int],
    seed: int,
    say: Callable[[str], None] = lambda line: None,
    progress: Callable[[Size, int], None] = lambda size, iteration: None,
) -> tuple[UniversalNoise, list[Effect]]:
    """Fits a noise to each group, but for every fifth photo, and measures it on those.

    Args:
        classifiers: an ensemble on one device, each with a name of its own.
        truths: true class for the first network by photo, as in ``groups`` or without its folder.
        seed: of the batches.
        say: called with a line for each photo that cannot be read any more, or for which a network gives no finite
            answer, for each size without a noise, and where a batch is made smaller.
        progress: called with a group's size and the number of its finished iterations.

    Returns:
        The noise, and its effects by size and network.

    Raises:
        ValueError: for a true class that the first network does not have, networks of one name, or where no photo of a
            group can be read any more.
        NoGradients: for a network that can only judge.
        NoFiniteAnswer: where no group is left.
    """
    for classifier in classifiers:
        classifier.require_gradients()
    models = {classifier.name: classifier.fingerprint() for classifier in classifiers}
    if len(models) < len(classifiers):
        raise ValueError("two of the networks have the same name: " + ", ".join(c.name for c in classifiers))
    first = classifiers[0]
    for truth in _given([file for group in groups for file in group.files], truths):
        if truth is not None and not 0 <= truth < len(first.classes):
            raise ValueError(f"{first.name} has no class {truth}, only 0 to {len(first.classes) - 1}")
    noises: dict[Size, Tensor] = {}
    effects: list[Effect] = []
    lost: list[NoFiniteAnswer] = []
    for group in groups:
        try:
            noises[group.size], measured = _fit_group(
                classifiers, group, settings, truths=truths, seed=seed, say=say, progress=partial(progress, group.size)
            )
        except NoFiniteAnswer as error:
            say(f"{named(group.size)}: {printable(str(error))}; there is no noise for this size")
            lost.append(error)
        else:
            effects += measured
    if lost and not noises:
        raise lost[0]
    photos = {sized(effect.size): effect.fitted for effect in effects}
    made_with = asdict(settings) | {"seed": seed}
    return UniversalNoise(noises=noises, models=models, settings=made_with, photos=photos), effects


def _fit_group(
    classifiers: Sequence[Classifier],
    group: Group,
    settings: FitSettings,
    *,
    truths: Mapping[str, int],
    seed: int,
    say: Callable[[str], None],
    progress: Callable[[int], None],
) -> tuple[Tensor, list[Effect]]:
    readable = _read(group.files, say, group.limits)
    read = [(file, pixels) for file, pixels in readable if tuple(pixels.shape) == group.size]
    if not read:
        raise ValueError(f"none of the photos of {named(group.size)} can be read any more")
    given = _given([file for file, _ in read], truths)
    photos = torch.stack([pixels for _, pixels in read])
    chosen = settings.universal(group.size)
    if chosen.batch_size < settings.batch_size:
        say(f"{named(group.size)}: {chosen.batch_size} photos per step instead of {settings.batch_size}")

    before = [_answers(classifier, photos, chosen.batch_size) for classifier in classifiers]
    kept = _answered(classifiers, before, [name for (_, name), _ in read], say)
    del read
    if not all(kept):
        photos, before = photos[kept], [logits[kept] for logits in before]
        given = [truth for truth, keep in zip(given, kept, strict=True) if keep]
    labels = true_classes(classifiers, before, given)
    held = torch.arange(len(photos)) % HELD_OUT == HELD_OUT - 1
    held_out = bool(held.any())
    noise = fit(
        classifiers, photos[~held], labels[:, ~held], {"noise": unsure(settings.icp_weight)}, chosen,
        generator=torch.Generator().manual_seed(seed_of("universal noise", seed, named(group.size))), progress=progress,
    )["noise"].contiguous()  # fmt: skip

    judges = held if held_out else ~held
    released = add(photos[judges], noise)
    effects = []
    for classifier, logits, truth in zip(classifiers, before, labels, strict=True):
        after = require_finite(_answers(classifier, released, chosen.batch_size), classifier.name, "photos with noise")
        means = _means(logits[judges], after, truth[judges])
        effects.append(
            Effect(
                size=named(group.size), network=classifier.name, fitted=int((~held).sum()),
                measured=len(released), held_out=held_out, **means,
            )
        )  # fmt: skip
    return noise, effects


def _answered(
    classifiers: Sequence[Classifier], logits: Sequence[Tensor], names: Sequence[str], say: Callable[[str], None]
) -> list[bool]:
    """For each photo, whether every network gives a finite answer for it; says for which one does not.

    Raises:
        NoFiniteAnswer: where none is left.
    """
    kept = [True] * len(names)
    for classifier, answers in zip(classifiers, logits, strict=True):
        for place, finite in enumerate(finite_rows(answers)):
            if kept[place] and not finite:
                kept[place] = False
                say(f"{printable(names[place])}: {printable(str(no_answer(classifier.name)))}; skipped")
    if not any(kept):
        raise no_answer(" and ".join(classifier.name for classifier in classifiers), "any photo of this size")
    return kept


def true_classes(classifiers: Sequence[Classifier], logits: Sequence[Tensor], given: Sequence[int | None]) -> Tensor:
    """What counts as true, for each network and photo, int64 (M, N); see the module's head.

    Args:
        logits: (N, K) of each network on the originals.
        given: the true class for the first network, of each photo, or None.
    """
    spaces: dict[tuple[str, ...], Tensor] = {}
    for classifier, answers in zip(classifiers, logits, strict=True):
        spaces.setdefault(classifier.classes, answers.argmax(1))
    for place, truth in enumerate(given):
        if truth is not None:
            spaces[classifiers[0].classes][place] = truth
    return torch.stack([spaces[classifier.classes] for classifier in classifiers])


def _given(files: Sequence[File], truths: Mapping[str, int]) -> list[int | None]:
    return [truths.get(name, truths.get(Path(name).name)) for _, name in files]


def _read(files: Iterable[File], say: Callable[[str], None], limits: images.Limits) -> Iterator[tuple[File, Tensor]]:
    for path, name in files:
        try:
            pixels = images.load(path, limits=limits).pixels
        except (ImageError, OSError, MemoryError) as error:
            reason = "not enough memory" if isinstance(error, MemoryError) else str(error) or type(error).__name__
            say(f"{printable(name)}: {printable(' '.join(reason.split()))}; skipped")
        else:
            yield (path, name), pixels


def _at_most(pixels: int, size: Size) -> int:
    return max(1, pixels // (size[1] * size[2]))


def _answers(classifier: Classifier, photos: Tensor, batch: int) -> Tensor:
    """Logits (N, K), on the CPU, of uint8 photos (N, C, H, W)."""
    device = classifier.device
    with torch.no_grad():
        parts = [classifier(images.to_float(part.to(device))).float().cpu() for part in torch.split(photos, batch)]
    return torch.cat(parts)


def _means(before: Tensor, after: Tensor, truth: Tensor) -> dict[str, float]:
    """What an `Effect` holds of a network's logits (N, K), with the true classes (N,)."""
    from veil.metrics import privacy

    means = {}
    for when, logits in (("before", before), ("after", after)):
        means[f"ice_{when}"] = float(privacy.ice(logits).mean())
        means[f"icp_{when}"] = float(privacy.icp(logits, truth).mean())
        means[f"on_top_{when}"] = float((logits.argmax(1) == truth).float().mean())
    return means
