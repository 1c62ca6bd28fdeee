"""Activations as layers: each saves the one array that its derivative is computed from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rot180.errors import ArgumentError
from rot180.nn.hyper import Hyper
from rot180.nn.layer import Layer
from rot180.nn.validation import real_number
from rot180.nn.word import join, number
from rot180.ops.activation import (
    leaky_relu,
    leaky_relu_backward,
    noisy_relu,
    noisy_relu_backward,
    relu,
    relu_backward,
    sigmoid,
    sigmoid_backward,
    tanh,
    tanh_backward,
)
from rot180.ops.softmax import softmax, softmax_backward
from rot180.ops.types import Array


class Activation(Layer):
    """A function of the input alone that keeps its shape; its word in the notation is the name of its class."""

    is_activation = True

    def __init__(self, *, name: str = "") -> None:
        super().__init__(name=name)

    def to_notation(self) -> str:
        """Return the layer's word in the notation."""
        return type(self).__name__.lower()


class ReLU(Activation):
    """max(0, x).

    >>> ReLU().forward(np.array([[-1.0, 2.0]]))[0]
    array([[0., 2.]])
    """

    kind = "relu"

    def forward(
        self, x: Array, *, training: bool = False, generator: np.random.Generator | None = None
    ) -> tuple[Array, Array]:
        """Return y, twice: the derivative is 1 where y > 0."""
        y = relu(x)
        return y, y

    def backward(self, dy: Array, saved: Array, *, needs_dx: bool = True) -> tuple[Array | None, dict[str, Array]]:
        """Return dy where y > 0."""
        return relu_backward(dy, saved) if needs_dx else None, {}


class NoisyReLU(Activation):
    """max(0, x + noise) in training, with normal noise of deviation `sigma` in the unit of x; max(0, x) otherwise.

    References
    ----------
    Nair and Hinton (2010), where the deviation depends on x; here it is fixed.
    """

    kind = "relu"
    draws = True
    sigma = Hyper(real_number)

    def __init__(self, sigma: float = 0.1, *, name: str = "") -> None:
        super().__init__(name=name)
        self.sigma = sigma

    def forward(
        self, x: Array, *, training: bool = False, generator: np.random.Generator | None = None
    ) -> tuple[Array, Array]:
        """Return y, twice."""
        if training and self.sigma > 0:
            if generator is None:
                raise ArgumentError(
                    f"{self.label}: noise in training draws random numbers; pass a generator to forward"
                )
            noise = generator.standard_normal(x.shape, dtype=x.dtype.type)
            noise *= x.dtype.type(self.sigma)
            y = noisy_relu(x, noise)
        else:
            y = relu(x)
        return y, y

    def backward(self, dy: Array, saved: Array, *, needs_dx: bool = True) -> tuple[Array | None, dict[str, Array]]:
        """Return dy where y > 0."""
        return noisy_relu_backward(dy, saved) if needs_dx else None, {}

    def to_notation(self) -> str:
        """Return `noisyrelu` or `noisyrelu:sigma=0.2`."""
        return join("noisyrelu", "" if self.sigma == 0.1 else f"sigma={number(self.sigma)}")


class LeakyReLU(Activation):
    """x where it is positive, slope*x elsewhere."""

    kind = "relu"
    slope = Hyper(real_number)

    def __init__(self, slope: float = 0.01, *, name: str = "") -> None:
        super().__init__(name=name)
        self.slope = slope

    def forward(
        self, x: Array, *, training: bool = False, generator: np.random.Generator | None = None
    ) -> tuple[Array, Array]:
        """Return y and x."""
        return leaky_relu(x, self.slope), x

    def backward(self, dy: Array, saved: Array, *, needs_dx: bool = True) -> tuple[Array | None, dict[str, Array]]:
        """Return dy where x > 0, slope*dy elsewhere."""
        return leaky_relu_backward(dy, saved, self.slope) if needs_dx else None, {}

    def to_notation(self) -> str:
        """Return `leakyrelu` or `leakyrelu:slope=0.2`."""
        return join("leakyrelu", "" if self.slope == 0.01 else f"slope={number(self.slope)}")


class Sigmoid(Activation):
    """1/(1 + exp(-x))."""

    kind = "sigmoid"
    output_kind = "sigmoids"

    def forward(
        self, x: Array, *, training: bool = False, generator: np.random.Generator | None = None
    ) -> tuple[Array, Array]:
        """Return y, twice: the derivative is y*(1 - y)."""
        y = sigmoid(x)
        return y, y

    def backward(self, dy: Array, saved: Array, *, needs_dx: bool = True) -> tuple[Array | None, dict[str, Array]]:
        """Return dy*y*(1 - y)."""
        return sigmoid_backward(dy, saved) if needs_dx else None, {}


def shares(y: Array, inputs: Callable[[Array], Array]) -> Array:
    """Return each output's share of the sum of its row, for the outputs y (N, K) of a sigmoid.

    If the outputs are so small that they lose digits or underflow to 0, the shares are computed from the sigmoid's
    inputs, whose log-sigmoids still differ: log sigmoid(x) = min(x, 0) - log(1 + exp(-|x|)).

    Parameters
    ----------
    y : (N, K)
        The outputs.
    inputs : callable
        Takes a mask (N,) and returns the sigmoid's inputs in those rows.

    Examples
    --------
    >>> x = np.array([[0.0, 0.0], [-1e4, -1e4]])
    >>> shares(sigmoid(x), lambda rows: x[rows])
    array([[0.5, 0.5],
           [0.5, 0.5]])
    """
    total = y.sum(axis=1, keepdims=True)
    lost = total[:, 0] < np.finfo(y.dtype).tiny / np.finfo(y.dtype).eps
    if not lost.any():
        found: Array = y / total
        return found
    found = np.divide(y, total, out=np.empty_like(y), where=~lost[:, None])
    x = inputs(lost)
    found[lost] = softmax(np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x))))
    return found


class Tanh(Activation):
    """The hyperbolic tangent."""

    kind = "tanh"

    def forward(
        self, x: Array, *, training: bool = False, generator: np.random.Generator | None = None
    ) -> tuple[Array, Array]:
        """Return y, twice: the derivative is 1 - y**2."""
        y = tanh(x)
        return y, y

    def backward(self, dy: Array, saved: Array, *, needs_dx: bool = True) -> tuple[Array | None, dict[str, Array]]:
        """Return dy*(1 - y**2)."""
        return tanh_backward(dy, saved) if needs_dx else None, {}


class Softmax(Activation):
    """Probabilities over the last axis; not needed before `CrossEntropyLoss`, which takes logits."""

    kind = "softmax"
    output_kind = "probabilities"

    def forward(
        self, x: Array, *, training: bool = False, generator: np.random.Generator | None = None
    ) -> tuple[Array, Array]:
        """Return y, twice."""
        y = softmax(x)
        return y, y

    def backward(self, dy: Array, saved: Array, *, needs_dx: bool = True) -> tuple[Array | None, dict[str, Array]]:
        """Return y*(dy - sum(dy*y))."""
        return softmax_backward(dy, saved) if needs_dx else None, {}
