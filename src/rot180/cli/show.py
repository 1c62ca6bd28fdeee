"""`rot180 show`: redraw the pictures of a run and rewrite its report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rot180.cli.options import Json


def show(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    data: Annotated[
        str | None,
        typer.Option("--data", help="Data whose test images to use; by default the run's own.", show_default=False),
    ] = None,
    image: Annotated[
        list[int] | None,
        typer.Option(
            "--image",
            help="Draw the feature maps of this test image, counted from 0; may be repeated. By default the first "
            "image and the worst mistake.",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Redraw a run's pictures: curves, kernels, feature maps, confusion matrix, worst mistakes.

    Each is written as PNG and SVG to the run's pictures folder, and
    report.html is rewritten with them. Works for interrupted runs too.

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
    from rot180.runs.own_data import own_data, own_options, own_tta
    from rot180.runs.report import write_report
    from rot180.runs.train_run import draw_run

    loaded = load_run(run)
    if loaded.folder is None:
        raise ModelError(f"{run} is a single model file; show needs a run folder")
    source = own_data(run, loaded, data, how="it with --data")
    with reading_bar() as progress:
        dataset = load_data_for(loaded.model, source, replace(own_options(run, loaded), progress=progress))
    pictures = draw_run(
        loaded.folder.pictures, loaded.model, loaded.history, dataset, chosen=image or (), tta=own_tta(run, loaded)
    )
    report = write_report(loaded.folder, loaded.model)
    if json:
        print_json({"run": run, "pictures": pictures, "report": report})
        return
    for path in [*pictures, report]:
        print(visible(path))
