"""`rot180 predict`: classify images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from rot180.cli.computing import ENGINE_HELP, THREADS_HELP, TTA_HELP

if TYPE_CHECKING:
    from rot180.nn import Network
    from rot180.ops.types import Array

TOP = 3
"""Labels to name for each image."""

AT_ONCE = 64
"""Images read before they are passed through the network."""


def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, or the weights file in it.")],
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE...",
            help="PNG, JPEG, GIF, BMP or WebP, converted to the model's size. For a folder, all images in it and its "
            "subfolders.",
        ),
    ],
    tta: Annotated[str | None, typer.Option("--tta", help=TTA_HELP, show_default=False)] = None,
    engine: Annotated[str, typer.Option("--engine", help=ENGINE_HELP)] = "auto",
    threads: Annotated[int | None, typer.Option("--threads", help=THREADS_HELP)] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Print the three likeliest classes of each image, with their probabilities.

    The image is converted to the size and channels of the network's input and
    normalized like the training images. Colors are not inverted: if a network
    that learned white digits on black is given a dark digit on white, a
    warning on stderr says so.

    A file that cannot be read is reported on stderr; the others are still
    predicted, and the exit status is 2.

    Examples:

      rot180 predict runs/first examples/three.png

      rot180 predict runs/first a.png folder-of-images --json
    """
    import numpy as np

    from rot180.cli.computing import use_threads
    from rot180.cli.failure import warn
    from rot180.cli.output import print_json, visible
    from rot180.cli.reading import reading_bar
    from rot180.data.loader import read_ahead
    from rot180.errors import DataError, ModelError
    from rot180.language import translate
    from rot180.runs import load_run
    from rot180.runs.own_data import own_tta

    use_threads(threads, engine)
    loaded = load_run(run)
    model = loaded.model
    if len(model.input_shape) != 3:
        raise ModelError(
            f"predict reads images, but this network takes {model.input_shape}; give it arrays from Python"
        )
    if len(model.output_shape) != 1:
        raise ModelError(
            f"predict names a class for each image, but this network returns {model.output_shape}; use rot180.predict "
            f"from Python"
        )
    trained = model.preprocessing.pixels
    if trained is not None and trained.is_signed:
        raise ModelError(
            f"predict reads images of 0 to 255, but this network was trained on {trained.text}, normalized; give "
            "it arrays normalized in the same way from Python"
        )
    tta = own_tta(run, loaded, tta, tell=warn)
    names = model.class_names or [str(number) for number in range(model.output_shape[0])]
    if "" in images:  # would mean the current folder
        raise DataError("'' cannot be read; name an image or a folder")
    files = list(_files([Path(image) for image in images]))
    predictions: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []

    def read(number: int) -> _Picture | DataError:
        try:
            return _read(files[number], model)
        except DataError as error:
            return error

    with reading_bar() as progress:
        made = read_ahead(read, range(len(files)), workers=4 if len(files) > 1 else 0, ahead=AT_ONCE // 4)
        for start in range(0, len(files), AT_ONCE):
            some = [(path, next(made)) for path in files[start : start + AT_ONCE]]
            good = [found for _, found in some if not isinstance(found, DataError)]
            probabilities = iter(_probabilities(model, good, tta, engine))
            for path, found in some:
                if isinstance(found, DataError):
                    failed.append({"image": path, "error": str(found)})
                    warn(str(found))
                    continue
                shares = next(probabilities)
                likeliest = np.argsort(-shares, kind="stable")[:TOP]
                top = [{"label": names[index], "probability": float(shares[index])} for index in likeliest]
                predictions.append({"image": path, "top": top, "unlike_training": found.unlike})
                if not json:
                    said = ", ".join(f"{visible(one['label'])} {100 * float(one['probability']):.1f}%" for one in top)
                    print(f"{visible(path)}: {said}")
                    for reason in found.unlike:
                        warn(f"{path}: unlike the training images: {translate(reason)}")
            progress("predicting", start + len(some), len(files))
    if json and (predictions or not failed):
        print_json({"predictions": predictions, "failed": failed})
    if failed:
        raise typer.Exit(2)


def _files(paths: list[Path]) -> Iterator[Path]:
    """Yield the named files, and the images in the named folders in alphabetical order."""
    import os

    from rot180.data.image import SUFFIXES
    from rot180.errors import DataError

    for path in paths:
        if not path.is_dir():
            yield path
            continue
        found = False
        for folder, inner, names in os.walk(path):
            inner[:] = sorted(name for name in inner if not name.startswith("."))
            for name in sorted(names):
                if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                    found = True
                    yield Path(folder) / name
        if not found:
            raise DataError(f"{path}: expected images ({', '.join(SUFFIXES)}) in the folder, found none")


class _Picture(NamedTuple):
    """An image as the model takes it, its white level, and how it differs from the training images."""

    pixels: Array
    white: float
    unlike: list[str]


def _read(path: Path, model: Network) -> _Picture:
    from rot180.data.image import look_at_image, read_image
    from rot180.nn.image_statistics import colorfulness
    from rot180.nn.pixel_range import NEARLY_BLACK

    height, width, channels = model.input_shape
    resize, known, trained = model.preprocessing.resize, model.image_statistics, model.preprocessing.pixels
    image = read_image(path, (height, width, channels), resize=resize)
    high, white = int(image.max()), 255.0
    if trained is not None and not trained.floats and high <= trained.high < white:
        white = trained.high  # files as dark as the training files
    unlike = []
    if 0 < high <= NEARLY_BLACK * white:
        unlike.append(f"nearly black: the brightest pixel is {high}, where white is {white:g}")
    if known is not None:
        facts = look_at_image(path, str(path))
        color = None
        if channels == 1 and known.color is not None and not facts.is_gray:
            color = colorfulness(read_image(path, (height, width, 3), resize=resize)[None])
        unlike += known.unlike(image[None], (0, white), size=(facts.height, facts.width), color=color)
    return _Picture(image, white, unlike)


def _probabilities(model: Network, pictures: list[_Picture], tta: str, engine: str) -> Array:
    """Return the probabilities of each picture; pictures with the same white level share batches."""
    import numpy as np

    from rot180.training.evaluate import run_prediction

    found = np.empty((len(pictures), *model.output_shape), model.dtype)
    whites = np.array([picture.white for picture in pictures])
    for white in np.unique(whites):
        chosen = np.flatnonzero(whites == white)
        batch = np.stack([pictures[number].pixels for number in chosen])
        found[chosen] = run_prediction(model, batch, tta=tta, engine=engine, white=float(white))
    return found
