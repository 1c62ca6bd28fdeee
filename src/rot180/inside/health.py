"""Examine a trained network: each finding comes with its evidence and advice.

A few hundred images are passed through the network and back, and a copy of it is updated a few times; everything else
is read from the training history. The limits are rules of thumb, each named here and stated in the evidence, not laws.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from rot180.errors import ShapeError
from rot180.inside.health_advice import Adviser, Remedy, advice
from rot180.inside.health_measures import NO_SCALE, measure
from rot180.inside.health_report import Finding, HealthReport, LayerHealth
from rot180.nn.loss import Loss
from rot180.nn.network import Network
from rot180.ops.types import Array
from rot180.training.history import History
from rot180.training.optimizer import Optimizer
from rot180.training.optimizers import Adam
from rot180.training.trainer import make_loss

__all__ = ["Finding", "HealthReport", "health"]

IMAGES = 256
"""The number of images examined, the first of those given."""
DEAD_FILTERS, DEAD_UNITS = 0.1, 0.5
"""Fraction of a layer's maps, or units, that may be zero for every image. Units of a fully connected layer after a ReLU
receive only positive numbers, and often a quarter of them is dead from the start."""
SATURATED = 0.5
"""Fraction of a layer's outputs that may be where the derivative is below a tenth of its maximum."""
VANISHED, EXPLODED = 1e-3, 1e3
"""Ratio of delta's size at the first layer to that at the last."""
SLOW_UPDATE, FAST_UPDATE = 1e-5, 0.1
"""Ratio of an update's size to the weight's; about 1e-3 is usual."""
IMBALANCE = 3.0
"""Ratio of the numbers of images of the most frequent and the rarest class."""
GAP = 0.05
"""Accuracy on the training images minus that on others."""
STEPS = 8
"""The fewest updates that say something about the learning rate; in fewer, a schedule does not reach its peak."""
RISE = 1.1
"""Ratio of the final to the lowest validation loss."""


@np.errstate(over="ignore", invalid="ignore")  # a gradient may overflow
def health(
    model: Network,
    history: History | None = None,
    images: Array | None = None,
    labels: Array | None = None,
    *,
    optimizer: Optimizer | None = None,
    loss: str | Loss = "auto",
    class_counts: Array | None = None,
    settings: Mapping[str, Any] | None = None,
    of: str = "images given",
    seed: int = 0,
) -> HealthReport:
    """Examine a network and its training.

    Parameters
    ----------
    model : Network
        A built network, which is not changed.
    history : History, optional
        The history of its training; without it, learning rate and overfitting are not examined.
    images, labels : (N, H, W, C) and (N,), optional
        Raw images, preferably not from the training set; the first 256 are used. Without them only the history is.
    optimizer : Optimizer, optional
        The optimizer of the training, for the size of its updates; Adam by default. It is not changed.
    loss : str or Loss
        As in `Trainer`.
    class_counts : (K,) integer, optional
        Number of training images of each class; counted in `labels` by default.
    settings : mapping, optional
        Settings of the training, as in a run's configuration (`optimizer`, `lr`, `augment`, `early_stopping`, ...), so
        that nothing is advised that was done already.
    of : str
        What the images are, such as "test images", for the evidence.
    seed : int
        Seed of noise and dropout.

    Returns
    -------
    HealthReport

    Raises
    ------
    ShapeError
        Images and labels do not fit each other or the model.

    Examples
    --------
    >>> import rot180
    >>> data = rot180.load_data("digits").limit(300)
    >>> model = rot180.network("8x8x1 > fc16 sigmoid > fc10")
    >>> history = rot180.fit(model, data, epochs=1, lr=1e-6)
    >>> report = health(model, history, data.test_images, data.test_labels)
    >>> sorted({finding.what for finding in report.findings})
    ['learning rate too low', 'updates too small']
    """
    adviser = Adviser(model, history, settings or {})
    findings: list[Finding] = []
    layers: tuple[LayerHealth, ...] = ()
    outputs: Array | None = None
    if history is not None:
        findings += _learning_rate(history, adviser)
    if images is not None and labels is not None and len(images):
        # Indexed first, so that a data set larger than memory is never converted as a whole.
        of = f"first {IMAGES:,} of {len(images):,} {of}" if len(images) > IMAGES else f"{len(images):,} {of}"
        images, labels = np.asarray(images[:IMAGES]), np.asarray(labels[:IMAGES])
        if len(images) != len(labels):
            raise ShapeError(f"each image needs one label; {len(images)} images, {len(labels)} labels")
        rule = copy.deepcopy(optimizer or Adam())
        if history is not None and history.learning_rates:
            rule.lr = float(np.median(history.learning_rates))
        engine = str((settings or {}).get("engine") or "auto")
        layers, outputs = measure(model, images, labels, make_loss(loss, model), rule, engine=engine, seed=seed)
        findings += [finding for layer in layers for finding in _units(layer, adviser)]
        findings += _deltas(model, layers, adviser)
        is_too_fast = any(finding.what == "learning rate too high" for finding in findings)
        if history is None or len(history.losses) >= STEPS:
            findings += _updates(layers, adviser, is_too_fast)
    if history is not None:
        findings += _overfitting(history, outputs, labels, of, adviser)
    counts = class_counts if class_counts is not None else _counts(labels, model)
    if counts is not None:
        findings += _imbalance(np.asarray(counts), model, adviser)
    return HealthReport(tuple(findings), layers)


def _units(layer: LayerHealth, adviser: Adviser) -> Iterator[Finding]:
    limit = DEAD_FILTERS if layer.is_map else DEAD_UNITS
    if layer.is_normalization and layer.dead:
        yield _finding(
            "channels without scale",
            layer.name,
            f"{100 * layer.dead:.0f}% have a scale below {NO_SCALE:g}, so their output is the same for every image",
            adviser.without_scale(),
        )
    elif layer.dead is not None and layer.dead > limit:
        cause = f"; {layer.behind} shifts them below zero" if layer.behind else ""
        yield _finding(
            "dead filters" if layer.is_map else "dead units",
            layer.name,
            f"{100 * layer.dead:.0f}% output zero for every image (usual: under {100 * limit:.0f}%){cause}",
            adviser.dead(),
        )
    if layer.saturated is not None and layer.saturated > SATURATED:
        yield _finding(
            "saturated units",
            layer.name,
            f"{100 * layer.saturated:.0f}% of the outputs are where the derivative is below a tenth of its maximum",
            adviser.saturated(),
        )


def _deltas(model: Network, layers: tuple[LayerHealth, ...], adviser: Adviser) -> Iterator[Finding]:
    weighted = [layer for layer, own in zip(layers, model.layers, strict=True) if own.has_parameters]
    if len(weighted) < 2:
        return
    first, last = weighted[0], weighted[-1]
    if not all(math.isfinite(layer.delta) for layer in weighted):
        yield _finding("exploding deltas", first.name, "the gradient is not finite", adviser.exploding())
        return
    if last.delta == 0:
        return
    ratio = first.delta / last.delta
    evidence = f"delta is {first.delta:.1e} at {first.name} and {last.delta:.1e} at {last.name}, a ratio of {ratio:.1e}"
    if ratio < VANISHED:
        yield _finding(
            "vanishing deltas",
            first.name,
            f"{evidence} (usual: above {VANISHED:g})",
            adviser.vanishing(),
        )
    elif ratio > EXPLODED:
        yield _finding(
            "exploding deltas",
            first.name,
            f"{evidence} (usual: below {EXPLODED:g})",
            adviser.exploding(),
        )


def _updates(layers: tuple[LayerHealth, ...], adviser: Adviser, is_too_fast: bool) -> Iterator[Finding]:
    if not any(layer.delta for layer in layers):  # nothing to learn, as with images of a single class
        return
    for layer in layers:
        if layer.update is None or not math.isfinite(layer.update):
            continue
        evidence = f"an update is {layer.update:.1e} of the weight (usual: about 1e-03)"
        if layer.update > FAST_UPDATE:
            yield _finding("updates too large", layer.name, evidence, adviser.too_high())
        elif layer.update < SLOW_UPDATE and not is_too_fast:  # a dead network hardly changes; a high rate killed it
            yield _finding("updates too small", layer.name, evidence, adviser.small_updates())


def _learning_rate(history: History, adviser: Adviser) -> Iterator[Finding]:
    losses = np.asarray(history.losses, np.float64)
    if not np.all(np.isfinite(losses)):
        step = int(np.argmin(np.isfinite(losses))) + 1
        yield _finding(
            "learning rate too high",
            "",
            f"the loss was no longer finite after step {step}",
            adviser.too_high(),
        )
        return
    if len(losses) < STEPS:
        return
    part = max(2, len(losses) // 8)
    start, end = float(losses[:part].mean()), float(losses[-part:].mean())
    worst = float(losses[part:].max())
    blew_up = end > 1.1 * start or (worst > 3 * start and end > 0.8 * start)
    if blew_up or (end > 0.95 * start and end > 1.3 * float(losses[:2].mean())):
        yield _finding(
            "learning rate too high",
            "",
            f"the loss went from {start:.3g} to {end:.3g}, with a maximum of {worst:.3g}",
            adviser.too_high(),
        )
        return
    middle = float(losses[len(losses) // 2 - part // 2 :][:part].mean())
    noise = 2 * float(losses[-part:].std()) / math.sqrt(part)
    is_slow = end > 0.7 * start
    is_falling = middle - end > max(noise, 0.2 * (start - end))
    if is_slow and (is_falling or end > 0.95 * start):
        yield _finding(
            "learning rate too low",
            "",
            f"the loss only went from {start:.3g} to {end:.3g}",
            adviser.too_low(),
        )


def _finding(what: str, where: str, evidence: str, remedies: Iterable[Remedy]) -> Finding:
    return Finding(what, where, evidence, *advice(remedies))


def _overfitting(
    history: History, outputs: Array | None, labels: Array | None, of: str, adviser: Adviser
) -> Iterator[Finding]:
    if not history.epochs:
        return
    last = history.epochs[-1]
    losses = [epoch.validation_loss for epoch in history.epochs if epoch.validation_loss is not None]
    if losses and last.validation_accuracy is not None:
        gap = last.train_accuracy - last.validation_accuracy
        best = min(losses)
        if history.restored_epoch is None and losses[-1] > RISE * best and len(losses) > 2:
            epoch = losses.index(best) + 1
            evidence = f"the validation loss was {best:.3g} after epoch {epoch} and is now {losses[-1]:.3g}"
            yield _finding("overfitting", "", evidence, adviser.overfitting())
        elif gap > GAP:
            said = _gap(last.train_accuracy, last.validation_accuracy, "validation images")
            yield _finding("overfitting", "", said, adviser.overfitting())
    elif outputs is not None and labels is not None and labels.ndim == 1 and len(labels) >= 50:
        accuracy = float(np.mean(outputs.argmax(axis=1) == labels))
        # The effect of chance alone on an accuracy measured on so few images.
        chance = 2 * math.sqrt(max(accuracy * (1 - accuracy), 0.01) / len(labels))
        if last.train_accuracy - accuracy > GAP + chance:
            said = _gap(last.train_accuracy, accuracy, of)
            yield _finding("overfitting", "", said, adviser.overfitting())


def _gap(train: float, other: float, name: str) -> str:
    return f"{100 * train:.1f}% of the training images are correct, but {100 * other:.1f}% of the {name}"


def _counts(labels: Array | None, model: Network) -> Array | None:
    if labels is None or labels.ndim != 1 or len(model.output_shape) != 1:
        return None
    return np.bincount(labels, minlength=model.output_shape[0])


def _imbalance(counts: Array, model: Network, adviser: Adviser) -> Iterator[Finding]:
    names = model.class_names or tuple(str(k) for k in range(len(counts)))
    if counts.sum() < 20 * len(counts):  # with so few images per class the counts mean little
        return
    most, least = int(counts.argmax()), int(counts.argmin())
    if counts[least] * IMBALANCE < counts[most]:
        evidence = f"{counts[most]:,} images of {names[most]} but {counts[least]:,} of {names[least]}"
        yield _finding("class imbalance", "", evidence, adviser.imbalance())
