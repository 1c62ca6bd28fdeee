"""Arguments and options that several commands share, each declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rot180.cli.computing import ENGINE_HELP, THREADS_HELP, TTA_HELP

JSON_HELP = "Print one JSON object and nothing else."

RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, or the weights file in it.")]
Json = Annotated[bool, typer.Option("--json", help=JSON_HELP)]
Engine = Annotated[str, typer.Option("--engine", help=ENGINE_HELP)]
Threads = Annotated[int | None, typer.Option("--threads", help=THREADS_HELP)]
Tta = Annotated[str | None, typer.Option("--tta", help=TTA_HELP, show_default=False)]
