"""Convert an optimizer to the rule and the numbers that the update kernels take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rot180.engine.interface import Updater
from rot180.kernels.update import ADAM, ADAMW, MOMENTUM, NESTEROV, RMSPROP, SGD, hyper_parameters

NO_RULE = -1
"""For an optimizer without a kernel, whose own `update` is called."""

KERNEL_SLOTS: dict[int, tuple[str, str]] = {
    SGD: ("", ""),
    MOMENTUM: ("velocity", ""),
    NESTEROV: ("velocity", ""),
    ADAM: ("m", "v"),
    ADAMW: ("m", "v"),
    RMSPROP: ("", "square"),
    NO_RULE: ("", ""),
}
"""The optimizer's slots that correspond to the kernels' two state arrays."""


RULES = {"adam": ADAM, "adamw": ADAMW, "rmsprop": RMSPROP}
"""The rules whose kernel number does not depend on hyper-parameters."""


def kernel_rule(rule: str, hyper: Mapping[str, Any]) -> int:
    """Return the kernel number of an optimizer's rule.

    >>> kernel_rule("sgd", {"momentum": 0.9, "nesterov": False}) == MOMENTUM
    True
    """
    if rule == "sgd":
        if not hyper["momentum"]:
            return SGD
        return NESTEROV if hyper["nesterov"] else MOMENTUM
    return RULES.get(rule, NO_RULE)


def fill_hyper(
    out: np.ndarray[Any, np.dtype[np.float64]], rule: int, optimizer: Updater, hyper: Mapping[str, Any], factor: float
) -> None:
    """Write the numbers of the next step; `factor` multiplies the learning rate."""
    if rule == NO_RULE:
        return
    named = {name: value for name, value in hyper.items() if name not in ("nesterov", "betas")}
    if "betas" in hyper:
        named["beta1"], named["beta2"] = hyper["betas"]
    hyper_parameters(rule, step=optimizer.step_count, lr=optimizer.lr * factor, out=out, **named)
