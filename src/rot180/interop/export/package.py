"""The optional package `onnx`, imported where it is first needed."""

from __future__ import annotations

from importlib import import_module

from rot180.errors import ArgumentError


def require_onnx(what: str) -> None:
    """Raise ArgumentError if the package `onnx` is not installed.

    Parameters
    ----------
    what : str
        What needs it, for the message: "export_onnx".
    """
    try:
        import_module("onnx")
    except ImportError:
        raise ArgumentError(
            f"{what} needs a package that is not installed; install it with: pip install 'rot180[onnx]'"
        ) from None
