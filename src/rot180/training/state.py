"""The entire state of a training between two updates: what a checkpoint stores, and what resuming needs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rot180.errors import ArgumentError, ModelError, Rot180Error
from rot180.ops.types import Array
from rot180.training.history import History
from rot180.training.progress import Progress, Settings
from rot180.training.trainer import Trainer

COUNTERS = ("epoch", "batch", "step", "loss_sum", "correct", "images", "seconds", "elapsed", "best_loss", "best_epoch")
"""The numbers of `Progress`."""

ADDED_COUNTERS = ("gradient_norms", "clipped")
"""Those that the first checkpoints lack; 0 there."""

COUNTED = (*COUNTERS, *ADDED_COUNTERS)
"""All numbers of `Progress`."""

ADDED = (
    *("network", "preprocessing", "label_smoothing", "schedule", "warmup", "ema", "tta", "sample_weights", "shards"),
    "sync_batch_norm",
)
"""Parts of a plan that the first checkpoints lack; they are not compared with those."""


@dataclass(frozen=True)
class TrainingState:
    """A training between two updates.

    Attributes
    ----------
    plan : dict
        Everything that affects the bits of the result and must be unchanged to resume, except that `epochs` may grow.
    progress : dict
        The numbers of `Progress`: position in the epoch, updates done, sums of this epoch, best loss.
    generators : dict of str to dict
        The state of each of the trainer's generators.
    step_count : int
        Steps of the optimizer.
    history : History
        The history so far.
    parameters, optimizer_state, best_parameters : dict of str to array
        `conv1.weight`, and the statistics, such as `bn1.running_mean`; `m/conv1.weight`; the arrays that early
        stopping would restore.
    average : dict of str to array
        The moving average of the weights; empty without `ema`.
    """

    plan: dict[str, Any]
    progress: dict[str, Any]
    generators: dict[str, dict[str, Any]]
    step_count: int
    history: History
    parameters: dict[str, Array]
    optimizer_state: dict[str, Array]
    best_parameters: dict[str, Array]
    average: dict[str, Array] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Whether no epoch is left, or early stopping ends the training here."""
        done, patience = self.progress["epoch"], self.plan["early_stopping"]
        return bool(done >= self.plan["epochs"] or self.out_of_patience(patience))

    def out_of_patience(self, patience: int | None) -> bool:
        """Return whether early stopping with this patience ends the training here."""
        return patience is not None and patience <= self.progress["epoch"] - (self.progress["best_epoch"] or 0)

    @property
    def final_parameters(self) -> dict[str, Array]:
        """The final weights if the training ended here: the best if it is over and kept them, else the newest average
        or, without `ema`, the newest weights."""
        if self.is_over and self.best_parameters:
            return self.best_parameters
        return self.average if self.average and self.progress["step"] else self.parameters


def capture(
    trainer: Trainer, settings: Settings, progress: Progress, images: int, history: History | None = None
) -> TrainingState:
    """Return the state of a training; its arrays are not copies: store or copy them before the next batch.

    Parameters
    ----------
    trainer, settings, progress
        From `TrainingStarted`.
    images : int
        Images in an epoch.
    history : History, optional
    """
    return TrainingState(
        plan=plan_of(trainer, settings, images),
        progress={name: getattr(progress, name) for name in COUNTED},
        generators={name: dict(g.bit_generator.state) for name, g in trainer.generators.items()},
        step_count=trainer.optimizer.step_count,
        history=history if history is not None else History(),
        parameters=trainer.model.state,
        optimizer_state=flat_state(trainer.optimizer.state),
        best_parameters=progress.best_parameters,
        average={} if trainer.average is None else trainer.average.arrays,
    )


def restore(state: TrainingState, trainer: Trainer, settings: Settings, images: int) -> Progress:
    """Load a state into a prepared trainer and return the position to continue from.

    Raises
    ------
    ArgumentError
        The state belongs to another training: something that affects the bits differs, or there are fewer epochs.
    ModelError
        The state is damaged, or its arrays do not match the network.
    """
    plan = plan_of(trainer, settings, images)
    then = {name: value for name, value in plan.items() if name in ADDED} | state.plan
    differences = [
        f"{name} {then.get(name)!r}, here {value!r}"
        for name, value in plan.items()
        if name != "epochs" and then.get(name) != value
    ]
    if differences:
        raise ArgumentError(
            f"the checkpoint belongs to another training: {'; '.join(differences)}; use the same settings"
        )
    _check_epochs(state, settings)
    _copy_into(trainer.model.state, state.parameters)
    _copy_into(flat_state(trainer.optimizer.state), state.optimizer_state)
    if trainer.average is not None:
        _copy_into(trainer.average.arrays, state.average)
    try:
        if state.generators.keys() != trainer.generators.keys():
            raise KeyError(f"generators {sorted(state.generators)}, expected {sorted(trainer.generators)}")
        for name, generator in trainer.generators.items():
            generator.bit_generator.state = state.generators[name]
        progress = Progress(**{name: state.progress[name] for name in COUNTERS})
        progress.gradient_norms, progress.clipped = (state.progress.get(name, 0) for name in ADDED_COUNTERS)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ModelError(f"the checkpoint's state cannot be used ({error}); use an older one") from None
    batches = settings.batches(images)
    if not (0 <= progress.epoch <= settings.epochs and 0 <= progress.batch <= batches):
        raise ModelError(
            f"the checkpoint is at epoch {progress.epoch}, batch {progress.batch}; expected at most "
            f"{settings.epochs} and {batches}; use an older one"
        )
    steps = progress.epoch * settings.updates_per_epoch(images) + -(-progress.batch // settings.accumulate)
    seen = min(progress.batch * settings.batch_size, images)
    if (progress.step, state.step_count, progress.images) != (steps, steps, seen):
        raise ModelError(
            f"the checkpoint counts {progress.step} steps and {progress.images} images in this epoch; epoch "
            f"{progress.epoch}, batch {progress.batch} requires {steps} and {seen}; use an older one"
        )
    trainer.optimizer.step_count = state.step_count
    if trainer.average is not None:
        trainer.average.updates = steps
    progress.best_parameters = {name: np.array(w) for name, w in state.best_parameters.items()}
    return progress


def _check_epochs(state: TrainingState, settings: Settings) -> None:
    """Raise ArgumentError unless the number of epochs is unchanged, or larger with early stopping not yet reached."""
    planned = state.plan.get("epochs")
    if not isinstance(planned, int):
        raise ModelError("the checkpoint does not record its number of epochs; use an older one")
    if settings.epochs < planned:
        raise ArgumentError(
            f"the training was planned for {planned} epochs and can be extended, but not shortened to {settings.epochs}"
        )
    if settings.epochs > planned and state.out_of_patience(settings.early_stopping):
        raise ArgumentError(
            f"early stopping ended the training after epoch {state.progress['epoch']}, and would end it there again: "
            f"more epochs change nothing; start a new training with more patience"
        )


def plan_of(trainer: Trainer, settings: Settings, images: int) -> dict[str, Any]:
    """Return what must be unchanged for a training to resume as if it had never stopped, as JSON values."""
    weights = getattr(trainer.loss, "class_weights", None)
    plan = {
        "network": _notation(trainer),
        "preprocessing": trainer.model.preprocessing.to_dict(),
        "seed": trainer.seed,
        "images": images,
        "batch_size": settings.batch_size,
        "accumulate": settings.accumulate,
        "epochs": settings.epochs,
        "early_stopping": settings.early_stopping,
        "ema": None if trainer.average is None else trainer.average.decay,
        "tta": settings.tta,
        "augment": None if settings.augment is None else str(settings.augment),
        "loss": trainer.loss.name,
        "class_weights": None if weights is None else weights.tolist(),
        "label_smoothing": getattr(trainer.loss, "label_smoothing", None),
        "optimizer": trainer.optimizer.to_dict(),
        "schedule": settings.schedule,
        "warmup": settings.warmup,
        "sample_weights": settings.sample_weights,
        "shards": settings.shards,
        "sync_batch_norm": settings.sync_batch_norm,
    }
    return dict(json.loads(json.dumps(plan)))


def _notation(trainer: Trainer) -> str | None:
    """Return the network in the notation; None if the notation has no word for one of its layers."""
    try:
        return trainer.model.notation
    except Rot180Error:
        return None


def flat_state(state: Mapping[str, Mapping[str, Array]]) -> dict[str, Array]:
    """Return an optimizer's arrays by flat name, such as `m/conv1.weight`; not copies."""
    return {f"{slot}/{name}": array for slot, arrays in state.items() for name, array in arrays.items()}


def history_so_far(history: History) -> History:
    """Return an independent copy."""
    return deepcopy(history)


def _copy_into(own: Mapping[str, Array], given: Mapping[str, Array]) -> None:
    """Copy values in place, so that references to the arrays, such as an engine's, stay valid."""
    if own.keys() != given.keys():
        raise ModelError(
            f"the checkpoint's arrays must be {', '.join(sorted(own)[:4])} ...; "
            f"missing: {', '.join(sorted(own.keys() - given.keys())[:4]) or 'none'}; "
            f"unexpected: {', '.join(sorted(given.keys() - own.keys())[:4]) or 'none'}"
        )
    for name, array in own.items():
        if given[name].shape != array.shape or given[name].dtype != array.dtype:
            raise ModelError(
                f"the checkpoint's {name} must be {array.shape} {array.dtype}; it is {given[name].shape} "
                f"{given[name].dtype}"
            )
    for name, array in own.items():
        array[...] = given[name]
