"""The update rules against the published formulas, written out plainly, over several steps."""

from __future__ import annotations

import numpy as np
import pytest

from rot180.errors import ArgumentError, ShapeError
from rot180.ops import adam_update, rmsprop_update, sgd_update
from rot180.ops import update as update_module
from rot180.ops.recorder import listening

STEPS = 6
SHAPE = (3, 4, 5)


def gradients(dtype=np.float64):
    generator = np.random.default_rng(1)
    return [generator.normal(size=SHAPE).astype(dtype) * 10.0 ** generator.integers(-3, 2) for _ in range(STEPS)]


def start(dtype=np.float64):
    return np.random.default_rng(0).normal(size=SHAPE).astype(dtype)


def plain_sgd(w, grads, lr, momentum, nesterov, weight_decay):
    """torch.optim.SGD's documented algorithm, dampening 0: the first velocity is the first gradient."""
    b = None
    for g in grads:
        g = g + weight_decay * w
        if momentum != 0:
            b = g if b is None else momentum * b + g
            g = g + momentum * b if nesterov else b
        w = w - lr * g
    return w


def plain_adam(w, grads, lr, beta1, beta2, eps, weight_decay, decoupled):
    """Kingma and Ba, algorithm 1, and Loshchilov and Hutter, algorithm 2 with PyTorch's lr * weight_decay."""
    m = v = np.zeros_like(w)
    for t, g in enumerate(grads, start=1):
        if decoupled:
            w = w - lr * weight_decay * w
        else:
            g = g + weight_decay * w
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat = m / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        w = w - lr * m_hat / (np.sqrt(v_hat) + eps)
    return w


def plain_rmsprop(w, grads, lr, alpha, eps, weight_decay):
    s = np.zeros_like(w)
    for g in grads:
        g = g + weight_decay * w
        s = alpha * s + (1 - alpha) * g**2
        w = w - lr * g / (np.sqrt(s) + eps)
    return w


@pytest.mark.parametrize("block", [7, 65_536])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.9, True)])
def test_sgd(monkeypatch, momentum, nesterov, weight_decay, block):
    monkeypatch.setattr(update_module, "BLOCK", block)
    w, velocity = start(), np.zeros(SHAPE) if momentum else None
    options = {"lr": 0.05, "momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay}
    for dw in gradients():
        sgd_update(w, dw, velocity, **options)
    np.testing.assert_allclose(w, plain_sgd(start(), gradients(), **options), rtol=1e-12)


@pytest.mark.parametrize("block", [7, 65_536])
@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_adam(monkeypatch, weight_decay, decoupled, block):
    monkeypatch.setattr(update_module, "BLOCK", block)
    w, m, v = start(), np.zeros(SHAPE), np.zeros(SHAPE)
    options = {"lr": 0.01, "beta1": 0.8, "beta2": 0.99, "eps": 1e-4}
    options |= {"weight_decay": weight_decay, "decoupled": decoupled}
    for step, dw in enumerate(gradients(), start=1):
        adam_update(w, dw, m, v, step=step, **options)
    np.testing.assert_allclose(w, plain_adam(start(), gradients(), **options), rtol=1e-12)


@pytest.mark.parametrize("block", [7, 65_536])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_rmsprop(monkeypatch, weight_decay, block):
    monkeypatch.setattr(update_module, "BLOCK", block)
    w, square = start(), np.zeros(SHAPE)
    options = {"lr": 0.01, "alpha": 0.9, "eps": 1e-4, "weight_decay": weight_decay}
    for dw in gradients():
        rmsprop_update(w, dw, square, **options)
    np.testing.assert_allclose(w, plain_rmsprop(start(), gradients(), **options), rtol=1e-12)


def steps_of(rule):
    """Run one rule over all steps on arrays that the caller made; w first."""
    if rule == "sgd":
        return lambda w, dw, a, b, step: sgd_update(w, dw, a, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01)
    if rule == "adam":
        return lambda w, dw, a, b, step: adam_update(w, dw, a, b, step=step, lr=0.01, weight_decay=0.01)
    return lambda w, dw, a, b, step: rmsprop_update(w, dw, a, lr=0.01, weight_decay=0.01)


@pytest.mark.parametrize("rule", ["sgd", "adam", "rmsprop"])
def test_types_stay_and_the_gradient_is_left_alone(rule):
    one_step = steps_of(rule)
    w, a, b = start(np.float32), np.zeros(SHAPE, np.float32), np.zeros(SHAPE, np.float32)
    w64, a64, b64 = start(), np.zeros(SHAPE), np.zeros(SHAPE)
    for step, dw in enumerate(gradients(np.float32), start=1):
        kept = dw.copy()
        one_step(w, dw, a, b, step)
        np.testing.assert_array_equal(dw, kept)
        one_step(w64, dw.astype(np.float64), a64, b64, step)
    assert w.dtype == a.dtype == np.float32
    np.testing.assert_allclose(w, w64, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("rule", ["sgd", "adam", "rmsprop"])
def test_arrays_that_are_not_in_one_piece(rule):
    one_step = steps_of(rule)
    w, a, b = start(), np.zeros(SHAPE), np.zeros(SHAPE)
    w_view = np.zeros((*SHAPE, 2))[..., 0]
    w_view[...] = start()
    a_view, b_view = np.asfortranarray(a.copy()), np.asfortranarray(b.copy())
    for step, dw in enumerate(gradients(), start=1):
        one_step(w, dw, a, b, step)
        one_step(w_view, np.asfortranarray(dw), a_view, b_view, step)
    np.testing.assert_array_equal(w_view, w)


def test_names_are_recorded():
    seen = {}
    w, dw = start(), gradients()[0]
    m, v = np.zeros(SHAPE), np.zeros(SHAPE)
    with listening(lambda name, array: seen.update({name: array.copy()})):
        adam_update(w, dw, m, v, step=1, lr=0.1)
    assert list(seen) == ["m", "v", "m_hat", "v_hat", "update"]
    np.testing.assert_allclose(seen["m_hat"], dw, rtol=1e-12)
    np.testing.assert_allclose(seen["v_hat"], dw**2, rtol=1e-12)
    np.testing.assert_allclose(seen["update"], w - start())
    seen.clear()
    with listening(lambda name, array: seen.update({name: array})):
        sgd_update(w, dw, m, lr=0.1, momentum=0.9)
    assert list(seen) == ["velocity", "update"]
    seen.clear()
    with listening(lambda name, array: seen.update({name: array})):
        rmsprop_update(w, dw, v, lr=0.1)
    assert list(seen) == ["square", "update"]


def test_a_scalar_parameter():
    w = np.array(1.0)
    sgd_update(w, np.array(2.0), lr=0.25)
    assert w == 0.5


def test_wrong_arguments_are_explained():
    w = np.ones(3)
    with pytest.raises(ArgumentError, match=r"momentum 0\.9 needs a velocity"):
        sgd_update(w, w, lr=0.1, momentum=0.9)
    with pytest.raises(ArgumentError, match="nesterov needs momentum"):
        sgd_update(w, w, w, lr=0.1, nesterov=True)
    with pytest.raises(ArgumentError, match="step counts from 1; it is 0"):
        adam_update(w, w, w, w, step=0, lr=0.1)
    with pytest.raises(ShapeError, match=r"adam_update: v must have the shape of w, \(3,\); it is \(1,\)"):
        adam_update(w, w, w, np.ones(1), step=1, lr=0.1)
    with pytest.raises(ShapeError, match=r"rmsprop_update: dw must have the shape of w, \(3,\); it is \(1,\)"):
        rmsprop_update(w, np.ones(1), w, lr=0.1)
