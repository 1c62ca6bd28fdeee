"""What went wrong, in one line on stderr, and the exit status that goes with it."""

from __future__ import annotations

import logging
import os
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rot180.cli.output import visible
from rot180.errors import NotationError, PixelWarning, Rot180Error
from rot180.language import translate

TRACEBACK = "ROT180_TRACEBACK"
"""Set in the environment, it adds the traceback to every message."""

USERS_MISTAKE, OUR_FAULT, INTERRUPTED = 2, 1, 130


@contextmanager
def saying_warnings() -> Iterator[None]:
    """Print each warning, and what is logged as one, on a line of stderr inside this block; texts in it do nothing."""

    def say(message: Warning | str, category: type[Warning], *place: Any, **options: Any) -> None:
        whose = "" if issubclass(category, PixelWarning) else f"{category.__name__}: "
        warn(f"{whose}{message}")

    logged = _Logged(logging.WARNING)
    logging.getLogger().addHandler(logged)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default", PixelWarning)
            warnings.showwarning = say
            yield
    finally:
        logging.getLogger().removeHandler(logged)


class _Logged(logging.Handler):
    """Prints what is logged, as warnings are."""

    def emit(self, record: logging.LogRecord) -> None:
        warn(record.getMessage())


def warn(text: str) -> None:
    """Print a line on stderr that ends nothing."""
    _say(_one_line(text), 0)


def explain(error: BaseException) -> int:
    """Print one line for an exception and return the exit status."""
    if os.environ.get(TRACEBACK):
        traceback.print_exception(error)
    # Typer's exceptions are told by what they can do: they have moved between packages over its versions.
    name = type(error).__name__
    if isinstance(error, SystemExit):
        if error.code == INTERRUPTED:  # Typer has caught Ctrl-C
            return _say("interrupted", INTERRUPTED)
        return error.code if isinstance(error.code, int) else USERS_MISTAKE
    if isinstance(error, KeyboardInterrupt) or name == "Abort":
        return _say("interrupted", INTERRUPTED)
    if isinstance(error, BrokenPipeError):
        # Whoever read our output has gone (`rot180 models | head -1`). Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    if isinstance(error, NotationError):
        # its further lines show the text with a caret under the place
        return _say("\n".join(map(visible, str(error).split("\n"))), USERS_MISTAKE)
    if isinstance(error, Rot180Error):
        return _say(_one_line(str(error)), USERS_MISTAKE)
    if name == "NoArgsIsHelpError":
        return USERS_MISTAKE  # the help itself is what it says
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):
        return _say(f"{_one_line(error.format_message())} (rot180 --help shows what there is)", USERS_MISTAKE)
    if isinstance(error, OSError) and error.filename is not None:
        return _say(
            f"{visible(error.filename)}: {error.strerror or name}; check the path, its rights and the disk",
            USERS_MISTAKE,
        )
    if isinstance(error, OSError) and error.strerror:
        return _say(f"the output cannot be written ({error.strerror}); check where it goes", USERS_MISTAKE)
    if isinstance(error, MemoryError):
        what = _one_line(str(error)) or "an array does not fit"
        return _say(f"not enough memory: {what}; choose a smaller batch, image or network", USERS_MISTAKE)
    hint = "" if os.environ.get(TRACEBACK) else f"; {TRACEBACK}=1 in the environment shows where"
    return _say(f"a fault of this program, not of yours: {name}: {_one_line(str(error))}{hint}", OUR_FAULT)


def _say(message: str, status: int) -> int:
    print(f"rot180: {translate(message)}", file=sys.stderr, flush=True)
    return status


def _one_line(text: str) -> str:
    return visible(" ".join(text.split()))
