"""Dropout and drop path: in training, values or whole images are dropped with some probability."""

from __future__ import annotations

import numpy as np

from rot180.errors import ArgumentError
from rot180.nn.hyper import Hyper
from rot180.nn.layer import Layer, Shape
from rot180.nn.validation import real_number
from rot180.nn.word import number
from rot180.ops.dropout import dropout, dropout_backward, dropout_mask
from rot180.ops.types import Array


class _Dropping(Layer):
    """A layer that multiplies by a mask, drawn anew for each batch in training; outside training, it does nothing."""

    draws = True
    rate = Hyper(real_number, 0, 1)

    def __init__(self, rate: float, *, name: str = "") -> None:
        super().__init__(name=name)
        self.rate = rate

    def mask_shape(self, x_shape: Shape) -> Shape:
        """Return the shape of the mask for a batch of this shape: one value for what is dropped together."""
        raise NotImplementedError

    def forward(
        self, x: Array, *, training: bool = False, generator: np.random.Generator | None = None
    ) -> tuple[Array, Array | None]:
        """Return y and the mask, which is None if nothing was dropped."""
        if not training or self.rate == 0:
            return x, None
        if generator is None:
            raise ArgumentError(f"{self.label}: dropout in training draws random numbers; pass a generator to forward")
        mask = dropout_mask(self.mask_shape(x.shape), self.rate, generator, x.dtype)
        return dropout(x, mask), mask

    def backward(
        self, dy: Array, saved: Array | None, *, needs_dx: bool = True
    ) -> tuple[Array | None, dict[str, Array]]:
        """Return dy through the same mask."""
        if not needs_dx:
            return None, {}
        return dy if saved is None else dropout_backward(dy, saved), {}

    def to_notation(self) -> str:
        """Return the layer as `dropout0.5`."""
        return f"{self.kind}{number(self.rate)}"


class Dropout(_Dropping):
    """Set values to zero with probability `rate` and divide the rest by 1 - rate; outside training, do nothing.

    Parameters
    ----------
    rate : float
        In [0, 1).
    name
        As in `Layer`.

    References
    ----------
    Srivastava et al. (2014), Journal of Machine Learning Research 15.

    Examples
    --------
    >>> import numpy as np
    >>> y, _ = Dropout(0.5).forward(np.ones((1, 6)), training=True, generator=np.random.default_rng(1))
    >>> sorted(set(y.ravel().tolist()))
    [0.0, 2.0]
    """

    kind = "dropout"

    def __init__(self, rate: float = 0.5, *, name: str = "") -> None:
        super().__init__(rate, name=name)

    def mask_shape(self, x_shape: Shape) -> Shape:
        """Return the batch's shape: each value is dropped by itself."""
        return x_shape


class DropPath(_Dropping):
    """Set whole images to zero with probability `rate` and divide the others by 1 - rate, also called stochastic depth.

    At the end of a branch whose output is added to its input, it skips the branch for some images of a batch.

    Parameters
    ----------
    rate : float
        In [0, 1).
    name
        As in `Layer`.

    References
    ----------
    Huang, Sun, Liu, Sedra and Weinberger (2016), arXiv:1603.09382.

    Examples
    --------
    >>> import numpy as np
    >>> y, _ = DropPath(0.5).forward(np.ones((3, 2)), training=True, generator=np.random.default_rng(1))
    >>> y
    array([[0., 0.],
           [2., 2.],
           [2., 2.]])
    """

    kind = "droppath"

    def mask_shape(self, x_shape: Shape) -> Shape:
        """Return (N, 1, ...): each image is dropped as a whole."""
        return x_shape[0], *(1,) * (len(x_shape) - 1)
