"""Reading files that may be compressed, or claim to hold more than they do."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path

from rot180.data.disguised import HEAD, disguise
from rot180.errors import DataError

MAX_BYTES = 2 * 1024**3
"""Maximum size of one file of images when unpacked: 2 GiB, or 2.7 million images of 28 x 28."""

MAX_IMAGES = 4_000_000
"""Maximum number of images in one set; it bounds what is stored for each besides its pixels."""

MAX_LABEL_BYTES = 128 * 1024**2
"""Maximum size of an array or column of labels: four million as int64, or as text of eight characters."""

MAX_DEFLATE_RATIO = 1032
"""Deflate packs at most 258 bytes into two bits, so a file unpacks to at most this many times its size."""


def is_gzipped(path: Path) -> bool:
    """Return whether a file is gzip-compressed, judged by its first two bytes, not by its name."""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def refuse_disguise(path: Path, expected: str) -> None:
    """Raise DataError if a file's first bytes show that it is not what is expected; the caller unpacks gzip.

    Raises
    ------
    DataError
        The file is empty, a web page, a pointer, an image, ... (`rot180.data.disguised`).
    OSError
        The file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
    if not head.startswith(b"\x1f\x8b") and (what := disguise(head, expected=expected)):
        raise DataError(f"{path}: expected {expected}, found {what}")


@contextmanager
def open_bytes(path: Path, expected: str) -> Iterator[tuple[BufferedIOBase, int]]:
    """Open a file, decompressing it on the fly if it is gzipped; yield it with the most bytes it can hold.

    Raises
    ------
    DataError
        The file cannot be opened or read, its first bytes show that it is something else, or its compression is
        damaged; reads inside the block may raise it too.
    """
    try:
        size = path.stat().st_size
        refuse_disguise(path, expected)
        if is_gzipped(path):
            with gzip.open(path, "rb") as file:
                if what := disguise(file.read(HEAD), expected=expected):
                    raise DataError(f"{path}: expected {expected} in the gzip file, found {what}")
                file.seek(0)
                yield file, size * MAX_DEFLATE_RATIO
        else:
            with path.open("rb") as plain:
                yield plain, size
    except EOFError:
        raise DataError(f"{path}: the gzip file is truncated, after {size} bytes; copy or download it again") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: the gzip compression is damaged ({error}); copy or download the file again") from None
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{path}: cannot be read ({reason}); check the path and its permissions") from None
