"""What the requests of the page are answered with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from starlette.responses import JSONResponse, Response

from rot180.files.safetensors_file import serialize
from rot180.inside.explain import Ledger
from rot180.language import translate
from rot180.language.visible import json_ready
from rot180.nn.pixel_range import to_show
from rot180.ops.types import Array


def answer(values: Mapping[str, Any]) -> Response:
    """Return values as JSON; infinities and NaN, which it lacks, become null."""
    try:
        text = json.dumps(values, default=json_ready, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError:  # there is one of them: all values are gone through, which takes longer than to write them
        return JSONResponse(json_ready(values))
    return Response(text.encode(), media_type="application/json")


def binary(data: bytes, *, changes: bool = False) -> Response:
    """Return arrays in the safetensors layout, which a browser keeps unless they change."""
    headers = {} if changes else {"cache-control": "private, max-age=31536000, immutable"}
    return Response(data, media_type="application/octet-stream", headers=headers)


def shown_images(images: Array, labels: Array, limits: tuple[float, float]) -> bytes:
    """Return images as the page draws them, from black 0 to white 1, with their labels."""
    shown = to_show(images, limits)
    if shown.dtype == np.uint8:
        shown = shown / np.float32(255)
    labels = labels if labels.ndim == 1 else labels.argmax(axis=1)  # mixed images have shares of several classes
    return serialize({"images": shown.astype(np.float32)}, {"labels": json.dumps(labels.tolist())})


def told_ledger(ledger: Ledger, into: str) -> dict[str, Any]:
    """Return a ledger with its texts in a language."""
    told = ledger.to_dict()
    told["rule"] = translate(told["rule"], into)
    told["notes"] = [translate(note, into) for note in told["notes"]]
    entries = (*told["steps"], *told["terms"])
    formulas = {formula: translate(formula, into) for formula in {entry["formula"] for entry in entries}}
    for entry in entries:
        entry["formula"] = formulas[entry["formula"]]
    for step in told["steps"]:
        step["name"] = translate(step["name"], into)
    return told
