"""`rot180 journey`: follow a batch through the network and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rot180.cli.network_argument import HELP
from rot180.cli.options import Json

if TYPE_CHECKING:
    from rich.console import Console

    from rot180.inside import Journey, Step

BATCH_SIZE = 32
"""Images in a random batch."""


def journey(
    network: Annotated[str, typer.Argument(metavar="MODEL-OR-RUN", help=HELP)],
    image: Annotated[
        Path | None,
        typer.Argument(metavar="IMAGE", help="The image to send; by default random images.", show_default=False),
    ] = None,
    random: Annotated[bool, typer.Option("--random", help="Send random images; the default without IMAGE.")] = False,
    layer: Annotated[
        str | None,
        typer.Option("--layer", "-l", help="Show only this layer, in full: conv2, input or loss.", show_default=False),
    ] = None,
    algorithm: Annotated[
        str,
        typer.Option(
            "--algorithm",
            help="Convolution algorithm: im2col, offsets, windows, winograd, loops (slow), or auto.",
        ),
    ] = "im2col",
    batch_size: Annotated[
        int | None,
        typer.Option(
            "--batch-size", "-b", help=f"Images in the batch; by default {BATCH_SIZE} random ones, or 1 copy of IMAGE."
        ),
    ] = None,
    label: Annotated[
        int | None,
        typer.Option("--label", help="True class of IMAGE, as a number; by default the predicted class."),
    ] = None,
    optimizer: Annotated[
        str, typer.Option("--optimizer", help="Optimizer for the update: sgd, adam, adamw, muon or rmsprop.")
    ] = "adam",
    seed: Annotated[int, typer.Option("--seed", help="Seed of random images, labels and untrained weights.")] = 0,
    save: Annotated[
        Path | None,
        typer.Option("--save", help="Write all values to this safetensors file.", show_default=False),
    ] = None,
    json: Json = False,
) -> None:
    """Show every array of a batch's journey through the network and back.

    Forward, loss, backward and one update: each array by name, with its shape,
    memory, multiply-adds, time, share of zeros and the source line that
    computed it; with --layer also its type, minimum, maximum and mean, and the
    code. The model is not changed.

    Examples:

      rot180 journey cnn-32-64-512 --layer conv2

      rot180 journey lenet5 --algorithm offsets --batch-size 8

      rot180 journey runs/first three.png --label 3 --save journey.safetensors
    """
    import numpy as np

    from rot180.cli.network_argument import random_batch, read_network
    from rot180.cli.output import print_json, visible
    from rot180.errors import ArgumentError
    from rot180.inside import journey as travel

    if image is not None and random:
        raise ArgumentError("journey takes IMAGE or --random, not both; leave one out")
    if batch_size is not None and batch_size < 1:
        raise ArgumentError(f"--batch-size must be at least 1; it is {batch_size}")
    if save is not None and save.exists():
        raise ArgumentError(f"{save} already exists and is not overwritten; give another name")
    model = read_network(network, seed=seed)
    if image is None:
        images, labels = random_batch(model, batch_size or BATCH_SIZE, seed)
        if label is not None:
            labels = np.full_like(labels, label)
    else:
        one, known = _image(image, model, label)
        images, labels = np.repeat(one, batch_size or 1, axis=0), np.repeat(known, batch_size or 1)
    trip = travel(model, images, labels, algorithm=algorithm, optimizer=optimizer, seed=seed, values=save is not None)
    shown = trip if layer is None else trip.select(layer)
    if save is not None:
        shown.save(save)
    if json:
        print_json({**shown.to_dict(), **({"saved": save} if save else {})})
        return
    _print(shown, layer, model.class_names, labels)
    if save is not None:
        print(f"saved: {visible(save)}")


def _image(path: Path, model: Any, label: int | None) -> tuple[Any, Any]:
    """Return the image as a batch, and its label: the one given, or the predicted class."""
    import numpy as np

    from rot180.data.image import read_image
    from rot180.errors import ModelError
    from rot180.training import predict

    if len(model.input_shape) != 3:
        raise ModelError(f"journey reads images, but this network takes {model.input_shape}; leave IMAGE out")
    height, width, channels = model.input_shape
    images = read_image(path, (height, width, channels))[None]
    known = int(predict(model, images)[0].argmax()) if label is None else label
    return images, np.array([known])


def _print(trip: Journey, layer: str | None, class_names: tuple[str, ...] | None, labels: Any) -> None:
    from rich.console import Console
    from rich.markup import escape

    from rot180.cli.output import visible
    from rot180.language import translate

    console = Console(highlight=False)
    console.print(escape(trip.notation), style="bold")
    first = class_names[labels[0]] if class_names and 0 <= labels[0] < len(class_names) else labels[0]
    images = translate(f"{trip.batch_size} images" if trip.batch_size > 1 else f"1 image, label {visible(first)}")
    loss = f"{translate('loss')} {trip.loss:.4f}"
    console.print(f"{escape(images)} · {trip.algorithm} · {trip.optimizer} · {loss}")
    for phase in dict.fromkeys(step.phase for step in trip.steps):
        _print_phase(console, trip, phase, in_full=layer is not None)


def _print_phase(console: Console, trip: Journey, phase: str, *, in_full: bool) -> None:
    from rot180.cli.quantity import amount, duration, memory
    from rot180.language import translate

    seconds, products, count = trip.total(phase)
    sums = (duration(seconds), translate(f"{amount(products)} multiply-adds"), translate(f"{memory(count)} of arrays"))
    console.print()
    console.print(f"[bold cyan]{translate(phase)}[/]  {' · '.join(sums)}")
    if not in_full:
        heads = ("", "shape", "memory", "m-adds", "ms", "zero", "made at")
        console.print(_row(*map(translate, heads)), style="dim", no_wrap=True)
    present = ""
    for step in trip.steps:
        if step.phase != phase:
            continue
        if step.layer != present:
            present = step.layer
            console.print(f" [bold]{present}[/] [dim]{trip.words.get(present, '')}[/]")
        if in_full:
            _print_in_full(console, step)
        else:
            _print_row(console, step)


def _print_row(console: Console, step: Step) -> None:
    from rot180.cli.quantity import amount, dimensions, memory, milliseconds
    from rot180.language import translate

    shape = dimensions(step.shape)
    if step.same_as:
        handed_on = _row(step.array, shape, "", "", "", "", f"= {step.same_as}")
        console.print(handed_on, style="dim", no_wrap=True, overflow="ellipsis", markup=False)
        return
    products = amount(step.multiply_adds) if step.multiply_adds else ""
    place = translate(str(step.source).rpartition("/")[2])
    zeros, time = f"{100 * step.zeros:.0f}%", milliseconds(step.seconds)
    row = _row(step.array, shape, memory(step.bytes), products, time, zeros, place)
    console.print(row, no_wrap=True, overflow="ellipsis", markup=False)


def _row(name: str, shape: str, size: str, products: str, time: str, zeros: str, place: str) -> str:
    from rot180.language import pad

    cells = zip((shape, size, products, time, zeros), (11, 8, 7, 6, 4), strict=True)
    return " ".join((f"  {name:17}", *(pad(cell, width, right=True) for cell, width in cells), place))


def _print_in_full(console: Console, step: Step) -> None:
    from rot180.cli.quantity import amount, duration, memory
    from rot180.language import translate

    shape = f"({', '.join(map(str, step.shape))}{',' if len(step.shape) == 1 else ''})"
    facts = [f"{shape} {step.dtype}", memory(step.bytes)]
    if step.multiply_adds:
        facts.append(translate(f"{amount(step.multiply_adds)} multiply-adds"))
    facts.append(f"= {step.same_as}" if step.same_as else duration(step.seconds))
    values = f"{step.smallest:.3g} … {step.largest:.3g}, mean {step.mean:.3g}, {100 * step.zeros:.0f}% zeros"
    console.print(f"  {step.array:13} {' · '.join(facts)}", no_wrap=True, overflow="ellipsis", markup=False)
    console.print(f"  {'':13} {translate(values)}", no_wrap=True, overflow="ellipsis", markup=False)
    made = f"  {'':13} {translate(str(step.source))}  {step.source.code}".rstrip()
    console.print(made, style="dim", no_wrap=True, overflow="ellipsis", markup=False)
