"""The command line: reading arguments and printing, nothing else."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status: 0, 2 for the user's mistake, 1 for ours, 130 after Ctrl-C.

    A training that was interrupted and can be resumed ends with 75.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments without the program's name; those of the process by default.

    Examples
    --------
    >>> main(["--version"])
    rot180 0.1.0
    0
    """
    try:
        _ready_streams()
        from rot180.cli.app import app  # takes some tenths of a second, in which Ctrl-C may come as well

        status = app(args=None if argv is None else list(argv), prog_name="rot180", standalone_mode=False)
    except BaseException as error:
        from rot180.cli.failure import explain

        return explain(error)
    return status if isinstance(status, int) else 0


def _ready_streams() -> None:
    """Make stdout and stderr take every text: a class name outside their encoding, or a stream that was closed."""
    import io
    import os
    import sys
    from pathlib import Path

    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # open to the end
        elif isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")
