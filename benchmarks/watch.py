"""What it costs that `fit` watches every step, as a ratio to `fit` that does not.

    python benchmarks/watch.py [--rounds 9]

SSResNet with `fit` on 2,048 pictures at 64×64 in batches of 256, in the numbers that
"auto" chooses. Of floats, every step looks for NaN, for the smallest and the largest.
"""

import argparse
import itertools

from common import Worker, print_machine, print_table, ratio, serve, take_turns
from train_step import example
from wait import NETWORKS

WAYS = ("watched", "not watched")


def main():
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work(*arguments.work)
        return
    print_machine()
    rows = []
    for network, dtype in itertools.product(NETWORKS, ("uint8", "float32")):
        workers = {w: Worker([__file__, "--work", w, network, dtype]) for w in WAYS}
        seconds = take_turns(workers, arguments.rounds)
        for worker in workers.values():
            worker.close()
        rows.append([network, dtype, ratio(*(seconds[way] for way in WAYS[::-1]))])
    print_table(["filters", "pictures", "watched takes, times"], rows)


def work(way, network, dtype):
    """Is a worker that trains for an epoch of eight steps whenever it is asked to."""
    import sskeras

    sskeras.set_precision("auto")
    from sskeras.methods import base

    if way == "not watched":
        base.watched = lambda callbacks: callbacks
        base.Method.observed = lambda self, x, logits, loss: loss
    network = sskeras.networks.two_path_resnet((64, 64, 1), 3, **NETWORKS[network])
    model = sskeras.methods.SSResNet(network)
    model.compile("adam")
    x, y = example(64, 2048)
    x = x.astype(dtype)
    serve(lambda: model.fit(x, y, 256, verbose=0))


if __name__ == "__main__":
    main()
