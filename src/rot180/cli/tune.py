"""`rot180 tune`: search for the settings with which a network learns best."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from rot180.cli import as_for_train
from rot180.cli.computing import ENGINE_HELP, THREADS_HELP
from rot180.cli.extras import extra
from rot180.cli.options import JSON_HELP
from rot180.cli.resuming import INTERRUPTED, check_alone
from rot180.cli.train_options import DATA, TRAINING

HELD = "As for train. If given, it is not searched."
STUDY = "Study"

WITH_RESUME = ("resume", "trials", "threads", "picture", "json")
"""The options that may accompany `--resume`."""


def tune(
    context: typer.Context,
    data: as_for_train.Source = None,
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
    model: as_for_train.Model = None,
    recipe: as_for_train.Recipe = "default",
    epochs: Annotated[
        int | None, typer.Option("--epochs", "-e", help="Epochs of each trial.", rich_help_panel=TRAINING)
    ] = None,
    batch_size: as_for_train.BatchSize = None,
    optimizer: as_for_train.Optimizer = None,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", "--lr", help=HELD, rich_help_panel=TRAINING)
    ] = None,
    momentum: as_for_train.Momentum = None,
    nesterov: as_for_train.Nesterov = None,
    weight_decay: Annotated[
        float | None, typer.Option("--weight-decay", help=HELD, rich_help_panel=TRAINING, show_default=False)
    ] = None,
    decay_bias_and_norm: as_for_train.DecayBiasAndNorm = None,
    clip_norm: as_for_train.ClipNorm = None,
    schedule: as_for_train.Schedule = None,
    warmup: as_for_train.Warmup = None,
    label_smoothing: as_for_train.LabelSmoothing = None,
    ema: as_for_train.Ema = None,
    accumulate: as_for_train.Accumulate = 1,
    early_stopping: as_for_train.EarlyStopping = None,
    class_weights: as_for_train.ClassWeights = None,
    seed: Annotated[
        int,
        typer.Option(
            "--seed",
            help="Random seed of the search and of every training; the same seed gives the same study.",
            rich_help_panel=TRAINING,
        ),
    ] = 0,
    augment: Annotated[str | None, typer.Option("--augment", help=HELD, rich_help_panel=DATA)] = None,
    normalize: as_for_train.Normalize = None,
    resize: as_for_train.Resize = None,
    tta: as_for_train.Tta = None,
    on_bad_file: as_for_train.OnBadFile = "strict",
    label_column: as_for_train.LabelColumn = None,
    limit: as_for_train.Limit = None,
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
    json: Annotated[bool, typer.Option("--json", help=JSON_HELP, rich_help_panel=STUDY)] = False,
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

    with extra("tune"):
        from rot180.tuning.tune import resume_tuning
        from rot180.tuning.tune import tune as start

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
            settings = as_for_train.settings_given(context)
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
