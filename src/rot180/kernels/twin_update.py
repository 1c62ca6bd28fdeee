"""The compiled twins of `rot180.ops.update`."""

from __future__ import annotations

from rot180.errors import ArgumentError, ShapeError
from rot180.kernels import update as rules
from rot180.kernels.averaging import ema
from rot180.kernels.operands import contiguous, float_type
from rot180.ops.types import Array


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
    """Compiled twin of `rot180.ops.sgd_update`."""
    if momentum and velocity is None:
        raise ArgumentError(f"sgd_update: momentum {momentum!r} needs a velocity; give an array of zeros of w's shape")
    if nesterov and not momentum:
        raise ArgumentError("sgd_update: nesterov needs momentum, which is 0; give momentum=0.9 or leave nesterov out")
    rule = (rules.NESTEROV if nesterov else rules.MOMENTUM) if momentum else rules.SGD
    hyper = rules.hyper_parameters(rule, lr=lr, momentum=momentum, weight_decay=weight_decay)
    state = {"velocity": velocity} if momentum and velocity is not None else {}
    _update("sgd_update", rule, hyper, w, dw, state)


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
    """Compiled twin of `rot180.ops.adam_update`."""
    if step < 1:
        raise ArgumentError(f"adam_update: step counts from 1; it is {step!r}; give 1 at the first update")
    rule = rules.ADAMW if decoupled else rules.ADAM
    hyper = rules.hyper_parameters(rule, step=step, lr=lr, beta1=beta1, beta2=beta2, eps=eps, weight_decay=weight_decay)
    _update("adam_update", rule, hyper, w, dw, {"m": m, "v": v})


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
    """Compiled twin of `rot180.ops.rmsprop_update`."""
    hyper = rules.hyper_parameters(rules.RMSPROP, lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay)
    _update("rmsprop_update", rules.RMSPROP, hyper, w, dw, {"square": square})


def ema_update(average: Array, w: Array, *, decay: float) -> None:
    """Compiled twin of `rot180.ops.ema_update`."""
    if average.shape != w.shape:
        raise ShapeError(
            f"ema_update: average must have the shape of w, {w.shape}; it is {average.shape}; give the arrays of one "
            f"layer"
        )
    float_type("ema_update", average=average, w=w)
    piece = contiguous(average, w.dtype)
    ema(piece.reshape(-1), contiguous(w, w.dtype).reshape(-1), 1 - decay)
    if piece is not average:
        average[...] = piece


def _update(name: str, rule: int, hyper: Array, w: Array, dw: Array, state: dict[str, Array]) -> None:
    for what, array in {"dw": dw, **state}.items():
        if array.shape != w.shape:
            raise ShapeError(
                f"{name}: {what} must have the shape of w, {w.shape}; it is {array.shape}; give the arrays of one layer"
            )
    float_type(name, w=w, dw=dw, **state)
    changed = [w, *state.values()]
    pieces = [contiguous(array, w.dtype) for array in changed]
    flat = [piece.reshape(-1) for piece in pieces]
    m, v = flat[1] if len(flat) > 1 else flat[0], flat[-1]
    rules.update(rule, flat[0], contiguous(dw, w.dtype).reshape(-1), m, v, hyper)
    for array, piece in zip(changed, pieces, strict=True):
        if piece is not array:
            array[...] = piece
