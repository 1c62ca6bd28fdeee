"""Hyper-parameters: checked whenever they are set, in the constructor or later, but read as plain attributes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

Value = TypeVar("Value")


class Checked(Generic[Value]):
    """Declares an attribute whose values pass through `read(value, name)`, which returns them or raises ArgumentError.

    >>> from rot180.nn.validation import real_number
    >>> class Spring:
    ...     stiffness = Checked(real_number)
    >>> spring = Spring()
    >>> spring.stiffness = 2
    >>> spring.stiffness
    2.0
    """

    def __init__(self, read: Callable[..., Value], *limits: Any) -> None:
        self.read, self.limits = read, limits

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __set__(self, holder: Any, value: Any) -> None:
        label = getattr(holder, "rule", "") or type(holder).__name__
        vars(holder)[self.name] = self.read(value, f"{label}: {self.name}", *self.limits)

    if TYPE_CHECKING:
        # Not defined at runtime: Python finds the value in the object's dictionary, as fast as any attribute.
        def __get__(self, holder: Any, owner: type) -> Value: ...


class Changes:
    """When the hyper-parameters of any layer were last set: if `latest` is unchanged, nothing needs to be checked."""

    latest = object()


changes = Changes()


class Hyper(Checked[Value]):
    """A layer's hyper-parameter: networks and engines are notified when it is set."""

    def __set__(self, holder: Any, value: Any) -> None:
        super().__set__(holder, value)
        changes.latest = object()


def anything(value: Any, name: str) -> Any:
    """Accept any value."""
    return value
