r"""The three steps that turn a forward convolution into its data gradient: rotate, spread, pad.

Consider one padded axis and one channel. The forward pass reads pixel i*s + u*d for output i, so the chain rule gives

    dx_pad[p] = sum over all (i, u) with i*s + u*d = p of dy[i] * w[u].                                     (1)

1. Spread. The condition i*s = p - u*d skips most positions when s > 1. Put delta where stride 1 would have put it,
   with zeros in between: spread[i*s] = dy[i]. Now (1) reads, with zero outside,

       dx_pad[p] = sum_u spread[p - u*d] * w[u].                                                            (2)

2. Rotate. In (2) the index of delta decreases as u increases, a convolution in the strict sense. Count the kernel from
   its other end, u = K-1-t and w_rot[t] = w[K-1-t], and the index increases:

       dx_pad[p] = sum_t spread[p - (K-1)*d + t*d] * w_rot[t].                                              (3)

3. Pad. Shift delta to the right by (K-1)*d zeros, so that the first index is never negative:
   delta_pad[q] = spread[q - (K-1)*d]. Then (3) is a plain cross-correlation of stride 1 and dilation d:

       dx_pad[p] = sum_t delta_pad[p + t*d] * w_rot[t].                                                     (4)

   Only the pixels p = before .. before + n - 1 belong to the image rather than the padding, so the shift is by
   (K-1)*d - before instead (a negative shift crops delta), and dx needs n + (K-1)*d values of delta_pad. Zeros at its
   end stand for pixels that the last window did not reach.

In two dimensions both axes are reversed: a rotation by 180 degrees. With channels, (1) also sums over the filters f
that read channel c, so f becomes the summed channel and c the counted one: the channel axes of the kernel are
exchanged.
"""

from __future__ import annotations

import numpy as np

from rot180.ops.geometry import Geometry, as_pair, check_axes
from rot180.ops.types import Array, Pair

__all__ = ["pad_delta", "rotate180", "spread"]


def rotate180(w: Array, groups: int = 1) -> Array:
    """Rotate a kernel by 180 degrees and exchange its channel axes.

    Parameters
    ----------
    w : (KH, KW, C // groups, F)
    groups : int
        Channels are exchanged within each group.

    Returns
    -------
    w_rot : (KH, KW, F // groups, C)
        w_rot[t, r, f, c] = w[KH-1-t, KW-1-r, c, f], a copy.

    References
    ----------
    Dumoulin and Visin (2016), arXiv:1603.07285, section 4.

    Examples
    --------
    >>> w = np.arange(4.0).reshape(2, 2, 1, 1)
    >>> rotate180(w)[:, :, 0, 0]
    array([[3., 2.],
           [1., 0.]])
    """
    check_axes("rotate180", "w", w, "KH,KW,C,F")
    kh, kw, c, f = w.shape
    turned = w[::-1, ::-1].reshape(kh, kw, c, groups, f // groups)
    return np.ascontiguousarray(turned.transpose(0, 1, 4, 3, 2)).reshape(kh, kw, f // groups, groups * c)


def spread(dy: Array, stride: Pair) -> Array:
    """Put s - 1 zeros between the rows and columns of delta, at the positions that the stride skipped.

    Parameters
    ----------
    dy : (N, OH, OW, F)
    stride : int or (int, int)

    Returns
    -------
    (N, (OH-1)*s + 1, (OW-1)*s + 1, F)
        dy itself for stride 1.

    Examples
    --------
    >>> spread(np.array([1.0, 2.0]).reshape(1, 1, 2, 1), 3)[0, 0, :, 0]
    array([1., 0., 0., 2.])
    """
    check_axes("spread", "dy", dy, "N,OH,OW,F")
    s_row, s_column = as_pair(stride, "stride")
    if (s_row, s_column) == (1, 1):
        return dy
    n, oh, ow, f = dy.shape
    delta = np.zeros((n, (oh - 1) * s_row + 1, (ow - 1) * s_column + 1, f), dy.dtype)
    delta[:, ::s_row, ::s_column] = dy
    return delta


def pad_delta(delta_spread: Array, g: Geometry) -> Array:
    """Pad spread delta so that a valid correlation with the rotated kernel gives exactly the image's pixels.

    Parameters
    ----------
    delta_spread : (N, (OH-1)*s + 1, (OW-1)*s + 1, F)
    g : Geometry
        Geometry of the forward convolution.

    Returns
    -------
    delta_pad : (N, H + d*(KH-1), W + d*(KW-1), F)
        Shifted by d*(KH-1) - top rows and d*(KW-1) - left columns, as in (4).

    Examples
    --------
    >>> from rot180.ops.geometry import geometry
    >>> pad_delta(np.ones((32, 14, 14, 64)), geometry(14, 14, 5, padding="same")).shape
    (32, 18, 18, 64)
    """
    n, sh, sw, f = delta_spread.shape
    margin = (g.dilation[0] * (g.kernel[0] - 1), g.dilation[1] * (g.kernel[1] - 1))
    size = (g.height + margin[0], g.width + margin[1])
    delta_pad = np.zeros((n, *size, f), delta_spread.dtype)
    to_rows, from_rows = _shifted(sh, size[0], margin[0] - g.padding[0][0])
    to_columns, from_columns = _shifted(sw, size[1], margin[1] - g.padding[1][0])
    delta_pad[:, to_rows, to_columns] = delta_spread[:, from_rows, from_columns]
    return delta_pad


def _shifted(length: int, size: int, shift: int) -> tuple[slice, slice]:
    """Return where `length` shifted values land among `size` places, and which of them do; the rest is cropped."""
    start, stop = max(shift, 0), max(min(shift + length, size), 0)
    stop = max(start, stop)
    return slice(start, stop), slice(start - shift, stop - shift)
