"""How the order of the ciphers depends on the length of the training (Table I, CIFAR-10).

Paper:   Sirichotedumrong and Kiya 2020, section IV-D, Table I, accuracy
Item:    table1-length
Cost:    smoke seconds; cpu 1 h on two cores; paper 2 trainings of 100 epochs of a ResNet-18 on a GPU
Expect:  after 200 epochs pixel-based encryption with one key is 2.3 points ahead of Tanaka's cipher
Command: veil reproduce sirichotedumrong2020 table1-length --scale cpu --data DIR

The two trainings of `table1-accuracy` whose order is in question, with another number of epochs and nothing else
changed: more at cpu scale, where those were short, and half as many at the paper's.
"""

from dataclasses import asdict, replace

from veil import training
from veil.jobs.rows import Row
from veil.recipes.recipe import Conditions, Evidence
from veil.recipes.sirichotedumrong2020 import table1_accuracy
from veil.recipes.sirichotedumrong2020.table1_accuracy import ADAPTATION, NAMES, PRINTED, SETTINGS
from veil.report.page import Section, Table
from veil.runtime.scales import Scale

ITEM = "table1-length"
COMPARED = ("tanaka", "pixel-same")
EPOCHS: dict[Scale, int] = {"smoke": 3, "cpu": 40, "paper": 100}


def measure(conditions: Conditions) -> None:
    """A row for each of the two ciphers."""
    usual = SETTINGS[conditions.scale]
    setting = replace(usual, training=replace(usual.training, epochs=EPOCHS[conditions.scale]))
    data = setting.data[0]
    about = {"data": data, "width": setting.width, "settings": asdict(setting.training)}
    with conditions.rows(ITEM, about) as rows:
        lacking = [protection for protection in COMPARED if not rows.find(protection=protection)]
        if lacking:
            runner = training.fabric(conditions.device, "auto")
            parts = table1_accuracy.load(conditions, data)
        for protection in lacking:
            conditions.say(f"{data}, {NAMES[protection]}, {setting.training.epochs} epochs")
            row = table1_accuracy.row_of(
                conditions, setting, parts, data, protection, ADAPTATION[protection], 0, runner
            )
            rows.add({"epochs": setting.training.epochs} | row)
        rows.finish((0,))


def show(evidence: Evidence) -> Section:
    """Both lengths, side by side."""
    scale = evidence.conditions.scale
    usual, other = SETTINGS[scale].training.epochs, EPOCHS[scale]
    data = SETTINGS[scale].data[0]
    rows = {
        (epochs, row["protection"]): row
        for epochs, item in ((usual, table1_accuracy.ITEM), (other, ITEM))
        for row in evidence.rows(item)
        if row["protection"] in COMPARED and (row["data"], row["seed"]) == (data, 0)
        and row["adaptation"] == ADAPTATION[row["protection"]]
    }  # fmt: skip
    lengths = sorted({usual, other})
    table = Table(
        "Accuracy in % on test images, and in training in brackets, by the number of epochs.",
        ("", *(f"{epochs} epochs" for epochs in lengths), "paper, 200 epochs"),
        tuple(
            (
                NAMES[protection],
                *(_shown(rows.get((epochs, protection))) for epochs in lengths),
                f"{PRINTED[protection][0]:.2f}",
            )
            for protection in COMPARED
        ),
    )
    title = "Table I · What the length of the training changes"
    return Section(ITEM, title, (_text(rows, lengths),), (table,), (), evidence.source(ITEM))


def _shown(row: Row | None) -> str:
    return f"{100 * row['top1']:.1f} ({100 * row['training_accuracy']:.1f})" if row is not None else "–"


def _text(rows: dict[tuple[int, str], Row], lengths: list[int]) -> str:
    """The lead of pixel-based encryption, positive or negative, at each length."""
    leads = {
        epochs: 100 * (rows[epochs, "pixel-same"]["top1"] - rows[epochs, "tanaka"]["top1"])
        for epochs in lengths
        if all((epochs, protection) in rows for protection in COMPARED)
    }
    differences = ", ".join(f"{lead:+.1f} after {epochs} epochs" for epochs, lead in leads.items())
    paper = PRINTED["pixel-same"][0] - PRINTED["tanaka"][0]
    return (
        f"Points by which pixel-based encryption with one key is ahead of Tanaka’s cipher: {differences}; in the paper "
        f"{paper:+.1f} after 200, with a network of full width."
    )
