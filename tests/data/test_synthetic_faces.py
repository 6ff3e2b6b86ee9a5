"""Drawn faces: who is in which part, how attributes go together, and that they can be learned."""

import pytest
import torch
from torch.nn import functional as F

from veil.data import synthetic_faces


def test_parts_people_and_types() -> None:
    parts = synthetic_faces.faces(100, side=24)
    assert (len(parts.train), len(parts.validation), len(parts.test)) == (70, 10, 20)
    whole = (parts.train, parts.validation, parts.test)
    people = []
    for part in whole:
        assert (part.images.dtype, part.images.shape[1:]) == (torch.uint8, (3, 24, 24))
        assert part.names == synthetic_faces.NAMES
        assert part.identities is not None
        assert part.identities.bincount().max() <= synthetic_faces.PICTURES
        people += part.identities.unique().tolist()
    assert len(people) == len(set(people))
    seen = {image.numpy().tobytes() for part in whole for image in part.images}
    assert len(seen) == 100


def test_a_persons_sex_stays_and_the_rest_changes() -> None:
    part = synthetic_faces.faces(600, side=24).train
    assert part.identities is not None
    people = part.labels(("Male", "Smiling"))[: 6 * 60].view(60, 6, 2)
    assert (people[:, :, 0] == people[:, :1, 0]).all()
    assert (people[:, :, 1].any(1) & ~people[:, :, 1].all(1)).float().mean() > 0.8


def test_attributes_go_together_a_little() -> None:
    part = synthetic_faces.faces(3000, side=24).train
    makeup, cheeks, male, smiling = part.attributes.double().T
    for attribute in (makeup, cheeks, male, smiling):
        assert 0.3 < attribute.mean() < 0.6
    assert torch.corrcoef(torch.stack((makeup, male)))[0, 1] < -0.4
    assert 0.3 < torch.corrcoef(torch.stack((cheeks, smiling)))[0, 1] < 0.8
    assert torch.corrcoef(torch.stack((male, smiling)))[0, 1].abs() < 0.1


def test_the_seed_decides() -> None:
    first = synthetic_faces.faces(30, 1, 24).fingerprint
    assert first == synthetic_faces.faces(30, 1, 24).fingerprint
    assert first != synthetic_faces.faces(30, 2, 24).fingerprint


@pytest.mark.parametrize(("count", "side"), [(9, 48), (10, 23)])
def test_too_little_is_refused(count: int, side: int) -> None:
    with pytest.raises(ValueError, match="at least 10 faces of 24 pixels"):
        synthetic_faces.faces(count, side=side)


def test_a_small_network_learns_each_attribute() -> None:
    parts = synthetic_faces.faces(860)
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 3, 2, 1), torch.nn.ReLU(), torch.nn.Conv2d(16, 32, 3, 1, 1), torch.nn.ReLU(),
        torch.nn.MaxPool2d(2), torch.nn.Conv2d(32, 32, 3, 1, 1), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
        torch.nn.Flatten(), torch.nn.Linear(32 * 36, 4),
    )  # fmt: skip
    optimizer, draw = torch.optim.Adam(network.parameters(), 2e-3), torch.Generator().manual_seed(0)
    for _ in range(160):
        chosen = torch.randint(0, 600, (24,), generator=draw)
        logits = network(parts.train.images[chosen].float() / 255 - 0.5)
        loss = F.binary_cross_entropy_with_logits(logits, parts.train.attributes[chosen].float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.inference_mode():
        right = (network(parts.test.images.float() / 255 - 0.5) > 0) == parts.test.attributes
    assert (right.float().mean(0) > 0.95).all()
