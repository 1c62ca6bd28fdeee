"""What all optimizers have: hyper-parameters, state, and an update.

The state consists of plain arrays by slot and parameter (`adam.state["m"]["conv1.weight"]`), so that a checkpoint can
save it and an engine can fuse the rule into its backward pass. The schedule sets the learning rate `lr` before every
step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from rot180.errors import ModelError, ShapeError
from rot180.nn.hyper import Checked
from rot180.nn.validation import real_number
from rot180.ops.types import Array
from rot180.ops.update import clip_by_norm


def _limit(value: Any, name: str) -> float | None:
    return None if value is None else real_number(value, name) or None


class Optimizer:
    """The base class of all optimizers.

    Parameters
    ----------
    lr : float
        Learning rate, at least 0.
    clip_norm : float, optional
        Before each update, shorten the gradient so that its norm, over all parameters together, is at most this;
        None and 0 mean no limit.
    decay_bias_and_norm : bool
        Whether weight decay also applies to biases and to the scales and shifts of normalization: to all parameters
        with a single axis. If False, only the weights of convolutions and fully connected layers decay.

    Attributes
    ----------
    rule : str
        The name by which `optimizer(name)` finds it.
    fused_rule : str
        The rule that an engine may compute in place of `update`; empty for a user's own class.
    gradient_norm : float or None
        The norm of the latest update's gradient, before it was clipped; None without `clip_norm`.
    lr : float
        The learning rate of the next update.
    initial_lr : float
        The learning rate passed to the constructor; schedules start from it.
    step_count : int
        Updates made so far.
    state : dict of slot to dict of parameter name to array
        Each array has its parameter's shape and type, and starts as zeros.
    """

    rule: str = ""
    fused_rule: str = ""
    slots: ClassVar[tuple[str, ...]] = ()
    clip_norm = Checked(_limit)
    decay_bias_and_norm = Checked(lambda value, _: bool(value))

    def __init_subclass__(cls) -> None:
        # A subclass may update differently: it inherits `rule`, but not that an engine knows it.
        cls.fused_rule = vars(cls).get("fused_rule", "")

    def __init__(self, lr: float, *, clip_norm: float | None = None, decay_bias_and_norm: bool = True) -> None:
        self.lr = self.initial_lr = real_number(lr, f"{self.rule}: lr")
        self.clip_norm = clip_norm
        self.decay_bias_and_norm = decay_bias_and_norm
        self.gradient_norm: float | None = None
        self.step_count = 0
        self.state: dict[str, dict[str, Array]] = {slot: {} for slot in self.slots}

    def prepare(self, parameters: Mapping[str, Array]) -> None:
        """Allocate the state for these parameters; existing state is kept.

        Raises
        ------
        ShapeError
            Loaded state belongs to a parameter of another shape.
        ArgumentError
            The hyper-parameters are incompatible.
        """
        if self.fused_rule:  # a user's own class may not define its hyper-parameters
            self.hyper()
        for known in self.slots:  # the user may have emptied it
            self.state.setdefault(known, {})
        for slot in self.state.values():
            for name, parameter in parameters.items():
                if name not in slot:
                    slot[name] = np.zeros_like(parameter)
                elif slot[name].shape != parameter.shape:
                    raise ShapeError(
                        f"{self.rule}: the state of {name} is {slot[name].shape} but the parameter is "
                        f"{parameter.shape}; use a new optimizer for a new network"
                    )
                elif slot[name].dtype != parameter.dtype:  # the network was rebuilt with another type
                    slot[name] = slot[name].astype(parameter.dtype)

    def update(
        self, parameters: Mapping[str, Array], gradients: Mapping[str, Array], lr_factors: Mapping[str, float]
    ) -> None:
        """Update every parameter that has a gradient, in place.

        Parameters
        ----------
        parameters, gradients : dict of full name to array
            `conv1.weight` and so on; a gradient has its parameter's shape.
        lr_factors : dict of full name to float
            Factors of the learning rate by parameter; 1 if missing.
        """
        self.prepare(parameters)
        self.step_count += 1
        self.gradient_norm = None
        if self.clip_norm is not None:
            gradients, self.gradient_norm = clip_by_norm(gradients, clip_norm=self.clip_norm)
        for name, gradient in gradients.items():
            self._update_one(name, parameters[name], gradient, self.lr * lr_factors.get(name, 1.0))

    def _update_one(self, name: str, w: Array, dw: Array, lr: float) -> None:
        raise NotImplementedError

    def hyper(self) -> dict[str, Any]:
        """Return the hyper-parameters of the rule, without the learning rate; here, none."""
        return {}

    def decays(self, parameter: Array) -> bool:
        """Return whether weight decay applies to a parameter."""
        return self.decay_bias_and_norm or parameter.ndim > 1

    def orthogonalizes(self, shape: tuple[int, ...]) -> bool:
        """Return whether the steps of a parameter of this shape are made orthogonal; here, none are."""
        return False

    def _rule_of(self, w: Array) -> dict[str, Any]:
        """Return the rule's hyper-parameters for one parameter."""
        return self.hyper() if self.decays(w) else {**self.hyper(), "weight_decay": 0.0}

    def _settings(self) -> dict[str, Any]:
        """Return all hyper-parameters other than the learning rate; of those of the base class, the ones in use."""
        clipping = {} if self.clip_norm is None else {"clip_norm": self.clip_norm}
        return {**self.hyper(), **clipping, **({} if self.decay_bias_and_norm else {"decay_bias_and_norm": False})}

    def to_dict(self) -> dict[str, Any]:
        """Return rule and hyper-parameters; `optimizer(**to_dict())` creates the same optimizer without its state."""
        return {"name": self.rule, "lr": self.initial_lr, **self._settings()}

    def state_dict(self) -> dict[str, Array]:
        """Return the state as arrays by flat name: `m/conv1.weight`, ..., and `step_count`. They are not copies."""
        flat = {f"{slot}/{name}": array for slot, arrays in self.state.items() for name, array in arrays.items()}
        return {**flat, "step_count": np.array(self.step_count, np.int64)}

    def load_state(self, state: Mapping[str, Array]) -> None:
        """Restore a state returned by `state_dict`, bit for bit.

        Raises
        ------
        ModelError
            The state belongs to another kind of optimizer.
        """
        if "step_count" not in state:
            raise ModelError(f"{self.rule}: the saved state has no step_count; it is not an optimizer state")
        loaded: dict[str, dict[str, Array]] = {slot: {} for slot in self.slots}
        for key, array in state.items():
            slot, _, name = key.partition("/")
            if name and slot not in loaded:
                raise ModelError(f"{self.rule}: the saved state has {slot!r}; it belongs to another optimizer")
            if name:
                loaded[slot][name] = np.array(array)
        self.state = loaded
        self.step_count = int(state["step_count"])

    def __repr__(self) -> str:
        values = ", ".join(f"{key}={value!r}" for key, value in self._settings().items())
        return f"{type(self).__name__}(lr={self.initial_lr!r}{', ' + values if values else ''})"
