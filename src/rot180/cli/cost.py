"""`rot180 cost`: the cost of a network, predicted without running it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rot180.cli.network_argument import HELP
from rot180.cli.options import Json

if TYPE_CHECKING:
    from rich.console import Console

    from rot180.inside import Cost
    from rot180.inside.compiled_cost import CompiledCost


def cost(
    network: Annotated[str, typer.Argument(metavar="MODEL-OR-RUN", help=HELP)],
    batch_size: Annotated[int, typer.Option("--batch-size", "-b", help="Images in a step.")] = 32,
    engine: Annotated[
        str,
        typer.Option(
            "--engine", help="Engine whose time is predicted: numpy (layer by layer), compiled (step by step) or both."
        ),
    ] = "both",
    measure: Annotated[bool, typer.Option("--measure", help="Also run each layer and show both times.")] = False,
    json: Json = False,
) -> None:
    """Predict what a network costs on this machine, layer by layer.

    The table shows parameters, multiply-adds forward and backward, the memory
    of the activations and the time. Below it, for each convolution algorithm,
    the memory of the windows that it copies, or of the tiles that it
    transforms, and the multiply-adds that it makes. The time of the numpy
    engine is predicted from the machine's measured speed at copies, matrix
    products and the like; that of the compiled engine, used for training, from
    its plan and the machine's measured speed at the steps of other plans.

    Examples:

      rot180 cost cnn-32-64-512

      rot180 cost lenet5 --batch-size 128 --measure

      rot180 cost "28x28x1 > conv5x5:8 relu maxpool2 > fc10" --json
    """
    from rot180.cli.network_argument import read_network
    from rot180.cli.output import print_json
    from rot180.errors import ArgumentError, Rot180Error
    from rot180.inside import cost as find_cost
    from rot180.inside.busy import share_of_others, warning
    from rot180.inside.compiled_cost import compiled_cost
    from rot180.language import translate

    if engine not in ("both", "compiled", "numpy"):
        raise ArgumentError(f"--engine must be numpy, compiled or both; it is {engine!r}")
    model = read_network(network)
    others = share_of_others()
    found = find_cost(model, batch_size, measure=measure and engine != "compiled")
    compiled: CompiledCost | None = None
    unknown = ""
    if engine != "numpy":
        try:
            compiled = compiled_cost(model, batch_size, measure=measure)
        except Rot180Error as error:
            unknown = str(error)
    others = max(others, share_of_others())
    if json:
        print_json({**found.to_dict(), "compiled": compiled and compiled.to_dict(), "share_of_others": others})
        return
    from rich.console import Console

    console = Console(highlight=False)
    if engine == "compiled" and compiled is not None:
        _print_steps(console, compiled)
    else:
        _print_layers(console, found, measure)
        _print_algorithms(console, found)
    _print_compiled(console, compiled, unknown)
    if warned := warning(others):
        console.print(f"\n{translate(warned)}", style="yellow")


def _print_steps(console: Console, found: CompiledCost) -> None:
    from rich.markup import escape

    from rot180.cli.quantity import milliseconds
    from rot180.language import pad, translate

    measured = found.measured_total is not None
    console.print(escape(found.notation), style="bold")
    console.print(translate(f"a batch of {found.batch_size}, compiled engine on {found.threads} threads"))
    console.print()
    layers, step, predicted, run = map(translate, ("layers", "step", "predicted, ms", "measured"))
    title = f"{pad(layers, 22)} {pad(step, 29)} {pad(predicted, 13, right=True)}"
    console.print(title + (f" {pad(run, 10, right=True)}" if measured else ""), style="dim", no_wrap=True)
    for one in found.steps:
        layers = one.layers if len(one.layers) <= 22 else f"{one.layers[:21]}…"
        predicted = "-" if one.predicted is None else milliseconds(one.predicted)
        line = f"{layers:22} {pad(translate(one.step), 29)} {predicted:>13}"
        console.print(line + ("" if one.measured is None else f" {milliseconds(one.measured):>10}"), no_wrap=True)


def _print_compiled(console: Console, found: CompiledCost | None, unknown: str) -> None:
    """Print the time of a whole training step on the compiled engine, in one line."""
    from rot180.cli.quantity import milliseconds
    from rot180.language import translate

    if unknown:
        console.print("\n" + translate(f"compiled engine: no prediction: {unknown}"), markup=False)
    if found is None:
        return
    if found.predicted_total is None:
        names = ", ".join(found.unknown[:3]) + (", ..." if len(found.unknown) > 3 else "")
        said = f"compiled engine, a training step: no prediction for layers that run in NumPy ({names})"
    else:
        forward, backward = (
            sum(step.predicted or 0.0 for step in found.steps if step.is_forward == way) for way in (True, False)
        )
        parts = (
            f"forward {milliseconds(forward)}, backward {milliseconds(backward)}, other {milliseconds(found.beside)}"
        )
        said = f"compiled engine, a training step: predicted {milliseconds(found.predicted_total)} ms ({parts})"
    if found.measured_total is not None:
        said += f", measured {milliseconds(found.measured_total)} ms"
    console.print(f"\n{translate(said)}", style="bold")


def _print_layers(console: Console, found: Cost, measure: bool) -> None:
    from rich.markup import escape

    from rot180.cli.quantity import amount, memory, milliseconds
    from rot180.language import pad, translate

    def time(seconds: float | None) -> str:
        return "-" if seconds is None else milliseconds(seconds) if seconds else ""

    console.print(escape(found.notation), style="bold")
    images = f"a batch of {found.batch_size}" if found.batch_size > 1 else "one image"
    machine = (
        f"{images}, {found.dtype}, {found.engine} engine; this machine: {amount(found.peak)} multiply-adds/s, "
        f"copies {memory(found.bandwidth)}/s"
    )
    console.print(translate(machine))
    console.print()
    heads = ("layer", "params", "forward", "backward", "memory", "forward", "backward")
    measured = ("forward", "backward") if measure else ()
    products, predicted, run = map(translate, ("multiply-adds", "predicted, ms", "measured, ms"))
    title = pad("", 20) + pad(products, 16, right=True) + pad("", 8) + pad(predicted, 18, right=True)
    console.print(title + (pad(run, 18, right=True) if measure else ""), style="dim", no_wrap=True)
    console.print(_row(*map(translate, (*heads, *measured))), style="dim", no_wrap=True)
    for layer in found.layers:
        times = [layer.predicted_forward, layer.predicted_backward]
        if measure:
            times += [layer.measured_forward, layer.measured_backward]
        console.print(
            _row(
                layer.name,
                f"{layer.parameters:,}" if layer.parameters else "",
                amount(layer.multiply_adds_forward) if layer.multiply_adds_forward else "",
                amount(layer.multiply_adds_backward) if layer.multiply_adds_backward else "",
                memory(layer.activation_bytes),
                *(time(seconds) for seconds in times),
            ),
            no_wrap=True,
        )
    fields = ["predicted_forward", "predicted_backward"]
    fields += ["measured_forward", "measured_backward"] if measure else []
    total = _row(
        translate("total"),
        f"{found.total('parameters') or 0:,.0f}",
        amount(found.total("multiply_adds_forward") or 0),
        amount(found.total("multiply_adds_backward") or 0),
        memory(found.total("activation_bytes") or 0),
        *(time(found.total(field)) for field in fields),
    )
    console.print(total, style="bold", no_wrap=True)


def _row(name: str, parameters: str, forward: str, backward: str, size: str, *times: str) -> str:
    from rot180.language import pad

    widths = (9, 7, 8, 7, *[8] * len(times))
    numbers = zip((parameters, forward, backward, size, *times), widths, strict=True)
    name = name if len(name) <= 9 else name[:8] + "…"
    return " ".join((pad(name, 9), *(pad(number, width, right=True) for number, width in numbers)))


def _print_algorithms(console: Console, found: Cost) -> None:
    """Print the memory of the copied windows, the largest of the three passes, and the multiply-adds of all three."""
    from rot180.cli.quantity import amount, memory
    from rot180.language import translate
    from rot180.ops import ALGORITHMS

    layers = [layer for layer in found.layers if layer.unfolded_bytes]
    if not layers:
        return
    for title, rows in (
        (
            "peak memory of copied windows or transformed tiles, by algorithm",
            [{name: memory(max(parts.values())) for name, parts in layer.unfolded_bytes.items()} for layer in layers],
        ),
        (
            "multiply-adds of all passes, by algorithm",
            [
                {name: amount(sum(parts.values())) for name, parts in layer.algorithm_multiply_adds.items()}
                for layer in layers
            ],
        ),
    ):
        console.print()
        console.print(translate(title), style="dim")
        console.print(f"{'':9}" + "".join(f" {name:>9}" for name in ALGORITHMS), style="dim", no_wrap=True)
        for layer, cells in zip(layers, rows, strict=True):
            line = "".join(f" {cells.get(name, '-'):>9}" for name in ALGORITHMS)
            console.print(f"{layer.name:9}{line}", no_wrap=True)
