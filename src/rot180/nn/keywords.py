"""A wrong keyword is answered with the right one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

from rot180.errors import ArgumentError, did_you_mean

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def answering(init: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """Wrap an `__init__` so that arguments that do not fit raise ArgumentError instead of TypeError.

    >>> from rot180.nn import Conv2d
    >>> Conv2d(8, 3, strides=2)
    Traceback (most recent call last):
    rot180.errors.ArgumentError: Conv2d has no argument 'strides'; did you mean 'stride'?
    """
    signature = inspect.signature(init)
    known = list(signature.parameters)[1:]

    @functools.wraps(init)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> None:
        name = type(self).__name__
        for keyword in kwargs:
            if keyword not in known:
                raise ArgumentError(f"{name} has no argument {keyword!r}{did_you_mean(keyword, known)}")
        try:
            signature.bind(self, *args, **kwargs)
        except TypeError as error:
            raise ArgumentError(f"{name}: {error}; its arguments are {', '.join(known)}") from None
        cast(Any, init)(self, *args, **kwargs)

    return cast(Callable[Arguments, None], wrapper)


def answering_call(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Wrap a function so that a keyword that it does not have raises ArgumentError instead of TypeError.

    >>> from rot180.training import fit
    >>> fit(None, None, epoch=3)
    Traceback (most recent call last):
    rot180.errors.ArgumentError: fit has no argument 'epoch'; did you mean 'epochs'?
    """
    known = list(inspect.signature(function).parameters)

    @functools.wraps(function)
    def wrapper(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        for keyword in kwargs:
            if keyword not in known:
                raise ArgumentError(f"{function.__name__} has no argument {keyword!r}{did_you_mean(keyword, known)}")
        return function(*args, **kwargs)

    return wrapper
