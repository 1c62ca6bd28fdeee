r"""The rules by which optimizers change weights, in place, as PyTorch defines them.

In all of them g is the gradient dL/dw, and L2 weight decay adds the gradient of (weight_decay / 2) * |w|^2 to it:

    g = dw + weight_decay * w

**SGD** steps against g; momentum keeps a velocity, the decaying sum of past gradients, and Nesterov's form looks one
step ahead along it:

    velocity = momentum * velocity + g,     w -= lr * velocity
    Nesterov:                               w -= lr * (g + momentum * velocity)

**Adam** keeps running means of the gradient and of its square. Both start at zero, so after t steps their weights sum
only to 1 - beta^t, and they are divided by it:

    m = beta1 * m + (1 - beta1) * g,        m_hat = m / (1 - beta1^t)
    v = beta2 * v + (1 - beta2) * g^2,      v_hat = v / (1 - beta2^t)
    w -= lr * m_hat / (sqrt(v_hat) + eps)

**AdamW** keeps weight decay out of g, where the division by sqrt(v_hat) would even it out, and instead shrinks the
weights themselves before the step: w -= lr * weight_decay * w.

**RMSprop** divides by the square root of the running mean of the squared gradient alone:

    square = alpha * square + (1 - alpha) * g^2,     w -= lr * g / (sqrt(square) + eps)

**Clipping** keeps a step from being thrown far off by one large gradient. It shortens the gradient of all parameters
together, and so keeps its direction, if its norm is above a limit:

    |dw| = sqrt(sum of the squares of all gradients),     dw *= clip_norm / |dw|    if |dw| > clip_norm

**The exponential moving average** of the weights is no rule of an optimizer but follows each of its steps. It is less
noisy than the weights themselves, which large steps keep moving around the minimum:

    average = decay * average + (1 - decay) * w

The arrays are processed in blocks that stay in the processor's cache through all passes of a rule, so the scratch
arrays are small and only w, dw and the state travel to memory and back.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np

from rot180.errors import ArgumentError, ShapeError
from rot180.ops.recorder import is_listening, record
from rot180.ops.types import Array

__all__ = ["adam_update", "clip_by_norm", "ema_update", "rmsprop_update", "sgd_update"]

BLOCK = 65_536
"""Numbers per block. Adam on 1.66 million float32 took 4.4 ms in blocks of 4,096, 2.4 of 16,384, 1.8 of 65,536."""


def sgd_update(
    w: Array,
    dw: Array,
    velocity: Array | None = None,
    *,
    lr: float,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
) -> None:
    r"""Take one step of stochastic gradient descent.

    velocity = momentum * velocity + g,     w -= lr * velocity,     g = dw + weight_decay * w

    Parameters
    ----------
    w : array of float32 or float64, any shape
        Weights; changed in place.
    dw : array of w's shape
        dL/dw; not changed.
    velocity : array of w's shape, optional
        Zero before the first step; changed in place. Not needed without momentum.
    lr : float
        Learning rate, in units of w per unit of dw.
    momentum : float
        The fraction of the velocity that is kept from step to step.
    nesterov : bool
        Step along g + momentum * velocity.
    weight_decay : float
        L2 penalty.

    Raises
    ------
    ShapeError
        The shapes differ.
    ArgumentError
        Momentum is given without a velocity, or `nesterov` without momentum.

    References
    ----------
    Sutskever, Martens, Dahl and Hinton (2013), On the importance of initialization and momentum in deep learning.

    Examples
    --------
    >>> w, velocity = np.array([1.0, 2.0]), np.zeros(2)
    >>> for _ in range(2):
    ...     sgd_update(w, np.array([1.0, -1.0]), velocity, lr=0.5, momentum=0.5)
    >>> w, velocity
    (array([-0.25,  3.25]), array([ 1.5, -1.5]))
    """
    if momentum and velocity is None:
        raise ArgumentError(f"sgd_update: momentum {momentum!r} needs a velocity; give an array of zeros of w's shape")
    if nesterov and not momentum:
        raise ArgumentError("sgd_update: nesterov needs momentum, which is 0; give momentum=0.9 or leave nesterov out")
    before = w.copy() if is_listening() else None
    state = {"velocity": velocity} if momentum and velocity is not None else {}
    for blocks in _blocks("sgd_update", w, {"dw": dw, **state}):
        wb, g = blocks[0], _decayed(blocks[0], blocks[1], weight_decay)
        if momentum:
            vb = blocks[2]
            vb *= momentum
            vb += g  # velocity = momentum * velocity + g
            g = g + momentum * vb if nesterov else vb
        wb -= lr * g
    if before is not None:
        if momentum and velocity is not None:
            record("velocity", velocity)
        update = w - before
        record("update", update)


def adam_update(
    w: Array,
    dw: Array,
    m: Array,
    v: Array,
    *,
    step: int,
    lr: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled: bool = False,
) -> None:
    r"""Take one step of Adam, or of AdamW.

    m = beta1*m + (1 - beta1)*g,   v = beta2*v + (1 - beta2)*g^2,   w -= lr * m_hat / (sqrt(v_hat) + eps)

    Parameters
    ----------
    w : array of float32 or float64, any shape
        Weights; changed in place.
    dw : array of w's shape
        dL/dw; not changed.
    m, v : arrays of w's shape
        Running means of the gradient and of its square; zero before the first step; changed in place.
    step : int
        The number of this step, from 1.
    lr : float
        Learning rate, in units of w: no weight moves much further in one step.
    beta1, beta2 : float
        The fraction of each running mean that is kept from step to step.
    eps : float
        Added to the square root, in units of dw.
    weight_decay : float
        L2 penalty, or with `decoupled` the shrinking rate.
    decoupled : bool
        If True, AdamW: w -= lr * weight_decay * w before the step, and g = dw.

    Raises
    ------
    ShapeError
        The shapes differ.
    ArgumentError
        The step is below 1.

    References
    ----------
    Kingma and Ba (2015), arXiv:1412.6980. Loshchilov and Hutter (2019), arXiv:1711.05101.

    Examples
    --------
    The first step has the size lr against the sign of the gradient, whatever its magnitude:

    >>> w = np.array([1.0, 2.0])
    >>> adam_update(w, np.array([300.0, -0.5]), np.zeros(2), np.zeros(2), step=1, lr=0.25)
    >>> w.round(6)
    array([0.75, 2.25])
    """
    if step < 1:
        raise ArgumentError(f"adam_update: step counts from 1; it is {step!r}; give 1 at the first update")
    before = w.copy() if is_listening() else None
    bias1, root_bias2 = 1 - beta1**step, math.sqrt(1 - beta2**step)
    for wb, gb, mb, vb in _blocks("adam_update", w, {"dw": dw, "m": m, "v": v}):
        if decoupled:
            g = gb
            if weight_decay:
                wb *= 1 - lr * weight_decay
        else:
            g = _decayed(wb, gb, weight_decay)
        scratch: Array = g * (1 - beta1)
        mb *= beta1
        mb += scratch  # m = beta1 * m + (1 - beta1) * g
        np.multiply(g, g, out=scratch)
        scratch *= 1 - beta2
        vb *= beta2
        vb += scratch  # v = beta2 * v + (1 - beta2) * g^2
        # sqrt(v_hat) = sqrt(v) / sqrt(1 - beta2^t), m_hat's divisor joins the learning rate: two passes fewer.
        np.sqrt(vb, out=scratch)
        scratch *= 1 / root_bias2
        scratch += eps
        np.divide(mb, scratch, out=scratch)
        scratch *= lr / bias1
        wb -= scratch
    if before is not None:
        record("m", m)
        record("v", v)
        m_hat, v_hat = m / bias1, v / root_bias2**2
        record("m_hat", m_hat)
        record("v_hat", v_hat)
        update = w - before
        record("update", update)


def rmsprop_update(
    w: Array,
    dw: Array,
    square: Array,
    *,
    lr: float,
    alpha: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> None:
    r"""Take one step of RMSprop.

    square = alpha*square + (1 - alpha)*g^2,     w -= lr * g / (sqrt(square) + eps)

    Parameters
    ----------
    w : array of float32 or float64, any shape
        Weights; changed in place.
    dw : array of w's shape
        dL/dw; not changed.
    square : array of w's shape
        Running mean of the squared gradient; zero before the first step; changed in place.
    lr : float
        Learning rate, in units of w.
    alpha : float
        The fraction of the running mean that is kept from step to step.
    eps : float
        Added to the square root, in units of dw.
    weight_decay : float
        L2 penalty.

    Raises
    ------
    ShapeError
        The shapes differ.

    References
    ----------
    Tieleman and Hinton (2012), Neural networks for machine learning, lecture 6.5.

    Examples
    --------
    >>> w = np.array([1.0, 2.0])
    >>> rmsprop_update(w, np.array([300.0, -0.5]), np.zeros(2), lr=0.25, alpha=0.75)
    >>> w.round(6)
    array([0.5, 2.5])
    """
    before = w.copy() if is_listening() else None
    for wb, gb, sb in _blocks("rmsprop_update", w, {"dw": dw, "square": square}):
        g = _decayed(wb, gb, weight_decay)
        scratch: Array = g * g
        scratch *= 1 - alpha
        sb *= alpha
        sb += scratch  # square = alpha * square + (1 - alpha) * g^2
        np.sqrt(sb, out=scratch)
        scratch += eps
        np.divide(g, scratch, out=scratch)
        scratch *= lr
        wb -= scratch
    if before is not None:
        record("square", square)
        update = w - before
        record("update", update)


def clip_by_norm(gradients: Mapping[str, Array], *, clip_norm: float) -> tuple[dict[str, Array], float]:
    r"""Shorten gradients so that their norm, over all of them together, is at most `clip_norm`.

    Parameters
    ----------
    gradients : mapping of str to array of float32 or float64
        Not changed.
    clip_norm : float
        The largest norm, above 0.

    Returns
    -------
    gradients : dict of str to array
        New arrays if they were shortened, else the given ones.
    norm : float
        The norm before, in float64.

    References
    ----------
    Pascanu, Mikolov and Bengio (2013), arXiv:1211.5063.

    Examples
    --------
    >>> clipped, norm = clip_by_norm({"w": np.array([3.0, 0.0]), "b": np.array([4.0])}, clip_norm=1.0)
    >>> norm, clipped["w"], clipped["b"]
    (5.0, array([0.6, 0. ]), array([0.8]))
    """
    with np.errstate(over="ignore"):
        norm = math.sqrt(sum(_sum_of_squares(gradient) for gradient in gradients.values()))
    if math.isinf(norm):  # the squares overflow in float64
        largest = max(float(np.abs(gradient).max(initial=0.0)) for gradient in gradients.values())
        norm = largest * math.sqrt(sum(_sum_of_squares(gradient / largest) for gradient in gradients.values()))
    if norm <= clip_norm:
        return dict(gradients), norm
    return {name: gradient * (clip_norm / norm) for name, gradient in gradients.items()}, norm


def _sum_of_squares(array: Array) -> float:
    flat = array.reshape(-1)
    blocks = (flat[start : start + BLOCK].astype(np.float64) for start in range(0, flat.size, BLOCK))
    return sum(float(np.square(block, out=block).sum()) for block in blocks)


def ema_update(average: Array, w: Array, *, decay: float) -> None:
    r"""Move the exponential moving average of weights toward them.

    average += (1 - decay) * (w - average)

    Parameters
    ----------
    average : array of float32 or float64, any shape
        The average so far; changed in place.
    w : array of average's shape
        Weights; not changed.
    decay : float
        The fraction of the average that is kept, in [0, 1]: it covers about the last 1 / (1 - decay) steps.

    Raises
    ------
    ShapeError
        The shapes differ.

    References
    ----------
    Polyak and Juditsky (1992), Acceleration of stochastic approximation by averaging.

    Examples
    --------
    >>> average = np.array([1.0, 2.0])
    >>> ema_update(average, np.array([5.0, 2.0]), decay=0.75)
    >>> average
    array([2., 2.])
    """
    for wb, ab in _blocks("ema_update", w, {"average": average}):
        ab += (1 - decay) * (wb - ab)


def _blocks(name: str, w: Array, others: dict[str, Array]) -> Iterator[tuple[Array, ...]]:
    """Yield views of the same block of w and the others; the whole arrays at once if they are not contiguous."""
    for what, array in others.items():
        if array.shape != w.shape:
            raise ShapeError(
                f"{name}: {what} must have the shape of w, {w.shape}; it is {array.shape}; give the arrays of one layer"
            )
    arrays = (w, *others.values())
    if not all(array.flags.c_contiguous for array in arrays):
        yield arrays
        return
    flat = [array.reshape(-1) for array in arrays]
    for start in range(0, w.size, BLOCK):
        yield tuple(array[start : start + BLOCK] for array in flat)


def _decayed(w: Array, dw: Array, weight_decay: float) -> Array:
    """Return g = dw + weight_decay * w."""
    return dw + weight_decay * w if weight_decay else dw
