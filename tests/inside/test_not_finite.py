"""Whoever looks inside a network is told of infinities and NaN, with their place, and no raw warning."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rot180
from rot180 import NonFiniteError, Sequential
from rot180.inside import journey
from rot180.inside.explain import explain
from rot180.inside.health import health
from rot180.ops.types import Array
from rot180.runs.draw import draw_images

LABELS = np.arange(6) % 3
LOOKS: dict[str, Callable[[Sequential, Array], Any]] = {
    "journey": lambda model, images: journey(model, images, LABELS),
    "health": lambda model, images: health(model, None, images, LABELS),
    "explain": lambda model, images: explain(model, images, "conv1.output[0,0,0]", LABELS),
    "pictures": lambda model, images: draw_images(None, model, images, LABELS, ("a", "b", "c")),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("image", r"2 of 6 images contain infinity or NaN, the first is image 1 \(1 of 36 values\)"),
        ("weight", r"1 of 18 values of conv1.weight are infinite or NaN"),
        ("output", r"image 0: the outputs are not finite; the first .* the output of fc1, whose input reaches"),
    ],
)
def test_what_is_not_finite_is_named(look: str, damage: str, message: str) -> None:
    model = rot180.network("6x6x1 > conv3x3:2 relu > fc3").build(seed=0)
    images = np.full((6, 6, 6, 1), 0.5, np.float32)
    if damage == "image":
        images[1, 2, 3], images[4] = np.nan, np.inf
    elif damage == "weight":
        model.parameters["conv1.weight"][0, 0, 0, 0] = np.nan
    else:
        model.parameters["conv1.weight"][:] = 1e20
        model.parameters["fc1.weight"][:] = 1e38
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(NonFiniteError, match=message):
            LOOKS[look](model, images)
