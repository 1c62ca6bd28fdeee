r"""Learning-rate schedules: pure functions of the number of updates made, so that resuming needs no state.

With `warmup` steps the rate first rises linearly, lr/warmup, 2 lr/warmup, ..., lr, and the schedule is stretched over
the remaining T steps. With t the number of steps since the warm-up:

    constant     lr
    step         lr * factor ** (t // every)
    cosine       lr * (floor + (1 - floor) * (1 + cos(pi * t / T)) / 2)
    one-cycle    from lr/25 up to lr over the first 30% of the steps and down to lr/250,000, both on half a cosine

References: Loshchilov and Hutter (2017), arXiv:1608.03983 (cosine); Smith and Topin (2019), arXiv:1708.07120
(one-cycle); Goyal et al. (2017), arXiv:1706.02677 (warm-up).
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

from rot180.errors import ArgumentError, did_you_mean

Schedule = Callable[[int], float]
"""Maps the number of updates made so far (0, 1, ...) to the learning rate of the next."""


def schedule(name: str, lr: float, total_steps: int, *, warmup: int | float = 0, **options: float) -> Schedule:
    """Create a schedule by name.

    Parameters
    ----------
    name : str
        `constant`, `step`, `cosine` or `one-cycle`.
    lr : float
        The peak learning rate.
    total_steps : int
        Updates in the whole training; later steps keep the last rate.
    warmup : int or float
        Updates during which the rate rises to lr at the start; a float is a share of all updates, in [0, 1).
    **options
        For `step`, `every` (in steps, by default a third of all) and `factor` (default 0.1); for `cosine`, `floor`
        (share of lr at the end, default 0).

    Returns
    -------
    Schedule

    Raises
    ------
    ArgumentError
        A name or option is unknown, or the warm-up leaves no steps.

    Examples
    --------
    >>> rate = schedule("cosine", 0.1, total_steps=100, warmup=10)
    >>> [round(rate(step), 4) for step in (0, 9, 10, 55, 99)]
    [0.01, 0.1, 0.1, 0.05, 0.0]
    """
    if name not in SCHEDULES:
        raise ArgumentError(f"unknown schedule {name!r}{did_you_mean(str(name), SCHEDULES)}")
    steps = _warmup_steps(warmup, total_steps)
    if steps and name == "one-cycle":
        raise ArgumentError("one-cycle includes its own warm-up; leave out warmup")
    known = [key for key in inspect.signature(SCHEDULES[name]).parameters if key not in ("lr", "total")]
    for key in options:
        if key not in known:
            raise ArgumentError(f"schedule {name} has no argument {key!r}{did_you_mean(key, known)}")
    after = SCHEDULES[name](lr, max(total_steps - steps, 1), **options)

    def rate(step: int) -> float:
        return lr * (step + 1) / steps if step < steps else after(step - steps)

    return rate


def _warmup_steps(warmup: int | float, total_steps: int) -> int:
    if isinstance(warmup, float) and 0 <= warmup < 1:
        return int(warmup * total_steps)
    if isinstance(warmup, int) and not isinstance(warmup, bool) and 0 <= warmup < max(total_steps, 1):
        return warmup
    raise ArgumentError(
        f"warmup must be a number of steps from 0 to less than the total of {total_steps}, or a share below 1.0; "
        f"it is {warmup!r}"
    )


def _constant(lr: float, total: int) -> Schedule:
    return lambda step: lr


def _step(lr: float, total: int, every: int | None = None, factor: float = 0.1) -> Schedule:
    length = max(math.ceil(total / 3), 1) if every is None else every
    if isinstance(length, bool) or not isinstance(length, int) or length < 1:
        raise ArgumentError(f"schedule step: every must be a whole number of steps, at least 1; it is {every!r}")
    return lambda step: lr * factor ** (min(step, total - 1) // length)


def _cosine(lr: float, total: int, floor: float = 0.0) -> Schedule:
    return lambda step: lr * (floor + (1 - floor) * (1 + math.cos(math.pi * min(step, total) / total)) / 2)


def _one_cycle(lr: float, total: int) -> Schedule:
    first, last = lr / 25, lr / 25 / 1e4
    # The same positions as PyTorch's OneCycleLR, so that recipes carry over. With fewer than 4 steps the peak
    # precedes the first step.
    top = 0.3 * total - 1

    def between(start: float, end: float, share: float) -> float:
        return end + (start - end) * (1 + math.cos(math.pi * share)) / 2

    def rate(step: int) -> float:
        step = min(step, total - 1)
        if step <= top:
            return between(first, lr, step / top)
        return between(lr, last, (step - top) / (total - 1 - top))

    return rate


SCHEDULES: dict[str, Callable[..., Any]] = {
    "constant": _constant,
    "step": _step,
    "cosine": _cosine,
    "one-cycle": _one_cycle,
}
