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
from rot180.ops.types import FLOATS, Array

__all__ = [
    "batch_norm",
    "batch_norm_backward",
    "batch_norm_inference",
    "group_norm",
    "group_norm_backward",
    "instance_norm",
    "instance_norm_backward",
    "layer_norm",
    "layer_norm_backward",
    "moving_average",
]

Gradients = tuple[Array, Array, Array]


def batch_norm(x: Array, gamma: Array, beta: Array, *, eps: float = 1e-5) -> tuple[Array, Array, Array]:
    r"""Normalize each channel over a batch, as in training.

    mean[c] = mean_{n, i, j} x[n, i, j, c],     var[c] = mean_{n, i, j} (x[n, i, j, c] - mean[c])^2
    y = gamma * (x - mean) / sqrt(var + eps) + beta

    Parameters
    ----------
    x : (N, H, W, C) or (N, C), float32 or float64
        Feature maps or vectors; at least two values per channel.
    gamma, beta : (C,)
        Scale and shift of each channel.
    eps : float
        Added to the variance, inside the square root.

    Returns
    -------
    y : array of x's shape and type
    mean, var : (C,)
        Of this batch; the biased variance, divided by the number of values. `moving_average` accumulates them.

    Raises
    ------
    ShapeError
        x has the wrong number of axes, gamma or beta is not (C,), or a channel has a single value.
    ArgumentError
        x is not float32 or float64, or eps is not positive.

    References
    ----------
    Ioffe and Szegedy (2015), arXiv:1502.03167.

    Examples
    --------
    >>> x = np.array([[1.0, 10.0], [3.0, 30.0]])
    >>> y, mean, var = batch_norm(x, np.ones(2), np.zeros(2), eps=1e-12)
    >>> y.round(6), mean, var
    (array([[-1., -1.],
           [ 1.,  1.]]), array([ 2., 20.]), array([  1., 100.]))
    """
    _check_maps("batch_norm", x, eps)
    _check_parameters("batch_norm", x, gamma, beta, (x.shape[-1],))
    axes = tuple(range(x.ndim - 1))
    if x.size <= x.shape[-1]:
        raise ShapeError(
            f"batch_norm: a channel needs at least two values to have a variance; x has shape {x.shape}; "
            "give a larger batch"
        )
    mean, var = _moments(x, axes)
    y = _scaled((x - mean) / np.sqrt(var + x.dtype.type(eps)), gamma, beta)
    return y, mean.reshape(-1), var.reshape(-1)


def batch_norm_backward(dy: Array, x: Array, gamma: Array, mean: Array, var: Array, *, eps: float = 1e-5) -> Gradients:
    r"""Propagate delta back through `batch_norm`, whose mean and variance depend on x as well.

    dx = gamma * r * ( dy - mean(dy) - xhat * mean(dy * xhat) ),     r = 1 / sqrt(var + eps),     means over N, H, W

    Parameters
    ----------
    dy, x : arrays of one shape
        dL/dy, and the input of `batch_norm`.
    gamma, mean, var : (C,)
        As passed to and returned by `batch_norm`.
    eps : float

    Returns
    -------
    dx : array of x's shape
    dgamma, dbeta : (C,)

    Raises
    ------
    ShapeError
        The shapes differ.

    Examples
    --------
    >>> x = np.array([[1.0], [3.0], [8.0]])
    >>> y, mean, var = batch_norm(x, np.ones(1), np.zeros(1))
    >>> dx, dgamma, dbeta = batch_norm_backward(np.array([[1.0], [0.0], [0.0]]), x, np.ones(1), mean, var)
    >>> bool(abs(dx.sum()) < 1e-12), dbeta
    (True, array([1.]))
    """
    _check_delta("batch_norm_backward", dy, x)
    axes = tuple(range(x.ndim - 1))
    r = 1 / np.sqrt(var + x.dtype.type(eps))
    return _backward(dy, (x - mean) * r, r, gamma, axes, axes)


def batch_norm_inference(x: Array, gamma: Array, beta: Array, mean: Array, var: Array, *, eps: float = 1e-5) -> Array:
    r"""Normalize each channel with given statistics, as at inference.

    y = gamma * (x - mean) / sqrt(var + eps) + beta, which is x * scale + shift with
    scale = gamma / sqrt(var + eps) and shift = beta - mean * scale: no image depends on the others, and a preceding
    convolution can absorb scale and shift into its weights and bias.

    Parameters
    ----------
    x : (..., C) float32 or float64
    gamma, beta, mean, var : (C,)
    eps : float

    Returns
    -------
    y : array of x's shape and type

    Raises
    ------
    ShapeError, ArgumentError
        As in `batch_norm`.

    Examples
    --------
    >>> gamma, beta, mean, var = np.array([2.0]), np.array([1.0]), np.array([3.0]), np.array([4.0])
    >>> batch_norm_inference(np.array([[5.0]]), gamma, beta, mean, var, eps=1e-12)
    array([[3.]])
    """
    _check_maps("batch_norm_inference", x, eps)
    for other in (gamma, mean):
        _check_parameters("batch_norm_inference", x, other, beta, (x.shape[-1],))
    scale = (gamma / np.sqrt(var + x.dtype.type(eps))).astype(x.dtype, copy=False)
    shift = (beta - mean * scale).astype(x.dtype, copy=False)
    record("scale", scale)
    record("shift", shift)
    y: Array = x * scale + shift
    record("y", y)
    return y


def moving_average(
    average: tuple[Array, Array], batch: tuple[Array, Array], count: int, momentum: float = 0.1
) -> tuple[Array, Array]:
    r"""Update the statistics for inference with those of a batch.

    mean <- (1 - momentum) * mean + momentum * batch mean
    var  <- (1 - momentum) * var  + momentum * batch variance * count / (count - 1)

    The variance of a batch around its own mean is too small by the factor (count - 1)/count on average; the average
    kept is the unbiased one.

    Parameters
    ----------
    average, batch : ((C,), (C,))
        Mean and variance: the averages so far, and those of `batch_norm`.
    count : int
        Values per channel in the batch, N*H*W, at least 2.
    momentum : float
        The weight of the batch, from 0 to 1.

    Returns
    -------
    mean, var : (C,)
        New arrays.

    Examples
    --------
    >>> moving_average((np.zeros(1), np.ones(1)), (np.ones(1), np.ones(1)), count=2, momentum=0.5)
    (array([0.5]), array([1.5]))
    """
    if count < 2:
        raise ArgumentError(f"moving_average: count must be at least 2; it is {count}; a single value has no variance")
    share = average[0].dtype.type(momentum)
    unbiased = batch[1] * average[1].dtype.type(count / (count - 1))
    return average[0] + share * (batch[0] - average[0]), average[1] + share * (unbiased - average[1])


def layer_norm(x: Array, gamma: Array, beta: Array, *, axes: int = 1, eps: float = 1e-5) -> Array:
    r"""Normalize the last axes of an array: with one axis, the channels of each pixel; with three, each image.

    Parameters
    ----------
    x : array of float32 or float64, at least `axes` + 1 axes
    gamma, beta : arrays of the shape of x's last axes
    axes : int
        How many of the last axes form a set.
    eps : float

    Returns
    -------
    y : array of x's shape and type

    Raises
    ------
    ShapeError, ArgumentError
        The shapes do not fit, or a number is out of range.

    References
    ----------
    Ba, Kiros and Hinton (2016), arXiv:1607.06450.

    Examples
    --------
    >>> layer_norm(np.array([[1.0, 3.0], [10.0, 30.0]]), np.ones(2), np.zeros(2), eps=1e-12).round(6)
    array([[-1.,  1.],
           [-1.,  1.]])
    """
    of = _last_axes("layer_norm", x, axes, eps)
    _check_parameters("layer_norm", x, gamma, beta, x.shape[-axes:])
    mean, var = _moments(x, of)
    return _scaled((x - mean) / np.sqrt(var + x.dtype.type(eps)), gamma, beta)


def layer_norm_backward(dy: Array, x: Array, gamma: Array, *, axes: int = 1, eps: float = 1e-5) -> Gradients:
    r"""Propagate delta back through `layer_norm`: dx = r * ( g - mean(g) - xhat * mean(g * xhat) ), g = gamma * dy.

    Parameters
    ----------
    dy, x : arrays of one shape
        dL/dy, and the input of `layer_norm`.
    gamma, axes, eps
        As in `layer_norm`.

    Returns
    -------
    dx : array of x's shape
    dgamma, dbeta : arrays of gamma's shape
        Summed over the other axes, along which the parameters are shared.

    Examples
    --------
    >>> dx, dgamma, dbeta = layer_norm_backward(np.array([[1.0, 0.0]]), np.array([[1.0, 3.0]]), np.ones(2))
    >>> bool(np.abs(dx).max() < 1e-4), dbeta  # two numbers always become -1 and 1, whatever they are
    (True, array([1., 0.]))
    """
    _check_delta("layer_norm_backward", dy, x)
    of = _last_axes("layer_norm_backward", x, axes, eps)
    mean, var = _moments(x, of)
    r = 1 / np.sqrt(var + x.dtype.type(eps))
    return _backward(dy, (x - mean) * r, r, gamma, of, tuple(range(x.ndim - axes)))


def group_norm(x: Array, gamma: Array, beta: Array, groups: int, *, eps: float = 1e-5) -> Array:
    r"""Normalize groups of channels over all pixels of one image.

    Parameters
    ----------
    x : (N, H, W, C) or (N, C), float32 or float64
    gamma, beta : (C,)
    groups : int
        Must divide C. One group normalizes the whole image; C groups are `instance_norm`.
    eps : float

    Returns
    -------
    y : array of x's shape and type

    Raises
    ------
    ShapeError, ArgumentError
        The shapes do not fit, or a number is out of range.

    References
    ----------
    Wu and He (2018), arXiv:1803.08494.

    Examples
    --------
    >>> group_norm(np.array([[1.0, 3.0, 10.0, 30.0]]), np.ones(4), np.zeros(4), groups=2, eps=1e-12).round(6)
    array([[-1.,  1., -1.,  1.]])
    """
    _check_maps("group_norm", x, eps)
    _check_parameters("group_norm", x, gamma, beta, (x.shape[-1],))
    grouped = _grouped("group_norm", x, groups)
    mean, var = _moments(grouped, (1, 3))
    xhat = ((grouped - mean) / np.sqrt(var + x.dtype.type(eps))).reshape(x.shape)
    return _scaled(xhat, gamma, beta)


def group_norm_backward(dy: Array, x: Array, gamma: Array, groups: int, *, eps: float = 1e-5) -> Gradients:
    r"""Propagate delta back through `group_norm`: the three terms, with means over one group of one image.

    Parameters
    ----------
    dy, x : arrays of one shape
        dL/dy, and the input of `group_norm`.
    gamma, groups, eps
        As in `group_norm`.

    Returns
    -------
    dx : array of x's shape
    dgamma, dbeta : (C,)

    Examples
    --------
    >>> x = np.array([[1.0, 3.0, 10.0, 30.0]])
    >>> dx, dgamma, dbeta = group_norm_backward(np.ones((1, 4)), x, np.ones(4), groups=2)
    >>> bool(np.abs(dx).max() < 1e-12), dbeta  # the same delta everywhere: normalization removes it
    (True, array([1., 1., 1., 1.]))
    """
    _check_delta("group_norm_backward", dy, x)
    grouped = _grouped("group_norm_backward", x, groups)
    mean, var = _moments(grouped, (1, 3))
    r = 1 / np.sqrt(var + x.dtype.type(eps))
    xhat = (grouped - mean) * r
    g = _grouped("group_norm_backward", dy * gamma, groups)
    dx = _three_terms(g, xhat, r, (1, 3)).reshape(x.shape)
    dgamma, dbeta = _parameter_gradients(dy, xhat.reshape(x.shape), tuple(range(x.ndim - 1)))
    record("dx", dx)
    return dx, dgamma, dbeta


def instance_norm(x: Array, gamma: Array, beta: Array, *, eps: float = 1e-5) -> Array:
    r"""Normalize each channel of each image over its pixels: `group_norm` with one channel per group.

    Parameters, returns and errors are those of `group_norm`.

    References
    ----------
    Ulyanov, Vedaldi and Lempitsky (2016), arXiv:1607.08022.

    Examples
    --------
    >>> x = np.array([1.0, 3.0]).reshape(1, 1, 2, 1)
    >>> instance_norm(x, np.ones(1), np.zeros(1), eps=1e-12).round(6).ravel()
    array([-1.,  1.])
    """
    return group_norm(x, gamma, beta, x.shape[-1], eps=eps)


def instance_norm_backward(dy: Array, x: Array, gamma: Array, *, eps: float = 1e-5) -> Gradients:
    """Propagate delta back through `instance_norm`: `group_norm_backward` with one channel per group.

    >>> x = np.array([1.0, 3.0]).reshape(1, 1, 2, 1)
    >>> instance_norm_backward(np.ones_like(x), x, np.ones(1))[2]
    array([2.])
    """
    return group_norm_backward(dy, x, gamma, x.shape[-1], eps=eps)


def _moments(x: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """Return mean and biased variance, keeping their axes. In two passes: E[x^2] - E[x]^2 suffers from cancellation."""
    mean = x.mean(axes, keepdims=True)
    var: Array = np.square(x - mean).mean(axes, keepdims=True)
    record("mean", mean)
    record("var", var)
    return mean, var


def _scaled(xhat: Array, gamma: Array, beta: Array) -> Array:
    record("xhat", xhat)
    y: Array = xhat * gamma + beta
    record("y", y)
    return y


def _backward(
    dy: Array, xhat: Array, r: Array, gamma: Array, axes: tuple[int, ...], shared: tuple[int, ...]
) -> Gradients:
    """Return the three gradients; sets extend over `axes`, parameters are shared along `shared`."""
    dx = _three_terms(dy * gamma, xhat, r, axes)
    dgamma, dbeta = _parameter_gradients(dy, xhat, shared)
    record("dx", dx)
    return dx, dgamma, dbeta


def _three_terms(g: Array, xhat: Array, r: Array, axes: tuple[int, ...]) -> Array:
    along_ones = g.mean(axes, keepdims=True)
    along_xhat = (g * xhat).mean(axes, keepdims=True)
    record("mean_g", along_ones)
    record("mean_g_xhat", along_xhat)
    dx: Array = r * (g - along_ones - xhat * along_xhat)
    return dx


def _parameter_gradients(dy: Array, xhat: Array, shared: tuple[int, ...]) -> tuple[Array, Array]:
    dgamma, dbeta = (dy * xhat).sum(shared), dy.sum(shared)
    record("dgamma", dgamma)
    record("dbeta", dbeta)
    return dgamma, dbeta


def _grouped(name: str, x: Array, groups: int) -> Array:
    """Return x as (N, pixels, groups, channels of a group)."""
    if isinstance(groups, bool) or not isinstance(groups, (int, np.integer)) or groups < 1:
        raise ArgumentError(f"{name}: groups must be an int, at least 1; it is {groups!r}")
    if x.shape[-1] % groups:
        raise ShapeError(f"{name}: groups must divide the channels; x has {x.shape[-1]} channels, groups={groups}")
    return x.reshape(x.shape[0], -1, groups, x.shape[-1] // groups)


def _last_axes(name: str, x: Array, axes: int, eps: float) -> tuple[int, ...]:
    _check_float(name, x, eps)
    if not 1 <= axes < x.ndim:
        raise ArgumentError(
            f"{name}: axes is the number of last axes, from 1 to {x.ndim - 1} for x of shape {x.shape}; it is {axes}"
        )
    return tuple(range(x.ndim - axes, x.ndim))


def _check_maps(name: str, x: Array, eps: float) -> None:
    _check_float(name, x, eps)
    if x.ndim not in (2, 4):
        raise ShapeError(f"{name}: x must have shape (N, H, W, C) or (N, C); it has {x.shape}")


def _check_float(name: str, x: Array, eps: float) -> None:
    if x.dtype.type not in FLOATS:
        raise ArgumentError(f"{name}: x must be float32 or float64; it is {x.dtype}; convert it with x.astype")
    if not eps > 0:
        raise ArgumentError(f"{name}: eps must be above 0, it keeps the root away from zero; it is {eps!r}")


def _check_parameters(name: str, x: Array, gamma: Array, beta: Array, shape: tuple[int, ...]) -> None:
    if gamma.shape != shape or beta.shape != shape:
        raise ShapeError(
            f"{name}: the parameters must have shape {shape} for x of shape {x.shape}; "
            f"they have {gamma.shape} and {beta.shape}"
        )


def _check_delta(name: str, dy: Array, x: Array) -> None:
    if dy.shape != x.shape:
        raise ShapeError(f"{name}: dy must have the shape of x, {x.shape}; it is {dy.shape}")
