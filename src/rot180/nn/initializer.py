r"""Initial weights: small random numbers whose variance keeps signals at the same scale from layer to layer.

A unit that sums `fan_in` independent inputs of variance v through weights of variance s has output variance fan_in*s*v.

    lecun    s = 1/fan_in                   the output varies as much as the input
    glorot   s = 2/(fan_in + fan_out)       a compromise with the backward pass, where fan_out values are summed
    he       s = 2/fan_in                   a ReLU discards half of the mean square, so the variance is doubled

A uniform distribution over [-a, a] has variance a**2/3, so a = sqrt(3*s). For a convolution fan_in = KH*KW*C/groups,
the weights that one output pixel sees, and fan_out = KH*KW*F/groups, the outputs that one input pixel reaches.

References
----------
LeCun et al. (1998), Efficient BackProp; Glorot and Bengio (2010); He et al. (2015), arXiv:1502.01852.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rot180.errors import ArgumentError, ShapeError, did_you_mean
from rot180.ops.types import Array

Initializer = Callable[[tuple[int, ...], int, int, np.random.Generator], Array]
"""`f(shape, fan_in, fan_out, generator) -> array of that shape`."""


def lecun_uniform(shape: tuple[int, ...], fan_in: int, fan_out: int, generator: np.random.Generator) -> Array:
    """Draw from the uniform distribution of variance 1/fan_in."""
    return _uniform(shape, 1 / fan_in, generator)


def lecun_normal(shape: tuple[int, ...], fan_in: int, fan_out: int, generator: np.random.Generator) -> Array:
    """Draw from the normal distribution of variance 1/fan_in."""
    return _normal(shape, 1 / fan_in, generator)


def glorot_uniform(shape: tuple[int, ...], fan_in: int, fan_out: int, generator: np.random.Generator) -> Array:
    """Draw from the uniform distribution of variance 2/(fan_in + fan_out).

    >>> w = glorot_uniform((300, 100), 300, 100, np.random.default_rng(0))
    >>> round(float(w.var() * 200), 1)
    1.0
    """
    return _uniform(shape, 2 / (fan_in + fan_out), generator)


def glorot_normal(shape: tuple[int, ...], fan_in: int, fan_out: int, generator: np.random.Generator) -> Array:
    """Draw from the normal distribution of variance 2/(fan_in + fan_out)."""
    return _normal(shape, 2 / (fan_in + fan_out), generator)


def he_uniform(shape: tuple[int, ...], fan_in: int, fan_out: int, generator: np.random.Generator) -> Array:
    """Draw from the uniform distribution of variance 2/fan_in."""
    return _uniform(shape, 2 / fan_in, generator)


def he_normal(shape: tuple[int, ...], fan_in: int, fan_out: int, generator: np.random.Generator) -> Array:
    """Draw from the normal distribution of variance 2/fan_in."""
    return _normal(shape, 2 / fan_in, generator)


def zeros(shape: tuple[int, ...], fan_in: int, fan_out: int, generator: np.random.Generator) -> Array:
    """Return zeros; hidden layers cannot learn from them, since all units stay identical."""
    return np.zeros(shape)


INITIALIZERS: dict[str, Initializer] = {
    f.__name__: f for f in (glorot_normal, glorot_uniform, he_normal, he_uniform, lecun_normal, lecun_uniform, zeros)
}
"""The initializers by name; "auto" stands for one of them."""


RECTIFIERS = frozenset(("relu", "elu", "gelu", "hardswish", "prelu", "silu"))
"""The activations, by `kind`, that pass positive numbers and hold back negative ones. "relu" includes ReLU6 and the
leaky and noisy ReLU.

ReLU halves the mean square of its input, hence he's factor of 2. For a standard normal input the exact factors are 2.3
for GELU, 2.8 for SiLU, 3.0 for hard swish, 2.0 for ReLU6, 1.9 for PReLU at its start, and 1.6 for ELU. Reference models
use 2 for all of them, and so does "auto".
"""


def as_initializer(initializer: Any, layer: str) -> str | Initializer:
    """Check an initializer's name or function; a built-in one is returned by its name."""
    if isinstance(initializer, str):
        if initializer == "auto" or initializer in INITIALIZERS:
            return initializer
        raise ArgumentError(
            f"{layer}: unknown initializer {initializer!r}{did_you_mean(initializer, ['auto', *INITIALIZERS])}"
        )
    if not callable(initializer):
        raise ArgumentError(
            f"{layer}: initializer must be a name or a function of (shape, fan_in, fan_out, generator); "
            f"it is {initializer!r}"
        )
    return next((name for name, function in INITIALIZERS.items() if function is initializer), initializer)


def initialize(
    initializer: str | Initializer,
    shape: tuple[int, ...],
    *,
    fan_in: int,
    fan_out: int,
    generator: np.random.Generator,
    dtype: Any,
    activation: str,
) -> Array:
    """Draw a weight array.

    "auto" is `he_uniform` if one of `RECTIFIERS` follows, and `glorot_uniform` otherwise: sigmoid and tanh are nearly
    linear around zero, as is no activation at all.

    Raises
    ------
    ShapeError
        A user's function returned the wrong shape.
    """
    if initializer == "auto":
        initializer = "he_uniform" if activation in RECTIFIERS else "glorot_uniform"
    function = INITIALIZERS[initializer] if isinstance(initializer, str) else initializer
    weight = np.asarray(function(shape, fan_in, fan_out, generator))
    if weight.shape != shape:
        raise ShapeError(
            f"an initializer must return an array of the requested shape, {shape}; it returned {weight.shape}"
        )
    return np.array(weight, dtype=dtype, order="C")  # always a copy: the model updates it in place


def _uniform(shape: tuple[int, ...], variance: float, generator: np.random.Generator) -> Array:
    limit = np.sqrt(3 * variance)
    return generator.uniform(-limit, limit, shape)


def _normal(shape: tuple[int, ...], variance: float, generator: np.random.Generator) -> Array:
    return generator.normal(0, np.sqrt(variance), shape)
