"""Images that are decoded on demand, for data sets larger than memory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from rot180.data.image import Box, decode_image
from rot180.data.loader import read_ahead
from rot180.errors import ArgumentError
from rot180.nn.pixel_range import as_pixels
from rot180.ops.types import Array
from rot180.parallel.start import cores

PIECE = 256
"""Files that a thread samples at a time for the fingerprint."""

SAMPLE = 4096
"""Bytes sampled at the beginning, middle and end of a file; files up to three times this size count completely."""


class EncodedImage(NamedTuple):
    """An image that is not decoded yet: a file, or its contents."""

    name: str
    """The name of the file."""
    source: Path | bytes
    label: int
    suffix: str | None = None
    """The suffix of the file's name; the contents must be of its format."""
    place: str = ""
    """The path relative to the data set, by which the fingerprint identifies it."""
    row: int | None = None
    """The row, if the file holds many images; stored as a number, since there may be a million."""

    @property
    def found_at(self) -> str:
        """Where a user finds it: the file's path, with the row if the file holds many images."""
        return (self.place or self.name) + (f", row {self.row}" if self.row is not None else "")

    @property
    def called(self) -> str:
        """What to call it in errors: the name, and the row if there is one."""
        return self.name if self.row is None else f"{self.name}, row {self.row}"


class Images(Protocol):
    """The images of a data set: an array (N, H, W, C), or anything that is indexed like one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, H, W, C)."""

    @property
    def dtype(self) -> Any:
        """The type of the pixels."""

    @property
    def ndim(self) -> int:
        """4."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any) -> Array: ...


class LazyImages:
    """Encoded images, indexed like an array (N, H, W, C) of uint8.

    An integer index decodes one image, a slice or an array of integers those selected. Nothing is kept: each epoch
    decodes the images again, so memory holds only the batches in flight. Several threads may use it at once.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> path = Path(tempfile.mkdtemp()) / "red.png"
    >>> Image.new("RGB", (20, 10), "red").save(path)
    >>> images = LazyImages([EncodedImage("red.png", path, 0)] * 5, (4, 4, 3))
    >>> images.shape, images[1:3].shape, images[-1].shape, len(images.select(slice(2)))
    ((5, 4, 4, 3), (2, 4, 4, 3), (4, 4, 3), 2)
    """

    dtype = np.dtype(np.uint8)
    ndim = 4
    extremes = (0, 255)
    """The range of decoded pixels, so that it is known without decoding all images."""

    def __init__(
        self, encoded: Sequence[EncodedImage], image_shape: tuple[int, int, int], resize: str = "stretch"
    ) -> None:
        self._encoded, self._image_shape, self._resize = encoded, image_shape, resize

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, H, W, C)."""
        return len(self._encoded), *self._image_shape

    def __len__(self) -> int:
        return len(self._encoded)

    def __getitem__(self, index: Any) -> Array:
        if isinstance(index, (int, np.integer)):
            return self._decode(self._encoded[int(index)])
        found = np.empty((len(numbers := self._numbers(index)), *self._image_shape), np.uint8)
        for place, number in enumerate(numbers):
            found[place] = self._decode(self._encoded[number])
        return found

    def parts(self, index: Array, choose: Callable[[int, int, int], Box]) -> Array:
        """Return a part of each of some images, enlarged or reduced to (H, W).

        Parameters
        ----------
        index : (N,) integers
        choose : callable
            Called with the place in `index`, the height and the width of an image before it is resized; returns
            (top, left, height, width).
        """
        found = np.empty((len(index), *self._image_shape), np.uint8)
        for place, number in enumerate(index.tolist()):
            found[place] = self._decode(self._encoded[number], partial(choose, place))
        return found

    def select(self, index: slice | Array) -> LazyImages:
        """Return some of the images, still not decoded."""
        return LazyImages([self._encoded[number] for number in self._numbers(index)], self._image_shape, self._resize)

    def join(self, others: LazyImages) -> LazyImages:
        """Return these images followed by others of the same shape, still not decoded."""
        return LazyImages([*self._encoded, *others._encoded], self._image_shape, self._resize)

    def fingerprint(self, *, whole: bool = False, on_read: Callable[[int], None] | None = None) -> bytes:
        """Return a checksum of the files, and of the way they are resized.

        Each file contributes its path in the data set, its size, and a sample of its contents: everything up to 12 KB,
        else the first, middle and last 4 KB. Files are read by several threads: 70,000 take 1.4 s if cached. An
        unreadable file is recorded as such.

        Parameters
        ----------
        whole : bool
            Whether to include every byte instead, which takes as long as reading all files.
        on_read : callable, optional
            Called repeatedly with the number of images read so far.
        """
        found = hashlib.sha256(f"{self._image_shape} {self._resize}".encode())
        step = PIECE // 16 if whole else PIECE

        def piece(start: int) -> bytes:
            return b"".join(_digest(image, whole=whole) for image in self._encoded[start : start + step])

        starts = range(0, len(self), step)
        made = read_ahead(piece, starts, workers=min(cores(), 8))
        for start, digests in zip(starts, made, strict=True):
            found.update(digests)
            if on_read is not None:
                on_read(min(start + step, len(self)))
        return found.digest()

    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        raise ArgumentError(f"{len(self)} images are too many to decode into memory at once; index some of them")

    def _numbers(self, index: Any) -> Sequence[int]:
        return [int(number) for number in np.arange(len(self))[index]]

    def _decode(self, image: EncodedImage, part: Callable[[int, int], Box] | None = None) -> Array:
        return decode_image(
            image.source, image.called, self._image_shape, resize=self._resize, suffix=image.suffix, part=part
        )


def _digest(image: EncodedImage, *, whole: bool) -> bytes:
    """Return a checksum of an image's path, its size and a sample of its contents, or all of them."""
    row = "" if image.row is None else f", row {image.row}"
    found = hashlib.sha256(f"{image.place or image.name}{row}".encode("utf-8", "surrogatepass"))
    try:
        with BytesIO(image.source) if isinstance(image.source, bytes) else image.source.open("rb", 0) as file:
            size = file.seek(0, os.SEEK_END)
            found.update(f"\0{size}\0".encode())
            if whole or size <= 3 * SAMPLE:
                file.seek(0)
                while piece := file.read(1 << 20):
                    found.update(piece)
            else:
                for start in (0, (size - SAMPLE) // 2, size - SAMPLE):
                    file.seek(start)
                    found.update(file.read(SAMPLE))
    except OSError:
        found.update(b"\0unreadable")
    return found.digest()


def select(images: Any, index: slice | Array) -> Any:
    """Return some of the images: an array from an array, lazy images from lazy ones."""
    return images.select(index) if isinstance(images, LazyImages) else images[index]


def join(first: Any, second: Any) -> Any:
    """Concatenate images: an array from two arrays, lazy images from lazy ones."""
    if not len(first) or not len(second):
        return first if len(first) else second
    return first.join(second) if isinstance(first, LazyImages) else np.concatenate([first, second])


def as_images(images: Any, name: str = "images") -> Any:
    """Return lazy images unchanged, and anything else as an array of a supported type."""
    return images if isinstance(images, LazyImages) else as_pixels(images, name)
