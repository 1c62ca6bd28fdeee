"""The options of `rot180 train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rot180.cli.computing import ENGINE_HELP, THREADS_HELP
from rot180.cli.options import JSON_HELP

NETWORK, TRAINING, DATA, RUN = "Network", "Training", "Data", "Run"
"""The titles of their frames in the help."""

Data = Annotated[
    str | None,
    typer.Argument(
        metavar="DATA",
        help="A folder of images with one subfolder per class, with or without train, val and test folders above; "
        "a folder of MNIST's IDX files or of .npy files; a CSV file (labels and pixels, or labels and names of "
        "image files) or a folder with train.csv and test.csv; .npz; Parquet; or a name: mnist, fashion-mnist, kmnist, "
        "cifar10 (downloaded once). By default the bundled 8x8 digits. rot180 data inspect shows how data is "
        "interpreted.",
        show_default=False,
    ),
]

Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="A name from rot180 models, or a network in the notation. By default one suited to the images.",
        rich_help_panel=NETWORK,
        show_default=False,
    ),
]

Source = Annotated[
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
]

Freeze = Annotated[
    bool,
    typer.Option("--freeze", help="With --from: train the last layer only.", rich_help_panel=NETWORK),
]

Recipe = Annotated[
    str,
    typer.Option(
        "--recipe",
        help="Settings for all options not given. default: suited to the network; fast: few epochs at a high "
        "learning rate, with a small network for 28x28x1 images and a wide one for photographs; best: many epochs, "
        "with larger networks. All of them mirror photographs at random.",
        rich_help_panel=TRAINING,
    ),
]

Epochs = Annotated[
    int | None, typer.Option("--epochs", "-e", help="Passes over the training images.", rich_help_panel=TRAINING)
]

BatchSize = Annotated[
    int | None, typer.Option("--batch-size", "-b", help="Images in a batch.", rich_help_panel=TRAINING)
]

Optimizer = Annotated[
    str | None, typer.Option("--optimizer", help="sgd, adam, adamw, muon or rmsprop.", rich_help_panel=TRAINING)
]

LearningRate = Annotated[
    float | None,
    typer.Option("--learning-rate", "--lr", help="The peak learning rate.", rich_help_panel=TRAINING),
]

Momentum = Annotated[
    float | None,
    typer.Option(
        "--momentum",
        help="For sgd: the share of the previous step's direction that is kept, from 0 up to but not including 1; "
        "try 0.9.",
        rich_help_panel=TRAINING,
    ),
]

Nesterov = Annotated[
    bool | None,
    typer.Option(
        "--nesterov/--no-nesterov",
        help="For sgd with momentum: look ahead along the direction kept.",
        rich_help_panel=TRAINING,
        show_default=False,
    ),
]

WeightDecay = Annotated[
    float | None,
    typer.Option(
        "--weight-decay",
        help="Pull the weights toward zero, against overfitting; try 0.01 with adamw and muon, 1e-4 with the "
        "others. By default 0.01 for adamw and muon, otherwise 0.",
        rich_help_panel=TRAINING,
        show_default=False,
    ),
]

DecayBiasAndNorm = Annotated[
    bool | None,
    typer.Option(
        "--decay-bias-and-norm/--no-decay-bias-and-norm",
        help="Whether weight decay also applies to biases and to the scales and shifts of normalization (all "
        "parameters with a single axis), or only to weights. Networks with normalization often end higher without.",
        rich_help_panel=TRAINING,
        show_default=False,
    ),
]

ClipNorm = Annotated[
    float | None,
    typer.Option(
        "--clip-norm",
        help="Before each step, shorten the gradient of all parameters together to at most this norm, against "
        "single steps that throw the training off; try 1. Each epoch reports how often it was clipped. 0: off.",
        rich_help_panel=TRAINING,
    ),
]

Schedule = Annotated[
    str | None, typer.Option("--schedule", help="constant, step, cosine or one-cycle.", rich_help_panel=TRAINING)
]

Warmup = Annotated[
    float | None,
    typer.Option(
        "--warmup",
        help="Steps during which the learning rate rises; below 1, a share of all steps.",
        rich_help_panel=TRAINING,
    ),
]

LabelSmoothing = Annotated[
    float | None,
    typer.Option(
        "--label-smoothing",
        help="Spread this fraction of each label evenly over all classes, against overconfidence; 0.1 is usual.",
        rich_help_panel=TRAINING,
    ),
]

Ema = Annotated[
    float | None,
    typer.Option(
        "--ema",
        help="Validate, test and keep an exponential moving average of the weights over about the last 1/(1 - EMA) "
        "steps, such as 0.999 for 1,000, but never more than about the last ninth of the steps so far; 0: off.",
        rich_help_panel=TRAINING,
    ),
]

Accumulate = Annotated[
    int,
    typer.Option("--accumulate", help="Batches whose gradients are combined in one step.", rich_help_panel=TRAINING),
]

EarlyStopping = Annotated[
    int | None,
    typer.Option(
        "--early-stopping",
        help="Stop after this many epochs without a lower validation loss.",
        rich_help_panel=TRAINING,
    ),
]

ClassWeights = Annotated[
    str | None,
    typer.Option(
        "--class-weights",
        help="Weight of each class in the loss: balanced (all classes equal, whatever their number of images), or "
        "by name, such as cat=2,dog=1.",
        rich_help_panel=TRAINING,
    ),
]

Seed = Annotated[
    int, typer.Option("--seed", help="Random seed; the same seed gives the same weights.", rich_help_panel=TRAINING)
]

Normalize = Annotated[
    str | None,
    typer.Option(
        "--normalize",
        help="scale: to 0 ... 1; image: each image to mean 0 and standard deviation 1; dataset: all images "
        "together; none.",
        rich_help_panel=DATA,
    ),
]

Augment = Annotated[
    str | None,
    typer.Option(
        "--augment",
        help="Alter each batch at random: shift:2,rotate:10 for digits; crop:4,border:reflect,flip,cutout:8 for "
        "small pictures; resizedcrop:0.25,flip,randaugment for photographs; none. "
        "docs/augmentation.md lists all steps; rot180 data show --augment previews them.",
        rich_help_panel=DATA,
    ),
]

Resize = Annotated[
    str | None,
    typer.Option(
        "--resize",
        help="Resize image files: 64, 64x48, 28x28x1; crop:64 or pad:64 keeps their proportions. By default to a "
        "size suited to them.",
        rich_help_panel=DATA,
    ),
]

OnBadFile = Annotated[
    str,
    typer.Option(
        "--on-bad-file",
        help="strict: stop at an image that cannot be read; skip: leave it out, but stop if there are many.",
        rich_help_panel=DATA,
    ),
]

LabelColumn = Annotated[
    str | None,
    typer.Option(
        "--label-column",
        help="The column of a CSV or Parquet file that holds the labels, by name or by number, counted from 1; -1 "
        "is the last. By default the one the header names as such.",
        rich_help_panel=DATA,
        show_default=False,
    ),
]

Limit = Annotated[
    int | None,
    typer.Option("--limit", help="Use only this many of the training images, from the start.", rich_help_panel=DATA),
]

Validation = Annotated[
    str | None,
    typer.Option(
        "--validation",
        metavar="SHARE|DATA",
        help="Hold out this share of the training images for validation, such as 0.1; or validate on other data, "
        "a path or a name. By default the data's own validation images, if any.",
        rich_help_panel=DATA,
        show_default=False,
    ),
]

Tta = Annotated[
    str | None,
    typer.Option(
        "--tta",
        help="Test-time augmentation of the validation and test images. flip: average the outputs for each image "
        "and its mirror image; use it with --augment flip, and not for digits or letters. shift: average those for "
        "each image and the image moved by one pixel to each side.",
        rich_help_panel=DATA,
    ),
]

Out = Annotated[
    Path | None,
    typer.Option(
        "--out", "-o", help="Folder to create; by default the next free number in runs/.", rich_help_panel=RUN
    ),
]

Resume = Annotated[
    Path | None,
    typer.Option(
        "--resume",
        metavar="RUN",
        help="Resume this run with its own settings; --epochs may be raised. Give DATA only if it was moved.",
        rich_help_panel=RUN,
        show_default=False,
    ),
]

Force = Annotated[
    bool, typer.Option("--force", help="With --resume: continue even if the data differ.", rich_help_panel=RUN)
]

Verify = Annotated[
    bool,
    typer.Option(
        "--verify",
        help="Store a checksum of every byte of the data and compare it with --resume. Otherwise only 12 KB of "
        "each file are compared for data sets larger than memory.",
        rich_help_panel=RUN,
    ),
]

CheckpointEvery = Annotated[
    int | None,
    typer.Option(
        "--checkpoint-every",
        help="Write a checkpoint every so many steps, besides the one at the end of each epoch.",
        rich_help_panel=RUN,
    ),
]

CheckpointMinutes = Annotated[
    float,
    typer.Option("--checkpoint-minutes", help="Write a checkpoint every so many minutes.", rich_help_panel=RUN),
]

Tensorboard = Annotated[
    bool,
    typer.Option("--tensorboard", help="Write event files to the run's tensorboard folder.", rich_help_panel=RUN),
]

Engine = Annotated[str, typer.Option("--engine", help=ENGINE_HELP, rich_help_panel=RUN)]

Threads = Annotated[int | None, typer.Option("--threads", help=THREADS_HELP, rich_help_panel=RUN)]

Shards = Annotated[
    int | None,
    typer.Option(
        "--shards",
        help="Cut each batch into so many parts, such as 8, whose gradients are added in a fixed order: the same "
        "weights, bit for bit, on 1, 2, 4 and 8 processes (mpiexec -n 4 rot180 train ...). By default one part for "
        "each process, on whose number the weights then depend.",
        rich_help_panel=RUN,
    ),
]

SyncBatchNorm = Annotated[
    bool,
    typer.Option(
        "--sync-batch-norm",
        help="On several processes, or with --shards: let batch normalization use the mean and variance of the whole "
        "batch, not those of a part. For parts of few images.",
        rich_help_panel=RUN,
    ),
]

Watchdog = Annotated[
    float,
    typer.Option(
        "--watchdog",
        metavar="SECONDS",
        help="On several processes: how long to wait for another one before the training counts as broken.",
        rich_help_panel=RUN,
    ),
]

Pictures = Annotated[bool, typer.Option("--pictures/--no-pictures", help="Draw pictures, or not.", rich_help_panel=RUN)]

Json = Annotated[bool, typer.Option("--json", help=JSON_HELP, rich_help_panel=RUN)]
