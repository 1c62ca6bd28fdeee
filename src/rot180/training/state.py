"""Everything that a training knows between two updates: what a checkpoint holds, and what going on needs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rot180.errors import ArgumentError, ModelError
from rot180.ops.types import Array
from rot180.training.history import History

if TYPE_CHECKING:
    from rot180.training.loop import Progress, Settings
    from rot180.training.trainer import Trainer

COUNTERS = ("epoch", "batch", "step", "loss_sum", "correct", "images", "seconds", "elapsed", "best_loss", "best_epoch")
"""The numbers of `Progress`."""


@dataclass(frozen=True)
class TrainingState:
    """A training between two updates.

    Attributes
    ----------
    plan : dict
        What must be the same to go on: seed, batches, optimizer, number of images.
    progress : dict
        The numbers of `Progress`: position in the epoch, updates done, sums of this epoch, best loss.
    generators : dict of str to dict
        The state of each of the trainer's generators.
    step_count : int
        Of the optimizer.
    history : History
        So far.
    parameters, optimizer_state, best_parameters : dict of str to array
        `conv1.weight`; `m/conv1.weight`; the weights that early stopping would put back.
    """

    plan: dict[str, Any]
    progress: dict[str, Any]
    generators: dict[str, dict[str, Any]]
    step_count: int
    history: History
    parameters: dict[str, Array]
    optimizer_state: dict[str, Array]
    best_parameters: dict[str, Array]


def capture(
    trainer: Trainer, settings: Settings, progress: Progress, images: int, history: History | None = None
) -> TrainingState:
    """Return the state of a training; its arrays are the live ones: store or copy them before the next batch.

    Parameters
    ----------
    trainer, settings, progress
        As `TrainingStarted` tells them.
    images : int
        In an epoch.
    history : History, optional
    """
    return TrainingState(
        plan=plan_of(trainer, settings, images),
        progress={name: getattr(progress, name) for name in COUNTERS},
        generators={name: dict(g.bit_generator.state) for name, g in trainer.generators.items()},
        step_count=trainer.optimizer.step_count,
        history=history if history is not None else History(),
        parameters=trainer.model.parameters,
        optimizer_state=flat_state(trainer.optimizer.state),
        best_parameters=progress.best_parameters,
    )


def restore(state: TrainingState, trainer: Trainer, settings: Settings, images: int) -> Progress:
    """Put a state into a prepared trainer and return the place to go on from.

    Raises
    ------
    ArgumentError
        The training is another one: its seed, batches, optimizer or number of images differ.
    ModelError
        The state is damaged, or its arrays do not fit the network.
    """
    from rot180.training.loop import Progress

    plan = plan_of(trainer, settings, images)
    differences = [
        f"{name} {state.plan.get(name)!r}, here {value!r}"
        for name, value in plan.items()
        if state.plan.get(name) != value
    ]
    if differences:
        raise ArgumentError(f"the checkpoint belongs to another training: {'; '.join(differences)}; give the same")
    _copy_into(trainer.model.parameters, state.parameters)
    _copy_into(flat_state(trainer.optimizer.state), state.optimizer_state)
    try:
        if state.generators.keys() != trainer.generators.keys():
            raise KeyError(f"generators {sorted(state.generators)}, expected {sorted(trainer.generators)}")
        for name, generator in trainer.generators.items():
            generator.bit_generator.state = state.generators[name]
        progress = Progress(**{name: state.progress[name] for name in COUNTERS})
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ModelError(f"the checkpoint's state cannot be used ({error}); take an older one") from None
    batches = settings.batches(images)
    if not (0 <= progress.epoch <= settings.epochs and 0 <= progress.batch <= batches and progress.step >= 0):
        raise ModelError(
            f"the checkpoint stands at epoch {progress.epoch}, batch {progress.batch}; expected at most "
            f"{settings.epochs} and {batches}; take an older one"
        )
    trainer.optimizer.step_count = state.step_count
    progress.best_parameters = {name: np.array(w) for name, w in state.best_parameters.items()}
    return progress


def plan_of(trainer: Trainer, settings: Settings, images: int) -> dict[str, Any]:
    """Return what must be the same for a training to go on as if it had never stopped, as JSON has it."""
    weights = getattr(trainer.loss, "class_weights", None)
    plan = {
        "seed": trainer.seed,
        "images": images,
        "batch_size": settings.batch_size,
        "accumulate": settings.accumulate,
        "epochs": settings.epochs,
        "early_stopping": settings.early_stopping,
        "augment": None if settings.augment is None else str(settings.augment),
        "loss": trainer.loss.name,
        "class_weights": None if weights is None else weights.tolist(),
        "optimizer": trainer.optimizer.to_dict(),
    }
    return dict(json.loads(json.dumps(plan)))


def flat_state(state: Mapping[str, Mapping[str, Array]]) -> dict[str, Array]:
    """Return an optimizer's arrays under one name each, such as `m/conv1.weight`; the live ones."""
    return {f"{slot}/{name}": array for slot, arrays in state.items() for name, array in arrays.items()}


def history_so_far(history: History) -> History:
    """Return a copy that goes on by itself."""
    return deepcopy(history)


def _copy_into(own: Mapping[str, Array], given: Mapping[str, Array]) -> None:
    """Copy values in place: whoever holds the arrays, such as an engine, goes on holding the right ones."""
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
