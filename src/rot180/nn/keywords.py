"""Suggest the right keyword for a wrong one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar, cast

from rot180.errors import ArgumentError, Rot180Error, did_you_mean
from rot180.nn.argument_types import refuse_wrong_types

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Class = TypeVar("Class")

MISUSE = (TypeError, AttributeError, ValueError, LookupError, OverflowError)
"""The exceptions that NumPy and Python raise for a value of the wrong type."""

SYNONYMS: dict[str, tuple[str, ...]] = {
    "learningrate": ("lr",),
    "lrate": ("lr",),
    "decay": ("weight_decay",),
    "rho": ("alpha",),
    "filters": ("out_channels",),
    "outputs": ("out_channels", "out_features"),
    "units": ("out_features",),
    "poolsize": ("kernel_size",),
    "p": ("rate",),
    "dropprob": ("rate",),
    "elementwiseaffine": ("affine",),
    "normalizedshape": ("axes",),
    "interpolation": ("mode",),
    "negativeslope": ("slope",),
    "alpha": ("slope",),
    "callbacks": ("subscribers",),
    "criterion": ("loss",),
    "patience": ("early_stopping",),
    "randomstate": ("seed",),
    "x": ("images", "data"),
    "inputs": ("images", "data"),
    "y": ("labels",),
    "targets": ("labels",),
    "target": ("labels",),
    "root": ("source",),
    "path": ("source",),
    "name": ("source", "name_or_notation"),
    "file": ("path",),
    "notation": ("text",),
}
"""Names of arguments in PyTorch, Keras and others, without underscores, and their names here, where spelling alone does
not lead there; the first one that the function has is meant."""


def answering(init: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """Wrap an `__init__` so that wrong arguments, or arguments of wrong types, raise ArgumentError.

    >>> from rot180.nn import Conv2d
    >>> Conv2d(8, 3, strides=2)
    Traceback (most recent call last):
    rot180.errors.ArgumentError: Conv2d has no argument 'strides'; did you mean 'stride'?
    """
    signature = inspect.signature(init)

    @functools.wraps(init)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            cast(Any, init)(self, *args, **kwargs)
        except MISUSE as error:
            _explain(error, type(self).__name__, init, signature, (self, *args), kwargs)
            raise

    return cast(Callable[Arguments, None], wrapper)


def answering_class(kind: type[Class]) -> type[Class]:
    """Wrap the `__init__` of a class, such as the one that `dataclass` writes, by `answering`.

    >>> from rot180.nn import Preprocessing
    >>> Preprocessing("dataset", means=(0.5,))
    Traceback (most recent call last):
    rot180.errors.ArgumentError: Preprocessing has no argument 'means'; did you mean 'mean'?
    """
    setattr(kind, "__init__", answering(kind.__dict__["__init__"]))  # noqa: B010  mypy: a method, assigned
    return kind


def answering_call(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Wrap a function or method so that wrong arguments, or arguments of wrong types, raise ArgumentError.

    >>> from rot180.training import fit
    >>> fit(None, None, learning_rate=0.1)
    Traceback (most recent call last):
    rot180.errors.ArgumentError: fit has no argument 'learning_rate'; did you mean 'lr'?
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def wrapper(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        try:
            return function(*args, **kwargs)
        except MISUSE as error:
            _explain(error, function.__qualname__, function, signature, args, kwargs)
            raise

    return wrapper


def _explain(
    error: Exception,
    name: str,
    function: Callable[..., Any],
    signature: inspect.Signature,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> None:
    """Raise ArgumentError for arguments that do not match a signature or its types.

    Called after a call has failed, so that correct calls cost nothing; does nothing if the arguments match.
    """
    if isinstance(error, Rot180Error):
        return
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as misfit:
        reason = str(misfit)
    else:
        refuse_wrong_types(name, function, bound.arguments)
        return
    known = [parameter for parameter in signature.parameters if parameter != "self"]
    for keyword in kwargs:
        if keyword not in known:
            raise ArgumentError(f"{name} has no argument {keyword!r}{_suggestion(keyword, known)}") from None
    raise ArgumentError(f"{name}: {reason}; its arguments are {', '.join(known) or 'none'}") from None


def _suggestion(keyword: str, known: Iterable[str]) -> str:
    """Return a hint: the known synonym if there is one, else that of `did_you_mean`."""
    meant = [name for name in SYNONYMS.get(keyword.lower().replace("_", ""), ()) if name in known]
    return f"; did you mean {meant[0]!r}?" if meant else did_you_mean(keyword, known)
