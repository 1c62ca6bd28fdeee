r"""Normalization: sets of numbers are brought to mean 0 and variance 1, then scaled and shifted.

    xhat = (x - mean) / sqrt(var + eps)          y = gamma * xhat + beta

Four operations differ only in which numbers form a set, over images (N, H, W, C):

    batch_norm       all pixels of all images, channel by channel       sets of N*H*W
    layer_norm       the last axes of each image or pixel               sets of C, or of H*W*C
    group_norm       all pixels of one image, some channels together    sets of H*W*C/groups
    instance_norm    all pixels of one image, channel by channel        sets of H*W

**The gradient.** Take one set x_1 ... x_m and write r = 1/sqrt(var + eps), so xhat_i = (x_i - mean) * r. The loss
depends on x_i in three ways: through xhat_i itself, through the mean, which moves every xhat, and through the variance,
which scales every xhat. With g_i = dL/dxhat_i = gamma * dy_i:

  1. Directly, with mean and r held fixed:          g_i * r
  2. Through the mean, dmean/dx_i = 1/m. Every xhat_k falls by r as the mean rises:
                                                     -(r/m) * sum_k g_k
     (The variance does not change with the mean: sum_k (x_k - mean) = 0.)
  3. Through the variance, dvar/dx_i = 2*(x_i - mean)/m, and dr/dvar = -r^3/2:
         sum_k g_k * (x_k - mean) * dr/dvar * dvar/dx_i
       = sum_k g_k * (xhat_k / r) * (-r^3 / 2) * 2*(xhat_i / r)/m
       =                                             -(r/m) * xhat_i * sum_k g_k * xhat_k

  Together:     dx_i = r * ( g_i  -  mean_k(g_k)  -  xhat_i * mean_k(g_k * xhat_k) )

The terms subtracted from g are its components along the constant vector and along xhat: directions in which the set can
move without changing xhat. So dx sums to zero over the set, and is orthogonal to xhat (exactly, were it not for eps).

The parameters are used at every position that shares them, so dbeta = sum dy and dgamma = sum dy * xhat.

With given statistics (`batch_norm_inference`), terms 2 and 3 vanish: dx = gamma * r * dy.
"""

from __future__ import annotations

import numpy as np

from rot180.errors import ArgumentError, ShapeError
from rot180.ops.recorder import record
from rot180.ops.sums import mean_over, sum_over
from rot180.ops.types import FLOATS, Array

Gradients = tuple[Array, Array, Array]
"""dx, dgamma and dbeta."""


def moments(x: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """Return mean and biased variance, keeping their axes. In two passes: E[x^2] - E[x]^2 suffers from cancellation."""
    mean = mean_over(x, axes, keepdims=True)
    var = mean_over(np.square(x - mean), axes, keepdims=True)
    record("mean", mean)
    record("var", var)
    return mean, var


def scaled(xhat: Array, gamma: Array, beta: Array) -> Array:
    y: Array = xhat * gamma + beta
    record("y", y)
    return y


def backward(
    dy: Array, xhat: Array, r: Array, gamma: Array, axes: tuple[int, ...], shared: tuple[int, ...]
) -> Gradients:
    """Return the three gradients; sets extend over `axes`, parameters are shared along `shared`."""
    dx = three_terms(dy * gamma, xhat, r, axes)
    dgamma, dbeta = parameter_gradients(dy, xhat, shared)
    record("dx", dx)
    return dx, dgamma, dbeta


def three_terms(g: Array, xhat: Array, r: Array, axes: tuple[int, ...]) -> Array:
    along_ones = mean_over(g, axes, keepdims=True)
    along_xhat = mean_over(g * xhat, axes, keepdims=True)
    record("mean_g", along_ones)
    record("mean_g_xhat", along_xhat)
    dx: Array = r * (g - along_ones - xhat * along_xhat)
    return dx


def parameter_gradients(dy: Array, xhat: Array, shared: tuple[int, ...]) -> tuple[Array, Array]:
    dgamma, dbeta = sum_over(dy * xhat, shared), sum_over(dy, shared)
    record("dgamma", dgamma)
    record("dbeta", dbeta)
    return dgamma, dbeta


def check_maps(name: str, x: Array, eps: float) -> None:
    check_float(name, x, eps)
    if x.ndim not in (2, 4):
        raise ShapeError(f"{name}: x must have shape (N, H, W, C) or (N, C); it has {x.shape}")


def check_float(name: str, x: Array, eps: float) -> None:
    if x.dtype.type not in FLOATS:
        raise ArgumentError(f"{name}: x must be float32 or float64; it is {x.dtype}; convert it with x.astype")
    if not eps > 0:
        raise ArgumentError(f"{name}: eps must be above 0, it keeps the root away from zero; it is {eps!r}")


def check_parameters(name: str, x: Array, shape: tuple[int, ...], **parameters: Array) -> None:
    for parameter, array in parameters.items():
        if array.shape != shape:
            raise ShapeError(
                f"{name}: {parameter} must have shape {shape} for x of shape {x.shape}; it has {array.shape}"
            )


def check_delta(name: str, dy: Array, x: Array) -> None:
    if dy.shape != x.shape:
        raise ShapeError(f"{name}: dy must have the shape of x, {x.shape}; it is {dy.shape}")
