"""The fully connected layer against its definition and differences."""

from __future__ import annotations

import numpy as np
import pytest

from rot180.errors import ArgumentError, ShapeError
from rot180.inside.gradient_check import check_operation
from rot180.ops import linear, linear_backward
from rot180.ops.recorder import listening


@pytest.fixture
def arrays():
    generator = np.random.default_rng(0)
    return {"x": generator.normal(size=(3, 5)), "w": generator.normal(size=(5, 4)), "b": generator.normal(size=4)}


def test_the_definition(arrays):
    y = linear(**arrays)
    for n in range(3):
        for k in range(4):
            expected = arrays["b"][k] + sum(arrays["x"][n, i] * arrays["w"][i, k] for i in range(5))
            assert y[n, k] == pytest.approx(expected, rel=1e-13)
    np.testing.assert_allclose(linear(arrays["x"], arrays["w"]), y - arrays["b"], atol=1e-13)


def test_gradient(arrays):
    def backward(dy, x, w, b):
        return dict(zip("xwb", linear_backward(dy, x, w), strict=True))

    check = check_operation(linear, backward, arrays)
    assert check.passed, check


@pytest.mark.parametrize("needs", [(), ("x",), ("w",), ("b",), ("w", "b")])
def test_only_what_is_needed(arrays, needs):
    gradients = linear_backward(np.ones((3, 4)), arrays["x"], arrays["w"], needs=needs)
    assert tuple(n for n, g in zip("xwb", gradients, strict=True) if g is not None) == needs


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_type_is_carried(arrays, dtype):
    x, w, b = (arrays[name].astype(dtype) for name in "xwb")
    y = linear(x, w, b)
    assert {a.dtype for a in (y, *linear_backward(y, x, w))} == {np.dtype(dtype)}


def test_names_are_recorded(arrays):
    names = []
    with listening(lambda name, array: names.append(name)):
        linear_backward(linear(**arrays), arrays["x"], arrays["w"])
    assert names == ["x_w", "y", "dx", "dw", "db"]


def test_wrong_arguments_are_explained(arrays):
    x, w = arrays["x"], arrays["w"]
    with pytest.raises(ShapeError, match="x has 4 inputs but w expects 5"):
        linear(x[:, :4], w)
    with pytest.raises(ShapeError, match="flatten feature maps"):
        linear(np.ones((2, 2, 2, 1)), w)
    with pytest.raises(ShapeError, match=r"b must have one bias per unit, \(4,\); it is \(5,\)"):
        linear(x, w, np.ones(5))
    with pytest.raises(ShapeError, match=r"dy must have the shape of y, \(3, 4\); it is \(3, 5\)"):
        linear_backward(x, x, w)
    with pytest.raises(ArgumentError, match="needs may hold 'x', 'w' and 'b'"):
        linear_backward(np.ones((3, 4)), x, w, needs=("weight",))
