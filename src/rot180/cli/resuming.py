"""What the commands share whose work can be interrupted and resumed: an exit status, and a rule for `--resume`."""

from __future__ import annotations

from collections.abc import Collection

import typer

INTERRUPTED = 75
"""The exit status of a training that was interrupted and can be resumed: EX_TEMPFAIL of sysexits.h, "try again"."""


def check_alone(context: typer.Context, allowed: Collection[str], what: str = "run") -> None:
    """Raise ArgumentError for options that a resumed run or study already has."""
    from rot180.errors import ArgumentError

    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name not in allowed and source is not None and source.name == "COMMANDLINE":
            names = [each for each in parameter.opts if each.startswith("--")] or [str(parameter.metavar)]
            raise ArgumentError(f"--resume keeps the settings of the {what}; leave {names[-1]} out")
