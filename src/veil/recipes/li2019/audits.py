"""Audits of all trained variants: the accuracy of services and of retrained attackers.

Paper:   Li et al. 2019, section 4, {smile; gender}
Item:    audits
Cost:    smoke a minute; cpu 4 h on two cores; paper days on a GPU
Expect:  gender 97.36 to 58.85 %, MS-SSIM 0.9458 to 0.3175, smile down by 1.15 %
Command: veil reproduce li2019 audits --scale cpu --data DIR

Each variant of `veil.recipes.li2019.variants` is trained, then audited (`veil.audits.features`): attackers are
trained from scratch against its features. Gender’s floor is its prediction from the true smile.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from veil import training
from veil.audits.features.audit import measure as measure_audit
from veil.audits.features.readings import (
    drawn_best,
    floor_of,
    guess,
    in_loop,
    least,
    lift,
    lift_interval,
    strongest,
    titled,
    tried,
)
from veil.audits.features.running import RunningAudit
from veil.audits.features.settings import SCALES, FeatureAuditSettings, named, recorded_before
from veil.audits.features.verdicts import verdicts
from veil.audits.levels import people_of, without_controls
from veil.data.faces import FaceParts
from veil.jobs.rows import Row, RowFile
from veil.models.face_embedder import EmbedderMissing, FaceEmbedder
from veil.recipes.li2019 import variants
from veil.recipes.li2019.variants import ATTACKERS, GENDER, PEOPLE, SEEDS, SETTINGS, SMILE, VARIANTS, Task
from veil.recipes.recipe import Conditions, Evidence
from veil.report.numbers import spread
from veil.report.page import Section, Table
from veil.training.run import Run

if TYPE_CHECKING:
    from lightning_fabric import Fabric
from veil.runtime.scales import Scale

ITEM = "audits"
TARGET, PRIVATE = (SMILE,), (GENDER,)
MAIN = ("undefended", "veil", "paper")
"""Measured first, with several seeds of the attackers; other variants have one seed and the strong attackers only."""
EMBEDDER = "mobilefacenet.onnx"


def audit_settings(scale: Scale, name: str) -> FeatureAuditSettings:
    """How much of a variant is audited at a scale."""
    base = replace(SCALES[scale], attackers=named(*ATTACKERS[scale]))
    if scale != "cpu":
        return base
    maps = ("linear", "vgg", "resnet")
    if SETTINGS[scale].settings(VARIANTS[name]).values is not None:
        strong = (attacker for attacker in ATTACKERS[scale] if attacker not in ("urec1", "urec2"))
        return replace(base, drawn=2, attackers=named(*strong))
    if name not in MAIN:
        return replace(base, shares=(1.0,), seeds=1, attackers=named(*maps, "mirror", *PEOPLE))
    drawn = ("mirror", "urec1", "urec2", "resrec") if name == "paper" else ("mirror", "resrec")
    return replace(base, shares=(0.1, 1.0), attackers=named(*maps, *drawn, "inversion", *PEOPLE))


def embedder(conditions: Conditions) -> FaceEmbedder | None:
    """The face recogniser, if its file is in one of the data folders or in ``weights`` beside them."""
    for root in conditions.data:
        for folder in (root, root / "weights"):
            if (folder / EMBEDDER).is_file():
                try:
                    return FaceEmbedder(folder / EMBEDDER)
                except EmbedderMissing as problem:
                    conditions.say(str(problem))
    return None


def measure(conditions: Conditions) -> None:
    """Rows of an audit for each variant, and of its training."""
    setting, scale = SETTINGS[conditions.scale], conditions.scale
    about = variants.described(setting, VARIANTS, {name: audit_settings(scale, name) for name in VARIANTS})
    seeds = conditions.seeds_or(SEEDS)
    with conditions.rows(ITEM, variants.as_the_file_has_it(conditions.file(ITEM), about)) as rows:
        if set(seeds) <= set(rows.complete):
            return
        parts, runner = variants.load(conditions, setting), training.fabric(conditions.device, "auto")
        embed = embedder(conditions)
        for seed in seeds:
            for name in (*MAIN, *(name for name in VARIANTS if name not in MAIN)):
                if not rows.find(variant=name, seed=seed, kind="done"):
                    _measure(conditions, rows, name, parts, seed, runner, embed)
            rows.finish((seed,))


def _measure(
    conditions: Conditions, rows: RowFile, name: str, parts: FaceParts, seed: int, runner: "Fabric",
    embed: FaceEmbedder | None,
) -> None:  # fmt: skip
    """Trains a variant, and audits it."""
    title, mark, scale = VARIANTS[name].title, {"variant": name, "seed": seed}, conditions.scale
    conditions.say(title)
    folder = conditions.work / conditions.paper / scale / f"{name}-{seed}"
    run = Run(folder=folder / "training", seed=seed, runner=runner, logged=lambda row: conditions.say(str(row)))
    trained = variants.train(Task(variant=name, target=TARGET, private=PRIVATE), SETTINGS[scale], parts, run)
    variants.keep(rows, mark, trained)
    measure_audit(RunningAudit(
        subject=trained.subject, faces=variants.audit_faces(parts), rows=rows, mark=mark,
        settings=audit_settings(scale, name), embed=embed, shown_instead=variants.shown(trained.size),
        recorded=recorded_before(rows.about["audits"][name]),
        run=Run(folder=folder / "attackers", seed=seed, runner=runner, logged=lambda row: None),
        say=lambda line: conditions.say(f"{title}: {line}"),
    ))  # fmt: skip
    rows.add({**mark, "kind": "done"})


def by_variant(evidence: Evidence) -> dict[str, list[Row]]:
    """Rows of each variant that was measured, of the first seed."""
    grouped: dict[str, list[Row]] = {}
    for row in variants.of_first_seed(evidence.rows(ITEM)):
        grouped.setdefault(row["variant"], []).append(row)
    return {name: grouped[name] for name in VARIANTS if name in grouped}


def service(rows: Sequence[Row], attribute: str = SMILE) -> Row:
    """The row of the service's answers about an attribute."""
    return next(row for row in rows if row["kind"] == "service" and row["attribute"] == attribute)


def show(evidence: Evidence) -> Section:
    """A table with a line per variant, verdicts, and the paper's claims."""
    grouped = by_variant(evidence)
    title = "What attackers get · every variant"
    tables = [_summary(grouped), _claims(grouped), _verdicts(grouped, evidence.conditions.scale)]
    if len({row["seed"] for row in evidence.rows(ITEM)}) > 1:
        tables.insert(1, _seeds(evidence.rows(ITEM)))
    return Section(ITEM, title, _text(), tuple(tables), (), evidence.source(ITEM))


def _seeds(rows: Sequence[Row]) -> Table:
    """Spread over trainings with other seeds."""
    lines = []
    for name, variant in VARIANTS.items():
        of_it = [row for row in rows if row["variant"] == name]
        trainings = [[row for row in of_it if row["seed"] == seed] for seed in sorted({row["seed"] for row in of_it})]
        drawn = [best["ms_ssim"] for one in trainings if (best := drawn_best(one, "ms_ssim")) is not None]
        lines.append((
            variant.title,
            spread([100 * service(one)["balanced_accuracy"] for one in trainings]),
            spread([100 * strongest(one, GENDER)["balanced_accuracy"] for one in trainings]),
            spread(drawn, 3),
        ))  # fmt: skip
    return Table(
        "The same over trainings with several seeds, mean ± standard deviation.",
        ("", "smile", "gender, retrained", "MS-SSIM"), tuple(lines),
    )  # fmt: skip


def _summary(grouped: dict[str, list[Row]]) -> Table:
    lines = []
    for name, rows in grouped.items():
        adversary, best, floor = in_loop(rows, GENDER), strongest(rows, GENDER), floor_of(rows, GENDER)
        drawn = drawn_best(rows, "ms_ssim")
        lines.append((
            VARIANTS[name].title,
            _sent(rows),
            _percent(service(rows)),
            "–" if adversary is None else _percent(adversary),
            f"{_percent(best)} ({titled(best['attack'])})",
            lift_interval(best, least(floor)),
            f"{strongest(rows, GENDER, 'auroc')['auroc']:.3f}",
            "–" if drawn is None else f"{drawn['ms_ssim']:.3f} ({titled(drawn['attack'])})",
            "–" if drawn is None else f"{100 * lift(drawn['ms_ssim'], guess(rows, 'ms_ssim')):.0f} %",
            tried(rows, GENDER),
        ))  # fmt: skip
    rows = next(iter(grouped.values()))
    floor = floor_of(rows, GENDER)
    lines.append(("floor", "–", "50.0", "–", f"{100 * least(floor):.1f} (a true smile)", "0 %",
                  f"{least(floor, 'auroc'):.3f}", f"{guess(rows, 'ms_ssim'):.3f} (no features)", "0 %",
                  "–"))  # fmt: skip
    return Table(
        "Values sent, and how many different features all judged faces have. Balanced accuracies in %: of the service "
        "on smiles, of the training’s own adversary on gender, and of the strongest attacker on gender that was "
        "trained afterwards. AUROC of the attacker that is best by AUROC. MS-SSIM of the best reconstruction. “Of what "
        "there is”: 0 % is the floor, 100 % is certainty, or the image itself; rows keep no interval of means of "
        "pictures. “Strongest of”: of how many trained attackers on gender, and of how many reconstructions. "
        f"{_trainings(grouped)}",
        ("", "sent", "smile", "gender, in the loop", "gender, retrained", "of what there is", "AUROC", "MS-SSIM",
         "of what there is", "strongest of"),
        tuple(lines),
    )  # fmt: skip


def _trainings(grouped: dict[str, list[Row]]) -> str:
    """How many trainings stand behind each line, and over which faces."""
    row = service(next(iter(grouped.values())))
    return f"One training of each, over {people_of(row.get('count'), row.get('people'))}."


def _sent(rows: Sequence[Row]) -> str:
    row = next(row for row in rows if row["kind"] == "sent")
    return f"{math.prod(row['shape']):,} ({row['different']:,} different)"


def _percent(row: Row) -> str:
    return f"{100 * row['balanced_accuracy']:.1f}"


def _claims(grouped: dict[str, list[Row]]) -> Table:
    """The paper's three numbers beside ours."""
    lines = []
    for name in ("paper", "authors-code", "veil"):
        if name not in grouped or "undefended" not in grouped:
            continue
        rows, plain = grouped[name], grouped["undefended"]
        drawn, undefended = drawn_best(rows, "ms_ssim"), drawn_best(plain, "ms_ssim")
        lines.append((
            VARIANTS[name].title,
            f"{100 * service(plain)['accuracy']:.1f} to {100 * service(rows)['accuracy']:.1f}",
            f"{100 * strongest(plain, GENDER)['accuracy']:.1f} to {100 * strongest(rows, GENDER)['accuracy']:.1f} "
            f"(majority {100 * strongest(rows, GENDER)['majority']:.1f})",
            "–" if drawn is None or undefended is None else
            f"{undefended['ms_ssim']:.3f} to {drawn['ms_ssim']:.3f} (no features {guess(rows, 'ms_ssim'):.3f})",
            f"{tried(plain, GENDER)} to {tried(rows, GENDER)}",
        ))  # fmt: skip
    return Table(
        "The paper’s claims: smile 92.7 to 91.5 %, gender 97.36 to 58.85 % (CelebA’s majority is 58.3 %), MS-SSIM "
        "0.9458 to 0.3175. Here, plain accuracies in %, from no defence to each, by the strongest retrained "
        "attacker; “strongest of”: of how many attackers of gender, and of how many reconstructions, before and after.",
        ("", "smile", "gender", "MS-SSIM", "strongest of"), tuple(lines),
    )  # fmt: skip


def _verdicts(grouped: dict[str, list[Row]], scale: Scale) -> Table:
    return Table(
        f"What the strongest attacker gets.{without_controls(grouped.values())}",
        ("", "", "verdict", "because", "the strongest of"),
        tuple((VARIANTS[name].title, one.about, one.words, one.text, one.over)
              for name, rows in grouped.items() for one in verdicts(rows, PRIVATE, scale)),
    )  # fmt: skip


def _text() -> tuple[str, ...]:
    return (
        "The paper measures how well gender is hidden by the adversary of the training itself. Here all attackers are "
        "trained afterwards, from nothing, on what is sent. They learn from faces of other people than those on which "
        "they are judged, and the strongest one counts. A service’s own answers give away something about a private "
        "attribute, whatever the features are: that is the floor.",
    )  # fmt: skip
