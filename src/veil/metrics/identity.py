"""Whether a face recogniser identifies a person in a reconstruction, by its embeddings.

Source: the human study of Li et al. 2019, section 4.4: one reconstruction, four photos, who is it? A guess is right in
25 % of cases; the paper's participants were right in 28 %. `one_of` asks a recogniser the same; `rank_one` searches the
whole gallery, and `tar_at_far` accepts or rejects pairs at a fixed share of false accepts.

A *probe* is the embedding of an attacker's reconstruction of one photo; the *gallery* holds the embeddings of photos
with their identities. The argument ``photo`` says which photo of the person counts as right:

- ``"same"``: the photo from which the probe comes, as in the paper's study. This test is easy: pose, light and
  background help. Failing it is the stronger sign of privacy.
- ``"another"``: only other photos of the same person. This tests whether the *person* is recognised. Probes whose
  person has no other photo are left out.

Similarity is the cosine; embeddings need not have length 1. Where several photos tie for the best, a hit counts as the
share of the right ones among them, so that an embedding that is the same for all scores as a guess.

Photos of one person are not independent, so the 95 % intervals come from a bootstrap over the people of the probes
(`veil.metrics.intervals.over_people`). They do not cover other galleries or the choice of the threshold.

All functions raise ``ValueError`` for anything but finite floats (N, D) and (M, D), and integers (M,) and (N,).
Memory grows as N · M.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from veil.metrics.intervals import Interval, over_people
from veil.runtime.seeds import seed_of

Photo = Literal["same", "another"]


@dataclass(frozen=True, kw_only=True)
class Identification:
    """How often a person was identified; shares are 0 to 1.

    Attributes:
        rate: share of the probes, or of a probe's pairs, that were right.
        interval: 95 %, (low, high), over the probes' people.
        chance: the rate of a recogniser that guesses.
        count: number of probes that were tested.
    """

    rate: float
    interval: Interval
    chance: float
    count: int


def one_of(
    probes: Tensor,
    gallery: Tensor,
    identities: Tensor,
    *,
    photo: Photo = "same",
    k: int = 4,
    seed: int = 0,
    source: Tensor | None = None,
) -> Identification | None:
    """How often the right person's photo is the most similar among ``k`` photos of ``k`` people.

    For every probe, the seed and the place of its source in the gallery decide the k − 1 wrong people, one photo of
    each, and the other photo of the right person. Other probes have no influence.

    Args:
        probes: (N, D).
        gallery: (M, D).
        identities: (M,), of the gallery.
        k: how many photos to choose from, at least 2.
        source: (N,), index of the gallery's photo from which each probe comes; None takes the first N.

    Returns:
        None where fewer than ``k`` people are in the gallery, or no probe's person has another photo.

    Raises:
        ValueError: also for ``k`` below 2.
    """
    if k < 2:
        raise ValueError(f"choose among at least 2 photos, not {k}")
    similarity, source, identities = _compared(probes, gallery, identities, source)
    known, person = torch.unique(identities, return_inverse=True)
    if len(known) < k:
        return None
    people = [(person == number).nonzero().flatten() for number in range(len(known))]
    hits, asked = [], []
    for row, photo_of_probe in zip(similarity, source.tolist(), strict=True):
        own = int(person[photo_of_probe])
        draw = torch.Generator().manual_seed(seed_of("one of", seed, photo_of_probe))
        right = _right_photo(people[own], photo_of_probe, photo, draw)
        if right is None:
            continue
        others = torch.randperm(len(people) - 1, generator=draw)[: k - 1]
        wrong = [_drawn(people[int(other) + int(other >= own)], draw) for other in others]
        hits.append(_share_right(row[[right, *wrong]], torch.arange(k) == 0))
        asked.append(own)
    return _identification(hits, asked, 1 / k)


def rank_one(
    probes: Tensor, gallery: Tensor, identities: Tensor, *, photo: Photo = "same", source: Tensor | None = None
) -> Identification | None:
    """How often the most similar photo of the whole gallery shows the right person.

    With ``photo="same"`` every photo of the person is right, the source included.

    Args:
        probes, gallery, identities, source: as `one_of` takes them.

    Returns:
        None where all of the gallery is one person, or no probe's person has another photo.
    """
    similarity, source, identities = _compared(probes, gallery, identities, source)
    if (identities == identities[0]).all():
        return None
    hits, asked, chances = [], [], []
    for row, own in zip(similarity, source, strict=True):
        allowed = _allowed(len(identities), own, photo)
        right = (identities == identities[own])[allowed]
        if right.any():
            hits.append(_share_right(row[allowed], right))
            asked.append(int(identities[own]))
            chances.append(float(right.double().mean()))
    return _identification(hits, asked, sum(chances) / max(len(chances), 1))


def tar_at_far(
    probes: Tensor,
    gallery: Tensor,
    identities: Tensor,
    *,
    far: float = 0.01,
    photo: Photo = "same",
    source: Tensor | None = None,
) -> Identification | None:
    """True accepts at a share ``far`` of false accepts: pairs of a probe and a photo, accepted by their similarity.

    The threshold is the lowest at which, of all pairs of a probe and a photo of someone else, at most the share ``far``
    lies above it. Every probe counts alike: its share of accepted pairs with photos of its person (with
    ``photo="same"``, the one with its source).

    Args:
        probes, gallery, identities, source: as `one_of` takes them.
        far: between 0 and 1.

    Returns:
        None where there are fewer than 1 / ``far`` pairs of different people, or no probe's person has another photo.

    Raises:
        ValueError: also for a ``far`` that is not between 0 and 1.
    """
    if not 0 < far < 1:
        raise ValueError(f"the share of false accepts must lie between 0 and 1, not {far}")
    similarity, source, identities = _compared(probes, gallery, identities, source)
    same = identities[source][:, None] == identities
    strangers = similarity[~same].sort(descending=True).values
    allowed = int(far * len(strangers) + 1e-9)
    if allowed < 1:
        return None
    threshold = strangers[min(allowed, len(strangers) - 1)]
    accepted = similarity > threshold
    own = torch.arange(len(identities)) == source[:, None]
    asked = own if photo == "same" else same & ~own
    counts = asked.sum(1)
    shares = (accepted & asked).sum(1)[counts > 0].double() / counts[counts > 0]
    return _identification(shares.tolist(), identities[source][counts > 0].tolist(), far)


def _compared(
    probes: Tensor, gallery: Tensor, identities: Tensor, source: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Cosines (N, M), sources (N,) and identities (M,), checked, on the CPU."""
    for name, embeddings in (("probes", probes), ("gallery", gallery)):
        if embeddings.ndim != 2 or 0 in embeddings.shape or not embeddings.is_floating_point():
            raise ValueError(
                f"{name} must hold floats of shape (N, D), not {embeddings.dtype} {tuple(embeddings.shape)}"
            )
        if not embeddings.isfinite().all():
            raise ValueError(f"{name} must be finite")
    if probes.shape[1] != gallery.shape[1]:
        raise ValueError(f"embeddings of {probes.shape[1]} and of {gallery.shape[1]} values cannot be compared")
    _check_integers("identities", identities, len(gallery))
    if source is None:
        source = torch.arange(len(probes))
    _check_integers("source", source, len(probes))
    source = source.cpu().long()
    if int(source.min()) < 0 or int(source.max()) >= len(gallery):
        raise ValueError(f"sources must be places in a gallery of {len(gallery)} photos")
    directions = [F.normalize(embeddings.detach().cpu().float(), dim=1) for embeddings in (probes, gallery)]
    return directions[0] @ directions[1].T, source, identities.cpu().long()


def _check_integers(name: str, values: Tensor, count: int) -> None:
    if values.shape != (count,) or values.is_floating_point() or values.is_complex() or values.dtype == torch.bool:
        raise ValueError(f"{name} must hold integers of shape ({count},), not {values.dtype} {tuple(values.shape)}")


def _allowed(count: int, own: Tensor, photo: Photo) -> Tensor:
    """Which of ``count`` photos are right for a probe from photo ``own``: bool (count,)."""
    return torch.ones(count, dtype=torch.bool) if photo == "same" else torch.arange(count) != own


def _right_photo(photos: Tensor, own: int, photo: Photo, draw: torch.Generator) -> int | None:
    if photo == "same":
        return own
    others = photos[photos != own]
    return _drawn(others, draw) if len(others) else None


def _drawn(photos: Tensor, draw: torch.Generator) -> int:
    return int(photos[torch.randint(len(photos), (), generator=draw)])


def _share_right(similarity: Tensor, right: Tensor) -> float:
    """The share of right photos among the most similar ones: 0 or 1, except for ties."""
    return float(right[similarity == similarity.max()].double().mean())


def _identification(hits: Sequence[float], asked: Sequence[int], chance: float) -> Identification | None:
    """``hits`` of every probe, of the people ``asked`` about."""
    if not hits:
        return None
    interval = over_people(torch.tensor(hits, dtype=torch.float64), torch.tensor(asked))
    return Identification(
        rate=min(1.0, sum(hits) / len(hits)), interval=interval, chance=chance, count=len(hits)
    )  # fmt: skip
