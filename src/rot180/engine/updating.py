"""From an optimizer to the rule and the numbers that the update kernels take."""

from __future__ import annotations

from typing import Any

import numpy as np

from rot180.engine.interface import Updater
from rot180.kernels.update import ADAM, ADAMW, MOMENTUM, NESTEROV, RMSPROP, SGD, hyper_parameters

NO_RULE = -1
"""For an optimizer that no kernel knows; its own `update` is called."""

KERNEL_SLOTS: dict[int, tuple[str, str]] = {
    SGD: ("", ""),
    MOMENTUM: ("velocity", ""),
    NESTEROV: ("velocity", ""),
    ADAM: ("m", "v"),
    ADAMW: ("m", "v"),
    RMSPROP: ("", "square"),
    NO_RULE: ("", ""),
}
"""The optimizer's slots that stand for the kernels' two state arrays."""


def kernel_rule(optimizer: Updater) -> int:
    """Return the kernels' number for an optimizer's rule."""
    if optimizer.fused_rule == "sgd":
        hyper = optimizer.hyper()
        if not hyper["momentum"]:
            return SGD
        return NESTEROV if hyper["nesterov"] else MOMENTUM
    return {"adam": ADAM, "adamw": ADAMW, "rmsprop": RMSPROP}.get(optimizer.fused_rule, NO_RULE)


def fill_hyper(out: np.ndarray[Any, np.dtype[np.float64]], rule: int, optimizer: Updater, factor: float) -> None:
    """Write the numbers of the coming step; `factor` multiplies the learning rate."""
    if rule == NO_RULE:
        return
    hyper = optimizer.hyper()
    hyper.pop("nesterov", None)
    if "betas" in hyper:
        hyper["beta1"], hyper["beta2"] = hyper.pop("betas")
    hyper_parameters(rule, step=optimizer.step_count, lr=optimizer.lr * factor, out=out, **hyper)
