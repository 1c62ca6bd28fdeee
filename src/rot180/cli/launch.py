"""`rot180 launch`: train on several processes, and continue after failures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from rot180.cli.failure import warn
from rot180.cli.train import WITH_RESUME


def launch(
    command: Annotated[
        list[str],
        typer.Argument(metavar="train ...", help="The command, after --: train and its options; --out is needed."),
    ],
    processes: Annotated[
        int, typer.Option("--processes", "-n", min=1, help="How many processes train together.", show_default=False)
    ],
    max_restarts: Annotated[
        int,
        typer.Option(
            "--max-restarts", min=0, help="After how many failures to continue from the last whole checkpoint."
        ),
    ] = 0,
    launcher: Annotated[
        str | None,
        typer.Option(
            "--launcher",
            help='The launcher of MPI and its own options, such as "mpiexec -hosts a,b". By default mpiexec.',
            show_default=False,
        ),
    ] = None,
) -> None:
    """Train on several processes, and continue after failures.

    The processes are started with mpiexec. If one of them dies, raises an
    error or does not answer (--watchdog of train), all of them end, and with
    --max-restarts the training continues from its last whole checkpoint.

    Ctrl-C and SIGTERM stop the training after the current batch and write a
    checkpoint; the exit status is then 75.

    Examples:

      rot180 launch -n 2 -- train photos --out runs/first

      rot180 launch -n 4 --max-restarts 3 -- train photos --shards 8 --out runs/first

      rot180 launch -n 4 --max-restarts 3 -- train --resume runs/first
    """
    from rot180.parallel.launch import launch as run
    from rot180.parallel.launch import launcher_command

    given = launcher_command(launcher)
    run_folder, to_resume = _read(command)

    def again() -> list[str]:
        return to_resume if (run_folder / "config.toml").is_file() else command

    status = run(given, processes, command, again, restarts=max_restarts, tell=warn)
    if status:
        raise typer.Exit(status)


def _read(command: list[str]) -> tuple[Path, list[str]]:
    """Return the run folder of a `train` command, and the command that resumes it.

    Raises
    ------
    ArgumentError
        It is another command, or it names no folder.
    """
    import typer.main

    from rot180.cli.train import train
    from rot180.errors import ArgumentError

    if command[0] != "train":
        raise ArgumentError(
            f"launch runs train on several processes, as in: rot180 launch -n 2 -- train --out runs/a; the command "
            f"given is {command[0]!r}"
        )
    app = typer.Typer(add_completion=False)
    app.command()(train)
    parser = typer.main.get_command(app)
    context = parser.make_context("train", list(command[1:]))
    values = context.params
    folder = values["resume"] or values["out"]
    if folder is None:
        raise ArgumentError(
            "launch needs the run's folder, to find it again after a failure; add --out, such as runs/a"
        )
    words = ["train", "--resume", str(folder)]
    kept = set(WITH_RESUME) - {"data", "resume"}
    if not values["resume"]:
        kept.remove("epochs")
    elif values["data"]:
        words.insert(1, values["data"])
    for parameter in parser.params:
        name = str(parameter.name)
        source = context.get_parameter_source(name)
        if name in kept and source is not None and source.name == "COMMANDLINE":
            words += _spelled(parameter, values[name])
    return Path(folder), words


def _spelled(option: Any, value: object) -> list[str]:
    """Return an option and its value as words of a command."""
    if isinstance(value, bool):
        return [(option.opts if value else option.secondary_opts)[0]]
    return [option.opts[0], str(value)]
