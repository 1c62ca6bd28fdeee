"""Which part of an image a decision rests on: three answers, which need not agree.

Saliency: how strongly the output of a class would change with each pixel, the size of its gradient. Grad-CAM: where the
last feature maps speak for the class, each map weighted by the mean gradient of its values. Occlusion: by how much the
probability of the class falls when a patch of the image is covered.

References
----------
Simonyan, Vedaldi and Zisserman (2013), arXiv:1312.6034. Selvaraju et al. (2016), arXiv:1610.02391. Zeiler and Fergus
(2013), arXiv:1311.2901.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from rot180.errors import ArgumentError, ShapeError
from rot180.nn.network import Network
from rot180.nn.walk import input_delta
from rot180.ops.types import Array
from rot180.training.diagnosis import refuse_non_finite
from rot180.training.predict import predict

__all__ = ["Attribution", "attribution"]

PLACES = 14
"""The most places of the patch along each side of the image."""


@dataclass(frozen=True)
class Attribution:
    """What a class's output owes to each part of an image.

    Attributes
    ----------
    saliency : (H, W)
        The largest magnitude over the channels of the output's gradient, per unit of a preprocessed pixel.
    layer : str
        Whose maps Grad-CAM weighs: the last one whose output is maps; empty if there is none.
    grad_cam : (h, w)
        Their weighted sum, where it is positive, in the unit of the output; of no size without maps.
    occlusion : (H, W)
        The probability of the class minus that with the patch over this place, its mean over the patches that cover it.
    patch : int
        The side of the patch, in pixels.
    """

    saliency: Array
    layer: str
    grad_cam: Array
    occlusion: Array
    patch: int


def attribution(
    model: Network,
    image: Array,
    label: int,
    *,
    patch: int | None = None,
    engine: str = "auto",
    run: Callable[[Array], Array] | None = None,
) -> Attribution:
    """Attribute a class's output to the parts of an image.

    Parameters
    ----------
    model : Network
        Built; classifies images.
    image : (H, W, C)
        As in the data; the model's preprocessing is applied.
    label : int
        The class asked about.
    patch : int, optional
        The side of the patch that covers the image, in pixels; by default a quarter of the shorter side.
    engine : str
        As in `predict`, for the covered images.
    run : callable, optional
        Called instead of `predict` with the covered images, as those in the data; returns their probabilities.

    Raises
    ------
    ArgumentError
        There is no such class, or the patch is larger than the image.
    ShapeError
        The network takes other images, or returns maps.

    Examples
    --------
    >>> import rot180
    >>> model = rot180.network("4x4x1 > fc2:nobias").build(seed=0)
    >>> found = attribution(model, np.full((4, 4, 1), 255, np.uint8), 1)
    >>> np.array_equal(found.saliency.ravel(), np.abs(model.parameters["fc1.weight"][:, 1]))
    True
    """
    image = np.asarray(image)
    if image.shape != model.input_shape or len(model.output_shape) != 1:
        raise ShapeError(
            f"attribution takes one image {model.input_shape} of a network that classifies; got {image.shape}, and an "
            f"output {model.output_shape}"
        )
    classes = model.output_shape[0]
    if not 0 <= label < classes:
        raise ArgumentError(f"attribution: label must be from 0 to {classes - 1}; it is {label}")
    shorter = min(image.shape[:2])
    patch = max(shorter // 4, 1) if patch is None else patch
    if not 1 <= patch <= shorter:
        raise ArgumentError(f"attribution: patch must be from 1 to {shorter} pixels; it is {patch}")
    refuse_non_finite(model, image[np.newaxis])
    x = model.preprocessing(image[np.newaxis], dtype=model.dtype)
    steps = list(model.walk(x))
    if run is None:
        run = partial(predict, model, engine=engine)
    delta = np.zeros_like(steps[-1].y)
    delta[0, label] = 1
    maps = max((step.place for step in steps if step.y.ndim == 4), default=None)
    of_pixels: Array | None = None
    layer, cam = "", np.zeros((0, 0), x.dtype)
    for back in model.walk_back(delta, [step.saved for step in steps], needs_dx=True):
        of_pixels = input_delta(model.nodes, back, of_pixels)
        if back.place == maps:
            layer, values = back.layer.name, steps[back.place].y[0]
            weights = back.delta[0].mean(axis=(0, 1))
            cam = np.maximum(values @ weights, 0)
    saliency: Array = np.abs(np.asarray(of_pixels)[0]).max(axis=2)
    return Attribution(saliency, layer, cam, _occlusion(image, label, patch, run), patch)


def _occlusion(image: Array, label: int, patch: int, run: Callable[[Array], Array]) -> Array:
    """Cover each place in turn with the mean of the image."""
    height, width = image.shape[:2]
    rows, columns = (
        np.unique(np.linspace(0, size - patch, min(size - patch + 1, PLACES)).round().astype(int))
        for size in (height, width)
    )
    places = [(int(i), int(j)) for i in rows for j in columns]
    covered = np.repeat(image[np.newaxis], len(places) + 1, axis=0)
    gray = image.mean(axis=(0, 1)).astype(image.dtype)
    for number, (i, j) in enumerate(places, 1):
        covered[number, i : i + patch, j : j + patch] = gray
    probability = run(covered)[:, label].astype(np.float64)
    falls, times = np.zeros((height, width)), np.zeros((height, width))
    for number, (i, j) in enumerate(places, 1):
        falls[i : i + patch, j : j + patch] += probability[0] - probability[number]
        times[i : i + patch, j : j + patch] += 1
    return falls / np.maximum(times, 1)
