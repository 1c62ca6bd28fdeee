"""`rot180 train`: train a network and write a run folder."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rot180.cli.as_for_train import steps_or_share
from rot180.cli.computing import ENGINE_HELP, THREADS_HELP
from rot180.cli.failure import warn
from rot180.cli.train_output import result, say_health, say_notes, say_result, say_start

if TYPE_CHECKING:
    from rot180.data import Dataset
    from rot180.inside.health_report import HealthReport
    from rot180.nn import Network
    from rot180.runs.train_run import RunSettings
    from rot180.training import History, Subscriber

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
    "watchdog",
    "pictures",
    "json",
)
"""The options that may accompany `--resume`; the run keeps all its other settings."""

NETWORK, LEARNING, DATA, RUN = "Network", "Training", "Data", "Run"


def train(
    context: typer.Context,
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA",
            help="A folder of images with one subfolder per class, with or without train, val and test folders above; "
            "a folder of MNIST's IDX files or of .npy files; a CSV file (labels and pixels) or a folder with train.csv"
            " and test.csv; .npz; Parquet; or a name: mnist, fashion-mnist, kmnist, cifar10 (downloaded once). "
            "By default the bundled 8x8 digits. rot180 data inspect shows how data is interpreted.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="A name from rot180 models, or a network in the notation. By default one suited to the images.",
            rich_help_panel=NETWORK,
            show_default=False,
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="RUN|FILE|NAME",
            help="Start from a trained network: a run, a model file, a PyTorch checkpoint (.pth), ONNX, Keras, or "
            "weights with the names of torchvision or timm; or, downloaded, a network whose weights are published, "
            "such as resnet18, or owner/name of a model hub. It gets a new last layer, which is trained first; then "
            "all layers learn, those near the image more slowly.",
            rich_help_panel=NETWORK,
            show_default=False,
        ),
    ] = None,
    freeze: Annotated[
        bool,
        typer.Option("--freeze", help="With --from: train the last layer only.", rich_help_panel=NETWORK),
    ] = False,
    recipe: Annotated[
        str,
        typer.Option(
            "--recipe",
            help="Settings for all options not given. default: suited to the network; fast: few epochs at a high "
            "learning rate, with a small network for 28x28x1 images and a wide one for photographs; best: many epochs, "
            "for photographs. All of them mirror photographs at random.",
            rich_help_panel=LEARNING,
        ),
    ] = "default",
    epochs: Annotated[
        int | None, typer.Option("--epochs", "-e", help="Passes over the training images.", rich_help_panel=LEARNING)
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", "-b", help="Images in a batch.", rich_help_panel=LEARNING)
    ] = None,
    optimizer: Annotated[
        str | None, typer.Option("--optimizer", help="sgd, adam, adamw, muon or rmsprop.", rich_help_panel=LEARNING)
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option("--learning-rate", "--lr", help="The peak learning rate.", rich_help_panel=LEARNING),
    ] = None,
    momentum: Annotated[
        float | None,
        typer.Option(
            "--momentum",
            help="For sgd: the share of the previous step's direction that is kept, from 0 up to but not including 1; "
            "try 0.9.",
            rich_help_panel=LEARNING,
        ),
    ] = None,
    nesterov: Annotated[
        bool | None,
        typer.Option(
            "--nesterov/--no-nesterov",
            help="For sgd with momentum: look ahead along the direction kept.",
            rich_help_panel=LEARNING,
            show_default=False,
        ),
    ] = None,
    weight_decay: Annotated[
        float | None,
        typer.Option(
            "--weight-decay",
            help="Pull the weights toward zero, against overfitting; try 0.01 with adamw and muon, 1e-4 with the "
            "others. By default 0.01 for adamw and muon, otherwise 0.",
            rich_help_panel=LEARNING,
            show_default=False,
        ),
    ] = None,
    decay_bias_and_norm: Annotated[
        bool | None,
        typer.Option(
            "--decay-bias-and-norm/--no-decay-bias-and-norm",
            help="Whether weight decay also applies to biases and to the scales and shifts of normalization (all "
            "parameters with a single axis), or only to weights. Networks with normalization often end higher without.",
            rich_help_panel=LEARNING,
            show_default=False,
        ),
    ] = None,
    clip_norm: Annotated[
        float | None,
        typer.Option(
            "--clip-norm",
            help="Before each step, shorten the gradient of all parameters together to at most this norm, against "
            "single steps that throw the training off; try 1. Each epoch reports how often it was clipped. 0: off.",
            rich_help_panel=LEARNING,
        ),
    ] = None,
    schedule: Annotated[
        str | None, typer.Option("--schedule", help="constant, step, cosine or one-cycle.", rich_help_panel=LEARNING)
    ] = None,
    warmup: Annotated[
        float | None,
        typer.Option(
            "--warmup",
            help="Steps during which the learning rate rises; below 1, a share of all steps.",
            rich_help_panel=LEARNING,
        ),
    ] = None,
    label_smoothing: Annotated[
        float | None,
        typer.Option(
            "--label-smoothing",
            help="Spread this fraction of each label evenly over all classes, against overconfidence; 0.1 is usual.",
            rich_help_panel=LEARNING,
        ),
    ] = None,
    ema: Annotated[
        float | None,
        typer.Option(
            "--ema",
            help="Validate, test and keep an exponential moving average of the weights over about the last 1/(1 - EMA) "
            "steps, such as 0.999 for 1,000, but never more than about the last ninth of the steps so far; 0: off.",
            rich_help_panel=LEARNING,
        ),
    ] = None,
    accumulate: Annotated[
        int,
        typer.Option(
            "--accumulate", help="Batches whose gradients are combined in one step.", rich_help_panel=LEARNING
        ),
    ] = 1,
    early_stopping: Annotated[
        int | None,
        typer.Option(
            "--early-stopping",
            help="Stop after this many epochs without a lower validation loss.",
            rich_help_panel=LEARNING,
        ),
    ] = None,
    class_weights: Annotated[
        str | None,
        typer.Option(
            "--class-weights",
            help="Weight of each class in the loss: balanced (all classes equal, whatever their number of images), or "
            "by name, such as cat=2,dog=1.",
            rich_help_panel=LEARNING,
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", help="Random seed; the same seed gives the same weights.", rich_help_panel=LEARNING)
    ] = 0,
    normalize: Annotated[
        str | None,
        typer.Option(
            "--normalize",
            help="scale: to 0 ... 1; image: each image to mean 0 and standard deviation 1; dataset: all images "
            "together; none.",
            rich_help_panel=DATA,
        ),
    ] = None,
    augment: Annotated[
        str | None,
        typer.Option(
            "--augment",
            help="Alter each batch at random: shift:2,rotate:10 for digits; crop:4,border:reflect,flip,cutout:8 for "
            "small pictures; resizedcrop:0.25,flip,randaugment for photographs; none. "
            "docs/augmentation.md lists all steps; rot180 data show --augment previews them.",
            rich_help_panel=DATA,
        ),
    ] = None,
    resize: Annotated[
        str | None,
        typer.Option(
            "--resize",
            help="Resize image files: 64, 64x48, 28x28x1; crop:64 or pad:64 keeps their proportions. By default to a "
            "size suited to them.",
            rich_help_panel=DATA,
        ),
    ] = None,
    on_bad_file: Annotated[
        str,
        typer.Option(
            "--on-bad-file",
            help="strict: stop at an image that cannot be read; skip: leave it out, but stop if there are many.",
            rich_help_panel=DATA,
        ),
    ] = "strict",
    label_column: Annotated[
        str | None,
        typer.Option(
            "--label-column",
            help="The column of a CSV or Parquet file that holds the labels, by name or by number, counted from 1; -1 "
            "is the last. By default the one the header names as such.",
            rich_help_panel=DATA,
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit", help="Use only this many of the training images, from the start.", rich_help_panel=DATA
        ),
    ] = None,
    validation: Annotated[
        str | None,
        typer.Option(
            "--validation",
            metavar="SHARE|DATA",
            help="Hold out this share of the training images for validation, such as 0.1; or validate on other data, "
            "a path or a name. By default the data's own validation images, if any.",
            rich_help_panel=DATA,
            show_default=False,
        ),
    ] = None,
    tta: Annotated[
        str | None,
        typer.Option(
            "--tta",
            help="Test-time augmentation of the validation and test images. flip: average the outputs for each image "
            "and its mirror image; use it with --augment flip, and not for digits or letters.",
            rich_help_panel=DATA,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Folder to create; by default the next free number in runs/.", rich_help_panel=RUN
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume",
            metavar="RUN",
            help="Resume this run with its own settings; --epochs may be raised. Give DATA only if it was moved.",
            rich_help_panel=RUN,
            show_default=False,
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="With --resume: continue even if the data differ.", rich_help_panel=RUN)
    ] = False,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Store a checksum of every byte of the data and compare it with --resume. Otherwise only 12 KB of "
            "each file are compared for data sets larger than memory.",
            rich_help_panel=RUN,
        ),
    ] = False,
    checkpoint_every: Annotated[
        int | None,
        typer.Option(
            "--checkpoint-every",
            help="Write a checkpoint every so many steps, besides the one at the end of each epoch.",
            rich_help_panel=RUN,
        ),
    ] = None,
    checkpoint_minutes: Annotated[
        float,
        typer.Option("--checkpoint-minutes", help="Write a checkpoint every so many minutes.", rich_help_panel=RUN),
    ] = 5.0,
    tensorboard: Annotated[
        bool,
        typer.Option("--tensorboard", help="Write event files to the run's tensorboard folder.", rich_help_panel=RUN),
    ] = False,
    engine: Annotated[str, typer.Option("--engine", help=ENGINE_HELP, rich_help_panel=RUN)] = "auto",
    threads: Annotated[int | None, typer.Option("--threads", help=THREADS_HELP, rich_help_panel=RUN)] = None,
    shards: Annotated[
        int | None,
        typer.Option(
            "--shards",
            help="Cut each batch into so many parts, such as 8, whose gradients are added in a fixed order: the same "
            "weights, bit for bit, on 1, 2, 4 and 8 processes (mpiexec -n 4 rot180 train ...). By default one part for "
            "each process, and results agree to rounding.",
            rich_help_panel=RUN,
        ),
    ] = None,
    watchdog: Annotated[
        float,
        typer.Option(
            "--watchdog",
            metavar="SECONDS",
            help="On several processes: how long to wait for another one before the training counts as broken.",
            rich_help_panel=RUN,
        ),
    ] = 300.0,
    pictures: Annotated[
        bool, typer.Option("--pictures/--no-pictures", help="Draw pictures, or not.", rich_help_panel=RUN)
    ] = True,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object and nothing else.", rich_help_panel=RUN)
    ] = False,
) -> None:
    """Train a network, test it, and write a run folder with weights, history and pictures.

    Options that are not given come from a recipe, by default the network's
    own, with settings that work well for it.

    Ctrl-C and SIGTERM stop the training after the current batch and write a
    checkpoint; the exit status is then 75. --resume continues to exactly the
    weights that an uninterrupted training would have reached, even after a
    crash or a power failure.

    Examples:

      rot180 train

      rot180 train path/to/mnist --recipe fast

      rot180 train path/to/mnist --model lenet5 --epochs 5

      rot180 train path/to/folder-of-images --augment shift:4,flip

      rot180 train photos --augment flip --label-smoothing 0.1 --ema 0.99

      rot180 train my.csv --model "8x8x1 > conv3x3:8 relu > fc10" --lr 0.01

      rot180 train --validation 0.1 --early-stopping 3 --epochs 50

      rot180 train photos/train --validation photos/val

      rot180 train photos --from resnet18.pth

      rot180 train --resume runs/first

      rot180 train --resume runs/first --epochs 40

      mpiexec -n 4 rot180 train photos --shards 8
    """
    from rot180.cli.computing import use_threads
    from rot180.cli.output import print_json
    from rot180.cli.reading import reading_bar
    from rot180.errors import ArgumentError
    from rot180.parallel import connect
    from rot180.runs.recorder import CheckpointPolicy
    from rot180.runs.resume import resume_run
    from rot180.runs.train_run import RunSettings, train_run
    from rot180.training.progress_bar import ProgressBar

    communicator = connect()
    if not watchdog > 0:
        raise ArgumentError(f"--watchdog must be above 0 seconds; it is {watchdog:g}")
    communicator.patience = watchdog
    use_threads(threads, engine)
    if communicator.rank:
        from rot180.runs.follow import follow_run

        if follow_run(communicator) == "interrupted":
            raise typer.Exit(INTERRUPTED)
        return
    checkpoints = CheckpointPolicy(checkpoint_every, checkpoint_minutes)
    if tensorboard:
        from rot180.runs.tensorboard import require_tensorboard

        require_tensorboard()
    if resume is not None:
        check_alone(context, WITH_RESUME)
    elif force:
        raise ArgumentError("--force needs --resume, which it lets continue even if the data differ")

    settings = RunSettings(
        data=data,
        model=model,
        source=source,
        freeze=freeze,
        recipe=recipe,
        epochs=epochs,
        batch_size=batch_size,
        optimizer=optimizer,
        lr=learning_rate,
        momentum=momentum,
        nesterov=nesterov,
        weight_decay=weight_decay,
        decay_bias_and_norm=decay_bias_and_norm,
        clip_norm=clip_norm,
        schedule=schedule,
        warmup=steps_or_share(warmup),
        label_smoothing=label_smoothing,
        ema=ema,
        tta=tta,
        normalize=normalize,
        seed=seed,
        augment=augment,
        class_weights=class_weights,
        resize=resize,
        on_bad_file=on_bad_file,
        label_column=label_column,
        limit=limit,
        validation=share_or_data(validation),
        early_stopping=early_stopping,
        accumulate=accumulate,
        engine=engine,
        shards=shards,
    )
    with reading_bar() as progress, ProgressBar() as bar:
        read: list[Dataset] = []
        found: list[HealthReport] = []
        subscribers: list[Subscriber] = [partial(say_notes, read), bar]
        if not json:
            subscribers.insert(0, partial(say_start, model, read))
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
            "communicator": communicator,
        }
        if resume is None:
            run = train_run(settings, out=out, command=context.obj, **options)
        else:
            run = resume_run(resume, data=data, epochs=epochs, force=force, **options)
    if json:
        print_json(result(run))
    else:
        say_result(run)
        say_health(found)
    communicator.barrier(rest=True)
    if run.history.stopped == "interrupted":
        raise typer.Exit(INTERRUPTED)


def check_alone(context: typer.Context, allowed: Collection[str], what: str = "run") -> None:
    """Raise ArgumentError for options that a resumed run or study already has."""
    from rot180.errors import ArgumentError

    for name in context.params:
        source = context.get_parameter_source(name)
        if name not in allowed and source is not None and source.name == "COMMANDLINE":
            option = "--" + {"learning_rate": "lr", "source": "from"}.get(name, name).replace("_", "-")
            raise ArgumentError(f"--resume keeps the settings of the {what}; leave {option} out")


def share_or_data(text: str | None) -> float | str | None:
    """Return a share as a number and anything else unchanged.

    >>> share_or_data("0.1"), share_or_data("photos/val")
    (0.1, 'photos/val')
    """
    try:
        return None if text is None else float(text)
    except ValueError:
        return text


def _examine(
    found: list[HealthReport], model: Network, history: History, dataset: Dataset, settings: RunSettings
) -> list[str]:
    """Examine the trained network, keep the report, and return its findings."""
    from dataclasses import asdict

    from rot180.cli.health import examine

    found.append(examine(model, history, dataset, asdict(settings)))
    return [str(finding) for finding in found[0].findings]
