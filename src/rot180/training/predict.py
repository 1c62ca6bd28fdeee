"""Predicting with a trained model, and the batches of outputs that everything else in inference is made of."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence

import numpy as np

from rot180.data.lazy import Images, LazyImages, as_images
from rot180.data.loader import read_ahead
from rot180.engine import Engine
from rot180.errors import ArgumentError, PixelWarning, did_you_mean
from rot180.language import translate
from rot180.memory import require
from rot180.nn.activation import shares
from rot180.nn.keywords import answering_call
from rot180.nn.network import Network
from rot180.nn.validation import whole_number
from rot180.ops.softmax import softmax as softmax_of
from rot180.ops.types import Array
from rot180.parallel.start import cores
from rot180.training.diagnosis import refuse_non_finite_outputs
from rot180.training.inference import inference_engine

TTA = ("none", "flip", "shift")
"""Test-time augmentation: the outputs for an image are the means of those for several views of it. flip: the image and
its mirror image. shift: the image, and the image moved by one pixel to each of the four sides, where the edge is
repeated. The means are taken before the softmax, so that any loss can be computed from them."""

BATCH_SIZE = 256
"""Images at a time in inference: enough for large matrix products, small enough for the caches."""


@answering_call
def predict(
    model: Network, images: Images, *, batch_size: int = BATCH_SIZE, tta: str = "none", engine: str = "auto"
) -> Array:
    """Return the probability of each class for each image.

    This is the softmax of the outputs; the outputs themselves for a network that ends in softmax; and the outputs
    divided by their sum for one that ends in sigmoid.

    Parameters
    ----------
    model : Network
        Built.
    images : (N, H, W, C) or (N, H, W)
        Raw, as they come from the data; the model's preprocessing is applied.
    batch_size, tta, engine
        As in `evaluate`.

    Returns
    -------
    (N, K) float
        Rows sum to 1. The compiled engine returns the same bits for an image in any batch of two or more; for a single
        image the numbers may differ by rounding, by about 1e-6 in float32.

    Raises
    ------
    ShapeError
        The images do not match the model.
    ArgumentError
        The pixel range certainly differs from that of the training images.
    NonFiniteError
        An image, a weight or an output is infinite or NaN.

    Examples
    --------
    >>> import rot180
    >>> model = rot180.network("2x2x1 > fc2").build(seed=0)
    >>> predict(model, np.zeros((3, 2, 2, 1)))[0].tolist()
    [0.5, 0.5]
    """
    images = as_images(images)
    found = run_prediction(model, images, batch_size=batch_size, tta=tta, engine=engine)
    tell_unlike(model, images)
    return found


def run_prediction(
    model: Network,
    images: Images,
    *,
    batch_size: int = BATCH_SIZE,
    tta: str = "none",
    engine: str = "auto",
    white: float | None = None,
    steady: bool = False,
) -> Array:
    """Predict like `predict`, without warnings; if `white` is given, it is not determined from the images.

    With `steady`, a single image has the bits that it has in a batch, if the engine is the compiled one.
    """
    check_built(model)
    refuse_tta(model, tta)
    runner = inference_engine(engine, model)
    require(max(1, len(images)) * math.prod(model.output_shape) * model.dtype.itemsize, model.layers[-1].name)
    found = np.empty((len(images), *model.output_shape), model.dtype)
    for start, ready in each_ready(model, images, batch_size, white=white):
        found[start : start + len(ready)] = predict_ready(runner, ready, tta=tta, first=start, steady=steady)
    return found


def predict_ready(engine: Engine, ready: Array, *, tta: str = "none", first: int = 0, steady: bool = False) -> Array:
    """Return what `predict` returns, for one batch of preprocessed images.

    Parameters
    ----------
    engine : Engine
    ready : (N, H, W, C)
        Preprocessed.
    tta : str
        As in `predict`; it must suit the network.
    first : int
        The number of the first of them, for error messages.
    steady : bool
        As in `run_prediction`.

    Raises
    ------
    NonFiniteError
        An image, a weight or an output is infinite or NaN.
    """
    model, views = engine.model, _views(ready, tta)
    kind, several = model.layers[-1].output_kind, len(views) > 1
    outputs = _mean(_run(engine, views, first, softmax=kind == "logits" and not several, steady=steady))
    if kind == "sigmoids":
        return shares(outputs, lambda rows: _before_last(model, views, rows))
    return softmax_of(outputs) if kind == "logits" and several else outputs


def _before_last(model: Network, views: Sequence[Array], rows: Array) -> Array:
    """Return the input of the last layer for some of the images, the mean over their views.

    They go through the network one by one, so that the bits of none depend on the others.
    """
    inputs = []
    for view in views:
        walked = []
        for row in np.flatnonzero(rows):
            *_, last = model.walk(view[row : row + 1])
            walked.append(last.x)
        inputs.append(np.concatenate(walked))
    return _mean(inputs)


def _mean(arrays: Sequence[Array]) -> Array:
    """Return the mean of some arrays; of a single one, the array itself."""
    total = arrays[0]
    for array in arrays[1:]:
        total = total + array
    return total if len(arrays) == 1 else total / len(arrays)


def each_output(
    engine: Engine, images: Images, batch_size: int, *, tta: str = "none", batches: range | None = None
) -> Iterator[Array]:
    """Yield the outputs of each batch, with `tta` the mean over its views; `batches` as for `each_ready`."""
    refuse_tta(engine.model, tta)
    for first, ready in each_ready(engine.model, images, batch_size, batches=batches):
        yield _mean(_run(engine, _views(ready, tta), first))


def each_view(
    engine: Engine, images: Images, batch_size: int, *, tta: str = "none", white: float | None = None
) -> Iterator[list[Array]]:
    """Yield the outputs for each view of each batch."""
    for first, ready in each_ready(engine.model, images, batch_size, white=white):
        yield _run(engine, _views(ready, tta), first)


def each_ready(
    model: Network, images: Images, batch_size: int, *, white: float | None = None, batches: range | None = None
) -> Iterator[tuple[int, Array]]:
    """Yield the number of the first image of each batch, and its preprocessed images.

    `batches` are the numbers of the first images of the batches to take; by default all.
    """
    size = whole_number(batch_size, "batch_size")
    model.refuse_shape(images.shape)
    # Threads decode images while the network processes the previous ones.
    workers = min(cores(), 4) if isinstance(images, LazyImages) else 0
    batches = range(0, len(images), size) if batches is None else batches
    pieces = read_ahead(lambda start: images[start : start + size], batches, workers=workers)
    white = model.preprocessing.white_of(images) if white is None else white
    for first, piece in zip(batches, pieces, strict=True):
        yield first, model.preprocessing(piece, dtype=model.dtype, white=white)


def _views(ready: Array, tta: str) -> list[Array]:
    """Return the views of preprocessed images; the first are the images themselves."""
    if tta == "flip":
        return [ready, ready[:, :, ::-1]]
    if tta == "shift":
        height, width = ready.shape[1:3]
        wide = np.pad(ready, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
        starts = ((0, 1), (1, 0), (1, 2), (2, 1))
        return [ready, *(wide[:, top : top + height, left : left + width] for top, left in starts)]
    return [ready]


def _run(
    engine: Engine, views: Sequence[Array], first: int, *, softmax: bool = False, steady: bool = False
) -> list[Array]:
    """Return the outputs for each view."""
    found = []
    for view in views:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # checked right below, in one place
            found.append(engine.forward(view, softmax=softmax, steady=steady))
        refuse_non_finite_outputs(engine.model, view, first, found[-1])
    return found


def refuse_tta(model: Network, tta: str) -> None:
    """Raise ArgumentError for an unknown test-time augmentation, or one that the network's input does not allow."""
    if tta not in TTA:
        raise ArgumentError(f"unknown tta {tta!r}{did_you_mean(str(tta), TTA)}")
    if tta != "none" and len(model.input_shape) != 3:
        raise ArgumentError(f"tta={tta!r} is for images, but this network takes {model.input_shape}; leave it out")


def tell_unlike(model: Network, images: Images, which: str = "images") -> tuple[str, ...]:
    """Warn if most of the images differ from the training images, and return how."""
    if model.image_statistics is None:
        return ()
    found = model.image_statistics.unlike(images, model.preprocessing.limits_of(images))
    for reason in found:
        warnings.warn(f"most {which} are unlike the training images: {translate(reason)}", PixelWarning, stacklevel=4)
    return found


def check_built(model: Network) -> None:
    if not model.is_built:
        raise ArgumentError(
            "the model has no parameters yet; train it, load a trained one, or call model.build(input_shape)"
        )
