"""`rot180 evaluate`: the accuracy of a trained network on a data set."""

from __future__ import annotations

from typing import Annotated

import typer

from rot180.cli.computing import AVERAGED
from rot180.cli.options import Engine, Json, RunPath, Threads, Tta


def evaluate(
    run: RunPath,
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA",
            help="As for train; by default the run's own data. The test images are used; if there are none, all "
            "images, or, for the run's own data, those that were held out.",
            show_default=False,
        ),
    ] = None,
    on_bad_file: Annotated[
        str | None,
        typer.Option(
            "--on-bad-file",
            help="strict: stop at an image that cannot be read; skip: leave it out. By default as in training.",
            show_default=False,
        ),
    ] = None,
    label_column: Annotated[
        str | None,
        typer.Option(
            "--label-column",
            help="As for train. By default as in training.",
            show_default=False,
        ),
    ] = None,
    tta: Tta = None,
    engine: Engine = "auto",
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Evaluate a trained network on images it has not seen.

    Prints the accuracy, the loss, and which classes are most often taken for
    which others.

    Examples:

      rot180 evaluate runs/first

      rot180 evaluate runs/mnist path/to/mnist --json

      rot180 evaluate runs/photos --tta flip
    """
    from dataclasses import replace

    from rot180.cli.computing import use_threads
    from rot180.cli.failure import warn
    from rot180.cli.output import percent, print_json, visible
    from rot180.cli.reading import reading_bar
    from rot180.language import translate
    from rot180.runs import load_run
    from rot180.runs.own_data import own_data, own_options, own_tta
    from rot180.runs.unseen import unseen
    from rot180.training import evaluate as measure

    use_threads(threads, engine)
    loaded = load_run(run)
    model, source = loaded.model, own_data(run, loaded, data)
    tta = own_tta(run, loaded, tta, tell=warn)
    options = own_options(run, loaded, on_bad_file=on_bad_file, label_column=label_column)
    with reading_bar() as progress:
        found = unseen(run, loaded, source, replace(options, progress=progress))
    result = measure(model, found.images, found.labels, tta=tta, engine=engine)
    if json:
        print_json({**result.to_dict(), "tta": tta})
        return
    if found.note:
        print(visible(found.note))
    if averaged := AVERAGED.get(tta):
        print(averaged)
    right = round(result.accuracy * result.count)
    print(f"{right} of {result.count} correct: accuracy {percent(result.accuracy)}, error {result.error_percent:.2f}%")
    print(f"{translate('loss')} {result.loss:.4f}")
    names = model.class_names or found.class_names
    wrong = [
        (int(count), names[true], names[said])
        for true, row in enumerate(result.confusion)
        for said, count in enumerate(row)
        if true != said and count
    ]
    for count, true, said in sorted(wrong, key=lambda found: -found[0])[:5]:
        print(f"  {count:>5}  {visible(true)} predicted as {visible(said)}")
