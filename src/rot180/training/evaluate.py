"""Evaluating a trained model: its loss, accuracy and confusion on labeled images."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rot180.data.lazy import Images, as_images
from rot180.engine import Engine
from rot180.errors import NonFiniteError
from rot180.nn.keywords import answering_call
from rot180.nn.loss import Loss, weighted_forward
from rot180.nn.network import Network
from rot180.nn.validation import whole_number
from rot180.ops.types import Array
from rot180.parallel.communicator import ALONE, Communicator
from rot180.parallel.messages import counts, everywhere
from rot180.parallel.tree import leaves_of
from rot180.training.inference import inference_engine
from rot180.training.metrics import check_labels, class_count, confusion_matrix
from rot180.training.predict import BATCH_SIZE, check_built, each_output, tell_unlike
from rot180.training.trainer import make_loss


@dataclass(frozen=True)
class Evaluation:
    """The result of evaluating a model on a set of images.

    Attributes
    ----------
    count : int
        Number of images.
    loss : float
        Mean loss.
    accuracy : float
        Share of correct predictions, in [0, 1].
    error_percent : float
        Share of wrong predictions, in percent.
    confusion : (K, K) int64
        Rows are the true classes, columns the predicted ones.
    unlike_training : tuple of str
        How most of the images differ from the training images, one line per difference.
    """

    count: int
    loss: float
    accuracy: float
    error_percent: float
    confusion: Array
    unlike_training: tuple[str, ...] = ()

    @property
    def precision(self) -> Array:
        """(K,) float64: of the images predicted as a class, the share that belongs to it; NaN if there are none."""
        return _shares(self.confusion, axis=0)

    @property
    def recall(self) -> Array:
        """(K,) float64: of the images of a class, the share predicted as that class; NaN if there are none."""
        return _shares(self.confusion, axis=1)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as numbers and lists, ready for JSON."""
        return {
            "count": self.count,
            "loss": self.loss,
            "accuracy": self.accuracy,
            "error_percent": self.error_percent,
            "confusion": self.confusion.tolist(),
            "unlike_training": list(self.unlike_training),
        }


def _shares(confusion: Array, axis: int) -> Array:
    total = confusion.sum(axis=axis).astype(np.float64)
    shares: Array = np.diagonal(confusion) / np.where(total > 0, total, np.nan)
    return shares


class EvaluationStopped(Exception):
    """An evaluation was stopped before it had seen all images and has no result."""


@answering_call
def evaluate(
    model: Network,
    images: Images,
    labels: Array,
    *,
    batch_size: int = BATCH_SIZE,
    loss: str | Loss = "auto",
    tta: str = "none",
    engine: str = "auto",
) -> Evaluation:
    """Evaluate a model on images, without changing it.

    Parameters
    ----------
    model : Network
        Built.
    images : (N, H, W, C) or (N, H, W)
        Raw, as they come from the data; the model's preprocessing is applied.
    labels : (N,) integer
    batch_size : int
        Images processed at a time; affects memory and speed only.
    loss, engine
        As in `Trainer`.
    tta : str
        Test-time augmentation. "flip": the mean of the outputs for each image and its mirror image, in twice the time;
        only for images whose class does not change when they are mirrored, unlike digits and letters. "shift": the mean
        for each image and the image moved by one pixel to each side, in five times the time.

    Returns
    -------
    Evaluation

    Raises
    ------
    ShapeError, ArgumentError
        Images, labels and model do not match, or the pixel range differs from that of the training images.
    NonFiniteError
        An image, a weight or an output is infinite or NaN.

    Examples
    --------
    >>> import rot180
    >>> model = rot180.network("2x2x1 > fc2").build(seed=0)
    >>> evaluate(model, np.zeros((4, 2, 2, 1)), np.array([0, 0, 1, 1])).count
    4
    """
    check_built(model)
    the_loss = make_loss(loss, model)
    images = as_images(images)
    found = run_evaluation(inference_engine(engine, model), the_loss, images, labels, batch_size=batch_size, tta=tta)
    return replace(found, unlike_training=tell_unlike(model, images))


def run_evaluation(
    engine: Engine,
    loss: Loss,
    images: Images,
    labels: Array,
    *,
    batch_size: int = BATCH_SIZE,
    tta: str = "none",
    stop: Callable[[], object] | None = None,
    sample_weights: Array | None = None,
    communicator: Communicator = ALONE,
) -> Evaluation:
    """Evaluate like `evaluate`, with an existing engine; `sample_weights` (N,) multiply the loss of each image.

    The processes of a communicator evaluate a part of the batches each, and return the same bits as one alone.

    Raises
    ------
    EvaluationStopped
        `stop`, called after every batch, returned a true value on any process.
    """
    images, labels = as_images(images), np.asarray(labels)
    classes = class_count(engine.model.output_shape)
    check_labels(labels, len(images), classes)
    batches = range(0, len(images), whole_number(batch_size, "batch_size"))
    own = leaves_of(communicator.rank, communicator.size, len(batches))
    own_batches = batches[own.start : own.stop]
    # Of each batch, one process writes the numbers; those of the others are zeros, and so all of them are sums.
    losses, predicted = np.zeros(len(batches)), np.zeros(len(images), np.int64)
    stopped = False
    outputs_of = each_output(engine, images, batch_size, tta=tta, batches=own_batches)
    for number, start, outputs in zip(own, own_batches, outputs_of, strict=True):
        end = start + len(outputs)
        with np.errstate(over="ignore", invalid="ignore"):  # looked for below
            weights = None if sample_weights is None else sample_weights[start:end]
            batch_loss = float(weighted_forward(loss, outputs, labels[start:end], weights)[0])
        if not math.isfinite(batch_loss):
            raise NonFiniteError(
                f"images {start} to {end - 1}: the loss is {batch_loss}; the outputs reach "
                f"{np.abs(outputs).max():.3g}: train again with a lower --lr",
                array="the loss",
            )
        losses[number] = batch_loss * len(outputs)
        predicted[start:end] = outputs.argmax(axis=1)
        if stop is not None and stop():
            stopped = True
            break
    if any(counts(communicator, stopped)):
        raise EvaluationStopped
    total = 0.0
    for loss_of_batch in everywhere(communicator, losses).tolist():
        total += loss_of_batch
    predicted = everywhere(communicator, predicted)
    confusion = confusion_matrix(labels, predicted, classes)
    right = int(np.trace(confusion))
    count = len(images)
    return Evaluation(count, total / count, right / count, 100 * (count - right) / count, confusion)
