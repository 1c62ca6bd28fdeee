"""Batch normalization as a layer."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from rot180.nn.hyper import Hyper
from rot180.nn.layer import Shape
from rot180.nn.normalization import EPS, Normalization
from rot180.nn.validation import real_number
from rot180.nn.word import join, number
from rot180.ops.batch_norm import (
    batch_norm,
    batch_norm_backward,
    batch_norm_inference,
    batch_norm_inference_backward,
    moving_average,
)
from rot180.ops.types import Array

MOMENTUM = 0.1
"""The weight of a new batch in the running statistics, as in PyTorch."""


class Normalized(NamedTuple):
    """What the backward pass needs: the input, the mean and variance used, and whether they are those of the batch."""

    x: Array
    mean: Array
    var: Array
    of_batch: bool


class BatchNorm2d(Normalization):
    """Normalize each channel over a batch; at inference, with running averages of mean and variance.

    Parameters
    ----------
    eps : float
        Added to the variance.
    momentum : float
        The weight of each new batch in the running averages, from 0 to 1.
    affine : bool
        Whether each channel has a learned scale and shift.
    frozen : bool
        Whether training, too, uses the running averages, and leaves them as they are: for a network that was trained on
        many images and is trained further on few.
    name, lr_factor
        As in `Layer`.

    Attributes
    ----------
    statistics : dict of str to array
        `running_mean`, which starts at zero, and `running_var`, which starts at one and is unbiased; (C,) each.

    References
    ----------
    Ioffe and Szegedy (2015), arXiv:1502.03167.

    Examples
    --------
    >>> from rot180.nn import Sequential
    >>> model = Sequential([BatchNorm2d()], input_shape=(2,)).build()
    >>> y, saved = model.forward(np.array([[1.0, 10.0], [3.0, 30.0]]), training=True)
    >>> y.round(3)
    array([[-1., -1.],
           [ 1.,  1.]], dtype=float32)
    >>> model.learn(saved)
    >>> model.statistics["bn1.running_mean"]
    array([0.2, 2. ], dtype=float32)
    """

    kind = "bn"
    momentum = Hyper(lambda value, name: real_number(value, name, 0, 1 + 1e-9))
    frozen = Hyper(lambda value, _: bool(value))

    def __init__(
        self,
        *,
        eps: float = EPS,
        momentum: float = MOMENTUM,
        affine: bool = True,
        frozen: bool = False,
        name: str = "",
        lr_factor: float = 1.0,
    ) -> None:
        super().__init__(eps=eps, affine=affine, name=name, lr_factor=lr_factor)
        self.momentum = momentum
        self.frozen = frozen

    def statistic_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        """Return the shapes of running mean and variance."""
        return dict.fromkeys(("running_mean", "running_var"), input_shape[-1:])

    def build(
        self, input_shape: Shape, generator: np.random.Generator, *, dtype: Any = np.float32, activation: str = "linear"
    ) -> None:
        """Set the weight to one, the bias to zero, the running mean to zero and the running variance to one."""
        super().build(input_shape, generator, dtype=dtype, activation=activation)
        shapes = self.statistic_shapes(input_shape)
        self.statistics = {name: np.full(shape, name == "running_var", dtype) for name, shape in shapes.items()}

    def forward(
        self, x: Array, *, training: bool = False, generator: np.random.Generator | None = None
    ) -> tuple[Array, Normalized]:
        """Return y and what `backward` and `learn` need."""
        weight, bias = self.scale_and_shift(x)
        if of_batch := training and not self.frozen:
            y, mean, var = batch_norm(x, weight, bias, eps=self.eps)
        else:
            mean, var = self.statistics["running_mean"].copy(), self.statistics["running_var"].copy()
            y = batch_norm_inference(x, weight, bias, mean, var, eps=self.eps)
        return y, Normalized(x, mean, var, of_batch)

    def backward(self, dy: Array, saved: Normalized, *, needs_dx: bool = True) -> tuple[Array | None, dict[str, Array]]:
        """Return dx and the gradients of weight and bias."""
        weight, _ = self.scale_and_shift(saved.x)
        operation = batch_norm_backward if saved.of_batch else batch_norm_inference_backward
        dx, dweight, dbias = operation(dy, saved.x, weight, saved.mean, saved.var, eps=self.eps)
        return dx if needs_dx else None, self.gradients(dweight, dbias)

    def learn(self, saved: Normalized) -> None:
        """Include the mean and variance of a batch in the running averages."""
        if saved.of_batch:
            self.include(saved.mean, saved.var, saved.x.size // saved.x.shape[-1])

    def include(self, mean: Array, var: Array, count: int) -> None:
        """Include mean and biased variance (C,) of so many values in the running averages."""
        running = self.statistics["running_mean"], self.statistics["running_var"]
        averages = moving_average(running, (mean, var), count, self.momentum)
        for array, average in zip(running, averages, strict=True):
            np.copyto(array, average)

    def to_notation(self) -> str:
        """Return `bn` or `bn:momentum=0.4`."""
        momentum = "" if self.momentum == MOMENTUM else f"momentum={number(self.momentum)}"
        return join("bn", momentum, "frozen" if self.frozen else "", *self.options())
