"""Operators of ONNX: the format's own tests, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from rot180.interop.onnx.operators import OPERATORS

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from onnx_nodes import fault, stored


def test_the_formats_own_tests_pass() -> None:
    tests = list(stored())
    assert len(tests) == 459
    assert {test.name: fault(test) for test in tests if fault(test)} == {}


def test_a_wrong_result_would_be_noticed() -> None:
    test = next(test for test in stored() if test.name == "test_relu")
    wrong = test._replace(outputs=[test.outputs[0] + np.float32(0.01)])
    assert fault(wrong).startswith("output 0 differs by up to 0.01")
    assert fault(test._replace(outputs=[test.outputs[0].astype(np.float64)])).startswith("output 0 is float32")


@pytest.mark.parametrize("operator", OPERATORS)
def test_each_operator_names_the_versions_it_is_for(operator: str) -> None:
    assert all(1 <= since <= 28 for since in OPERATORS[operator])
