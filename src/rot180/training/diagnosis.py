"""Find where infinities and NaN arise: run the batch again, layer by layer, up to the first non-finite array."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from rot180.engine.reference import is_finite
from rot180.errors import NonFiniteError, ShapeError
from rot180.nn.loss import Loss, weighted_forward
from rot180.nn.network import Network
from rot180.nn.pixel_range import as_pixels, extremes
from rot180.ops.types import Array

NOT_FOUND = "none when run layer by layer"
"""The array if there is none: as in a shard that was normalized together with others, one of which was not finite."""


class Origin(NamedTuple):
    """The first non-finite array."""

    layer: str
    """The name of its layer, such as `fc1`; empty for the images and the loss."""
    array: str
    """A description, such as `the output of fc1`."""
    detail: str
    """How many of its values are not finite, or the value itself."""
    cause: str
    """The likely cause, and what to do."""


def refuse_non_finite(model: Network, images: Array, outputs: Array | None = None) -> None:
    """Raise NonFiniteError if images, weights or outputs are infinite or NaN, as inspection needs finite numbers.

    Parameters
    ----------
    images : (N, H, W, C)
        Raw images.
    outputs : (N, K), optional
        The model's outputs for them, if they are known.
    """
    extremes(as_pixels(images))
    ready = model.preprocessing(images, dtype=model.dtype)
    if outputs is None:
        with np.errstate(over="ignore", invalid="ignore"):  # looked for right after
            outputs = model(ready)
    refuse_non_finite_weights(model, "the weights must be finite numbers")
    refuse_non_finite_outputs(model, ready, 0, outputs)


def refuse_non_finite_outputs(model: Network, images: Array, first: int, outputs: Array) -> None:
    """Raise NonFiniteError if outputs in inference are not finite, naming the image and the first layer concerned.

    Parameters
    ----------
    images : (N, H, W, C)
        The batch, preprocessed.
    first : int
        The number of the first image in the batch.
    outputs : (N, K)
        The engine's outputs for the batch.
    """
    if is_finite(outputs):
        return
    row = int((~np.isfinite(outputs)).reshape(len(outputs), -1).any(axis=1).argmax())
    begin = f"image {first + row}: the outputs are not finite"
    refuse_non_finite_weights(model, begin)
    with np.errstate(all="ignore"):
        for step in model.walk(images[row : row + 1]):
            if not np.isfinite(step.y).all():
                name = f"the output of {step.layer.name}"
                largest = max(np.abs(x).max() for x in step.inputs)
                raise NonFiniteError(
                    f"{begin}; the first non-finite array: {name}, whose input reaches "
                    f"{largest:.3g}; train again with a lower --lr, or check the pixels",
                    layer=step.layer.name,
                    array=name,
                )
    raise NonFiniteError(
        f"{begin}, but only in this engine: try --engine numpy, and report this as a bug", array="the outputs"
    )


def refuse_non_finite_weights(model: Network, begin: str) -> None:
    """Raise NonFiniteError if a weight is not finite; `begin` says what was affected."""
    for layer in model.layers:
        for name, w in (*layer.parameters.items(), *layer.statistics.items()):
            if not is_finite(w):
                bad = w.size - int(np.count_nonzero(np.isfinite(w)))
                raise NonFiniteError(
                    f"{begin}: {bad} of {w.size} values of {layer.name}.{name} are infinite or NaN; train again with a "
                    "lower --lr, or load an earlier model",
                    layer=layer.name,
                    array=f"{layer.name}.{name}",
                )


def find_origin(
    model: Network,
    loss: Loss,
    images: Array,
    labels: Array,
    generator: np.random.Generator | None,
    lr: float,
    sample_weights: Array | None = None,
) -> Origin:
    """Run a batch forward and backward through the layers one by one and return the first non-finite array.

    Parameters
    ----------
    model : Network
        With the parameters from before the batch.
    images : (N, H, W, C)
        Preprocessed.
    generator : numpy.random.Generator
        In its state before the batch; used by noise and dropout.
    lr : float
        The learning rate, for the advice.

    Examples
    --------
    >>> import rot180
    >>> from rot180.nn.loss import CrossEntropyLoss
    >>> model = rot180.network("2x2x1 > fc3 relu > fc2").build(seed=0)
    >>> model.parameters["fc1.weight"][0, 0] = np.inf
    >>> find_origin(model, CrossEntropyLoss(), np.ones((1, 2, 2, 1)), np.array([0]), None, 0.1)[:3]
    ('fc1', 'fc1.weight', '1 of 12 values')
    """
    # A shard may have a single image, and no variance of its own.
    with np.errstate(all="ignore"), suppress(ShapeError):
        for layer, name, array in _arrays(model, loss, images, labels, generator, sample_weights):
            bad = array.size - int(np.count_nonzero(np.isfinite(array)))
            if bad:
                detail = f"{bad} of {array.size} values" if array.size > 1 else str(float(array.reshape(-1)[0]))
                return Origin(layer, name, detail, _cause(layer, name, array, images, lr))
    cause = "it occurred only in the engine: try --engine numpy, and report this as a bug"
    return Origin("", NOT_FOUND, "all finite", cause)


def _arrays(
    model: Network,
    loss: Loss,
    images: Array,
    labels: Array,
    generator: np.random.Generator | None,
    sample_weights: Array | None,
) -> Iterator[tuple[str, str, Array]]:
    """Yield (layer, name, array) in the order in which a step computes them."""
    yield "", "the images", images
    for layer in model.layers:
        for name, w in (*layer.parameters.items(), *layer.statistics.items()):
            yield layer.name, f"{layer.name}.{name}", w
    saved = []
    for step in model.walk(images, training=True, generator=generator):
        saved.append(step.saved)
        yield step.layer.name, f"the output of {step.layer.name}", step.y
    value, loss_saved = weighted_forward(loss, step.y, labels, sample_weights)
    yield "", "the loss", np.asarray(value)
    delta = loss.backward(loss_saved)
    yield "", "the gradient of the outputs", delta
    read = Counter(source for node in model.nodes for source in node.reads)
    for back in model.walk_back(delta, saved):
        if read[back.place] > 1:  # each of what its readers passed back was finite
            yield back.layer.name, f"the gradient of {back.layer.name}'s output, a sum over its readers", back.delta
        for name, gradient in back.named_gradients.items():
            yield back.layer.name, f"the gradient of {name}", gradient
        for number, dx in enumerate(back.dxs or (), 1):
            which = f"input {number}" if back.layer.is_join else "input"
            yield back.layer.name, f"the gradient of {back.layer.name}'s {which}", dx


def _cause(layer: str, name: str, array: Array, images: Array, lr: float) -> str:
    if name == "the images":
        first = int(np.argwhere(~np.isfinite(array))[0][0])
        return f"the data contain non-finite values, first in image {first} of the batch: correct the data"
    largest = float(np.abs(images).max(initial=0.0))
    lower = f"the learning rate is too high (now {lr:g}): lower --lr or add --warmup; rot180 find-lr suggests a rate"
    if layer and name.startswith(f"{layer}."):  # a parameter, or a statistic
        return f"the previous update produced it: {lower}"
    if largest > 100:
        return f"the images reach {largest:g}: normalize them (--normalize scale); or {lower}"
    return lower
