r"""Minimal filtering: m outputs of a filter with r taps by m + r - 1 multiplications instead of m*r.

Along one axis, a tile of n = m + r - 1 pixels d and a filter g give m outputs,

    y[i] = sum_u d[i + u] * g[u],    i = 0 .. m-1,  u = 0 .. r-1.                                        (1)

**One sum stands for three passes.** Weight the outputs with any numbers e[i] and add them up:

    t(e, g, d) = sum_{i, u} e[i] * g[u] * d[i + u].                                                      (2)

t is linear in each of its three arguments, so its derivatives are the passes of a convolution: dt/de are the outputs
(1); with delta for e, dt/dg[u] = sum_i e[i] * d[i + u] is the weight gradient, and dt/dd[k], the sum of e[i] * g[u]
over i + u = k, the data gradient. Whatever computes t with few multiplications computes all three with as many (the
transposition principle).

**Toom and Cook.** Collect (2) by pixels: t = sum_k d[k] * s[k], where s[k] is the sum of e[i] * g[u] over i + u = k.
That is how polynomials are multiplied. With e(x) = e[0] + e[1]*x + ... + e[m-1]*x^(m-1), and g(x) likewise,

    s(x) = e(x) * g(x),    of degree m + r - 2 = n - 1.

A polynomial of this degree is known from n values: those at n - 1 different points p, each the product e(p) * g(p), and
its leading coefficient e[m-1] * g[r-1], the "value at infinity". These n products are the only multiplications of two
variables, and fewer do not suffice (Winograd 1980). So 6 points give 4 outputs of 3 taps, 6 instead of 12
multiplications, and the same 6 points 2 outputs of 5 taps, 6 instead of 10.

Lagrange's formula returns from values to coefficients. With M(x), the product of x - q over all points q, and
M_p(x) = M(x) / (x - p), which vanishes at all points but p,

    s(x) = sum_p e(p) * g(p) / M_p(p) * M_p(x)  +  e[m-1] * g[r-1] * M(x).                               (3)

(Both sides agree at all points, where M is zero, and in the leading coefficient, which only M has.) Multiply the
coefficient of x^k by d[k] and add up:

    t = sum_p (A e)[p] * (G g)[p] * (B' d)[p],    p now counting all n points                            (4)

    A   (n, m)   row p: 1, p, p^2, ..., p^(m-1);                      the last, for infinity: 0, ..., 0, 1
    G   (n, r)   row p: 1, p, p^2, ..., p^(r-1), divided by M_p(p);   the last: 0, ..., 0, 1
    B'  (n, n)   row p: the coefficients of M_p, from x^0 on;         the last: those of M

and the derivatives of (4) are the three passes, with * for the product element by element:

    y  = A' [(G g) * (B' d)]        forward
    dg = G' [(A e) * (B' d)]        weight gradient
    dd = B  [(A e) * (G g)]         data gradient

In two dimensions each axis is transformed in turn: G g G' for G g, and so on. One tile then takes n*n multiplications
instead of (m*r)^2: 36 instead of 144 for 4x4 outputs of a 3x3 kernel, 36 instead of 100 for 2x2 outputs of 5x5.

**The price is rounding.** An output is now a sum of few products that are larger than itself, and the errors of these
products, each relative to its own size, arrive multiplied by A'. How much larger depends on the points alone: large
points have large powers in A and B'; points close to each other, or all within -1 .. 1, have small M_p(p), by which G
divides. `growth` measures it. Points in pairs +-p share their even and their odd powers, which saves half of the work
in transforms; a small pair and a large one, of product near 1, balance both ends of the powers. Of such points, 5/8 and
3/2 are nearly the best, and short binary fractions: A and B' are exact even in float32.

    tile      points                        multiplications    growth in two dimensions
    2x2, 3x3  0, +-1, infinity              16 instead of 36   1.7
    4x4, 3x3  0, +-5/8, +-3/2, infinity     36 instead of 144  4.8
    4x4, 3x3  0, +-1, +-2, infinity         36 instead of 144  11
    6x6, 3x3  0, +-1/2, +-1, +-2, infinity  64 instead of 324  21
    3x3, 4x4  0, +-5/8, +-3/2, infinity     36 instead of 144  4.8
    2x2, 5x5  0, +-5/8, +-3/2, infinity     36 instead of 100  5.4

Channels are summed in the brackets, before A'. Direct convolution adds r*r times as many products one after the other,
which costs accuracy, too: with 64 channels and more, a growth of 4.8 leaves about twice direct convolution's error.

`conv_winograd` applies this to images; `winograd_rounding` follows the rounding of every number.

References
----------
Winograd (1980), Arithmetic Complexity of Computations. Lavin and Gray (2016), arXiv:1509.09308. Barabasz, Anderson,
Soodhalter and Gregg (2020), arXiv:1803.10986, on the choice of points.
"""

from __future__ import annotations

import numpy as np
from numpy.polynomial.polynomial import polyfromroots

from rot180.errors import ArgumentError
from rot180.ops.types import Array

__all__ = ["POINTS", "growth", "matrices"]

POINTS = (0.0, 5 / 8, -5 / 8, 3 / 2, -3 / 2)
"""The finite points; infinity is always the last one."""


def matrices(m: int, r: int, points: tuple[float, ...] = POINTS) -> tuple[Array, Array, Array]:
    """Return the matrices of m outputs of r taps.

    Parameters
    ----------
    m, r : int
        Outputs of a tile and taps of the filter, along one axis.
    points : tuple of m + r - 2 different floats
        All points but infinity.

    Returns
    -------
    A' : (m, n) float64
    G : (n, r) float64
    B' : (n, n) float64
        n = m + r - 1; in the order of `points`, then infinity.

    Raises
    ------
    ArgumentError
        The points are not different, or not as many as needed.

    References
    ----------
    Equation (4) above.

    Examples
    --------
    Two outputs of three taps, from four pixels, with four multiplications:

    >>> a, g, b = matrices(2, 3, (0, 1, -1))
    >>> a
    array([[ 1.,  1.,  1.,  0.],
           [ 0.,  1., -1.,  1.]])
    >>> pixels, taps = np.array([1.0, 2, 3, 4]), np.array([1.0, 0, -1])
    >>> a @ ((g @ taps) * (b @ pixels))
    array([-2., -2.])
    >>> np.correlate(pixels, taps)
    array([-2., -2.])
    """
    n = m + r - 1
    p = np.array(points, np.float64)
    if m < 1 or r < 1 or len(p) != n - 1 or len(np.unique(p)) != len(p):
        raise ArgumentError(f"matrices: {m} outputs of {r} taps need {n - 1} different points; they are {points}")
    others = [np.delete(p, k) for k in range(n - 1)]
    scale = np.array([np.prod(p[k] - others[k]) for k in range(n - 1)])  # M_p(p)
    last = np.eye(n)[-1:]  # the row of infinity, to be cut to length from its end
    a = np.vstack([np.vander(p, m, increasing=True), last[:, n - m :]])
    g = np.vstack([np.vander(p, r, increasing=True) / scale[:, None], last[:, n - r :]])
    b = np.array([*(np.append(polyfromroots(q), 0.0) for q in others), polyfromroots(p)])
    return np.ascontiguousarray(a.T), g, b


def growth(m: int, r: int, points: tuple[float, ...] = POINTS) -> float:
    """Return how much more the rounding of products weighs in two-dimensional outputs than in direct convolution.

    For independent pixels and taps of one variance, product p has the root mean square |G[p]| * |B'[p]|, and so has,
    times the unit of rounding, its error; A' adds up the errors. A direct sum of r products has an error of sqrt(r).

    Parameters
    ----------
    m, r, points
        As in `matrices`.

    Returns
    -------
    float
        The ratio of the root mean square errors of both, over the outputs of a tile; 1 for direct convolution.

    Examples
    --------
    >>> [round(growth(4, 3, points), 1) for points in (POINTS, (0, 1, -1, 2, -2))]
    [4.8, 10.8]
    >>> growth(1, 1, ())
    1.0
    """
    a, g, b = (matrix * matrix for matrix in matrices(m, r, points))
    return float((a @ (g.sum(axis=1) * b.sum(axis=1))).mean() / r)
