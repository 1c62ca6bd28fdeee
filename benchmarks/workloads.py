"""The workloads that are compared: networks, batches, initial weights and data, the same for every contender.

This module imports no library but NumPy, so that each contender's process loads only what it measures.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

LEARNING_RATE = 1e-4
"""Of the first steps, whose losses are compared between contenders. Adam's first update is the sign of each gradient:
at 1e-3, rounding of gradients near zero changed the third loss by 2e-4, even between two settings of PyTorch."""
QUIET_LEARNING_RATE = 1e-7
"""Of the measured steps. The work is the same, and the network does not memorize the few batches, which would make
gradients vanish and slow some contenders down by denormal numbers."""

# The named models are written out, since most contenders do not import this project; a test compares them with its own.
CNN = "28x28x1 > conv5x5:32:same relu maxpool2 > conv5x5:64:same relu maxpool2 > fc512 relu > fc10"
LENET5 = "28x28x1 > conv5x5:6:same tanh avgpool2 > conv5x5:16 tanh avgpool2 > fc120 tanh > fc84 tanh > fc10"
CNN_SMALL = "28x28x1 > conv5x5:8 relu maxpool2 > conv5x5:16 relu maxpool2 > fc10"
CNN_3X3 = (
    "32x32x3 > conv3x3:64:same relu > conv3x3:64:same relu maxpool2 > conv3x3:128:same relu > conv3x3:128:same relu "
    "maxpool2 > conv3x3:256:same relu > conv3x3:256:same relu maxpool2 > fc10"
)


@dataclass(frozen=True)
class Layer:
    """One layer of a network, with everything that a contender needs to build its own."""

    kind: str
    """conv, maxpool, avgpool, relu, tanh, sigmoid, flatten or fc."""
    name: str
    """Of its parameters, such as conv1; empty where there are none."""
    size: int
    """Pixels of the (square) window; 0 where there is none."""
    pad: int
    """Pixels on each side."""
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]


_WORD = re.compile(r"conv(\d+)x\1:(\d+)(:same)?|(maxpool|avgpool)(\d+)|fc(\d+)|(relu|tanh|sigmoid)")


def read_layers(notation: str) -> list[Layer]:
    """Read the few words of the project's notation that occur here.

    >>> [(layer.kind, layer.output_shape) for layer in read_layers("8x8x1 > conv3x3:4 relu maxpool2 > fc10")]
    [('conv', (6, 6, 4)), ('relu', (6, 6, 4)), ('maxpool', (3, 3, 4)), ('flatten', (36,)), ('fc', (10,))]
    """
    first, *words = notation.replace(">", " ").split()
    shape: tuple[int, ...] = tuple(int(n) for n in first.split("x"))
    layers: list[Layer] = []
    count = {"conv": 0, "fc": 0}

    def add(kind: str, output: tuple[int, ...], size: int = 0, pad: int = 0) -> None:
        nonlocal shape
        name = ""
        if kind in count:
            count[kind] += 1
            name = f"{kind}{count[kind]}"
        layers.append(Layer(kind, name, size, pad, shape, output))
        shape = output

    for word in words:
        match = _WORD.fullmatch(word)
        if match is None:
            raise ValueError(f"the benchmarks cannot read {word!r} in {notation!r}; add it to workloads.read_layers")
        conv, filters, same, pool, window, units, activation = match.groups()
        if conv:
            size = int(conv)
            pad = size // 2 if same else 0
            height, width = (n + 2 * pad - size + 1 for n in shape[:2])
            add("conv", (height, width, int(filters)), size, pad)
        elif pool:
            add(pool, (shape[0] // int(window), shape[1] // int(window), shape[2]), int(window))
        elif activation:
            add(activation, shape)
        else:
            if len(shape) == 3:
                add("flatten", (int(np.prod(shape)),))
            add("fc", (int(units),))
    return layers


@dataclass(frozen=True)
class Workload:
    """One comparison: what is run, on how many cores, and its target."""

    name: str
    task: str
    """train or infer."""
    notation: str
    batch: int
    threads: int = 2
    targets: tuple[float, float] = (1.0, 1.0)
    """The least ratios of the fastest peer's time to ours, on a slow and on a fast processor; see `target_on`."""
    batches: int = field(default=4)
    """Different batches, used in turn, so that no branch predictor memorizes one."""
    optimizer: str = "adam"
    compared_steps: int = 3
    """How many losses contenders must agree on before anything is timed."""

    @property
    def layers(self) -> list[Layer]:
        return read_layers(self.notation)

    def data(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return the batches: images (N, H, W, C) float32 in [0, 1) and labels (N,) int64."""
        generator = np.random.default_rng(180)
        shape = (self.batch, *self.layers[0].input_shape)
        classes = self.layers[-1].output_shape[0]
        return [
            (generator.random(shape, np.float32), generator.integers(0, classes, self.batch))
            for _ in range(self.batches)
        ]

    def weights(self) -> dict[str, np.ndarray]:
        """Return initial parameters: kernels (KH, KW, C, F), fully connected weights (n_in, n_out), small biases."""
        generator = np.random.default_rng(81)
        parameters = {}
        for layer in self.layers:
            if not layer.name:
                continue
            channels, features = layer.input_shape[-1], layer.output_shape[-1]
            shape = (layer.size, layer.size, channels, features) if layer.kind == "conv" else (channels, features)
            bound = np.sqrt(6 / np.prod(shape[:-1]))
            parameters[f"{layer.name}.weight"] = generator.uniform(-bound, bound, shape).astype(np.float32)
            parameters[f"{layer.name}.bias"] = generator.uniform(-0.05, 0.05, features).astype(np.float32)
        return parameters

    def multiply_adds(self) -> int:
        """Return the dense multiply-adds of one step: forward and, in training, backward except for the first dx."""
        total = 0
        first = True
        for layer in self.layers:
            if not layer.name:
                continue
            window = layer.size**2 if layer.kind == "conv" else 1
            forward = self.batch * window * layer.input_shape[-1] * int(np.prod(layer.output_shape))
            total += forward * (1 if self.task == "infer" else 2 if first else 3)
            first = False
        return total


WORKLOADS = (
    Workload("train-cnn-32-64-512-b32", "train", CNN, 32, targets=(2.2, 2.5)),
    Workload("train-cnn-32-64-512-b32-1core", "train", CNN, 32, threads=1, targets=(1.7, 1.7)),
    Workload("train-cnn-32-64-512-b128", "train", CNN, 128, targets=(2.2, 2.5)),
    Workload("train-cnn-32-64-512-b512", "train", CNN, 512, targets=(2.5, 3.2), batches=2),
    Workload("train-lenet5-b32", "train", LENET5, 32, targets=(3.5, 4.0)),
    Workload("train-cnn-8-16-b32", "train", CNN_SMALL, 32, targets=(6.0, 5.0)),
    Workload("train-3x3-b64", "train", CNN_3X3, 64, targets=(2.5, 2.2)),
    Workload("infer-cnn-32-64-512-b1", "infer", CNN, 1, targets=(1.2, 1.2)),
    Workload("infer-cnn-32-64-512-b32", "infer", CNN, 32, targets=(1.5, 1.5)),
)
FAST = 200.0
"""GFLOP/s of one core from which on a processor counts as fast: there, the multiplications matter less."""


def target_on(targets: tuple[float, float], peak_one_core_gflops: float) -> float:
    """Return the target that applies to a processor.

    >>> target_on((2.2, 2.5), 118), target_on((2.2, 2.5), 290)
    (2.2, 2.5)
    """
    return targets[peak_one_core_gflops >= FAST]


@dataclass(frozen=True)
class ConvPass:
    """One pass of one convolution: padding 'same', stride 1."""

    batch: int
    height: int
    width: int
    channels: int
    filters: int
    size: int
    which: str
    """forward, data (gradient) or weights (gradient)."""

    @property
    def name(self) -> str:
        """Read as images x rows x columns x channels -> filters, window, pass."""
        return (
            f"{self.batch}x{self.height}x{self.width}x{self.channels}->{self.filters} "
            f"{self.size}x{self.size} {self.which}"
        )

    @property
    def multiply_adds(self) -> int:
        """Dense count, including the zeros of the padding, as for every implementation that is compared."""
        pixels = self.batch * self.height * self.width
        return pixels * self.size**2 * self.channels * self.filters

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return x (N, H, W, C), w (KH, KW, C, F) and dy (N, H, W, F), float32."""
        generator = np.random.default_rng(180)
        x = generator.standard_normal((self.batch, self.height, self.width, self.channels), np.float32)
        w = generator.standard_normal((self.size, self.size, self.channels, self.filters), np.float32)
        dy = generator.standard_normal((self.batch, self.height, self.width, self.filters), np.float32)
        return x, w, dy

    @property
    def target(self) -> float:
        """The least fraction of the peak: 3x3 passes with many channels and tiles are counted as direct convolution,
        of whose multiply-adds minimal filtering makes a quarter.
        """
        tiles = self.batch * -(-self.height // 4) * -(-self.width // 4)
        return 2.0 if self.size == 3 and min(self.channels, self.filters) >= 64 and tiles >= 64 else 0.85


_SHAPES = (
    (32, 14, 14, 32, 64, 5),
    (64, 32, 32, 64, 64, 3),
    (64, 16, 16, 64, 128, 3),
    (64, 16, 16, 128, 128, 3),
    (64, 8, 8, 128, 256, 3),
    (64, 8, 8, 256, 256, 3),
    (1, 56, 56, 64, 64, 3),
    (16, 56, 56, 64, 64, 3),
    (16, 28, 28, 128, 128, 3),
    (16, 14, 14, 256, 256, 3),
    (16, 7, 7, 512, 512, 3),
)
"""Of `cnn-32-64-512`, of the network of 3x3 convolutions, and of `resnet18`."""
PASSES = tuple(ConvPass(*shape, which) for shape in _SHAPES for which in ("forward", "data", "weights"))
