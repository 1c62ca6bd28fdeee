"""The reference engine: the layers as written, one by one. Every other engine must agree with it."""

from __future__ import annotations

from collections.abc import Generator, Mapping

import numpy as np

from rot180.engine.halts import Final, Halt
from rot180.engine.interface import StepResult, Updater
from rot180.errors import ArgumentError, ShapeError
from rot180.nn.loss import Loss, weighted_forward
from rot180.nn.network import Network
from rot180.ops.softmax import softmax as softmax_of
from rot180.ops.types import Array


class ReferenceEngine:
    """Run a network on plain NumPy.

    Parameters
    ----------
    model : Network
        A built network; its parameters are changed in place.
    loss : Loss
        Applied to the network's outputs.

    Examples
    --------
    >>> import numpy as np, rot180
    >>> from rot180.nn.loss import CrossEntropyLoss
    >>> from rot180.training import SGD
    >>> engine = ReferenceEngine(rot180.network("8x8x1 > fc10").build(seed=0), CrossEntropyLoss())
    >>> images, labels = np.ones((4, 8, 8, 1), np.float32), np.array([0, 1, 2, 3])
    >>> losses = [engine.train_step(images, labels, SGD(lr=0.01)).loss for _ in range(5)]
    >>> losses[-1] < losses[0]
    True
    """

    name = "numpy"

    def __init__(self, model: Network, loss: Loss) -> None:
        self.model = model
        self.loss = loss
        self._sums: dict[str, Array] = {}
        self._images = 0
        self._flat = np.empty(0, model.dtype)

    def prepare(self, optimizer: Updater) -> None:
        """Allocate the optimizer's state in its final place."""
        optimizer.prepare(self.model.parameters)

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

        Parameters
        ----------
        images : (N, H, W, C)
            Preprocessed images.
        target : (N,) integer or (N, K) float
            Labels, or a probability for each class.
        optimizer : Updater
            Updates the parameters with the gradients of all batches since its last update.
        generator : numpy.random.Generator, optional
            Supplies noise and dropout.
        update : bool
            If False, keep the gradients for the next update.
        sample_weights : (N,), optional
            How much each image counts in the loss.

        Returns
        -------
        StepResult
            Loss and number of correct images of this batch, before the update. If loss or gradients are not finite,
            nothing is changed.
        """
        images = self.model.accept(images)
        self.model.look()
        self.model.require_writeable()
        self.prepare(optimizer)
        result, gradients = self._form(images, target, generator, sample_weights)
        if result.finite:
            self._collect(gradients, len(images), optimizer, update)
        return result

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
        """Run the passes of a part of a batch, as `Engine.form` describes it; the gradient is complete at the end."""
        if whole is not None:
            raise ArgumentError("batch normalization over several parts of a batch needs the compiled engine")
        images = self.model.accept(images)
        self.model.look()
        self.model.require_writeable()
        result, gradients = self._form(images, target, generator, sample_weights)
        flat = [gradients[name].reshape(-1) for name in self.model.parameters]
        self._flat = np.concatenate(flat) if flat else np.empty(0, self.model.dtype)
        if flat:
            yield Final(((0, self._flat.size),))
        return result

    def compile(self, count: int, *, synchronized: bool = False) -> None:
        """Do nothing."""

    def apply(self, gradients: Array, count: int, optimizer: Updater, *, update: bool = True) -> None:
        """Take the mean gradient of `count` images, flat as `form` leaves it, as that of a batch."""
        self.prepare(optimizer)
        parts, start = {}, 0
        for name, parameter in self.model.parameters.items():
            parts[name] = gradients[start : start + parameter.size].reshape(parameter.shape)
            start += parameter.size
        self._collect(parts, count, optimizer, update)

    @property
    def gradient(self) -> Array:
        """The gradients of the latest `form` in one flat array."""
        return self._flat

    def _form(
        self, images: Array, target: Array, generator: np.random.Generator | None, sample_weights: Array | None
    ) -> tuple[StepResult, dict[str, Array]]:
        outputs, saved = self.model.forward(images, training=True, generator=generator)
        loss, loss_saved = weighted_forward(self.loss, outputs, target, sample_weights)
        # There is nothing below the first layer: its dx would cost a convolution and be discarded.
        _, gradients = self.model.backward(self.loss.backward(loss_saved), saved, needs_dx=False)
        finite = bool(np.isfinite(loss)) and all(is_finite(gradient) for gradient in gradients.values())
        if finite:
            self.model.learn(saved)
        return StepResult(float(loss), correct_count(outputs, target), finite), gradients

    def _collect(self, gradients: dict[str, Array], count: int, optimizer: Updater, update: bool) -> None:
        if self._images or not update:
            gradients = self._accumulate(gradients, count)
        if update:
            optimizer.update(self.model.parameters, gradients, self.model.lr_factors)
            self._sums, self._images = {}, 0

    def forward(self, images: Array, *, softmax: bool = False, steady: bool = False) -> Array:
        """Return what `Engine.forward` describes; NumPy's products cannot be `steady`, which is ignored."""
        outputs, _ = self.model.forward(images, training=False)
        return softmax_of(outputs) if softmax else outputs

    def _accumulate(self, gradients: Mapping[str, Array], count: int) -> dict[str, Array]:
        # Each gradient is a mean over its batch. Weighted by images, the mean over several batches is that of one large
        # batch, even if the last of them is shorter.
        for name, gradient in gradients.items():
            if name in self._sums:
                if self._sums[name].shape != gradient.shape:
                    raise ShapeError(
                        f"the gradients of {self._images} images await an update, but the network was rebuilt; "
                        f"finish the update first, or create a new trainer"
                    )
                self._sums[name] += gradient * count
            else:
                self._sums[name] = gradient * count
        self._images += count
        return {name: total / self._images for name, total in self._sums.items()}


def is_finite(array: Array) -> bool:
    """Return whether an array contains neither infinity nor NaN.

    >>> import numpy as np
    >>> is_finite(np.full(3, 1e30, np.float32)), is_finite(np.array([1.0, np.nan]))
    (True, False)
    """
    with np.errstate(over="ignore", invalid="ignore"):
        flat = array.ravel()
        # A dot product is many times faster than testing each value; it may overflow even if all of them are finite.
        return bool(np.isfinite(flat @ flat)) or bool(np.isfinite(flat).all())


def correct_count(outputs: Array, target: Array) -> int:
    """Return the number of images whose largest output is at the label, or at the target's most probable class.

    It is 0 for feature maps, and for a target of another shape than a loss of classes takes.

    >>> import numpy as np
    >>> correct_count(np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([1, 1]))
    1
    """
    if outputs.ndim != 2 or target.shape not in (outputs.shape, outputs.shape[:1]):
        return 0
    labels = target if target.ndim == 1 else target.argmax(axis=1)
    return int(np.count_nonzero(outputs.argmax(axis=1) == labels))
