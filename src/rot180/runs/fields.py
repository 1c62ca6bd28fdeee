"""The schemas of a run's files, a table of names and kinds for each, and limits on their size.

A file is checked against its table when it is read; after that, every value is of the kind that the table gives.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rot180.errors import ModelError

MAX_COUNT = 2**48
"""The limit of whole numbers, exclusive."""

MAX_NUMBER = 1e300
"""The largest number; larger ones would overflow in the next multiplication."""


@dataclass(frozen=True)
class Kind:
    """A kind of value.

    Attributes
    ----------
    text : str
        A description, for the error message.
    fits : callable
        Returns whether a value is of this kind.
    inside : Kind, Mapping or None
        For a list, or a table with arbitrary names, the kind of the items; for a table with known names, their kinds.
    needed : bool
        Whether the name must be present.
    """

    text: str
    fits: Callable[[Any], bool]
    inside: Kind | Mapping[str, Kind] | None = None
    needed: bool = True


def maybe(kind: Kind) -> Kind:
    """Return the same kind for a name that may be missing."""
    return Kind(kind.text, kind.fits, kind.inside, needed=False)


def or_null(kind: Kind) -> Kind:
    """Return the kind, or null."""
    return Kind(f"{kind.text}, or null", lambda value: value is None or kind.fits(value), kind.inside, kind.needed)


def one_of(*kinds: Kind) -> Kind:
    """Return the union of some plain kinds."""
    return Kind(" or ".join(kind.text for kind in kinds), lambda value: any(kind.fits(value) for kind in kinds))


def list_of(kind: Kind) -> Kind:
    """Return the kind of lists with items of a kind."""
    return Kind("a list", lambda value: isinstance(value, list), kind)


def table(fields: Kind | Mapping[str, Kind]) -> Kind:
    """Return the kind of tables with these fields, ignoring others, or with any names and values of one kind."""
    return Kind("a table", lambda value: isinstance(value, dict), fields)


def _is_setting(value: Any, depth: int = 2) -> bool:
    if isinstance(value, list):
        return depth > 0 and all(_is_setting(item, depth - 1) for item in value)
    return value is None or SCALAR.fits(value)


TEXT = Kind("text", lambda value: type(value) is str)
FLAG = Kind("true or false", lambda value: type(value) is bool)
INTEGER = Kind("a whole number of 64 bits", lambda value: type(value) is int and value.bit_length() <= 64)
COUNT = Kind("a whole number from 0", lambda value: type(value) is int and 0 <= value < MAX_COUNT)
REAL = Kind("a number", lambda value: type(value) is float or COUNT.fits(value))
NUMBER = Kind("a finite number", lambda value: type(value) in (int, float) and abs(value) <= MAX_NUMBER)
SCALAR = one_of(TEXT, NUMBER, FLAG)
SETTING = Kind("text, a number, true or false, null, or lists of them", _is_setting)
ANYTHING = Kind("any value", lambda value: True)

MEASURE = or_null(NUMBER)  # null means not finite

EPOCH = {
    "epoch": COUNT,
    "train_loss": MEASURE,
    "train_accuracy": MEASURE,
    "validation_loss": MEASURE,
    "validation_accuracy": MEASURE,
    "learning_rate": MEASURE,
    "seconds": NUMBER,
    "images_per_second": NUMBER,
    "is_best": FLAG,
    "gradient_norm": maybe(MEASURE),
    "clipped": maybe(MEASURE),
}

HISTORY: dict[str, Mapping[str, Kind]] = {
    "started": {"epochs": COUNT, "batches": COUNT, "images": COUNT},
    "head": {"images": COUNT, "decay": NUMBER, "accuracy": NUMBER, "seconds": NUMBER},
    "resumed": {"epoch": COUNT, "batch": COUNT},
    "extended": {"epochs": COUNT, "before": COUNT},
    "step": {
        "epoch": maybe(COUNT),
        "batch": maybe(COUNT),
        "loss": MEASURE,
        "accuracy": maybe(MEASURE),
        "learning_rate": MEASURE,
        "seconds": maybe(NUMBER),
    },
    "epoch": EPOCH,
    "ended": {
        "reason": TEXT,
        "epoch": COUNT,
        "batch": COUNT,
        "batches": COUNT,
        "seconds": NUMBER,
        "restored_epoch": or_null(COUNT),
    },
    "test": {
        "count": COUNT,
        "loss": MEASURE,
        "accuracy": MEASURE,
        "classes": maybe(table({name: list_of(COUNT) for name in ("images", "predicted", "right")})),
    },
    "health": {"findings": maybe(list_of(TEXT))},
    "failed": {"reason": TEXT},
}
"""The fields of a line of `history.jsonl` by event; other events are ignored."""

HISTORY_PLACE = {
    "bytes": COUNT,
    "every": COUNT,
    "images": COUNT,
    "correct": COUNT,
    "loss": NUMBER,
    "seconds": NUMBER,
    "last": or_null(
        table(
            {
                **dict.fromkeys(("epoch", "batch", "images", "correct"), COUNT),
                **dict.fromkeys(("loss", "learning_rate", "seconds"), NUMBER),
                "updated": FLAG,
            }
        )
    ),
}
"""The position of a checkpoint in the history file."""

STATE = {
    "plan": table(
        {
            "epochs": COUNT,
            "early_stopping": or_null(COUNT),
            "optimizer": table({"name": TEXT}),
            "ema": maybe(or_null(NUMBER)),
        }
    ),
    "progress": table(
        {
            **dict.fromkeys(("epoch", "batch", "step", "correct", "images"), COUNT),
            **dict.fromkeys(("loss_sum", "seconds", "elapsed"), NUMBER),
            "best_loss": or_null(NUMBER),
            "best_epoch": or_null(COUNT),
            "gradient_norms": maybe(NUMBER),
            "clipped": maybe(COUNT),
        }
    ),
    "generators": table(table(ANYTHING)),  # checked by NumPy
    "step_count": COUNT,
    "steps": COUNT,
    "has_best": FLAG,
    "epochs": list_of(table({**EPOCH, "train_loss": REAL, "validation_loss": or_null(REAL)})),  # they may overflow
    "extra": table(ANYTHING),
}
"""`state.json`."""

RECORDER = {"history_file": table(HISTORY_PLACE), "epoch_pending": FLAG}
"""The `extra` values of a run's checkpoints."""

ENVIRONMENT = table(SCALAR)
"""`environment.json`: any names."""

PREPROCESSING = or_null(
    table(
        {
            "kind": maybe(TEXT),
            "mean": maybe(list_of(NUMBER)),
            "std": maybe(list_of(NUMBER)),
            "resize": maybe(TEXT),
            "pixels": maybe(or_null(table(or_null(SCALAR)))),
        }
    )
)
IMAGE_STATISTICS = or_null(
    table({"background": list_of(NUMBER), "color": or_null(list_of(NUMBER)), "sides": list_of(NUMBER)})
)
CLASS_NAMES = or_null(list_of(TEXT))
LAYERS = or_null(table(table(SETTING)))
"""In the metadata of a model file."""


def check_fields(value: Any, kind: Kind | Mapping[str, Kind], place: str, name: str = "") -> None:
    """Raise ModelError unless a value that was read is of a kind.

    Parameters
    ----------
    value
        As parsed from JSON or TOML.
    kind : Kind, or the fields of a table
    place : str
        The file, and the line in it.
    name : str
        The name of the value.

    Examples
    --------
    >>> check_fields({"event": "started", "epochs": 3.5}, HISTORY["started"], "history.jsonl: line 1")
    Traceback (most recent call last):
    rot180.errors.ModelError: history.jsonl: line 1: epochs must be a whole number from 0; it is 3.5
    """
    if not isinstance(kind, Kind):
        kind = table(kind)
    if not kind.fits(value):
        shown = (
            "null" if value is None else repr(value)[:40] if type(value) is not int or abs(value) < MAX_COUNT else ""
        )
        raise ModelError(f"{place}: {name or 'it'} must be {kind.text}; it is {shown or 'a larger number'}")
    inside = kind.inside
    if value is None or inside is None:
        return
    if isinstance(value, list):
        if isinstance(inside, Kind):
            for at, item in enumerate(value):
                check_fields(item, inside, place, f"{name}[{at}]")
    elif isinstance(inside, Kind):
        for key, item in value.items():
            check_fields(item, inside, place, _below(name, key))
    else:
        for key, field in inside.items():
            if key in value:
                check_fields(value[key], field, place, _below(name, key))
            elif field.needed:
                raise ModelError(f"{place}: {_below(name, key)} is missing")


def parse_json(data: bytes, place: str, limit: int) -> Any:
    """Parse JSON with at most `limit` values.

    A byte of JSON can need hundreds of bytes as objects, so the values are counted before any is created: by commas and
    brackets, including those in strings.

    Raises
    ------
    ModelError
        The data is not JSON, or has more values.

    Examples
    --------
    >>> parse_json(b'{"a": [1, 2]}', "note.json", 10)
    {'a': [1, 2]}
    """
    values = sum(data.count(mark) for mark in (b",", b"[", b"{"))
    if values > limit:
        raise ModelError(f"{place}: expected at most {limit:,} values, found {values:,}; it was not written by rot180")
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{place}: expected JSON ({str(error)[:80]}); the file is damaged") from None


def _below(name: str, key: str) -> str:
    return f"{name}.{key[:60]}" if name else key[:60]
