"""`rot180 explain`: how one number in a network is computed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rot180.cli.options import RunPath

if TYPE_CHECKING:
    from rot180.ops.types import Array
    from rot180.runs import Run
    from rot180.training.optimizer import Optimizer

FORMATS = ("text", "json", "markdown", "picture")


def explain(
    run: RunPath,
    image: Annotated[
        str,
        typer.Argument(metavar="IMAGE", help="An image file, or the number of a test image of the run's data, from 0."),
    ],
    at: Annotated[
        list[str],
        typer.Option(
            "--at", metavar="CELL", help='The number to explain, such as "conv1.output[3,5,2]"; may be repeated.'
        ),
    ],
    label: Annotated[
        str | None,
        typer.Option(
            "--label",
            help="The true class of the image, for the loss and its gradients. By default a test image's label; for "
            "a file, the likeliest class.",
            show_default=False,
        ),
    ] = None,
    form: Annotated[str, typer.Option("--as", help="text, json, markdown or picture.")] = "text",
    everything: Annotated[
        bool, typer.Option("--all", help="Show every entry, in window order, instead of the largest only.")
    ] = False,
    data: Annotated[
        str | None,
        typer.Option("--data", help="Data whose test images are numbered; the run's by default.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="With --as picture: where to write, without .png; by default the cell's name, numbered if that name "
            "is taken.",
        ),
    ] = None,
    training: Annotated[bool, typer.Option("--training", help="Apply dropout and noise, as in training.")] = False,
    seed: Annotated[int, typer.Option("--seed", help="Seed of dropout and noise.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Same as --as json.")] = False,
) -> None:
    """Show how one number is computed: every product, gate and winner, and their sum.

    CELL is one of LAYER.output[...], LAYER.input.grad[...],
    LAYER.weight.grad[...], LAYER.weight.update[...], image[...],
    output.probability[...] and loss. An index is row, column, channel; for
    a weight row, column, input channel, filter. Each source in the answer
    is itself a CELL that can be explained. An update is the first one that
    the run's optimizer would make from this image alone, at its highest
    learning rate.

    A join has LAYER.input1, LAYER.input2, ...; where several layers read
    one output, LAYER.input.grad[...] is what one of them passes back. A
    normalization also has LAYER.mean[...], LAYER.var[...],
    LAYER.normalized[...], LAYER.mean.grad[...] and LAYER.var.grad[...].

    Examples:

      rot180 explain runs/first 7 --at "conv1.output[3,5,2]"

      rot180 explain runs/first my.png --at loss --at "output.probability[7]"

      rot180 explain runs/first 7 --at "conv1.weight.grad[1,1,0,2]" --as picture
    """
    from rot180.cli.output import print_json, visible
    from rot180.errors import ArgumentError, did_you_mean
    from rot180.inside.explain import Trace, explain_in, markdown, text
    from rot180.inside.explain.text import SHOWN
    from rot180.runs import load_run

    form = "json" if json else form
    if form not in FORMATS:
        raise ArgumentError(f"--as must be one of {', '.join(FORMATS)}; it is {form!r}{did_you_mean(form, FORMATS)}")
    loaded = load_run(run)
    pixels, known = _image(loaded, run, image, data)
    target = known if label is None else _label(loaded, label)
    trace = Trace(loaded.model, pixels, target, optimizer=_optimizer(loaded), training=training, seed=seed)
    ledgers = [explain_in(trace, cell) for cell in at]
    names = loaded.model.class_names
    likeliest = int(trace.outputs[-1][0].ravel().argmax())
    if form == "json":
        shown = [ledger.to_dict() for ledger in ledgers]
        print_json({"run": run, "image": image, "label": target, "likeliest": likeliest, "ledgers": shown})
        return
    if form == "picture":
        _draw(trace, ledgers, out)
        return
    limit = None if everything else SHOWN
    if form == "text":
        says = names[likeliest] if names and likeliest < len(names) else str(likeliest)
        against = "" if target is None else f", label {names[target] if names else target}"
        print(f"image {visible(image)}: predicted as {visible(says)}{visible(against)}\n")
    print("\n\n".join((text if form == "text" else markdown)(ledger, trace, shown=limit) for ledger in ledgers))


def _image(run: Run, path: Path, image: str, data: str | None) -> tuple[Array, int | None]:
    """Return the pixels and, for a test image, the label."""
    from rot180.data.image import read_image
    from rot180.errors import ArgumentError, ModelError
    from rot180.runs.own_data import load_own_data

    shape = run.model.input_shape
    if image.isascii() and image.isdigit() and not Path(image).exists():
        dataset = load_own_data(path, run, data, how="it with --data")
        count = len(dataset.test_images)
        if int(image) >= count:
            raise ArgumentError(
                f"{dataset.name} has {count} test images, so IMAGE must be from 0 to {count - 1}; it is {image}"
            )
        return dataset.test_images[int(image)], int(dataset.test_labels[int(image)])
    if len(shape) != 3:
        raise ModelError(f"explain reads images, but this network takes {shape}; use rot180.inside.explain from Python")
    return read_image(image, (shape[0], shape[1], shape[2])), None


def _label(run: Run, label: str) -> int:
    """Return the class with this name or number."""
    from rot180.errors import ArgumentError, did_you_mean

    classes = run.model.output_shape[-1]
    names = list(run.model.class_names or map(str, range(classes)))
    if label in names:
        return names.index(label)
    if label.isascii() and label.isdigit() and int(label) < classes:
        return int(label)
    raise ArgumentError(f"--label: no class is called {label!r}{did_you_mean(label, names)}")


def _optimizer(run: Run) -> Optimizer | None:
    """Return the optimizer of the run's configuration, before its first update."""
    from rot180.runs.settings import optimizer_of

    return optimizer_of(run.config.get("training", {}))


def _draw(trace: Any, ledgers: list[Any], out: Path | None) -> None:
    import re

    from rot180.cli.output import visible
    from rot180.cli.picture_path import picture_path
    from rot180.files import distinct_names
    from rot180.inside.explain.scene import picture
    from rot180.pictures import save_figure

    names = distinct_names(re.sub(r"[^a-z0-9.]+", "-", ledger.cell.lower()).strip("-") for ledger in ledgers)
    paths: list[Path | None] = [None] * len(ledgers)
    if out is not None:
        base = out.with_suffix("") if out.suffix.lower() in (".png", ".svg") else out
        several = len(ledgers) > 1
        paths = [picture_path(base.with_name(f"{base.name}-{name}") if several else base, name) for name in names]
    for ledger, name, path in zip(ledgers, names, paths, strict=True):
        print(visible(save_figure(picture(ledger, trace), path or picture_path(None, name), replace=False)[0]))
