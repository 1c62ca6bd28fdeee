"""Which arrays of a data set are images and which are labels, and of which part, by their names."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from rot180.data.parts import assign, part_of, words
from rot180.data.visible import named
from rot180.errors import DataError

IMAGES = "x xs image images img imgs data pixels features inputs input".split()
LABELS = "y ys label labels lbl lbls target targets classes class".split()

_KIND = {**dict.fromkeys(IMAGES, "images"), **dict.fromkeys(LABELS, "labels")}

CLASS_NAMES = ("class_names", "classnames", "classes_names", "label_names", "labelnames")
"""Names of text arrays that hold the names of the classes 0, 1, ..."""


class ArrayPair(NamedTuple):
    """The names of two arrays that belong together."""

    images: str
    labels: str


def kind_of(name: str, of_all: Collection[str] = ()) -> str | None:
    """Return whether a name stands for "images" or "labels"; None if it has other words or contradictory ones.

    `data` counts only if no other word does: `train_data`, `data_labels`. Words shared by the names of all arrays,
    `of_all`, are ignored.

    >>> [kind_of(name) for name in ("X_train", "trainY", "val_images", "data_labels", "image_ids")]
    ['images', 'labels', 'images', 'labels', None]
    """
    telling = [word for word in words(name) if part_of(word) is None and word not in of_all and not word.isdigit()]
    kinds = {_KIND.get(word) for word in telling if len(telling) == 1 or word not in ("data", "class", "set")}
    return kinds.pop() if len(kinds) == 1 else None


def pair_arrays(where: object, names: Iterable[str]) -> tuple[dict[str, ArrayPair], list[str]]:
    """Return the arrays of each part, and the names of unused arrays.

    Parameters
    ----------
    where : object
        What to call the data in errors.
    names : iterable of str
        Names of all arrays; those in `CLASS_NAMES` are ignored.

    Raises
    ------
    DataError
        No images have labels, two arrays are of the same kind and part, or a part has images or labels only.

    Examples
    --------
    >>> pair_arrays("data.npz", ["X_train", "y_train", "x_val", "y_val", "x_test", "y_test", "seed"])[0]["validation"]
    ArrayPair(images='x_val', labels='y_val')
    """
    names = [name for name in names if name.lower() not in CLASS_NAMES]
    if set(names) == {"arr_0", "arr_1"}:  # np.savez(file, images, labels)
        return {"train": ArrayPair("arr_0", "arr_1")}, []
    shared = set[str]()
    if len(names) > 1:
        shared = set.intersection(*(set(words(name)) for name in names)) - set(_KIND)
    found: dict[tuple[str, str], str] = {}
    for name in names:
        kind, part = kind_of(name, shared), part_of(name)
        if kind is None:
            continue
        if (key := (part or "", kind)) in found:
            raise DataError(
                f"{where}: {found[key]} and {name} are both {kind} {_of(part or '')}; remove or rename one of them"
            )
        else:
            found[key] = name
    pairs = {}
    for part in ("", "train", "validation", "test"):
        images, labels = found.get((part, "images")), found.get((part, "labels"))
        if images and labels:
            pairs[part] = ArrayPair(images, labels)
        elif (images or labels) and part != "test":  # competitions publish test images without labels
            missing = "labels" if images else "images"
            raise DataError(f"{where}: {images or labels} has no matching {missing}; add them, or remove it")
    if not pairs:
        there = named([ascii(name[:40])[1:-1] for name in names], 8) or "no arrays"
        raise DataError(f"{where}: expected the arrays x_train and y_train, or images and labels; found {there}")
    parts = assign(where, pairs)
    used = {name for pair in parts.values() for name in pair}
    return parts, [name for name in names if name not in used]


def _of(part: str) -> str:
    return f"of the {part} part" if part else "of an unnamed part"
