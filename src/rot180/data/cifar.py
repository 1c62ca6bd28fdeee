"""CIFAR-10 in its binary version: the downloaded archive, or the folder inside it.

Each record is a label byte followed by the red, green and blue planes of 32 x 32, 3,072 bytes in all. The Python
version is a pickle, which could run code, and is not read.
"""

from __future__ import annotations

import re
import tarfile
import zlib
from collections.abc import Iterator
from io import BufferedIOBase, RawIOBase
from pathlib import Path

import numpy as np

from rot180.data.bounded import open_bytes
from rot180.data.dataset import Dataset
from rot180.data.growing import Growing
from rot180.errors import DataError
from rot180.ops.types import Array

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

RECORD = 1 + 3 * 32 * 32

MAX_MEMBER = 10_000 * RECORD
"""Size of each file in the archive; a larger one is something else."""

_MEMBER = re.compile(r"(?:.*/)?(data_batch_[1-5]|test_batch)\.bin")


def is_cifar10(path: Path) -> bool:
    """Return whether a path is CIFAR-10's binary archive, or a folder with its files."""
    if path.is_dir():
        return (path / "data_batch_1.bin").is_file()
    return path.is_file() and bool(re.search(r"cifar-10-binary.*\.(tar\.gz|tgz|tar)$", path.name.lower()))


def read_cifar10(path: Path) -> Dataset:
    """Read CIFAR-10 without unpacking it to the disk.

    Raises
    ------
    DataError
        Files are missing or damaged.
    """
    found: dict[str, bytes] = {}
    try:
        for name, content in _members(path):
            found[name] = content
    except DataError:
        raise
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError) as error:
        reason = str(error).partition("\n")[0].strip(":")[:120]
        raise DataError(f"{path}: the archive cannot be read ({reason}); copy or download it again") from None
    names = [f"data_batch_{number}" for number in range(1, 6)]
    if missing := [name for name in (*names, "test_batch") if name not in found]:
        raise DataError(f"{path}: expected CIFAR-10's six files, found no {missing[0]}.bin; download it again")
    test_images, test_labels = _records(path, "test_batch", found.pop("test_batch"))
    images, labels = Growing((32, 32, 3)), Growing((), np.int64)
    for name in names:
        some, own = _records(path, name, found.pop(name))
        images.add(some)
        labels.add(own)
    return Dataset(
        name="cifar10",
        train_images=images.finish(),
        train_labels=labels.finish(),
        test_images=test_images,
        test_labels=test_labels,
        class_names=CLASSES,
        description=f"CIFAR-10 (Krizhevsky, 2009) in {path}",
    )


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    if path.is_dir():
        for file in sorted(path.glob("*.bin")):
            if match := _MEMBER.fullmatch(file.name):
                with file.open("rb") as opened:
                    yield match[1], opened.read(MAX_MEMBER + 1)
        return
    with (
        open_bytes(path, "CIFAR-10's archive") as (stream, _),
        tarfile.open(fileobj=_Wary(stream), mode="r:") as archive,
    ):
        for member in archive:
            match = _MEMBER.fullmatch(member.name)
            # Links and devices are skipped: only what the archive itself holds is read.
            if match and member.isreg() and (opened_member := archive.extractfile(member)):
                yield match[1], opened_member.read(MAX_MEMBER + 1)


class _Wary(RawIOBase):
    """A file read in pieces no larger than a member: the header of a tar archive may claim gigabytes."""

    def __init__(self, file: BufferedIOBase) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MAX_MEMBER + 1:
            raise tarfile.ReadError(f"a header claims {size} bytes")
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


def _records(path: Path, name: str, content: bytes) -> tuple[Array, Array]:
    if not content or len(content) % RECORD or len(content) > MAX_MEMBER:
        raise DataError(f"{path}: {name}.bin: expected records of {RECORD} bytes, found {len(content)} bytes in total")
    records = np.frombuffer(content, np.uint8).reshape(-1, RECORD)
    labels = records[:, 0].astype(np.int64)
    if labels.max() >= len(CLASSES):
        raise DataError(f"{path}: {name}.bin: expected labels from 0 to 9, found {labels.max()}; is this CIFAR-10?")
    images = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), labels
