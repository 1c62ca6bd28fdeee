"""`rot180 data`: inspect data before training on it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rot180.cli.options import Json

if TYPE_CHECKING:
    from rot180.data.inspect import Inspection
    from rot180.data.options import ImageOptions, Progress

data = typer.Typer(help="Inspect data before training on it.", no_args_is_help=True)

Source = Annotated[str, typer.Argument(metavar="DATA", help="As for train: a path or a name.")]
Resize = Annotated[str | None, typer.Option("--resize", help="As for train.", show_default=False)]
LabelColumn = Annotated[str | None, typer.Option("--label-column", help="As for train.", show_default=False)]


@data.command()
def inspect(
    source: Source = "digits",
    resize: Resize = None,
    label_column: LabelColumn = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Where to write the contact sheet, without .png; by default contact-sheet, numbered if that name is "
            "taken.",
            show_default=False,
        ),
    ] = None,
    picture: Annotated[bool, typer.Option("--picture/--no-picture", help="Whether to draw the contact sheet.")] = True,
    json: Json = False,
) -> None:
    """Summarize a data set: counts, classes, sizes, balance, bad files, duplicates; draw a few images per class.

    Bad files are listed, each with its reason, and never stop this command.

    Examples:

      rot180 data inspect path/to/folder-of-images

      rot180 data inspect mnist --json
    """
    from rot180.cli.output import print_json, visible
    from rot180.cli.picture_path import picture_path
    from rot180.cli.reading import reading_bar
    from rot180.data.inspect import examples, inspect_data
    from rot180.pictures import contact_sheet, save_figure

    path = picture_path(out, "contact-sheet")
    with reading_bar() as progress:
        found, dataset = inspect_data(source, _options(resize, label_column, progress))
    drawn = None
    if picture:
        rows, names = examples(dataset)
        drawn = save_figure(contact_sheet(rows, names, f"{found.name}: training images"), path, replace=False)[0]
    if json:
        print_json({**found.to_dict(), "contact_sheet": drawn})
        return
    _say(found)
    if drawn:
        print(f"contact sheet: {visible(drawn)}")


@data.command()
def show(
    source: Source = "digits",
    augment: Annotated[
        str | None,
        typer.Option(
            "--augment",
            help="Such as shift:2,flip,rotate:10; docs/augmentation.md lists all steps.",
            show_default=False,
        ),
    ] = None,
    resize: Resize = None,
    label_column: LabelColumn = None,
    images: Annotated[int, typer.Option("--images", help="How many images to show.", min=1, max=50)] = 8,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the augmentation.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Where to write the picture, without .png; by default data, numbered if that name is taken.",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Draw training images, with --augment also their augmented versions.

    Each row shows the original image, then its version in seven epochs.

    Examples:

      rot180 data show

      rot180 data show mnist --augment shift:2,rotate:10,elastic:1.5

      rot180 data show photos --augment resizedcrop:0.25,flip,randaugment:2:9
    """
    from dataclasses import replace

    import numpy as np

    from rot180.cli.output import print_json, visible
    from rot180.cli.picture_path import picture_path
    from rot180.cli.reading import reading_bar
    from rot180.data.augment import parse_augmentation
    from rot180.data.inspect import examples
    from rot180.data.load import load_data
    from rot180.nn.pixel_range import PixelRange, to_show
    from rot180.pictures import contact_sheet, save_figure
    from rot180.training.streams import epoch_flips, stream

    path = picture_path(out, "data")
    alter = None if augment is None else parse_augmentation(augment)
    with reading_bar() as progress:
        options = _options(resize, label_column, progress)
        dataset = load_data(source, replace(options, keeps_files=alter is not None and alter.needs_originals))
    if alter is None:
        rows, names = examples(dataset, each=8, classes=images)
        figure = contact_sheet(rows, names, f"{dataset.name}: training images")
    else:
        chosen = np.linspace(0, len(dataset.train_images) - 1, min(images, len(dataset.train_images))).astype(int)
        train, labels = dataset.train_images, dataset.train_labels
        limits = PixelRange.of(train).limits
        batches = [train[chosen]]
        for epoch in range(7):
            flips = epoch_flips(seed, epoch, len(train))
            generator = stream(seed, "augment", epoch, 0)
            classes = len(dataset.class_names)
            batches.append(alter(train, labels, generator, classes, limits, chosen=chosen, flips=flips)[0])
        rows = [[to_show(images[row], limits) for images in batches] for row in range(len(chosen))]
        names = [dataset.class_names[label] for label in labels[chosen]]
        figure = contact_sheet(rows, names, f"{dataset.name}, {alter}", column_names=["original"])
    drawn = save_figure(figure, path, replace=False)[0]
    if json:
        print_json({"picture": drawn, "augment": None if alter is None else str(alter)})
        return
    print(visible(drawn))


def _options(resize: str | None, label_column: str | None, progress: Progress) -> ImageOptions:
    from rot180.data.options import ImageOptions, parse_resize

    size, channels, way = (None, None, "stretch") if resize is None else parse_resize(resize)
    return ImageOptions(size=size, channels=channels, resize=way, label_column=label_column, progress=progress)


def _say(found: Inspection) -> None:
    """Print the result of an inspection as text."""
    from rot180.cli.output import visible
    from rot180.language import display_width, pad, translate

    counts = {"training": found.train_counts, "validation": found.validation_counts, "test": found.test_counts}
    totals = {part: sum(of_classes.values()) for part, of_classes in counts.items()}
    if not totals["validation"]:
        del counts["validation"], totals["validation"]
    shape = "x".join(map(str, found.image_shape))
    classes = f"{len(found.train_counts)} classes"
    *first, last = [f"{total:,} {part}" for part, total in totals.items()]
    print(f"{visible(found.name)}: {', '.join(first)} and {last} images of {shape}, {classes}")
    print(f"  {visible(found.description)}")
    print(f"  {visible(found.sources)}")
    for note in found.notes:
        print(f"  NOTE: {visible(note)}")
    if found.sizes:
        sizes = [f"{size} ({count:,})" for size, count in list(found.sizes.items())[:5]]
        if len(found.sizes) > 5:
            sizes.append(translate(f"{len(found.sizes) - 5:,} other sizes"))
        print(f"  files: {', '.join(f'{kind} ({count:,})' for kind, count in found.formats.items())}")
        print(f"  sizes: {', '.join(sizes)}")
    print(f"  pixels: {found.pixels}, mean {found.mean:.3f}, deviation {found.deviation:.3f} (black 0, white 1)")
    hint = "; train --class-weights balanced gives all classes equal weight" if 3 <= found.imbalance < math.inf else ""
    print(f"  balance: the largest class has {found.imbalance:.2f} times as many images as the smallest{hint}")
    width = max((display_width(visible(name)) for name in found.train_counts), default=0)
    for name in list(found.train_counts)[:50]:
        numbers = "  ".join(f"{of_classes[name]:>8,} {translate(part)}" for part, of_classes in counts.items())
        print(f"    {pad(visible(name), width)}  {numbers}")
    if len(found.train_counts) > 50:
        print(f"    ... and {len(found.train_counts) - 50:,} more classes")
    print(f"  duplicates: {found.duplicates_within_train:,} within train, {found.duplicates_within_test:,} within test")
    if found.validation_duplicates:
        print(
            f"  WARNING: {found.validation_duplicates:,} validation images are also in the training set; the "
            "validation accuracy will be too high"
        )
    if found.duplicates_across:
        such_as = ""
        if found.examples_across:
            training, test = found.examples_across[0]
            such_as = f", such as test image {test} (training image {training})"
        print(
            f"  WARNING: {found.duplicates_across:,} test images are also in the training or validation set{such_as}; "
            "the test accuracy will be too high"
        )
    print(f"  bad files: {found.bad_files:,}")
    for reason in found.bad_file_reasons:
        print(f"    {visible(reason)}")
