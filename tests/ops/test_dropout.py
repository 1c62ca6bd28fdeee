"""Dropout: its mask, its expectation and its gradient."""

from __future__ import annotations

import numpy as np
import pytest

from rot180.errors import ArgumentError, ShapeError
from rot180.inside.gradient_check import check_operation
from rot180.ops import dropout, dropout_backward, dropout_mask
from rot180.ops.recorder import listening


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9])
def test_the_mask_keeps_the_expected_value(rate):
    mask = dropout_mask((100, 1000), rate, np.random.default_rng(0), np.float64)
    np.testing.assert_allclose(np.unique(mask), [0, 1 / (1 - rate)] if rate else [1])
    assert np.mean(mask == 0) == pytest.approx(rate, abs=0.005)
    assert mask.mean() == pytest.approx(1, abs=0.02)


def test_a_seed_switches_the_same_units_off_in_either_type():
    single, double = (dropout_mask((50,), 0.5, np.random.default_rng(3), t) for t in (np.float32, np.float64))
    assert (single.dtype, double.dtype) == (np.float32, np.float64)
    np.testing.assert_array_equal(single, double)


def test_gradient():
    mask = dropout_mask((3, 4), 0.4, np.random.default_rng(0), np.float64)
    x = np.random.default_rng(1).normal(size=(3, 4))
    check = check_operation(lambda x: dropout(x, mask), lambda dy, x: {"x": dropout_backward(dy, mask)}, {"x": x})
    assert check.passed, check


def test_names_are_recorded():
    names = []
    with listening(lambda name, array: names.append(name)):
        mask = dropout_mask((3,), 0.5, np.random.default_rng(0))
        dropout_backward(dropout(mask, mask), mask)
    assert names == ["mask", "y", "dx"]


@pytest.mark.parametrize("rate", [-0.1, 1.0, 2, float("nan")])
def test_a_rate_out_of_range_is_refused(rate):
    with pytest.raises(ArgumentError, match="rate must be at least 0 and below 1"):
        dropout_mask((2,), rate, np.random.default_rng(0))


@pytest.mark.parametrize("op", [dropout, dropout_backward])
def test_different_shapes_are_refused(op):
    with pytest.raises(ShapeError, match=rf"{op.__name__}: mask must have the shape of \w+, \(2,\); it is \(3,\)"):
        op(np.ones(2), np.ones(3))
