"""`rot180 find-lr`: a learning rate for a network and data, from a short training whose rate rises."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rot180.cli import as_for_train
from rot180.cli.computing import ENGINE_HELP, THREADS_HELP
from rot180.cli.options import JSON_HELP

if TYPE_CHECKING:
    from rot180.runs.prepare import Prepared
    from rot180.training.find_lr import LearningRateCurve

SCHEDULE = "Test"


def find_lr(
    context: typer.Context,
    data: as_for_train.Source = None,
    model: as_for_train.Model = None,
    recipe: as_for_train.Recipe = "default",
    batch_size: as_for_train.BatchSize = None,
    optimizer: as_for_train.Optimizer = None,
    momentum: as_for_train.Momentum = None,
    nesterov: as_for_train.Nesterov = None,
    weight_decay: as_for_train.WeightDecay = None,
    decay_bias_and_norm: as_for_train.DecayBiasAndNorm = None,
    clip_norm: as_for_train.ClipNorm = None,
    label_smoothing: as_for_train.LabelSmoothing = None,
    class_weights: as_for_train.ClassWeights = None,
    seed: as_for_train.Seed = 0,
    normalize: as_for_train.Normalize = None,
    augment: as_for_train.Augment = None,
    resize: as_for_train.Resize = None,
    on_bad_file: as_for_train.OnBadFile = "strict",
    label_column: as_for_train.LabelColumn = None,
    limit: as_for_train.Limit = None,
    steps: Annotated[
        int, typer.Option("--steps", help="Steps from the lowest to the highest rate.", rich_help_panel=SCHEDULE)
    ] = 100,
    lowest: Annotated[
        float, typer.Option("--lowest", help="Learning rate of the first step.", rich_help_panel=SCHEDULE)
    ] = 1e-7,
    highest: Annotated[
        float,
        typer.Option(
            "--highest",
            help="Learning rate of the last step; the test ends earlier if the loss diverges.",
            rich_help_panel=SCHEDULE,
        ),
    ] = 10.0,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Where to write the picture, without .png; by default learning-rates, numbered if that name is taken.",
            rich_help_panel=SCHEDULE,
            show_default=False,
        ),
    ] = None,
    picture: Annotated[
        bool, typer.Option("--picture/--no-picture", help="Whether to draw the curve.", rich_help_panel=SCHEDULE)
    ] = True,
    engine: Annotated[str, typer.Option("--engine", help=ENGINE_HELP, rich_help_panel=SCHEDULE)] = "auto",
    threads: Annotated[int | None, typer.Option("--threads", help=THREADS_HELP, rich_help_panel=SCHEDULE)] = None,
    json: Annotated[bool, typer.Option("--json", help=JSON_HELP, rich_help_panel=SCHEDULE)] = False,
) -> None:
    """Suggest a learning rate: train for a few steps while the rate rises, and see where the loss is lowest.

    The loss falls as the rate rises, until the steps become too large. A third
    of the rate at which the smoothed loss is lowest is suggested as the peak
    learning rate. It belongs to the network, the optimizer and the batch size
    that it was found with: give the options that you will train with.

    Examples:

      rot180 find-lr

      rot180 find-lr path/to/folder-of-images --optimizer sgd --batch-size 64

      rot180 find-lr mnist --model lenet5 --lowest 1e-5 --highest 1 --steps 200
    """
    from rot180.cli.computing import use_threads
    from rot180.cli.failure import warn
    from rot180.cli.output import print_json, visible
    from rot180.cli.picture_path import picture_path
    from rot180.cli.reading import reading_bar
    from rot180.pictures import learning_rates, save_figure
    from rot180.runs.prepare import doubts, prepare
    from rot180.training import Event, StepDone
    from rot180.training.find_lr import check_range
    from rot180.training.find_lr import find_lr as test

    use_threads(threads, engine)
    check_range(lowest, highest, steps)
    path = picture_path(out, "learning-rates")
    with reading_bar() as progress:
        prepared = prepare(as_for_train.settings_given(context), progress)
        for reason in doubts(prepared):
            warn(reason)
        if not json:
            _say_start(prepared)
        done = 0

        def count(event: Event) -> None:
            nonlocal done
            if isinstance(event, StepDone):
                done += 1
                progress("training with rising rates", done, steps)

        chosen = prepared.settings
        curve = test(
            prepared.model,
            prepared.dataset,
            lowest=lowest,
            highest=highest,
            steps=steps,
            batch_size=chosen.batch_size or 32,
            optimizer=chosen.optimizer or "adam",
            momentum=chosen.momentum,
            nesterov=chosen.nesterov,
            weight_decay=chosen.weight_decay,
            decay_bias_and_norm=chosen.decay_bias_and_norm,
            clip_norm=chosen.clip_norm,
            augment=chosen.augment,
            label_smoothing=chosen.label_smoothing or 0.0,
            class_weights=chosen.class_weights,
            seed=seed,
            engine=engine,
            subscribers=[count],
        )
    drawn = None
    if picture:
        title = f"{prepared.dataset.name}, {chosen.optimizer}, batches of {chosen.batch_size}"
        figure = learning_rates(
            curve.learning_rates, curve.losses, curve.smoothed, suggestion=curve.suggestion, title=title
        )
        drawn = save_figure(figure, path, replace=False)[0]
    if json:
        print_json(
            {**curve.to_dict(), "optimizer": chosen.optimizer, "batch_size": chosen.batch_size, "picture": drawn}
        )
        return
    _say(curve)
    if drawn:
        print(f"picture: {visible(drawn)}")


def _say_start(prepared: Prepared) -> None:
    from rot180.cli.output import visible

    settings = prepared.settings
    print(f"data: {visible(prepared.dataset.sources)}")
    print(f"network: {prepared.model} ({prepared.model.summary().parameters:,} parameters)")
    print(f"optimizer: {settings.optimizer}, batches of {settings.batch_size}", flush=True)


def _say(curve: LearningRateCurve) -> None:
    from rot180.language import translate

    ended = "; the test ended there, as the loss diverged" if curve.diverged else ""
    print(f"rates: {curve.learning_rates[0]:.2g} to {curve.learning_rates[-1]:.2g}{translate(ended)}")
    if curve.suggestion is None:
        print(f"no suggestion: {translate(curve.reason)}")
        return
    print(f"the smoothed loss is lowest, {min(curve.smoothed):.4f}, at {curve.minimum:.2g}")
    print(f"suggested peak learning rate, a third of that: --lr {curve.suggestion:.2g}")
