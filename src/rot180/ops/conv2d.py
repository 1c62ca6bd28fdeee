r"""Two-dimensional convolution and its three gradients: arguments are checked here and passed to an algorithm.

"Convolution" means cross-correlation throughout this project: the kernel is not rotated in the forward pass. It is in
the backward pass; see `conv_rotation`.

    loops     the definition: nested loops                        conv_loops
    im2col    windows to rows, then one matrix product            conv_im2col
    offsets   one tensor product per kernel position              conv_offsets
    windows   one tensor product with a view of all windows       conv_windows
    winograd  fewer multiplications, tile by tile: minimal        conv_winograd
              filtering of 3x3 and 5x5 kernels at stride 1

Each has its own forward, data gradient and weight gradient, and all agree up to rounding. The bias is handled here for
all.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType
from typing import Any, Literal

import numpy as np

from rot180.errors import ArgumentError, ShapeError, did_you_mean
from rot180.memory import require
from rot180.ops import conv_im2col, conv_loops, conv_offsets, conv_windows, conv_winograd
from rot180.ops.geometry import Geometry, geometry
from rot180.ops.recorder import record
from rot180.ops.sums import sum_over
from rot180.ops.types import FLOATS, Array, Padding, Pair

__all__ = ["ALGORITHMS", "choose_algorithm", "conv2d", "conv2d_backward"]

ALGORITHMS = ("loops", "im2col", "offsets", "windows", "winograd")
"""The values of `algorithm` besides "auto"."""

Part = Literal["forward", "data_gradient", "weight_gradient"]

_MODULES: dict[str, ModuleType] = {
    "loops": conv_loops,
    "im2col": conv_im2col,
    "offsets": conv_offsets,
    "windows": conv_windows,
    "winograd": conv_winograd,
}
_NEEDS = ("x", "w", "b")


def conv2d(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    stride: Pair = 1,
    padding: Padding = "valid",
    dilation: Pair = 1,
    groups: int = 1,
    algorithm: str = "auto",
    x_col: Array | None = None,
) -> Array:
    r"""Cross-correlate images with a bank of filters.

    y[n, i, j, f] = b[f] + sum_{u, v, c} x_pad[n, i*s + u*d, j*s + v*d, c] * w[u, v, c, f]

    Parameters
    ----------
    x : (N, H, W, C) float32 or float64
        Images or feature maps, in any unit; the unit is carried into y.
    w : (KH, KW, C // groups, F)
        F filters. With groups, filter f sees only the channels of group f // (F // groups); groups = C is depthwise.
    b : (F,), optional
        Added to every pixel of map f.
    stride : int or (int, int)
        s, the distance in pixels from one window to the next, in rows and in columns.
    padding : int, (int, int), ((top, bottom), (left, right)), "valid" or "same"
        Zeros around the image. "valid" adds none; "same" gives ceil(H / s) by ceil(W / s) outputs, with an odd pixel
        added at the end.
    dilation : int or (int, int)
        d, the distance in pixels from one tap of the kernel to the next; 1 is dense.
    groups : int
        Must divide C and F.
    algorithm : {"auto", "loops", "im2col", "offsets", "windows", "winograd"}
        How to compute it; all agree up to rounding. With "auto", `choose_algorithm` chooses for the given shapes.
        "winograd" is for 3x3 and 5x5 kernels with stride 1, dilation 1 and one group.
    x_col : (N*OH*OW, KH*KW*C), optional
        `im2col` of x with the same arguments, for a batch that is passed several times: it is not unfolded again. The
        algorithm is then "im2col".

    Returns
    -------
    y : (N, OH, OW, F)
        OH = (H + top + bottom - d*(KH - 1) - 1) // s + 1, OW likewise. float64 if any argument is, else float32.

    Raises
    ------
    ShapeError
        The channels differ, or the window is larger than the padded image.
    ArgumentError
        An array is not float32 or float64, an argument is not of the form above, or the algorithm does not apply.

    References
    ----------
    Dumoulin and Visin (2016), arXiv:1603.07285.

    Examples
    --------
    >>> x = np.arange(16.0).reshape(1, 4, 4, 1)
    >>> edges = np.array([-1.0, 1.0]).reshape(1, 2, 1, 1)  # each pixel minus its left neighbor
    >>> conv2d(x, edges, stride=2)[0, :, :, 0]
    array([[1., 1.],
           [1., 1.]])

    Several steps on one batch, which is unfolded once; the squared error falls:

    >>> from rot180.ops import im2col
    >>> x_col, w = im2col(x, (1, 2), stride=2), np.zeros((1, 2, 1, 1))
    >>> for _ in range(3):
    ...     y = conv2d(x, w, stride=2, x_col=x_col)
    ...     _, dw, _ = conv2d_backward(y - 1, x, w, stride=2, x_col=x_col, needs=("w",))
    ...     w -= 0.002 * dw
    ...     print(((y - 1) ** 2).sum().round(3))
    4.0
    1.575
    1.43
    """
    g = _geometry("conv2d", x, w, stride, padding, dilation, groups, algorithm)
    algorithm = _with_unfolded("conv2d", algorithm, x_col, x, g)
    if b is not None:
        _check_float("conv2d", "b", b)
        if b.shape != (w.shape[3],):
            raise ShapeError(f"conv2d: b must have one value per filter, shape ({w.shape[3]},); it has {b.shape}")
    dtype = np.result_type(x, w) if b is None else np.result_type(x, w, b)
    x, w = x.astype(dtype, copy=False), w.astype(dtype, copy=False)
    more = () if x_col is None else (x_col.astype(dtype, copy=False),)
    y: Array = _module(algorithm, "forward", x.shape, g, w.shape[3], groups).forward(x, w, g, groups, *more)
    if b is not None:
        y += b
    record("y", y)
    return y


def conv2d_backward(
    dy: Array,
    x: Array,
    w: Array,
    *,
    stride: Pair = 1,
    padding: Padding = "valid",
    dilation: Pair = 1,
    groups: int = 1,
    algorithm: str = "auto",
    x_col: Array | None = None,
    needs: Iterable[str] = _NEEDS,
) -> tuple[Array | None, Array | None, Array | None]:
    r"""Propagate dL/dy back to images, filters and bias.

    Each output is a sum of products, so its derivative with respect to one factor is the other factor, and the chain
    rule sums over all outputs that a value contributes to:

        dx_pad[n, p, q, c] = sum over i*s + u*d = p, j*s + v*d = q, and f, of dy[n, i, j, f] * w[u, v, c, f]
        dw[u, v, c, f]     = sum over n, i, j of dy[n, i, j, f] * x_pad[n, i*s + u*d, j*s + v*d, c]
        db[f]              = sum over n, i, j of dy[n, i, j, f]

    and dx is dx_pad without the padding. Each algorithm derives its own form of the first two next to its code;
    `conv_identities` writes them as convolutions.

    Parameters
    ----------
    dy : (N, OH, OW, F) float32 or float64
        Delta, the derivative of the loss with respect to the output.
    x, w, stride, padding, dilation, groups, algorithm
        As passed to `conv2d`.
    x_col : (N*OH*OW, KH*KW*C), optional
        As in `conv2d`; the weight gradient uses it.
    needs : iterable of {"x", "w", "b"}
        Which gradients to compute. A first layer does not need "x", which is often the most expensive.

    Returns
    -------
    dx : (N, H, W, C) or None
        Zero for pixels that no window covers.
    dw : (KH, KW, C // groups, F) or None
    db : (F,) or None
        None for what is not needed.

    Raises
    ------
    ShapeError
        As in `conv2d`, or dy does not have the shape of the output.
    ArgumentError
        As in `conv2d`.

    References
    ----------
    Goodfellow, Bengio and Courville (2016), Deep Learning, section 9.5.

    Examples
    --------
    >>> x, w = np.ones((1, 3, 3, 1)), np.ones((2, 2, 1, 1))
    >>> dx, dw, db = conv2d_backward(np.ones((1, 2, 2, 1)), x, w, needs=("x", "b"))
    >>> dx[0, :, :, 0]  # the number of windows that contain each pixel
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]])
    >>> dw, db
    (None, array([4.]))
    """
    name = "conv2d_backward"
    g = _geometry(name, x, w, stride, padding, dilation, groups, algorithm)
    _check_float(name, "dy", dy)
    expected = (x.shape[0], g.out_height, g.out_width, w.shape[3])
    if dy.shape != expected:
        raise ShapeError(
            f"{name}: dy must have the shape of the output, {expected}; it has {dy.shape} "
            f"(x {x.shape}, w {w.shape}); pass the same arguments as to conv2d"
        )
    unfolded = _with_unfolded(name, algorithm, x_col, x, g)
    wanted = check_needs(name, needs)
    dtype = np.result_type(dy, x, w)
    dy, x, w = (a.astype(dtype, copy=False) for a in (dy, x, w))
    record("delta", dy)
    dx: Array | None = None
    dw: Array | None = None
    db: Array | None = None
    if "x" in wanted:
        dx = _module(algorithm, "data_gradient", x.shape, g, w.shape[3], groups).data_gradient(dy, w, g, groups)
        record("dx", dx)
    if "w" in wanted:
        more = () if x_col is None else (x_col.astype(dtype, copy=False),)
        module = _module(unfolded, "weight_gradient", x.shape, g, w.shape[3], groups)
        dw = module.weight_gradient(dy, x, g, groups, *more)
        record("dw", dw)
    if "b" in wanted:
        db = sum_over(dy, (0, 1, 2))
        record("db", db)
    return dx, dw, db


def choose_algorithm(part: Part, x_shape: tuple[int, ...], g: Geometry, n_filters: int, groups: int = 1) -> str:
    """Choose the algorithm for one pass by how much data it copies and adds.

    All perform the same multiply-adds; they differ in copying and adding, in values per output pixel:

        part              im2col copies      offsets adds    windows
        forward           KH*KW*C            KH*KW*F         copies as im2col
        data gradient     KH*KW*F * s*s      KH*KW*C         writes and adds KH*KW*C
        weight gradient   KH*KW*C            copies KH*KW*C  copies KH*KW*C, transposed

    so forward unfolds unless there are far fewer filters than channels, and the data gradient adds unless there are far
    more channels than filters. In milliseconds, float32, two cores, NumPy 2.4 with OpenBLAS:

                                     forward             dx                  dw
        images; kernel               im2col   offsets    im2col   offsets    im2col   offsets   windows
        32x28x28x1; 5x5x1x32            0.7      21         8.1      1.0        2.0      2.5       1.0
        32x14x14x32; 5x5x32x64          5.2       9.2       7.6      4.8        5.0      8.9       8.5
        8x32x32x64; 3x3x64x8            3.0       1.5       0.7      1.9        3.1      1.7       5.8
        16x64x64x3; 7x7x3x64, s=2       2.1      12       119       12          3.7     14         3.9
        1x12x12x8; 5x5x8x16             0.02      0.10      0.04     0.12       0.02     0.09      0.03
        32x32x32x64; 3x3, 4 groups     17        27        18       22         15       14        23
        32x32x32x64; 3x3, depthwise    29         9        30       11         33        5        20

    winograd is not chosen: this is the reference, which should round as little as it can, and in NumPy the tiles pass
    through memory between transforms and products, which takes most of what fewer multiplications save.

    The choice depends only on the shapes, so the same call always gives the same bits.

    Examples
    --------
    >>> g = geometry(14, 14, 5, padding="same")
    >>> [choose_algorithm(part, (32, 14, 14, 32), g, 64) for part in ("forward", "data_gradient", "weight_gradient")]
    ['im2col', 'offsets', 'im2col']
    """
    n, h, w, c = x_shape
    if c == groups == n_filters:
        return "offsets"
    if part == "forward":
        return "offsets" if groups == 1 and 2 * n_filters <= c else "im2col"
    if part == "data_gradient":
        unfolded = n * h * w * g.kernel[0] * g.kernel[1] * n_filters
        spread = g.stride[0] * g.stride[1]
        few_filters = 2 * n_filters * spread <= c
        grouped = groups > 1 and spread == 1
        return "im2col" if few_filters or grouped or unfolded < 2**18 else "offsets"
    if groups == 1 and 4 * n_filters <= c:
        return "offsets"
    return "windows" if c <= 4 else "im2col"


def _module(algorithm: str, part: Part, x_shape: tuple[int, ...], g: Geometry, n_filters: int, groups: int) -> Any:
    if algorithm == "auto":
        algorithm = choose_algorithm(part, x_shape, g, n_filters, groups)
    return _MODULES[algorithm]


def _with_unfolded(name: str, algorithm: str, x_col: Array | None, x: Array, g: Geometry) -> str:
    """Return the algorithm, which is im2col if the unfolded x was passed; check that it belongs to x."""
    if x_col is None:
        return algorithm
    if algorithm not in ("auto", "im2col"):
        raise ArgumentError(f"{name}: x_col is for the algorithm 'im2col'; it is {algorithm!r}; leave one of them out")
    _check_float(name, "x_col", x_col)
    conv_im2col.check_unfolded(name, x_col, x, g)
    return "im2col"


def _geometry(
    name: str, x: Array, w: Array, stride: Pair, padding: Padding, dilation: Pair, groups: int, algorithm: str
) -> Geometry:
    """Check that the arguments are valid and agree with each other."""
    if algorithm != "auto" and algorithm not in ALGORITHMS:
        known = did_you_mean(str(algorithm), ("auto", *ALGORITHMS))
        raise ArgumentError(f"{name}: unknown algorithm {algorithm!r}{known}")
    _check_float(name, "x", x)
    _check_float(name, "w", w)
    if x.ndim != 4:
        raise ShapeError(f"{name}: x must have shape (N, H, W, C); it has {x.shape}; for one image give x[None]")
    if w.ndim != 4:
        raise ShapeError(f"{name}: w must have shape (KH, KW, C // groups, F); it has {w.shape}")
    if isinstance(groups, bool) or not isinstance(groups, (int, np.integer)) or groups < 1:
        raise ArgumentError(f"{name}: groups must be an int, at least 1; it is {groups!r}")
    c, f = x.shape[3], w.shape[3]
    if c < 1 or f < 1:
        raise ShapeError(f"{name}: there must be at least one channel and one filter (x {x.shape}, w {w.shape})")
    if c % groups or f % groups:
        raise ShapeError(
            f"{name}: groups must divide channels and filters; groups={groups}, x has {c} channels, w has {f} filters"
        )
    if w.shape[2] * groups != c:
        grouped = f" in {groups} groups" if groups > 1 else ""
        expects = w.shape[2] * groups
        raise ShapeError(
            f"{name}: x has {c} channels but w expects {expects}{grouped} (x {x.shape}, w {w.shape}); "
            f"give the layer in_channels={c}"
        )
    kernel = (w.shape[0], w.shape[1])
    g = geometry(x.shape[1], x.shape[2], kernel, stride=stride, padding=padding, dilation=dilation, name=name)
    if algorithm == "winograd":
        conv_winograd.check(name, g.kernel, g.stride, g.dilation, groups)
    require(x.shape[0] * g.out_height * g.out_width * f * max(x.itemsize, w.itemsize), name)
    return g


def _check_float(name: str, argument: str, a: Array) -> None:
    dtype = getattr(a, "dtype", None)
    if dtype is None or dtype not in FLOATS:
        came = dtype if dtype is not None else type(a).__name__
        raise ArgumentError(
            f"{name}: {argument} must be a float32 or float64 array; it is {came}; "
            f"convert it with np.asarray({argument}, np.float32)"
        )


def check_needs(name: str, needs: Iterable[str]) -> frozenset[str]:
    """Return the gradients to compute; raise ArgumentError if there is one of another name."""
    wanted = frozenset(needs)
    for need in wanted:
        if need not in _NEEDS:
            raise ArgumentError(f"{name}: needs names 'x', 'w' and 'b'; it has {need!r}")
    return wanted
