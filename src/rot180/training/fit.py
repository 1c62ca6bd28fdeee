"""`fit`: a complete training in one call."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Protocol

import numpy as np

from rot180.data import Dataset
from rot180.data.augment import Augmentation, parse_augmentation
from rot180.data.lazy import Images, LazyImages, as_images, select
from rot180.errors import ArgumentError, Rot180Error, ShapeError
from rot180.nn.image_statistics import ImageStatistics
from rot180.nn.keywords import answering_call
from rot180.nn.loss import CrossEntropyLoss, Loss
from rot180.nn.network import Network
from rot180.nn.validation import real_number, whole_number
from rot180.ops.types import Array
from rot180.parallel.communicator import ALONE, Communicator
from rot180.parallel.start import cores
from rot180.training.batches import Examples
from rot180.training.class_weights import ClassWeights, class_weights_of
from rot180.training.data_parallel import DataParallel
from rot180.training.events import Subscriber
from rot180.training.history import History
from rot180.training.loop import train
from rot180.training.metrics import check_labels, class_count
from rot180.training.optimizer import Optimizer
from rot180.training.optimizers import optimizer as optimizer_by_name
from rot180.training.predict import refuse_tta, tell_unlike
from rot180.training.progress import Progress, Settings
from rot180.training.sample_weights import read_sample_weights
from rot180.training.schedule import Schedule
from rot180.training.schedule import schedule as schedule_by_name
from rot180.training.shards import read_shards
from rot180.training.state import TrainingState, history_so_far, restore
from rot180.training.streams import stream
from rot180.training.trainer import Trainer


class TrainingData(Protocol):
    """The part of a data set that `fit` uses."""

    @property
    def train_images(self) -> Images:
        """(N, H, W, C)."""

    @property
    def train_labels(self) -> Array:
        """(N,)."""


@answering_call
def fit(
    model: Network,
    data: TrainingData | tuple[Images, Array],
    *,
    epochs: int = 1,
    batch_size: int = 32,
    optimizer: str | Optimizer = "adam",
    lr: float | None = None,
    momentum: float | None = None,
    nesterov: bool | None = None,
    weight_decay: float | None = None,
    decay_bias_and_norm: bool | None = None,
    clip_norm: float | None = None,
    schedule: str | Schedule = "constant",
    warmup: int | float = 0,
    seed: int = 0,
    validation: float | tuple[Images, Array] | Dataset | None = None,
    early_stopping: int | None = None,
    accumulate: int = 1,
    augment: str | Augmentation | None = None,
    workers: int | None = None,
    loss: str | Loss = "auto",
    label_smoothing: float = 0.0,
    ema: float | None = None,
    tta: str = "none",
    class_weights: ClassWeights | None = None,
    sample_weights: Array | None = None,
    engine: str = "auto",
    shards: int | None = None,
    sync_batch_norm: bool = False,
    communicator: Communicator = ALONE,
    subscribers: Iterable[Subscriber] = (),
    resume: TrainingState | None = None,
) -> History:
    """Train a model.

    Ctrl-C stops the training after the current batch; the model keeps its current weights, and the history records
    the position.

    Parameters
    ----------
    model : Network
        Built for the images if not built yet; trained in place.
    data : Dataset or (images, labels)
        Raw images (N, H, W, C) or (N, H, W), and integer labels (N,). The training part of a data set is used.
    epochs : int
        Passes over the images; 0 leaves the weights as they are.
    batch_size : int
        Images in a batch; the last batch of an epoch may be smaller.
    optimizer : str or Optimizer
        `sgd`, `adam`, `adamw`, `muon`, `rmsprop`, or an instance with its own hyper-parameters.
    lr : float, optional
        Peak learning rate; by default the optimizer's.
    momentum, nesterov : float and bool, optional
        For sgd: share of the previous velocity that is kept, in [0, 1), and whether to look ahead along it; by default
        0 and False.
    weight_decay : float, optional
        How strongly the weights are pulled toward zero; by default the optimizer's (0.01 for adamw and muon, otherwise
        0).
    decay_bias_and_norm : bool, optional
        If False, weight decay leaves out biases and the scales and shifts of normalization, which is to say all
        parameters with a single axis. By default the optimizer's, True.
    clip_norm : float, optional
        Before each update, shorten the gradient so that its norm, over all parameters together, is at most this; 0
        means no limit. How often that happened, and the mean norm, are in the history of each epoch.
    schedule : str or callable
        `constant`, `step`, `cosine` or `one-cycle`; or a function of your own that takes the number of updates made and
        returns the learning rate of the next, whatever `lr` and `warmup` are. To resume, pass the same one.
    warmup : int or float
        Updates during which the learning rate rises at the start; a float is a share of all updates.
    seed : int
        The same seed gives the same bits: parameters, order, noise, split.
    validation : float, (images, labels) or Dataset, optional
        Images to evaluate after every epoch: a share in (0, 1) of the training images, drawn at random and held out;
        other images; or a data set, from which `Dataset.for_validation` chooses the images. By default the data set's
        own validation images, if any.
    early_stopping : int, optional
        Stop after this many epochs without a lower validation loss, and restore the best weights.
    accumulate : int
        Batches whose gradients are combined in one update.
    augment : str or Augmentation, optional
        Alter each batch at random, such as "shift:2,flip" (`rot180.data.augment`); "none" is None. With `mixup` or
        `cutmix`, the loss receives rows of probabilities, and the training accuracy is the share of images for which
        the class with the larger share is predicted.
    workers : int, optional
        Threads that decode and augment batches ahead of the training; by default one per processor, at most 4, and
        none if there is nothing to do. Their number never changes the result.
    loss, engine
        As in `Trainer`.
    shards : int, optional
        Cut each batch into so many parts, a power of two, whose gradients are added in a fixed order: the result has
        the same bits on any number of processes up to that. Statistics of batch normalization, augmentation that mixes
        images, and random numbers are then those of a shard. By default, one for each process, on whose number the
        result then depends.
    sync_batch_norm : bool
        Normalize to the mean and variance of the whole batch where it is cut into parts: for parts of few images. The
        parts then wait for each other at every batch normalization, and a process keeps the maps of all of its shards.
    communicator : Communicator
        The processes that train together, `rot180.parallel.connect()`; all of them call `fit` with the same arguments,
        `resume` alone is only for the first.
    label_smoothing : float
        The fraction of each label, in [0, 1), that is spread evenly over all classes; 0.1 is usual. It keeps the
        network from becoming too sure of itself. The validation loss is smoothed likewise.
    ema : float, optional
        Evaluate, and keep in the end, an exponential moving average of the weights over about the last 1 / (1 - ema)
        updates, such as 0.999; see `rot180.training.average`. 0 means none.
    tta : str
        Test-time augmentation of the validation images, as in `evaluate`.
    class_weights : str, dict or array, optional
        Weight of each class in the loss: "balanced" (all classes equal, whatever their number of images), weights by
        class name or number such as {"cat": 2} (1 for classes left out), or one weight per class. The validation loss
        is weighted likewise; accuracies never are.
    sample_weights : (N,) float, optional
        How much each training image counts in the loss, at least 0. The sum over a batch is divided by its number of
        images: weights with a mean of 1 leave the learning rate as it is. They apply to the validation loss, too, if
        the validation images are a share of the training images.
    subscribers : iterable of callables
        Called with every event (`rot180.training.events`); `rot180.ProgressBar()` shows the progress.
    resume : TrainingState, optional
        Continue from this state, to the same bits as without a break; everything that affects the bits must be
        unchanged. `epochs` may be larger than before: the schedule is then that of a training with all of them.

    Returns
    -------
    History

    Raises
    ------
    ArgumentError, ShapeError
        An argument is invalid, or images, labels and model do not match.
    NonFiniteError
        A loss or gradient became infinite or NaN; raised in the same step.

    Examples
    --------
    >>> import rot180
    >>> images = np.zeros((20, 2, 2, 1), np.uint8)
    >>> images[::2] = 255
    >>> history = fit(rot180.network("2x2x1 > fc2"), (images, np.arange(20) % 2), epochs=30, lr=0.1)
    >>> history.stopped, history.epochs[-1].train_accuracy
    ('finished', 1.0)
    """
    whole_number(seed, "fit: seed", 0)
    images, labels = read_data(data)
    weights = None if sample_weights is None else read_sample_weights(sample_weights, len(images), augment)
    settings = Settings(
        epochs=whole_number(epochs, "fit: epochs", 0),
        batch_size=whole_number(batch_size, "fit: batch_size"),
        accumulate=whole_number(accumulate, "fit: accumulate"),
        early_stopping=None if early_stopping is None else whole_number(early_stopping, "fit: early_stopping"),
        augment=parse_augmentation(augment) if isinstance(augment, str) else augment,
        tta=tta,
        schedule="a function" if callable(schedule) else schedule,
        warmup=warmup,
        sample_weights=None if weights is None else hashlib.sha256(weights.tobytes()).hexdigest(),
        shards=None if shards is None else read_shards(shards),
        sync_batch_norm=sync_batch_norm,
    )
    if isinstance(validation, Dataset):
        validation = validation.for_validation(getattr(data, "class_names", None))
    elif validation is None and len(getattr(data, "validation_images", ())):
        validation = (data.validation_images, data.validation_labels)  # type: ignore[union-attr]
    if early_stopping is not None and validation is None:
        raise ArgumentError("early_stopping watches the validation loss; give validation, such as validation=0.1")

    if settings.augment is not None and images.ndim != 4:
        raise ShapeError(f"augmentation needs images (N, H, W, C); these are {images.shape}")
    if workers is None:
        workers = min(cores(), 4) if settings.augment or isinstance(images, LazyImages) else 0
    held_out = None
    if isinstance(validation, (int, float)):
        (images, labels, weights), held_out = hold_out(Examples(images, labels, weights), validation, seed)
    elif validation is not None:
        held_out = Examples(*read_data(validation))

    chosen = _optimizer(
        optimizer,
        lr=lr,
        momentum=momentum,
        nesterov=nesterov,
        weight_decay=weight_decay,
        decay_bias_and_norm=decay_bias_and_norm,
        clip_norm=clip_norm,
    )
    if lr is None:
        lr = chosen.initial_lr
    rate = _own_schedule(schedule) if callable(schedule) else None
    if rate is None:
        rate = schedule_by_name(settings.schedule, lr, settings.updates(len(images)), warmup=warmup)
    trainer = Trainer(model, optimizer=chosen, loss=loss, engine=engine, seed=seed, ema=ema)
    trainer.prepare(images.shape[1:])
    classes = class_count(model.output_shape)
    if held_out is not None and held_out.images.shape[1:] != images.shape[1:]:
        raise ShapeError(
            f"validation images must have the shape of the training images, {images.shape[1:]}; they have "
            f"{held_out.images.shape[1:]}"
        )
    for some in (labels, *((held_out.labels,) if held_out else ())):
        check_labels(some, len(some), classes)
    refuse_tta(model, tta)
    if label_smoothing:
        _smooth(trainer.loss, label_smoothing, loss)
    if class_weights is not None:
        if not isinstance(loss, str):
            raise ArgumentError("give class_weights to the loss itself, such as CrossEntropyLoss(class_weights=...)")
        names = model.class_names or tuple(map(str, range(classes)))
        trainer.loss.class_weights = class_weights_of(class_weights, labels, names)  # type: ignore[attr-defined]

    # A training state from before pixel ranges were stored resumes with the range of the type.
    if resume is None or "pixels" in resume.plan.get("preprocessing", {}):
        model.preprocessing = model.preprocessing.for_training_on(images)
    trainer.white, trainer.limits = model.preprocessing.white_of(images), model.preprocessing.limits_of(images)
    model.image_statistics = ImageStatistics.of(images, trainer.limits, getattr(data, "stored", None))
    if held_out:
        model.preprocessing.white_of(held_out.images)
        tell_unlike(model, held_out.images, "validation images")

    history, progress = History(), Progress()
    if resume is not None:
        history, progress = history_so_far(resume.history), restore(resume, trainer, settings, len(images))
    parallel = None
    if settings.shards is not None or communicator.size > 1:
        parallel = DataParallel(trainer, communicator, settings.shards, synchronized=sync_batch_norm)
        parallel.start_alike(progress, labels)
    listening = tuple(subscribers)
    with ExitStack() as entered:
        for subscriber in listening:
            if isinstance(subscriber, AbstractContextManager):
                entered.enter_context(subscriber)
        train(
            trainer,
            images,
            labels,
            rate,
            settings,
            workers=whole_number(workers, "fit: workers", 0),
            progress=progress,
            validation=held_out,
            sample_weights=weights,
            parallel=parallel,
            subscribers=(history, *listening),
        )
    return history


def read_data(data: Any) -> tuple[Any, Array]:
    """Return the training images and labels of a data set or a pair; raise ShapeError or ArgumentError for others."""
    if isinstance(data, (tuple, list)):
        if len(data) != 2:
            raise ArgumentError(f"data must be a data set or a pair (images, labels); it has {len(data)} parts")
        images, labels = as_images(data[0]), np.asarray(data[1])
    elif hasattr(data, "train_images") and hasattr(data, "train_labels"):
        images, labels = data.train_images, data.train_labels
    else:
        raise ArgumentError(f"data must be a data set or a pair (images, labels); it is {type(data).__name__}")
    if images.ndim not in (2, 3, 4):
        raise ShapeError(f"images must be (N, H, W, C) or (N, H, W); they are {images.shape}")
    check_labels(labels, len(images))
    return images, labels


def _smooth(loss: Loss, label_smoothing: float, asked: str | Loss) -> None:
    """Set the label smoothing of a loss that was chosen by name."""
    if not isinstance(asked, str):
        raise ArgumentError("give label_smoothing to the loss itself, such as CrossEntropyLoss(label_smoothing=0.1)")
    if not isinstance(loss, CrossEntropyLoss):
        raise ArgumentError(
            f"label_smoothing is for cross_entropy; this network is trained with {loss.name}: leave it out, or end the "
            f"network in fc without an activation"
        )
    loss.label_smoothing = label_smoothing


def hold_out(given: Examples, share: float, seed: int) -> tuple[Examples, Examples]:
    """Split data at random, as `fit` does with `validation=share`; return what is left, and what is held out.

    The share is rounded to whole images, and both parts have at least one.

    >>> kept, held_out = hold_out(Examples(np.zeros((10, 2, 2, 1)), np.arange(10) % 2), 0.2, seed=0)
    >>> len(kept.images), len(held_out.labels)
    (8, 2)
    """
    if isinstance(share, bool) or not math.isfinite(share) or not 0 < share < 1:
        raise ArgumentError(f"validation must be a share above 0 and below 1, or (images, labels); it is {share!r}")
    images = given.images
    if len(images) < 2:
        raise ArgumentError("validation holds out some of the training images, but there is only 1; give more images")
    order = stream(seed, "split").permutation(len(images))
    count = min(max(round(share * len(images)), 1), len(images) - 1)
    kept, held_out = (
        Examples(select(images, chosen), given.labels[chosen], None if given.weights is None else given.weights[chosen])
        for chosen in (np.sort(order[count:]), np.sort(order[:count]))
    )
    return kept, held_out


def _own_schedule(given: Schedule) -> Schedule:
    """Return a user's own schedule, whose rates are checked."""

    def rate(step: int) -> float:
        try:
            return real_number(given(step), f"fit: schedule({step})")
        except Rot180Error:
            raise
        except Exception as error:
            raise ArgumentError(
                f"fit: schedule must be a name, or a function that takes the number of updates made and returns a "
                f"learning rate; schedule({step}) raised {type(error).__name__}: {error}"
            ) from error

    rate(0)
    return rate


def _optimizer(asked: str | Optimizer, **hyper: float | bool | None) -> Optimizer:
    given = {name: value for name, value in hyper.items() if value is not None}
    if isinstance(asked, str):
        return optimizer_by_name(asked, **given)
    for name, example in {
        "momentum": "SGD(momentum=0.9)",
        "nesterov": "SGD(momentum=0.9, nesterov=True)",
        "weight_decay": "Adam(weight_decay=0.01)",
        "decay_bias_and_norm": "Adam(decay_bias_and_norm=False)",
        "clip_norm": "Adam(clip_norm=1.0)",
    }.items():
        if name in given:
            raise ArgumentError(f"give {name} to the optimizer itself, such as {example}; it is {asked!r}")
    return asked
