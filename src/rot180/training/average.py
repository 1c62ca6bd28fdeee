"""The exponential moving average of a model's weights and statistics: what a training with `ema` evaluates and keeps.

It begins as the weights after the first update. After update t, counted from 1,

    average = d * average + (1 - d) * weights,     d = min(decay, (1 + t) / (10 + t))

so that it covers fewer updates at first, and is not held back by the weights of the start.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import numpy as np

from rot180.engine import Engine
from rot180.engine.model_lock import ModelLock
from rot180.kernels.memory import aligned
from rot180.nn.arena import Arena
from rot180.nn.network import Network
from rot180.ops.types import Array


class WeightAverage:
    """The moving average of a built model's parameters.

    Parameters
    ----------
    model : Network
    decay : float
        The fraction of the average that each update keeps, in (0, 1).
    engine : Engine
        Trains the model; with the compiled engine, the average is computed by a kernel.

    Attributes
    ----------
    arrays : dict of full name to array
        The average; not meaningful before the first update.
    updates : int
        Updates averaged so far.

    References
    ----------
    Polyak and Juditsky (1992), "Acceleration of stochastic approximation by averaging"; the rising decay is that of
    TensorFlow's `ExponentialMovingAverage` with `num_updates`.

    Examples
    --------
    >>> from rot180.nn import network
    >>> from rot180.training import Trainer
    >>> trainer = Trainer(network("2x2x1 > fc2"), ema=0.99)
    >>> loss = trainer.step(np.ones((4, 2, 2, 1)), np.array([0, 1, 0, 0]))
    >>> trainer.average.updates
    1
    """

    def __init__(self, model: Network, decay: float, engine: Engine) -> None:
        self._model, self.decay = model, decay
        self._compiled = engine.name == "compiled"
        # Predictions that another thread makes see the weights or their average, never half of each.
        self._lock: AbstractContextManager[object] = ModelLock(model) if self._compiled else nullcontext()
        self._allocate()

    def _allocate(self) -> None:
        self._arena = self._model.arena
        self.arrays: dict[str, Array] = {}
        self.updates = 0
        self._pairs: list[tuple[Array, Array]] = []
        for arena in (self._model.arena, self._model.statistics_arena):
            averages = Arena({name: array.shape for name, array in arena.items()}, self._model.dtype)
            self.arrays.update(averages.items())
            if averages.flat.size:
                self._pairs.append((averages.flat, arena.flat))
        for name, w in self._model.state.items():  # those of a user's own layers are elsewhere
            if name not in self.arrays:
                self.arrays[name] = aligned(w.shape, w.dtype)
                self._pairs.append((self.arrays[name], w))

    def update(self) -> None:
        """Include the weights after an update; start over if the model was rebuilt."""
        if self._compiled:
            from rot180.kernels import ema_update
        else:
            from rot180.ops import ema_update
        if self._model.arena is not self._arena:
            self._allocate()
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates)) if self.updates > 1 else 0.0
        with self._lock:
            for average, w in self._pairs:
                if decay:
                    ema_update(average, w, decay=decay)
                else:
                    np.copyto(average, w)

    def exchange(self) -> None:
        """Exchange the model's weights with their average, in place."""
        with self._lock:
            for average, w in self._pairs:
                held = aligned(w.shape, w.dtype)
                np.copyto(held, w)
                np.copyto(w, average)
                np.copyto(average, held)

    def adopt(self) -> None:
        """Give the model the average for good; its own weights are lost."""
        with self._lock:
            for average, w in self._pairs:
                np.copyto(w, average)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Let the model have the average instead of its weights inside a `with` block."""
        self.exchange()
        try:
            yield
        finally:
            self.exchange()
