"""The networks of `train_step.py` in PyTorch: trained, or compared with a given case.

Layers have the names they have in Keras, so that weights are found by name.
"""

import json
import os
import sys

import numpy as np
import torch
from common import serve
from torch import nn
from torch.nn import functional

PATHS = ("supervised", "unsupervised")


class TwoPaths(nn.Module):
    """A shared trunk and two paths.

    Args:
        name: "small", "default" or filters such as "16x32".
        same_padding: Whether strided layers pad as TensorFlow does, at the end only.
            PyTorch pads both sides, without the copy that this takes; timed is that.
    """

    def __init__(self, name, same_padding=False, dropout=0.5):
        super().__init__()
        self.small, self.same_padding = name == "small", same_padding
        known = {"small": (16, 32), "default": (64, 128)}
        first, second = known.get(name) or map(int, name.split("x"))
        self.parts = nn.ModuleDict()
        self.dropout = nn.Dropout(dropout)
        if self.small:
            self.add_stage("shared", 1, first, 3, 1)
        else:
            self.add_stage("shared", 1, first, 7, 2)
        for path in PATHS:
            self.add_stage(path, first, second, 3, 2)
            self.parts[f"{path}_logits"] = nn.Linear(second, 3)

    def add_stage(self, name, channels, filters, kernel, stride):
        self.add_convolution(f"{name}_conv", channels, filters, kernel, stride)
        self.add_norm(f"{name}_conv", filters)
        for block in (f"{name}_block1", f"{name}_block2"):
            for number in (1, 2):
                self.add_convolution(f"{block}_conv{number}", filters, filters, 3, 1)
                self.add_norm(f"{block}_{number}", filters)
        self.add_norm(f"{name}_last", filters)

    def add_convolution(self, name, channels, filters, kernel, stride):
        padding = 0 if self.same_padding and stride > 1 else kernel // 2
        layer = nn.Conv2d(channels, filters, kernel, stride, padding, bias=False)
        nn.init.kaiming_normal_(layer.weight)
        self.parts[name] = layer

    def add_norm(self, name, filters):
        self.parts[f"{name}_norm"] = nn.BatchNorm2d(filters)

    def convolution(self, name, x):
        layer = self.parts[name]
        if self.same_padding and layer.stride[0] > 1:
            x = self.padded(x, layer.kernel_size[0])
        return layer(x)

    def padded(self, x, kernel, value=0.0):
        left = (kernel - 2) // 2  # as TensorFlow, for even sizes and stride 2
        right = kernel - 2 - left
        return functional.pad(x, (left, right, left, right), value=value)

    def stage(self, name, x):
        x = self.convolution(f"{name}_conv", x)
        x = torch.relu(self.parts[f"{name}_conv_norm"](x))
        for block in (f"{name}_block1", f"{name}_block2"):
            y = self.convolution(f"{block}_conv1", x)
            y = torch.relu(self.parts[f"{block}_1_norm"](y))
            y = self.convolution(f"{block}_conv2", y)
            x = torch.relu(x + self.parts[f"{block}_2_norm"](y))
        return torch.relu(self.parts[f"{name}_last_norm"](x))

    def forward(self, pictures):
        z = self.stage("shared", pictures / 255)
        if not self.small and self.same_padding:
            z = functional.max_pool2d(self.padded(z, 3, -torch.inf), 3, 2)
        elif not self.small:
            z = functional.max_pool2d(z, 3, 2, padding=1)
        features = [self.stage(path, z).mean((2, 3)) for path in PATHS]
        return [
            self.parts[f"{path}_logits"](self.dropout(x))
            for path, x in zip(PATHS, features, strict=True)
        ]


def loss_of(network, x, y):
    """Algorithm 1, line 8, with λ = 1."""
    a, b = (z.float() for z in network(x))
    entropy = functional.cross_entropy(a, y, ignore_index=-1, reduction="sum")
    return entropy / len(y) + (a - b).square().mean()


def check(name, size, file):
    """Prints the number of weights, and the loss with the weights of a file."""
    case = np.load(file)
    network = TwoPaths(name, same_padding=True, dropout=0.0)
    for key, value in case.items():
        layer, _, kind = key.partition("/")
        if not kind or layer not in network.parts:
            continue
        kinds = {"gamma": "weight", "beta": "bias", "kernel": "weight"}
        kinds |= {"moving_mean": "running_mean", "moving_variance": "running_var"}
        axes = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[value.ndim]
        tensor = getattr(network.parts[layer], kinds.get(kind, kind))
        with torch.no_grad():
            tensor.copy_(torch.from_numpy(value.transpose(axes).copy()))
    x = torch.from_numpy(case["x"].astype("float32").transpose(0, 3, 1, 2).copy())
    loss = loss_of(network, x, torch.from_numpy(case["y"].astype("int64")))
    weights = sum(p.numel() for p in network.parameters())
    print(json.dumps({"weights": weights, "loss": loss.item()}))


def train(name, size, batch, *options):
    """Is a worker that trains, a step at a time."""
    torch.set_num_threads(os.cpu_count())
    torch.manual_seed(0)
    network = TwoPaths(name)
    x = torch.randint(0, 256, (int(batch), 1, int(size), int(size))).float()
    y = torch.arange(int(batch)) % 4 - 1
    if "channels-last" in options:
        network = network.to(memory_format=torch.channels_last)
        x = x.to(memory_format=torch.channels_last)
    adam = torch.optim.Adam(network.parameters(), fused=True)
    forward = torch.compile(network) if "compiled" in options else network
    half = "bfloat16" in options

    def step():
        adam.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = loss_of(forward, x, y)
        loss.backward()
        adam.step()
        return loss.item()

    serve(step)


if __name__ == "__main__":
    {"check": check, "train": train}[sys.argv[1]](*sys.argv[2:])
