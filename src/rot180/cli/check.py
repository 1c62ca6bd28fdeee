"""`rot180 check`: whether every gradient of a network, or of a layer that the user wrote, is right."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rot180.nn.layer import Layer

WRONG_GRADIENT = 1
"""The exit status where a gradient is wrong."""


def check(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL-OR-RUN", help="A name, a network in the notation, or a run's folder.", show_default=False
        ),
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(
            "--layer",
            metavar="MODULE:CLASS",
            help="Check a layer class that you wrote: my_layers:Scale, or path/to/file.py:Scale.",
            show_default=False,
        ),
    ] = None,
    argument: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="An argument of the layer's class, such as out_channels=4; again for more.",
        ),
    ] = None,
    input_shape: Annotated[
        str | None,
        typer.Option("--input-shape", help="Of one image, such as 6x5x2 or 7.  [--layer: 6x5x2]", show_default=False),
    ] = None,
    tolerance: Annotated[float, typer.Option("--tolerance", help="The largest relative error allowed.")] = 1e-6,
    seed: Annotated[int, typer.Option("--seed", help="Of weights, images and the points compared.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Check the gradients of every layer, of the loss and of the whole network.

    Each is held against differences of the forward pass, in float64, away
    from the kinks of ReLU and max-pooling. Where one is wrong its layer is
    named, and the mistake that it looks like; the exit status is then 1.

    A class of your own needs forward(x, training=, generator=) that returns
    y and what backward wants, backward(dy, saved, needs_dx=) that returns dx
    and a dict of gradients, and self.parameters; derive it from
    rot180.nn.layer.Layer. docs/write-a-layer.md writes one.

    Examples:

      rot180 check lenet5

      rot180 check "8x8x1 > conv3x3:4 relu maxpool2 > fc10"

      rot180 check --layer my_layers:Scale --input-shape 6x5x2
    """
    from rot180.cli.network_argument import read_network
    from rot180.cli.output import print_json
    from rot180.errors import ArgumentError
    from rot180.inside.check import check as check_gradients

    if (model is None) == (layer is None):
        raise ArgumentError("check takes a MODEL-OR-RUN or --layer MODULE:CLASS, one of them; see rot180 check --help")
    shape = None if input_shape is None else _shape(input_shape)
    if layer is not None:
        made = _make(layer, argument or [])
        report = check_gradients(made, shape or (6, 5, 2), tolerance=tolerance, seed=seed)
    else:
        if argument:
            raise ArgumentError("--set gives arguments to the class of --layer; a network has its own in the notation")
        report = check_gradients(read_network(str(model)), shape, tolerance=tolerance, seed=seed)
    if json:
        print_json(report.to_dict())
    else:
        print(f"{report.subject}\n\n{report}")
    if not report.passed:
        raise typer.Exit(WRONG_GRADIENT)


def _shape(text: str) -> tuple[int, ...]:
    from rot180.errors import ArgumentError

    try:
        shape = tuple(int(part) for part in text.lower().split("x"))
    except ValueError:
        shape = ()
    if len(shape) not in (1, 3) or min(shape) < 1:
        raise ArgumentError(
            f"--input-shape is rows x columns x channels or one number, such as 6x5x2 or 7; it is {text!r}"
        )
    return shape


def _make(layer: str, arguments: list[str]) -> Layer:
    """Import a class and make the layer."""
    import importlib
    import importlib.util
    import sys

    from rot180.errors import ArgumentError, did_you_mean
    from rot180.nn.layer import Layer

    module_name, _, class_name = layer.rpartition(":")
    if not module_name or not class_name:
        raise ArgumentError(f"--layer is MODULE:CLASS, such as my_layers:Scale; it is {layer!r}")
    sys.path.insert(0, str(Path.cwd()))
    try:
        if module_name.endswith(".py"):
            spec = importlib.util.spec_from_file_location(Path(module_name).stem, module_name)
            if spec is None or spec.loader is None:
                raise ImportError("it is no Python file")
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        else:
            module = importlib.import_module(module_name)
    except Exception as error:  # the user's file may raise anything
        raise ArgumentError(f"--layer: {module_name} cannot be imported ({type(error).__name__}: {error})") from None
    finally:
        sys.path.pop(0)
    found = getattr(module, class_name, None)
    if not isinstance(found, type) or not issubclass(found, Layer):
        known = [name for name, value in vars(module).items() if isinstance(value, type) and issubclass(value, Layer)]
        raise ArgumentError(
            f"--layer: {module_name} has no layer class {class_name!r}{did_you_mean(class_name, known)}; "
            "derive it from rot180.nn.layer.Layer"
        )
    try:
        made = found(**_arguments(arguments))
    except ArgumentError:
        raise
    except Exception as error:
        raise ArgumentError(
            f"--layer: {class_name} cannot be made ({type(error).__name__}: {error}); give its arguments with --set"
        ) from None
    made.name = made.name or class_name
    return made


def _arguments(texts: list[str]) -> dict[str, Any]:
    """Read NAME=VALUE; a value is JSON where it can be read as such, else text."""
    import json

    from rot180.errors import ArgumentError

    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise ArgumentError(f"--set is NAME=VALUE, such as out_channels=4; it is {text!r}")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found
