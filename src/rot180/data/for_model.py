"""Data for a model that is trained already: its size, its way to resize, its classes in its order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from rot180.data.classes import is_numbered
from rot180.data.dataset import Dataset
from rot180.data.load import load_data
from rot180.data.options import ImageOptions
from rot180.errors import DataError
from rot180.nn.sequential import Sequential
from rot180.ops.types import Array


def load_data_for(model: Sequential, source: str | Path | None, options: ImageOptions | None = None) -> Dataset:
    """Load a data set as a model takes it: image files in its size and channels, labels by the names of its classes.

    Parameters
    ----------
    model : Sequential
        Built.
    source : str, Path or None
        As in `load_data`.
    options : ImageOptions, optional
        What else is asked of image files; the model decides about size, channels and the way to resize.

    Raises
    ------
    DataError
        As from `load_data`; or the data has a class that the model does not know.
    """
    dataset = load_data(source, options_for(model, options))
    return dataset if model.class_names is None else with_classes(dataset, model.class_names)


def options_for(model: Sequential, options: ImageOptions | None = None) -> ImageOptions:
    """Return how image files are read for a model: in its size and channels, resized in its way."""
    options = options or ImageOptions()
    shape = model.input_shape
    if len(shape) == 3 and shape[2] in (1, 3):
        return replace(options, size=(shape[0], shape[1]), channels=shape[2], resize=model.preprocessing.resize)
    return options


def with_classes(dataset: Dataset, names: tuple[str, ...]) -> Dataset:
    """Return the data set with the classes of a model, by their names.

    Data without names of its own, whose classes are called by numbers, takes the model's in their order, from 0.

    Raises
    ------
    DataError
        The data has a class that is not among them.

    Examples
    --------
    >>> import numpy as np
    >>> data = Dataset("two", np.zeros((2, 4, 4, 1)), np.array([0, 1]), np.zeros((0, 4, 4, 1)), np.array([], int),
    ...                ("dog", "cat"))
    >>> with_classes(data, ("bird", "cat", "dog")).train_labels
    array([2, 1])
    """
    own = dataset.class_names
    if own == names[: len(own)]:
        return replace(dataset, class_names=names)
    position = {name: label for label, name in enumerate(names)}
    if all(name in position for name in own):
        table = np.array([position[name] for name in own], np.int64)
    elif is_numbered(own) and max(map(int, own)) < len(names):
        table = np.array([int(name) for name in own], np.int64)
    else:
        unknown = [name for name in own if name not in position]
        raise DataError(
            f"{dataset.name}: the model has not learned {', '.join(unknown[:5])}; it knows {', '.join(names[:10])}"
        )
    return replace(
        dataset,
        train_labels=_renamed(table, dataset.train_labels),
        validation_labels=_renamed(table, dataset.validation_labels),
        test_labels=_renamed(table, dataset.test_labels),
        class_names=names,
    )


def _renamed(table: Array, labels: Array) -> Array:
    renamed: Array = table[labels]
    return renamed
