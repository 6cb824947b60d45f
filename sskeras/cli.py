"""`sskeras`: train, compare, evaluate, predict, explain, export: the command line.

This module imports the standard library only, and each command loads what it needs
when it runs, so that `sskeras --help` answers at once.
"""

import argparse
import ast
import contextlib
import dataclasses
import gc
import json
import os
import re
import sys
import tempfile
import warnings
from pathlib import Path

from sskeras.experiments import runner, workers
from sskeras.experiments.folder import RunFolder, write_json, write_text
from sskeras.experiments.reproduce import TABLES, defaults
from sskeras.experiments.settings import DECAYS, PRESETS, VIEWS, Settings
from sskeras.precision import PRECISIONS

FORMATS = ("saved_model", "onnx", "litert", "card")
MAPS = ("grad-cam", "grad-cam-plus-plus", "integrated-gradients", "occlusion")
TOLD = (ValueError, OSError, RuntimeError, ImportError, MemoryError, OverflowError)
NOTE = "For research and teaching: not a medical device, not for clinical use."


def main(argv=None):
    """Runs one command and returns the exit status."""
    with contextlib.suppress(AttributeError):  # A notebook knows all letters.
        sys.stdout.reconfigure(errors="backslashreplace")
    arguments = parse(argv)
    warnings.formatwarning = lambda message, *_: f"sskeras: warning: {message}\n"
    try:
        arguments.run(arguments)
    except KeyboardInterrupt:
        print("\nsskeras: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        if not _is_told(error):
            raise
        print(f"sskeras: error: {str(error) or type(error).__name__}", file=sys.stderr)
        return 1
    return 0


def _is_told(error):
    """Whether a message is enough: no fault of the program, as far as one can see."""
    from_tensorflow = any(kind.__name__ == "OpError" for kind in type(error).__mro__)
    return from_tensorflow or isinstance(error, TOLD)


def parse(argv):
    """Reads a command; options that were not given are those of its preset."""
    arguments = parser().parse_args(argv)
    if preset := getattr(arguments, "preset", None):
        arguments = parser(PRESETS[preset]).parse_args(argv)
    return arguments


def parser(preset=None):
    """The commands and their options, with the settings of a preset as defaults."""
    top = argparse.ArgumentParser(
        "sskeras",
        description="Semi-supervised image classification for Keras.",
        epilog=NOTE,
    )
    commands = top.add_subparsers(title="commands", required=True)

    def command(run, help):
        added = commands.add_parser(
            run.__name__.removesuffix("_"), help=help, description=help, epilog=NOTE
        )
        added.set_defaults(run=run)
        return added.add_argument

    option = command(train, "train, score on the test split, and export")
    _train_options(option, Settings(data="", **(preset or {})))
    command(methods, "list the methods that `train --method` takes")
    option = command(compare, "show finished runs side by side")
    option("runs", nargs="+", help="folders of finished runs")
    option = command(evaluate, "score a finished run on a manifest")
    _run_options(option)
    option("--data", required=True, help="manifest.csv, or its folder")
    option("--split", default="test", help="split to score (default: test)")
    option("--out", help="JSON file for the scores; with --full a folder")
    full = "calibration, operating points, sets and a control, with a report"
    option("--full", action="store_true", help=full)
    option("--films", action="store_true", help="show the hardest films in the report")
    option = command(predict, "class probabilities of picture files")
    _run_options(option)
    option("inputs", nargs="+", help="PNG or JPEG files, and folders of them")
    option("--out", required=True, help="CSV file for the predictions")
    option = command(explain, "draw where a finished run looks")
    _run_options(option)
    option("inputs", nargs="+", help="PNG or JPEG files, and folders of them")
    option("--map", default=MAPS[0], choices=MAPS, help=f"which map ({MAPS[0]})")
    second = "output that is explained: 0 classifies, 1 is the unsupervised path (0)"
    option("--path", type=int, default=0, help=second)
    option("--out", required=True, help="PNG file for the figure")
    option = command(export, "write a model that needs no sskeras, or its card")
    _run_options(option)
    option("--format", default=FORMATS[0], choices=FORMATS, help=f"({FORMATS[0]})")
    option("--out", required=True, help="file, or folder for a SavedModel")
    option = command(serve, "answer requests over HTTP, to teach and try")
    option("saved_model", help="folder of a SavedModel")
    option("--name", default="films", help="in /v1/models/NAME (films)")
    option("--host", default="127.0.0.1", help="address; 0.0.0.0 for all (127.0.0.1)")
    option("--port", type=int, default=8501, help="0 takes a free one (8501)")
    option = command(demo, "a page to try a finished run on a film")
    _run_options(option)
    option("--host", default="127.0.0.1", help="address; 0.0.0.0 for all (127.0.0.1)")
    option("--port", type=int, default=8502, help="0 takes a free one (8502)")
    _reproduce_options(command(reproduce, "repeat the paper's tables, with a report"))
    return top


def _run_options(option):
    option("run_folder", metavar="run", help="folder of a finished run")
    own = "module:Class, if the run was trained with a method of your own"
    option("--method", metavar="NAME", help=own)


def _train_options(option, default):
    setting = _setting(option, default)
    option("--data", required=True, help="manifest.csv, or its folder")
    option(
        "--out", required=True, help="folder for the run; an interrupted one goes on"
    )
    preset = "settings that go together; other options still hold"
    option("--preset", choices=[*PRESETS], help=preset)
    setting("method", "name (see `sskeras methods`), or module:Class for your own")
    setting("labeled", "share of the labels of each class that is kept", type=float)
    setting("image_size", "height and width in pixels", type=int)
    setting("channels", "1 for grey, 3 for color", type=int, choices=(1, 3))
    order = "class names in order (normal, pneumonia, covid-19, then others by name)"
    option("--classes", nargs="+", default=(), metavar="NAME", help=order)
    weight = "one weight per class, in the order of the classes (all 1)"
    option(
        "--class-weight", nargs="+", default=(), metavar="W", type=float, help=weight
    )
    network = "name of sskeras.networks or keras.applications (the method's ResNet)"
    option("--network", default="", metavar="NAME", help=network)
    weights = "imagenet or a file, for a network of keras.applications (none)"
    option("--weights", default="", help=weights)
    setting("filters", "filters of the two stages of a ResNet", type=int, nargs=2)
    setting("dropout", "rate before the last layer, but not of COVID-Net", type=float)
    setting("epochs", "passes over the training pictures", type=int)
    setting("batch_size", "pictures in a batch", type=int)
    labeled = "labeled pictures in each batch; 0 draws uniformly, as in the paper"
    setting("labeled_per_batch", labeled, type=int)
    balanced = "draw these labeled pictures from all classes alike"
    option("--class-balanced", action="store_true", help=balanced)
    share = "share of each batch for labeled pictures of a class, as in COVID-Net"
    option(
        "--class-share",
        nargs="+",
        default=[*default.class_share.items()],
        metavar="CLASS=SHARE",
        type=_named,
        help=share,
    )
    setting("view", "what is learned from, for the method's own", choices=VIEWS)
    teacher = "method that is trained first and labels the unlabeled pictures (none)"
    option("--teacher", default=default.teacher, metavar="NAME", help=teacher)
    judge = "let discriminants on typical patches have a say in each class"
    option(
        "--second-judge",
        action=argparse.BooleanOptionalAction,
        default=default.second_judge,
        help=judge,
    )
    setting("learning_rate", "of Adam", type=float)
    setting("decay", "course of the learning rate", choices=DECAYS)
    setting("ramp_up", "epochs during which λ grows", type=float)
    setting("precision", "dtype policy; auto: what is fast here", choices=PRECISIONS)
    setting("seed", "of hidden labels, initial weights, batches, dropout", type=int)
    further = "further arguments of the method"
    option(
        "--set", nargs="+", default=[], metavar="NAME=VALUE", type=_named, help=further
    )
    option(
        "--cache", help="folder for decoded pictures; without it they stay in memory"
    )
    here = "processes on this machine that train together; on others see TF_CONFIG"
    option("--workers", type=_count, default=1, metavar="N", help=f"{here} (1)")


def _setting(option, default):
    """Returns a function that adds the option of a setting, with its default."""

    def setting(name, help, **kwargs):
        flag, value = "--" + name.replace("_", "-"), getattr(default, name)
        option(flag, default=value, help=f"{help} (%(default)s)", **kwargs)

    return setting


def _reproduce_options(option):
    setting = _setting(option, defaults())
    tables = [*TABLES, "all"]
    option("tables", nargs="+", choices=tables, help="; ".join(tables), metavar="TABLE")
    option("--data", help="manifest.csv, or its folder")
    option("--out", required=True, help="folder; an interrupted reproduction goes on")
    option("--seeds", default="0-2", type=_seeds, help="such as 0-4 (0-2)")
    option("--jobs", type=_count, help="runs at a time (one a processor)")
    option("--fast", action="store_true", help="in minutes, on drawn films")
    option("--films", action="store_true", help="show test films in the report")
    setting("image_size", "height and width in pixels", type=int)
    setting("filters", "filters of the two stages of a ResNet", type=int, nargs=2)
    setting("epochs", "passes over the training pictures", type=int)
    setting("precision", "dtype policy; auto: what is fast here", choices=PRECISIONS)


def _named(text):
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, received {text!r}")
    with contextlib.suppress(ValueError, SyntaxError, MemoryError, RecursionError):
        value = ast.literal_eval(value)
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        raise argparse.ArgumentTypeError(
            f"expected a number, text, True, False, list or dict, received {text!r}"
        ) from None
    return name, value


def _count(text):
    """Reads an integer from 1 to 9999."""
    if not re.fullmatch("[1-9][0-9]{0,3}", text):
        raise argparse.ArgumentTypeError(
            f"expected a number from 1 to 9999, received {text!r}"
        )
    return int(text)


def _seeds(text):
    """Reads "0-4" or "0,2,5"."""
    found = []
    for part in text.split(","):
        ends = re.fullmatch("([0-9]{1,10})(?:-([0-9]{1,10}))?", part)
        between = range(int(ends[1]), int(ends[2] or ends[1]) + 1) if ends else ()
        if not 0 < len(between) <= 1000:
            raise argparse.ArgumentTypeError(
                f"expected seeds such as 0-4 or 0,2,5, received {text!r}"
            )
        found += between
    return tuple(dict.fromkeys(found))


def train(arguments):
    """`sskeras train`."""
    given = vars(arguments)
    given["arguments"] = dict(given["set"])
    given["class_share"] = dict(given["class_share"])
    names = [field.name for field in dataclasses.fields(Settings)]
    settings = Settings(**{name: given[name] for name in names})
    if arguments.workers > 1 and not workers.is_launched():
        workers.launch(arguments.workers)
        return
    runner.end_with_parent()
    _load_tensorflow()
    from sskeras.experiments.train import train

    try:
        scores = train(settings, arguments.out, arguments.cache)
    except KeyboardInterrupt:
        print("\nRepeat the command to go on after the last whole epoch.")
        raise
    show({arguments.out: scores})
    print(f"\nResults are in '{arguments.out}'. {NOTE}")


def methods(arguments):
    """`sskeras methods`."""
    _load_tensorflow()
    from sskeras import methods

    print(methods.overview())


def compare(arguments):
    """`sskeras compare`."""
    results = {}
    for run in arguments.runs:
        results[run] = RunFolder(run).read_scores()
    try:
        show(results)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(
            "The `metrics.json` of one of these runs is damaged, or of another "
            f"version: {error!r}. Compare them one by one to see which."
        ) from error


def evaluate(arguments):
    """`sskeras evaluate`."""
    _prepare(arguments)
    from sskeras.experiments import use

    run, manifest, split = arguments.run_folder, arguments.data, arguments.split
    if arguments.full:
        from sskeras.experiments import run_report

        report = run_report.write(run, manifest, split, arguments.out, arguments.films)
        show({run: report[1]})
        print(f"\nThe report is '{report[0]}'. {NOTE}")
        return
    scores = use.evaluate_run(run, manifest, split)
    show({run: scores})
    if arguments.out:
        write_json(Path(arguments.out), scores)


def predict(arguments):
    """`sskeras predict`."""
    _prepare(arguments)
    from sskeras.experiments import use

    table, others = use.predict_files(arguments.run_folder, arguments.inputs)
    write_text(Path(arguments.out), table.to_csv(index=False))
    passed = f"; passed over {others} other files" if others else ""
    print(f"{len(table)} predictions in '{arguments.out}'{passed}. {NOTE}")


def explain(arguments):
    """`sskeras explain`."""
    _prepare(arguments)
    from sskeras import plots
    from sskeras.experiments import use

    found = use.explain_files(
        arguments.run_folder, arguments.inputs, arguments.map, arguments.path
    )
    plots.save(found, arguments.out)
    print(f"The figure is '{arguments.out}'. {NOTE}")


def export(arguments):
    """`sskeras export`."""
    _prepare(arguments)
    from sskeras import export
    from sskeras.experiments import card, use

    if arguments.format == "card":
        write_text(Path(arguments.out), card.write(arguments.run_folder))
        print(f"The model card is '{arguments.out}'. {NOTE}")
        return
    model = use.load(arguments.run_folder)
    settings = RunFolder(arguments.run_folder).read_settings()
    getattr(export, arguments.format)(model, arguments.out, settings)
    print(f"'{arguments.out}' is written, reloaded and compared. {NOTE}")


def serve(arguments):
    """`sskeras serve`."""
    if not Path(arguments.saved_model, "saved_model.pb").is_file():
        raise FileNotFoundError(
            f"'{arguments.saved_model}' is no SavedModel. `sskeras export` makes one."
        )
    _load_tensorflow()
    from sskeras import serve

    servable = serve.Servable(arguments.saved_model, arguments.name)
    server = serve.Server(servable, arguments.host, arguments.port)
    address = f"http://{arguments.host}:{server.server_port}"
    print(f"{address}/v1/models/{arguments.name}:predict answers. {NOTE}", flush=True)
    server.run()
    print("Stopped, after the requests that had begun.")


def demo(arguments):
    """`sskeras demo`."""
    _prepare(arguments)
    from sskeras.experiments import demo

    judge = demo.Judge(arguments.run_folder)
    server = demo.Server(judge, arguments.host, arguments.port)
    address = f"http://{arguments.host}:{server.server_port}/"
    print(f"Open {address} in a browser. {NOTE}", flush=True)
    server.run()
    print("Stopped.")


def reproduce(arguments):
    """`sskeras reproduce`."""
    from sskeras.experiments import reproduce

    if bool(arguments.data) == arguments.fast:
        raise ValueError("Name the films with --data, or draw some with --fast.")
    fixed = [name for name in reproduce.FAST if hasattr(arguments, name)]
    asked = [n for n in fixed if getattr(arguments, n) != getattr(defaults(), n)]
    if arguments.fast and asked:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in asked)
        raise ValueError(f"--fast has its own {options}: leave out one or the other.")
    _load_tensorflow()
    settings = dataclasses.replace(
        defaults(),
        data=arguments.data or "",
        image_size=arguments.image_size,
        filters=tuple(arguments.filters),
        epochs=arguments.epochs,
        precision=arguments.precision,
    )
    if arguments.fast:
        from data_tools import phantom

        films = phantom.write(Path(arguments.out, "films"), **reproduce.FAST_FILMS)
        settings = dataclasses.replace(settings, data=str(films), **reproduce.FAST)
    page = reproduce.reproduce(
        arguments.tables,
        settings,
        arguments.seeds,
        arguments.out,
        arguments.jobs,
        films=arguments.films or arguments.fast,
    )
    print(f"The report is '{page}'; 'report.md' says the same. {NOTE}")


def show(results):
    """Prints the scores of one or more runs as a table."""
    from sskeras import evaluate

    print(evaluate.table(results))


def _prepare(arguments):
    """Imports TensorFlow, and the method of one's own with which a run was trained."""
    _load_tensorflow()
    if arguments.method:
        from sskeras import methods

        methods.find(arguments.method)


def _load_tensorflow():
    """Imports TensorFlow without its chatter, which goes straight to descriptor 2."""
    sys.path.append(os.getcwd())  # where a method of one's own may lie
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    before = os.dup(2)
    with tempfile.TemporaryFile() as chatter:
        os.dup2(chatter.fileno(), 2)
        try:
            with _no_garbage():
                import tensorflow

            tensorflow.config.list_physical_devices()
        except BaseException:
            chatter.seek(0)
            os.write(before, chatter.read())
            raise
        finally:
            os.dup2(before, 2)
            os.close(before)


@contextlib.contextmanager
def _no_garbage():
    """What an import makes stays: to look for garbage among it only takes time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


if __name__ == "__main__":
    sys.exit(main())
