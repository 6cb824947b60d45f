"""What a run is made of. Standard library only, so that the CLI starts at once."""

import dataclasses
import hashlib
import json
import math
from pathlib import Path

DECAYS = ("constant", "cosine")
VIEWS = ("", "weak", "strong")
RAREST = "rarest"  # In `class_share`: the class with the fewest labels.
# Settings that go together, by the name that `sskeras train --preset` takes.
PRESETS = {
    "best": {
        "method": "supervised",
        "teacher": "supervised",
        "view": "strong",
        "class_share": {RAREST: 0.2},
        "second_judge": True,
        "decay": "cosine",
    }
}


@dataclasses.dataclass(frozen=True)
class Settings:
    """Everything that decides the result of a training run.

    Args:
        data: Manifest.
        method: Name of a method, or `"module:Class"`.
        labeled: Share of the labels of each class that is kept.
        image_size: Height and width in pixels.
        channels: 1 for grey, 3 for color.
        classes: Class names in order; empty stands for `data.class_names`.
        class_weight: One float per class; empty stands for ones.
        network: Name of a network: of `sskeras.networks`, or of `keras.applications`
            for `networks.backbone`; empty stands for the method's residual network.
        weights: "imagenet" or a file, for a network of `keras.applications`.
        filters: Filters of the two stages of a residual network; the second number is
            also that of the two paths on another network.
        dropout: Rate of the network's dropout.
        epochs: Passes over the training images.
        batch_size: Images in a batch.
        labeled_per_batch: Labeled images in each batch; 0 stands for batches drawn
            uniformly, as in the paper.
        class_balanced: Whether these labeled images come from all classes alike.
        class_share: Share of each batch that is drawn from the labeled images of a
            class, by its name, such as `{"covid-19": 0.3}`, or "rarest" for the class
            with the fewest labels.
        view: View of the pictures that is learned from, "weak" or "strong" of
            `augment`; empty stands for the method's own.
        teacher: Method that is trained first; what it takes unlabeled images for is
            then learned like a label. It never takes them for the rarest class.
        second_judge: Whether discriminants on typical patches have a say, as
            `networks.with_second_judge` explains.
        learning_rate: Of Adam. The paper's 0.1 is not usable with Adam.
        decay: "constant", or "cosine" for a learning rate that falls to 0 along half a
            wave: the last epochs then no longer jump.
        ramp_up: Epochs during which λ grows to its full value.
        precision: Dtype policy of the network, or "auto": what suits this machine, as
            `sskeras.set_precision` explains. The run keeps what was chosen.
        seed: Of the hidden labels, the initial weights, the batches and the dropout.
        arguments: Further arguments of the method, by name.
    """

    data: str
    method: str = "ssresnet"
    labeled: float = 1.0
    image_size: int = 64
    channels: int = 1
    classes: tuple[str, ...] = ()
    class_weight: tuple[float, ...] = ()
    network: str = ""
    weights: str = ""
    filters: tuple[int, int] = (64, 128)
    dropout: float = 0.5
    epochs: int = 15
    batch_size: int = 256
    labeled_per_batch: int = 0
    class_balanced: bool = False
    class_share: dict = dataclasses.field(default_factory=dict)
    view: str = ""
    teacher: str = ""
    second_judge: bool = False
    learning_rate: float = 1e-3
    decay: str = "constant"
    ramp_up: float = 15
    precision: str = "auto"
    seed: int = 0
    arguments: dict = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        least = {"image_size": 1, "epochs": 1, "batch_size": 1, "ramp_up": 0}
        for name, minimum in least.items():
            if getattr(self, name) < minimum:
                raise ValueError(
                    f"`{name}` must be at least {minimum}. "
                    f"Received: {name}={getattr(self, name)}"
                )
        if not math.isfinite(self.ramp_up) or not 0 <= self.seed < 2**32:
            raise ValueError(
                "`ramp_up` must be finite, and `seed` from 0 to 4,294,967,295. "
                f"Received: ramp_up={self.ramp_up}, seed={self.seed}"
            )
        if not self.learning_rate > 0:
            raise ValueError(
                "`learning_rate` must be greater than 0. "
                f"Received: learning_rate={self.learning_rate}"
            )
        for name, values in {"decay": DECAYS, "view": VIEWS}.items():
            if getattr(self, name) not in values:
                raise ValueError(
                    f"Invalid `{name}`. Expected one of {values}. "
                    f"Received: {getattr(self, name)!r}"
                )

    def to_json(self):
        """The settings and the checksum of the manifest, as a dict for JSON."""
        manifest = Path(self.data)
        if manifest.is_dir():
            manifest = manifest / "manifest.csv"
        checksum = hashlib.sha256(manifest.read_bytes()).hexdigest()
        return {**json.loads(json.dumps(vars(self))), "manifest_sha256": checksum}


def defaults():
    """The default of every setting, as it is in JSON."""
    return json.loads(json.dumps(vars(Settings(data=""))))
