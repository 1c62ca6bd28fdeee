r"""Transposed convolution: `conv2d` with its passes exchanged.

A convolution is a linear map, y = A x, with a matrix A that holds the weights. Its data gradient is the transposed map,
dx = A^T dy. Transposed convolution uses that map as its forward pass. With w as in the convolution in the opposite
direction, from the F channels of y to the C channels of x:

                    conv2d                              conv_transpose2d
    forward         y  = A x                            y  = A^T x        the data gradient of conv2d
    data gradient   dx = A^T dy                         dx = A dy         conv2d itself
    weights         dw from x and dy                    dw from dy and x  the weight gradient with x and dy exchanged

So there is nothing new to derive: x and y change places. With stride s it multiplies rows and columns by s, which is
what decoders use it for. It does not undo a convolution: A^T is not the inverse of A.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from rot180.errors import ArgumentError, ShapeError
from rot180.memory import require
from rot180.ops.conv2d import check_needs, conv2d, conv2d_backward
from rot180.ops.geometry import as_pair, geometry
from rot180.ops.recorder import record
from rot180.ops.sums import sum_over
from rot180.ops.types import Array, Pair

__all__ = ["conv_transpose2d", "conv_transpose2d_backward"]


def conv_transpose2d(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    stride: Pair = 1,
    padding: Pair = 0,
    output_padding: Pair = 0,
    dilation: Pair = 1,
    groups: int = 1,
    algorithm: str = "auto",
) -> Array:
    r"""Spread each pixel over a window of the output, weighted by the kernel.

    y_pad[n, i*s + u*d, j*s + v*d, f] += x[n, i, j, c] * w[u, v, f, c]   for all i, j, u, v, c

    and y is y_pad without the padding, plus the bias.

    Parameters
    ----------
    x : (N, H, W, C) float32 or float64
    w : (KH, KW, F // groups, C)
        The kernel of the convolution in the opposite direction, from F channels to C.
    b : (F,), optional
    stride, dilation : int or (int, int)
        Those of that convolution.
    padding : int or (int, int)
        Rows and columns to crop from y on each side.
    output_padding : int or (int, int)
        Additional rows and columns at the end, since with a stride several sizes of y lead to the same x. Below the
        stride.
    groups : int
        Must divide C and F.
    algorithm : str
        As in `conv2d`.

    Returns
    -------
    y : (N, OH, OW, F)
        OH = (H - 1)*s - 2*padding + d*(KH - 1) + 1 + output_padding, OW likewise.

    Raises
    ------
    ShapeError
        The channels differ, or y would be empty.
    ArgumentError
        A number is out of range.

    References
    ----------
    Dumoulin and Visin (2016), arXiv:1603.07285, section 4.

    Examples
    --------
    >>> x = np.array([[1.0, 2.0]]).reshape(1, 1, 2, 1)
    >>> w = np.array([[1.0, 10.0]]).reshape(1, 2, 1, 1)
    >>> conv_transpose2d(x, w, stride=2).ravel()
    array([ 1., 10.,  2., 20.])
    """
    name = "conv_transpose2d"
    shape = transposed_shape(
        name,
        x.shape,
        w.shape,
        stride=stride,
        padding=padding,
        output_padding=output_padding,
        dilation=dilation,
        groups=groups,
    )
    if b is not None and b.shape != shape[3:]:
        raise ShapeError(f"{name}: b must have one value per filter, shape {shape[3:]}; it has {b.shape}")
    require(math.prod(shape) * np.result_type(x, w).itemsize, name)
    # Only the shape of conv2d's input matters for its data gradient: this array takes no memory.
    no_input = np.broadcast_to(np.zeros((), np.result_type(x, w)), shape)
    options = {"stride": stride, "dilation": dilation, "groups": groups, "algorithm": algorithm}
    y, _, _ = conv2d_backward(x, no_input, w, padding=_both_sides(padding), needs=("x",), **options)  # type: ignore[arg-type]
    if y is None:
        raise TypeError("conv2d_backward returned no data gradient")
    if b is not None:
        y = y + b
    record("y", y)
    return y


def conv_transpose2d_backward(
    dy: Array,
    x: Array,
    w: Array,
    *,
    stride: Pair = 1,
    padding: Pair = 0,
    output_padding: Pair = 0,
    dilation: Pair = 1,
    groups: int = 1,
    algorithm: str = "auto",
    needs: Iterable[str] = ("x", "w", "b"),
) -> tuple[Array | None, Array | None, Array | None]:
    r"""Return the gradients: dx = conv2d(dy, w), dw = conv2d's weight gradient with input dy and delta x, db = sum dy.

    Parameters
    ----------
    dy : (N, OH, OW, F)
        dL/dy.
    x, w, stride, padding, output_padding, dilation, groups, algorithm
        As passed to `conv_transpose2d`.
    needs : iterable of {"x", "w", "b"}
        Which gradients to compute.

    Returns
    -------
    dx : (N, H, W, C) or None
    dw : (KH, KW, F // groups, C) or None
    db : (F,) or None
        None for what is not needed.

    Raises
    ------
    ShapeError
        As in `conv_transpose2d`, or dy does not have the shape of y.

    Examples
    --------
    >>> x, w = np.array([1.0, 2.0]).reshape(1, 1, 2, 1), np.array([1.0, 10.0]).reshape(1, 2, 1, 1)
    >>> dx, dw, db = conv_transpose2d_backward(np.ones((1, 1, 4, 1)), x, w, stride=2)
    >>> dx.ravel(), dw.ravel(), db
    (array([11., 11.]), array([3., 3.]), array([4.]))
    """
    name = "conv_transpose2d_backward"
    shape = transposed_shape(
        name,
        x.shape,
        w.shape,
        stride=stride,
        padding=padding,
        output_padding=output_padding,
        dilation=dilation,
        groups=groups,
    )
    if dy.shape != shape:
        raise ShapeError(f"{name}: dy must have the shape of the output, {shape}; it has {dy.shape}")
    options = {
        "stride": stride,
        "padding": _both_sides(padding),
        "dilation": dilation,
        "groups": groups,
        "algorithm": algorithm,
    }
    wanted = check_needs(name, needs)
    dx = dw = db = None
    if "x" in wanted:
        dx = conv2d(dy, w, **options)  # type: ignore[arg-type]
        record("dx", dx)
    if "w" in wanted:
        _, dw, _ = conv2d_backward(x, dy, w, needs=("w",), **options)  # type: ignore[arg-type]
    if "b" in wanted:
        db = sum_over(dy, (0, 1, 2))
        record("db", db)
    return dx, dw, db


def transposed_shape(
    name: str,
    x: tuple[int, ...],
    w: tuple[int, ...],
    *,
    stride: Pair,
    padding: Pair,
    output_padding: Pair,
    dilation: Pair,
    groups: int,
) -> tuple[int, ...]:
    """Return the shape of the output, given those of x and w; raise ShapeError or ArgumentError if there is none.

    >>> no = {"padding": 0, "output_padding": 0, "dilation": 1, "groups": 1}
    >>> transposed_shape("conv_transpose2d", (1, 7, 7, 16), (2, 2, 8, 16), stride=2, **no)
    (1, 14, 14, 8)
    """
    if len(x) != 4 or len(w) != 4:
        raise ShapeError(
            f"{name}: x must have shape (N, H, W, C) and w (KH, KW, F // groups, C); they have {x} and {w}"
        )
    if w[3] != x[3]:
        raise ShapeError(f"{name}: x has {x[3]} channels but w takes {w[3]} (x {x}, w {w})")
    if x[3] % groups:
        raise ShapeError(f"{name}: groups must divide the channels of x; x has {x[3]} channels, groups={groups}")
    steps, gaps = as_pair(stride, "stride"), as_pair(dilation, "dilation")
    cut, more = as_pair(padding, "padding", 0), as_pair(output_padding, "output_padding", 0)
    sizes = []
    for n, k, s, d, p, o in zip(x[1:3], w[:2], steps, gaps, cut, more, strict=True):
        if o >= s:
            raise ArgumentError(f"{name}: output_padding must be below the stride {s}; it is {o}")
        sizes.append((n - 1) * s - 2 * p + d * (k - 1) + 1 + o)
        if sizes[-1] < 1:
            raise ShapeError(f"{name}: padding {padding} leaves nothing of the output of x {x} with w {w}")
    both = _both_sides(padding)
    geometry(sizes[0], sizes[1], (w[0], w[1]), stride=stride, padding=both, dilation=dilation, name=name)
    return x[0], *sizes, w[2] * groups


def _both_sides(padding: Pair) -> tuple[tuple[int, int], tuple[int, int]]:
    rows, columns = as_pair(padding, "padding", 0)
    return (rows, rows), (columns, columns)
