"""The learning-rate range test: a short training whose rate rises from far too low to far too high.

The loss first hardly changes, then falls, and rises again once the steps are too large. A third of the rate at which it
is lowest is suggested as the peak learning rate: large enough to learn fast, and at some distance from where steps
become too large. (The rate at which it falls most steeply, which others use, misleads where a network first learns how
frequent the classes are: for images of CIFAR-10 that happened below a hundredth of the best rate. docs/training.md has
the comparison.)

Reference: Smith (2017), "Cyclical learning rates for training neural networks", arXiv:1506.01186.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from rot180.data.augment import Augmentation
from rot180.data.lazy import Images
from rot180.errors import ArgumentError, NonFiniteError
from rot180.nn.keywords import answering_call
from rot180.nn.loss import Loss
from rot180.nn.network import Network
from rot180.nn.validation import real_number, whole_number
from rot180.ops.types import Array
from rot180.training.class_weights import ClassWeights
from rot180.training.events import Event, StepDone, Subscriber, TrainingStarted
from rot180.training.fit import TrainingData, fit, read_data
from rot180.training.optimizer import Optimizer

FEWEST, MOST = 20, 10_000
"""The fewest steps that a curve can be made of, and the most: a longer test shows no more."""

SMOOTHNESS = 0.03
"""Standard deviation of the Gaussian that the losses are smoothed with, as a share of the steps."""

LEAST_FALL = 0.02
"""The fall of the smoothed loss, as a share of its first value, without which nothing is suggested."""

LEAST_RISE = 0.1
"""The rise from the lowest smoothed loss to the last, as a share of the fall before it, without which nothing is
suggested."""


@dataclass(frozen=True)
class LearningRateCurve:
    """The result of a learning-rate range test.

    Attributes
    ----------
    learning_rates, losses : list of float
        Of each step, up to the one at which the test ended.
    smoothed : list of float
        The losses, smoothed.
    minimum : float
        The rate at which the smoothed loss is lowest.
    suggestion : float or None
        A peak learning rate to train with, a third of `minimum`; None if the test does not show one.
    reason : str
        Why there is no suggestion; empty if there is one.
    diverged : bool
        Whether the test ended because the loss rose far above its lowest value or was no longer finite.
    """

    learning_rates: list[float]
    losses: list[float]
    smoothed: list[float]
    minimum: float
    suggestion: float | None
    reason: str
    diverged: bool

    def to_dict(self) -> dict[str, Any]:
        """Return everything as numbers and lists, ready for JSON."""
        return asdict(self)


@answering_call
def find_lr(
    model: Network,
    data: TrainingData | tuple[Images, Array],
    *,
    lowest: float = 1e-7,
    highest: float = 10.0,
    steps: int = 100,
    batch_size: int = 32,
    optimizer: str | Optimizer = "adam",
    momentum: float | None = None,
    nesterov: bool | None = None,
    weight_decay: float | None = None,
    decay_bias_and_norm: bool | None = None,
    clip_norm: float | None = None,
    augment: str | Augmentation | None = None,
    loss: str | Loss = "auto",
    label_smoothing: float = 0.0,
    class_weights: ClassWeights | None = None,
    seed: int = 0,
    workers: int | None = None,
    engine: str = "auto",
    subscribers: Iterable[Subscriber] = (),
) -> LearningRateCurve:
    """Train a copy of a model with a rising learning rate, and suggest one. The model is not changed.

    Parameters
    ----------
    model : Network
        If it is not built, the copy is.
    data : Dataset or (images, labels)
        As in `fit`.
    lowest, highest : float
        The learning rates of the first and the last step; it is multiplied by the same factor from step to step.
    steps : int
        At most; the test ends earlier if the loss diverges.
    batch_size, optimizer, momentum, nesterov, weight_decay, decay_bias_and_norm, clip_norm, augment, loss, \
label_smoothing, class_weights, seed, workers, engine, subscribers
        As in `fit`; choose what you will train with.

    Returns
    -------
    LearningRateCurve

    Raises
    ------
    ArgumentError, ShapeError
        An argument is invalid, or images, labels and model do not match.

    Examples
    --------
    >>> import rot180
    >>> data = rot180.load_data("digits")
    >>> curve = find_lr(rot180.network("8x8x1 > conv3x3:8 relu > fc10"), data)
    >>> 1e-3 < curve.suggestion < 1e-1
    True
    """
    low, high = check_range(lowest, highest, steps)
    images, labels = read_data(data)
    twin, watch = copy.deepcopy(model), _Watch(steps)
    try:
        history = fit(
            twin,
            (images, labels),
            epochs=math.ceil(steps / math.ceil(len(images) / whole_number(batch_size, "find_lr: batch_size"))),
            batch_size=batch_size,
            optimizer=copy.deepcopy(optimizer),
            momentum=momentum,
            nesterov=nesterov,
            weight_decay=weight_decay,
            decay_bias_and_norm=decay_bias_and_norm,
            clip_norm=clip_norm,
            schedule=lambda step: low * (high / low) ** (step / (steps - 1)),
            augment=augment,
            loss=loss,
            label_smoothing=label_smoothing,
            class_weights=class_weights,
            seed=seed,
            workers=workers,
            engine=engine,
            subscribers=[watch, *subscribers],
        )
        if history.stopped == "interrupted":
            raise KeyboardInterrupt
    except NonFiniteError:
        if len(watch.losses) < FEWEST:
            raise
        watch.diverged = True
    return curve_of(watch.learning_rates, watch.losses, watch.diverged)


def check_range(lowest: float, highest: float, steps: int) -> tuple[float, float]:
    """Return the rates of the first and the last step; raise ArgumentError if no curve can be made with them."""
    if whole_number(steps, "find_lr: steps", FEWEST) > MOST:
        raise ArgumentError(f"find_lr: steps must be at most {MOST:,}; it is {steps}")
    low, high = real_number(lowest, "find_lr: lowest"), real_number(highest, "find_lr: highest")
    if not 0 < low < high:
        raise ArgumentError(f"find_lr: lowest must be above 0 and below highest; they are {lowest!r} and {highest!r}")
    return low, high


class _Watch:
    """Collects the losses, and stops the training when they are complete or diverge."""

    def __init__(self, steps: int) -> None:
        self.steps, self.diverged = steps, False
        self.losses: list[float] = []
        self.learning_rates: list[float] = []
        self._mean, self._lowest = 0.0, math.inf

    def __call__(self, event: Event) -> None:
        if isinstance(event, TrainingStarted):
            self._trainer = event.trainer
        if not isinstance(event, StepDone):
            return
        self.losses.append(event.loss)
        self.learning_rates.append(event.learning_rate)
        count = len(self.losses)
        self._mean = 0.9 * self._mean + 0.1 * event.loss
        mean = self._mean / (1 - 0.9**count)
        self._lowest = min(self._lowest, mean)
        start = sum(self.losses[:10]) / len(self.losses[:10])
        # Both: a loss that is next to nothing varies by more than a factor of 4 from batch to batch.
        self.diverged = count >= FEWEST and mean > 4 * self._lowest and mean > start
        if self.diverged or count == self.steps:
            self._trainer.stop("complete")


def curve_of(learning_rates: list[float], losses: list[float], diverged: bool = False) -> LearningRateCurve:
    """Smooth the losses of a range test, and derive the suggestion.

    >>> rates = np.logspace(-5, 0, 101).tolist()
    >>> losses = [2.0 - 1.5 / (1 + (1e-3 / rate) ** 2) + 3 * rate for rate in rates]
    >>> curve = curve_of(rates, losses)
    >>> round(curve.minimum, 3), round(curve.suggestion, 4)
    (0.01, 0.0033)
    """
    raw = np.asarray(losses, np.float64)
    deviation = max(SMOOTHNESS * raw.size, 1.0)
    around = np.arange(-round(3 * deviation), round(3 * deviation) + 1)
    # Centered, so that nothing is shifted to higher rates; cut off, so that a loss of 1e30 does not reach far.
    weights = np.exp(-((around / deviation) ** 2) / 2)
    smoothed = np.convolve(raw, weights, "same") / np.convolve(np.ones(raw.size), weights, "same")
    lowest = int(smoothed.argmin())
    minimum, reason = learning_rates[lowest], ""
    if smoothed[0] - smoothed[lowest] < LEAST_FALL * abs(smoothed[0]):
        reason = "the loss did not fall at any rate: check the data and the network, or take more steps"
    elif not diverged and smoothed[-1] - smoothed[lowest] < LEAST_RISE * (smoothed[0] - smoothed[lowest]):
        reason = f"the loss did not rise again up to the highest rate, {learning_rates[-1]:.3g}: raise the highest rate"
    suggestion = None if reason else minimum / 3
    return LearningRateCurve(
        list(learning_rates), list(losses), smoothed.tolist(), minimum, suggestion, reason, diverged
    )
