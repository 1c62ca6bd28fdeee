"""Convert an optimizer to what the update kernels take."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from rot180.kernels.clipping import UNIT, scale, squares
from rot180.kernels.update import ADAM, ADAMW, MOMENTUM, NESTEROV, RMSPROP, SGD
from rot180.nn.arena import Arena
from rot180.ops.update import clip_by_norm

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

RULES = {"adam": ADAM, "adamw": ADAMW, "muon": ADAMW, "rmsprop": RMSPROP}
"""The rules whose kernel number does not depend on hyper-parameters."""


def kernel_rule(rule: str, hyper: Mapping[str, Any]) -> tuple[int, dict[str, float]]:
    """Return the kernel number of an optimizer's rule, and the keywords that `hyper_parameters` takes.

    >>> kernel_rule("sgd", {"momentum": 0.9, "nesterov": False}) == (MOMENTUM, {"momentum": 0.9})
    True
    """
    keywords = {name: value for name, value in hyper.items() if name not in ("nesterov", "betas")}
    if "betas" in hyper:
        keywords["beta1"], keywords["beta2"] = hyper["betas"]
    number = RULES.get(rule, NO_RULE)
    if rule == "sgd":
        number = SGD if not hyper["momentum"] else NESTEROV if hyper["nesterov"] else MOMENTUM
    return number, keywords


def clip(gradients: Arena, clip_norm: float) -> float:
    """Shorten gradients in place if their norm is above `clip_norm`, and return the norm before."""
    flat = gradients.flat
    sums = np.zeros(-(-flat.size // UNIT))
    squares(flat, sums)
    norm = math.sqrt(sum(sums.tolist()))
    if math.isinf(norm):  # the squares overflow
        clipped, norm = clip_by_norm(dict(gradients.items()), clip_norm=clip_norm)
        for name, gradient in clipped.items():
            np.copyto(gradients[name], gradient)
    elif norm > clip_norm:
        scale(flat, clip_norm / norm)
    return norm
