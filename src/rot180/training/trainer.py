"""A model, an optimizer and a loss, and the step that training repeats."""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import AbstractContextManager, nullcontext

import numpy as np

from rot180.engine import Engine, StepResult, make_engine
from rot180.engine.halts import Halt
from rot180.errors import ArgumentError, NonFiniteError, ShapeError
from rot180.nn.activation import Sigmoid, Tanh
from rot180.nn.activation_piecewise import Hardsigmoid
from rot180.nn.contract import is_own
from rot180.nn.keywords import answering, answering_call
from rot180.nn.loss import Loss
from rot180.nn.loss import loss as loss_by_name
from rot180.nn.network import Network
from rot180.nn.validation import real_number, whole_number
from rot180.ops.types import Array
from rot180.training.average import WeightAverage
from rot180.training.diagnosis import find_origin
from rot180.training.optimizer import Optimizer
from rot180.training.optimizers import optimizer as optimizer_by_name
from rot180.training.streams import stream


class Trainer:
    """Train a model batch by batch.

    Parameters
    ----------
    model : Network
        Built at the first batch, with `seed` and that batch's shape, unless already built.
    optimizer : str or Optimizer
        A name selects that optimizer with default hyper-parameters.
    loss : str or Loss
        `cross_entropy` (on outputs without softmax), `squared_error`, or `auto`: squared error for a network that ends
        in sigmoid, tanh or feature maps, cross-entropy for any other.
    engine : str
        `auto` or `numpy`.
    seed : int
        Seed of the parameters, the order of the images and all noise.
    ema : float, optional
        Keep an exponential moving average of the weights that covers about the last 1 / (1 - ema) updates, such as
        0.999. The average is in `average`; the model keeps its own weights.

    Attributes
    ----------
    generators : dict of str to numpy.random.Generator
        `noise` is used by dropout and noise. Checkpoints store its state; the order of the images is derived from the
        seed and the epoch (`rot180.training.streams`) and needs none.
    average : WeightAverage or None
        The average of the weights, once the model is prepared; None without `ema`.
    stop_reason : str
        Set by `stop`; `fit` ends after the current batch.
    white : float or None
        The white level of all images (`Preprocessing.white_of`), which `fit` determines once; if None, it is
        determined for each batch.
    limits : (float, float) or None
        Their black and white levels, to which augmentation is limited.

    Examples
    --------
    >>> import rot180
    >>> trainer = Trainer(rot180.network("8x8x1 > fc16 relu > fc10"), optimizer="sgd")
    >>> images, labels = np.full((4, 8, 8, 1), 255, np.uint8), np.array([3, 3, 3, 3])
    >>> first = trainer.step(images, labels)
    >>> trainer.step(images, labels) < first
    True
    """

    @answering
    def __init__(
        self,
        model: Network,
        *,
        optimizer: str | Optimizer = "adam",
        loss: str | Loss = "auto",
        engine: str = "auto",
        seed: int = 0,
        ema: float | None = None,
    ) -> None:
        self._model = model
        self._engine: Engine | None = None
        self.optimizer = optimizer_by_name(optimizer) if isinstance(optimizer, str) else optimizer
        self.loss = loss
        self.seed = whole_number(seed, "Trainer: seed", 0)
        self.generators = {"noise": stream(self.seed, "noise")}
        self.average: WeightAverage | None = None
        self._ema = read_ema(ema)
        self.stop_reason = ""
        self.white: float | None = None
        self.limits: tuple[float, float] | None = None
        self._engine_name = engine
        # A user's own layer may draw random numbers as well, or contain layers that do.
        self._draws = any(layer.draws or is_own(layer) for layer in model.layers)
        if model.is_built:
            self.prepare(model.input_shape)

    def prepare(self, image_shape: tuple[int, ...]) -> Engine:
        """Build the model for images of this shape if needed, and create the engine that runs it."""
        if self._engine is None:
            if not self.model.is_built:
                self.model.build(self._input_shape(image_shape), seed=self.seed)
            self._engine = make_engine(self._engine_name, self.model, self.loss)
            self._engine.prepare(self.optimizer)
            if self._ema is not None:
                self.average = WeightAverage(self.model, self._ema, self._engine)
        return self._engine

    @property
    def model(self) -> Network:
        """The network; another network needs its own trainer."""
        return self._model

    @property
    def loss(self) -> Loss:
        """The loss to minimize; may be replaced, by name or as a `Loss`, between two steps."""
        return self._loss

    @loss.setter
    def loss(self, loss: str | Loss) -> None:
        self._loss = make_loss(loss, self.model)
        if self._engine is not None:
            self._engine.loss = self._loss

    @property
    def engine(self) -> Engine:
        """The engine that runs the model."""
        if self._engine is None:
            raise ArgumentError("the trainer's model is not built yet; call prepare(image_shape) or step first")
        return self._engine

    @answering_call
    def step(self, images: Array, labels: Array, sample_weights: Array | None = None) -> float:
        """Train on one batch.

        Parameters
        ----------
        images : (N, H, W, C) or (N, H, W)
            Raw images, uint8 or float; the model's preprocessing is applied.
        labels : (N,) integer or (N, K) float
            Classes, or probabilities of the classes; for a loss of your own, whatever it takes, such as (N, H, W).
        sample_weights : (N,) float, optional
            How much each image counts in the loss, at least 0.

        Returns
        -------
        float
            The mean loss of the batch before the update.

        Raises
        ------
        ShapeError
            Images and labels do not match each other or the model.
        NonFiniteError
            The loss or a gradient is infinite or NaN; the message names the first non-finite array.
        """
        return self.run_batch(np.asarray(images), np.asarray(labels), sample_weights).loss

    @answering_call
    def run_batch(
        self, images: Array, labels: Array, sample_weights: Array | None = None, *, update: bool = True
    ) -> StepResult:
        """Train on one batch of raw images; `update=False` keeps the gradients for the next update."""
        if len(images) != len(labels) or len(images) == 0:
            raise ShapeError(
                f"a batch needs one label per image and at least one image; {len(images)} images, {len(labels)} labels"
            )
        engine = self.prepare(images.shape[1:])
        ready = self._preprocessed(images)
        generator = self.generators["noise"]
        before = generator.bit_generator.state if self._draws else None
        step = self.optimizer.step_count  # an engine that detects it late has already counted this step
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # checked below, in one place
            result = engine.train_step(
                ready, labels, self.optimizer, generator, update=update, sample_weights=sample_weights
            )
        if not (result.finite and math.isfinite(result.loss)):
            if before is not None:
                generator.bit_generator.state = before
            raise self._non_finite(result, ready, labels, sample_weights, step, generator)
        if update and self.average is not None:
            self.average.update()
        return result

    def form(
        self,
        engine: Engine,
        images: Array,
        labels: Array,
        sample_weights: Array | None,
        generator: np.random.Generator,
        *,
        whole: int | None = None,
        least: int | None = None,
    ) -> Generator[Halt, None, tuple[StepResult, NonFiniteError | None]]:
        """Pass through a part of a batch, as `Engine.form` describes it; return the result, and what is wrong with it.

        The error tells where the loss or a gradient became infinite or NaN.
        """
        engine.loss = self.loss
        ready = self._preprocessed(images)
        before = generator.bit_generator.state
        result = yield from engine.form(
            ready, labels, generator, sample_weights=sample_weights, whole=whole, least=least
        )
        if result.finite:
            return result, None
        generator.bit_generator.state = before
        step = self.optimizer.step_count
        return result, self._non_finite(result, ready, labels, sample_weights, step, generator)

    def apply(self, gradient: Array, count: int, *, update: bool) -> None:
        """Train with the mean gradient of `count` images, as `form` leaves it for some of them."""
        self.engine.apply(gradient, count, self.optimizer, update=update)
        if update and self.average is not None:
            self.average.update()

    def _preprocessed(self, images: Array) -> Array:
        white = self.white
        if white is None and self.model.preprocessing.pixels is None and images.dtype.kind == "f":
            white = 1.0  # no need to scan the pixels: non-finite values show up in the loss
        return self.model.preprocessing(images, dtype=self.model.dtype, white=white)

    def averaged(self) -> AbstractContextManager[None]:
        """Let the model have the average of its weights inside a `with` block; without `ema`, nothing changes."""
        return nullcontext() if self.average is None or not self.average.updates else self.average.applied()

    def keep_average(self) -> None:
        """Give the model the average of its weights for good, as at the end of a training; do nothing without `ema`."""
        if self.average is not None and self.average.updates:
            self.average.adopt()

    def _non_finite(
        self,
        result: StepResult,
        ready: Array,
        labels: Array,
        sample_weights: Array | None,
        step: int,
        generator: np.random.Generator,
    ) -> NonFiniteError:
        found = find_origin(self.model, self.loss, ready, labels, generator, self.optimizer.lr, sample_weights)
        what = "a gradient is not finite" if math.isfinite(result.loss) else f"the loss is {result.loss}"
        return NonFiniteError(
            f"step {step + 1}: {what}; the first non-finite array: {found.array} ({found.detail}); "
            f"likely cause: {found.cause}",
            step=step,
            layer=found.layer,
            array=found.array,
        )

    def _input_shape(self, image_shape: tuple[int, ...]) -> tuple[int, ...]:
        try:
            return self.model.input_shape
        except ArgumentError:  # not given by the user: taken from the data
            return (*image_shape, 1) if len(image_shape) == 2 else image_shape

    def stop(self, reason: str = "stopped") -> None:
        """Request that `fit` stop after the current batch. May be called from a subscriber or another thread."""
        self.stop_reason = reason


def read_ema(value: float | None) -> float | None:
    """Check the decay of a moving average, in [0, 1); 0 and None mean that there is none."""
    return None if value is None else real_number(value, "ema", 0, 1) or None


def make_loss(loss: str | Loss, model: Network) -> Loss:
    """Return the loss with this name for this model.

    Raises
    ------
    ArgumentError
        The name is unknown, or the model ends in a softmax, which cross-entropy already includes.
    """
    last = model.layers[-1]
    if loss == "auto":
        is_values = isinstance(last, (Sigmoid, Hardsigmoid, Tanh)) or _returns_maps(model)
        loss = "squared_error" if is_values else "cross_entropy"
    if isinstance(loss, str):
        loss = loss_by_name(loss)
    if loss.name == "cross_entropy" and last.output_kind == "probabilities":
        raise ArgumentError(
            "cross_entropy takes outputs before the softmax, but the network ends in one; leave the softmax out, the "
            "loss includes it and predict applies it"
        )
    return loss


def _returns_maps(model: Network) -> bool:
    try:
        return len(model.output_shape) > 1
    except ArgumentError:  # not known before the first batch
        return False
