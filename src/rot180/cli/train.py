"""`rot180 train`: train a network and leave a run folder."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rot180.cli.computing import ENGINE_HELP, THREADS_HELP
from rot180.cli.failure import warn

if TYPE_CHECKING:
    from rot180.data import Dataset
    from rot180.inside.health_report import HealthReport
    from rot180.nn import Sequential
    from rot180.runs.train_run import RunSettings, TrainedRun
    from rot180.training import Event, History, Subscriber

INTERRUPTED = 75
"""The exit status of a training that was interrupted and can be resumed: EX_TEMPFAIL of sysexits.h, "try again"."""

WITH_RESUME = (
    "data",
    "resume",
    "epochs",
    "force",
    "verify",
    "checkpoint_every",
    "checkpoint_minutes",
    "tensorboard",
    "threads",
    "pictures",
    "json",
)
"""What may be said beside `--resume`; all else is as the run began."""

NETWORK, LEARNING, DATA, RUN = "The network", "How it learns", "The data", "The run"


def train(
    context: typer.Context,
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA",
            help="A folder of images with a sub-folder for each class, with or without train, val and test above; a "
            "folder with MNIST's IDX files, or of .npy files; a CSV file (labels and pixels) or a folder with train.csv"
            " and test.csv; .npz; Parquet; or a name: mnist, fashion-mnist, kmnist, cifar10, downloaded once. "
            "Left out: the bundled 8x8 digits. rot180 data inspect tells what is taken for what.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="A name from rot180 models, or a network in the notation. By default one that suits the images.",
            rich_help_panel=NETWORK,
            show_default=False,
        ),
    ] = None,
    recipe: Annotated[
        str,
        typer.Option(
            "--recipe",
            help="Settings for all that is not said below. default: what suits the network; fast: few epochs at a "
            "high rate, on MNIST's images with a small network.",
            rich_help_panel=LEARNING,
        ),
    ] = "default",
    epochs: Annotated[
        int | None, typer.Option("--epochs", "-e", help="Passes over the images.", rich_help_panel=LEARNING)
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", "-b", help="Images in a step.", rich_help_panel=LEARNING)
    ] = None,
    optimizer: Annotated[
        str | None, typer.Option("--optimizer", help="sgd, adam, adamw or rmsprop.", rich_help_panel=LEARNING)
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option("--learning-rate", "--lr", help="The highest learning rate.", rich_help_panel=LEARNING),
    ] = None,
    weight_decay: Annotated[
        float | None,
        typer.Option(
            "--weight-decay",
            help="Draw the weights towards zero, against overfitting: 0.01 with adamw, 1e-4 with the others. "
            "By default 0.01 for adamw, else 0.",
            rich_help_panel=LEARNING,
            show_default=False,
        ),
    ] = None,
    schedule: Annotated[
        str | None, typer.Option("--schedule", help="constant, step, cosine or one-cycle.", rich_help_panel=LEARNING)
    ] = None,
    warmup: Annotated[
        float | None,
        typer.Option(
            "--warmup",
            help="Steps in which the learning rate climbs; below 1, their share of all steps.",
            rich_help_panel=LEARNING,
        ),
    ] = None,
    accumulate: Annotated[
        int, typer.Option("--accumulate", help="Batches whose gradients make one step.", rich_help_panel=LEARNING)
    ] = 1,
    early_stopping: Annotated[
        int | None,
        typer.Option(
            "--early-stopping",
            help="End after so many epochs without a lower validation loss.",
            rich_help_panel=LEARNING,
        ),
    ] = None,
    class_weights: Annotated[
        str | None,
        typer.Option(
            "--class-weights",
            help="How much each class counts: balanced (all alike, however many images they have), or by name, such "
            "as cat=2,dog=1.",
            rich_help_panel=LEARNING,
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", help="The same seed gives the same weights.", rich_help_panel=LEARNING)
    ] = 0,
    normalize: Annotated[
        str | None,
        typer.Option(
            "--normalize",
            help="scale: to 0 ... 1; image: each image to mean 0 and deviation 1; dataset: all of them; none.",
            rich_help_panel=DATA,
        ),
    ] = None,
    augment: Annotated[
        str | None,
        typer.Option(
            "--augment",
            help="Alter each batch at random, such as shift:2,flip,rotate:10; rot180 data show --augment shows it.",
            rich_help_panel=DATA,
        ),
    ] = None,
    resize: Annotated[
        str | None,
        typer.Option(
            "--resize",
            help="Bring image files to this size: 64, 64x48, 28x28x1; crop:64 or pad:64 keeps their proportions. "
            "By default a size that suits them.",
            rich_help_panel=DATA,
        ),
    ] = None,
    on_bad_file: Annotated[
        str,
        typer.Option(
            "--on-bad-file",
            help="strict: stop at an image that cannot be read; skip: leave it out, and stop where there are many.",
            rich_help_panel=DATA,
        ),
    ] = "strict",
    label_column: Annotated[
        str | None,
        typer.Option(
            "--label-column",
            help="The column of a CSV or Parquet file that holds the labels, by its name or its number, counted from "
            "1; -1 is the last. By default the one that the header calls so.",
            rich_help_panel=DATA,
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", help="Use the first so many training images only.", rich_help_panel=DATA),
    ] = None,
    validation: Annotated[
        str | None,
        typer.Option(
            "--validation",
            metavar="SHARE|DATA",
            help="Keep this share of the training images for validation, such as 0.1; or validate on other data, a "
            "path or a name. By default the data's own validation images, where it has some.",
            rich_help_panel=DATA,
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="The folder to make; by default the next free number in runs/.", rich_help_panel=RUN
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume",
            metavar="RUN",
            help="Go on with this run; its settings stay, but --epochs may be more. Name DATA only if it was moved.",
            rich_help_panel=RUN,
            show_default=False,
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="With --resume: go on although the data differ.", rich_help_panel=RUN)
    ] = False,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Note a checksum of every byte of the data, and compare it with --resume. Of sets larger than memory, "
            "only 12 KB of each file are compared otherwise.",
            rich_help_panel=RUN,
        ),
    ] = False,
    checkpoint_every: Annotated[
        int | None,
        typer.Option(
            "--checkpoint-every",
            help="Write a checkpoint after so many steps, beside the end of each epoch.",
            rich_help_panel=RUN,
        ),
    ] = None,
    checkpoint_minutes: Annotated[
        float,
        typer.Option("--checkpoint-minutes", help="Write a checkpoint after so much time.", rich_help_panel=RUN),
    ] = 5.0,
    tensorboard: Annotated[
        bool,
        typer.Option("--tensorboard", help="Write event files into the run's folder tensorboard.", rich_help_panel=RUN),
    ] = False,
    engine: Annotated[str, typer.Option("--engine", help=ENGINE_HELP, rich_help_panel=RUN)] = "auto",
    threads: Annotated[int | None, typer.Option("--threads", help=THREADS_HELP, rich_help_panel=RUN)] = None,
    pictures: Annotated[
        bool, typer.Option("--pictures/--no-pictures", help="Whether to draw pictures.", rich_help_panel=RUN)
    ] = True,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object and nothing else.", rich_help_panel=RUN)
    ] = False,
) -> None:
    """Train a network, test it, and leave a run folder with weights, history and pictures.

    What is not said is taken from a recipe: by default from the network's
    own, the settings that work well for it.

    Ctrl-C and SIGTERM end the training after the current batch, in a
    checkpoint; the exit status is then 75. With --resume it goes on to the
    very weights that it would have reached without a break, also after a
    crash or a power failure.

    Examples:

      rot180 train

      rot180 train path/to/mnist --recipe fast

      rot180 train path/to/mnist --model lenet5 --epochs 5

      rot180 train path/to/folder-of-images --augment shift:4,flip

      rot180 train my.csv --model "8x8x1 > conv3x3:8 relu > fc10" --lr 0.01

      rot180 train --validation 0.1 --early-stopping 3 --epochs 50

      rot180 train photos/train --validation photos/val

      rot180 train --resume runs/first

      rot180 train --resume runs/first --epochs 40
    """
    from rot180.cli.computing import use_threads
    from rot180.cli.output import print_json
    from rot180.cli.reading import reading_bar
    from rot180.errors import ArgumentError
    from rot180.runs.recorder import CheckpointPolicy
    from rot180.runs.resume import resume_run
    from rot180.runs.train_run import RunSettings, train_run
    from rot180.training.progress_bar import ProgressBar

    use_threads(threads, engine)
    checkpoints = CheckpointPolicy(checkpoint_every, checkpoint_minutes)
    if tensorboard:
        from rot180.runs.tensorboard import require_tensorboard

        require_tensorboard()
    if resume is not None:
        _check_alone(context)
    elif force:
        raise ArgumentError("--force goes with --resume: it goes on although the data differ")

    settings = RunSettings(
        data=data,
        model=model,
        recipe=recipe,
        epochs=epochs,
        batch_size=batch_size,
        optimizer=optimizer,
        lr=learning_rate,
        weight_decay=weight_decay,
        schedule=schedule,
        warmup=int(warmup) if warmup is not None and warmup.is_integer() else warmup,
        normalize=normalize,
        seed=seed,
        augment=augment,
        class_weights=class_weights,
        resize=resize,
        on_bad_file=on_bad_file,
        label_column=label_column,
        limit=limit,
        validation=_share_or_data(validation),
        early_stopping=early_stopping,
        accumulate=accumulate,
        engine=engine,
    )
    with reading_bar() as progress, ProgressBar() as bar:
        read: list[Dataset] = []
        found: list[HealthReport] = []
        subscribers: list[Subscriber] = [partial(_say_notes, read), bar]
        if not json:
            subscribers.insert(0, partial(_say_start, model, read))
        options: dict[str, Any] = {
            "subscribers": subscribers,
            "progress": progress,
            "draw": pictures,
            "checkpoints": checkpoints,
            "tensorboard": tensorboard,
            "verify": verify,
            "tell": warn,
            "on_data": read.append,
            "examine": partial(_examine, found),
        }
        if resume is None:
            run = train_run(settings, out=out, command=context.obj, **options)
        else:
            run = resume_run(resume, data=data, epochs=epochs, force=force, **options)
    if json:
        print_json(result(run))
    else:
        _say_result(run)
        _say_health(found)
    if run.history.stopped == "interrupted":
        raise typer.Exit(INTERRUPTED)


def _check_alone(context: typer.Context) -> None:
    """Raise ArgumentError for options that a resumed run has already."""
    from rot180.errors import ArgumentError

    for name in context.params:
        source = context.get_parameter_source(name)
        if name not in WITH_RESUME and source is not None and source.name == "COMMANDLINE":
            option = "--" + {"learning_rate": "lr"}.get(name, name).replace("_", "-")
            raise ArgumentError(f"--resume goes on with the settings that the run began with; leave {option} out")


def result(run: TrainedRun) -> dict[str, Any]:
    """Return what `--json` prints."""
    history = run.history
    kept = history.kept
    return {
        "run": run.folder.path,
        "stopped": history.stopped,
        "epochs": len(history.epochs),
        # Of an epoch that was cut short there is no mean but that of its steps.
        "train_loss": kept.train_loss if kept else sum(history.losses) / max(len(history.losses), 1),
        "train_accuracy": kept.train_accuracy if kept else None,
        "kept_epoch": kept.epoch if kept else None,
        "test_loss": run.test.loss if run.test else None,
        "test_accuracy": run.test.accuracy if run.test else None,
        "test_count": run.test.count if run.test else 0,
        "seconds": history.seconds,
        "images_per_second": kept.images_per_second if kept else None,
        "model": run.settings.model,
        "network": run.model.notation,
        "parameters": run.model.summary().parameters,
        "seed": run.settings.seed,
        "pictures": run.pictures,
    }


def _share_or_data(text: str | None) -> float | str | None:
    """Return a share as a number and anything else as it is.

    >>> _share_or_data("0.1"), _share_or_data("photos/val")
    (0.1, 'photos/val')
    """
    try:
        return None if text is None else float(text)
    except ValueError:
        return text


def _say_start(asked: str | None, read: list[Dataset], event: Event) -> None:
    """Say what is about to be trained on what; a subscriber."""
    from rot180.cli.output import visible
    from rot180.nn import MODELS
    from rot180.nn import model as make_model
    from rot180.training import TrainingStarted

    if isinstance(event, TrainingStarted):
        model = event.trainer.model
        held_out = f", {event.validation_images:,} for validation" if event.validation_images else ""
        for dataset in read:
            print(f"data: {visible(dataset.sources)}")
        if asked in MODELS and make_model(asked).notation != model.notation:
            print(f"{asked} takes other images or classes than these: its first and last part are adapted")
        print(f"network: {model} ({model.summary().parameters:,} parameters)")
        print(f"training on {event.images:,} images{held_out}, epochs: {event.epochs}", flush=True)
        weights = getattr(event.trainer.loss, "class_weights", None)
        if weights is not None:
            names = model.class_names or range(len(weights))
            told = [f"{name} {weight:.3g}" for name, weight in zip(names, weights, strict=True)]
            print(f"class weights: {', '.join(told[:12])}{', ...' if len(told) > 12 else ''}", flush=True)


def _say_notes(read: list[Dataset], event: Event) -> None:
    """Say on stderr what is worth knowing of the way the data was read; a subscriber."""
    from rot180.cli.output import visible
    from rot180.training import TrainingStarted

    if isinstance(event, TrainingStarted):
        for dataset in read:
            for note in dataset.notes:
                warn(f"{visible(dataset.name)}: {visible(note)}")


def _examine(
    found: list[HealthReport], model: Sequential, history: History, dataset: Dataset, settings: RunSettings
) -> list[str]:
    """Examine the trained network, keep the report, and return its findings."""
    from dataclasses import asdict

    from rot180.cli.health import examine

    found.append(examine(model, history, dataset, asdict(settings)))
    return [str(finding) for finding in found[0].findings]


def _say_health(found: list[HealthReport]) -> None:
    """Say on stderr what was found, in three lines at most."""
    from rot180.cli.health import lines

    for report in found:
        for line in lines(report, limit=3):
            print(line, file=sys.stderr)


def _say_result(run: TrainedRun) -> None:
    from rot180.cli.output import percent, visible
    from rot180.files import quoted

    history, folder = run.history, run.folder.path
    typed = visible(quoted(folder))  # to be copied into a shell
    if history.stopped == "interrupted":
        print(f"interrupted in epoch {history.epoch} after batch {history.batch}; go on with:")
        print(f"  rot180 train --resume {typed}")
    elif history.stopped == "early_stopping":
        print(f"stopped early after epoch {history.epoch}; the weights are those of epoch {history.restored_epoch}")
    if (kept := history.kept) is not None:
        of = f"epoch {kept.epoch}: " if kept is not history.epochs[-1] else ""
        print(
            f"trained: epochs {len(history.epochs)}, {history.seconds:.1f} s, {kept.images_per_second:,.0f} images/s, "
            f"{of}loss {kept.train_loss:.4f}, accuracy {percent(kept.train_accuracy)}"
        )
    if run.test:
        right = round(run.test.accuracy * run.test.count)
        print(f"test: {right} of {run.test.count} unseen images right, accuracy {percent(run.test.accuracy)}")
    print(f"run: {visible(folder)}")
    if run.pictures:
        print(f"look at {visible(run.folder.pictures)}; use it with: rot180 predict {typed} IMAGE")
