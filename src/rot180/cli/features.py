"""`rot180 features`: what a trained network makes of images, as an array."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from rot180.cli.options import Engine, Json, RunPath, Threads

if TYPE_CHECKING:
    from collections.abc import Callable

    from rot180.nn import Network
    from rot180.ops.types import Array
    from rot180.training.features import FeatureExtractor


class Found(NamedTuple):
    """Features and what stands beside them, the files that could not be read, and remarks on the data."""

    arrays: dict[str, Array]
    failed: list[dict[str, Any]]
    notes: tuple[str, ...]


def features(
    run: RunPath,
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA", help="As for train; its classes need not be the network's. Or images without classes."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The file to write, which must not exist: x.npz.")],
    layer: Annotated[
        str | None,
        typer.Option(
            "--layer",
            metavar="NAME",
            help="The layer whose output is written, as rot180 models names them. By default what enters the last "
            "fully connected layer.",
            show_default=False,
        ),
    ] = None,
    on_bad_file: Annotated[
        str,
        typer.Option(
            "--on-bad-file",
            help="strict: stop at an image of a data set that cannot be read; skip: leave it out.",
        ),
    ] = "strict",
    engine: Engine = "auto",
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Write the features of images: what a trained network's last layer reads.

    Features describe an image well enough for other tasks: a classifier for
    other classes, a search for similar images, a map. The file holds
    `features`, a float32 array with a row for each image, and what is known of
    the images: `files`, `labels`, `class_names`, and `parts` (train, validation,
    test). numpy.load reads it.

    From a folder of images without classes, files that cannot be read are
    reported on stderr and left out, and the exit status is 2.

    Examples:

      rot180 features runs/first digits --out digits.npz

      rot180 features runs/photos other-photos --out photos.npz --layer pool1
    """
    from rot180.cli.computing import use_threads
    from rot180.cli.failure import warn
    from rot180.cli.new_file import new_file
    from rot180.cli.output import print_json, visible
    from rot180.cli.reading import reading_bar
    from rot180.data.image_opening import SUFFIXES
    from rot180.data.layout import has_unlabeled_images
    from rot180.files.npz_file import write_npz
    from rot180.runs import load_run
    from rot180.training.features import FeatureExtractor

    use_threads(threads, engine)
    new_file(out, "--out", ".npz")
    model = load_run(run).model
    extract = FeatureExtractor(model, layer, engine=engine)
    path = Path(data)
    are_files = has_unlabeled_images(path) or (path.is_file() and path.suffix.lower() in SUFFIXES)
    with reading_bar() as progress:
        if are_files:
            found = _of_files(model, extract, path, progress)
        else:
            found = _of_data(model, extract, data, on_bad_file, progress)
    count, width = found.arrays["features"].shape
    write_npz(out, found.arrays, replace=False)
    for note in found.notes:
        warn(note)
    if json:
        shapes = {name: array.shape for name, array in found.arrays.items()}
        print_json({"out": out, "layer": extract.layer, "arrays": shapes, "failed": found.failed})
    else:
        print(f"{visible(out)}: {width:,} features of {count:,} images, the output of {extract.layer}")
        print(f"arrays in the file: {', '.join(found.arrays)}")
    if found.failed:
        warn(f"{len(found.failed):,} of {count + len(found.failed):,} images could not be read and were skipped")
        raise typer.Exit(2)


def _of_files(
    model: Network, extract: FeatureExtractor, path: Path, progress: Callable[[str, int, int], None]
) -> Found:
    """Return the features of image files without classes, told as they are read."""
    import numpy as np

    from rot180.cli.failure import warn
    from rot180.errors import DataError
    from rot180.training.image_files import by_white, image_files, read_pictures, require_images

    require_images(model, "features")
    files = list(image_files([path]))
    rows = extract.empty(len(files))
    names: list[str] = []
    failed: list[dict[str, Any]] = []
    for some in read_pictures(files, model):
        good = [found for _, found in some if not isinstance(found, DataError)]
        if good:
            rows[len(names) : len(names) + len(good)] = by_white(
                good, lambda pixels, white: extract(pixels, white=white)
            )
        for file, found in some:
            if isinstance(found, DataError):
                failed.append({"image": file, "error": str(found)})
                warn(str(found))
            else:
                names.append(file.as_posix())
        progress("computing features", len(names) + len(failed), len(files))
    if not names:
        raise DataError(f"{path}: no image can be read; nothing is written")
    return Found({"features": rows[: len(names)].astype(np.float32, copy=False), "files": np.array(names)}, failed, ())


def _of_data(
    model: Network,
    extract: FeatureExtractor,
    source: str,
    on_bad_file: str,
    progress: Callable[[str, int, int], None],
) -> Found:
    """Return the features of a data set, with its labels, classes and parts."""
    import numpy as np

    from rot180.data import load_data
    from rot180.data.for_model import options_for
    from rot180.data.options import ImageOptions
    from rot180.training.predict import tell_unlike

    options = ImageOptions(on_bad_file=on_bad_file, keeps_names=True, progress=progress)
    dataset = load_data(source, options_for(model, options))
    parts = {
        part: (
            getattr(dataset, f"{part}_images"),
            getattr(dataset, f"{part}_labels"),
            getattr(dataset, f"{part}_names"),
        )
        for part in ("train", "validation", "test")
        if len(getattr(dataset, f"{part}_images"))
    }
    total, start = sum(len(images) for images, *_ in parts.values()), 0
    rows = extract.empty(total)

    def told(done: int) -> None:
        progress("computing features", start + done, total)

    for images, *_ in parts.values():
        extract(images, out=rows[start : start + len(images)], progress=told)
        tell_unlike(model, images)
        start += len(images)
    arrays = {"features": rows.astype(np.float32, copy=False)}
    if all(names for *_, names in parts.values()):
        arrays["files"] = np.array([name for *_, names in parts.values() for name in names])
    arrays["labels"] = np.concatenate([labels for _, labels, _ in parts.values()])
    arrays["class_names"] = np.array(dataset.class_names)
    arrays["parts"] = np.repeat(list(parts), [len(labels) for _, labels, _ in parts.values()])
    return Found(arrays, [], dataset.notes)
