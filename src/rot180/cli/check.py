"""`rot180 check`: check the gradients of a network or of a user's layer, or the steps of an optimizer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from rot180.cli.options import Json

if TYPE_CHECKING:
    from rot180.inside.check import CheckReport
    from rot180.inside.optimizer_check import OptimizerReport

Class = TypeVar("Class")

WRONG_GRADIENT = 1
"""The exit status if a gradient or a step is wrong."""


def check(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL-OR-RUN", help="A model name, a network in the notation, or a run folder.", show_default=False
        ),
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(
            "--layer",
            metavar="MODULE:CLASS",
            help="Check your own layer class: my_layers:Scale, or path/to/file.py:Scale.",
            show_default=False,
        ),
    ] = None,
    optimizer: Annotated[
        str | None,
        typer.Option(
            "--optimizer",
            metavar="NAME|MODULE:CLASS",
            help="Check an optimizer: sgd, adam, adamw, muon, rmsprop, or your own class.",
            show_default=False,
        ),
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(
            "--like",
            metavar="RULE",
            help="The rule your optimizer should follow: sgd, adam, adamw, muon or rmsprop. By default, that of its "
            "class.",
            show_default=False,
        ),
    ] = None,
    argument: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="An argument of the class, such as out_channels=4 or lr=0.1; may be repeated.",
        ),
    ] = None,
    input_shape: Annotated[
        str | None,
        typer.Option(
            "--input-shape",
            help="Shape of one input, such as 6x5x2 or 7; for a join those of its inputs, such as 6x5x2,2. By default "
            "6x5x2 with --layer.",
            show_default=False,
        ),
    ] = None,
    tolerance: Annotated[float, typer.Option("--tolerance", help="Largest relative error allowed.")] = 1e-6,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the weights, images and compared points.")] = 0,
    json: Json = False,
) -> None:
    """Check the gradients of a network, or the steps of an optimizer.

    The gradients of every layer, of the loss and of the whole network are
    compared with finite differences of the forward pass, in float64, away
    from the kinks of ReLU and max-pooling; an optimizer's steps are compared
    with the equations of its rule. If something is wrong, the report names
    the layer and the likely mistake, and the exit status is 1.

    Your own layer class needs forward(x, training=, generator=), which
    returns y and the values saved for backward; backward(dy, saved,
    needs_dx=), which returns dx and a dict of gradients; and
    self.parameters. Derive it from rot180.nn.layer.Layer;
    docs/write-a-layer.md shows how. A join, derived from rot180.nn.Join,
    takes forward(*inputs, ...) and returns a dx for each input.

    Examples:

      rot180 check lenet5

      rot180 check "8x8x1 > conv3x3:4 relu maxpool2 > fc10"

      rot180 check --layer my_layers:Scale --input-shape 6x5x2

      rot180 check --optimizer my_optimizers:MyAdam --like adam --set lr=0.1
    """
    from rot180.cli.network_argument import read_network
    from rot180.cli.output import print_json
    from rot180.errors import ArgumentError
    from rot180.inside.check import check as check_gradients
    from rot180.nn.layer import Layer

    if sum(one is not None for one in (model, layer, optimizer)) != 1:
        raise ArgumentError(
            "check takes one of MODEL-OR-RUN, --layer MODULE:CLASS and --optimizer NAME; see rot180 check --help"
        )
    if like is not None and optimizer is None:
        raise ArgumentError("--like names the rule of --optimizer; give --optimizer too, or leave it out")
    report: CheckReport | OptimizerReport
    if optimizer is not None:
        report = _check_optimizer(optimizer, like, argument or [], seed)
    elif layer is not None:
        made = _make("--layer", layer, argument or [], Layer)
        made.name = made.name or type(made).__name__
        shapes = (6, 5, 2) if input_shape is None else _shapes(input_shape)
        report = check_gradients(made, shapes, tolerance=tolerance, seed=seed)
    else:
        if argument:
            raise ArgumentError(
                "--set passes arguments to the class given with --layer; a network has its arguments in its notation"
            )
        shape = None if input_shape is None else _shape(input_shape)
        report = check_gradients(read_network(str(model)), shape, tolerance=tolerance, seed=seed)
    if json:
        print_json(report.to_dict())
    else:
        print(f"{report.subject}\n\n{report}")
    if not report.passed:
        raise typer.Exit(WRONG_GRADIENT)


def _shapes(text: str) -> tuple[int, ...] | list[tuple[int, ...]]:
    """Return one shape, or those of a join's inputs."""
    shapes = [_shape(part) for part in text.split(",")]
    return shapes if len(shapes) > 1 else shapes[0]


def _shape(text: str) -> tuple[int, ...]:
    from rot180.errors import ArgumentError

    try:
        shape = tuple(int(part) for part in text.lower().split("x"))
    except ValueError:
        shape = ()
    if len(shape) not in (1, 3) or min(shape) < 1:
        raise ArgumentError(
            f"--input-shape must be rows x columns x channels or one number, such as 6x5x2 or 7; it is {text!r}"
        )
    return shape


def _check_optimizer(name: str, like: str | None, arguments: list[str], seed: int) -> OptimizerReport:
    from rot180.inside.optimizer_check import check_optimizer
    from rot180.training.optimizer import Optimizer
    from rot180.training.optimizers import optimizer as make_optimizer

    if ":" in name:
        return check_optimizer(_make("--optimizer", name, arguments, Optimizer), like, seed=seed)
    return check_optimizer(make_optimizer(name, **_arguments(arguments)) if arguments else name, like, seed=seed)


def _make(option: str, name: str, arguments: list[str], base: type[Class]) -> Class:
    """Import a class and create an instance of it."""
    import importlib
    import importlib.util
    import sys

    from rot180.errors import ArgumentError, did_you_mean

    module_name, _, class_name = name.rpartition(":")
    if not module_name or not class_name:
        raise ArgumentError(f"{option} must be MODULE:CLASS, such as my_module:{base.__name__}; it is {name!r}")
    sys.path.insert(0, str(Path.cwd()))
    try:
        if module_name.endswith(".py"):
            spec = importlib.util.spec_from_file_location(Path(module_name).stem, module_name)
            if spec is None or spec.loader is None:
                raise ImportError("not a Python file")
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        else:
            module = importlib.import_module(module_name)
    except Exception as error:  # the user's file may raise anything
        raise ArgumentError(f"{option}: {module_name} cannot be imported ({type(error).__name__}: {error})") from None
    finally:
        sys.path.pop(0)
    found = getattr(module, class_name, None)
    if not isinstance(found, type) or not issubclass(found, base):
        known = [name for name, value in vars(module).items() if isinstance(value, type) and issubclass(value, base)]
        kind = base.__name__.lower()
        raise ArgumentError(
            f"{option}: {module_name} has no {kind} class {class_name!r}{did_you_mean(class_name, known)}; "
            f"derive it from {base.__module__}.{base.__name__}"
        )
    try:
        made = found(**_arguments(arguments))
    except ArgumentError:
        raise
    except Exception as error:
        raise ArgumentError(
            f"{option}: {class_name} cannot be created ({type(error).__name__}: {error}); give its arguments with --set"
        ) from None
    return made


def _arguments(texts: list[str]) -> dict[str, Any]:
    """Parse NAME=VALUE; a value is JSON if it parses as such, otherwise text."""
    import json

    from rot180.errors import ArgumentError

    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise ArgumentError(f"--set must be NAME=VALUE, such as out_channels=4; it is {text!r}")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found
