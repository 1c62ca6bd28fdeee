"""Data for a trained model: in its size, resized in its way, with its classes in its order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rot180.data.dataset import Dataset
from rot180.data.load import load_data
from rot180.data.options import ImageOptions
from rot180.nn.network import Network


def load_data_for(model: Network, source: str | Path | None, options: ImageOptions | None = None) -> Dataset:
    """Load a data set for a model: image files in its size and channels, labels by the names of its classes.

    Parameters
    ----------
    model : Network
        A built model.
    source : str, Path or None
        As in `load_data`.
    options : ImageOptions, optional
        Further options for image files; the model determines size, channels and the way of resizing.

    Raises
    ------
    DataError
        As from `load_data`; or the data has a class that the model does not know.
    """
    dataset = load_data(source, options_for(model, options))
    return dataset if model.class_names is None else dataset.with_classes(model.class_names)


def options_for(model: Network, options: ImageOptions | None = None) -> ImageOptions:
    """Return the options to read image files for a model: in its size and channels, resized in its way."""
    options = options or ImageOptions()
    shape = model.input_shape
    if len(shape) == 3 and shape[2] in (1, 3):
        return replace(options, size=(shape[0], shape[1]), channels=shape[2], resize=model.preprocessing.resize)
    return options
