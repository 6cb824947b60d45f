"""Recipes: which rows of which source become which class, and what must come out.

| recipe | rows | split |
|---|---|---|
| `paper-clean` | the paper's, each picture once: 15,000 | whole patients |
| `paper-literal` | Table I as it is: 18,543, each box of RSNA a row | row by row |
| `frontal` | every frontal film of today's copies, each picture once | whole patients |
| `covidx-v1` … `covidx-v9B` | those of the released lists | that of the lists |

Table I counts the boxes that radiologists drew: 9,555 rows are 6,012 films, so that a
split by rows puts about half of the pneumonia test rows into training as well.

Reference:
    Nwosu et al., "Semi-supervised Learning for COVID-19 Image Classification via
    ResNet", Table I; first script and lists of COVID-Net (Wang et al., 2020).
"""

from dataclasses import dataclass, field

from data_tools import covidx
from data_tools.sources.base import Rules

PAPER = {
    "COVID-19": "covid-19",
    "SARS": "pneumonia",
    "MERS": "pneumonia",
    "Streptococcus": "pneumonia",
}
NEWEST = PAPER | {
    "MERS-CoV": "pneumonia",
    "Klebsiella": "pneumonia",
    "Chlamydophila": "pneumonia",
    "Legionella": "pneumonia",
    "E.Coli": "pneumonia",
}
FRONTAL = ("PA", "AP", "AP Supine", "AP semi erect", "AP erect")


@dataclass(frozen=True)
class Recipe:
    """One way to make a set.

    Attributes:
        name: As on the command line.
        rules: What it asks of the sources.
        sources: Names of the sources it was written for.
        expected: Dict of source to `{class: rows}`; of split to the same for a list.
        version: Version of the released lists, `""` where there are none.
        every_row: Whether rows that repeat a picture stay, and rows are split one by
            one, as in the paper.
    """

    name: str
    rules: Rules
    sources: tuple = ("rsna", "cohen")
    expected: dict = field(default_factory=dict)
    version: str = ""
    every_row: bool = False


def _paper(name, boxes):
    pneumonia = 9555 if boxes else 6012
    return Recipe(
        name,
        Rules(PAPER, views=("PA",), every_box=boxes),
        expected={
            "rsna": {"normal": 8851, "pneumonia": pneumonia},
            "cohen": {"pneumonia": 29, "covid-19": 108},
        },
        every_row=boxes,
    )


def _list(version):
    return Recipe(
        f"covidx-{version}",
        Rules(NEWEST, FRONTAL),
        sources=covidx.SOURCES[version],
        expected=covidx.EXPECTED[version],
        version=version,
    )


RECIPES = {
    recipe.name: recipe
    for recipe in (
        _paper("paper-clean", boxes=False),
        _paper("paper-literal", boxes=True),
        Recipe(
            "frontal",
            Rules(NEWEST, FRONTAL, first_of_list=True),
            expected={"rsna": {"normal": 8851, "pneumonia": 6012}},
        ),
        *map(_list, covidx.FILES),
    )
}


def find(name):
    """Returns the recipe of a name.

    Raises:
        ValueError: If there is none; lists those there are.
    """
    if name not in RECIPES:
        raise ValueError(
            f"There is no recipe {name!r}. Choose one of: {', '.join(RECIPES)}"
        )
    return RECIPES[name]
