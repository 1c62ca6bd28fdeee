"""A run's configuration: everything that it takes to do it again, as TOML."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rot180.errors import ArgumentError, ModelError
from rot180.files import write_atomically

MAX_BYTES = 1_000_000
"""A configuration is read up to this size."""


def write_config(path: str | Path, config: Mapping[str, Any]) -> None:
    """Write a configuration; tables may be nested, and values that are None are left out, as TOML has none.

    Raises
    ------
    ArgumentError
        A value is neither a string, a number, a truth value, a path nor a list or table of such.
    ModelError
        The file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "config.toml"
    >>> write_config(path, {"data": "digits", "training": {"epochs": 3, "lr": np.float64(0.1), "schedule": None}})
    >>> print(path.read_text().strip())
    data = "digits"
    <BLANKLINE>
    [training]
    epochs = 3
    lr = 0.1
    """
    import tomli_w

    write_atomically(path, tomli_w.dumps(_plain("config", config)).encode())


def read_config(path: str | Path) -> dict[str, Any]:
    """Read a configuration.

    Raises
    ------
    ModelError
        The file is missing, too large, or no TOML; the message names line and column.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error}); is it a run folder?") from None
    if len(text) > MAX_BYTES:
        raise ModelError(f"{path}: expected at most {MAX_BYTES} bytes, found more; it is no configuration of a run")
    try:
        return tomllib.loads(text.decode())
    except (ValueError, RecursionError) as error:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        raise ModelError(f"{path}: expected TOML ({str(error)[:120]}); mend the line") from None


def _plain(name: str, value: Any) -> Any:
    """Return a value as TOML has it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(f"{name}.{key}", item) for key, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [_plain(f"{name}[{index}]", item) for index, item in enumerate(value)]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if not isinstance(value, (str, bool, int, float)):
        raise ArgumentError(f"{name}: expected text, a number, true or false, or lists of them; came {value!r}")
    return value
