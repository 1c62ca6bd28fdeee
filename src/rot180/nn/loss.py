"""What training makes small."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

from rot180.errors import ArgumentError, did_you_mean
from rot180.nn.keywords import answering
from rot180.nn.validation import real_number
from rot180.ops.loss import cross_entropy, cross_entropy_backward, squared_error, squared_error_backward
from rot180.ops.types import Array


class Loss(Protocol):
    """What every loss is: a forward pass that returns what its backward pass needs."""

    name: ClassVar[str]

    def forward(self, outputs: Array, target: Array) -> tuple[float, Any]:
        """Return the mean loss over the batch and what `backward` needs."""
        ...

    def backward(self, saved: Any) -> Array:
        """Return the gradient of the outputs."""
        ...


class CrossEntropyLoss:
    """The cross-entropy between softmax(outputs) and the target; the outputs are logits.

    Parameters
    ----------
    label_smoothing : float
        In [0, 1): this much of the target is spread over all classes.

    Examples
    --------
    >>> import numpy as np
    >>> loss, saved = CrossEntropyLoss().forward(np.zeros((4, 10)), np.array([0, 1, 2, 3]))
    >>> round(float(loss), 4)  # log(10): ten classes, none preferred
    2.3026
    """

    name: ClassVar[str] = "cross_entropy"

    @answering
    def __init__(self, label_smoothing: float = 0.0) -> None:
        self.label_smoothing = real_number(label_smoothing, "CrossEntropyLoss: label_smoothing", 0, 1)

    def forward(self, outputs: Array, target: Array) -> tuple[float, tuple[Array, Array]]:
        """Return the mean over the batch; target is integer labels (N,) or probabilities (N, K)."""
        loss, probabilities = cross_entropy(outputs, target, label_smoothing=self.label_smoothing)
        return float(loss), (probabilities, target)

    def backward(self, saved: tuple[Array, Array]) -> Array:
        """Return (softmax(outputs) - target) / N."""
        return cross_entropy_backward(*saved, label_smoothing=self.label_smoothing)

    def __repr__(self) -> str:
        """Return the call that makes it."""
        return f"CrossEntropyLoss(label_smoothing={self.label_smoothing})"


class SquaredErrorLoss:
    """Half the squared difference, summed over the units; after `Sigmoid` it gives the delta y(1-y)(y-t).

    Examples
    --------
    >>> import numpy as np
    >>> SquaredErrorLoss().forward(np.array([[0.0, 1.0]]), np.array([0]))[0]
    1.0
    """

    name: ClassVar[str] = "squared_error"

    @answering
    def __init__(self) -> None:
        pass

    def forward(self, outputs: Array, target: Array) -> tuple[float, tuple[Array, Array]]:
        """Return the mean over the batch; target is integer labels (N,) or values (N, K)."""
        return float(squared_error(outputs, target)), (outputs, target)

    def backward(self, saved: tuple[Array, Array]) -> Array:
        """Return (outputs - target) / N."""
        return squared_error_backward(*saved)

    def __repr__(self) -> str:
        """Return the call that makes it."""
        return "SquaredErrorLoss()"


LOSSES: dict[str, type[CrossEntropyLoss] | type[SquaredErrorLoss]] = {
    "cross_entropy": CrossEntropyLoss,
    "squared_error": SquaredErrorLoss,
}
"""The losses by name."""


def loss(name: str, **options: Any) -> Loss:
    """Return a loss by name, such as `cross_entropy`; raise ArgumentError for one that is not known.

    >>> loss("cross_entropy", label_smoothing=0.1)
    CrossEntropyLoss(label_smoothing=0.1)
    """
    if name not in LOSSES:
        raise ArgumentError(f"no loss is called {name!r}{did_you_mean(str(name), LOSSES)}")
    return LOSSES[name](**options)
