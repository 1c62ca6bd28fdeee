"""How image files are read: what the user may ask for, in one place."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from rot180.data.image import ImageFacts
from rot180.errors import ArgumentError, DataError, did_you_mean
from rot180.nn.preprocessing import RESIZES

ON_BAD_FILE = ("strict", "skip")
"""What to do about a file that is no readable image."""

FEW_BAD, MOST_BAD = 10, 0.001
"""Bad files, and their share, above which `skip` stops as well: so many are no accident. Half of the files are."""

MAX_SIDE = 4096
"""The largest size that images are brought to, in pixels."""

Progress = Callable[[str, int, int], None]
"""Called with what is done, how much of it, and how much there is."""

_log = logging.getLogger("rot180.data")


def _silent(what: str, done: int, total: int) -> None:
    """Report no progress."""


@dataclass(frozen=True)
class ImageOptions:
    """How image files become arrays.

    Parameters
    ----------
    size : (int, int) or None
        Height and width; None is chosen from the files.
    channels : 1, 3 or None
        Gray or color; None is chosen from the files.
    resize : {"stretch", "crop", "pad"}
        What becomes of pictures of other proportions.
    on_bad_file : {"strict", "skip"}
        Whether to stop at a bad file, or to log it and leave it out, and to stop only where there are more than 10 of
        them and more than 0.1%, or more than half.
    label_column : str, int or None
        The column of a table that holds the labels, by its name or its number counted from 1 (-1 is the last); None
        goes by the header, or by the values.
    memory : int
        Bytes up to which decoded images are kept in memory, all at once; above it they are decoded batch by batch.
    workers : int
        Threads that read and decode. Their number never changes the result.
    progress : callable
        Told what is going on.
    on_fact : callable, optional
        Told format, size and color of each image file, as it stands before resizing.

    Raises
    ------
    ArgumentError
        A value is not one of these.
    """

    size: tuple[int, int] | None = None
    channels: int | None = None
    resize: str = "stretch"
    on_bad_file: str = "strict"
    label_column: str | int | None = None
    memory: int = 1024**3
    workers: int = field(default_factory=lambda: min(os.cpu_count() or 1, 8))
    progress: Progress = _silent
    on_fact: Callable[[ImageFacts], None] | None = None

    def __post_init__(self) -> None:
        if self.resize not in RESIZES:
            raise ArgumentError(f"no way to resize is called {self.resize!r}{did_you_mean(self.resize, RESIZES)}")
        if self.on_bad_file not in ON_BAD_FILE:
            raise ArgumentError(f"on-bad-file is strict or skip; came {self.on_bad_file!r}")
        if self.size is not None and not (1 <= min(self.size) and max(self.size) <= MAX_SIDE):
            raise ArgumentError(f"images are resized to 1 to {MAX_SIDE} pixels a side; came {self.size}")
        if self.channels not in (None, 1, 3):
            raise ArgumentError(f"image files become 1 channel (gray) or 3 (color); came {self.channels}")


def parse_resize(text: str) -> tuple[tuple[int, int] | None, int | None, str]:
    """Read what `--resize` says: a way, a size, or both; return (size, channels, way).

    >>> parse_resize("64"), parse_resize("crop:32x48"), parse_resize("28x28x1"), parse_resize("pad")
    (((64, 64), None, 'stretch'), ((32, 48), None, 'crop'), ((28, 28), 1, 'stretch'), (None, None, 'pad'))
    """
    match = re.fullmatch(r"(?:(stretch|crop|pad)(?::|$))?(?:(\d{1,5})(?:x(\d{1,5})(?:x([13]))?)?)?", text.strip())
    if not text.strip() or match is None or text.strip().endswith(":"):
        raise ArgumentError(
            f"resize must be a size (64, 64x48, 28x28x1), a way ({', '.join(RESIZES)}) or both (crop:64); came {text!r}"
        )
    way, height, width, channels = match.groups()
    size = None if height is None else (int(height), int(width or height))
    return size, None if channels is None else int(channels), way or "stretch"


class BadFiles:
    """What to do about files that are no readable images, and which they were.

    Parameters
    ----------
    policy : {"strict", "skip", "collect"}
        `strict` raises at the first; `skip` logs each and raises where they are too many; `collect` only remembers.
    total : int
        Files that there are.
    """

    def __init__(self, policy: str, total: int) -> None:
        self.policy, self.total = policy, total
        self.found: list[DataError] = []

    def report(self, error: DataError) -> None:
        """Take a bad file in, or raise.

        Raises
        ------
        DataError
        """
        if self.policy == "strict":
            raise DataError(f"{error} (--on-bad-file skip leaves such files out)") from None
        self.found.append(error)
        if self.policy == "skip":
            _log.warning("left out: %s", error)
            if len(self.found) > min(max(FEW_BAD, MOST_BAD * self.total), self.total / 2):
                raise DataError(
                    f"{len(self.found)} of {self.total} files are bad, more than {FEW_BAD} and {MOST_BAD:.1%}, or more "
                    f"than half; the last was {error}; mend or remove them"
                ) from None
