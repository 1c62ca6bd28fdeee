"""Piecewise activations as layers: ReLU6, hard sigmoid, hard swish, ELU and PReLU."""

from __future__ import annotations

from typing import Any

import numpy as np

from rot180.nn.activation import Activation
from rot180.nn.hyper import Hyper
from rot180.nn.layer import Layer, Shape
from rot180.nn.validation import real_number
from rot180.nn.word import join, number
from rot180.ops.activation_piecewise import (
    elu,
    elu_backward,
    hard_sigmoid,
    hard_sigmoid_backward,
    hard_swish,
    hard_swish_backward,
    prelu,
    prelu_backward,
    relu6,
    relu6_backward,
)
from rot180.ops.types import Array


class ReLU6(Activation):
    """min(max(0, x), 6).

    >>> ReLU6().forward(np.array([[-1.0, 2.0, 9.0]]))[0]
    array([[0., 2., 6.]])
    """

    kind = "relu"

    def forward(
        self, x: Array, *, training: bool = False, generator: np.random.Generator | None = None
    ) -> tuple[Array, Array]:
        """Return y, twice: the derivative is 1 where 0 < y < 6."""
        y = relu6(x)
        return y, y

    def backward(self, dy: Array, saved: Array, *, needs_dx: bool = True) -> tuple[Array | None, dict[str, Array]]:
        """Return dy where 0 < y < 6."""
        return relu6_backward(dy, saved) if needs_dx else None, {}


class Hardsigmoid(Activation):
    """min(max(0, x + 3), 6) / 6, a sigmoid of straight lines."""

    kind = "hardsigmoid"
    output_kind = "sigmoids"

    def forward(
        self, x: Array, *, training: bool = False, generator: np.random.Generator | None = None
    ) -> tuple[Array, Array]:
        """Return y, twice: the derivative is 1/6 where 0 < y < 1."""
        y = hard_sigmoid(x)
        return y, y

    def backward(self, dy: Array, saved: Array, *, needs_dx: bool = True) -> tuple[Array | None, dict[str, Array]]:
        """Return dy/6 where 0 < y < 1."""
        return hard_sigmoid_backward(dy, saved) if needs_dx else None, {}


class Hardswish(Activation):
    """x * min(max(0, x + 3), 6) / 6."""

    kind = "hardswish"

    def forward(
        self, x: Array, *, training: bool = False, generator: np.random.Generator | None = None
    ) -> tuple[Array, Array]:
        """Return y and x."""
        return hard_swish(x), x

    def backward(self, dy: Array, saved: Array, *, needs_dx: bool = True) -> tuple[Array | None, dict[str, Array]]:
        """Return dy times 0, (2x + 3)/6 or 1: below -3, between, and above 3."""
        return hard_swish_backward(dy, saved) if needs_dx else None, {}


class ELU(Activation):
    """x where it is positive, alpha * (exp(x) - 1) elsewhere.

    References
    ----------
    Clevert, Unterthiner and Hochreiter (2015), arXiv:1511.07289.
    """

    kind = "elu"
    alpha = Hyper(real_number)

    def __init__(self, alpha: float = 1.0, *, name: str = "") -> None:
        super().__init__(name=name)
        self.alpha = alpha

    def forward(
        self, x: Array, *, training: bool = False, generator: np.random.Generator | None = None
    ) -> tuple[Array, Array]:
        """Return y and x."""
        return elu(x, self.alpha), x

    def backward(self, dy: Array, saved: Array, *, needs_dx: bool = True) -> tuple[Array | None, dict[str, Array]]:
        """Return dy where x > 0, dy * alpha * exp(x) elsewhere."""
        return elu_backward(dy, saved, self.alpha) if needs_dx else None, {}

    def to_notation(self) -> str:
        """Return `elu` or `elu:alpha=0.5`."""
        return join("elu", "" if self.alpha == 1 else f"alpha={number(self.alpha)}")


class PReLU(Layer):
    """x where it is positive, weight * x elsewhere, with a learned weight for each channel.

    Parameters
    ----------
    init : float
        The value at which the weights start.
    shared : bool
        Whether all channels share one weight.
    name, lr_factor
        As in `Layer`.

    References
    ----------
    He, Zhang, Ren and Sun (2015), arXiv:1502.01852.

    Examples
    --------
    >>> PReLU().parameter_shapes((7, 7, 64)), PReLU(shared=True).parameter_shapes((7, 7, 64))
    ({'weight': (64,)}, {'weight': (1,)})
    """

    kind = "prelu"
    is_activation = True
    init = Hyper(real_number)
    shared = Hyper(lambda value, _: bool(value))

    def __init__(self, *, init: float = 0.25, shared: bool = False, name: str = "", lr_factor: float = 1.0) -> None:
        super().__init__(name=name, lr_factor=lr_factor)
        self.init = init
        self.shared = shared

    def parameter_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        """Return the shape of the weight."""
        return {"weight": (1,) if self.shared else input_shape[-1:]}

    def build(
        self, input_shape: Shape, generator: np.random.Generator, *, dtype: Any = np.float32, activation: str = "linear"
    ) -> None:
        """Set the weights to `init`."""
        self.parameters = {"weight": np.full(self.parameter_shapes(input_shape)["weight"], self.init, dtype)}

    def forward(
        self, x: Array, *, training: bool = False, generator: np.random.Generator | None = None
    ) -> tuple[Array, Array]:
        """Return y and x."""
        return prelu(x, self.parameter("weight")), x

    def backward(self, dy: Array, saved: Array, *, needs_dx: bool = True) -> tuple[Array | None, dict[str, Array]]:
        """Return dy where x > 0, weight * dy elsewhere; and the weight's gradient."""
        dx, dweight = prelu_backward(dy, saved, self.parameter("weight"))
        return dx if needs_dx else None, {"weight": dweight}

    def to_notation(self) -> str:
        """Return `prelu` or `prelu:init=0.1`."""
        return join(
            "prelu",
            "" if self.init == 0.25 else f"init={number(self.init)}",
            "shared" if self.shared else "",
            "" if self.lr_factor == 1 else f"lr={number(self.lr_factor)}",
        )
