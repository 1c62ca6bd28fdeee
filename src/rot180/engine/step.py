"""One step of a plan: a kernel, the arrays it works on, and its description."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from rot180.engine.halts import Halt
from rot180.kernels.launching import Kernel, Launch
from rot180.ops.types import Array


@dataclass(frozen=True)
class Step:
    """A call that a plan makes. A pass halts after it if it returns a `Halt`.

    `layers` names the layers it serves, `does` describes what it does; `multiply_adds` is counted densely even where
    only winners are visited, and by definition even where minimal filtering makes fewer, which `made` tells.
    """

    layers: str
    does: str
    call: Callable[..., Any]
    arguments: tuple[Any, ...] = field(repr=False)
    multiply_adds: int = 0
    made: int | None = None

    def prepared(self) -> Callable[[], Halt | None]:
        """Return a call that makes the step alone, as often as wanted."""
        if isinstance(self.call, Kernel):
            return Launch([(self.call, self.arguments)])
        return partial(self.call, *self.arguments)

    @property
    def multiply_adds_made(self) -> int:
        """The multiply-adds that are made, transforms not counted."""
        return self.multiply_adds if self.made is None else self.made

    @property
    def arrays(self) -> Iterator[Array]:
        """The arrays it reads and writes."""
        return (a for a in self.arguments if hasattr(a, "nbytes"))

    @property
    def bytes(self) -> int:
        """Bytes of all arrays it reads and writes, each counted once."""
        return sum({id(a): a.nbytes for a in self.arrays}.values())

    def to_dict(self) -> dict[str, Any]:
        """Return its description, ready for JSON."""
        return {
            "layers": self.layers.split(),
            "step": self.does,
            "multiply_adds": self.multiply_adds,
            "multiply_adds_made": self.multiply_adds_made,
            "bytes": self.bytes,
            "shapes": [list(array.shape) for array in self.arrays],
        }


def root_of(array: Array) -> Array:
    """Return the array that owns the memory of a view.

    >>> import numpy as np
    >>> a = np.zeros(8)
    >>> root_of(a[2:].reshape(3, 2)) is a
    True
    """
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array
