"""The network that a training starts with: of a model's name or notation, or one that was trained before."""

from __future__ import annotations

import copy
import re
from dataclasses import replace
from typing import Any

from rot180.errors import ArgumentError, NotationError, ShapeError
from rot180.nn import MODELS, Network, model
from rot180.nn.models import adapted_model, default_network
from rot180.runs.source import open_source, with_new_head
from rot180.training.batches import Examples
from rot180.training.head import compute_features, fit_head
from rot180.training.recipe import Recipe, fine_tuning, recipe

Shape = tuple[int, ...]

UPDATES = 500
"""The least number of updates by which a network of features is trained: each takes less than a millisecond."""

OF_FEATURES = Recipe(schedule="cosine", warmup=0.05, epochs=20)


def shape_of(given: Any) -> Shape | None:
    """Return the shape of the images that a model was made for; None if it leaves that open.

    >>> shape_of("8x8x1 > fc10"), shape_of("lenet5"), shape_of("conv3x3:8 relu > fc10"), shape_of(None)
    ((8, 8, 1), (28, 28, 1), None, None)
    """
    if isinstance(given, Network):
        try:
            return given.input_shape
        except ArgumentError:
            return None
    if given is None or not (given in MODELS or _begins_with_a_size(given)):
        return None
    return model(given).input_shape


def new_network(given: str | Network | None, shape: Shape, classes: int) -> tuple[Network, str]:
    """Return an unbuilt network for images or features of this shape, and the name by which a recipe knows it.

    Parameters
    ----------
    given : str, Network or None
        A model's name, which is adapted to the shape and the classes; the notation, with or without the size that it
        begins with; a network; or None for one that suits the data.
    shape : (H, W, C) or (n,)
    classes : int

    Raises
    ------
    ArgumentError, ShapeError
        The name or notation is invalid, or the network is for other images or another number of classes.
    """
    if isinstance(given, Network):
        made, name = Network(copy.deepcopy(given.nodes), input_shape=shape_of(given) or shape), ""
        made.preprocessing = given.preprocessing
    elif given is None:
        name = _suited(shape, classes)
        made = model(name)
    elif given in MODELS:
        name = given
        made = model(adapted_model(given, shape, classes) if len(shape) == 3 else given)
    else:
        name = given if _begins_with_a_size(given) else f"{_size(shape)} > {given}"
        try:
            made = model(name)
        except NotationError:
            if re.fullmatch(r"[\w.-]+", given):
                model(given)  # the error of a misspelled name
            raise
    if made.input_shape != shape:
        raise ShapeError(
            f"the model takes {_text(made.input_shape)}, but the samples are {_text(shape)}; give image_shape=(height, "
            f"width, channels) for flat images, or leave the size out of the model"
        )
    if made.output_shape != (classes,):
        raise ShapeError(
            f"the model must have one output for each of the {classes} classes; its output is "
            f"{_text(made.output_shape)}; end it in fc{classes}"
        )
    return made, name


def trained_before(weights: str, examples: Examples, classes: int, seed: int) -> Network:
    """Return the network of a file, run or name with a new last layer, trained on the features of these images.

    Raises
    ------
    ModelError, ShapeError, ArgumentError
        As from `rot180 train --from`.
    """
    source = open_source(str(weights)).model
    images, labels, sample_weights = examples
    height, width, channels = images.shape[1:]
    made = with_new_head(source, (height, width, channels), classes)
    made.preprocessing = replace(source.preprocessing, pixels=None)
    features = compute_features(made, images, mirrored=False)
    head = fit_head(features, labels, classes, sample_weights=sample_weights, seed=seed)
    last = made.layers[-1]
    made.state[f"{last.name}.weight"][...] = head.weight
    made.state[f"{last.name}.bias"][...] = head.bias
    return made


def recipe_of(name: str, shape: Shape, samples: int, *, is_trained: bool) -> Recipe:
    """Return the settings that suit a network: those of `rot180 train`, without augmentation."""
    if is_trained:
        chosen = fine_tuning(samples, freeze=False)
    elif len(shape) == 1:
        batch_size = max(1, min(OF_FEATURES.batch_size, samples // 8))
        epochs = max(OF_FEATURES.epochs, -(-UPDATES // -(-samples // batch_size)))
        chosen = replace(OF_FEATURES, batch_size=batch_size, epochs=epochs)
    else:
        chosen = recipe(name, samples)
    return replace(chosen, augment="none", tta="none")


def _suited(shape: Shape, classes: int) -> str:
    """Return the notation of a network that suits images or features of this shape."""
    if len(shape) == 3:
        return default_network((shape[0], shape[1], shape[2]), classes)
    return f"{_size(shape)} > fc128 relu > fc{classes}"


def _size(shape: Shape) -> str:
    return "x".join(map(str, shape))


def _begins_with_a_size(text: str) -> bool:
    return re.match(r"\s*[0-9]+(x[0-9]+x[0-9]+)?\s*[>;]", text) is not None


def _text(shape: Shape) -> str:
    return _size(shape) + (" features" if len(shape) == 1 else "")
