"""The three products of a layer: output, weight gradient and data gradient as products of the same matrices.

With the windows of the input as rows of x_col and the filters as columns of w_col,

    y_col  = x_col    w_col       forward
    dw_col = x_col^T  dy_col      weight gradient
    dx_col = dy_col   w_col^T     data gradient, which folding adds up: a pixel collects all of its copies

A fully connected layer has one window, the whole input. A transposed convolution has its passes exchanged: its delta is
unfolded, and what is folded is its output.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rot180.errors import ArgumentError
from rot180.inside.explain.trace import Trace
from rot180.nn import Conv2d, ConvTranspose2d, Layer, Linear
from rot180.ops import im2col
from rot180.ops.types import Array

__all__ = ["Products", "products"]


@dataclass(frozen=True)
class Products:
    """The matrices of one layer and one image; P windows, K taps in each, F filters of a group.

    Attributes
    ----------
    layer : str
    kind : str
        `convolution`, `linear`, or `transposed`; for the last one, x means delta, dy the input, y the gradient of the
        input, and dx the output without its bias.
    windows : (int, int)
        Rows and columns of windows; P is their product.
    taps : (int, int, int)
        Rows, columns and channels of a window; K is their product.
    image_shape : (int, int, int)
        Of what is unfolded and folded: one group's channels.
    image, folded : (H, W, C)
        What is unfolded, and what folding gives.
    places : (P, K) int
        Which number of `image` each number of `x_col` is a copy of; -1 on the padding.
    x_col, dx_col : (P, K)
    w_col, dw_col : (K, F)
    dy_col, y_col : (P, F)
    difference : float
        The largest difference between these products and the layer's own results, which may be computed in another
        order: in units of the largest magnitude of each result.
    """

    layer: str
    kind: str
    windows: tuple[int, int]
    taps: tuple[int, int, int]
    image_shape: tuple[int, int, int]
    image: Array
    folded: Array
    places: Array
    x_col: Array
    w_col: Array
    dy_col: Array
    y_col: Array
    dw_col: Array
    dx_col: Array
    difference: float


def has_products(layer: Layer) -> bool:
    """Return whether a layer is one of those that `products` can write as matrices."""
    return isinstance(layer, (Conv2d, ConvTranspose2d, Linear))


def products(trace: Trace, place: int, group: int = 0) -> Products:
    """Write the passes of a layer as three matrix products.

    Parameters
    ----------
    trace : Trace
        Its first image is used.
    place : int
        The layer's index in the network.
    group : int
        Of a convolution with groups, which one.

    Raises
    ------
    ArgumentError
        The layer is of another kind, or has no such group.

    Examples
    --------
    >>> import rot180
    >>> model = rot180.network("4x4x1 > conv3x3:2 relu > fc3").build(seed=0)
    >>> found = products(Trace(model, np.arange(16).reshape(4, 4), 1), 0)
    >>> found.x_col.shape, found.w_col.shape, found.y_col.shape
    ((4, 9), (9, 2), (4, 2))
    >>> found.places[0]  # the first window reads rows and columns 0 to 2
    array([ 0,  1,  2,  4,  5,  6,  8,  9, 10])
    """
    layer = trace.model.layers[place]
    if not has_products(layer):
        raise ArgumentError(
            f"{layer.name} is not a product of matrices; choose a convolution, a transposed convolution or a fully "
            f"connected layer"
        )
    groups = int(getattr(layer, "groups", 1))
    if not 0 <= group < groups:
        raise ArgumentError(f"{layer.name} has {groups} groups, counted from 0; there is no number {group}")
    wide, narrow = trace.input(place)[:1], trace.deltas[place + 1][:1]
    forward, backward = trace.outputs[place][:1], trace.contributions[place][0][:1]
    if "bias" in layer.parameters:
        forward = forward - layer.parameters["bias"]
    weight, gradient = layer.parameters["weight"], trace.gradients[f"{layer.name}.weight"]
    kind = "convolution"
    if isinstance(layer, Linear):
        kind = "linear"
        wide, backward = wide.reshape(1, 1, 1, -1), backward.reshape(1, 1, 1, -1)
        narrow, forward = narrow.reshape(1, 1, 1, -1), forward.reshape(1, 1, 1, -1)
        weight, gradient = weight[np.newaxis, np.newaxis], gradient[np.newaxis, np.newaxis]
    if isinstance(layer, ConvTranspose2d):  # its forward pass is the data gradient of a convolution
        kind = "transposed"
        wide, narrow, forward, backward = narrow, wide, backward, forward
    channels, filters = weight.shape[2], weight.shape[3] // groups
    wide, backward = (array[..., group * channels :][..., :channels] for array in (wide, backward))
    narrow, forward, weight, gradient = (
        array[..., group * filters :][..., :filters] for array in (narrow, forward, weight, gradient)
    )
    options = {name: getattr(layer, name) for name in ("stride", "padding", "dilation") if hasattr(layer, name)}
    kernel = weight.shape[:2]
    numbers = np.arange(1, wide.size + 1, dtype=np.float64).reshape(wide.shape)  # 0 is then the padding
    places = im2col(numbers, kernel, **options).astype(np.int64) - 1
    x_col = im2col(wide, kernel, **options)
    w_col, dy_col = weight.reshape(-1, filters), narrow.reshape(-1, filters)
    y_col, dw_col, dx_col = x_col @ w_col, x_col.T @ dy_col, dy_col @ w_col.T
    folded = np.zeros(wide.size, dx_col.dtype)
    np.add.at(folded, places[places >= 0], dx_col[places >= 0])
    pairs = ((y_col, forward), (dw_col, gradient), (folded, backward))
    return Products(
        layer=layer.name,
        kind=kind,
        windows=(narrow.shape[1], narrow.shape[2]),
        taps=(*kernel, channels),
        image_shape=wide.shape[1:],
        image=wide[0],
        folded=folded.reshape(wide.shape[1:]),
        places=places,
        x_col=x_col,
        w_col=w_col,
        dy_col=dy_col,
        y_col=y_col,
        dw_col=dw_col,
        dx_col=dx_col,
        difference=max(_difference(ours, theirs) for ours, theirs in pairs),
    )


def _difference(ours: Array, theirs: Array) -> float:
    largest = float(np.abs(theirs).max(initial=0.0)) or 1.0
    return float(np.abs(ours.ravel() - theirs.ravel()).max(initial=0.0)) / largest
