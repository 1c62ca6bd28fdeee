"""The error function and the normal distribution function, to the last few digits."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest

from rot180.ops.error_function import BLOCK, erf, normal_distribution

PI = Decimal("3.14159265358979323846264338327950288419716939937510582")


def units(found: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """The differences, in units in the last place."""
    return np.abs(found - exact) / np.spacing(np.abs(exact))


def exact_distribution(x: float) -> float:
    """Phi(x) in fifty digits: below -2 by Laplace's continued fraction, which keeps those of the tail."""
    if x > 2:
        return 1 - exact_distribution(-x)
    with localcontext(prec=50):
        exact = Decimal(x)
        density = (-exact * exact / 2).exp() / (2 * PI).sqrt()
        if x < -2:
            fraction = -exact
            for n in range(400, 0, -1):
                fraction = n / fraction - exact
            return float(density / fraction)
        total = term = exact  # Phi(x) = 1/2 + phi(x) * (x + x^3/3 + x^5/(3*5) + ...)
        for n in range(1, 100):
            term *= exact * exact / (2 * n + 1)
            total += term
        return float(Decimal("0.5") + density * total)


def points(borders: list[float], seed: int) -> np.ndarray:
    """Numbers of all sizes with both signs, and those beside the borders between the formulas."""
    generator = np.random.default_rng(seed)
    edges = [np.nextafter(border, way) for border in borders for way in (0, border, 50)]
    sizes = np.concatenate([edges, 10.0 ** generator.uniform(-323, 308, 400), generator.exponential(2, 3_000)])
    return np.concatenate([sizes, -sizes, [5e-324, -5e-324]])


def test_erf_has_the_digits_of_the_scalar_function() -> None:
    x = np.concatenate([points([0.46875, 4.0], 0), np.linspace(-6.5, 6.5, 20_001)])
    exact = np.array([math.erf(value) for value in x])
    assert units(erf(x), exact).max() <= 5
    np.testing.assert_array_equal(np.signbit(erf(x)), np.signbit(x))


def test_the_normal_distribution_keeps_the_digits_of_its_tail() -> None:
    borders = [0.46875 * math.sqrt(2), 4 * math.sqrt(2)]
    x = np.concatenate([points(borders, 1)[::10], np.linspace(-38.6, 9, 500)])
    exact = np.array([exact_distribution(value) for value in x])
    assert exact[x < -38].max() < np.finfo(np.float64).tiny  # subnormal, and some of them zero
    assert units(normal_distribution(x), exact).max() <= 8


@pytest.mark.parametrize(
    ("function", "expected"), [(erf, [-1, -0.0, 0, 1, np.nan]), (normal_distribution, [0, 0.5, 0.5, 1, np.nan])]
)
def test_special_values(function, expected) -> None:
    with np.errstate(all="raise"):
        found = function(np.array([-np.inf, -0.0, 0.0, np.inf, np.nan]))
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(np.signbit(found[:4]), np.signbit(expected[:4]))


@pytest.mark.parametrize("function", [erf, normal_distribution])
def test_shapes_and_types(function) -> None:
    x = np.random.default_rng(2).normal(size=(3, BLOCK, 2)).astype(np.float32)
    exact = function(x.astype(np.float64))
    found = function(x)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, exact.astype(np.float32))  # rounded once
    np.testing.assert_array_equal(function(x[:, ::3].T), found[:, ::3].T)
    assert function(np.zeros((0, 4))).shape == (0, 4)
    assert function(np.array(0.0)).shape == ()
