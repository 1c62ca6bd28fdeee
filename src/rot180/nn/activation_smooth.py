"""Smooth gated activations as layers: SiLU and GELU."""

from __future__ import annotations

from typing import Any

import numpy as np

from rot180.errors import ArgumentError, did_you_mean
from rot180.nn.activation import Activation
from rot180.nn.hyper import Hyper
from rot180.nn.word import join
from rot180.ops.activation_smooth import APPROXIMATIONS, gelu, gelu_backward, silu, silu_backward
from rot180.ops.types import Array


def _approximation(value: Any, name: str) -> str:
    if value not in APPROXIMATIONS:
        raise ArgumentError(
            f"{name.partition(':')[0]}: unknown approximation {value!r}{did_you_mean(str(value), APPROXIMATIONS)}"
        )
    return str(value)


class SiLU(Activation):
    """x * sigmoid(x), also called swish.

    References
    ----------
    Ramachandran, Zoph and Le (2017), arXiv:1710.05941.
    """

    kind = "silu"

    def forward(
        self, x: Array, *, training: bool = False, generator: np.random.Generator | None = None
    ) -> tuple[Array, Array]:
        """Return y and x."""
        return silu(x), x

    def backward(self, dy: Array, saved: Array, *, needs_dx: bool = True) -> tuple[Array | None, dict[str, Array]]:
        """Return dy * s * (1 + x * (1 - s)), s = sigmoid(x)."""
        return silu_backward(dy, saved) if needs_dx else None, {}


class GELU(Activation):
    """x * Phi(x), where Phi(x) is the probability that a standard normal variable is below x.

    Parameters
    ----------
    approximate : {"none", "tanh"}
        Whether to compute Phi exactly or by a hyperbolic tangent; see `rot180.ops.gelu`.
    name
        As in `Layer`.

    References
    ----------
    Hendrycks and Gimpel (2016), arXiv:1606.08415.
    """

    kind = "gelu"
    approximate = Hyper(_approximation)

    def __init__(self, approximate: str = "none", *, name: str = "") -> None:
        super().__init__(name=name)
        self.approximate = approximate

    def forward(
        self, x: Array, *, training: bool = False, generator: np.random.Generator | None = None
    ) -> tuple[Array, Array]:
        """Return y and x."""
        return gelu(x, self.approximate), x

    def backward(self, dy: Array, saved: Array, *, needs_dx: bool = True) -> tuple[Array | None, dict[str, Array]]:
        """Return dy * (Phi + x * Phi')."""
        return gelu_backward(dy, saved, self.approximate) if needs_dx else None, {}

    def to_notation(self) -> str:
        """Return `gelu` or `gelu:tanh`."""
        return join("gelu", "" if self.approximate == "none" else self.approximate)
