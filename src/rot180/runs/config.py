"""A run's configuration: everything needed to repeat it, as TOML."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rot180.errors import ArgumentError, ModelError
from rot180.files import open_regular, write_atomically
from rot180.runs.fields import COUNT, TEXT, check_fields, list_of, maybe, table
from rot180.runs.settings import TRAINING

MAX_BYTES = 1_000_000
"""The largest configuration that is read."""

MAX_DOTS = 20
"""The most dots in a key or a word: each part of a dotted key takes as much memory as all parts before it."""

MAX_KEYS = 10_000
"""The most keys in a configuration; a run's has about thirty."""

CONFIG = {
    **dict.fromkeys(("rot180", "data", "model", "network"), maybe(TEXT)),
    "earlier_epochs": maybe(list_of(COUNT)),
    "training": maybe(table({name: maybe(kind) for name, kind in TRAINING.items()})),
}
"""The contents of `config.toml`; other names are ignored."""

_STRING = re.compile(
    rb"""
      \"{3} (?: [^"\\] | \\. | "(?!"") )*+ (?: "{3,5} | \Z)
    | '{3} (?: [^'] | '(?!'') )*+ (?: '{3,5} | \Z)
    | " (?: [^"\\\n] | \\. )*+ "?
    | ' [^'\n]*+ '?
    | \# [^\n]*+
    """,
    re.DOTALL | re.VERBOSE,
)
"""Strings and comments. A string without an end matches as well: searching for it from each quote would take hours."""

_NO_KEY = re.compile(rb"[^\w\-. \t]+")


def write_config(path: str | Path, config: Mapping[str, Any]) -> None:
    """Write a configuration; tables may be nested, and None values, which TOML lacks, are left out.

    Raises
    ------
    ArgumentError
        A value is not a string, number, Boolean or path, nor a list or table of these.
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
        The file is missing, a link, too large or not TOML (the message gives line and column), or a value has the
        wrong type.
    """
    path = Path(path)
    try:
        with open_regular(path) as file:
            text = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error}); is it a run folder?") from None
    if len(text) > MAX_BYTES:
        raise ModelError(f"{path}: expected at most {MAX_BYTES} bytes, found more; not a run's configuration")
    _check_size(path, text)
    try:
        config = tomllib.loads(text.decode())
    except (ValueError, RecursionError) as error:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        raise ModelError(f"{path}: expected TOML ({str(error)[:120]}); correct the line") from None
    check_fields(config, CONFIG, str(path))
    return config


def _check_size(path: Path, text: bytes) -> None:
    """Raise ModelError for a text whose objects would need far more memory than its size."""
    plain = _STRING.sub(b"s", text)
    dots = max((word.count(b".") for word in _NO_KEY.split(plain)), default=0)
    if dots > MAX_DOTS:
        raise ModelError(f"{path}: expected keys of at most {MAX_DOTS} dots, found {dots}; not a run's configuration")
    keys = sum(plain.count(mark) for mark in (b"=", b"[", b",", b"{"))
    if keys > MAX_KEYS:
        raise ModelError(f"{path}: expected at most {MAX_KEYS} values, found {keys}; not a run's configuration")


def _plain(name: str, value: Any) -> Any:
    """Return a value as TOML represents it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(f"{name}.{key}", item) for key, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [_plain(f"{name}[{index}]", item) for index, item in enumerate(value)]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if not isinstance(value, (str, bool, int, float)):
        raise ArgumentError(f"{name}: expected text, a number, true or false, or lists of them; it is {value!r}")
    return value
