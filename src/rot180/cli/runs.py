"""`rot180 runs`: list runs, or compare some of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rot180.cli.options import Json

if TYPE_CHECKING:
    from rot180.runs.overview import RunSummary


def runs(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PATH",
            help="A folder with runs, or several runs to compare; by default runs/.",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """List or compare runs: their progress, their results, and the settings in which they differ.

    Resume an interrupted run with: rot180 train --resume RUN

    Examples:

      rot180 runs

      rot180 runs runs/first runs/second
    """
    from dataclasses import asdict

    from rot180.cli.output import print_columns, print_json
    from rot180.language import translate
    from rot180.runs.overview import list_runs, setting_differences, summarize_run

    found = [summarize_run(run) for path in paths or [Path("runs")] for run in list_runs(path)]
    differing = setting_differences(found) if len(found) > 1 else {}
    if json:
        print_json({"runs": [asdict(run) for run in found], "differing": differing})
        return
    if not found:
        print("no runs here; start one with: rot180 train")
        return
    heads = [translate(head) for head in ("run", *COLUMNS)]
    print_columns([heads, *([str(run.path), *(show(run) for show in COLUMNS.values())] for run in found)])
    if differing:
        print("\ndifferences")
        names = [str(run.path) for run in found]
        # One row per run: a column per run would not fit for many runs.
        rows = [[name, *(str(values[at])[:40] for values in differing.values())] for at, name in enumerate(names)]
        print_columns([[heads[0], *differing], *rows])


def _share(value: float | None) -> str:
    from rot180.cli.output import percent

    return "-" if value is None else percent(value)


def _plain(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _status(run: RunSummary) -> str:
    from rot180.language import translate

    return translate(run.status)


COLUMNS: dict[str, Callable[[RunSummary], str]] = {
    "status": _status,
    "epochs": lambda run: f"{run.epochs}/{run.planned}",
    "train loss": lambda run: _plain(run.train_loss, 4),
    "validation": lambda run: _share(run.validation_accuracy),
    "test": lambda run: _share(run.test_accuracy),
    "seconds": lambda run: _plain(run.seconds, 1),
}
