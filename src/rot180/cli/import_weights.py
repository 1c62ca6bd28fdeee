"""`rot180 import`: make a model of a file of weights that another program wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def import_weights(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A PyTorch checkpoint (.pth, .pt), or a .safetensors file with the names of torchvision or timm. "
            "A config.json beside it, as model hubs keep it, tells how images are prepared and names the classes.",
            show_default=False,
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="The network: a name from rot180 models, timm's name of one, or a network in the notation. By default "
            "recognized from the names and shapes in the file.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="The model file to write; it must not exist.")] = Path(
        "model.safetensors"
    ),
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Make a model of weights that another program trained.

    The result is a model file like those of rot180 train, for predict,
    evaluate, explain and the other commands. Nothing in the file is executed.

    Examples:

      rot180 import resnet18.pth --out resnet18.safetensors

      rot180 import pytorch_model.bin --model tf_efficientnet_lite0

      rot180 import net.pth --model "28x28x1 > conv5x5:8 relu maxpool2 > fc10"
    """
    import os

    from rot180.cli.failure import warn
    from rot180.cli.output import print_json, visible
    from rot180.errors import ArgumentError
    from rot180.interop.weights import import_weights
    from rot180.runs import save_model

    if os.path.lexists(out):
        raise ArgumentError(f"{out} already exists; choose another --out or remove it")
    imported = import_weights(file, model)
    network = imported.model
    save_model(out, network)
    parameters = sum(array.size for array in network.parameters.values())
    if json:
        print_json(
            {
                "model": out,
                "architecture": imported.architecture,
                "names": imported.naming,
                "network": network.notation,
                "parameters": parameters,
                "preprocessing": network.preprocessing.to_dict(),
                "classes": network.class_names,
                "notes": imported.notes,
            }
        )
        return
    for note in imported.notes:
        warn(f"{visible(file)}: {note}")
    print(f"network: {visible(imported.architecture)} ({parameters:,} parameters), named as by {imported.naming}")
    print(f"written to {visible(out)}")
