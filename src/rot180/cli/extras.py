"""Commands that need packages which only some users install, and options that such commands share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

Port = Annotated[int, typer.Option("--port", min=0, max=65535, help="Port to serve on; 0 for a free one.")]
"""Where a page or server listens."""

WEB = "starlette", "uvicorn", "httptools"
PACKAGES = {"explore": WEB, "serve": WEB, "tune": ("optuna",)}
"""The packages of the extra that each command needs, which has its name."""


@contextmanager
def extra(command: str) -> Iterator[None]:
    """Say how to install a command's extra if one of its packages is imported within and missing.

    Raises
    ------
    ArgumentError
        A package of the extra is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        from rot180.errors import ArgumentError

        if error.name not in PACKAGES[command]:
            raise
        raise ArgumentError(f"{command} needs the extra {command}: pip install 'rot180[{command}]'") from None
