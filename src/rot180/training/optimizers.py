"""The optimizers of this package: hyper-parameters and state for the update rules of `rot180.ops`."""

from __future__ import annotations

from typing import Any, ClassVar

from rot180.errors import ArgumentError, did_you_mean
from rot180.nn.hyper import Checked
from rot180.nn.keywords import answering
from rot180.nn.validation import real_number
from rot180.ops.muon import muon_update
from rot180.ops.types import Array
from rot180.ops.update import adam_update, rmsprop_update, sgd_update
from rot180.training.optimizer import Optimizer


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

    rule = fused_rule = "sgd"
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

    rule = fused_rule = "adam"
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

    rule = fused_rule = "adamw"
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

    rule = fused_rule = "muon"

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

    rule = fused_rule = "rmsprop"
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
