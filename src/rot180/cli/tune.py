"""`rot180 tune`: search for the settings with which a network learns best."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from rot180.cli.computing import ENGINE_HELP, THREADS_HELP
from rot180.cli.train import INTERRUPTED, check_alone, share_or_data

AS_FOR_TRAIN = "As for train."
HELD = "As for train. If given, it is not searched."
STUDY, SETTINGS, DATA = "Study", "Training", "Data"

WITH_RESUME = ("resume", "trials", "threads", "picture", "json")
"""The options that may accompany `--resume`."""


def tune(
    context: typer.Context,
    data: Annotated[
        str | None, typer.Argument(metavar="DATA", help="As for train: a path or a name.", show_default=False)
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(
            "--trials",
            "-n",
            help="Trainings that are compared. With --resume: in all; by default as many as were planned.",
            rich_help_panel=STUDY,
            show_default="20",
        ),
    ] = None,
    search: Annotated[
        str | None,
        typer.Option(
            "--search",
            help="What is searched: some of lr, weight-decay, width and augment, such as lr,width. width is a factor "
            "of the channels of all layers. By default all that no other option gives.",
            rich_help_panel=STUDY,
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Folder of the study, which must not exist; by default the next free number in studies/.",
            rich_help_panel=STUDY,
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume",
            metavar="STUDY",
            help="Continue this study with its own settings; --trials may be raised.",
            rich_help_panel=STUDY,
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help=AS_FOR_TRAIN, rich_help_panel=SETTINGS, show_default=False)
    ] = None,
    recipe: Annotated[str, typer.Option("--recipe", help=AS_FOR_TRAIN, rich_help_panel=SETTINGS)] = "default",
    epochs: Annotated[
        int | None, typer.Option("--epochs", "-e", help="Epochs of each trial.", rich_help_panel=SETTINGS)
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", "-b", help=AS_FOR_TRAIN, rich_help_panel=SETTINGS)
    ] = None,
    optimizer: Annotated[str | None, typer.Option("--optimizer", help=AS_FOR_TRAIN, rich_help_panel=SETTINGS)] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", "--lr", help=HELD, rich_help_panel=SETTINGS)
    ] = None,
    momentum: Annotated[float | None, typer.Option("--momentum", help=AS_FOR_TRAIN, rich_help_panel=SETTINGS)] = None,
    weight_decay: Annotated[
        float | None, typer.Option("--weight-decay", help=HELD, rich_help_panel=SETTINGS, show_default=False)
    ] = None,
    clip_norm: Annotated[float | None, typer.Option("--clip-norm", help=AS_FOR_TRAIN, rich_help_panel=SETTINGS)] = None,
    schedule: Annotated[str | None, typer.Option("--schedule", help=AS_FOR_TRAIN, rich_help_panel=SETTINGS)] = None,
    label_smoothing: Annotated[
        float | None, typer.Option("--label-smoothing", help=AS_FOR_TRAIN, rich_help_panel=SETTINGS)
    ] = None,
    ema: Annotated[float | None, typer.Option("--ema", help=AS_FOR_TRAIN, rich_help_panel=SETTINGS)] = None,
    early_stopping: Annotated[
        int | None, typer.Option("--early-stopping", help=AS_FOR_TRAIN, rich_help_panel=SETTINGS)
    ] = None,
    class_weights: Annotated[
        str | None, typer.Option("--class-weights", help=AS_FOR_TRAIN, rich_help_panel=SETTINGS)
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            "--seed",
            help="Random seed of the search and of every training; the same seed gives the same study.",
            rich_help_panel=SETTINGS,
        ),
    ] = 0,
    augment: Annotated[str | None, typer.Option("--augment", help=HELD, rich_help_panel=DATA)] = None,
    normalize: Annotated[str | None, typer.Option("--normalize", help=AS_FOR_TRAIN, rich_help_panel=DATA)] = None,
    resize: Annotated[str | None, typer.Option("--resize", help=AS_FOR_TRAIN, rich_help_panel=DATA)] = None,
    on_bad_file: Annotated[str, typer.Option("--on-bad-file", help=AS_FOR_TRAIN, rich_help_panel=DATA)] = "strict",
    label_column: Annotated[
        str | None, typer.Option("--label-column", help=AS_FOR_TRAIN, rich_help_panel=DATA, show_default=False)
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", help=AS_FOR_TRAIN, rich_help_panel=DATA)] = None,
    validation: Annotated[
        str | None,
        typer.Option(
            "--validation",
            metavar="SHARE|DATA",
            help="The images on which the trials are compared, as for train. By default the data's own validation "
            "images, or a fifth of the training images.",
            rich_help_panel=DATA,
            show_default=False,
        ),
    ] = None,
    picture: Annotated[
        bool, typer.Option("--picture/--no-picture", help="Whether to draw the trials.", rich_help_panel=STUDY)
    ] = True,
    engine: Annotated[str, typer.Option("--engine", help=ENGINE_HELP, rich_help_panel=STUDY)] = "auto",
    threads: Annotated[int | None, typer.Option("--threads", help=THREADS_HELP, rich_help_panel=STUDY)] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object and nothing else.", rich_help_panel=STUDY)
    ] = False,
) -> None:
    """Search for the learning rate, weight decay, width and augmentation with which a network learns best.

    Each trial is a training. The first has the settings of train; what the
    others try is suggested by Optuna, which learns from those before, and stops
    a trial early that falls behind. They are compared on validation images.
    Test images are not looked at: test the best settings by training with the
    command that is printed at the end.

    Ctrl-C and SIGTERM stop the study; --resume continues to the same trials,
    even after a crash. Needs a package: pip install "rot180[tune]"

    Examples:

      rot180 tune --trials 30

      rot180 tune mnist --trials 20 --epochs 2 --search lr,width

      rot180 tune photos --model resnet18 --augment flip --validation 0.1

      rot180 tune --resume studies/digits-001 --trials 60
    """
    from contextlib import ExitStack

    from rot180.cli.computing import use_threads
    from rot180.cli.failure import warn
    from rot180.cli.output import print_json
    from rot180.cli.reading import reading_bar
    from rot180.cli.tune_output import TuningBar, result, say_plan, say_study
    from rot180.errors import ArgumentError
    from rot180.runs.settings import RunSettings

    try:
        from rot180.tuning.tune import resume_tuning
        from rot180.tuning.tune import tune as start
    except ModuleNotFoundError as error:
        if error.name != "optuna":
            raise
        raise ArgumentError('tune needs a package: pip install "rot180[tune]"') from None

    use_threads(threads, engine)
    with ExitStack() as entered:
        options: dict[str, Any] = {
            "subscribers": [entered.enter_context(TuningBar(quiet=json))],
            "progress": entered.enter_context(reading_bar()),
            "tell": warn,
            "on_plan": None if json else say_plan,
        }
        if resume is not None:
            check_alone(context, WITH_RESUME, "study")
            study = resume_tuning(resume, trials=trials, **options)
        else:
            settings = RunSettings(
                data=data,
                model=model,
                recipe=recipe,
                epochs=epochs,
                batch_size=batch_size,
                optimizer=optimizer,
                lr=learning_rate,
                momentum=momentum,
                weight_decay=weight_decay,
                clip_norm=clip_norm,
                schedule=schedule,
                label_smoothing=label_smoothing,
                ema=ema,
                early_stopping=early_stopping,
                class_weights=class_weights,
                seed=seed,
                augment=augment,
                normalize=normalize,
                resize=resize,
                on_bad_file=on_bad_file,
                label_column=label_column,
                limit=limit,
                validation=share_or_data(validation),
                engine=engine,
            )
            names = None if search is None else [name.strip() for name in search.split(",")]
            study = start(settings, trials=20 if trials is None else trials, search=names, out=out, **options)
    drawn = None
    if picture and study.trials:
        from rot180.tuning.picture import draw_study

        drawn = draw_study(study)
    if json:
        print_json(result(study, drawn))
    else:
        say_study(study, drawn)
    if not study.is_complete:
        raise typer.Exit(INTERRUPTED)
