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
OTHERS = dict.fromkeys(
    e.name for table in (table3, table4, table5) for e in table.EXPERIMENTS
)
# What becomes of the recipe without a part of it.
WITHOUT = {
    "the second judge": {"second_judge": False},
    "the teacher": {"teacher": ""},
    "strong views": {"view": ""},
    "a share for COVID-19": {"class_share": {}},
}

EXPERIMENTS = [
    *(Experiment("Best", share, BEST, rivals=tuple(OTHERS)) for share in SHARES),
    *(
        Experiment(f"Best, without {part}", 0.05, {**BEST, **change}, rivals=("Best",))
        for part, change in WITHOUT.items()
    ),
    Experiment(
        f"{resnet(10)}, second judge",
        1.0,
        {"method": "supervised", **weighted(10), "second_judge": True},
        rivals=(resnet(10),),
    ),
]
