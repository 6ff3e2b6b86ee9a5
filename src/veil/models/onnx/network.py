"""Classifiers in ONNX files as torch modules: converted, with gradients, or run by onnxruntime, without.

`load` prefers the converted module, and compares its answers with those of onnxruntime on fixed images. Where a model
cannot be converted, or answers otherwise, onnxruntime runs it: such a network can judge, and nothing can descend on it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from veil.models import zoo
from veil.models.onnx.graph import IMAGE, taken_over
from veil.models.onnx.reading import LIMITS, Limits, OnnxMissing, OnnxRefused, package, read
from veil.models.onnx.rewriting import TOGETHER, Rewritten, rewritten
from veil.models.weights import one_line

CLOSE = 1e-4
"""How far logits of the converted module may lie from onnxruntime's, in units of 1 + the largest logit."""
ONNXRUNTIME = "onnxruntime"
Places = tuple[slice, ...]
"""An index of a tensor, of slices."""
MOST_CONVERTED = 4000
"""Operators that are converted to torch: the time that this takes grows with their square."""
_PROBABILITIES = 1e-3  # from 1, the sum of what are probabilities
_FIXED = 3  # images on which answers are compared


class OnnxNetwork(nn.Module):
    """Normalised images (N, C, H, W) to logits (N, K).

    Attributes:
        run_by: ``torch``, or ``onnxruntime``.
        without_gradients: why no gradients flow to the images; None where they do.
        parameters_held: numbers that the weights are.
        digest: of the model, for fingerprints.
    """

    digest: Tensor

    def __init__(self, run: Callable[[Tensor], Tensor], model: Rewritten, without_gradients: str | None) -> None:
        super().__init__()
        self.run, self.without_gradients = run, without_gradients
        self.run_by = "torch" if without_gradients is None else ONNXRUNTIME
        self.parameters_held, self.together = model.parameters, TOGETHER if model.several else 1
        content = hashlib.sha256(model.model.SerializeToString(deterministic=True)).digest()
        self.register_buffer("digest", torch.tensor(list(content), dtype=torch.uint8))

    def forward(self, images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, enabled=False):
            parts = [self.run(part) for part in torch.split(images.float(), self.together)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def to(self, *args: Any, **kwargs: Any) -> OnnxNetwork:
        """As any module's, but that only values of four dimensions get another order in memory; others may be there."""
        order = kwargs.pop("memory_format", None)
        if args or kwargs:
            super().to(*args, **kwargs)
        for value in (*self.parameters(), *self.buffers()) if order is not None else ():
            if value.ndim == 4:
                value.data = value.data.contiguous(memory_format=order)
        return self


class Session:
    """A model in onnxruntime, on the CPU. Call it with images (N, C, H, W); there are no gradients."""

    def __init__(self, model: Rewritten) -> None:
        """Starts it.

        Raises:
            OnnxMissing: where onnxruntime is not installed.
            OnnxRefused: where onnxruntime cannot run it.
        """
        runtime = _runtime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.enable_cpu_mem_arena = False
        options.use_deterministic_compute = True
        options.log_severity_level = 4
        try:
            self._session = runtime.InferenceSession(
                model.model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime has an exception of its own for every way to be broken
            raise OnnxRefused(f"onnxruntime cannot run it: {one_line(error)}") from None

    def __call__(self, images: Tensor) -> Tensor:
        given = images.detach().to("cpu", torch.float32).contiguous().numpy()
        try:
            (answers,) = self._session.run(None, {IMAGE: given})
        except Exception as error:  # as above
            raise OnnxRefused(f"onnxruntime cannot run it: {one_line(error)}") from None
        return torch.from_numpy(answers).to(images.device)


def load(file: Path, image: tuple[int, int, int], limits: Limits = LIMITS) -> OnnxNetwork:
    """The classifier in a file, in float32 on the CPU, with frozen weights.

    Args:
        image: channels, height and width that the card's ``[input]`` prepares.

    Raises:
        FileNotFoundError, Unreadable: where the file cannot be read.
        OnnxMissing: where the extra is not installed.
        OnnxRefused: where it holds no classifier of such images, or something that is not allowed.
    """
    model = rewritten(taken_over(read(file, limits), limits), limits)
    if model.image != image:
        theirs, ours = (
            f"{height}×{width} with {channels} channels" for channels, height, width in (model.image, image)
        )
        raise OnnxRefused(f"it takes images of {theirs}; [input] of the card prepares {ours}")
    images = fixed_images(image)
    session = Session(model)
    if model.several and not _takes_several(session, images):
        model = replace(model, several=False)
    judge = OnnxNetwork(session, model, "")
    answers = judge(images)
    _require_logits(answers, model)
    try:
        network = converted(model, limits)
        _require_same(network, images, answers)
    except NotConverted as error:
        judge.without_gradients = str(error)
        return judge
    return network


def _takes_several(session: Session, images: Tensor) -> bool:
    """Whether answers about images are the same for each alone and for all together."""
    alone = torch.cat([session(one) for one in torch.split(images, 1)])
    try:
        return _close(session(images), alone)
    except OnnxRefused:
        return False


def fixed_images(image: tuple[int, int, int]) -> Tensor:
    """Images (3, C, H, W) of the size and the usual range of normalised ones: a slope, noise, and coarse noise."""
    generator = torch.Generator().manual_seed(0)
    slope = torch.linspace(-1, 1, image[0] * image[1] * image[2]).view(1, *image)
    noise = torch.rand(1, *image, generator=generator) * 2 - 1
    coarse = torch.rand(1, image[0], 4, 4, generator=generator) * 2 - 1
    return torch.cat([slope, noise, nn.functional.interpolate(coarse, image[1:], mode="bilinear")])


class NotConverted(Exception):
    """A model cannot be used as a torch module; the message says why."""


def converted(model: Rewritten, limits: Limits = LIMITS) -> OnnxNetwork:
    """The model as a torch module.

    Raises:
        OnnxMissing: where onnx2torch is not installed.
        NotConverted: where it does not know an operator, or fails, or would take too much time or memory.
    """
    convert = _converter()
    _require_small(model, limits)
    copied = package().ModelProto()
    copied.CopyFrom(model.model)  # it changes what it is given
    try:
        module = convert(copied)
        for name, places in _slices(model).items():
            setattr(module, name, _Slice(places))
        module = module.eval().requires_grad_(False).float()
    except Exception as error:  # it has no exceptions of its own
        raise NotConverted(f"onnx2torch cannot convert it: {one_line(error)}") from None
    return OnnxNetwork(module, model, None)


def _require_small(model: Rewritten, limits: Limits) -> None:
    """Refuses what onnx2torch, which copies a weight for every use of it, would take too long or too much memory for.

    Raises:
        NotConverted: then.
    """
    graph = model.model.graph
    sizes = {tensor.name: len(tensor.raw_data) for tensor in graph.initializer}
    if len(graph.node) > MOST_CONVERTED:
        raise NotConverted(f"it has more than {MOST_CONVERTED:,} operators, too many to be converted to torch")
    if sum(sizes.get(name, 0) for node in graph.node for name in node.input) > limits.value:
        raise NotConverted(f"converted to torch, its weights would take more than {limits.value:,} bytes")


class _Slice(nn.Module):
    """A part of a value, always the same.

    onnx2torch's own module takes it by a list, which torch is about to read otherwise.
    """

    def __init__(self, places: Places) -> None:
        super().__init__()
        self.places = places

    def forward(self, values: Tensor, *parameters: Tensor) -> Tensor:
        part: Tensor = values[self.places]
        return part


def _slices(model: Rewritten) -> dict[str, Places]:
    """The parts that slices of the model take, by the name of the node; but those that go backwards."""
    onnx = package()
    constants = {tensor.name: tensor for tensor in model.model.graph.initializer}
    found: dict[str, Places] = {}
    for node in model.model.graph.node:
        if node.op_type != "Slice":
            continue
        given = [onnx.numpy_helper.to_array(constants[name]).tolist() if name else [] for name in node.input[1:]]
        by_name = {attribute.name: list(attribute.ints) for attribute in node.attribute}
        given = given or [by_name[name] for name in ("starts", "ends", "axes") if name in by_name]
        starts, ends = given[:2]
        axes = given[2] if len(given) > 2 and given[2] else list(range(len(starts)))
        steps = given[3] if len(given) > 3 and given[3] else [1] * len(starts)
        cuts = {axis: slice(*cut) for axis, *cut in zip(axes, starts, ends, steps, strict=True)}
        if min(steps) > 0 and min(axes) >= 0:
            found[node.name] = tuple(cuts.get(axis, slice(None)) for axis in range(max(axes) + 1))
    return found


def _require_same(network: OnnxNetwork, images: Tensor, answers: Tensor) -> None:
    """Refuses a converted network that answers otherwise than onnxruntime, or has no gradients.

    Raises:
        NotConverted: then.
    """
    asked = images.clone().requires_grad_()
    try:
        with torch.enable_grad():
            logits = network(asked)
            (gradient,) = torch.autograd.grad(logits.logsumexp(1).sum(), asked)
    except Exception as error:  # code of others, that was made of a stranger's file
        raise NotConverted(f"converted to torch, it fails: {one_line(error)}") from None
    if not _close(logits.detach(), answers):
        raise NotConverted("converted to torch, it answers otherwise than in onnxruntime")
    if not bool(gradient.isfinite().all()) or not bool(gradient.any()):
        raise NotConverted("converted to torch, it gives no gradients, or ones that are not finite")


def _close(some: Tensor, others: Tensor) -> bool:
    if some.shape != others.shape:
        return False
    return float((some - others).abs().max()) <= CLOSE * (1 + float(others.abs().max()))


def _require_logits(answers: Tensor, model: Rewritten) -> None:
    """Refuses answers that are not finite, or are probabilities already.

    Raises:
        OnnxRefused: then.
    """
    if tuple(answers.shape) != (_FIXED, model.classes):
        raise OnnxRefused(f"it gives {tuple(answers.shape)} for {_FIXED} images")
    if not bool(answers.isfinite().all()):
        raise OnnxRefused("it gives outputs that are not finite")
    sums = answers.sum(1)
    if model.ended_in is None and bool((answers >= 0).all()) and bool(((sums - 1).abs() < _PROBABILITIES).all()):
        raise OnnxRefused("it gives probabilities, and no softmax at its end makes them; export it to end in logits")


def _runtime() -> Any:
    package()
    try:
        import onnxruntime
    except ImportError as error:
        raise _missing() from error
    return onnxruntime


def _converter() -> Any:
    try:
        zoo.import_torchvision()  # which onnx2torch imports, and which may need help
        from onnx2torch import convert
    except ImportError as error:
        raise _missing() from error
    return convert


def _missing() -> OnnxMissing:
    return OnnxMissing('a card with architecture = "onnx" needs more packages: pip install "veil[onnx]"')
