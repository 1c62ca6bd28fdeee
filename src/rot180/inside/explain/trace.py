"""One pass through the network and back that keeps every array, from which ledgers are built."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from rot180.cached import cached_property
from rot180.errors import ArgumentError, ShapeError
from rot180.nn.activation import NoisyReLU
from rot180.nn.graph import INPUT
from rot180.nn.loss import Loss
from rot180.nn.network import Network
from rot180.nn.walk import input_delta
from rot180.ops.recorder import listening
from rot180.ops.types import Array
from rot180.training.diagnosis import refuse_non_finite
from rot180.training.optimizer import Optimizer
from rot180.training.optimizers import Adam
from rot180.training.trainer import make_loss


class Trace:
    """The forward and backward passes of a batch and one update, without changing any parameter.

    Everything is computed by the layers' own `forward` and `backward`, in the network's float type.

    Parameters
    ----------
    model : Network
        A built network.
    images : (N, H, W, C), (H, W, C) or (H, W)
        Images as in the data; the model's preprocessing is applied. A single image needs no batch axis.
    labels : int, (N,) integer or (N, K) float, or maps of the output's shape, optional
        The labels that the loss compares with; the most likely class of each image by default.
    loss : str or Loss
        As in `Trainer`.
    optimizer : Optimizer, optional
        The optimizer whose next update is explained; Adam before its first update by default. It is not changed.
    training : bool
        Whether to use noise and dropout, drawn with `seed`.
    seed : int or Generator

    Attributes
    ----------
    images : array
        The batch as given, with a batch axis.
    x : array
        The batch as the first layers read it.
    outputs : list of array
        The output of each layer.
    """

    def __init__(
        self,
        model: Network,
        images: Any,
        labels: Any = None,
        *,
        loss: str | Loss = "auto",
        optimizer: Optimizer | None = None,
        training: bool = False,
        seed: int | np.random.Generator = 0,
    ) -> None:
        if not model.is_built:
            raise ArgumentError(
                "the model has no parameters yet; train it, load a trained one, or call model.build(input_shape)"
            )
        self.model = model
        self.images = _batch(images, model.input_shape)
        refuse_non_finite(model, self.images)
        self.loss = make_loss(loss, model)
        self.optimizer = Adam() if optimizer is None else optimizer
        self.outputs: list[Array] = []
        self.saved: list[Any] = []
        self.noise: dict[int, Array] = {}
        self.statistics: dict[int, tuple[Array, Array]] = {}  # mean and variance, once computed for a ledger
        self._labels = labels
        generator = np.random.default_rng(seed)

        def draw(place: int, inputs: tuple[Array, ...]) -> None:
            layer, x = model.layers[place], inputs[0]
            if training and isinstance(layer, NoisyReLU):
                # The layer saves only its output; drawing the same numbers before it gives the noise.
                drawn = copy.deepcopy(generator).standard_normal(x.shape, dtype=x.dtype.type)
                self.noise[place] = drawn * x.dtype.type(layer.sigma)

        self.x: Array = model.preprocessing(self.images, dtype=model.dtype)
        for step in model.walk(self.x, training=training, generator=generator, before=draw):
            self.outputs.append(step.y)
            self.saved.append(step.saved)

    @property
    def count(self) -> int:
        """Images in the batch."""
        return len(self.images)

    def input(self, place: int, slot: int = 0) -> Array:
        """Return an input of a layer, the first one by default."""
        source = self.model.nodes[place].reads[slot]
        return self.x if source == INPUT else self.outputs[source]

    @cached_property
    def target(self) -> Array:
        """The target of the loss."""
        shape = self.outputs[-1].shape
        if len(shape) > 2:
            if self._labels is None:
                raise ArgumentError(
                    "the network returns maps; pass the wanted maps as labels to explain loss and gradients"
                )
            return np.asarray(self._labels).reshape(shape)
        if self._labels is None:
            likeliest: Array = self.outputs[-1].reshape(self.count, -1).argmax(axis=1)
            return likeliest
        target: Array = np.atleast_1d(np.asarray(self._labels))
        return target

    @cached_property
    def loss_value(self) -> float:
        """The mean loss of the batch."""
        return float(self.loss.forward(self.outputs[-1], self.target)[0])

    @cached_property
    def deltas(self) -> list[Array]:
        """The gradient of the loss with respect to the images, then to each layer's output."""
        return self._backward[0]

    @cached_property
    def gradients(self) -> dict[str, Array]:
        """The gradient of each parameter, by full name."""
        return self._backward[1]

    @cached_property
    def contributions(self) -> list[tuple[Array, ...]]:
        """What each layer passes back to each of its inputs."""
        return self._backward[2]

    def recorded(self, place: int) -> dict[str, Array]:
        """Return the intermediate arrays of a layer's backward pass, by the names under which operations record."""
        found: dict[str, Array] = {}
        with listening(found.__setitem__):
            self.model.layers[place].backward(self.deltas[place + 1], self.saved[place], needs_dx=True)
        return found

    @cached_property
    def _backward(self) -> tuple[list[Array], dict[str, Array], list[tuple[Array, ...]]]:
        delta = self.loss.backward(self.loss.forward(self.outputs[-1], self.target)[1])
        deltas: list[Array] = [delta] * (len(self.model.nodes) + 1)
        gradients: dict[str, Array] = {}
        contributions: list[tuple[Array, ...]] = [()] * len(self.model.nodes)
        of_images: Array | None = None
        for step in self.model.walk_back(delta, self.saved, needs_dx=True):
            deltas[step.place + 1] = step.delta
            of_images = input_delta(self.model.nodes, step, of_images)
            gradients.update(step.named_gradients)
            contributions[step.place] = step.dxs or ()
        deltas[0] = np.asarray(of_images)
        return deltas, gradients, contributions

    @cached_property
    def updates(self) -> dict[str, Array]:
        """The change of each parameter in the optimizer's next update: exactly its value after minus that before."""
        optimizer = copy.deepcopy(self.optimizer)
        after = {name: array.copy() for name, array in self.model.parameters.items()}
        optimizer.update(after, self.gradients, self.model.lr_factors)
        before = self.model.parameters
        return {name: array.astype(np.float64) - before[name].astype(np.float64) for name, array in after.items()}


def _batch(images: Any, shape: tuple[int, ...]) -> Array:
    """Return images with a batch axis and a channel axis."""
    array: Array = np.asarray(images)
    for candidate in (array, array[np.newaxis], array[..., np.newaxis], array[np.newaxis, ..., np.newaxis]):
        if candidate.shape[1:] == shape and len(candidate):
            return candidate
    raise ShapeError(
        f"the network takes images of {' x '.join(map(str, shape))}; got an array {array.shape}; resize it first"
    )
