"""What happened, a JSON object a line on stdout."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

from rot180.language.visible import json_ready, visible_json


def log(event: str, **values: Any) -> None:
    """Write one line: the time, the event, and whatever is known about it.

    >>> log("listening", address="http://127.0.0.1:8000")  # doctest: +ELLIPSIS
    {"time": "...Z", "event": "listening", "address": "http://127.0.0.1:8000"}
    """
    time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = json.dumps(json_ready({"time": time, "event": event, **values}), allow_nan=False)
    try:
        sys.stdout.write(visible_json(line) + "\n")  # in one piece: other workers write as well
        sys.stdout.flush()
    except (OSError, ValueError):
        pass  # nobody reads the log any more; requests are answered all the same


class LogHandler(logging.Handler):
    """Writes what libraries log."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        log("log", level=record.levelname.lower(), message=record.getMessage())
