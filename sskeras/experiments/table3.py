"""Table III: what supervised learning makes of few labels.

The paper has COVID-Net and ResNet with all labels, and ResNet, plain and with class
weights, with 5, 7 and 9 % of them. It does not name the weights of the weighted
ResNet: here they are those of Table V, each in a row of its own, with all labels too.
COVID-Net is the small one of this package, trained from nothing; the paper's row, which
finds all 33 COVID-19 films, is that of weights trained on COVIDx, very likely on films
of the test set among them.

A seed is 17 runs, half an hour on one core with `--filters 8 16 --epochs 15` on 13,037
films of 64×64.

    sskeras reproduce table3 --data manifest.csv --filters 8 16 --epochs 15
        --seeds 0-4 --out results/
"""

from sskeras.experiments.plan import (
    COVID_WEIGHTS,
    SHARES,
    Experiment,
    resnet,
    weighted,
)

TITLE = "Table III: supervised learning"
COVID_NET = {"method": "supervised", "network": "small_covid_net"}
# COVID-19 films found, of 33, by labeled share; None where it cannot be told.
PLAIN_FOUND = {1.0: None, 0.05: 0, 0.07: 0, 0.09: 0}

EXPERIMENTS = [
    Experiment("COVID-Net, small", 1.0, COVID_NET, 33),
    *(
        Experiment(resnet(), share, {"method": "supervised"}, found)
        for share, found in PLAIN_FOUND.items()
    ),
    *(
        Experiment(
            resnet(weight),
            share,
            {"method": "supervised", **weighted(weight)},
            rivals=((resnet(), share),),
        )
        for weight in COVID_WEIGHTS
        for share in (1.0, *SHARES)
    ),
]
