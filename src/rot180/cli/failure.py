"""Report errors and warnings in one line on stderr, and choose the exit status."""

from __future__ import annotations

import logging
import os
import re
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rot180.cli.output import visible
from rot180.errors import NotationError, ParallelError, PixelWarning, Rot180Error
from rot180.language import translate

TRACEBACK = "ROT180_TRACEBACK"
"""An environment variable; if it is set, every error is preceded by its traceback."""

USERS_MISTAKE, OUR_FAULT, INTERRUPTED = 2, 1, 130

PLAIN = {
    r"Input should be a valid integer.*": "it must be a whole number",
    r"Input should be a valid number.*": "it must be a number",
    r"Input should be less than or equal to (\S+)": r"it must be at most \1",
    r"Input should be greater than or equal to (\S+)": r"it must be at least \1",
}
"""What is said instead of the messages of Typer's parsers."""


@contextmanager
def saying_warnings() -> Iterator[None]:
    """Print each warning and each logged warning on one line of stderr inside this block, with escapes made visible."""

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
    """Print log records as warnings are printed."""

    def emit(self, record: logging.LogRecord) -> None:
        warn(record.getMessage())


def warn(text: str) -> None:
    """Print one line on stderr without ending the program."""
    _say(_one_line(text), 0)


def explain(error: BaseException) -> int:
    """Print one line for an exception and return the exit status."""
    if os.environ.get(TRACEBACK):
        traceback.print_exception(error)
    # Typer's exceptions are recognized by their attributes: they moved between packages over its versions.
    name = type(error).__name__
    if isinstance(error, SystemExit):
        if error.code == INTERRUPTED:  # Typer has caught Ctrl-C
            return _say("interrupted", INTERRUPTED)
        return error.code if isinstance(error.code, int) else USERS_MISTAKE
    if isinstance(error, KeyboardInterrupt) or name == "Abort":
        return _say("interrupted", INTERRUPTED)
    if isinstance(error, BrokenPipeError):
        # The reader of our output has exited (`rot180 models | head -1`). Python would complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    if isinstance(error, NotationError):
        # its other lines show the text with a caret under the error
        return _say("\n".join(map(visible, str(error).split("\n"))), USERS_MISTAKE)
    if isinstance(error, ParallelError):
        from rot180.parallel.start import LOST

        return _say(_one_line(str(error)), LOST)
    if isinstance(error, Rot180Error):
        return _say(_one_line(str(error)), USERS_MISTAKE)
    if name == "NoArgsIsHelpError":
        return USERS_MISTAKE  # its message is the help, already printed
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):
        text = _one_line(error.format_message())
        for theirs, plain in PLAIN.items():
            text = re.sub(theirs, plain, text)
        # the context is that of the command in which the mistake is
        command = getattr(getattr(error, "ctx", None), "command_path", "rot180")
        return _say(f"{translate(text)} (see {command} --help)", USERS_MISTAKE)
    if isinstance(error, OSError) and error.filename is not None:
        return _say(
            f"{visible(error.filename)}: {error.strerror or name}; check the path, its permissions and the disk",
            USERS_MISTAKE,
        )
    if isinstance(error, OSError) and error.strerror:
        return _say(f"cannot write the output ({error.strerror}); check its destination", USERS_MISTAKE)
    if isinstance(error, MemoryError):
        what = _one_line(str(error)) or "an array does not fit"
        return _say(f"not enough memory: {what}; choose a smaller batch, image or network", USERS_MISTAKE)
    hint = "" if os.environ.get(TRACEBACK) else f"; {TRACEBACK}=1 in the environment prints the traceback"
    return _say(f"a bug in this program, not your mistake: {name}: {_one_line(str(error))}{hint}", OUR_FAULT)


def _say(message: str, status: int) -> int:
    print(f"rot180: {translate(message)}", file=sys.stderr, flush=True)
    return status


def _one_line(text: str) -> str:
    return visible(" ".join(text.split()))
