"""Beyond the paper: what this package makes of the same labels.

The recipe is `sskeras train --preset best`. A teacher learns from the labels. What it
takes the other images for, normal or pneumonia, a student learns from strong views,
with a fifth of each batch for COVID-19. Discriminants on typical patches have a say,
and as many images are called COVID-19 as the labels let expect. Then the same without
one part each.

    sskeras reproduce best --data manifest.csv --seeds 0-4 --out results/
"""

from sskeras.experiments import table3, table4, table5
from sskeras.experiments.plan import SHARES, Experiment, resnet, weighted
from sskeras.experiments.settings import PRESETS

TITLE = "Beyond the paper"
BEST = PRESETS["best"]
OTHERS = {
    (e.name, e.labeled): e
    for table in (table3, table4, table5)
    for e in table.EXPERIMENTS
}
GOAL = resnet(10), 1.0  # All labels, and the class weight that suits them best.
# What becomes of the recipe without a part of it.
WITHOUT = {
    "the second judge": {"second_judge": False},
    "the teacher": {"teacher": ""},
    "strong views": {"view": ""},
    "a share for COVID-19": {"class_share": {}},
}


def best(share):
    """The recipe, beside the goal and every system with as many labels."""
    rivals = [rival for rival in OTHERS if rival[1] == share]
    return Experiment("Best", share, BEST, rivals=(GOAL, *rivals))


def without(part):
    """The recipe without a part, at 5 % of the labels."""
    settings = {**BEST, **WITHOUT[part]}
    return Experiment(f"Best, without {part}", 0.05, settings, rivals=(("Best", 0.05),))


EXPERIMENTS = [
    *map(best, SHARES),
    *map(without, WITHOUT),
    Experiment(
        f"{GOAL[0]}, second judge",
        1.0,
        {"method": "supervised", **weighted(10), "second_judge": True},
        rivals=(GOAL,),
    ),
]
