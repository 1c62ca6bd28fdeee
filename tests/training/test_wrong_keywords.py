"""A wrong keyword is answered with the right one, by functions as by classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rot180
from rot180.errors import ArgumentError

IMAGES, LABELS = np.zeros((2, 8, 8, 1), np.uint8), np.zeros(2, np.int64)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (
            lambda model: rot180.fit(model, (IMAGES, LABELS), epoch=1),
            r"fit has no argument 'epoch'; did you mean 'epochs'",
        ),
        (lambda model: rot180.fit(model, (IMAGES, LABELS), optimiser="sgd"), r"did you mean 'optimizer'\?"),
        (lambda model: rot180.evaluate(model, IMAGES, LABELS, batchsize=1), r"evaluate has .*mean 'batch_size'"),
        (lambda model: rot180.predict(model, IMAGES, engin="numpy"), r"predict has .*mean 'engine'"),
    ],
)
def test_a_wrong_keyword_is_answered_with_the_right_one(call: Callable[[Any], object], says: str) -> None:
    with pytest.raises(ArgumentError, match=says):
        call(rot180.network("8x8x1 > fc10").build())
