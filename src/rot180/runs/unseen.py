"""The images that a run is evaluated on: those that its training has not seen."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from rot180.data import Dataset, load_data
from rot180.data.for_model import options_for
from rot180.data.lazy import Images
from rot180.data.options import ImageOptions
from rot180.errors import DataError
from rot180.language import translate
from rot180.ops.types import Array
from rot180.runs.environment import fingerprint
from rot180.runs.folder import Run, RunFolder
from rot180.runs.own_data import config_of, is_gone
from rot180.runs.prepare import with_validation
from rot180.runs.settings import RunSettings


class Unseen(NamedTuple):
    """Images to evaluate a model on."""

    images: Images
    labels: Array
    class_names: tuple[str, ...]
    note: str
    """Which images of the data these are, and other remarks, in one line.

    Empty for test images that the data itself provides.
    """


def unseen(path: str | Path, run: Run, source: str, options: ImageOptions | None = None) -> Unseen:
    """Load the images of a data set that a run has not seen.

    If the data has its own test images, these are used. Other data is split when it is loaded, always in the same way:
    for the data that the run was trained on, the held-out part is used; for any other data, all images.

    Parameters
    ----------
    path : str or Path
        The run folder, or the weights file in it.
    run : Run
        Read from there by `load_run`.
    source : str
        As in `load_data`.
    options : ImageOptions, optional
        Options for reading image files; the model determines size, channels and the way to resize.

    Raises
    ------
    DataError
        As from `load_data`; or the data has a class unknown to the model.
    """
    dataset = load_data(source, options_for(run.model, options))
    # Determined before the classes are renamed, which would change the fingerprint.
    own = _was_trained_on(path, run, source, dataset) if dataset.divided else None
    if run.model.class_names is not None:
        dataset = dataset.with_classes(run.model.class_names)
    test, count = len(dataset.test_images), len(dataset.train_images) + len(dataset.test_images)
    if test and (own is not False or not dataset.divided):
        why = "the run was trained on the others" if own else "only the run folder records whether it saw the others"
        note = f"evaluated on {test:,} of the {count:,} images of {source}, every fifth of each class: {why}"
        note = "; ".join(map(translate, (*([note] if dataset.divided else []), *dataset.notes)))
        return Unseen(dataset.test_images, dataset.test_labels, dataset.class_names, note)
    said = {True: ": too few to hold any out of the training", False: ": the run was not trained on this data"}
    note = f"evaluated on all {count:,} images of {source}{'' if own is None else said[own]}"
    return Unseen(*dataset.every_image(), dataset.class_names, "; ".join(map(translate, (note, *dataset.notes))))


def _was_trained_on(path: str | Path, run: Run, source: str, dataset: Dataset) -> bool | None:
    """Return whether a run was trained on a data set, by its path or contents; None if that is unknown."""
    config = config_of(path, run)
    if not config:
        return None
    if Path(str(config.get("data"))) == Path(source).absolute():
        return True
    training = config.get("training")
    limit = training.get("limit") if isinstance(training, dict) else None
    if isinstance(limit, int) and limit > 0:
        dataset = dataset.limit(limit)
    validation = training.get("validation") if isinstance(training, dict) else None
    if isinstance(validation, str):  # its images are part of the run's data
        if not Path(validation).is_absolute() or is_gone(validation):
            return None
        try:
            dataset = with_validation(dataset, RunSettings(validation=validation, on_bad_file="skip"))
        except DataError:
            return None
    folder = run.folder or RunFolder(Path(path).parent)
    return folder.read_environment().get("data") == fingerprint(dataset)
