"""`rot180 compare`: the convolution algorithms, on this network and this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rot180.cli.network_argument import HELP
from rot180.cli.options import Json

if TYPE_CHECKING:
    from rot180.inside import Comparison


def compare(
    network: Annotated[str, typer.Argument(metavar="MODEL-OR-RUN", help=HELP)],
    batch_size: Annotated[int, typer.Option("--batch-size", "-b", help="Images in the batch.")] = 32,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the weights, images and deltas.")] = 0,
    json: Json = False,
) -> None:
    """Compare all algorithms for the network's convolutions, side by side.

    The five algorithms and the compiled kernels run on random images. The
    table shows the largest difference from a float64 result, the time forward
    and backward, and the peak memory. A star marks the fastest. winograd, which
    multiplies less and rounds more, is for 3x3 and 5x5 kernels with stride 1;
    rot180 plan shows where the compiled engine uses it. Below, the three ways
    to unfold the input for im2col: window by window (loops), by arrays of
    indices, and by a strided view.

    Examples:

      rot180 compare cnn-32-64-512

      rot180 compare "32x32x64 > conv3x3:64:same:g64 > fc10" --batch-size 8
    """
    from rot180.cli.network_argument import read_network
    from rot180.cli.output import print_json
    from rot180.inside import compare as find_ways
    from rot180.inside.busy import share_of_others, warning

    model = read_network(network)
    others = share_of_others()
    found = find_ways(model, batch_size, seed=seed)
    others = max(others, share_of_others())
    if json:
        print_json({**found.to_dict(), "share_of_others": others})
        return
    _print(found)
    if warned := warning(others):
        print(warned)


def _print(found: Comparison) -> None:
    from rich.console import Console
    from rich.markup import escape

    from rot180.cli.quantity import memory, milliseconds
    from rot180.language import translate

    console = Console(highlight=False)
    console.print(escape(found.notation), style="bold")
    batch = f"a batch of {found.batch_size}, float32" if found.batch_size > 1 else "one image, float32"
    console.print(translate(batch))
    console.print()
    heads = ("", "forward, ms", "backward, ms", "both, ms", "memory", "difference")
    console.print(_row(*map(translate, heads)), style="dim", no_wrap=True)
    layer = ""
    for way in found.ways:
        if way.layer != layer:
            layer = way.layer
            console.print(f"[bold]{layer}[/] [dim]{escape(found.words[layer])}[/]")
        about = "~" if way.extrapolated else ""
        times = (
            f"{about}{milliseconds(seconds)}" for seconds in (way.forward, way.backward, way.forward + way.backward)
        )
        row = _row(f"{'*' if way.fastest else ' '} {way.name}", *times, memory(way.peak_bytes), f"{way.difference:.1e}")
        console.print(row, style="bold green" if way.fastest else None, no_wrap=True)
    console.print()
    columns = map(translate, ("unfold, ms", "memory", "same bits"))
    console.print(_row("", *columns), style="dim", no_wrap=True)
    layer = ""
    for unfolding in found.unfoldings:
        if unfolding.layer != layer:
            layer = unfolding.layer
            console.print(f"[bold]{layer}[/] [dim]{escape(found.words[layer])}[/]")
        seconds = f"{'~' if unfolding.extrapolated else ''}{milliseconds(unfolding.seconds)}"
        same = translate("yes" if unfolding.equal else "no")
        row = _row(
            f"{'*' if unfolding.fastest else ' '} {unfolding.method}", seconds, memory(unfolding.peak_bytes), same
        )
        console.print(row, style="bold green" if unfolding.fastest else None, no_wrap=True)
    console.print()
    console.print(translate("* fastest; difference: from float64, relative to the largest value"), style="dim")
    if any(way.extrapolated for way in found.ways) or any(one.extrapolated for one in found.unfoldings):
        estimated = "~ estimated from one image: the time is multiplied, the memory is that of one image"
        console.print(translate(estimated), style="dim")
    for name, reason in found.left_out.items():
        console.print(translate(f"left out: {name}: {reason}"), style="dim", markup=False)


def _row(name: str, *columns: str) -> str:
    from rot180.language import pad

    widths = (11, 12, 9, 9, 10)
    cells = (pad(column, width, right=True) for column, width in zip(columns, widths, strict=False))
    return " ".join((f"{name:19}", *cells))
