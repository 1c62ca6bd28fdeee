"""Inspecting a data set: counts, classes, sizes, balance, bad files, duplicates."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rot180.data.dataset import Dataset
from rot180.data.lazy import Images
from rot180.data.load import load_data
from rot180.data.loader import read_ahead
from rot180.data.options import BadFiles, ImageOptions
from rot180.data.parts import PARTS, Sources
from rot180.nn.pixel_range import PixelRange, to_show
from rot180.ops.types import Array

SHOWN = 20
"""Maximum number of duplicates and bad files that are listed; all are counted."""

PIECE = 256


@dataclass(frozen=True)
class Inspection:
    """What was found in a data set.

    Attributes
    ----------
    name, description : str
    image_shape : (H, W, C)
        After resizing.
    sizes : dict of "HxW" to int
        Sizes of the image files, most common first; empty if the images are not files.
    formats : dict of str to int
        Formats of the image files.
    sources : Sources
        Where the images of each part come from, and which files are not used.
    notes : tuple of str
        Further remarks on how the data was read.
    train_counts, validation_counts, test_counts : dict of class name to int
    imbalance : float
        Ratio of the sizes of the largest and the smallest class in the training set; infinite if a class has no images.
    mean, deviation : float
        Mean and standard deviation of the training images' pixels, scaled to 0 to 1.
    duplicates_within_train, duplicates_within_test : int
        Images that are identical, pixel for pixel, to an earlier one.
    duplicates_across : int
        Test images that are also in the training or validation set, which makes the test accuracy too high.
    validation_duplicates : int
        Validation images that are also in the training set.
    examples_across : tuple of (int, int)
        Some test images that are also in the training set: index there, index in the test set.
    bad_files : int
    bad_file_reasons : tuple of str
        The reasons for the first of them.
    """

    name: str
    description: str
    image_shape: tuple[int, int, int]
    sizes: dict[str, int]
    formats: dict[str, int]
    sources: Sources
    notes: tuple[str, ...]
    train_counts: dict[str, int]
    validation_counts: dict[str, int]
    test_counts: dict[str, int]
    imbalance: float
    pixels: str
    mean: float
    deviation: float
    duplicates_within_train: int
    duplicates_within_test: int
    duplicates_across: int
    validation_duplicates: int
    examples_across: tuple[tuple[int, int], ...]
    bad_files: int
    bad_file_reasons: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return everything in types that JSON can represent, except for infinities."""
        return {**asdict(self), "sources": self.sources._asdict()}


def inspect_data(source: str | Path | None, options: ImageOptions | None = None) -> tuple[Inspection, Dataset]:
    """Inspect a data set; bad files are listed and do not stop the inspection.

    Returns
    -------
    Inspection, Dataset
        The findings, and the images that can be read.

    Raises
    ------
    DataError
        There is no data set, or none of its images can be read.

    Examples
    --------
    >>> found, dataset = inspect_data("digits")
    >>> found.image_shape, found.bad_files, found.duplicates_across, round(found.imbalance, 2)
    ((8, 8, 1), 0, 0, 1.05)
    """
    options = options or ImageOptions()
    facts = Counter[str](), Counter[str]()
    bad = BadFiles("collect", 0)
    dataset = load_data(source, replace(options, on_fact=lambda fact: _count(facts, fact)), bad=bad)
    train = _digests(dataset.train_images, options)
    validation = _digests(dataset.validation_images, options)
    test = _digests(dataset.test_images, options)
    first: dict[bytes, int] = {}
    for number, digest in enumerate(train):
        first.setdefault(digest, number)
    across = [(first[digest], number) for number, digest in enumerate(test) if digest in first]
    before = {*first, *validation}
    train_counts, validation_counts, test_counts = (
        _counts(getattr(dataset, f"{part}_labels"), dataset) for part in PARTS
    )
    largest, smallest = max(train_counts.values()), min(train_counts.values())
    images = dataset.train_images if len(train) else dataset.test_images
    mean, deviation = _pixels(images)
    found = Inspection(
        name=dataset.name,
        description=dataset.description,
        image_shape=dataset.image_shape,
        sizes=dict(facts[0].most_common()),
        formats=dict(facts[1].most_common()),
        sources=dataset.sources,
        notes=dataset.notes,
        train_counts=train_counts,
        validation_counts=validation_counts,
        test_counts=test_counts,
        imbalance=largest / smallest if smallest else float("inf"),
        pixels=PixelRange.of(images).text,
        mean=mean,
        deviation=deviation,
        duplicates_within_train=len(train) - len(first),
        duplicates_within_test=len(test) - len(set(test)),
        duplicates_across=sum(digest in before for digest in test),
        validation_duplicates=sum(digest in first for digest in validation),
        examples_across=tuple(across[:SHOWN]),
        bad_files=len(bad.found),
        bad_file_reasons=tuple(map(str, bad.found[:SHOWN])),
    )
    return found, dataset


def examples(dataset: Dataset, each: int = 8, classes: int = 20) -> tuple[list[list[Array]], list[str]]:
    """Return some evenly spaced training images of each of the first classes, a row per class, and the rows' names.

    >>> from rot180.data.digits import load_digits
    >>> rows, names = examples(load_digits(), each=3)
    >>> len(rows), len(rows[0]), names[0]
    (10, 3, '0 (142)')
    """
    images, labels = dataset.train_images, dataset.train_labels
    if not len(images):
        images, labels = dataset.test_images, dataset.test_labels
    limits = PixelRange.of(images).limits
    rows, names = [], []
    for label, name in enumerate(dataset.class_names[:classes]):
        numbers = np.flatnonzero(labels == label)
        chosen = numbers[np.linspace(0, len(numbers) - 1, min(each, len(numbers))).astype(int)]
        rows.append([to_show(images[int(number)], limits) for number in chosen])
        names.append(f"{name} ({len(numbers):,})")
    return rows, names


def _count(facts: tuple[Counter[str], Counter[str]], fact: Any) -> None:
    facts[0][f"{fact.height}x{fact.width}"] += 1
    facts[1][fact.format] += 1


def _counts(labels: Array, dataset: Dataset) -> dict[str, int]:
    counts = np.bincount(labels, minlength=len(dataset.class_names))
    return dict(zip(dataset.class_names, counts.tolist(), strict=True))


def _digests(images: Images, options: ImageOptions) -> list[bytes]:
    """Return a hash of the pixels of each image."""

    def piece(start: int) -> list[bytes]:
        return [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images[start : start + PIECE]]

    pieces = read_ahead(piece, range(0, len(images), PIECE), workers=options.workers)
    return [digest for some in pieces for digest in some]


def _pixels(images: Images) -> tuple[float, float]:
    """Return the mean and standard deviation of all pixels, where black is 0 and white is 1."""
    black, white = PixelRange.of(images).limits
    total, square, count = 0.0, 0.0, 0
    for start in range(0, len(images), PIECE):
        some = images[start : start + PIECE]
        values = (some.astype(np.float64) - black) / (white - black)
        total, square, count = total + values.sum(), square + (values**2).sum(), count + values.size
    mean = total / max(count, 1)
    return float(mean), float(np.sqrt(max(square / max(count, 1) - mean**2, 0)))
