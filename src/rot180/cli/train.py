"""`rot180 train`: train a network and write a run folder."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import typer

from rot180.cli import train_options as option
from rot180.cli.as_for_train import settings_given
from rot180.cli.failure import warn
from rot180.cli.resuming import INTERRUPTED, check_alone
from rot180.cli.train_output import result, say_health, say_result, say_start

if TYPE_CHECKING:
    from rot180.data import Dataset
    from rot180.inside.health_report import HealthReport
    from rot180.nn import Network
    from rot180.runs.train_run import RunSettings
    from rot180.training import History, Subscriber

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


def train(
    context: typer.Context,
    data: option.Data = None,
    model: option.Model = None,
    source: option.Source = None,
    freeze: option.Freeze = False,
    recipe: option.Recipe = "default",
    epochs: option.Epochs = None,
    batch_size: option.BatchSize = None,
    optimizer: option.Optimizer = None,
    learning_rate: option.LearningRate = None,
    momentum: option.Momentum = None,
    nesterov: option.Nesterov = None,
    weight_decay: option.WeightDecay = None,
    decay_bias_and_norm: option.DecayBiasAndNorm = None,
    clip_norm: option.ClipNorm = None,
    schedule: option.Schedule = None,
    warmup: option.Warmup = None,
    label_smoothing: option.LabelSmoothing = None,
    ema: option.Ema = None,
    accumulate: option.Accumulate = 1,
    early_stopping: option.EarlyStopping = None,
    class_weights: option.ClassWeights = None,
    seed: option.Seed = 0,
    normalize: option.Normalize = None,
    augment: option.Augment = None,
    resize: option.Resize = None,
    on_bad_file: option.OnBadFile = "strict",
    label_column: option.LabelColumn = None,
    limit: option.Limit = None,
    validation: option.Validation = None,
    tta: option.Tta = None,
    out: option.Out = None,
    resume: option.Resume = None,
    force: option.Force = False,
    verify: option.Verify = False,
    checkpoint_every: option.CheckpointEvery = None,
    checkpoint_minutes: option.CheckpointMinutes = 5.0,
    tensorboard: option.Tensorboard = False,
    engine: option.Engine = "auto",
    threads: option.Threads = None,
    shards: option.Shards = None,
    sync_batch_norm: option.SyncBatchNorm = False,
    watchdog: option.Watchdog = 300.0,
    pictures: option.Pictures = True,
    json: option.Json = False,
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
    from rot180.runs.train_run import train_run
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

    with reading_bar() as progress, ProgressBar() as bar:
        read: list[Dataset] = []
        found: list[HealthReport] = []
        subscribers: list[Subscriber] = [bar]
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
            run = train_run(settings_given(context), out=out, command=context.obj, **options)
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


def _examine(
    found: list[HealthReport], model: Network, history: History, dataset: Dataset, settings: RunSettings
) -> list[str]:
    """Examine the trained network, keep the report, and return its findings."""
    from dataclasses import asdict

    from rot180.cli.health import examine

    found.append(examine(model, history, dataset, asdict(settings)))
    return [str(finding) for finding in found[0].findings]
