"""A run's history: a line of JSON for each thing that happened, written while it happens."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, BinaryIO

from rot180.errors import ModelError
from rot180.files import open_descriptor, open_regular, system
from rot180.runs.fields import HISTORY, HISTORY_PLACE, check_fields, parse_json
from rot180.training.events import EpochDone, Event, StepDone, TrainingEnded, TrainingStarted
from rot180.training.history import History

STEPS_PER_EPOCH = 1000
"""Lines of steps in an epoch at most; longer epochs put the mean of several steps in one."""

MAX_LINE = 1_000_000
"""Bytes of a line that are read."""

MAX_VALUES = 20_000
"""Values of a line."""


class HistoryWriter:
    """Append what happens in a training to a file; a subscriber of its events.

    Each line is written and closed at once, so that everything told is in the file whenever the process ends, and a
    history is continued by making another writer of the same path. Once begun, a file that is removed stays away. A
    line is an object with `event`: `started`, `step` (mean loss and accuracy of the images since the last such line),
    `epoch`, `ended`, or what `write` is given.

    Parameters
    ----------
    path : str or Path
        `history.jsonl` of a run folder.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "history.jsonl"
    >>> HistoryWriter(path).write("failed", reason="a loss is not finite")
    >>> read_records(path)
    [{'event': 'failed', 'reason': 'a loss is not finite'}]
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._every = 1
        self._begun = False
        self._last: StepDone | None = None
        self._start_interval()

    def __call__(self, event: Event) -> None:
        """Take an event in; raise ModelError if it cannot be written."""
        if isinstance(event, TrainingStarted):
            self._every = max(1, math.ceil(event.batches / STEPS_PER_EPOCH))
            self.write(
                "started",
                epochs=event.epochs,
                batches=event.batches,
                images=event.images,
                validation_images=event.validation_images,
                batches_per_line=self._every,
            )
        elif isinstance(event, StepDone):
            self._images += event.images
            self._loss += event.loss * event.images
            self._correct += event.correct
            self._seconds += event.seconds
            self._last = event
            if event.batch % self._every == 0:
                self._write_interval()
        elif isinstance(event, EpochDone):
            self._write_interval()
            self.write("epoch", **asdict(event))
        elif isinstance(event, TrainingEnded):
            self._write_interval()
            self.write("ended", **asdict(event))

    def write(self, event: str, **values: Any) -> None:
        """Append a line.

        Parameters
        ----------
        event : str
            Its name.
        values
            Strings, numbers, truth values, None, and lists of them; what is not finite becomes null.

        Raises
        ------
        ModelError
            The file cannot be written.
        """
        finite = {name: _finite(value) for name, value in values.items()}
        line = json.dumps({"event": event, **finite}, allow_nan=False)
        try:
            with open(self.path, "a", encoding="utf-8", newline="\n", opener=self._open) as file:
                file.write(line + "\n")
            self._begun = True
        except OSError as error:
            raise self._fault(error) from None

    def state(self) -> dict[str, Any]:
        """Return where the file ends and what waits for the next line, after flushing the file to the disk.

        Raises
        ------
        ModelError
            The file is gone, or cannot be flushed.
        """
        try:
            with open_regular(self.path, "rb+", beneath=self.path.parent) as file:
                system.flush(file.fileno())
                size = file.seek(0, os.SEEK_END)
        except OSError as error:
            raise self._fault(error) from None
        last = None if self._last is None else asdict(self._last)
        sums = {"images": self._images, "loss": self._loss, "correct": self._correct, "seconds": self._seconds}
        return {"bytes": size, "every": self._every, "last": last, **sums}

    def restore(self, state: Mapping[str, Any], epochs: int) -> None:
        """Go on from what `state` returned: lines written since then are taken back, as they will come again.

        The place comes from another file, so nothing is cut unless the lines before it are those of so many epochs. A
        file that is missing is begun anew.

        Raises
        ------
        ModelError
            The state is damaged, the file is not the one that it belongs to, or cannot be changed.
        """
        check_fields(state, HISTORY_PLACE, f"{self.path}: the checkpoint's place in it")
        last = state["last"]
        self._every, self._images, self._correct = max(1, state["every"]), state["images"], state["correct"]
        self._loss, self._seconds = state["loss"], state["seconds"]
        self._last = None if last is None else StepDone(**{field.name: last[field.name] for field in fields(StepDone)})
        try:
            with open_regular(self.path, "rb+", beneath=self.path.parent) as file:
                end = found = 0
                for line, record in _lines(self.path, file, state["bytes"]):
                    end, found = end + len(line), found + (record["event"] == "epoch")
                if (end, found) != (state["bytes"], epochs):
                    raise ModelError(
                        f"{self.path}: is not the history that the checkpoint belongs to, as {found} of {epochs} "
                        f"epochs are before its place in it; put the right one back, or remove it to begin a new one"
                    )
                file.truncate(end)
            self._begun = True
        except FileNotFoundError:
            pass
        except OSError as error:
            raise self._fault(error) from None

    def _open(self, path: str, flags: int) -> int:
        """Open the file; make it only to begin it: whoever removes a folder is not to find a new file in it."""
        return open_descriptor(path, flags & ~os.O_CREAT if self._begun else flags, beneath=self.path.parent)

    def _fault(self, error: OSError) -> ModelError:
        if isinstance(error, FileNotFoundError):
            what = "it" if self.path.parent.is_dir() else "its folder"
            return ModelError(f"{self.path}: cannot be written, as {what} is gone; leave a run's files where they are")
        return ModelError(f"{self.path}: cannot be written ({error.strerror or error}); is the disk full?")

    def _start_interval(self) -> None:
        self._images, self._loss, self._correct, self._seconds = 0, 0.0, 0, 0.0
        self._last = None

    def _write_interval(self) -> None:
        """Write the steps since the last such line, if there are any."""
        if self._last is None:
            return
        self.write(
            "step",
            epoch=self._last.epoch,
            batch=self._last.batch,
            loss=self._loss / max(self._images, 1),
            accuracy=self._correct / max(self._images, 1),
            learning_rate=self._last.learning_rate,
            seconds=self._seconds,
        )
        self._start_interval()


def read_records(path: str | Path) -> list[dict[str, Any]]:
    """Read the lines of a history; a last line that was cut off, as by a power failure, is left out.

    Raises
    ------
    ModelError
        As from `iterate_records`.
    """
    return list(iterate_records(path))


def iterate_records(path: str | Path) -> Iterator[dict[str, Any]]:
    """Read the lines of a history one after another; there is none where there is no file.

    Raises
    ------
    ModelError
        The file cannot be read, is a link or no regular file; a line is too long, no JSON object with `event`, or has a
        value of another kind. The message names the line.
    """
    path = Path(path)
    try:
        with open_regular(path) as file:
            yield from (record for _, record in _lines(path, file))
    except FileNotFoundError:
        return
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error}); check its rights") from None


def is_milestone(record: Mapping[str, Any]) -> bool:
    """Say whether a line is of more than a step: those alone fit in memory, however long a training is."""
    return record["event"] in HISTORY and record["event"] != "step"


def read_history(path: str | Path) -> History:
    """Read a history file as the `History` that `fit` returned; where several steps share a line, their mean.

    Raises
    ------
    ModelError
        As from `iterate_records`.
    """
    history = History()
    for record in iterate_records(path):
        if record["event"] == "step":
            history.losses.append(_number(record["loss"]))
            history.learning_rates.append(_number(record["learning_rate"]))
        elif record["event"] == "epoch":
            history(EpochDone(**{field.name: record[field.name] for field in fields(EpochDone)}))
        elif record["event"] == "ended":
            history(TrainingEnded(**{field.name: record[field.name] for field in fields(TrainingEnded)}))
    return history


def _lines(path: Path, file: BinaryIO, end: int | None = None) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Yield each whole line up to a place in the file, as bytes and as a record."""
    number = place = 0
    while end is None or place < end:
        line = file.readline(MAX_LINE + 1)
        number, place = number + 1, place + len(line)
        if len(line) > MAX_LINE:
            raise ModelError(f"{path}: line {number}: expected at most {MAX_LINE:,} bytes, found more; remove the line")
        if not line.endswith(b"\n"):
            return
        yield line, _record(f"{path}: line {number}", line)


def _record(place: str, line: bytes) -> dict[str, Any]:
    record = parse_json(line, place, MAX_VALUES)
    if not isinstance(record, dict) or not isinstance(record.get("event"), str):
        raise ModelError(f"{place}: expected a JSON object with 'event', found {line[:40]!r}; mend it")
    check_fields(record, HISTORY.get(record["event"], {}), place)
    return record


def _number(value: Any) -> float:
    """Return a number of a record; null stands for one that was not finite."""
    return math.nan if value is None else float(value)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return [_finite(item) for item in value] if isinstance(value, (list, tuple)) else value
