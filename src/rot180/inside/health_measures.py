"""What `rot180.inside.health` measures in each layer: idle units, deltas, and the sizes of updates.

Outputs and deltas are those of the definitions in NumPy, layer by layer. The updates are those of a copy of the
network, which an engine trains.
"""

from __future__ import annotations

import copy
from typing import NamedTuple

import numpy as np

from rot180.engine import make_engine
from rot180.inside.health_report import LayerHealth
from rot180.nn.activation import LeakyReLU, NoisyReLU, ReLU, Sigmoid, Tanh
from rot180.nn.activation_piecewise import ReLU6
from rot180.nn.layer import Layer
from rot180.nn.loss import Loss
from rot180.nn.network import Network
from rot180.nn.normalization import Normalization
from rot180.nn.walk import Forward
from rot180.ops.types import Array
from rot180.training.diagnosis import refuse_non_finite
from rot180.training.optimizer import Optimizer
from rot180.training.optimizers import SGD

NO_SCALE = 1e-3
"""A scale of a normalization, which starts at one, below which its channel is off."""
FOR_DELTAS = 64
"""Images whose deltas are measured: with more, their size changes by a few percent, and the backward pass in NumPy is
most of the time that the measures take."""


class Measures(NamedTuple):
    """What was measured."""

    layers: tuple[LayerHealth, ...]
    outputs: Array
    """Of the network, for the images."""


def measure(
    model: Network, images: Array, labels: Array, loss: Loss, optimizer: Optimizer, *, engine: str, seed: int
) -> Measures:
    """Measure each layer with a few raw images; `optimizer` has the learning rate of the training, and is used up.

    Raises
    ------
    NonFiniteError
        A pixel, a weight or an output is infinite or NaN.
    """
    x = model.preprocessing(images, dtype=model.dtype)
    steps = list(model.walk(x))
    outputs = steps[-1].y
    refuse_non_finite(model, images, outputs)
    # Deltas are those of training, where a batch is normalized by its own statistics and its images affect each other.
    few = x[:FOR_DELTAS]
    training = bool(model.statistics)
    seen = list(model.walk(few, training=training, generator=np.random.default_rng(seed)))
    delta = loss.backward(loss.forward(seen[-1].y, labels[:FOR_DELTAS])[1])
    # Times N: the loss is a mean over the batch, and this gives delta for the sum of the losses, or for the loss of a
    # single image where images do not affect each other.
    deltas = [
        float(np.sqrt(np.mean(np.square(back.delta, dtype=np.float64)))) * len(few)
        for back in model.walk_back(delta, [step.saved for step in seen], needs_dx=True)
    ]
    updates = _updates(model, x, labels, loss, optimizer, engine, seed)
    layers = tuple(
        LayerHealth(
            step.layer.name,
            delta=size,
            dead=dead(step),
            saturated=saturated(step) if step is not steps[-1] else None,
            update=updates.get(f"{step.layer.name}.weight"),
            is_map=step.y.ndim == 4,
            behind=_normalization_before(model, step),
            is_normalization=isinstance(step.layer, Normalization),
        )
        for step, size in zip(steps, reversed(deltas), strict=True)
    )
    return Measures(layers, outputs)


def dead(step: Forward) -> float | None:
    """Return the share of a ReLU's units that are zero for every image, or of a normalization's scales near zero."""
    if _is_relu(step.layer):
        return float(np.mean(step.y.reshape(-1, step.y.shape[-1]).max(axis=0) <= 0))
    if isinstance(step.layer, Normalization) and step.layer.affine:
        return float(np.mean(np.abs(step.layer.parameter("weight")) < NO_SCALE))
    return None


def saturated(step: Forward) -> float | None:
    """Return the share of a sigmoid's or tanh's outputs where the derivative is below a tenth of its maximum."""
    if isinstance(step.layer, Sigmoid):
        return float(np.mean(step.y * (1 - step.y) < 0.025))
    if isinstance(step.layer, Tanh):
        return float(np.mean(1 - step.y * step.y < 0.1))
    return None


def _is_relu(layer: Layer) -> bool:
    return isinstance(layer, (ReLU, NoisyReLU, ReLU6)) and not isinstance(layer, LeakyReLU)


def _normalization_before(model: Network, step: Forward) -> str:
    """Return the normalization whose output a ReLU takes; empty for other layers."""
    source = model.nodes[step.place].reads[0]
    if not _is_relu(step.layer) or source < 0 or not isinstance(model.layers[source], Normalization):
        return ""
    return model.layers[source].name


def _updates(
    model: Network, x: Array, labels: Array, loss: Loss, optimizer: Optimizer, engine: str, seed: int
) -> dict[str, float]:
    """Return the ratio of update to parameter, by name: the largest of some updates of a copy.

    The first steps of Adam and RMSprop are larger than later ones, until their means are filled, and do not count.
    """
    twin = copy.deepcopy(model)
    runner = make_engine(engine, twin, loss)
    runner.prepare(optimizer)
    generator = np.random.default_rng(seed)
    # a layer that is meant to learn more slowly than the others, or not at all, does not count
    parameters = {name: array for name, array in twin.parameters.items() if twin.lr_factors.get(name, 1.0) >= 1}
    largest: dict[str, float] = {}
    first = 0 if isinstance(optimizer, SGD) else 6
    for step in range(first + 6):
        chosen = generator.integers(0, len(x), min(32, len(x)))
        before = {name: array.copy() for name, array in parameters.items()}
        if not runner.train_step(x[chosen], labels[chosen], optimizer, generator).finite:
            return {}  # it has diverged, which the losses tell
        for name, array in parameters.items():
            size = float(np.linalg.norm(before[name]))
            if step >= first and size:
                ratio = float(np.linalg.norm(array - before[name])) / size
                largest[name] = max(ratio, largest.get(name, 0.0))
    return largest
