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
    """A layer's hyper-parameter: networks and engines are notified when it is set.

    Names, arrays and other layers are declared as well, to be noticed when they are set, but are not `listed` among the
    hyper-parameters.
    """

    def __init__(self, read: Callable[..., Value], *limits: Any, listed: bool = True) -> None:
        super().__init__(read, *limits)
        self.listed = listed

    def __set__(self, holder: Any, value: Any) -> None:
        super().__set__(holder, value)
        changes.latest = object()


def hyperparameters(holder: Any) -> dict[str, Any]:
    """Return the values that an object's classes declare with `Hyper`, by name, ready for JSON: tuples become lists.

    A function becomes its name. Values that were not set are left out.

    >>> from rot180.nn import Conv2d
    >>> hyperparameters(Conv2d(8, 3, padding=1))["kernel_size"]
    [3, 3]
    """
    values = vars(holder)
    declared = {
        name: one
        for kind in type(holder).__mro__
        for name, one in vars(kind).items()
        if isinstance(one, Hyper) and one.listed
    }
    return {name: _plain(values[name]) for name in declared if name in values}


def _plain(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return getattr(value, "__name__", repr(value)) if callable(value) else value


def anything(value: Any, name: str) -> Any:
    """Accept any value."""
    return value
