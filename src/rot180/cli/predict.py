"""`rot180 predict`: what images show."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from rot180.cli.computing import ENGINE_HELP, THREADS_HELP

TOP = 3
"""Labels to name for each image."""


def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder, or the weights file in it.")],
    images: Annotated[
        list[Path],
        typer.Argument(metavar="IMAGE...", help="PNG, JPEG, GIF, BMP or WebP; converted to the model's size."),
    ],
    engine: Annotated[str, typer.Option("--engine", help=ENGINE_HELP)] = "auto",
    threads: Annotated[int | None, typer.Option("--threads", help=THREADS_HELP)] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Name the three likeliest labels of each image, with their probabilities.

    The image is converted to the size and channels of the network's input,
    and normalized as its training images were. Colors are not turned around:
    a network that learned white digits on black wants those.

    Examples:

      rot180 predict runs/first my-digit.png

      rot180 predict runs/first a.png b.jpg --json
    """
    import numpy as np

    from rot180.cli.computing import use_threads
    from rot180.cli.output import print_json, visible
    from rot180.data.image import read_image
    from rot180.errors import ModelError
    from rot180.runs import load_run
    from rot180.training import predict as probabilities_of

    use_threads(threads, engine)
    model = load_run(run).model
    if len(model.input_shape) != 3:
        raise ModelError(
            f"predict reads images, but this network takes {model.input_shape}; give it arrays from Python"
        )
    height, width, channels = model.input_shape
    resize = model.preprocessing.resize
    batch = np.stack([read_image(path, (height, width, channels), resize=resize) for path in images])
    found: list[list[dict[str, Any]]] = []
    for probabilities in probabilities_of(model, batch, engine=engine):
        names = model.class_names or [str(number) for number in range(len(probabilities))]
        likeliest = np.argsort(-probabilities, kind="stable")[:TOP]
        found.append([{"label": names[index], "probability": float(probabilities[index])} for index in likeliest])
    if json:
        print_json({"predictions": [{"image": path, "top": top} for path, top in zip(images, found, strict=True)]})
        return
    for path, top in zip(images, found, strict=True):
        print(
            f"{visible(path)}: " + ", ".join(f"{visible(one['label'])} {100 * one['probability']:.1f}%" for one in top)
        )
