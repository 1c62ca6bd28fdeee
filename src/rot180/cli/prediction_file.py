"""Predictions as a CSV or JSON file, written image by image, so that memory does not grow with their number."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from rot180.cli.new_file import new_file


class Writer(Protocol):
    """Writes predictions as they are made; each is a dictionary as `predict --json` prints it."""

    def write(self, prediction: dict[str, Any]) -> None:
        """Write one."""

    def end(self, failed: list[dict[str, Any]]) -> None:
        """Write the rest, given the files that could not be read."""


@contextmanager
def prediction_file(path: Path, top: int) -> Iterator[Writer]:
    """Open a new file for predictions with `top` classes each; it gets its name when all are written.

    Raises
    ------
    ArgumentError
        As from `new_file`.
    DataError
        It cannot be written.
    """
    from rot180.errors import DataError
    from rot180.files import atomic_files

    suffix = new_file(path, "--out", *FORMATS)
    with atomic_files(path, replace=False, fault=DataError) as [file]:
        yield FORMATS[suffix](file, top)


class _Csv:
    """A line for each image: its name, the classes from the likeliest on, and how it is unlike the training images."""

    def __init__(self, file: BinaryIO, top: int) -> None:
        self._file = file
        ranks = ["", *(f"_{rank}" for rank in range(2, top + 1))]
        self._line(
            ["image", *(f"{what}{rank}" for rank in ranks for what in ("label", "probability")), "unlike_training"]
        )

    def write(self, prediction: dict[str, Any]) -> None:
        ranked = [one[what] for one in prediction["top"] for what in ("label", "probability")]
        self._line([prediction["image"].as_posix(), *ranked, "; ".join(prediction["unlike_training"])])

    def end(self, failed: list[dict[str, Any]]) -> None:
        """Write nothing: a file that cannot be read has no prediction."""

    def _line(self, values: list[Any]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(values)
        self._file.write(text.getvalue().encode("utf-8", "backslashreplace"))


class _Json:
    """The object that `predict --json` prints, with a line for each image."""

    def __init__(self, file: BinaryIO, top: int) -> None:
        self._file, self._between = file, "\n"
        self._file.write(b'{"predictions": [')

    def write(self, prediction: dict[str, Any]) -> None:
        self._write(f"{self._between}{_as_json(prediction)}")
        self._between = ",\n"

    def end(self, failed: list[dict[str, Any]]) -> None:
        self._write(f'\n], "failed": {_as_json(failed)}}}\n')

    def _write(self, text: str) -> None:
        self._file.write(text.encode("utf-8", "backslashreplace"))


FORMATS: dict[str, type[_Csv] | type[_Json]] = {".csv": _Csv, ".json": _Json}
"""The forms of files, by suffix."""


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=lambda path: path.as_posix())
