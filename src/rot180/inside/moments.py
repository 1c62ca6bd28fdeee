"""Moments of a training: copies of the weights on the way, evenly spread over the updates so far, in bounded memory.

With them, one image can be followed through the training: what would the network have answered then, and when was it
decided?
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rot180.inside.explain import Trace
from rot180.inside.explain.loss import probabilities
from rot180.nn.network import Network
from rot180.ops.types import Array
from rot180.training.events import Event, StepDone, TrainingStarted
from rot180.training.optimizer import Optimizer
from rot180.training.state import flat_state

__all__ = ["Decision", "Moment", "Moments", "decision"]

MOST = 48
"""The most moments that are kept."""

MOST_BYTES = 200_000_000
"""The most memory that they take together; at least four are kept."""


@dataclass(frozen=True)
class Moment:
    """The weights after some update.

    Attributes
    ----------
    step : int
        Updates done.
    state : dict of str to array
        Copies of the parameters and statistics.
    optimizer : Optimizer or None
        A copy, with its state, and the learning rate of the next update.
    epoch, batch : int
        The batch that the next update takes, both from 0; the number of epochs if there is none.
    noise : dict or None
        The state of the generator from which the next update's noise is drawn.
    """

    step: int
    state: dict[str, Array]
    optimizer: Optimizer | None = None
    epoch: int = 0
    batch: int = 0
    noise: dict[str, Any] | None = None

    def of(self, model: Network) -> Network:
        """Return a copy of the network as it was at this moment."""
        then = copy.deepcopy(model)
        then.load_parameters(self.state)
        return then

    def generator(self) -> np.random.Generator:
        """Return a generator that draws the noise of the next update."""
        generator = np.random.default_rng(0)
        if self.noise is not None:
            generator.bit_generator.state = self.noise
        return generator


class Moments:
    """Keep moments of a training; a subscriber of `fit`.

    Weights and optimizer are copied before the first update and after every n-th. When there are too many, every other
    one is dropped and n doubles.

    Examples
    --------
    >>> import rot180
    >>> data = rot180.load_data("digits").limit(640)
    >>> moments = Moments(most=5)
    >>> history = rot180.fit(rot180.network("8x8x1 > fc10"), data, epochs=1, subscribers=[moments])
    >>> [moment.step for moment in moments.kept]
    [0, 4, 8, 12, 16, 20]
    """

    def __init__(self, most: int = MOST) -> None:
        self._most, self._every = most, 1
        self._started: TrainingStarted | None = None
        self.kept: list[Moment] = []

    def __call__(self, event: Event) -> None:
        """Keep a moment, if it is time."""
        if isinstance(event, TrainingStarted):
            self._started = event
            arrays = [*event.trainer.model.state.values(), *flat_state(event.trainer.optimizer.state).values()]
            size = sum(array.nbytes for array in arrays)
            self._most = max(min(self._most, MOST_BYTES // max(size, 1)), 4)
            self._keep(event)
        elif isinstance(event, StepDone) and event.updated and self._started is not None:
            if self._started.progress.step % self._every == 0:
                self._keep(self._started)

    def _keep(self, started: TrainingStarted) -> None:
        trainer, progress = started.trainer, started.progress
        state = {name: array.copy() for name, array in trainer.model.state.items()}
        optimizer = copy.deepcopy(trainer.optimizer)
        optimizer.lr = started.rate(progress.step)
        # After the last batch of an epoch, the position is still in that epoch.
        epoch, batch = (
            (progress.epoch + 1, 0) if progress.batch == started.batches else (progress.epoch, progress.batch)
        )
        noise = dict(trainer.generators["noise"].bit_generator.state)
        self.kept.append(Moment(progress.step, state, optimizer, epoch, batch, noise))
        if len(self.kept) > self._most + 1:
            self._every *= 2
            self.kept = [moment for moment in self.kept if moment.step % self._every == 0]


@dataclass(frozen=True)
class Decision:
    """One image through a training.

    Attributes
    ----------
    steps : tuple of int
        Updates done at each moment.
    probabilities : (moments, K) array
        Of each class.
    losses : tuple of float
        The loss of the image, with its label.
    decided : int
        The first of these steps from which on the likeliest class was the final one.
    """

    steps: tuple[int, ...]
    probabilities: Array
    losses: tuple[float, ...]
    decided: int


def decision(model: Network, moments: Sequence[Moment], image: Array, label: int) -> Decision:
    """Return what a network would have answered for an image at each moment of its training.

    Parameters
    ----------
    model : Network
        Classifies images; not changed.
    moments : sequence of Moment
        At least one.
    image : (H, W, C)
        As in the data.
    label : int

    Examples
    --------
    >>> import rot180
    >>> data = rot180.load_data("digits")
    >>> moments, model = Moments(), rot180.network("8x8x1 > fc10")
    >>> history = rot180.fit(model, data, epochs=2, lr=0.01, subscribers=[moments])
    >>> found = decision(model, moments.kept, data.test_images[0], int(data.test_labels[0]))
    >>> found.steps[0], found.losses[-1] < found.losses[0]
    (0, True)
    """
    rows, losses = [], []
    then = copy.deepcopy(model)
    for moment in moments:
        then.load_parameters(moment.state)
        trace = Trace(then, image, label)
        rows.append(probabilities(trace)[0].astype(np.float64))
        losses.append(trace.loss_value)
    answers = [int(row.argmax()) for row in rows]
    changed = [at for at, answer in enumerate(answers) if answer != answers[-1]]
    decided = moments[changed[-1] + 1 if changed else 0].step
    return Decision(tuple(moment.step for moment in moments), np.stack(rows), tuple(losses), decided)
