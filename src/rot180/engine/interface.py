"""What an engine is to the training loop, and what it needs from its surroundings.

`training` stands above `engine`, so the optimizer is described here by what an engine uses of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np

from rot180.nn.loss import Loss
from rot180.nn.sequential import Sequential
from rot180.ops.types import Array


class StepResult(NamedTuple):
    """What one batch showed, before its update."""

    loss: float
    """Mean over the images of the batch."""
    correct: int
    """Images whose largest output stood at their label."""
    finite: bool = True
    """Whether loss and gradients are finite numbers. If not, the parameters are best left as they were before the
    batch, so that the place where it began can still be found."""


class Updater(Protocol):
    """The part of an optimizer that an engine uses.

    `update` does the whole of it. An engine that fuses the update into the backward pass reads `fused_rule`, the
    hyper-parameters and `state` instead, and then adds one to `step_count` itself.
    """

    @property
    def fused_rule(self) -> str:
        """The rule that an engine may compute in place of `update`; empty where it must call that."""

    lr: float
    step_count: int
    state: dict[str, dict[str, Array]]

    def prepare(self, parameters: Mapping[str, Array]) -> None:
        """Allocate the state for these parameters; what is there already stays."""

    def hyper(self) -> dict[str, Any]:
        """Return the hyper-parameters other than the learning rate."""

    def update(
        self, parameters: Mapping[str, Array], gradients: Mapping[str, Array], lr_factors: Mapping[str, float]
    ) -> None:
        """Change the parameters in place."""


class Engine(Protocol):
    """Runs a model: what `fit`, `evaluate` and `predict` call."""

    name: str
    model: Sequential
    loss: Loss
    """May be exchanged between two steps."""

    def prepare(self, optimizer: Updater) -> None:
        """Allocate the optimizer's state where it will stay."""

    def train_step(
        self,
        images: Array,
        target: Array,
        optimizer: Updater,
        generator: np.random.Generator | None = None,
        *,
        update: bool = True,
    ) -> StepResult:
        """Run one batch forward and backward; with `update`, also change the parameters.

        `images` are preprocessed already. Gradients of batches with `update=False` are kept and joined, each image
        counting alike, into the next update. `generator` feeds noise and dropout.
        """

    def forward(self, images: Array, *, softmax: bool = False) -> Array:
        """Return the outputs for preprocessed images in inference mode (no dropout, no noise), or their softmax."""
