"""`rot180 show`: draw the pictures of a run again, and make its page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def show(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder.")],
    data: Annotated[
        str | None,
        typer.Option("--data", help="Whose test images to use; those of the training by default.", show_default=False),
    ] = None,
    image: Annotated[
        list[int] | None,
        typer.Option(
            "--image",
            help="Draw the feature maps of this test image, counted from 0; may be given again. By default the first "
            "and the worst mistake.",
            show_default=False,
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Draw a run's pictures again: curves, kernels, feature maps, confusion matrix, worst mistakes.

    Each is written as PNG and SVG into the run's own folder of pictures, and
    report.html is made again with them; also of an interrupted run.

    Examples:

      rot180 show runs/first

      rot180 show runs/first --image 7 --image 12
    """
    from dataclasses import replace

    from rot180.cli.output import print_json, visible
    from rot180.cli.reading import reading_bar
    from rot180.data.for_model import load_data_for
    from rot180.errors import ModelError
    from rot180.runs import load_run
    from rot180.runs.own_data import own_data, own_options
    from rot180.runs.report import write_report
    from rot180.runs.train_run import draw_run

    loaded = load_run(run)
    if loaded.folder is None:
        raise ModelError(f"{run} is a lone model file; show draws the pictures of a run's folder")
    source = own_data(run, loaded, data, how="it with --data")
    with reading_bar() as progress:
        dataset = load_data_for(loaded.model, source, replace(own_options(run, loaded), progress=progress))
    pictures = draw_run(loaded.folder.pictures, loaded.model, loaded.history, dataset, chosen=image or ())
    report = write_report(loaded.folder, loaded.model)
    if json:
        print_json({"run": run, "pictures": pictures, "report": report})
        return
    for path in [*pictures, report]:
        print(visible(path))
