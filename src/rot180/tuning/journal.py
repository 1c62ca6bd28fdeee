"""The journal of a study: one line of JSON for each thing that Optuna's storage notes, appended and flushed.

A study belongs to one process at a time, which its lock sees to; so the lines are read once, and a line that was cut
off when a process was killed is removed before others are appended.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend

from rot180.errors import ModelError
from rot180.files import open_regular, system
from rot180.runs.fields import parse_json

MAX_BYTES = 16 * 1024**2
"""The longest journal that is read; a trial takes about a thousand bytes, and eighty for each epoch."""

MAX_VALUES = 10_000
"""The most values in a line."""


class Journal(BaseJournalBackend):  # type: ignore[misc]
    """The lines of a file, for `optuna.storages.JournalStorage`.

    Parameters
    ----------
    path : Path
        It must exist; empty for a new study.

    Raises
    ------
    ModelError
        The file cannot be read or written, or is not a journal.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with open_regular(path, "ab+", beneath=path.parent) as file:
                file.seek(0)
                content = file.read(MAX_BYTES + 1)
                whole = content.rfind(b"\n") + 1
                if whole < len(content) <= MAX_BYTES:
                    file.truncate(whole)
        except OSError as error:
            raise self._fault(error) from None
        if len(content) > MAX_BYTES:
            raise ModelError(f"{path}: expected at most {MAX_BYTES:,} bytes, found more; not the journal of a study")
        self._lines: list[dict[str, Any]] = []
        for number, line in enumerate(content[:whole].splitlines(), 1):
            found = parse_json(line, f"{path}: line {number}", MAX_VALUES)
            if not isinstance(found, dict):
                raise ModelError(f"{path}: line {number}: expected a JSON object; the journal is damaged")
            self._lines.append(found)

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        """Return the lines from this one on."""
        return self._lines[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append lines; they are on the disk when this returns."""
        text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in logs)
        try:
            with open_regular(self._path, "ab", beneath=self._path.parent) as file:
                file.write(text.encode())
                file.flush()
                system.flush(file.fileno())
        except OSError as error:
            raise self._fault(error) from None
        self._lines += [json.loads(line) for line in text.splitlines()]

    def _fault(self, error: OSError) -> ModelError:
        return ModelError(
            f"{self._path}: cannot be opened or written ({error.strerror or error}); check the folder and the disk"
        )
