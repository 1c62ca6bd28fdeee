"""Reading files that may be compressed, and may promise more than they hold."""

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
"""The most that one file of images may hold when unpacked: 2 GiB, 2.7 million images of 28 x 28."""

MAX_IMAGES = 4_000_000
"""The most images of one set: this bounds what is kept of each of them besides its pixels."""

MAX_DEFLATE_RATIO = 1032
"""Deflate packs at most 258 bytes into two bits, so a file can hold no more than this many times its size."""


def is_gzipped(path: Path) -> bool:
    """Say whether a file is gzip-compressed, by its first two bytes and not by its name."""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def refuse_disguise(path: Path, expected: str) -> None:
    """Raise DataError where a file is not what is expected, by its first bytes; gzip is for the caller to unpack.

    Raises
    ------
    DataError
        The file is empty, a web page, a pointer, an image, ... (`rot180.data.disguised`).
    OSError
        It cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
    if not head.startswith(b"\x1f\x8b") and (what := disguise(head, expected=expected)):
        raise DataError(f"{path}: expected {expected}, found {what}")


@contextmanager
def open_bytes(path: Path, expected: str) -> Iterator[tuple[BufferedIOBase, int]]:
    """Open a file, unpacking it on the way if it is gzipped; give it with the most bytes it can hold.

    Raises
    ------
    DataError
        The file cannot be opened or read, is something else than expected by its first bytes, or its compression is
        damaged; also from reads inside the block.
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
        raise DataError(
            f"{path}: the gzip file ends early, after {size} bytes; it was cut off, copy or download it again"
        ) from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: the gzip compression is damaged ({error}); copy or download the file again") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); check the path and its rights") from None
