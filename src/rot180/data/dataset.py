"""A data set: training and test images with their labels, checked once, then only read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rot180.data.lazy import join, select
from rot180.errors import ArgumentError, DataError
from rot180.nn.keywords import answering_class
from rot180.ops.types import Array

MAX_CLASSES = 100_000
"""A label above this is taken for a mistake: class names are made for every number up to the largest label."""


@answering_class
@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels, for training and for testing.

    The arrays are not copied and belong to nobody in particular: whoever draws batches from them indexes, and never
    writes. Shuffling is the training loop's, scaling is the model's (`rot180.nn.preprocessing`).

    Parameters
    ----------
    name : str
        A short name, fit for a folder's name: "digits", "mnist".
    train_images, test_images : (N, H, W, C) uint8, uint16 or floats, or LazyImages
        Integers count from black, 0, to white, the largest value of their type (255 for uint8, which all readers of
        this package give); floats are expected in 0 to 1. Either set may be empty, but not both.
    train_labels, test_labels : (N,) integers
        Positions in `class_names`; kept as int64.
    class_names : tuple of str
        One name per class.
    description : str, default ""
        Where the images come from and how the test set was made, in a line.
    resize : str, default "stretch"
        How image files were brought to their size; it goes into the model's preprocessing.
    divided : bool, default False
        Whether the source has no test images of its own, and these were held out of all (`rot180.data.split`).

    Raises
    ------
    DataError
        The counts of images and labels differ, the images of the two sets have different shapes, an array has another
        number of axes or type, or a label has no class name.

    Examples
    --------
    >>> import numpy as np
    >>> images, labels = np.zeros((6, 8, 8, 1), np.uint8), np.array([0, 1, 0, 1, 0, 1])
    >>> data = Dataset("tiny", images[:4], labels[:4], images[4:], labels[4:], ("cat", "dog"))
    >>> data
    Dataset('tiny', 4 training and 2 test images of 8x8x1, 2 classes)
    >>> data.limit(2).train_images.shape
    (2, 8, 8, 1)
    """

    name: str
    train_images: Any
    train_labels: Array
    test_images: Any
    test_labels: Array
    class_names: tuple[str, ...]
    description: str = ""
    resize: str = "stretch"
    divided: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "class_names", tuple(self.class_names))
        for part in ("train", "test"):
            images, labels = getattr(self, f"{part}_images"), getattr(self, f"{part}_labels")
            _check_part(f"{self.name}: {part}", images, labels, len(self.class_names))
            object.__setattr__(self, f"{part}_labels", labels.astype(np.int64, copy=False))
        train, test = self.train_images.shape[1:], self.test_images.shape[1:]
        if train != test:
            raise DataError(
                f"{self.name}: training and test images must have one shape (H, W, C); came {train} and {test}; "
                "check that both files belong together"
            )
        if not len(self.train_images) and not len(self.test_images):
            raise DataError(f"{self.name}: a data set needs at least one image; came none")

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """The shape of one image, (H, W, C)."""
        height, width, channels = self.train_images.shape[1:]
        return height, width, channels

    def limit(self, count: int) -> Dataset:
        """Return the data set with only its first `count` training images; the test set stays whole.

        A count beyond the number of training images keeps them all.

        Raises
        ------
        ArgumentError
            `count` is less than 1.
        """
        if count < 1:
            raise ArgumentError(f"limit: at least one training image is needed; came {count}; give 1 or more")
        return replace(
            self, train_images=select(self.train_images, slice(count)), train_labels=self.train_labels[:count]
        )

    def every_image(self) -> tuple[Any, Array]:
        """Return all images and their labels, those for training first."""
        return join(self.train_images, self.test_images), np.concatenate([self.train_labels, self.test_labels])

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.image_shape))
        return (
            f"Dataset({self.name!r}, {len(self.train_images):,} training and {len(self.test_images):,} test images "
            f"of {shape}, {len(self.class_names)} classes)"
        )


def number_names(*label_arrays: Array) -> tuple[str, ...]:
    """Return the names "0", "1", ... up to the largest label of all the arrays.

    >>> import numpy as np
    >>> number_names(np.array([0, 2]), np.array([1]))
    ('0', '1', '2')
    """
    largest = max((int(labels.max()) for labels in label_arrays if labels.size), default=-1)
    if largest >= MAX_CLASSES:
        raise DataError(f"labels count from 0 to at most {MAX_CLASSES - 1}; found {largest}; number the classes again")
    return tuple(str(number) for number in range(largest + 1))


def _check_part(where: str, images: Any, labels: Array, classes: int) -> None:
    """Raise DataError where images and labels of one part do not fit together."""
    if images.ndim != 4 or 0 in images.shape[1:]:
        raise DataError(f"{where} images must be (N, H, W, C); came {images.shape}; gray images have C = 1")
    if images.dtype.kind != "f" and images.dtype not in (np.uint8, np.uint16):
        raise DataError(f"{where} images must be uint8, uint16 or floats; came {images.dtype}; convert them")
    if labels.ndim != 1 or labels.dtype.kind not in "ui":
        raise DataError(
            f"{where} labels must be integers in one axis; came {labels.dtype} {labels.shape}; "
            "give each image the number of its class"
        )
    if len(images) != len(labels):
        raise DataError(f"{where} images and labels must be as many; came {len(images)} images, {len(labels)} labels")
    if labels.size and (labels.min() < 0 or labels.max() >= classes):
        bad = int(np.flatnonzero((labels < 0) | (labels >= classes))[0])
        raise DataError(
            f"{where} labels must be 0 to {classes - 1}, one for each class name; "
            f"came {labels[bad]} at position {bad}; add class names or mend the label"
        )
