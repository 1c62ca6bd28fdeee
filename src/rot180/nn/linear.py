"""The fully connected layer."""

from __future__ import annotations

import numpy as np

from rot180.errors import ShapeError
from rot180.nn.hyper import Hyper
from rot180.nn.initializer import Initializer
from rot180.nn.layer import Shape
from rot180.nn.validation import optional_whole_number, whole_number
from rot180.nn.weighted import Weighted
from rot180.nn.word import join
from rot180.ops.linear import linear, linear_backward
from rot180.ops.types import Array


class Linear(Weighted):
    """Multiply by a learned matrix: y = x w + b.

    Parameters
    ----------
    out_features : int
        Number of units.
    bias : bool
        Whether each unit has a bias, which starts at zero.
    initializer : str or function
        How to draw the initial weights; see `rot180.nn.initializer`.
    in_features : int or None
        Size of the input; None accepts any size.
    name, lr_factor
        As in `Layer`.

    Raises
    ------
    ArgumentError
        A value is invalid.

    Examples
    --------
    >>> Linear(10).output_shape((512,))
    (10,)
    """

    kind = "fc"
    out_features = Hyper(whole_number)
    in_features = Hyper(optional_whole_number)

    def __init__(
        self,
        out_features: int,
        *,
        bias: bool = True,
        initializer: str | Initializer = "auto",
        in_features: int | None = None,
        name: str = "",
        lr_factor: float = 1.0,
    ) -> None:
        super().__init__(bias=bias, initializer=initializer, name=name, lr_factor=lr_factor)
        self.out_features = out_features
        self.in_features = in_features

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return (out_features,)."""
        if len(input_shape) != 1:
            raise ShapeError(f"{self.label}: Linear takes (n,) but got {input_shape}; put Flatten() before it")
        if self.in_features not in (None, input_shape[0]):
            raise ShapeError(
                f"{self.label}: the input has {input_shape[0]} values but in_features is {self.in_features}; "
                f"give in_features={input_shape[0]} or leave it out"
            )
        return (self.out_features,)

    @property
    def outputs(self) -> int:
        """The number of units."""
        return self.out_features

    def weight_shape(self, input_shape: Shape) -> Shape:
        """Return (n_in, n_out)."""
        return input_shape[0], self.out_features

    def forward(
        self, x: Array, *, training: bool = False, generator: np.random.Generator | None = None
    ) -> tuple[Array, Array]:
        """Return y (N, n_out) and x."""
        return linear(x, self.weight, self.parameters.get("bias")), x

    def backward(self, dy: Array, saved: Array, *, needs_dx: bool = True) -> tuple[Array | None, dict[str, Array]]:
        """Return dx and the gradients of weight and bias."""
        dx, dw, db = linear_backward(dy, saved, self.weight, needs=self.needs(needs_dx))
        return dx, self.gradients(dw, db)

    def multiply_adds(self, input_shape: Shape) -> int:
        """Return n_in * n_out."""
        return input_shape[0] * self.out_features

    def to_notation(self) -> str:
        """Return the layer as `fc512`."""
        return join(f"fc{self.out_features}", *self.weight_options())
