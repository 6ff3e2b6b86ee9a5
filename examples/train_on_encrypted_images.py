"""Trains a classifier on encrypted images, with a transform in a `Dataset` and workers that encrypt.

    python examples/train_on_encrypted_images.py

People who see what the network is trained with see noise; the network learns all the same. The images are drawn, so
that nothing has to be downloaded: put your own `Dataset` in their place. The key never leaves memory: workers inherit
it, or get it through a pipe.

Cost: some seconds.
"""

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

import veil
from veil.data import synthetic
from veil.data.labelled_images import LabelledImages

EPOCHS, BATCH, WORKERS = 12, 20, 2


class Pictures(Dataset[tuple[Tensor, int]]):
    """Labelled images, each given to a transform when it is asked for, as torchvision's sets do."""

    def __init__(self, data: LabelledImages, transform: veil.ImageTransform) -> None:
        self.data, self.transform = data, transform

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        encrypted = self.transform(self.data.images[index])  # uint8 (3, H, W), or a Pillow image, or an array
        return encrypted.float() / 127.5 - 1, int(self.data.labels[index])


def network(classes: int) -> nn.Module:
    """Two 1×1 convolutions, which the pixel-based cipher leaves sense in, then a small network."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 1), nn.ReLU(), nn.Conv2d(16, 16, 1), nn.ReLU(), nn.BatchNorm2d(16),
        nn.Conv2d(16, 16, 3, 2), nn.ReLU(), nn.BatchNorm2d(16), nn.Conv2d(16, 32, 3, 2), nn.ReLU(), nn.BatchNorm2d(32),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, classes),
    )  # fmt: skip


def main() -> float:
    """Trains, and returns how often the network is right about encrypted test images, 0 to 1."""
    torch.manual_seed(0)
    parts = synthetic.small_images(train=200, test=80, classes=4, side=16, seed=0)
    encrypt = veil.ImageTransform("pixel-same", veil.Key.new())  # your own: "holiday.key"
    print(encrypt)
    model = network(len(parts.train.classes))
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    learn = DataLoader(
        Pictures(parts.train, encrypt), BATCH, shuffle=True, num_workers=WORKERS, persistent_workers=True
    )
    for epoch in range(EPOCHS):
        losses = []
        for images, labels in learn:
            loss = nn.functional.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        print(f"epoch {epoch + 1}: loss {sum(losses) / len(losses):.3f}")
    model.eval()
    with torch.inference_mode():
        test = DataLoader(Pictures(parts.test, encrypt), BATCH)
        right = sum(int(model(images).argmax(1).eq(labels).sum()) for images, labels in test)
    print(f"right about {right} of {len(parts.test)} encrypted test images")
    return right / len(parts.test)


if __name__ == "__main__":
    main()
