"""The pictures of a run, and their file names."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rot180.errors import ArgumentError
from rot180.files import distinct_names
from rot180.nn import Conv2d, Flatten, Network
from rot180.nn.activation import Activation
from rot180.nn.normalization import Normalization
from rot180.nn.pixel_range import to_show
from rot180.ops.types import Array
from rot180.training import Evaluation, History
from rot180.training.metrics import confusion_matrix as count_confusions
from rot180.training.predict import run_prediction

MOST = 20
"""Convolutions whose kernels are drawn, and layers whose outputs are: of more, a selection at even distances."""


def draw_model(folder: Path, model: Network, history: History, test: Evaluation | None = None) -> list[Path]:
    """Draw the pictures that need no images: the curves, and the kernels of up to 20 convolutions.

    Parameters
    ----------
    folder : Path
        Where to write the files; created if needed, but not its parent.
    test : Evaluation, optional
        On the test images, after training; drawn as a marker at the epoch whose weights were kept.

    Returns
    -------
    list of Path
        The PNG files; each has an SVG file next to it.
    """
    from rot180.pictures import curves, kernels

    drawn = []
    if history.losses:
        loss = {part: _column(history, f"{part}_loss") for part in ("train", "validation")}
        accuracy = {part: _column(history, f"{part}_accuracy") for part in ("train", "validation")}
        if test is not None and history.epochs:
            # At the epoch whose weights were tested, which is not the last one with early stopping.
            tested = [epoch is history.kept for epoch in history.epochs]
            loss["test"] = [test.loss if at else math.nan for at in tested]
            accuracy["test"] = [test.accuracy if at else math.nan for at in tested]
        figure = curves(
            loss,
            accuracy,
            step_loss=history.losses,
            steps_per_epoch=_steps_per_epoch(history),
            kept_epoch=history.restored_epoch,
        )
        drawn.append(_save(figure, folder / "curves"))
    convolutions = _selection([layer for layer in model.layers if isinstance(layer, Conv2d)])
    names = distinct_names(f"kernels-{layer.name}" for layer in convolutions)
    for layer, name in zip(convolutions, names, strict=True):
        weight = layer.parameters["weight"]
        of_colors = layer is model.layers[0] and weight.shape[2] == 3
        drawn.append(_save(kernels(weight, layer.name, of_colors=of_colors), folder / name))
    return drawn


def draw_images(
    folder: Path,
    model: Network,
    images: Array,
    labels: Array,
    class_names: tuple[str, ...],
    chosen: Iterable[int] = (),
    image_names: Sequence[str] = (),
    tta: str = "none",
) -> list[Path]:
    """Draw a model's results on images: confusion matrix, worst mistakes, and the feature maps of a few images.

    Parameters
    ----------
    folder : Path
        Where to write the files; created if needed, but not its parent.
    images : (N, H, W, C)
        Raw images; the model's preprocessing is applied.
    labels : (N,)
    class_names : tuple of str
        Used if the model has none.
    chosen : iterable of int
        Images whose feature maps to draw; by default the first image and the worst mistake.
    image_names : sequence of str, optional
        A name for each image, such as its file.
    tta : str
        Test-time augmentation, as in `evaluate`.

    Returns
    -------
    list of Path
        The PNG files; each has an SVG file next to it.

    Raises
    ------
    ArgumentError
        A chosen number is out of range.
    """
    from rot180.pictures import confusion_matrix, feature_maps, mistakes, worst_mistakes

    # Whoever evaluated the images has reported what they are unlike.
    probabilities = run_prediction(model, images, tta=tta)
    classes = probabilities.shape[1]
    own = model.class_names or class_names
    # There are fewer names than outputs if, for example, a named model with ten classes is used on data with three.
    names = [own[index] if index < len(own) else str(index) for index in range(classes)]
    indices = list(chosen)
    for index in indices:
        if not 0 <= index < len(images):
            raise ArgumentError(f"the {len(images)} test images are numbered from 0; there is no image {index}")
    shown = to_show(images, model.preprocessing.limits_of(images))
    counts = count_confusions(labels, probabilities.argmax(axis=1), classes)
    drawn = [_save(confusion_matrix(counts, names), folder / "confusion")]
    figure = mistakes(
        shown,
        labels,
        probabilities,
        names,
        image_names=image_names.__getitem__ if len(image_names) == len(images) else None,
    )
    drawn.append(_save(figure, folder / "mistakes"))
    for index in indices or sorted({0, *worst_mistakes(labels, probabilities, 1).tolist()}):
        said = int(probabilities[index].argmax())
        title = (
            f"test image {index}: {names[labels[index]]}, predicted as {names[said]} ({probabilities[index, said]:.1%})"
        )
        outputs = layer_outputs(model, images[index])
        figure = feature_maps(shown[index], outputs, title, class_names=names, probabilities=probabilities[index])
        drawn.append(_save(figure, folder / f"feature-maps-{index}"))
    return drawn


def layer_outputs(model: Network, image: Array) -> list[tuple[str, Array]]:
    """Return what each layer puts out for one image, by the layer's name; flattening is left out.

    Of a network with more than 20 layers, those are left out whose output is then normalized or goes through an
    activation, and a selection of the others is taken.

    >>> from rot180.nn import network
    >>> model = network("8x8x1 > conv3x3:4 relu > fc10").build(seed=0)
    >>> [(name, y.shape) for name, y in layer_outputs(model, np.zeros((8, 8, 1), np.uint8))]
    [('conv1', (6, 6, 4)), ('relu1', (6, 6, 4)), ('fc1', (10,))]
    """
    x = model.preprocessing(np.asarray(image)[np.newaxis], dtype=model.dtype)
    shown = [place for place, layer in enumerate(model.layers) if not isinstance(layer, Flatten)]
    if len(shown) > MOST:
        changed = {reads[0] for layer, reads in model.nodes if isinstance(layer, (Normalization, Activation))}
        shown = _selection([place for place in shown if place not in changed])
    return [(step.layer.name, step.y[0]) for place, step in enumerate(model.walk(x)) if place in shown]


def _selection(items: list[Any]) -> list[Any]:
    """Return at most 20 items, the first and the last of them and others at even distances.

    >>> _selection(list(range(40)))[:4], len(_selection(list(range(40))))
    ([0, 2, 4, 6], 20)
    """
    return [items[at] for at in np.linspace(0, len(items) - 1, min(len(items), MOST)).round().astype(int)]


def _save(figure: Any, base: Path) -> Path:
    """Write a picture and return the PNG file; the pictures folder is created if needed, but not its parent."""
    from rot180.pictures import save_figure

    return save_figure(figure, base, beneath=base.parent.parent)[0]


def _column(history: History, name: str) -> list[float]:
    return [math.nan if value is None else value for value in history.column(name)]


def _steps_per_epoch(history: History) -> float:
    """Return the number of losses per epoch, whether or not the last epoch was cut short."""
    whole, total = len(history.epochs), len(history.losses)
    extra = history.batch if history.epoch > whole else 0
    return (total - extra if total > extra else total) / max(whole, 1)
