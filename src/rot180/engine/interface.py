"""The interface of an engine, and of the optimizer that it uses.

`training` is above `engine`, so the optimizer is described here by the part of it that an engine uses.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np

from rot180.engine.halts import Halt
from rot180.nn.loss import Loss
from rot180.nn.network import Network
from rot180.ops.types import Array


class StepResult(NamedTuple):
    """The results of one batch, before its update."""

    loss: float
    """The mean loss over the images of the batch."""
    correct: int
    """The number of images whose largest output is at their label; 0 if the outputs are feature maps."""
    finite: bool = True
    """Whether loss and gradients are finite. If not, the parameters are best left as they were before the batch, so
    that the origin can still be found."""


class Updater(Protocol):
    """The part of an optimizer that an engine uses.

    `update` does all of the work. An engine that fuses the update into the backward pass instead reads `fused_rule`,
    the hyper-parameters and `state`, and then adds one to `step_count` itself.
    """

    @property
    def fused_rule(self) -> str:
        """The rule that an engine may compute in place of `update`; empty if it must call `update`."""

    lr: float
    clip_norm: float | None
    """The largest norm of a gradient, to which an engine that does not call `update` shortens it; None: no limit."""
    gradient_norm: float | None
    """Set at each update: the norm before that; None without `clip_norm`."""
    decay_bias_and_norm: bool
    """Whether parameters with a single axis decay as well."""
    step_count: int
    state: dict[str, dict[str, Array]]

    def prepare(self, parameters: Mapping[str, Array]) -> None:
        """Allocate the state for these parameters; existing state is kept."""

    def hyper(self) -> dict[str, Any]:
        """Return the hyper-parameters other than the learning rate."""

    def orthogonalizes(self, shape: tuple[int, ...]) -> bool:
        """Return whether the steps of a parameter of this shape are made orthogonal."""

    def update(
        self, parameters: Mapping[str, Array], gradients: Mapping[str, Array], lr_factors: Mapping[str, float]
    ) -> None:
        """Change the parameters in place."""


class Engine(Protocol):
    """Runs a model for `fit`, `evaluate` and `predict`."""

    name: str
    model: Network
    loss: Loss
    """May be replaced between two steps."""

    def prepare(self, optimizer: Updater) -> None:
        """Allocate the optimizer's state in its final place."""

    def train_step(
        self,
        images: Array,
        target: Array,
        optimizer: Updater,
        generator: np.random.Generator | None = None,
        *,
        update: bool = True,
        sample_weights: Array | None = None,
    ) -> StepResult:
        """Run the forward and backward passes of one batch; with `update`, also update the parameters.

        `images` are already preprocessed; `target` is what the loss takes. Gradients of batches with `update=False` are
        kept and averaged, each image counting equally, into the next update. `generator` supplies noise and dropout.
        `sample_weights` (N,) multiply the loss of each image.
        """

    def form(
        self,
        images: Array,
        target: Array,
        generator: np.random.Generator | None = None,
        *,
        sample_weights: Array | None = None,
        whole: int | None = None,
        least: int | None = None,
    ) -> Generator[Halt, None, StepResult]:
        """Run the forward and backward passes of a part of a batch, whose gradients are then in `gradient`.

        The pass halts where stretches of the gradient are complete, even if it is not finite. Statistics have learned
        the part at the end if it is; nothing else is changed.

        Parameters
        ----------
        whole : int, optional
            The images of all parts, if batch normalization uses the mean and variance of all of them. The pass then
            also halts for means over the parts, which must all be passed through in step.
        least : int, optional
            How many numbers of the gradient make a stretch; by default it is not cut.
        """

    def compile(self, count: int, *, synchronized: bool = False) -> None:
        """Compile what `form` needs for so many images, and for the update."""

    def apply(self, gradients: Array, count: int, optimizer: Updater, *, update: bool = True) -> None:
        """Take the mean gradient of `count` images, flat as `form` leaves it, as that of a batch."""

    @property
    def gradient(self) -> Array:
        """The gradients of the latest batch in one flat array."""

    def forward(self, images: Array, *, softmax: bool = False, steady: bool = False) -> Array:
        """Return the outputs for preprocessed images in inference mode (no dropout, no noise).

        Parameters
        ----------
        images : (N, ...)
        softmax : bool
            Return the softmax of the outputs instead.
        steady : bool
            Give a single image the bits that it has in a larger batch, where an engine can.
        """
