"""A model card: what a run is, what it is for, and what it can do."""

from sskeras.experiments import page, results
from sskeras.experiments.folder import RunFolder
from sskeras.experiments.provenance import libraries
from sskeras.export.about import INTENDED_USE

LIMITS = (
    "The scores are those of one training on the films of one test split, after the "
    "last epoch; another seed moves them. Films of other hospitals, machines or ages "
    "were not tested. Probabilities are not calibrated; `sskeras evaluate --full` "
    "tells how far they are off."
)


def write(run):
    """The card of a finished run, as Markdown.

    Args:
        run: Folder of the run.

    Returns:
        Text, after the sections of Mitchell et al., "Model Cards for Model Reporting"
        (2019).

    Raises:
        ValueError: If the scores are damaged.
    """
    folder = RunFolder(run)
    try:
        return _card(folder, folder.read_scores())
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(
            f"'{folder.metrics}' is damaged, or of another version: {error!r}"
        ) from error


def _card(folder, found):
    settings, origin = found["settings"], found["provenance"]
    interval = found["interval"]
    size = f"{settings['image_size']} × {settings['image_size']}"
    blocks = [
        page.Heading("Model"),
        page.Text(
            f"{settings['method']}, trained with {100 * settings['labeled']:g} % of "
            f"the labels on pictures of {size} pixels; classes "
            f"{', '.join(found['recall'])}. Made with {libraries(origin)}, at commit "
            f"{origin['commit']}, by:"
        ),
        page.Code(origin["command"]),
        page.Heading("Intended use"),
        page.Text(INTENDED_USE),
        page.Heading("Data"),
        page.Text(
            f"`{settings['data']}`, a manifest with the SHA-256 "
            f"`{settings['manifest_sha256']}`. Trained on its split `train`, scored on "
            f"{found['rows']:,} films of `test`."
        ),
        page.Heading("Scores"),
        page.Text(
            f"Percent, in brackets the {100 * interval['level']:g} % interval, "
            f"{interval['method']}."
        ),
        results.scores_of_one(found),
        page.Heading("Limits"),
        page.Text(LIMITS),
        page.Heading("Settings"),
        page.Table(
            ["setting", "value"],
            [[name, str(v)] for name, v in settings.items() if v not in ("", [], {})],
        ),
    ]
    return page.markdown(f"Model card: {folder.path.resolve().name}", blocks)
