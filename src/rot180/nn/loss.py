"""The losses that training minimizes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Protocol

import numpy as np

from rot180.errors import ArgumentError, did_you_mean
from rot180.nn.hyper import Checked
from rot180.nn.keywords import answering
from rot180.nn.validation import real_number
from rot180.ops.loss import cross_entropy, cross_entropy_backward, squared_error, squared_error_backward
from rot180.ops.types import Array

Saved = tuple[Array, Array, Array | None]
"""What the backward pass of a built-in loss needs: outputs or probabilities, target and sample weights."""


class Loss(Protocol):
    """The interface of a loss: a forward pass that also returns what the backward pass needs.

    The outputs of a batch have the network's output shape: (N, K), or (N, H, W, K) as in `examples/unet.py`.
    """

    name: ClassVar[str]

    def forward(self, outputs: Array, target: Array) -> tuple[float, Any]:
        """Return the mean loss over the batch and what `backward` needs."""
        ...

    def backward(self, saved: Any) -> Array:
        """Return the gradient of the outputs."""
        ...


class _ClassWeighted:
    """A loss in which the images of some classes may have larger weights than others."""

    class_weights = Checked(lambda value, name: None if value is None else read_class_weights(value, name))

    def __repr__(self) -> str:
        """Return the call that creates it."""
        values = {name: value for name, value in vars(self).items() if value is not None}
        if self.class_weights is not None:
            values["class_weights"] = self.class_weights.tolist()
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in values.items())})"


class CrossEntropyLoss(_ClassWeighted):
    """The cross-entropy between softmax(outputs) and the target; the outputs are logits.

    Parameters
    ----------
    label_smoothing : float
        The fraction of the target, in [0, 1), that is spread over all classes.
    class_weights : (K,) float, optional
        How much an image of each class counts, at least 0. The sum over the batch is divided by its number of images,
        as in Keras, not by the sum of the weights (`rot180.ops.loss` explains why).

    Examples
    --------
    >>> import numpy as np
    >>> loss, saved = CrossEntropyLoss().forward(np.zeros((4, 10)), np.array([0, 1, 2, 3]))
    >>> round(float(loss), 4)  # log(10): ten classes, none preferred
    2.3026
    """

    name: ClassVar[str] = "cross_entropy"

    label_smoothing = Checked(real_number, 0, 1)

    @answering
    def __init__(self, label_smoothing: float = 0.0, class_weights: Iterable[float] | None = None) -> None:
        self.label_smoothing = label_smoothing
        self.class_weights = class_weights

    def forward(self, outputs: Array, target: Array, sample_weights: Array | None = None) -> tuple[float, Saved]:
        """Return the mean over the batch; target is integer labels (N,) or probabilities (N, K)."""
        loss, probabilities = cross_entropy(
            outputs,
            target,
            label_smoothing=self.label_smoothing,
            class_weights=self.class_weights,
            sample_weights=sample_weights,
        )
        return float(loss), (probabilities, target, sample_weights)

    def backward(self, saved: Saved) -> Array:
        """Return (softmax(outputs) - target) / N, times the weight of each image."""
        probabilities, target, sample_weights = saved
        return cross_entropy_backward(
            probabilities,
            target,
            label_smoothing=self.label_smoothing,
            class_weights=self.class_weights,
            sample_weights=sample_weights,
        )


class SquaredErrorLoss(_ClassWeighted):
    """Half the squared difference, summed over the units; after `Sigmoid` it gives the delta y(1-y)(y-t).

    Parameters
    ----------
    class_weights
        As in `CrossEntropyLoss`.

    Examples
    --------
    >>> import numpy as np
    >>> SquaredErrorLoss().forward(np.array([[0.0, 1.0]]), np.array([0]))[0]
    1.0
    """

    name: ClassVar[str] = "squared_error"

    @answering
    def __init__(self, class_weights: Iterable[float] | None = None) -> None:
        self.class_weights = class_weights

    def forward(self, outputs: Array, target: Array, sample_weights: Array | None = None) -> tuple[float, Saved]:
        """Return the mean over the batch; target is integer labels (N,) or values (N, K)."""
        loss = squared_error(outputs, target, class_weights=self.class_weights, sample_weights=sample_weights)
        return loss, (outputs, target, sample_weights)

    def backward(self, saved: Saved) -> Array:
        """Return (outputs - target) / N, times the weight of each image."""
        outputs, target, sample_weights = saved
        return squared_error_backward(outputs, target, class_weights=self.class_weights, sample_weights=sample_weights)


def read_class_weights(value: Any, name: str) -> Array:
    """Check class weights, one for each class: finite numbers, at least 0, not all 0.

    >>> read_class_weights([1, 2.5], "CrossEntropyLoss: class_weights")
    array([1. , 2.5])
    """
    try:
        weights: Array = np.array(value, np.float64)
    except (TypeError, ValueError):
        weights = np.empty(0)
    if weights.ndim != 1 or not weights.size or not np.isfinite(weights).all() or (weights < 0).any():
        raise ArgumentError(f"{name} must be one number for each class, at least 0; it is {value!r}")
    if not weights.any():
        raise ArgumentError(f"{name} must not all be 0; nothing would be learned")
    weights.flags.writeable = False
    return weights


def weighted_forward(loss: Loss, outputs: Array, target: Array, sample_weights: Array | None) -> tuple[float, Any]:
    """Return what `loss.forward` does, with a weight for each image, if any.

    Raises
    ------
    ArgumentError
        There are weights, but the loss is a user's own, which takes none.
    """
    if sample_weights is None:
        return loss.forward(outputs, target)
    if not isinstance(loss, CrossEntropyLoss | SquaredErrorLoss):
        raise ArgumentError(
            f"sample_weights are for cross_entropy and squared_error; the loss is {loss!r}: leave them out, or weight "
            f"the images in your own loss"
        )
    return loss.forward(outputs, target, sample_weights)


LOSSES: dict[str, type[CrossEntropyLoss] | type[SquaredErrorLoss]] = {
    "cross_entropy": CrossEntropyLoss,
    "squared_error": SquaredErrorLoss,
}
"""The losses by name."""


def loss(name: str, **options: Any) -> Loss:
    """Return a loss by name, such as `cross_entropy`; raise ArgumentError if it is unknown.

    >>> loss("cross_entropy", label_smoothing=0.1)
    CrossEntropyLoss(label_smoothing=0.1)
    """
    if name not in LOSSES:
        raise ArgumentError(f"unknown loss {name!r}{did_you_mean(str(name), LOSSES)}")
    return LOSSES[name](**options)
