"""Mistakes made on purpose: a correct and a wrong training from the same seed, and the check that finds the mistake.

Each mistake is one that people make when they write a backward pass or an optimizer by hand. The wrong layer is a layer
of one's own: it goes through the same training and the same `check` as a user's would.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rot180.data import load_data
from rot180.errors import ArgumentError, NonFiniteError, did_you_mean
from rot180.inside.check import check
from rot180.inside.check_report import CheckReport
from rot180.inside.optimizer_check import OptimizerReport, check_optimizer
from rot180.nn import Conv2d, Layer, MaxPool2d, Network, Node
from rot180.nn.loss import CrossEntropyLoss
from rot180.nn.notation import network
from rot180.ops.conv2d import conv2d_backward
from rot180.ops.types import Array
from rot180.ops.update import adam_update
from rot180.training.events import Event, StepDone
from rot180.training.fit import fit
from rot180.training.optimizer import Optimizer
from rot180.training.optimizers import Adam

__all__ = ["BUGS", "BenchResult", "bug_bench"]

NETWORK = "8x8x1 > conv3x3:6:same relu maxpool2 > conv3x3:8:same relu > fc10"
"""The network of the bench, on the bundled digits."""

IMAGES = 800


class UnrotatedConv2d(Conv2d):
    """A convolution whose data gradient correlates delta with the kernel as it is, not rotated."""

    def backward(self, dy: Array, saved: Array, *, needs_dx: bool = True) -> tuple[Array | None, dict[str, Array]]:
        _, gradients = super().backward(dy, saved, needs_dx=False)
        dx, _, _ = conv2d_backward(dy, saved, self.weight[::-1, ::-1], needs=("x",), **self.options)
        return dx, gradients


class UnsummedBiasConv2d(Conv2d):
    """A convolution whose bias gradient is the delta of the first image only."""

    def backward(self, dy: Array, saved: Array, *, needs_dx: bool = True) -> tuple[Array | None, dict[str, Array]]:
        dx, gradients = super().backward(dy, saved, needs_dx=needs_dx)
        return dx, {**gradients, "bias": dy[0].sum(axis=(0, 1))}


class EveryTieMaxPool2d(MaxPool2d):
    """Max pooling whose delta goes to every pixel that equals the maximum, not to the first one only."""

    def forward(self, x: Array, **options: Any) -> tuple[Array, Any]:
        y, saved = super().forward(x, **options)
        return y, (saved, x, y)

    def backward(self, dy: Array, saved: Any, *, needs_dx: bool = True) -> tuple[Array | None, dict[str, Array]]:
        if not needs_dx:
            return None, {}
        _, x, y = saved
        (height, width), dx = self.kernel_size, np.zeros_like(x)
        for u in range(height):
            for v in range(width):
                window = np.s_[:, u::height, v::width]  # of pooling whose windows do not overlap
                part = x[window][:, : y.shape[1], : y.shape[2]]
                dx[window][:, : y.shape[1], : y.shape[2]] = np.where(part == y, dy, 0)
        return dx, {}


class TwiceDividedLoss(CrossEntropyLoss):
    """Cross-entropy whose gradient is divided by the number of images twice."""

    def backward(self, saved: Any) -> Array:
        delta: Array = super().backward(saved)
        twice: Array = delta / delta.dtype.type(len(delta))
        return twice


class UncorrectedAdam(Adam):
    """Adam without the correction of its means, which start at zero."""

    def _update_one(self, name: str, w: Array, dw: Array, lr: float) -> None:
        m, v = self.state["m"][name], self.state["v"][name]
        # After very many steps, the correction is one.
        adam_update(
            w, dw, m, v, step=2**40, lr=lr, beta1=self.betas[0], beta2=self.betas[1], eps=self.eps, weight_decay=0.0
        )


@dataclass(frozen=True)
class Bug:
    """A mistake made on purpose.

    Attributes
    ----------
    says : str
        What is wrong, in one sentence.
    layers : dict of type to type
        The wrong layer that replaces a correct one.
    loss, optimizer : callable
        Return the loss and the optimizer.
    """

    says: str
    layers: Mapping[type[Layer], type[Layer]]
    loss: Callable[[], CrossEntropyLoss] = CrossEntropyLoss
    optimizer: Callable[[float], Optimizer] = Adam


BUGS = {
    "no-rotation": Bug("the data gradient uses the kernel without rotating it", {Conv2d: UnrotatedConv2d}),
    "bias-not-summed": Bug("the bias gradient is that of the first image only", {Conv2d: UnsummedBiasConv2d}),
    "divided-twice": Bug("delta is divided by the number of images twice", {}, loss=TwiceDividedLoss),
    "every-tie": Bug("max pooling gives delta to every tied pixel", {MaxPool2d: EveryTieMaxPool2d}),
    "no-bias-correction": Bug("Adam does not correct its means, which start at zero", {}, optimizer=UncorrectedAdam),
}
"""The mistakes, by name."""


@dataclass(frozen=True)
class BenchResult:
    """What a mistake does.

    Attributes
    ----------
    bug : str
    right, wrong : tuple of float
        The loss of each batch, from the same weights and the same batches; the wrong one may end early, at NaN.
    gradients : CheckReport
        The check of all gradients of the wrong network.
    optimizer : OptimizerReport
        The check of its optimizer.
    """

    bug: str
    right: tuple[float, ...]
    wrong: tuple[float, ...]
    gradients: CheckReport
    optimizer: OptimizerReport

    def to_dict(self) -> dict[str, Any]:
        """Return everything as lists, numbers and strings, ready for JSON."""
        return {
            "bug": self.bug,
            "says": BUGS[self.bug].says,
            "network": NETWORK,
            "right": list(self.right),
            "wrong": list(self.wrong),
            "gradients": self.gradients.to_dict(),
            "optimizer": {"passed": self.optimizer.passed, "mistakes": list(self.optimizer.mistakes)},
        }


def bug_bench(bug: str, *, epochs: int = 4, lr: float = 0.004, seed: int = 0) -> BenchResult:
    """Train a small network correctly and with a mistake, and check the one with the mistake.

    Parameters
    ----------
    bug : str
        One of `BUGS`.
    epochs : int
        Passes over 800 of the bundled digits.
    lr : float
    seed : int

    Raises
    ------
    ArgumentError
        The mistake is unknown.

    Examples
    --------
    >>> result = bug_bench("no-rotation", epochs=1)
    >>> result.right[0] == result.wrong[0], result.gradients.blamed
    (True, ('conv1', 'conv2'))
    """
    if bug not in BUGS:
        raise ArgumentError(f"unknown bug {bug!r}{did_you_mean(bug, BUGS)}")
    made = BUGS[bug]
    right = network(NETWORK).build(seed=seed)
    wrong = _with_layers(right, made.layers)
    data = load_data("digits").limit(IMAGES)
    pair = (data.train_images, data.train_labels)

    def losses(model: Network, loss: CrossEntropyLoss, optimizer: Optimizer) -> tuple[float, ...]:
        found: list[float] = []

        def listen(event: Event) -> None:
            if isinstance(event, StepDone):
                found.append(event.loss)

        try:
            fit(
                model, pair, epochs=epochs, optimizer=optimizer, loss=loss, seed=seed, engine="numpy",
                subscribers=[listen],
            )  # fmt: skip
        except NonFiniteError:
            pass  # the curve ends here
        return tuple(found)

    checked = check(copy.deepcopy(wrong), loss=made.loss())
    return BenchResult(
        bug,
        losses(right, CrossEntropyLoss(), Adam(lr)),
        losses(wrong, made.loss(), made.optimizer(lr)),
        checked,
        check_optimizer(made.optimizer(lr)),
    )


def _with_layers(model: Network, wrong: Mapping[type[Layer], type[Layer]]) -> Network:
    """Return a copy of a built network in which layers of some types are replaced by wrong ones with their weights."""
    nodes = []
    for layer, reads in model.nodes:
        kind = wrong.get(type(layer))
        options = {**layer.hyperparameters, "name": layer.name}
        nodes.append(Node(copy.deepcopy(layer) if kind is None else kind(**options), reads))
    made = Network(nodes, input_shape=model.input_shape).build(seed=0)
    made.load_parameters({name: array.copy() for name, array in model.state.items()})
    return made
