"""Networks, asked in batches of a few fixed shapes, so that an answer has the same bits in any company.

A network sums in another order when a batch has another number of images, and on some processors when an image has
another place in the batch. Then its logits and gradients differ in their last bits, a signed gradient step turns some
of these into a whole grey level, and another file comes out. So all passes have shapes of which `Passes` has seen,
once, at its start and on random images, that they give the same bits as one *reference*:

- The reference does not depend on how many photos are in work. On a CPU it is `ON_CPU` images, or the half, a quarter,
  … of that where places in such a batch are not equal; a batch of one image has one place only. On other devices it is
  `ELSEWHERE` images, or the batch where that is smaller, for the sake of memory.
- Other shapes, powers of two, are used only where logits and gradients at every place are equal to the reference's to
  the last bit.

Some processors have no shape but the reference; there a few photos cost as much as a full pass.

The bits depend on the processor, the number of threads, the device and the version of torch. `Passes.arithmetic` says
which they were.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from veil.models.answers import require_finite
from veil.models.classifier import Classifier
from veil.runtime import devices
from veil.runtime.provenance import arithmetic

Precision = Literal["auto", "float32", "bfloat16"]

ON_CPU, ELSEWHERE = 8, 64
"""Images of a pass: more make a CPU no faster."""
JUDGED_TOGETHER = 4
"""Images of a pass of judges, who are asked about one photo, and what becomes of it, at a time."""
_DIGITS = 16


class Passes:
    """Classifiers on a device, and the shapes in which they are asked.

    Args:
        classifiers: one, or an ensemble.
        batch: photos in work at once; `ON_CPU` or `ELSEWHERE` by default.
        device: ``auto``, ``cpu``, ``cuda``, ``mps``.
        precision: of descents. ``auto`` is bfloat16 where the hardware computes in it and no network has grouped
            convolutions (which it does not reliably speed up), float32 elsewhere.
        together: the only shape, without a check: for who asks about one photo at a time, always in the same order.

    Attributes:
        shapes: numbers of images of a pass, ascending.
    """

    def __init__(
        self,
        classifiers: Sequence[Classifier],
        *,
        batch: int | None = None,
        device: str = "auto",
        precision: Precision = "auto",
        together: int | None = None,
    ) -> None:
        if not classifiers:
            raise ValueError("at least one classifier is needed")
        if batch is not None and batch < 1:
            raise ValueError(f"batch must be at least 1, not {batch}")
        self.device = devices.choose(device)
        self.classifiers = [classifier.to(self.device) for classifier in classifiers]
        fast = devices.computes_bfloat16(self.device) and not any(c.has_depthwise for c in classifiers)
        self.bfloat16 = precision == "bfloat16" or (precision == "auto" and fast)
        usual = ON_CPU if self.device.type == "cpu" else ELSEWHERE
        self.batch = batch or usual
        self._seen = hashlib.sha256()
        if together is not None:
            self.reference, self.shapes = together, [together]
        else:
            self.reference = usual if self.device.type == "cpu" else min(usual, _power(self.batch))
            self.shapes = self._equal_shapes()

    def arithmetic(self) -> dict[str, Any]:
        """What the bits of answers and gradients depend on beside the networks, as JSON.

        As `veil.runtime.provenance.arithmetic` says, but that ``bits`` are of what these networks said of random images
        at the start; ``together`` is the reference.
        """
        about = arithmetic(self.device) | {"together": self.reference}
        return about | ({"bits": self._seen.hexdigest()[:_DIGITS]} if "bits" in about else {})

    def logits(self, images: Sequence[Tensor]) -> list[Tensor]:
        """What each classifier says of uint8 photos (C, H, W) of any sizes, in float32: one (N, K) tensor each.

        Raises:
            NoFiniteAnswer: where a value is not finite; names the network.
        """
        answers: list[list[Tensor]] = [[] for _ in self.classifiers]
        for start in range(0, len(images), self.shapes[-1]):
            part = [image.to(self.device).float().div_(255)[None] for image in images[start : start + self.shapes[-1]]]
            for answer, classifier in zip(answers, self.classifiers, strict=True):
                inputs = self.stacked([classifier.preprocessing(image) for image in part])
                with torch.no_grad():
                    said = self.forward(classifier, inputs, bfloat16=False)[: len(part)]
                answer.append(require_finite(said, classifier.name))
        return [torch.cat(answer).cpu() for answer in answers]

    def forward(self, classifier: Classifier, inputs: Tensor, *, bfloat16: bool) -> Tensor:
        """Logits, float32, of stacked inputs."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bfloat16):
            logits: Tensor = classifier.network(inputs)
        return logits.float()

    def stacked(self, inputs: Sequence[Tensor]) -> Tensor:
        """Stacks inputs (1, C, h, w), as many as the largest shape at most, and fills up with zeros to the nearest."""
        shape = next(shape for shape in self.shapes if shape >= len(inputs))
        batch = inputs[0].new_zeros((shape, *inputs[0].shape[1:])).to(memory_format=torch.channels_last)
        for row, one in enumerate(inputs):
            batch[row] = one[0]
        return batch

    def _equal_shapes(self) -> list[int]:
        """Shapes that give the reference's bits, ascending; finds the reference first."""
        kinds = [(classifier, bfloat16) for classifier in self.classifiers for bfloat16 in {False, self.bfloat16}]
        whole = [self._probe(classifier, self.reference, bfloat16) for classifier, bfloat16 in kinds]
        while self.device.type == "cpu" and self.reference > 1 and not self._same_at_every_place(kinds, whole):
            self.reference //= 2
            whole = [self._probe(classifier, self.reference, bfloat16) for classifier, bfloat16 in kinds]
        for logits, gradients in whole:
            for values in (logits, gradients):
                self._seen.update(values.float().cpu().contiguous().numpy().tobytes())
        most = max(self.reference, self.batch)
        others = [1 << power for power in range(1, most.bit_length()) if 1 << power != self.reference]
        for (classifier, bfloat16), reference in zip(kinds, whole, strict=True):
            others = [n for n in others if _equal(self._probe(classifier, n, bfloat16), _repeated(reference, n))]
        return sorted([*others, self.reference])

    def _same_at_every_place(
        self, kinds: Sequence[tuple[Classifier, bool]], whole: Sequence[tuple[Tensor, Tensor]]
    ) -> bool:
        """Whether images give the same bits when each is moved to the next place: then all places are equal."""
        return all(
            _equal(self._probe(classifier, self.reference, bfloat16, moved=1), _moved(reference))
            for (classifier, bfloat16), reference in zip(kinds, whole, strict=True)
        )

    def _probe(self, classifier: Classifier, count: int, bfloat16: bool, moved: int = 0) -> tuple[Tensor, Tensor]:
        """Logits (count, K) of random images, and gradients as images get them; the images of the reference repeat."""
        size = (self.reference, classifier.preprocessing.channels, *classifier.preprocessing.size)
        images = torch.randn(size, generator=torch.Generator().manual_seed(0))
        chosen = images[torch.arange(count) % self.reference].roll(moved, 0).to(self.device)
        inputs = chosen.contiguous(memory_format=torch.channels_last).requires_grad_()
        with torch.enable_grad():
            logits = self.forward(classifier, inputs, bfloat16=bfloat16)
            (gradient,) = torch.autograd.grad(logits.logsumexp(1).sum(), inputs)
        return logits.detach(), gradient


def _power(batch: int) -> int:
    """The smallest power of two that is not below a batch."""
    return 1 << (batch - 1).bit_length()


def _moved(probe: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    return probe[0].roll(1, 0), probe[1].roll(1, 0)


def _repeated(probe: tuple[Tensor, Tensor], count: int) -> tuple[Tensor, Tensor]:
    rows = torch.arange(count, device=probe[0].device) % len(probe[0])
    return probe[0][rows], probe[1][rows]


def _equal(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> bool:
    """Whether logits and gradients have the same bits; NaN is no difference."""
    return all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(one, other, strict=True))
