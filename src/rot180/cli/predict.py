"""`rot180 predict`: classify images."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rot180.cli.options import Engine, Json, RunPath, Threads, Tta

if TYPE_CHECKING:
    from rot180.ops.types import Array


def predict(
    run: RunPath,
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE",
            help="PNG, JPEG, GIF, BMP, WebP, TIFF, PPM or AVIF, converted to the model's size. For a folder, all "
            "images in it and its subfolders.",
        ),
    ],
    top: Annotated[int, typer.Option("--top", min=1, help="Classes to list for each image.")] = 3,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Write the predictions to a new file, x.csv or x.json, instead of printing them.",
            show_default=False,
        ),
    ] = None,
    tta: Tta = None,
    engine: Engine = "auto",
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Print the most likely classes of each image, with their probabilities.

    The image is converted to the size and channels of the network's input and
    normalized like the training images. Colors are not inverted: if a network
    that learned white digits on black is given a dark digit on white, a
    warning on stderr says so.

    A file that cannot be read is reported on stderr; the others are still
    predicted, and the exit status is 2.

    Examples:

      rot180 predict runs/first examples/three.png

      rot180 predict runs/first a.png folder-of-images --top 1 --json

      rot180 predict runs/photos thousands-of-photos --out predictions.csv
    """
    from rot180.cli.computing import use_threads
    from rot180.cli.failure import warn
    from rot180.cli.output import print_json, visible
    from rot180.cli.prediction_file import prediction_file
    from rot180.cli.reading import reading_bar
    from rot180.errors import DataError, ModelError
    from rot180.language import translate
    from rot180.runs import load_run
    from rot180.runs.own_data import own_tta
    from rot180.training.image_files import by_white, image_files, likeliest, read_pictures, require_images
    from rot180.training.predict import run_prediction

    use_threads(threads, engine)
    loaded = load_run(run)
    model = loaded.model
    require_images(model, "predict")
    if len(model.output_shape) != 1:
        raise ModelError(
            f"predict names a class for each image, but this network returns {model.output_shape}; use rot180.predict "
            f"from Python"
        )
    tta = own_tta(run, loaded, tta, tell=warn)
    names = model.class_names or [str(number) for number in range(model.output_shape[0])]
    top = min(top, len(names))
    if "" in images:  # would mean the current folder
        raise DataError("'' cannot be read; name an image or a folder")
    files = list(image_files(map(Path, images)))
    predictions: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    done = unlike = 0

    def probabilities(pixels: Array, white: float) -> Array:
        return run_prediction(model, pixels, tta=tta, engine=engine, white=white, steady=True)

    with reading_bar() as progress, prediction_file(out, top) if out else nullcontext() as writer:
        for some in read_pictures(files, model):
            rows = iter(by_white([found for _, found in some if not isinstance(found, DataError)], probabilities))
            for path, found in some:
                done += 1
                if isinstance(found, DataError):
                    failed.append({"image": path, "error": str(found)})
                    warn(str(found))
                    continue
                shares = next(rows)
                ranked = likeliest(shares, names, top)
                prediction = {"image": path, "top": ranked, "unlike_training": found.unlike}
                unlike += bool(found.unlike)
                if writer is not None:
                    writer.write(prediction)
                elif json:
                    predictions.append(prediction)
                else:
                    said = ", ".join(
                        f"{visible(one['label'])} {100 * float(one['probability']):.1f}%" for one in ranked
                    )
                    print(f"{visible(path)}: {said}")
                    for reason in found.unlike:
                        warn(f"{path}: unlike the training images: {translate(reason)}")
            progress("predicting", done, len(files))
        if writer is not None:
            writer.end(failed)
    predicted = len(files) - len(failed)
    if out is not None:
        if json:
            print_json({"out": out, "predicted": predicted, "unlike_training": unlike, "failed": failed})
        else:
            print(f"{visible(out)}: predictions for {predicted:,} images")
        if unlike:
            warn(f"{unlike:,} of {predicted:,} images are unlike the training images; the file says how")
    elif json and (predictions or not failed):
        print_json({"predictions": predictions, "failed": failed})
    if failed:
        if len(files) > 1:
            warn(f"{len(failed):,} of {len(files):,} images could not be read and were skipped")
        raise typer.Exit(2)
