"""Images per second of one training on one core, on two, and in two processes.

    python benchmarks/workers.py [--networks 16x32 default] [--rounds 7]

SSResNet trains on the same batches with plain `fit`: in one process on one processor,
in one process on two, and in two processes on one processor each, which read their own
half of each batch and add up their gradients (`sskeras/distributed.md`), and two that
keep theirs for themselves, which tells what the exchange costs. Each has the precision
that "auto" chooses. Two processes can reach twice one at most. Measured are the steps,
without what TensorFlow waits for when a stream under a strategy ends.
"""

import argparse
import json
import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

from common import Worker, print_machine, print_table, ratio, serve, take_turns
from train_step import build, example

from sskeras.experiments.runner import limited_to
from sskeras.experiments.workers import free_ports

STEPS = 8  # Of one repetition.


def main():
    """Prints a table for each network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=["16x32", "default"])
    parser.add_argument("--batch", type=int, default=256, help="of both together")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        network, batch, exchange = arguments.work
        work(network, int(batch), exchange == "exchange")
        return
    first, second = sorted(os.sched_getaffinity(0))[:2]
    print_machine()
    for network in arguments.networks:
        print(f"\n{network} network, 64x64, batches of {arguments.batch}\n")
        line = [__file__, "--work", network, arguments.batch, "exchange"]
        alone = [*line[:-1], "nothing"]
        ways = {
            "one process, one core": Group(line, [{first}]),
            "one process, two cores": Group(line, [{first, second}]),
            "two processes, one core each": Group(line, [{first}, {second}]),
            "the same, nothing exchanged": Group(alone, [{first}, {second}]),
        }
        seconds = take_turns(ways, arguments.rounds)
        for way in ways.values():
            way.close()
        report(seconds, STEPS * arguments.batch)


def report(seconds, images):
    """Prints images per second, and how many times those of one core."""
    one = seconds["one process, one core"]
    rows = [
        [name, f"{images / statistics.median(taken):.1f}", ratio(taken, one)]
        for name, taken in seconds.items()
    ]
    print_table(["way", "images/s", "times one core"], rows)


class Group:
    """Processes of one training, each on its own processors, as one `Worker`."""

    def __init__(self, line, processors):
        addresses = [f"localhost:{port}" for port in free_ports(len(processors))]
        # Threads, since each worker answers only when all are there.
        self.pool = ThreadPoolExecutor(len(processors))
        self.workers = list(
            self.pool.map(
                lambda index: start(line, addresses, index, processors[index]),
                range(len(processors)),
            )
        )

    def run(self):
        """Returns the seconds of the slowest."""
        return max(self.pool.map(Worker.run, self.workers))

    def close(self):
        """Ends all."""
        list(self.pool.map(Worker.close, self.workers))


def start(line, addresses, index, processors):
    """Starts one of the workers."""
    if len(addresses) == 1:
        environment = {}
    else:
        task = {"type": "worker", "index": index}
        content = {"cluster": {"worker": addresses}, "task": task}
        environment = {"TF_CONFIG": json.dumps(content)}
    with limited_to(processors):
        return Worker(line, environment=environment)


def work(network, batch, exchange):
    """What a worker does: trains for some steps whenever it is asked to."""
    import keras
    import tensorflow as tf

    from sskeras import data, methods, precision
    from sskeras.experiments import workers

    class Clock(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.begin = time.perf_counter()

        def on_train_end(self, logs=None):
            self.seconds = time.perf_counter() - self.begin

    def train():
        model.fit(batches, steps_per_epoch=STEPS, verbose=0, callbacks=[clock])
        return clock.seconds

    if not exchange:

        def own(self, operation, value, options=None):
            return value

        tf.distribute.ReplicaContext.all_reduce = own
    strategy = workers.strategy()
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(precision.choose("auto")[0])
    x, y = example(64, STEPS * batch)
    with strategy.scope():
        model = methods.SSResNet(build(network, 64, paths=2))
        model.compile("adam")
    batches, clock = data.batches(x, y, batch_size=batch, strategy=strategy), Clock()
    serve(train)


if __name__ == "__main__":
    main()
