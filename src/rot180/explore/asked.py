"""Reading what a request asks for; what cannot be meant is refused in one line."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from starlette.requests import Request

from rot180.errors import ArgumentError
from rot180.ops.types import Array


def last_event(text: str) -> tuple[int, int]:
    """Return the generation and the point of an event's id; those of nothing if it is none of ours.

    >>> last_event("2.17"), last_event("x")
    ((2, 17), (-1, 0))
    """
    generation, _, point = text.partition(".")
    if all(part.isascii() and part.isdigit() and len(part) < 16 for part in (generation, point)):
        return int(generation), int(point)
    return -1, 0


async def body(request: Request) -> dict[str, Any]:
    """Return the JSON object of a command."""
    try:
        found = json.loads(await request.body())
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ArgumentError("a command is one JSON object")
    return found


def pixels(given: object, shape: tuple[int, ...]) -> Array:
    """Return the image that the page has drawn or decoded: exactly as many bytes as the network takes."""
    size = math.prod(shape)
    try:
        data = base64.b64decode(given, validate=True) if isinstance(given, str) else b""
    except ValueError:
        data = b""
    if len(data) != size:
        raise ArgumentError(f"pixels must be {size} bytes in base64, one for each pixel and channel; got {len(data)}")
    return np.frombuffer(data, np.uint8).reshape(shape)


def whole(asked: Mapping[str, Any], name: str, below: int, default: int | None = None) -> int:
    """Return a whole number of a command, from 0."""
    found = asked.get(name, default)
    if not isinstance(found, int) or isinstance(found, bool) or not 0 <= found < below:
        raise ArgumentError(f"{name} must be a whole number from 0 to {below - 1}")
    return found
