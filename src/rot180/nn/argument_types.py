"""Find the arguments of a failed call whose types do not match the annotations."""

from __future__ import annotations

import inspect
import os
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np

from rot180.errors import ArgumentError, short

_WORDS: dict[Any, str] = {
    Iterable: "an iterable",
    Mapping: "a mapping",
    Callable: "a function",
    tuple: "a tuple",
    list: "a list",
}
_ARRAY = "an array of numbers"


def refuse_wrong_types(name: str, function: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
    """Raise ArgumentError for the first argument that does not match its annotation.

    Anything that can be used as a number, path or array is accepted as one. Unreadable annotations are ignored.

    Examples
    --------
    >>> def resize(images: np.ndarray, side: int | None) -> None: ...
    >>> refuse_wrong_types("resize", resize, {"images": [[1, 2]], "side": "x"})
    Traceback (most recent call last):
    rot180.errors.ArgumentError: resize: side must be int or None; it is 'x'
    """
    try:
        hints = typing.get_type_hints(function)
    except (NameError, TypeError, AttributeError):  # the annotation's module is imported for type checkers only
        return
    for argument, value in arguments.items():
        hint = hints.get(argument, Any)
        if not _fits(value, hint):
            wanted = " or ".join(_texts(hint))
            raise ArgumentError(f"{name}: {argument} must be {wanted}; it is {short(value)}") from None


def as_array(value: Any, name: str = "images") -> Any:
    """Return the value as an array; raise ArgumentError if it is not one, such as lists of different lengths."""
    try:
        return np.asarray(value)
    except ValueError:
        raise ArgumentError(f"{name} must be {_ARRAY}; it is {short(value)}") from None


def _fits(value: Any, hint: Any) -> bool:
    if hint is None or hint is type(None):
        return value is None
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, one) for one in typing.get_args(hint))
    if _is_array(hint):
        return _is_numbers(value)
    if origin is tuple:
        parts = typing.get_args(hint)
        if not isinstance(value, (tuple, list)) or (Ellipsis not in parts and len(value) != len(parts)):
            return False
        return all(_fits(item, part) for item, part in zip(value, parts, strict=False) if part is not Ellipsis)
    kind = origin or hint
    if kind is Any:
        return True
    if kind is Iterable:
        (item_hint,) = typing.get_args(hint) or (Any,)
        if isinstance(value, (str, bytes)) or not isinstance(value, Iterable) or getattr(value, "shape", None) == ():
            return False
        # Inspecting a generator would consume it.
        return not isinstance(value, (list, tuple, np.ndarray)) or all(_fits(item, item_hint) for item in value)
    if kind is float:
        return isinstance(value, Real)
    if kind is int:
        return isinstance(value, Integral)
    if kind is Path:
        return isinstance(value, os.PathLike)
    if not inspect.isclass(kind):
        return True
    if getattr(kind, "_is_protocol", False):
        return all(hasattr(value, member) for member in dir(kind) if not member.startswith("_"))
    return isinstance(value, kind)


def _is_array(hint: Any) -> bool:
    """Return whether an annotation is an array, or a protocol for objects that are indexed like one."""
    is_protocol = inspect.isclass(hint) and getattr(hint, "_is_protocol", False)
    return typing.get_origin(hint) is np.ndarray or hint is np.ndarray or (is_protocol and hasattr(hint, "shape"))


def _is_numbers(value: Any) -> bool:
    if isinstance(value, (str, bytes)) or value is None:
        return False
    if not isinstance(value, np.ndarray) and hasattr(value, "shape") and hasattr(value, "dtype"):
        return True
    try:
        array = np.asarray(value)
    except Exception:  # converting a foreign object may raise anything
        return False
    return array.ndim > 0 and array.dtype.kind in "biuf"


def _texts(hint: Any) -> list[str]:
    """Return the annotation in words, one for each alternative."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return list(dict.fromkeys(text for one in typing.get_args(hint) for text in _texts(one)))
    if _is_array(hint):
        return [_ARRAY]
    if hint is None or hint is type(None):
        return ["None"]
    kind = typing.get_origin(hint) or hint
    return [_WORDS.get(kind) or str(getattr(kind, "__name__", kind))]
