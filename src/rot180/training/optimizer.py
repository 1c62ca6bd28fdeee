"""Optimizers: each has hyper-parameters, state, and an update rule from `rot180.ops.update`.

The state consists of plain arrays by slot and parameter (`adam.state["m"]["conv1.weight"]`), so that a checkpoint can
save it and an engine can fuse the rule into its backward pass. The schedule sets the learning rate `lr` before every
step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from rot180.errors import ArgumentError, ModelError, ShapeError, did_you_mean
from rot180.nn.hyper import Checked
from rot180.nn.keywords import answering
from rot180.nn.validation import real_number
from rot180.ops.muon import muon_update
from rot180.ops.types import Array
from rot180.ops.update import adam_update, clip_by_norm, rmsprop_update, sgd_update


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
    slots: ClassVar[tuple[str, ...]] = ()
    clip_norm = Checked(_limit)
    decay_bias_and_norm = Checked(lambda value, _: bool(value))

    def __init__(self, lr: float, *, clip_norm: float | None = None, decay_bias_and_norm: bool = True) -> None:
        self.lr = self.initial_lr = real_number(lr, f"{self.rule}: lr")
        self.clip_norm = clip_norm
        self.decay_bias_and_norm = decay_bias_and_norm
        self.gradient_norm: float | None = None
        self.step_count = 0
        self.state: dict[str, dict[str, Array]] = {slot: {} for slot in self.slots}

    @property
    def fused_rule(self) -> str:
        """The rule that an engine may compute in place of `update`; empty for a user's own class.

        Such a class may inherit `rule` but update differently.
        """
        return self.rule if OPTIMIZERS.get(self.rule) is type(self) else ""

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


class SGD(Optimizer):
    """Stochastic gradient descent, optionally with momentum.

    Parameters
    ----------
    lr : float
        Learning rate, at least 0.
    momentum : float
        Share of the previous velocity that is kept, in [0, 1).
    nesterov : bool
        Look ahead along the velocity; needs momentum.
    weight_decay : float
        Added to the gradient, times the parameter; at least 0.
    clip_norm, decay_bias_and_norm
        As in `Optimizer`.

    References
    ----------
    Sutskever et al. (2013), "On the importance of initialization and momentum in deep learning".
    """

    rule = "sgd"
    slots = ("velocity",)
    momentum = Checked(real_number, 0, 1)
    nesterov = Checked(lambda value, _: bool(value))
    weight_decay = Checked(real_number)

    @answering
    def __init__(
        self,
        lr: float = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        *,
        clip_norm: float | None = None,
        decay_bias_and_norm: bool = True,
    ) -> None:
        super().__init__(lr, clip_norm=clip_norm, decay_bias_and_norm=decay_bias_and_norm)
        self.momentum = momentum
        self.nesterov = nesterov
        self.weight_decay = weight_decay
        self.hyper()

    def hyper(self) -> dict[str, Any]:
        """Return the hyper-parameters other than the learning rate."""
        if self.nesterov and not self.momentum:
            raise ArgumentError("sgd: nesterov needs a momentum above 0; give momentum=0.9")
        return {"momentum": self.momentum, "nesterov": self.nesterov, "weight_decay": self.weight_decay}

    def _update_one(self, name: str, w: Array, dw: Array, lr: float) -> None:
        sgd_update(w, dw, self.state["velocity"][name], lr=lr, **self._rule_of(w))


def _betas(value: Any, name: str) -> tuple[float, float]:
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise ArgumentError(f"{name} must be two numbers; it is {value!r}")
    return real_number(value[0], f"{name}[0]", 0, 1), real_number(value[1], f"{name}[1]", 0, 1)


class Adam(Optimizer):
    """Steps scaled by running means of the gradient and of its square.

    Parameters
    ----------
    lr : float
        Learning rate, at least 0.
    betas : (float, float)
        Share of the old mean kept at each step, of the gradient and of its square, each in [0, 1).
    eps : float
        Added to the root of the mean square; at least 0.
    weight_decay : float
        Added to the gradient, times the parameter; at least 0.
    clip_norm, decay_bias_and_norm
        As in `Optimizer`.

    References
    ----------
    Kingma and Ba (2015), arXiv:1412.6980.
    """

    rule = "adam"
    slots = ("m", "v")
    decoupled: ClassVar[bool] = False
    betas = Checked(_betas)
    eps = Checked(real_number)
    weight_decay = Checked(real_number)

    @answering
    def __init__(
        self,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        clip_norm: float | None = None,
        decay_bias_and_norm: bool = True,
    ) -> None:
        super().__init__(lr, clip_norm=clip_norm, decay_bias_and_norm=decay_bias_and_norm)
        self.betas = betas
        self.eps = eps
        self.weight_decay = weight_decay

    def hyper(self) -> dict[str, Any]:
        """Return the hyper-parameters other than the learning rate."""
        return {"betas": self.betas, "eps": self.eps, "weight_decay": self.weight_decay}

    def _update_one(self, name: str, w: Array, dw: Array, lr: float) -> None:
        adam_update(
            w,
            dw,
            self.state["m"][name],
            self.state["v"][name],
            step=self.step_count,
            lr=lr,
            beta1=self.betas[0],
            beta2=self.betas[1],
            eps=self.eps,
            weight_decay=self.weight_decay if self.decays(w) else 0.0,
            decoupled=self.decoupled,
        )


class AdamW(Adam):
    """Adam whose weight decay shrinks the parameter itself instead of joining the gradient.

    Parameters are those of `Adam`; the decay is multiplied by the learning rate.

    References
    ----------
    Loshchilov and Hutter (2019), arXiv:1711.05101.
    """

    rule = "adamw"
    decoupled = True

    @answering
    def __init__(
        self,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        *,
        clip_norm: float | None = None,
        decay_bias_and_norm: bool = True,
    ) -> None:
        super().__init__(lr, betas, eps, weight_decay, clip_norm=clip_norm, decay_bias_and_norm=decay_bias_and_norm)


class Muon(AdamW):
    """AdamW, except that the steps of convolutions' weights are made orthogonal: all directions learn equally fast.

    It needs fewer epochs than AdamW at the same learning rate and weight decay, and each step takes a little longer.
    Depthwise convolutions, fully connected layers, biases and normalization follow AdamW.

    Parameters are those of `AdamW`; `betas[0]` is also the share of the old mean that is kept of the weights that are
    made orthogonal. They need no `v`, which stays zero.

    References
    ----------
    Jordan et al. (2024), Muon: an optimizer for hidden layers in neural networks. Liu et al. (2025), arXiv:2502.16982.
    """

    rule = "muon"

    def orthogonalizes(self, shape: tuple[int, ...]) -> bool:
        """Return whether it is the weight of a convolution over several channels."""
        return len(shape) == 4 and shape[2] > 1

    def _update_one(self, name: str, w: Array, dw: Array, lr: float) -> None:
        if not self.orthogonalizes(w.shape):
            super()._update_one(name, w, dw, lr)
            return
        decay = self.weight_decay if self.decays(w) else 0.0
        muon_update(w, dw, self.state["m"][name], lr=lr, beta=self.betas[0], weight_decay=decay)


class RMSprop(Optimizer):
    """Steps scaled by the running mean of the gradient's square.

    Parameters
    ----------
    lr : float
        Learning rate, at least 0.
    alpha : float
        Share of the old mean kept at each step, in [0, 1).
    eps : float
        Added to the root of the mean square; at least 0.
    weight_decay : float
        Added to the gradient, times the parameter; at least 0.
    clip_norm, decay_bias_and_norm
        As in `Optimizer`.

    References
    ----------
    Tieleman and Hinton (2012), "Neural networks for machine learning", lecture 6.5.
    """

    rule = "rmsprop"
    slots = ("square",)
    alpha = Checked(real_number, 0, 1)
    eps = Checked(real_number)
    weight_decay = Checked(real_number)

    @answering
    def __init__(
        self,
        lr: float = 1e-3,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        clip_norm: float | None = None,
        decay_bias_and_norm: bool = True,
    ) -> None:
        super().__init__(lr, clip_norm=clip_norm, decay_bias_and_norm=decay_bias_and_norm)
        self.alpha = alpha
        self.eps = eps
        self.weight_decay = weight_decay

    def hyper(self) -> dict[str, Any]:
        """Return the hyper-parameters other than the learning rate."""
        return {"alpha": self.alpha, "eps": self.eps, "weight_decay": self.weight_decay}

    def _update_one(self, name: str, w: Array, dw: Array, lr: float) -> None:
        rmsprop_update(w, dw, self.state["square"][name], lr=lr, **self._rule_of(w))


OPTIMIZERS: dict[str, type[Optimizer]] = {kind.rule: kind for kind in (SGD, Adam, AdamW, Muon, RMSprop)}


def optimizer(name: str, **hyper: Any) -> Optimizer:
    """Create an optimizer by name: sgd, adam, adamw, muon or rmsprop.

    Parameters
    ----------
    name : str
    **hyper
        Its hyper-parameters, the arguments of its class.

    Raises
    ------
    ArgumentError
        The name or a hyper-parameter is unknown, or a value is out of range.

    Examples
    --------
    >>> optimizer("sgd", lr=0.1, momentum=0.9)
    SGD(lr=0.1, momentum=0.9, nesterov=False, weight_decay=0.0)
    """
    if name not in OPTIMIZERS:
        raise ArgumentError(f"unknown optimizer {name!r}{did_you_mean(str(name), OPTIMIZERS)}")
    return OPTIMIZERS[name](**hyper)
