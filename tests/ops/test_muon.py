"""Orthogonal matrices by products, and the optimizer's step along them."""

import numpy as np
import pytest

from rot180.errors import ArgumentError, ShapeError
from rot180.ops import muon_update, orthogonalize
from rot180.ops.recorder import listening


def by_singular_values(matrix):
    """The polynomial applied to the singular values themselves."""
    u, s, v = np.linalg.svd(matrix, full_matrices=False)
    s = s / np.linalg.norm(s)
    for _ in range(5):
        s = 3.4445 * s - 4.775 * s**3 + 2.0315 * s**5
    return u * s @ v


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (5, 5), (27, 8), (8, 27), (90, 40)])
def test_it_is_the_polynomial_of_the_singular_values(shape):
    matrix = np.random.default_rng(0).normal(size=shape)
    found = orthogonalize(matrix)
    np.testing.assert_allclose(found, by_singular_values(matrix), atol=1e-13)
    assert found.flags.c_contiguous
    assert orthogonalize(matrix.astype(np.float32)).dtype == np.float32
    np.testing.assert_allclose(orthogonalize(matrix.astype(np.float32)), found, atol=1e-5)


def test_all_directions_count_alike():
    rng = np.random.default_rng(1)
    u, v = np.linalg.qr(rng.normal(size=(60, 12)))[0], np.linalg.qr(rng.normal(size=(12, 12)))[0]
    found = np.linalg.svd(orthogonalize(u * np.logspace(0, -1.5, 12) @ v))[1]
    assert found.min() > 0.6
    assert found.max() < 1.21


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1e30])
def test_the_size_of_the_gradient_does_not_matter(scale):
    matrix = np.random.default_rng(2).normal(size=(6, 4)).astype(np.float32)
    np.testing.assert_allclose(orthogonalize(np.float32(scale) * matrix), orthogonalize(matrix), atol=1e-5)


def test_zeros_stay_zeros():
    np.testing.assert_array_equal(orthogonalize(np.zeros((3, 2))), 0)
    assert orthogonalize(np.zeros((0, 2))).shape == (0, 2)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_the_step(weight_decay):
    rng = np.random.default_rng(3)
    w, m = rng.normal(size=(3, 3, 4, 5)), np.zeros((3, 3, 4, 5))
    expected, mean = w.copy(), m.copy()
    for _ in range(3):
        dw = rng.normal(size=w.shape)
        kept = dw.copy()
        muon_update(w, dw, m, lr=0.05, beta=0.8, weight_decay=weight_decay)
        np.testing.assert_array_equal(dw, kept)
        mean = 0.8 * mean + 0.2 * dw
        direction = by_singular_values((0.8 * mean + 0.2 * dw).reshape(36, 5)).reshape(w.shape)
        expected = expected - 0.05 * weight_decay * expected - 0.05 * 0.2 * 6 * direction
    np.testing.assert_allclose(w, expected, rtol=1e-10)
    np.testing.assert_allclose(m, mean, rtol=1e-12)


def test_a_step_is_about_as_long_as_one_of_adam():
    for shape in [(3, 3, 64, 64), (1, 1, 8, 128), (5, 5, 3, 20)]:
        w, dw = np.zeros(shape), np.random.default_rng(4).normal(size=shape)
        muon_update(w, dw, np.zeros(shape), lr=1.0)
        assert 0.14 < np.sqrt(np.mean(w**2)) < 0.25


def test_names_are_recorded():
    seen = {}
    w, dw = np.ones((2, 3)), np.eye(2, 3)
    with listening(lambda name, array: seen.update({name: array.copy()})):
        muon_update(w, dw, np.zeros((2, 3)), lr=0.1)
    assert list(seen) == ["m", "direction", "update"]
    np.testing.assert_allclose(seen["update"], w - 1)
    np.testing.assert_allclose(seen["update"], -0.1 * seen["direction"])


def test_mistakes_are_refused():
    a = np.ones((2, 3))
    with pytest.raises(ShapeError, match=r"orthogonalize: expected a matrix; it is \(3,\)"):
        orthogonalize(np.ones(3))
    with pytest.raises(ShapeError, match=r"muon_update: m must have the shape of w, \(2, 3\); it is \(3, 2\)"):
        muon_update(a, a, a.T, lr=0.1)
    with pytest.raises(ShapeError, match="muon_update: w must have at least two axes"):
        muon_update(a[0], a[0], a[0], lr=0.1)
    with pytest.raises(ArgumentError, match="beta must be at least 0 and below 1; it is 1"):
        muon_update(a, a, a, lr=0.1, beta=1)
