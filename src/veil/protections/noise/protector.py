"""Protecting photos: a scheme's noise, the file it is stored in, and the proof on that file.

`Protector.protect` takes one photo, `Protector.protect_folder` folders of them. Either way a photo counts as
*protected* only by what the networks say of its file after it was written and decoded again.

A universal noise stands in for the descent of the scheme entropy. It does not reach that scheme's score on each photo;
a photo counts as protected where, as with CIS, no network has the truth on top and none is surer than it was.

While the engine works on some photos, others are read, written and measured beside it in threads.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from veil import images
from veil.images import ImageError, Photo
from veil.images.conversion import convert
from veil.images.photo import alike_in_channels
from veil.images.processing import PLATFORMS, Processing
from veil.jobs import folders
from veil.jobs.folders import QUIET, FolderResult, Item, Job, Row, Run
from veil.jobs.job import Digest, digest_of
from veil.jobs.stream import Failed, Stages, stream
from veil.metrics import fidelity
from veil.models import catalog, families
from veil.models.answers import NoFiniteAnswer
from veil.models.classifier import TORCH, Classifier
from veil.models.names import DEFAULT
from veil.protections.noise import SCHEMES
from veil.protections.noise.advice import advice
from veil.protections.noise.engine import Engine, Precision
from veil.protections.noise.passes import JUDGED_TOGETHER, Passes
from veil.protections.noise.readings import label_spaces, left_after_processing, readings_of, worst_verdict
from veil.protections.noise.results import Protected
from veil.protections.noise.rows import PROTECTED_ROWS, ProtectedRow
from veil.protections.noise.scheme import Plan, Released, Scheme, StepSettings, Verdict, is_undecided
from veil.protections.noise.universal import NoNoise, UniversalNoise
from veil.runtime import provenance
from veil.runtime.seeds import seed_of

if TYPE_CHECKING:
    from veil.images.conversion import ImageLike

NAMED = 10  # target classes at most that a row names
KEPT = "harmless fields"  # of metadata; before there was a list, true stood for more
VERSION = 1  # of what rows hold and outputs depend on; counted up when either changes
_FAILS = (ImageError, NoNoise, NoFiniteAnswer, OSError, MemoryError)


@dataclass(frozen=True, eq=False)
class _Work:
    """A photo on its way through the engine."""

    item: Item
    photo: Photo
    truth: int | None
    source: Mapping[str, Any]
    started: float
    plan: Plan

    @property
    def pixels(self) -> int:
        return self.photo.width * self.photo.height


@dataclass(frozen=True, eq=False)
class _Written:
    """A photo that was written and decoded again."""

    work: _Work
    released: Released
    decoded: Tensor
    looks: dict[str, Any]
    notes: tuple[str, ...]
    format: str | None = None


class Protector:
    """Adds noise to photos by a scheme, against one network or several, and judges the result.

    Args:
        models: names (`veil.models.catalog`) or classifiers; several form an ensemble.
        scheme: a name of `veil.protections.noise.SCHEMES`, ``module:object``, or a row.
        settings: of the scheme; made from ``options`` where not given.
        verify_with: networks that the noise does not see; they judge the released files.
        survival: also measure what is left after these processings, by name; True stands for JPEG 90, JPEG 75, and half
            size and back.
        seed: of the random targets; a photo's own draw depends on it and on its pixels.
        batch, device, precision: see `veil.protections.noise.passes.Passes`.
        universal: noise to add instead of a descent, or its file; with the scheme entropy, and without settings.
        options: the scheme's settings by name: ``budget=3, required_score=0.99, …``.

    Raises:
        ValueError: for an unknown scheme or device, settings out of range, or a file that holds no universal noise.
        UnknownModel, CardError, ZooMissing: see `veil.models.catalog.load`.
        NoGradients: for one of ``models`` that can only judge.
    """

    def __init__(
        self,
        models: str | Classifier | Sequence[str | Classifier] = DEFAULT,
        scheme: str | Scheme = "crs",
        settings: StepSettings | None = None,
        *,
        verify_with: Sequence[str | Classifier] = (),
        survival: bool | Mapping[str, Processing] = False,
        seed: int = 0,
        batch: int | None = None,
        device: str = "auto",
        precision: Precision = "auto",
        universal: Path | UniversalNoise | None = None,
        **options: Any,
    ) -> None:
        self.scheme = scheme if isinstance(scheme, Scheme) else SCHEMES.resolve(scheme)
        if settings is not None and options:
            raise ValueError("give settings or single options, not both")
        if universal is not None and not self.scheme.universal:
            raise ValueError(f"a universal noise does not go with the scheme {self.scheme.name}")
        if universal is not None and (settings is not None or options):
            raise ValueError("a universal noise takes no settings: nothing descends")
        self.universal = UniversalNoise.load(universal) if isinstance(universal, Path) else universal
        self.protects: Callable[[Verdict, Any], bool] = self.scheme.protects if universal is None else is_undecided
        self.settings = settings if settings is not None else _settings(self.scheme, options)
        self.seed = seed
        self.processings = (PLATFORMS if survival else {}) if isinstance(survival, bool) else dict(survival)
        chosen = [models] if isinstance(models, str | Classifier) else list(models)
        self.engine = Engine(_loaded(chosen), batch=batch, device=device, precision=precision)
        others = _loaded(verify_with)
        _require_strangers(self.engine.classifiers, others)
        self.judges = Passes(others, together=JUDGED_TOGETHER, device=device) if others else None
        if settings is None and "budget" not in options:
            self.settings = _as_needed(self.settings, self.engine.classifiers)
        everyone = [*self.engine.classifiers, *(self.judges.classifiers if self.judges else ())]
        _require_one_subject(everyone)
        self.spaces = label_spaces(everyone)
        self.classes = {classifier.name: classifier.classes for classifier in everyone}
        self.run_by = {classifier.name: classifier.run_by for classifier in everyone if classifier.run_by != TORCH}
        self.families = {classifier.name: classifier.family for classifier in everyone if classifier.family}
        if len(self.classes) < len(everyone):
            raise ValueError("two of the models have the same name: " + ", ".join(c.name for c in everyone))

    def describe(self) -> dict[str, Any]:
        """Everything that the released pixels depend on, as JSON."""
        universal = {} if self.universal is None else {"universal": self.universal.fingerprint}
        fetched = provenance.fetched(*(classifier.name for classifier in self.engine.classifiers))
        return (
            ({"fetched": fetched} if fetched else {})
            | universal
            | {
                "version": VERSION,
                "scheme": self.scheme.name,
                "settings": asdict(self.settings) if self.universal is None else {},
                "models": [classifier.name for classifier in self.engine.classifiers],
                "weights": [classifier.fingerprint() for classifier in self.engine.classifiers],
                "seed": self.seed,
                "precision": "bfloat16" if self.engine.bfloat16 else "float32",
                provenance.ARITHMETIC: self.engine.passes.arithmetic(),
            }
        )

    def warnings(self) -> list[str]:
        """What a person must know of the networks: judges of the same family as a surrogate."""
        surrogates, judges = (
            [(classifier.name, classifier.family) for classifier in of]
            for of in (self.engine.classifiers, self.judges.classifiers if self.judges else ())
        )
        return [families.warning(*pair) for pair in families.related(surrogates, judges)]

    def protect(self, photo: "ImageLike", *, truth: int | None = None) -> Protected:
        """Protects one photo in memory; judged on its 8-bit pixels, as a lossless file gives them back.

        Args:
            photo: a `Photo`, a path, a Pillow image, an array or a tensor; see `veil.images.conversion`.
            truth: index of the true class for the first model; its own first choice counts where it is None.

        Raises:
            ImageError: for a file that cannot be read.
            TypeError: for what is no image.
            NoNoise: where the universal noise has none for the photo's size; in a folder this is a failed row.
            NoFiniteAnswer: where a network gives none for the photo; in a folder this is a failed row.
        """
        converted = convert(photo)
        photo = converted.photo
        item = Item(0, Path(), "", Path(), "")
        work = _Work(item, photo, truth, {}, time.perf_counter(), self._plan(photo, truth))
        ((_, released),) = self.engine.run([(work, work.plan)], self.scheme.objective, self.settings)
        looks = _looks(photo.pixels, released.pixels)
        row = self._row(_Written(work, released, released.pixels, looks, photo.notes))
        noisy = photo.with_pixels(released.pixels)
        return Protected(noisy, row, converted.back(noisy))

    def __repr__(self) -> str:
        models = ", ".join(classifier.name for classifier in self.engine.classifiers)
        return f"Protector({models}, scheme={self.scheme.name!r}, device={str(self.engine.device)!r})"

    def protect_folder(
        self,
        inputs: Sequence[Path],
        out: Path,
        *,
        format: str = "png",
        quality: int = 95,
        keep_metadata: bool = False,
        keep_copyright: bool = False,
        limits: images.Limits = images.LIMITS,
        truths: Mapping[str, int] | None = None,
        run: Run = QUIET,
    ) -> FolderResult[ProtectedRow]:
        """Protects files and folders of photos into ``out``; goes on where an earlier run stopped.

        Args:
            format: of `veil.images.FORMATS`, or `veil.images.SAME`.
            quality: of JPEG.
            keep_metadata, keep_copyright: see `veil.images.save`.
            truths: true class by file name, as rows have it or without its folder.
            run: number of threads that read, write and measure, and callbacks.

        Returns:
            Counts, and a row per photo in the order of the inputs. Fields: docs/protect.md.

        Raises:
            folders.FolderError: where the job cannot start or go on.
        """
        same = format == images.SAME
        suffix = images.same_suffix if same else images.FORMATS[format].suffix
        known = truths or {}
        settings = self.describe() | {
            "format": format,
            "quality": quality if same or not images.FORMATS[format].lossless else None,
            "keep_metadata": KEPT if keep_metadata else False,
            **({"keep_copyright": True} if keep_copyright else {}),
            "verify_with": [c.name for c in self.judges.classifiers] if self.judges else [],
            "survival": self._described_survival(),
            "truths": seed_of(*sorted(known.items())) if known else None,
        }

        def read(item: Item) -> _Work:
            begun = time.perf_counter()
            truth = known.get(item.name, known.get(Path(item.name).name))
            photo = images.load(item.source, limits=limits)
            source = folders.stamp(item.source)
            return _Work(item, photo, truth, source, begun, self._plan(photo, truth))

        def write(work: _Work, released: Released) -> tuple[_Written, Digest]:
            work.item.out.parent.mkdir(parents=True, exist_ok=True)
            noisy = work.photo.with_pixels(released.pixels)
            chosen = images.format_of(work.item.out_name) if same else format
            notes = images.save(
                noisy, work.item.out, chosen, keep_metadata=keep_metadata, keep_copyright=keep_copyright,
                quality=quality,
            )  # fmt: skip
            decoded = images.load(work.item.out, limits=limits).pixels
            looks = _looks(work.photo.pixels, decoded)
            written = _Written(work, released, decoded, looks, (*work.photo.notes, *notes), chosen)
            return written, digest_of(work.item.out)

        stages = Stages(
            read=read, change=self._descend, write=write, row=self._judged, fails=_FAILS, ahead=run.workers,
            behind=2 * run.workers,
        )  # fmt: skip
        job = Job(
            work=partial(stream, stages), suffixes=images.SUFFIXES, suffix=suffix, settings=settings,
            rows=PROTECTED_ROWS,
        )  # fmt: skip
        return folders.run(inputs, out, job, run)

    def _descend(self, taken: Iterator[_Work | Failed]) -> Iterator[tuple[_Work, Released] | Failed]:
        """Runs the engine, which takes photos as places fall free."""
        plans = ((work, _nothing() if isinstance(work, Failed) else work.plan) for work in taken)
        for work, released in self.engine.attempt(plans, self.scheme.objective, self.settings):
            if isinstance(work, Failed):
                yield work
            else:
                yield Failed(work.item, released) if isinstance(released, NoFiniteAnswer) else (work, released)

    def _described_survival(self) -> bool | list[str]:
        """As ``run.json`` has it, where true stands for `PLATFORMS`."""
        names = list(self.processings)
        return bool(names) if names in ([], list(PLATFORMS)) else names

    def _plan(self, photo: Photo, truth: int | None) -> Plan:
        if self.universal is not None:
            return self.universal.plan(photo.pixels, [len(c.classes) for c in self.engine.classifiers])
        spaces = self.spaces[: len(self.engine.classifiers)]
        return self.scheme.plan(photo.pixels, self.settings, label_spaces=spaces, truth=truth, seed=self.seed)

    def _truths(self, truth: int | None, first: int, count: int) -> list[int | None]:
        """The true class in each network's label space: known only where the class names are the first network's."""
        return [truth if space == self.spaces[0] else None for space in self.spaces[first : first + count]]

    def _judged(self, written: _Written) -> Row:
        """The row of a file; a file that a network gives no answer for is removed.

        Raises:
            NoFiniteAnswer: then.
        """
        try:
            return self._row(written)
        except NoFiniteAnswer:
            written.work.item.out.unlink(missing_ok=True)
            raise

    def _row(self, written: _Written) -> Row:
        work, released = written.work, written.released
        original, decoded = alike_in_channels(work.photo.pixels, written.decoded)
        passes, count = self.engine.passes, len(self.engine.classifiers)
        readings, after = readings_of(passes, original, decoded, self._truths(work.truth, 0, count))
        verdict = worst_verdict(readings, after, released.goals, self.scheme.objective)
        views = [asdict(reading) | {"role": "descent"} for reading in readings]
        left = left_after_processing(passes, decoded, readings, self.processings) if self.processings else {}
        if self.judges is not None:
            unseen, _ = readings_of(self.judges, original, decoded, self._truths(work.truth, count, len(self.spaces)))
            views += [asdict(reading) | {"role": "unseen"} for reading in unseen]
            left |= left_after_processing(self.judges, decoded, unseen, self.processings) if self.processings else {}
        for view in views:
            names = self.classes[view["network"]]
            view |= {f"{key}_name": names[view[key]] for key in ("true_class", "class_before", "class_after")}
            if view["network"] in self.families:
                view["family"] = self.families[view["network"]]
            if view["network"] in self.run_by:
                view["run_by"] = self.run_by[view["network"]]
            if self.processings:
                view["survival"] = left[view["network"]]
        first = views[0]
        targets = [target for targets in released.targets for target in targets]
        names = self.classes[first["network"]]
        few = len(targets) <= NAMED and len(set(targets)) < len(names)
        protected = self.protects(verdict, self.settings)
        return {
            "file": work.item.name,
            "out": work.item.out_name,
            "width": work.photo.width,
            "height": work.photo.height,
            **({"format": written.format} if written.format else {}),
            **{key: first[f"{key}_name"] for key in ("class_before", "class_after", "true_class")},
            **{key: first[key] for key in ("icp_before", "icp_after", "ice_before", "ice_after")},
            "target": " + ".join(names[target] for target in targets) if few else "all classes alike",
            "target_score": verdict.target_score,
            "iterations": released.iterations,
            **written.looks,
            "protected": protected,
            **({} if protected else {"advice": self._advice(written.format)}),
            "seconds": round(time.perf_counter() - work.started, 3),
            "error": None,
            "notes": list(written.notes),
            "targets": targets if few else [],
            "networks": views,
            "source": work.source,
            "pixels_sha256": images.content_digest(work.photo.pixels).hex(),
        }

    def _advice(self, format: str | None) -> list[str]:
        """What to try for a photo that is not protected in a file of that format; None for a photo in memory."""
        lossy = bool(format) and not images.FORMATS[str(format)].lossless
        return advice({
            "settings": asdict(self.settings), "models": self.engine.classifiers,
            "universal": self.universal is not None, "quality": 0 if lossy else None,
        })  # fmt: skip


def _settings(scheme: Scheme, options: Mapping[str, Any]) -> StepSettings:
    known = [field.name for field in fields(scheme.settings)]
    for name in options:
        if name not in known:
            raise ValueError(f"there is no option {name!r}; the scheme {scheme.name} has {', '.join(known)}")
    return scheme.settings(**options)


def _as_needed(settings: StepSettings, classifiers: Sequence[Classifier]) -> StepSettings:
    """The settings with the largest noise limit that a network needs, where that is larger than theirs."""
    needed = max((c.budget for c in classifiers if c.budget is not None), default=0)
    return replace(settings, budget=needed) if getattr(settings, "budget", needed) < needed else settings


def _require_strangers(surrogates: Sequence[Classifier], judges: Sequence[Classifier]) -> None:
    """Refuses a judge that is a surrogate, whatever it is called.

    Raises:
        ValueError: then.
    """
    known = {classifier.weights_fingerprint(): classifier.name for classifier in surrogates} if judges else {}
    for judge in judges:
        if (same := known.get(judge.weights_fingerprint())) is not None:
            raise ValueError(
                f"{judge.name} has the weights of {same}, which the noise is made against: it cannot judge the noise"
            )


def _require_one_subject(classifiers: Sequence[Classifier]) -> None:
    """Refuses networks for pictures of another kind than the first one's, which know nothing of what these show.

    Raises:
        ValueError: then.
    """
    first = classifiers[0]
    for other in classifiers:
        if other.subject != first.subject:
            raise ValueError(
                f"{other.name} knows {other.subject}, {first.name} {first.subject}: neither can judge the other's"
            )


def _nothing() -> Plan:
    """The plan of a photo that could not be read: it ends at once."""
    yield from ()


def _loaded(models: Iterable[str | Classifier]) -> list[Classifier]:
    return [catalog.load(model) if isinstance(model, str) else model for model in models]


def _looks(original: Tensor, decoded: Tensor) -> dict[str, Any]:
    """How visible the noise is: ``linf`` in grey levels, ``l2`` and the means in units of the range [0, 1], ``psnr``
    in dB."""
    original, decoded = alike_in_channels(original, decoded)
    noise = fidelity.noise(original, decoded)
    psnr = fidelity.psnr(original, decoded)
    return {
        "linf": noise.linf,
        "l2": noise.l2 / 255,
        "mean_abs": noise.mean_abs / 255,
        "mean_signed": noise.mean_signed / 255,
        "psnr": psnr if psnr != float("inf") else None,
        "ssim": fidelity.ssim(original, decoded),
        "ms_ssim": fidelity.ms_ssim(original, decoded),
    }
