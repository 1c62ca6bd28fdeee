"""A run's history: one line of JSON per event, written as it happens."""

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
"""The most step lines per epoch; in longer epochs, a line holds the mean of several steps."""

MAX_LINE = 1_000_000
"""The longest line that is read, in bytes."""

MAX_VALUES = 20_000
"""The most values in a line."""


class HistoryWriter:
    """Append the events of a training to a file; a subscriber.

    The file is opened and closed for each line, so that every event is in the file whenever the process ends, and a
    history is continued by another writer with the same path. A file that is removed during a training is not created
    again. A line is an object with `event`: `started`, `step` (mean loss and accuracy of the images since the last such
    line), `epoch`, `ended`, or the name passed to `write`.

    Parameters
    ----------
    path : str or Path
        `history.jsonl` of a run folder.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "history.jsonl"
    >>> HistoryWriter(path).write("failed", reason="a loss is not finite")
    >>> list(iterate_records(path))
    [{'event': 'failed', 'reason': 'a loss is not finite'}]
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._every = 1
        self._begun = False
        self._last: StepDone | None = None
        self._start_interval()

    def __call__(self, event: Event) -> None:
        """Record an event; raise ModelError if it cannot be written."""
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
            The name of the event.
        values
            Strings, numbers, Booleans, None, and lists of them; non-finite numbers become null.

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
        """Return the size of the file and the values pending for the next line, after flushing the file to disk.

        Raises
        ------
        ModelError
            The file is missing, or cannot be flushed.
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
        """Continue from what `state` returned: lines written since then are removed, as they will be written again.

        The position comes from another file, so nothing is removed unless the lines before it have the right number of
        epochs. A missing file is started again.

        Raises
        ------
        ModelError
            The state is damaged or belongs to another file, or the file cannot be changed.
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
                        f"{self.path}: does not belong to the checkpoint, which has {epochs} epochs where the history "
                        f"has {found}; restore the right file, or remove it to start a new one"
                    )
                file.truncate(end)
            self._begun = True
        except FileNotFoundError:
            pass
        except OSError as error:
            raise self._fault(error) from None

    def _open(self, path: str, flags: int) -> int:
        """Open the file, creating it only at the start: a removed folder must not get a new file."""
        return open_descriptor(path, flags & ~os.O_CREAT if self._begun else flags, beneath=self.path.parent)

    def _fault(self, error: OSError) -> ModelError:
        if isinstance(error, FileNotFoundError):
            what = "it" if self.path.parent.is_dir() else "its folder"
            return ModelError(f"{self.path}: cannot be written, as {what} is gone; do not move files during training")
        return ModelError(f"{self.path}: cannot be written ({error.strerror or error}); is the disk full?")

    def _start_interval(self) -> None:
        self._images, self._loss, self._correct, self._seconds = 0, 0.0, 0, 0.0
        self._last = None

    def _write_interval(self) -> None:
        """Write the steps since the last such line, if any."""
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


def iterate_records(path: str | Path) -> Iterator[dict[str, Any]]:
    """Read the lines of a history one after another; none if there is no file.

    Raises
    ------
    ModelError
        The file cannot be read, is a link or not a regular file; or a line is too long, is not a JSON object with
        `event`, or has a value of the wrong type. The message names the line.
    """
    path = Path(path)
    try:
        with open_regular(path) as file:
            yield from (record for _, record in _lines(path, file))
    except FileNotFoundError:
        return
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error}); check its permissions") from None


def is_milestone(record: Mapping[str, Any]) -> bool:
    """Return whether a record is known and not of a step: these fit in memory, however long a training is."""
    return record["event"] in HISTORY and record["event"] != "step"


def read_history(path: str | Path) -> History:
    """Read a history file as the `History` that `fit` returned; steps that share a line become their mean.

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
            known = [field.name for field in fields(EpochDone) if field.name in record]
            history(EpochDone(**{name: record[name] for name in known}))
        elif record["event"] == "ended":
            history(TrainingEnded(**{field.name: record[field.name] for field in fields(TrainingEnded)}))
    return history


def _lines(path: Path, file: BinaryIO, end: int | None = None) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Yield each complete line up to a position in the file, as bytes and as a record."""
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
        raise ModelError(f"{place}: expected a JSON object with 'event', found {line[:40]!r}; correct it")
    check_fields(record, HISTORY.get(record["event"], {}), place)
    return record


def _number(value: Any) -> float:
    """Return a number of a record; null means that it was not finite."""
    return math.nan if value is None else float(value)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return [_finite(item) for item in value] if isinstance(value, (list, tuple)) else value
