"""Image files as a model takes them: found in folders, read ahead by threads, compared with the training images."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rot180.data.image import decode_image, look_at_image
from rot180.data.image_opening import SUFFIXES
from rot180.data.loader import read_ahead
from rot180.errors import DataError, ModelError
from rot180.nn.image_statistics import colorfulness
from rot180.nn.network import Network
from rot180.nn.pixel_range import NEARLY_BLACK
from rot180.ops.types import Array

AT_ONCE = 64
"""Images that are read before they are passed through the network."""

WORKERS = 4


class Picture(NamedTuple):
    """An image as the model takes it, its white level, and how it differs from the training images."""

    pixels: Array
    white: float
    unlike: list[str]


def require_images(model: Network, command: str) -> None:
    """Raise ModelError if a model cannot take image files; `command` is the name of what reads them."""
    if len(model.input_shape) != 3:
        raise ModelError(
            f"{command} reads images, but this network takes {model.input_shape}; give it arrays from Python"
        )
    trained = model.preprocessing.pixels
    if trained is not None and trained.is_signed:
        raise ModelError(
            f"{command} reads images of 0 to 255, but this network was trained on {trained.text}, normalized; give "
            "it arrays normalized in the same way from Python"
        )


def image_files(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the named files, and the images in the named folders and their subfolders in alphabetical order.

    Raises
    ------
    DataError
        A folder holds no image.
    """
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


def read_pictures(files: list[Path], model: Network) -> Iterator[list[tuple[Path, Picture | DataError]]]:
    """Yield some files at a time, each with its picture or the reason why it cannot be read."""

    def read(number: int) -> Picture | DataError:
        try:
            return read_picture(files[number], str(files[number]), model)
        except DataError as error:
            return error

    workers = WORKERS if len(files) > 1 else 0
    made = read_ahead(read, range(len(files)), workers=workers, ahead=AT_ONCE // WORKERS)
    for start in range(0, len(files), AT_ONCE):
        yield [(path, next(made)) for path in files[start : start + AT_ONCE]]


def likeliest(shares: Array, names: Sequence[str], top: int) -> list[dict[str, Any]]:
    """Return the classes of one image with the largest probabilities, in their order; of equal ones, the first.

    >>> likeliest(np.array([0.25, 0.5, 0.25]), ["cat", "dog", "owl"], 2)
    [{'label': 'dog', 'probability': 0.5}, {'label': 'cat', 'probability': 0.25}]
    """
    order = np.argsort(-shares, kind="stable")[:top]
    return [{"label": names[index], "probability": float(shares[index])} for index in order]


def by_white(pictures: list[Picture], compute: Callable[[Array, float], Array]) -> Array:
    """Return the rows that `compute` returns for pictures; those with the same white level share a call.

    >>> pictures = [Picture(np.full((1, 1, 1), n), white, []) for n, white in ((8, 16.0), (51, 255.0), (16, 16.0))]
    >>> by_white(pictures, lambda images, white: images.reshape(-1, 1) / white).ravel()
    array([0.5, 0.2, 1. ])
    """
    whites = np.array([picture.white for picture in pictures])
    found: Array | None = None
    for white in np.unique(whites):
        chosen = np.flatnonzero(whites == white)
        rows = compute(np.stack([pictures[number].pixels for number in chosen]), float(white))
        if found is None:
            found = np.empty((len(pictures), *rows.shape[1:]), rows.dtype)
        found[chosen] = rows
    return np.empty((0, 0)) if found is None else found


def read_picture(source: Path | bytes, name: str, model: Network) -> Picture:
    """Read one image for a model, from a path or from the bytes of a file.

    Raises
    ------
    DataError
        It cannot be read; the message refers to it by `name`.
    """
    height, width, channels = model.input_shape
    resize, known, trained = model.preprocessing.resize, model.image_statistics, model.preprocessing.pixels
    image = decode_image(source, name, (height, width, channels), resize=resize)
    high, white = int(image.max()), 255.0
    if trained is not None and not trained.floats and high <= trained.high < white:
        white = trained.high  # files as dark as the training files
    unlike = []
    if 0 < high <= NEARLY_BLACK * white:
        unlike.append(f"nearly black: the brightest pixel is {high}, where white is {white:g}")
    if known is not None:
        facts = look_at_image(source, name)
        color = None
        if channels == 1 and known.color is not None and not facts.is_gray:
            color = colorfulness(decode_image(source, name, (height, width, 3), resize=resize)[None])
        unlike += known.unlike(image[None], (0, white), size=(facts.height, facts.width), color=color)
    return Picture(image, white, unlike)
