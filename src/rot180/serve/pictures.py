"""Image files: their classes as `rot180 predict` tells them, and what a decision hung on."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import asdict
from typing import Any

import numpy as np

from rot180.errors import ArgumentError, DataError, did_you_mean
from rot180.files.safetensors_file import serialize
from rot180.inside import attribution
from rot180.nn.pixel_range import to_show
from rot180.ops.types import Array
from rot180.runs.draw import layer_outputs
from rot180.serve.served import Served
from rot180.training.image_files import Picture, likeliest, read_picture, require_images

MOST_MAPS = 12
"""Maps of a layer that are shown."""

MOST_LAYERS = 12
"""Layers whose maps are shown."""

LARGEST_SIDE = 56
"""Rows and columns of a map as it is shown: of a larger one, every second or third."""

Submit = Callable[[Array], Future[Array]]


def require_classes(served: Served, command: str) -> None:
    """Raise Rot180Error for a network to which images cannot be sent, or that names no class for them."""
    require_images(served.model, command)
    if not served.takes_pictures:
        raise ArgumentError(
            f"{served.name} takes {served.model.input_shape}, to which image files cannot be converted; send tensors"
        )
    if not served.classifies:
        raise ArgumentError(f"{served.name} returns maps {served.model.output_shape}, not classes; send tensors")


def read_pictures(files: Sequence[tuple[str, bytes]], served: Served) -> tuple[list[Picture | DataError], Array | None]:
    """Return each picture or why it cannot be read, and all that can be, as the network's first layer reads them."""
    found: list[Picture | DataError] = []
    for name, data in files:
        try:
            found.append(read_picture(data, name, served.model))
        except DataError as error:
            found.append(error)
    ready = [ready_of(picture, served) for picture in found if isinstance(picture, Picture)]
    return found, np.concatenate(ready) if ready else None


def ready_of(picture: Picture, served: Served) -> Array:
    """Return a picture as the network's first layer reads it, (1, H, W, C)."""
    model = served.model
    return model.preprocessing(picture.pixels[np.newaxis], dtype=model.dtype, white=picture.white)


def tell_predictions(
    files: Sequence[tuple[str, bytes]],
    found: Sequence[Picture | DataError],
    answers: Array | None,
    served: Served,
    top: int,
) -> dict[str, Any]:
    """Return what `rot180 predict --json` prints of some files, and the network's name."""
    rows = iter(() if answers is None else answers)
    predictions, failed = [], []
    for (name, _), picture in zip(files, found, strict=True):
        if isinstance(picture, DataError):
            failed.append({"image": name, "error": str(picture)})
        else:
            ranked = likeliest(next(rows), served.classes, top)
            predictions.append({"image": name, "top": ranked, "unlike_training": picture.unlike})
    return {"model": served.name, "predictions": predictions, "failed": failed}


def look(data: bytes, name: str, served: Served) -> bytes:
    """Return an image as the network sees it and maps of its layers, in the safetensors layout.

    The metadata `layers` tells of each map's layer its name, its size, how many maps it has, and which rows and columns
    are shown: every `step`-th.
    """
    picture = read_picture(data, name, served.model)
    image = np.asarray(to_show(picture.pixels[np.newaxis], (0.0, picture.white)))
    arrays = {"image": (image / np.float32(255) if image.dtype == np.uint8 else image).astype(np.float32)}
    outputs = [(layer, y) for layer, y in layer_outputs(served.model, picture.pixels) if y.ndim == 3]
    chosen = np.unique(np.linspace(0, len(outputs) - 1, min(len(outputs), MOST_LAYERS)).round().astype(int))
    layers = []
    for at in chosen if outputs else ():
        layer, y = outputs[at]
        step = -(-max(y.shape[:2]) // LARGEST_SIDE)
        arrays[layer] = np.ascontiguousarray(y[::step, ::step, :MOST_MAPS].transpose(2, 0, 1), np.float32)
        layers.append({"name": layer, "shape": y.shape, "largest": float(np.abs(y).max()), "step": step})
    return serialize(arrays, {"layers": json.dumps(layers)})


def reasons(data: bytes, name: str, label: int, served: Served, submit: Submit) -> dict[str, Any]:
    """Return which parts of an image the probability of a class rests on, as from `rot180.inside.attribution`.

    Parameters
    ----------
    submit : callable
        Has preprocessed images run behind those of others, and returns their future answers.
    """
    picture = read_picture(data, name, served.model)

    def run(covered: Array) -> Array:
        model = served.model
        return submit(model.preprocessing(covered, dtype=model.dtype, white=picture.white)).result()

    return asdict(attribution(served.model, picture.pixels, label, run=run))


def class_number(text: str, served: Served) -> int:
    """Return the index of a class by its number or its name."""
    if text.isascii() and text.isdigit() and len(text) < 10 and int(text) < len(served.classes):
        return int(text)
    if text in served.classes:
        return served.classes.index(text)
    raise ArgumentError(f"{served.name} has no class {text[:40]!r}{did_you_mean(text[:40], served.classes)}")
