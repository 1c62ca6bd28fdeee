"""Each mistake made on purpose is found, named, and changes the training from its second batch on."""

from __future__ import annotations

import pytest

from rot180.errors import ArgumentError
from rot180.inside.bugs import BUGS, BenchResult, bug_bench

FOUND = {
    "no-rotation": (("conv1", "conv2"), "rotated"),
    "bias-not-summed": (("conv1", "conv2"), "sum"),
    "divided-twice": (("loss",), "twice"),
    "every-tie": (("pool1",), "tie"),
}


@pytest.fixture(scope="module", params=list(BUGS))
def result(request: pytest.FixtureRequest) -> BenchResult:
    return bug_bench(request.param, epochs=1)


def test_both_begin_alike_and_part(result: BenchResult) -> None:
    assert result.right[0] == result.wrong[0]
    assert result.right[1:] != result.wrong[1:]
    assert result.right[-1] < 0.8 * result.right[0]


def test_the_check_that_should_find_it_does(result: BenchResult) -> None:
    if result.bug == "no-bias-correction":
        assert result.gradients.passed
        assert "correct" in " ".join(result.optimizer.mistakes)
        return
    blamed, word = FOUND[result.bug]
    assert result.optimizer.passed
    assert result.gradients.blamed == blamed
    assert word in " ".join(result.gradients.mistakes.values())


def test_an_unknown_bug_is_told() -> None:
    with pytest.raises(ArgumentError, match="unknown bug 'norotation'; did you mean 'no-rotation'"):
        bug_bench("norotation")
