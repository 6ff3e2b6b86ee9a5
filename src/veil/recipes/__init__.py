"""The papers that Veil reproduces, one package per paper: `PAPERS` lists them, `veil.recipes.papers` measures and
shows."""

from veil.recipes.paper import Paper
from veil.runtime.tables import Table

PAPERS = Table(
    "veil.papers",
    Paper,
    "paper",
    {
        "liu2019": "veil.recipes.liu2019:PAPER",
        "sirichotedumrong2020": "veil.recipes.sirichotedumrong2020:PAPER",
        "li2019": "veil.recipes.li2019:PAPER",
    },
)
