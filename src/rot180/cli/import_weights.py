"""`rot180 import`: make a model of a file that another program wrote: weights, or a whole network in ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rot180.cli.options import Json


def import_weights(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A PyTorch checkpoint (.pth, .pt), a .safetensors file with the names of torchvision or timm, an "
            "ONNX file, or a Keras file (.keras, .h5). A config.json next to the weights, as in model hubs, specifies "
            "the preprocessing and the classes. If there is no such file: a network whose weights are published, such "
            "as resnet18, or owner/name of a model hub; they are downloaded.",
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
    input_shape: Annotated[
        str | None,
        typer.Option(
            "--input",
            metavar="HxWxC",
            help="The size of the images, such as 224x224x3, where an ONNX or Keras file leaves it open.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option("--output", help="Which output to take, if an ONNX file has several.", show_default=False),
    ] = None,
    json: Json = False,
) -> None:
    """Convert weights or an ONNX file from another program to a model.

    The result is a model file like those of rot180 train, for predict,
    evaluate, explain and the other commands. Nothing in the file is executed.

    Examples:

      rot180 import resnet18.pth --out resnet18.safetensors

      rot180 import timm/resnet18.a1_in1k --out resnet18.safetensors

      rot180 import pytorch_model.bin --model tf_efficientnet_lite0

      rot180 import net.pth --model "28x28x1 > conv5x5:8 relu maxpool2 > fc10"

      rot180 import model.onnx --out model.safetensors
    """
    import os

    from rot180.cli.failure import warn
    from rot180.cli.output import print_json, visible
    from rot180.cli.reading import reading_bar
    from rot180.errors import ArgumentError
    from rot180.interop.onnx.importing import is_onnx
    from rot180.interop.weights import import_weights
    from rot180.runs import save_model

    if os.path.lexists(out):
        raise ArgumentError(f"{out} already exists; choose another --out or remove it")
    if is_onnx(file):
        if model is not None:
            raise ArgumentError("--model is for files of weights; an ONNX file holds its network; leave it out")
        _import_graph(file, out, input_shape, output, json)
        return
    if output is not None:
        raise ArgumentError("--output is for ONNX files; leave it out")
    with reading_bar() as progress:
        imported = import_weights(file, model, input_shape=_shape(input_shape), progress=progress)
    network = imported.model
    save_model(out, network)
    parameters = sum(array.size for array in network.parameters.values())
    notes = [*imported.notes, *filter(None, [imported.class_note])]
    if json:
        print_json(
            {
                "model": out,
                "origin": imported.origin,
                "license": imported.license,
                "architecture": imported.architecture,
                "names": imported.naming,
                "network": network.notation,
                "parameters": parameters,
                "preprocessing": network.preprocessing.to_dict(),
                "classes": network.class_names,
                "notes": notes,
            }
        )
        return
    for note in notes:
        warn(f"{visible(file)}: {note}")
    if imported.origin != str(imported.path):
        license_ = f", license {visible(imported.license)}" if imported.license else ""
        print(f"weights: {visible(imported.origin)}{license_}")
    print(f"network: {visible(imported.architecture)} ({parameters:,} parameters), named as by {imported.naming}")
    print(f"written to {visible(out)}")


def _import_graph(file: Path, out: Path, input_shape: str | None, output: str | None, json: bool) -> None:
    """Make a model of an ONNX file, and compare it with what the file's own nodes compute."""
    from rot180.cli.failure import warn
    from rot180.cli.output import print_json, visible
    from rot180.interop.onnx.graph import read_graph
    from rot180.interop.onnx.importing import difference, network_of
    from rot180.runs import save_model

    graph = read_graph(file)
    lifted = network_of(graph, input_shape=_shape(input_shape), output=output)
    network, found = lifted.model, difference(graph, lifted)
    save_model(out, network)
    parameters = sum(array.size for array in network.parameters.values())
    has_preprocessing = "preprocessing" in graph.metadata or (graph.inputs[0].dtype or "f") == "uint8"
    if json:
        print_json(
            {
                "model": out,
                "opset": graph.opset,
                "nodes": len(graph.nodes),
                "layers": len(network.layers),
                "network": network.notation,
                "parameters": parameters,
                "preprocessing": network.preprocessing.to_dict(),
                "classes": network.class_names,
                "difference": found,
            }
        )
        return
    if not has_preprocessing:
        warn(
            f"{visible(file)}: the file does not say how images were preprocessed; pixels will be divided by 255; set "
            f"model.preprocessing in Python if the network was trained otherwise"
        )
    print(
        f"network: {len(network.layers)} layers of {len(graph.nodes)} nodes, opset {graph.opset} "
        f"({parameters:,} parameters)"
    )
    if found is None:
        print("not compared with the file's own nodes: the network is too large, or takes whole numbers")
    else:
        print(f"compared with the file's own nodes on a random image: outputs differ by {found:.1g} of the largest")
    print(f"written to {visible(out)}")


def _shape(text: str | None) -> tuple[int, ...] | None:
    """Read a size such as 224x224x3."""
    from rot180.errors import ArgumentError

    if text is None:
        return None
    numbers = text.split("x")
    if not all(number.isascii() and number.isdigit() and len(number) < 8 for number in numbers):
        raise ArgumentError(f"--input must be a size such as 224x224x3; it is {text!r}")
    return tuple(map(int, numbers))
