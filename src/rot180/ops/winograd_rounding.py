r"""By how much rounding can change a number that minimal filtering computes: a bound, computed beside the number.

Take each rounding as a relative error of at most one unit u: for a sum of products of exact coefficients with values v
that are known up to errors e,

    s = sum_i m[i] * v[i],    |error of s| <= sum_i |m[i]| * e[i] + k*u * sum_i |m[i]| * |v[i]|,

to first order in u, where k counts the roundings that a term sees: its product, and at most one less than there are
terms in the sum. In whatever order the terms are added, the bound holds. The three steps of minimal filtering are such
sums, so values and bounds pass through them together (running error analysis). In a product of two values, the errors
of both count, each times the other; and G is not exact, which is one more rounding.

References
----------
Higham (2002), Accuracy and Stability of Numerical Algorithms, sections 3.1 and 3.3.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rot180.ops.conv_layout import pad
from rot180.ops.conv_rotation import pad_delta, rotate180
from rot180.ops.conv_winograd import OUTPUTS, Part, joined, tiles
from rot180.ops.geometry import Geometry
from rot180.ops.types import Array
from rot180.ops.winograd import matrices

__all__ = ["rounding"]


class _Rounded(NamedTuple):
    """Values, and the bounds of their errors in units of the unit roundoff."""

    value: Array
    error: Array


def rounding(part: Part, a: Array, b: Array, g: Geometry) -> Array:
    """Return by how much rounding can change the result of a pass, in units of the unit roundoff.

    Parameters
    ----------
    part : {"forward", "data_gradient", "weight_gradient"}
    a, b : array
        The pass's first two arguments: x and w, dy and w, or dy and x.
    g : Geometry

    Returns
    -------
    array of float64
        With the shape of the result. Errors stay far below, since roundings cancel.

    Examples
    --------
    >>> from rot180.ops import conv2d
    >>> from rot180.ops.geometry import geometry
    >>> generator = np.random.default_rng(0)
    >>> x, w = generator.normal(size=(1, 8, 8, 16)), generator.normal(size=(3, 3, 16, 4))
    >>> y = conv2d(x.astype("f4"), w.astype("f4"), algorithm="winograd")
    >>> error = abs(y - conv2d(x.astype("f4").astype("f8"), w.astype("f4").astype("f8")))
    >>> bool((error <= 2.0**-24 * rounding("forward", x, w, geometry(8, 8, 3))).all())
    True
    """
    r = g.kernel[0]
    at, k, bt = matrices(OUTPUTS[r], r)
    (m, n), out = at.shape, (g.out_height, g.out_width)
    a, b = a.astype(np.float64), b.astype(np.float64)
    if part == "weight_gradient":
        x_hat = _transformed(bt, _exact(tiles(pad(b, g), out, m, n)))
        dy_hat = _transformed(at.T, _exact(tiles(a, out, m, m)))
        turned = _Rounded(*(array.transpose(0, 1, 3, 2) for array in x_hat))  # (n, n, C, T)
        return _transformed(k.T, _product(turned, dy_hat), inexact=1).error
    if part == "forward":
        images, w = pad(a, g), b
    else:
        images, w, out = pad_delta(a, g), rotate180(b), (g.height, g.width)
    x_hat, w_hat = _transformed(bt, _exact(tiles(images, out, m, n))), _transformed(k, _exact(w), inexact=1)
    return joined(_transformed(at, _product(x_hat, w_hat)).error, len(a), *out)


def _exact(values: Array) -> _Rounded:
    return _Rounded(values, np.zeros(values.shape))


def _transformed(matrix: Array, tile: _Rounded, inexact: int = 0) -> _Rounded:
    """Transform (n, n, ..., C) along the columns, then the rows: (p, p, T, C); `inexact` roundings made the matrix."""
    roundings = np.count_nonzero(matrix, axis=1) + inexact  # of a term of each sum
    size = np.abs(matrix)
    value, error = tile
    for axes in ("pi,ij...->pj...", "qj,pj...->pq..."):
        added = np.einsum(axes, size, error) + np.einsum(axes, roundings[:, None] * size, np.abs(value))
        value, error = np.einsum(axes, matrix, value), added
    p, channels = len(matrix), value.shape[-1]
    return _Rounded(value.reshape(p, p, -1, channels), error.reshape(p, p, -1, channels))


def _product(left: _Rounded, right: _Rounded) -> _Rounded:
    """Multiply matrices point by point."""
    sizes = np.abs(left.value), np.abs(right.value)
    terms = left.value.shape[3]
    error = left.error @ sizes[1] + sizes[0] @ right.error + terms * (sizes[0] @ sizes[1])
    return _Rounded(left.value @ right.value, error)
