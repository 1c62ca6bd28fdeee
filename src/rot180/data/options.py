"""The user's options for reading image files."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from rot180.data.image import ImageFacts
from rot180.errors import ArgumentError, DataError
from rot180.nn.preprocessing import RESIZES, read_resizing
from rot180.parallel.start import cores

ON_BAD_FILE = ("strict", "skip")
"""What to do about a file that is not a readable image."""

FEW_BAD, MOST_BAD = 10, 0.001
"""`skip` stops, too, if more files than this number and this fraction, or more than half of all files, are bad."""

MAX_SIDE = 4096
"""Maximum height and width that images are resized to, in pixels."""

Progress = Callable[[str, int, int], None]
"""Called with the name of the task, how much of it is done, and its total."""

_log = logging.getLogger("rot180.data")


def _silent(what: str, done: int, total: int) -> None:
    """Report no progress."""


@dataclass(frozen=True)
class ImageOptions:
    """How image files are converted to arrays.

    Parameters
    ----------
    size : (int, int) or None
        Height and width; None chooses them from the files.
    channels : 1, 3 or None
        Gray or color; None chooses from the files.
    resize : {"stretch", "crop", "pad"}
        What happens to images of another aspect ratio.
    on_bad_file : {"strict", "skip"}
        Whether to stop at a bad file, or to log it and leave it out. `skip` stops only if more than 10 files and more
        than 0.1% are bad, or more than half.
    label_column : str, int or None
        The column of a table that holds the labels, by name or by number counted from 1 (-1 is the last); None decides
        by the header, or by the values.
    memory : int
        If the decoded images take at most this many bytes, all are kept in memory; else they are decoded batch by
        batch.
    keeps_files : bool
        Decode batch by batch even if memory suffices, unless all images have the chosen size already, so that the
        augmentation `resizedcrop` can crop images before they are resized.
    keeps_names : bool
        Keep the names of all images, and not only of those to test on.
    workers : int
        Number of threads that read and decode; it never affects the result.
    progress : callable
        Called with the progress.
    on_fact : callable, optional
        Called with the format, size and color of each image file before resizing.

    Raises
    ------
    ArgumentError
        A value is invalid.
    """

    size: tuple[int, int] | None = None
    channels: int | None = None
    resize: str = "stretch"
    on_bad_file: str = "strict"
    label_column: str | int | None = None
    memory: int = 1024**3
    keeps_files: bool = False
    keeps_names: bool = False
    workers: int = field(default_factory=lambda: min(cores(), 8))
    progress: Progress = _silent
    on_fact: Callable[[ImageFacts], None] | None = None

    def __post_init__(self) -> None:
        read_resizing(self.resize)
        if self.on_bad_file not in ON_BAD_FILE:
            raise ArgumentError(f"on-bad-file must be strict or skip; got {self.on_bad_file!r}")
        if self.size is not None and not (1 <= min(self.size) and max(self.size) <= MAX_SIDE):
            raise ArgumentError(f"images can be resized to 1 to {MAX_SIDE} pixels a side; got {self.size}")
        if self.channels not in (None, 1, 3):
            raise ArgumentError(f"image files have 1 channel (gray) or 3 (color); got {self.channels}")


def parse_resize(text: str) -> tuple[tuple[int, int] | None, int | None, str]:
    """Parse the value of `--resize`: a way, a size, or both; return (size, channels, way).

    >>> parse_resize("64"), parse_resize("crop:32x48"), parse_resize("28x28x1"), parse_resize("pad")
    (((64, 64), None, 'stretch'), ((32, 48), None, 'crop'), ((28, 28), 1, 'stretch'), (None, None, 'pad'))
    """
    match = re.fullmatch(r"(?:(stretch|crop|pad)(?::|$))?(?:(\d{1,5})(?:x(\d{1,5})(?:x([13]))?)?)?", text.strip())
    if not text.strip() or match is None or text.strip().endswith(":"):
        raise ArgumentError(
            f"resize must be a size (64, 64x48, 28x28x1), a way ({', '.join(RESIZES)}) or both (crop:64); got {text!r}"
        )
    way, height, width, channels = match.groups()
    size = None if height is None else (int(height), int(width or height))
    return size, None if channels is None else int(channels), way or "stretch"


class BadFiles:
    """Collects files that are not readable images, and decides what to do about them.

    Parameters
    ----------
    policy : {"strict", "skip", "collect"}
        `strict` raises at the first; `skip` logs each and raises if there are too many; `collect` only records them.
    total : int
        Total number of files.
    """

    def __init__(self, policy: str, total: int) -> None:
        self.policy, self.total = policy, total
        self.found: list[DataError] = []

    def report(self, error: DataError) -> None:
        """Record a bad file, or raise.

        Raises
        ------
        DataError
        """
        if self.policy == "strict":
            raise DataError(f"{error} (use --on-bad-file skip to leave out such files)") from None
        self.found.append(error)
        if self.policy == "skip":
            _log.warning("%s (left out, as --on-bad-file skip asks)", error)
            if len(self.found) > min(max(FEW_BAD, MOST_BAD * self.total), self.total / 2):
                raise DataError(
                    f"{len(self.found)} of {self.total} files are bad, more than {FEW_BAD} and {MOST_BAD:.1%}, or more "
                    f"than half; the last was {error}; correct or remove them"
                ) from None
