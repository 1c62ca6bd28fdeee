"""The journey of a batch through the network and back: every array by name, in the order of computation.

Forward layer by layer, the loss, backward layer by layer, one update of the optimizer. What is shown is what was
computed: the arrays come from the recorder in `rot180.ops`, which the operations call at each step, so the model needs
no change, and nothing is computed again just to be shown. The model passed in is not changed: the journey is that of a
copy.
"""

from __future__ import annotations

import copy
import json
import os
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rot180.errors import ArgumentError, ShapeError, did_you_mean
from rot180.files import write_atomically
from rot180.inside.watcher import GIVEN, Step, Watcher, source_line, source_of
from rot180.nn import Conv2d, ConvTranspose2d, Network
from rot180.nn.graph import LayerShapes
from rot180.nn.layer import Layer, Shape
from rot180.nn.loss import Loss
from rot180.nn.walk import walk_backward
from rot180.nn.weighted import Weighted
from rot180.ops import conv_winograd
from rot180.ops.conv2d import ALGORITHMS
from rot180.ops.recorder import listening
from rot180.ops.types import Array
from rot180.training.diagnosis import refuse_non_finite
from rot180.training.optimizer import Optimizer
from rot180.training.optimizers import optimizer as optimizer_by_name
from rot180.training.trainer import make_loss

__all__ = ["PHASES", "Journey", "journey"]

PHASES = ("forward", "loss", "backward", "update")


@dataclass(frozen=True)
class Journey:
    """The arrays of a batch on its way; from `journey`."""

    notation: str
    batch_size: int
    algorithm: str
    optimizer: str
    loss: float
    words: dict[str, str]
    """Each layer's word in the notation, by its name, in the order of the layers."""
    steps: tuple[Step, ...]

    def __getitem__(self, name: str) -> tuple[Step, ...]:
        """Return the steps with this name; a name such as `conv2.x_col` may occur forward and backward."""
        found = tuple(step for step in self.steps if step.name == name)
        if not found:
            raise ArgumentError(f"the journey has no array {name!r}{did_you_mean(name, [s.name for s in self.steps])}")
        return found

    def select(self, layer: str) -> Journey:
        """Return the part of the journey that belongs to one layer (or to `input` or `loss`).

        Raises
        ------
        ArgumentError
            The network has no such layer.
        """
        known = dict.fromkeys(step.layer for step in self.steps)
        if layer not in known:
            raise ArgumentError(f"the network has no layer {layer!r}{did_you_mean(layer, known)}")
        return replace(self, steps=tuple(step for step in self.steps if step.layer == layer))

    def total(self, phase: str) -> tuple[float, int, int]:
        """Return a phase's seconds, multiply-adds and bytes; memory that is passed on is counted once."""
        steps = [step for step in self.steps if step.phase == phase]
        own = [step for step in steps if not step.same_as]
        return sum(s.seconds for s in steps), sum(s.multiply_adds for s in steps), sum(s.bytes for s in own)

    def to_dict(self) -> dict[str, Any]:
        """Return the journey without values, for JSON."""
        return {
            "notation": self.notation,
            "batch_size": self.batch_size,
            "algorithm": self.algorithm,
            "optimizer": self.optimizer,
            "loss": self.loss,
            "layers": self.words,
            "arrays": [step.to_dict() for step in self.steps],
        }

    def save(self, path: str | Path) -> Path:
        """Write the arrays with their values to a safetensors file, and everything else as JSON in its metadata.

        An array is stored under its phase and name, `backward/conv2.delta`; one that was passed on is stored once,
        under its first name, which the metadata give as `same_as`. The metadata's `journey` is `to_dict()`, with `key`
        added to each array.

        Raises
        ------
        ArgumentError
            The journey was created without values, or the file already exists.
        ModelError
            The file cannot be written.
        """
        from safetensors.numpy import save

        path = Path(path)
        if os.path.lexists(path):
            raise ArgumentError(f"{path} already exists and is not overwritten; choose another name")
        missing = next((step.name for step in self.steps if step.values is None), "")
        if missing or not self.steps:
            raise ArgumentError(f"the journey has no values of {missing or 'any array'}; create it with values=True")
        arrays: dict[str, Array] = {}
        keys: dict[str, str] = {}
        listed = []
        for step in self.steps:
            key = keys.get(step.same_as) or f"{step.phase}/{step.name}"
            keys[step.name] = key
            if key not in arrays and step.values is not None:
                arrays[key] = step.values
            listed.append({**step.to_dict(), "key": key})
        metadata = {"rot180_journey": "1", "journey": json.dumps({**self.to_dict(), "arrays": listed})}
        write_atomically(path, save(arrays, metadata), replace=False)
        return path


@np.errstate(over="ignore", invalid="ignore")  # a gradient may overflow, which is shown as well
def journey(
    model: Network,
    images: Array,
    labels: Array,
    *,
    algorithm: str = "im2col",
    optimizer: str | Optimizer = "adam",
    loss: str | Loss = "auto",
    seed: int = 0,
    values: bool = False,
) -> Journey:
    """Send a batch through a network and back, and record every array on the way.

    Parameters
    ----------
    model : Network
        A built network, which is not changed.
    images : (N, H, W, C) or (N, H, W)
        Images as in the data; the model's preprocessing is applied.
    labels : (N,) integers
        The labels of the images.
    algorithm : {"im2col", "offsets", "windows", "winograd", "loops", "auto"}
        The algorithm of all convolutions. With `winograd`, those that it does not apply to are computed by `im2col`.
        With `auto`, each pass of each layer uses the one that `ops.conv2d` chooses.
    optimizer : str or Optimizer
        The optimizer of the update; it is copied, with its state.
    loss : str or Loss
        As in `rot180.Trainer`.
    seed : int
        Seed of dropout and noise.
    values : bool
        Keep a copy of every array, for `Journey.save`. This takes some hundred megabytes for a large network and batch.

    Returns
    -------
    Journey
        Times are those of one pass after an unrecorded one (`loops`, which is slow, runs once), not the best of
        several.

    Raises
    ------
    ArgumentError
        The model is not built, or the algorithm is unknown or applies to no layer.
    ShapeError
        Images and labels do not fit each other or the model.

    Examples
    --------
    >>> import rot180
    >>> model = rot180.network("6x6x1 > conv3x3:4:same relu maxpool2 > fc3").build(seed=0)
    >>> trip = journey(model, np.zeros((2, 6, 6, 1), np.uint8), np.array([0, 2]))
    >>> [(step.name, step.shape) for step in trip.select("conv1").steps][:3]
    [('conv1.x', (2, 6, 6, 1)), ('conv1.x_pad', (2, 8, 8, 1)), ('conv1.x_col', (72, 9))]
    >>> trip["conv1.x_col"][0].source.code
    'x_col = _unfold(x_pad, g, groups)'
    """
    images, labels = np.asarray(images), np.asarray(labels)
    if not model.is_built:
        raise ArgumentError("the network has no parameters yet; call build(seed=0) first")
    if algorithm not in ("auto", *ALGORITHMS):
        raise ArgumentError(
            f"journey: unknown algorithm {algorithm!r}{did_you_mean(str(algorithm), ('auto', *ALGORITHMS))}"
        )
    if len(images) != len(labels) or len(images) == 0:
        raise ShapeError(f"journey: got {len(images)} images and {len(labels)} labels; give one label per image")
    refuse_non_finite(model, images)
    traveler = copy.deepcopy(model)
    if algorithm != "auto":
        _use(algorithm, [layer for layer in traveler.layers if isinstance(layer, (Conv2d, ConvTranspose2d))])
    rule = optimizer_by_name(optimizer) if isinstance(optimizer, str) else copy.deepcopy(optimizer)
    objective = make_loss(loss, traveler)
    if algorithm != "loops":  # memory and the processor's clock are warmed up after one pass
        outputs, saved = traveler.forward(
            model.preprocessing(images, dtype=model.dtype), training=True, generator=np.random.default_rng(seed)
        )
        traveler.backward(objective.backward(objective.forward(outputs, labels)[1]), saved)
    watcher = Watcher(with_values=values)
    with listening(watcher.listen):
        mean_loss, gradients = _there_and_back(traveler, objective, images, labels, seed, watcher)
        _update(traveler, rule, gradients, watcher)
    return Journey(
        notation=str(model),
        batch_size=len(images),
        algorithm=algorithm,
        optimizer=rule.rule,
        loss=mean_loss,
        words={layer.name: layer.to_notation() for layer in model.layers},
        steps=tuple(watcher.steps),
    )


def _use(algorithm: str, layers: list[Conv2d | ConvTranspose2d]) -> None:
    """Set the algorithm of all layers; of those that it does not apply to, im2col."""
    fits = [
        algorithm != "winograd" or conv_winograd.applies(layer.kernel_size, layer.stride, layer.dilation, layer.groups)
        for layer in layers
    ]
    if layers and not any(fits):
        raise ArgumentError(
            "journey: the algorithm 'winograd' is for 3x3 and 5x5 kernels with stride 1, dilation 1 and groups=1, and "
            "no layer has one; choose 'im2col'"
        )
    for layer, it_fits in zip(layers, fits, strict=True):
        layer.algorithm = algorithm if it_fits else "im2col"


def _there_and_back(
    model: Network, loss: Loss, images: Array, labels: Array, seed: int, watcher: Watcher
) -> tuple[float, dict[str, Array]]:
    """Run forward, through the loss and backward, as `Network.forward` and `.backward` do."""
    shapes = model.layer_shapes
    read = Counter(source for node in model.nodes for source in node.reads)
    watcher.enter("forward", "input")
    watcher.note("images", images, GIVEN)
    x = model.preprocessing(images, dtype=model.dtype)
    watcher.note("x", x, source_of(model.preprocessing, "__call__"))
    saved = []

    def note_inputs(place: int, inputs: tuple[Array, ...]) -> None:
        watcher.enter("forward", model.layers[place].name)
        for number, array in enumerate(inputs, 1):
            watcher.note("x" if len(inputs) == 1 else f"x{number}", array, GIVEN)

    def note_delta(place: int, delta: Array) -> None:
        watcher.enter("backward", model.layers[place].name)
        watcher.note("delta", delta, _SUMMED if read[place] > 1 else GIVEN)

    generator = np.random.default_rng(seed)
    for step in model.walk(x, training=True, generator=generator, before=note_inputs):
        layer, y = step.layer, step.y
        if not watcher.has_seen(y):
            watcher.note("y", y, source_of(layer, "forward"))
        products = len(x) * _multiply_adds(layer, shapes[step.place], shapes[step.place].output)
        watcher.give_products("forward", layer.name, ("y_col", "x_w", "y_hat", "dx_hat", "y"), products)
        saved.append(step.saved)
    watcher.enter("loss", "loss")
    mean_loss, kept = loss.forward(y, labels)
    watcher.note("mean", np.asarray(mean_loss), source_of(loss, "forward"))
    watcher.enter("backward", "loss")
    gradients: dict[str, Array] = {}
    for back in model.walk_back(loss.backward(kept), saved, before=note_delta):
        dxs = back.dxs or ()
        given = [("dx" if len(dxs) == 1 else f"dx{number}", dx) for number, dx in enumerate(dxs, 1)]
        for name, array in (*given, *((f"d{key}", gradient) for key, gradient in back.gradients.items())):
            if array is not None and not watcher.has_seen(array):
                watcher.note(name, array, source_of(back.layer, "backward"))
        _give_backward_products(watcher, back.layer, shapes[back.place], len(images))
        gradients.update(back.named_gradients)
    return float(mean_loss), model.in_order(gradients)


_SUMMED = source_line(walk_backward, "deltas[source] + dx")
"""The line that adds up what the readers of an output pass back."""


def _update(model: Network, optimizer: Optimizer, gradients: dict[str, Array], watcher: Watcher) -> None:
    """Update one parameter after the other; each ends with the array named `update`."""
    optimizer.prepare(model.parameters)
    remaining = iter(gradients)

    def turn() -> None:
        name = next(remaining, "")
        if name:
            watcher.enter("update", name.partition(".")[0], name)

    def listen(name: str, array: Array) -> None:
        watcher.listen(name, array)
        if name == "update":
            turn()

    turn()
    with listening(listen):
        optimizer.update(model.parameters, gradients, model.lr_factors)


def _multiply_adds(layer: Layer, shapes: LayerShapes, maps: Shape) -> int:
    """Return the products of a pass for one image; by minimal filtering, those for the tiles of these maps."""
    if isinstance(layer, (Conv2d, ConvTranspose2d)) and layer.algorithm == "winograd":
        channels = shapes.input[2]
        return conv_winograd.multiply_adds(layer.kernel_size[0], maps[0], maps[1], channels, layer.out_channels)
    return layer.multiply_adds(shapes.input)


def _give_backward_products(watcher: Watcher, layer: Layer, shapes: LayerShapes, batch_size: int) -> None:
    """Each of dw and dx takes as many products as the forward pass, but for im2col and minimal filtering."""
    if not isinstance(layer, Weighted):
        return
    is_convolved = isinstance(layer, ConvTranspose2d)  # its dx is the output of a convolution
    products = batch_size * _multiply_adds(layer, shapes, shapes.input if is_convolved else shapes.output)
    watcher.give_products("backward", layer.name, ("dw_col", "dw_hat", "dw"), products)
    if isinstance(layer, Conv2d):  # by im2col it is a convolution over every pixel of the input
        height, width, channels = shapes.input
        kernel = layer.kernel_size[0] * layer.kernel_size[1]
        every_pixel = batch_size * height * width * channels * kernel * (layer.out_channels // layer.groups)
        watcher.give_products("backward", layer.name, ("dx_col",), every_pixel)
    products = batch_size * _multiply_adds(layer, shapes, shapes.input)
    names = ("y_col", "y_hat", "y", "dx") if is_convolved else ("dx_col", "dx_hat", "dx_windows", "dx_pad", "dx")
    watcher.give_products("backward", layer.name, names, products)
