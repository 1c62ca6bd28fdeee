"""Making a data set from encoded images of any sizes: choosing size and channels, in memory or not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from rot180.data.compose import compose, contiguous
from rot180.data.dataset import Dataset
from rot180.data.growing import divide
from rot180.data.image import ImageFacts, decode_image, look_at_image
from rot180.data.lazy import EncodedImage, LazyImages, select
from rot180.data.loader import read_ahead
from rot180.data.options import BadFiles, ImageOptions
from rot180.data.parts import Sources
from rot180.errors import DataError
from rot180.nn.image_statistics import StoredImages
from rot180.ops.types import Array

KEEP_UP_TO = 96
"""Images that all have the same size, with no side longer than this, keep it."""

PIECE = 64
"""Images that a thread processes at a time."""

T = TypeVar("T")


def load_encoded(
    name: str,
    parts: Mapping[str, Sequence[EncodedImage]],
    class_names: tuple[str, ...] | None,
    options: ImageOptions,
    bad: BadFiles,
    *,
    description: str,
    sources: Sources,
    notes: Sequence[str] = (),
) -> Dataset:
    """Return a data set of encoded images, built with `rot180.data.compose`.

    The headers of all files are read before anything is decoded. Images that fit in `options.memory` are decoded once,
    by several threads, unless `options.keeps_files`; others are decoded batch by batch, again in each epoch.

    Raises
    ------
    DataError
        A file is bad and the options are strict, or too many are bad; no image is left.
    """
    every = [image for some in parts.values() for image in some]
    same: dict[ImageFacts, ImageFacts] = {}  # most images have the same properties: they share one object

    def look(image: EncodedImage) -> ImageFacts:
        fact = look_at_image(image.source, image.called, suffix=image.suffix)
        return same.setdefault(fact, fact)

    facts = _each(every, look, options, "reading headers")
    kept = np.array([_is_good(fact, bad) for fact in facts], bool).nonzero()[0]
    images: Array | LazyImages | None = None
    while images is None:
        if not len(kept):
            if bad.found:
                raise DataError(f"{name}: no image can be read ({bad.found[0]}); give a folder with readable images")
            raise DataError(f"{name}: no images found; give a folder with images")
        shape = choose_shape(facts_of(facts, kept), options)
        images, kept = _decode(every, facts, kept, shape, options, bad)
    known = facts_of(facts, kept)
    if all(fact.is_deep for fact in known) and isinstance(images, np.ndarray):
        notes = (*notes, *_depth_note(name, int(images.max())))
    if options.on_fact is not None:
        for fact in known:
            options.on_fact(fact)

    labels = np.fromiter((every[index].label for index in kept), np.int64, len(kept))
    part_of = np.searchsorted(np.cumsum([len(some) for some in parts.values()]), kept, side="right")
    loaded = {next(iter(parts)): (images, labels)}
    if len(parts) > 1:
        loaded = {
            part: (select(images, contiguous(chosen := np.flatnonzero(part_of == number))), labels[chosen])
            for number, part in enumerate(parts)
        }

    dataset = compose(
        name,
        loaded,
        where=name,
        description=description,
        sources=sources,
        class_names=class_names,
        notes=notes,
        resize=options.resize,
        image_names={
            part: (every[index].found_at for index in kept[part_of == number]) for number, part in enumerate(parts)
        },
        keeps_names=options.keeps_names,
    )
    sides = [side for fact in known for side in (fact.height, fact.width)]
    return replace(dataset, stored=StoredImages(min(sides), max(sides), all(fact.is_gray for fact in known)))


def _decode(
    every: Sequence[EncodedImage],
    facts: Sequence[object],
    kept: Array,
    shape: tuple[int, int, int],
    options: ImageOptions,
    bad: BadFiles,
) -> tuple[Array | LazyImages | None, Array]:
    """Return the images, in memory or not, and which are good; None if the good ones call for another shape.

    A bad file that is left out affects neither size nor channels, even if its header can be read.
    """
    in_memory = len(kept) * int(np.prod(shape)) <= options.memory and not (
        options.keeps_files and any((fact.height, fact.width) != shape[:2] for fact in facts_of(facts, kept))
    )
    pixels = np.empty((len(kept) if in_memory else 0, *shape), np.uint8)
    if in_memory or bad.policy != "strict":

        def decode(place: int) -> None:
            image = every[kept[place]]
            found = decode_image(image.source, image.called, shape, resize=options.resize, suffix=image.suffix)
            if in_memory:
                pixels[place] = found

        decoded = _each(range(len(kept)), decode, options, "reading images")
        good = np.array([_is_good(found, bad) for found in decoded], bool)
        if not good.all():
            kept = kept[good]
            known = facts_of(facts, kept)
            if not known or choose_shape(known, options) != shape:
                return None, kept
            pixels = divide(pixels, ~good)[0] if in_memory else pixels
    return pixels if in_memory else LazyImages([every[index] for index in kept], shape, options.resize), kept


def facts_of(facts: Sequence[object], kept: Array) -> list[ImageFacts]:
    """Return the properties of the images with these numbers, whose headers could be read."""
    return [fact for index in kept if isinstance(fact := facts[index], ImageFacts)]


def choose_shape(facts: Sequence[ImageFacts], options: ImageOptions) -> tuple[int, int, int]:
    """Return (H, W, C) for images of these sizes, unless the options determine it.

    Images that all have the same small size keep it. Others become squares with a side of 64 pixels, or 32 if half of
    them have a shorter side below 48. They are gray if all files are.

    Examples
    --------
    >>> facts = [ImageFacts("JPEG", 480, 640, False), ImageFacts("PNG", 90, 70, True)]
    >>> choose_shape(facts, ImageOptions()), choose_shape(facts[1:], ImageOptions())
    ((64, 64, 3), (90, 70, 1))
    """
    channels = options.channels or (1 if all(fact.is_gray for fact in facts) else 3)
    if options.size is not None:
        return *options.size, channels
    sizes = {(fact.height, fact.width) for fact in facts}
    if len(sizes) == 1 and max(next(iter(sizes))) <= KEEP_UP_TO:
        return *sizes.pop(), channels
    shorter = sorted(min(fact.height, fact.width) for fact in facts)[len(facts) // 2]
    side = 64 if shorter >= 48 else 32
    return side, side, channels


def _depth_note(name: str, brightest: int) -> tuple[str, ...]:
    """Return a note on 16-bit images, of which only the upper 8 bits are read; empty if their range is large enough.

    Raises
    ------
    DataError
        All of the upper 8 bits are zero.
    """
    if not brightest:
        raise DataError(
            f"{name}: expected 16-bit images with white at 65535, found none with a pixel above 255; only the "
            "upper 8 bits are read; multiply the pixels, or save them with 8 bits"
        )
    if brightest >= 64:
        return ()
    note = (
        f"the images have 16 bits, but no pixel is above {256 * brightest + 255}; only the upper 8 bits are read, "
        f"which leaves {brightest + 1} gray levels; to keep more, multiply the pixels so that white is 65535"
    )
    return (note,)


def _each(items: Sequence[T], work: Callable[[T], object], options: ImageOptions, what: str) -> list[object]:
    """Process the items in several threads; return the result of each, or its DataError, in order."""

    def piece(start: int) -> list[object]:
        found: list[object] = []
        for item in items[start : start + PIECE]:
            try:
                found.append(work(item))
            except DataError as error:
                found.append(error)
        return found

    results: list[object] = []
    for found in read_ahead(piece, range(0, len(items), PIECE), workers=options.workers, ahead=4):
        results += found
        options.progress(what, len(results), len(items))
    return results


def _is_good(found: object, bad: BadFiles) -> bool:
    """Return whether processing succeeded; report the error if it did not."""
    if isinstance(found, DataError):
        bad.report(found)
        return False
    return True
