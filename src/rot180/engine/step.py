"""One step of a plan: a kernel, the arrays it works on, and what is said about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from rot180.ops.types import Array


@dataclass(frozen=True)
class Step:
    """A call that a plan makes.

    `layers` names the layers it serves, `does` says what it does with them; `multiply_adds` counts densely, also where
    only winners are visited.
    """

    layers: str
    does: str
    call: Callable[..., Any]
    arguments: tuple[Any, ...] = field(repr=False)
    multiply_adds: int = 0

    @property
    def arrays(self) -> Iterator[Array]:
        """The arrays it reads and writes."""
        return (a for a in self.arguments if hasattr(a, "nbytes"))

    @property
    def bytes(self) -> int:
        """Bytes of all arrays it reads and writes, each counted once."""
        return sum({id(a): a.nbytes for a in self.arrays}.values())
