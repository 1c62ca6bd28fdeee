"""Notice while a training runs that it needs a look: the loss jumps, or filters have died.

The limits are rules of thumb, as those of `rot180.inside.health`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np

from rot180.data.lazy import Images
from rot180.inside.health import DEAD_FILTERS, IMAGES
from rot180.inside.health_measures import dead
from rot180.training.events import EpochDone, Event, StepDone, TrainingStarted
from rot180.training.trainer import Trainer

JUMP = 3.0
"""Ratio of a batch's loss to the mean of those before it."""

BEFORE = 20
"""The number of batches before it."""


class Alarm:
    """Return a reason to look, event by event, or an empty text.

    Parameters
    ----------
    images : (N, H, W, C)
        Images to look for dead filters with, after each epoch; the first 256 are used.

    Examples
    --------
    >>> import rot180
    >>> data = rot180.load_data("digits").limit(640)
    >>> alarm, reasons = Alarm(data.test_images), []
    >>> model = rot180.network("8x8x1 > conv3x3:4 relu > fc10")
    >>> history = rot180.fit(model, data, subscribers=[lambda event: reasons.append(alarm(event))])
    >>> any(reasons)
    False
    """

    def __init__(self, images: Images) -> None:
        self._images = np.asarray(images[:IMAGES])
        self._losses: deque[float] = deque(maxlen=BEFORE)
        self._trainer: Trainer | None = None
        self._dead: dict[str, float] = {}

    def __call__(self, event: Event) -> str:
        """Return why the training needs a look; empty if it does not."""
        if isinstance(event, TrainingStarted):
            self._trainer = event.trainer
            self._dead = dict(self._dead_filters())
        elif isinstance(event, StepDone):
            mean = sum(self._losses) / len(self._losses) if len(self._losses) == BEFORE else np.inf
            self._losses.append(event.loss)
            if event.loss > JUMP * mean and event.loss > 0.1:
                return f"the loss of this batch is {event.loss:.3g}; the mean of the {BEFORE} before it is {mean:.3g}"
        elif isinstance(event, EpochDone):
            for layer, share in self._dead_filters():
                before = self._dead.get(layer, 0.0)
                self._dead[layer] = share
                if share > max(before, DEAD_FILTERS):
                    return f"{100 * share:.0f}% of the filters before {layer} have died: they are zero for every image"
        return ""

    def _dead_filters(self) -> Iterator[tuple[str, float]]:
        if self._trainer is None or not len(self._images):
            return
        model = self._trainer.model
        for step in model.walk(model.preprocessing(self._images, dtype=model.dtype)):
            if step.y.ndim == 4 and (share := dead(step)) is not None:
                yield step.layer.name, share
