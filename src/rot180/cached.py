"""Attributes that are computed when they are first asked for: `functools.cached_property` without its lock.

Before Python 3.12, that one computes while it holds a lock. In a process that another thread forks meanwhile, nobody
would ever release it. Here, two threads that ask at the same time may both compute the value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

T = TypeVar("T")


class cached_property(Generic[T]):
    """Turn a method into an attribute that is computed once.

    >>> class Circle:
    ...     @cached_property
    ...     def area(self) -> float:
    ...         print("once")
    ...         return 3.0
    >>> circle = Circle()
    >>> circle.area + circle.area
    once
    6.0
    """

    def __init__(self, function: Callable[[Any], T]) -> None:
        self._function = function
        self.__doc__ = function.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> Self | T:
        """Compute the value, and put it where it is found from now on."""
        if instance is None:
            return self
        value = instance.__dict__[self._name] = self._function(instance)
        return value
