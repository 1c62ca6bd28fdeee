"""The command line: parsing arguments and printing results, nothing else."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

from rot180.cli import failure

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status.

    0 means success, 2 a user's mistake, 1 a fault of the program, 130 an interruption with Ctrl-C, and 75 a training
    run that was interrupted and can be resumed; 71 if processes that train together have lost each other.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments without the program's name; those of the process by default. `--lang` may appear anywhere.

    Examples
    --------
    >>> main(["--version"])
    rot180 0.1.0
    0
    """
    try:
        # Imports take a few tenths of a second in all, during which Ctrl-C may arrive.
        from rot180.cli.speaking import speaking, take_language

        _ready_streams()
        arguments, language = take_language(sys.argv[1:] if argv is None else argv)
        with speaking(language, translate_output="--json" not in arguments):
            try:
                if arguments[:1] == ["train"]:
                    _connect()
                status = _run(arguments)
                if status == failure.INTERRUPTED:  # some versions of Typer take Ctrl-C for themselves, and say nothing
                    raise KeyboardInterrupt
            except BaseException as error:
                return _failed(error)
    except BaseException as error:
        return _failed(error)
    return status if isinstance(status, int) else 0


def _connect() -> None:
    """Connect to the other processes before the arguments are read: a mistake in them is shown once."""
    from rot180.parallel import connect

    connect()


def _failed(error: BaseException) -> int:
    """Show an error, once for all processes, which end with this one."""
    from rot180.parallel.start import end_all, take_turns

    take_turns()
    status = failure.explain(error)
    end_all(status)
    return status


def _run(arguments: list[str]) -> object:
    from rot180.files import quoted
    from rot180.language import language

    command = _command(language())
    typed = " ".join(map(quoted, ["rot180", *arguments]))
    with failure.saying_warnings():
        return command(args=arguments, prog_name="rot180", standalone_mode=False, obj=typed)


@cache
def _command(_: str) -> Any:
    """Return the command and its subcommands with their help in this language, which must be the one in use.

    They take a few hundredths of a second to make, which a program that calls `main` many times spends once.
    """
    import typer.main

    from rot180.cli.app import app
    from rot180.cli.help_texts import translate_help

    command = typer.main.get_command(app)
    translate_help(command)
    return command


def _ready_streams() -> None:
    """Make stdout and stderr accept any text, such as a class name outside their encoding, even if they were closed."""
    import io
    import os
    from pathlib import Path

    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # stays open until exit
        elif isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")
