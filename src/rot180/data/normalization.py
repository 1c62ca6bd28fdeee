"""The preprocessing of a model for the name of a normalization and a data set."""

from __future__ import annotations

from dataclasses import replace

from rot180.data.dataset import Dataset
from rot180.errors import DataError
from rot180.nn.preprocessing import Preprocessing


def preprocessing_for(kind: str, dataset: Dataset) -> Preprocessing:
    """Return the preprocessing of this kind, with the statistics of the training images if it needs them.

    Parameters
    ----------
    kind : {"scale", "image", "dataset", "none"}
        See `rot180.nn.preprocessing.Preprocessing`.
    dataset : Dataset
        Only its training images are used; the test set stays unseen.

    Raises
    ------
    ArgumentError
        The kind is not known.
    DataError
        The kind is "dataset" and there are no training images.

    Examples
    --------
    >>> from rot180.data import load_data
    >>> preprocessing = preprocessing_for("dataset", load_data("digits"))
    >>> [round(number, 2) for number in (*preprocessing.mean, *preprocessing.std)]
    [0.31, 0.38]
    """
    if kind != "dataset":
        preprocessing = Preprocessing(kind, resize=dataset.resize)
        return preprocessing.for_training_on(dataset.train_images) if len(dataset.train_images) else preprocessing
    if not len(dataset.train_images):
        raise DataError(
            f"{dataset.name}: its mean and standard deviation need training images, but it has none; choose another "
            "normalization"
        )
    return replace(Preprocessing.of_dataset(dataset.train_images), resize=dataset.resize)
