"""A data set: labeled images for training, validation and testing, checked once and read-only from then on."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rot180.data.classes import is_numbered
from rot180.data.lazy import as_images, join, select
from rot180.data.parts import NO_SOURCES, PARTS, Sources
from rot180.data.visible import named
from rot180.errors import ArgumentError, DataError, NonFiniteError
from rot180.nn.image_statistics import StoredImages
from rot180.nn.keywords import answering_call, answering_class
from rot180.nn.pixel_range import PixelRange
from rot180.ops.types import Array


@answering_class
@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels for training, validation and testing.

    The arrays are not copied, and are shared: batches are drawn by indexing, and nothing writes to them. Shuffling is
    up to the training loop, scaling up to the model (`rot180.nn.preprocessing`).

    Parameters
    ----------
    name : str
        A short name that can serve as a folder name: "digits", "mnist".
    train_images, test_images : (N, H, W, C) uint8, uint16 or floats, or LazyImages
        Other types are converted (`rot180.nn.pixel_range.as_pixels`). Any range is allowed, as long as both sets share
        it, or each uses the full range of its type. Either set may be empty, but not both.
    train_labels, test_labels : (N,) integers
        Positions in `class_names`; stored as int64.
    class_names : tuple of str
        One name per class.
    description : str, default ""
        Where the images come from and how the test set was made, in one line.
    resize : str, default "stretch"
        How image files were resized; it becomes part of the model's preprocessing.
    divided : bool, default False
        Whether the test images were held out because the source has none of its own (`rot180.data.split`).
    validation_images, validation_labels : optional
        What `fit` validates on; None, the default, means no validation set.
    sources : Sources
        Where the images of each part come from, in words.
    notes : tuple of str
        Remarks on how the data was read, a line each.
    train_names, validation_names, test_names : tuple of str
        Where each image is found, such as its file, so that wrongly labeled images can be located; empty if the images
        have no names. Those of training and validation images are kept if asked for (`ImageOptions.keeps_names`).
    stored : StoredImages, optional
        Properties of the image files before they were resized.

    Raises
    ------
    DataError
        The numbers of images and labels differ, the parts have images of different shapes or clearly different ranges,
        a pixel is infinite or NaN, an array has a wrong number of axes or dtype, a label has no class name, or two
        classes have the same name.

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
    validation_images: Any = None
    validation_labels: Any = None
    sources: Sources = NO_SOURCES
    notes: tuple[str, ...] = ()
    stored: StoredImages | None = None
    train_names: tuple[str, ...] = ()
    validation_names: tuple[str, ...] = ()
    test_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "class_names", tuple(self.class_names))
        if len(set(self.class_names)) < len(self.class_names):
            twice = Counter(self.class_names).most_common(1)[0][0]
            raise DataError(f"{self.name}: class names must be unique; {twice!r} occurs more than once; rename one")
        for part in PARTS:
            if part == "validation" and self.validation_images is None and self.validation_labels is None:
                images, labels = self.train_images[:0], np.zeros(0, np.int64)
            else:
                images = self._pixels(part)
                labels = self._labels(part, images)
            object.__setattr__(self, f"{part}_images", images)
            object.__setattr__(self, f"{part}_labels", labels)
            if images.shape[1:] != self.train_images.shape[1:]:
                raise DataError(
                    f"{self.name}: training and {part} images must have the same shape (H, W, C); got "
                    f"{self.train_images.shape[1:]} and {images.shape[1:]}; check that both files belong together"
                )
        if not len(self.train_images) and not len(self.test_images):
            raise DataError(f"{self.name}: a data set needs at least one image; got none")
        self._check_ranges()

    def _pixels(self, part: str) -> Any:
        """Return the images of one part in one of the supported types."""
        try:
            images = as_images(getattr(self, f"{part}_images"), f"{self.name}: {part} images")
        except ArgumentError as error:
            raise DataError(str(error)) from None
        if images.ndim != 4 or 0 in images.shape[1:]:
            raise DataError(
                f"{self.name}: {part} images must be (N, H, W, C); got {images.shape}; gray images have C = 1"
            )
        return images

    def _labels(self, part: str, images: Any) -> Array:
        """Return the labels of one part; raise DataError if they do not match the images."""
        classes = len(self.class_names)
        try:
            labels = np.asarray(getattr(self, f"{part}_labels"))
        except ValueError:
            labels = np.array(None)
        if not labels.size and not len(images):
            labels = np.zeros(0, np.int64)  # NumPy takes an empty list for floats
        if labels.ndim != 1 or labels.dtype.kind not in "ui":
            raise DataError(
                f"{self.name}: {part} labels must be a one-dimensional array of integers; got {labels.dtype} "
                f"{labels.shape}; give each image the number of its class"
            )
        if len(images) != len(labels):
            raise DataError(
                f"{self.name}: {part} needs as many labels as images; got {len(images)} images and {len(labels)} labels"
            )
        if labels.size and (labels.min() < 0 or labels.max() >= classes):
            bad = int(np.flatnonzero((labels < 0) | (labels >= classes))[0])
            raise DataError(
                f"{self.name}: {part} labels must be 0 to {classes - 1}, one for each class name; "
                f"got {labels[bad]} at position {bad}; add class names or correct the label"
            )
        numbers: Array = labels.astype(np.int64, copy=False)
        return numbers

    def _check_ranges(self) -> None:
        """Raise DataError if two parts are in different ranges, or a pixel is not finite."""
        known = None
        for part in PARTS:
            images = getattr(self, f"{part}_images")
            if not len(images):
                continue
            try:
                known = known or PixelRange.of(images)
                known.white_of(images, "the training images are")
            except (ArgumentError, NonFiniteError) as error:
                raise DataError(f"{self.name}: in the {part} images: {error}") from None

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """The shape of one image, (H, W, C)."""
        height, width, channels = self.train_images.shape[1:]
        return height, width, channels

    @answering_call
    def limit(self, count: int) -> Dataset:
        """Return the data set with only its first `count` training images; the test set is unchanged.

        A count larger than the number of training images keeps all of them.

        Raises
        ------
        ArgumentError
            `count` is less than 1.
        """
        if count < 1:
            raise ArgumentError(f"limit: at least one training image is needed; got {count}; give 1 or more")
        return replace(
            self,
            train_images=select(self.train_images, slice(count)),
            train_labels=self.train_labels[:count],
            train_names=self.train_names[:count],
        )

    def every_image(self) -> tuple[Any, Array]:
        """Return all images and their labels: training images first, then validation images, then test images."""
        images = join(join(self.train_images, self.validation_images), self.test_images)
        return images, np.concatenate([self.train_labels, self.validation_labels, self.test_labels])

    def for_validation(self, class_names: tuple[str, ...] | None = None) -> tuple[Any, Array]:
        """Return what to validate on if trained on other data: the validation images, or all images if it has no parts.

        Parameters
        ----------
        class_names : tuple of str, optional
            The classes of the training data; the labels become positions among them.

        Raises
        ------
        DataError
            The data set has training and test images of its own but none for validation, or has an unknown class.
        """
        data = self if class_names is None else self.with_classes(class_names)
        if len(data.validation_images):
            return data.validation_images, data.validation_labels
        if len(data.train_images) and len(data.test_images) and not data.divided:
            raise DataError(
                f"{self.name}: has training and test images of its own, but none for validation; give the folder or "
                "file of the part to validate on"
            )
        return data.every_image()

    def with_classes(self, names: tuple[str, ...]) -> Dataset:
        """Return the data set with other classes, matched by name.

        If the names differ and the data set's classes are numbers, these are taken as positions, counted from 0.

        Raises
        ------
        DataError
            The data set has a class that is not among the names.

        Examples
        --------
        >>> images, labels = np.zeros((2, 4, 4, 1)), np.array([0, 1])
        >>> data = Dataset("two", images, labels, images[:0], labels[:0], ("dog", "cat"))
        >>> data.with_classes(("bird", "cat", "dog")).train_labels
        array([2, 1])
        """
        own = self.class_names
        if own == names[: len(own)]:
            return replace(self, class_names=names)
        position = {name: label for label, name in enumerate(names)}
        if all(name in position for name in own):
            table = np.array([position[name] for name in own], np.int64)
        elif is_numbered(own) and max(map(int, own)) < len(names):
            table = np.array([int(name) for name in own], np.int64)
        else:
            unknown = named([name for name in own if name not in position])
            known = named(list(names), 10)
            raise DataError(f"{self.name}: the model was not trained on {unknown}; its classes are {known}")
        renamed = {f"{part}_labels": table[getattr(self, f"{part}_labels")] for part in PARTS}
        return replace(self, class_names=names, **renamed)

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.image_shape))
        validation = f", {len(self.validation_images):,} validation" if len(self.validation_images) else ""
        return (
            f"Dataset({self.name!r}, {len(self.train_images):,} training{validation} and "
            f"{len(self.test_images):,} test images of {shape}, {len(self.class_names)} classes)"
        )
