"""Building a data set from the images and labels of each part."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import compress
from typing import Any

import numpy as np

from rot180.data.classes import number_classes
from rot180.data.dataset import Dataset
from rot180.data.growing import divide
from rot180.data.lazy import select
from rot180.data.parts import HELD_OUT, Sources
from rot180.data.split import hold_out
from rot180.data.visible import named
from rot180.errors import DataError
from rot180.ops.types import Array


def compose(
    name: str,
    parts: Mapping[str, tuple[Any, Array]],
    *,
    where: object,
    description: str,
    sources: Sources,
    class_names: Sequence[str] | None = None,
    notes: Sequence[str] = (),
    resize: str = "stretch",
    image_names: Mapping[str, Iterable[str]] | None = None,
    keeps_names: bool = False,
) -> Dataset:
    """Return a data set; if there are only training images, a fifth of each class is held out for testing.

    Parameters
    ----------
    name : str
    parts : mapping of "train", "validation", "test" to (images, labels)
        As named by `rot180.data.parts.assign`; labels are integers or text, as they are in the data. If images are
        held out, the given array is emptied into the two parts and must not be used again.
    where : object
        What to call the data in errors.
    description : str
    sources : Sources
        Where each part comes from.
    class_names : sequence of str, optional
        Names of the labels 0, 1, ...
    notes : sequence of str
        Further remarks for the user.
    resize : str
    image_names : mapping of part to iterable of str, optional
        Where each image is found, such as its file.
    keeps_names : bool
        Whether the names of all images are kept, or only of those to test on.

    Raises
    ------
    DataError
        A part has different numbers of images and labels; labels cannot be numbered (see `number_classes`).

    Examples
    --------
    >>> images, labels = np.zeros((10, 4, 4, 1), np.uint8), np.arange(10) % 2 * 7
    >>> data = compose("bits", {"train": (images, labels)}, where="bits", description="", sources=Sources("bits.npz"))
    >>> data, data.class_names, data.sources.test
    (Dataset('bits', 8 training and 2 test images of 4x4x1, 2 classes), ('0', '7'), \
'every fifth image of each class, held out')
    """
    for part, (some, own) in parts.items():
        if len(some) != len(own):
            raise DataError(f"{where}: {part}: {len(some)} images but {len(own)} labels; they do not belong together")
    classes = number_classes(where, {part: own for part, (_, own) in parts.items()}, class_names)
    images = {part: some for part, (some, _) in parts.items()}
    labels = dict(classes.labels)
    divided = set(parts) == {"train"}
    names = dict(image_names or {})
    if keeps_names:
        names = {part: tuple(some) for part, some in names.items()}
    kept = {part: tuple(some) for part, some in names.items() if keeps_names or part == "test"}
    if divided:
        is_test = hold_out(labels["train"])
        kept["test"] = tuple(compress(names.get("train", ()), is_test))
        if keeps_names:
            kept["train"] = tuple(compress(names.get("train", ()), ~is_test))
        images["train"], images["test"] = _divide(images["train"], is_test)
        labels["train"], labels["test"] = labels["train"][~is_test], labels["train"][is_test]
        sources = sources._replace(test=HELD_OUT)
        notes = (*notes, *_without_test(classes.names, labels["test"]))
        description = f"{description}, with every fifth image of each class held out for testing"
    return Dataset(
        name,
        images["train"],
        labels["train"],
        images.get("test", images["train"][:0]),
        labels.get("test", labels["train"][:0]),
        classes.names,
        description,
        resize=resize,
        divided=divided,
        validation_images=images.get("validation"),
        validation_labels=labels.get("validation"),
        sources=sources,
        notes=(*notes, *classes.notes),
        train_names=kept.get("train", ()),
        validation_names=kept.get("validation", ()),
        test_names=kept.get("test", ()),
    )


def _without_test(class_names: Sequence[str], labels: Array) -> tuple[str, ...]:
    """Return a note on classes with a single image, which is not held out."""
    alone = [class_names[label] for label in sorted(set(range(len(class_names))) - set(np.unique(labels).tolist()))]
    if not alone:
        return ()
    if len(alone) == 1:
        return (f"the class {alone[0]} has a single image, which is used for training; none is held out for testing",)
    return (f"classes with a single image, used for training; none is held out for testing: {named(alone)}",)


def _divide(images: Any, mask: Array) -> tuple[Any, Any]:
    """Return the images where the mask is false, and those where it is true; arrays are never held twice."""
    if isinstance(images, np.ndarray):
        return divide(images, mask)
    return select(images, np.flatnonzero(~mask)), select(images, np.flatnonzero(mask))


def contiguous(numbers: Array) -> Array | slice:
    """Return ascending numbers as a slice if they are consecutive: slicing an array makes no copy."""
    if len(numbers) and numbers[-1] - numbers[0] + 1 == len(numbers):
        return slice(int(numbers[0]), int(numbers[-1]) + 1)
    return numbers
