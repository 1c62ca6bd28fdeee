"""`config.json`, as model hubs keep it beside the weights: how images are prepared, and the names of the classes."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rot180.errors import ModelError, Rot180Error
from rot180.files import read_bounded
from rot180.nn.preprocessing import Preprocessing, Resizing

MAX_BYTES = 4 * 1024**2
"""The longest file that is read; one with the names of twenty thousand classes is a fifth of it."""

WAYS = {"center": "crop", "squash": "stretch", "border": "pad"}
"""How images are resized, by timm's word for it."""


@dataclass(frozen=True)
class HubConfig:
    """What a `config.json` says; None where it says nothing.

    Attributes
    ----------
    architecture : str or None
        Such as "resnet18" or "tf_efficientnet_lite0".
    input_shape : (H, W, C) or None
    preprocessing : Preprocessing or None
    class_names : tuple of str or None
    license : str or None
    """

    architecture: str | None = None
    input_shape: tuple[int, int, int] | None = None
    preprocessing: Preprocessing | None = None
    class_names: tuple[str, ...] | None = None
    license: str | None = None


def read_hub_config(folder: Path) -> HubConfig | None:
    """Read the `config.json` in a folder; return None if there is none.

    Raises
    ------
    ModelError
        It is not JSON, or a value that is needed has the wrong form.
    """
    path = folder / "config.json"
    if not path.is_file():
        return None
    try:
        values = json.loads(read_bounded(path, MAX_BYTES))
    except (ValueError, RecursionError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"{path}: expected JSON ({str(error)[:80]}); correct it or move it away") from None
    if not isinstance(values, dict):
        raise ModelError(f"{path}: expected a table; correct it or move it away")
    trained = values.get("pretrained_cfg")
    settings = {**values, **(trained if isinstance(trained, dict) else {})}
    try:
        return HubConfig(
            _text(settings.get("architecture", values.get("architecture"))),
            _input_shape(settings.get("input_size")),
            _preprocessing(settings),
            _class_names(settings),
            _text(settings.get("license")),
        )
    except (TypeError, ValueError, KeyError, OverflowError, Rot180Error) as error:
        raise ModelError(f"{path}: cannot be used ({str(error)[:80]}); correct it or move it away") from None


def _text(value: Any) -> str | None:
    return value[:200] if isinstance(value, str) else None


def _input_shape(value: Any) -> tuple[int, int, int] | None:
    if value is None:
        return None
    channels, height, width = (int(size) for size in value)
    if not all(1 <= size <= 10_000 for size in (channels, height, width)):
        raise ValueError("input_size")
    return height, width, channels


def _preprocessing(settings: dict[str, Any]) -> Preprocessing | None:
    if settings.get("mean") is None or settings.get("std") is None:
        return None
    share = float(settings.get("crop_pct") or 1)
    way = WAYS.get(str(settings.get("crop_mode") or "center"), "crop")
    if not (math.isfinite(share) and 0.1 <= share <= 1):
        raise ValueError("crop_pct")
    bicubic = settings.get("interpolation") == "bicubic"
    resizing = Resizing(way, round(share, 6) if way == "crop" else 1.0, "bicubic" if bicubic else "bilinear")
    return Preprocessing("dataset", tuple(settings["mean"]), tuple(settings["std"]), resize=str(resizing))


def _class_names(settings: dict[str, Any]) -> tuple[str, ...] | None:
    names = settings.get("label_names") or settings.get("id2label")
    if isinstance(names, dict):  # by number, as text
        names = [names[str(number)] for number in range(len(names))]
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        return None
    return distinct(names)


def distinct(names: list[str]) -> tuple[str, ...]:
    """Return the names with a number behind each that occurred before: a model's class names differ.

    >>> distinct(["crane", "maillot", "crane"])
    ('crane', 'maillot', 'crane (2)')
    """
    found: dict[str, None] = {}
    for name in names:
        count, one = 1, name
        while one in found:
            count += 1
            one = f"{name} ({count})"
        found[one] = None
    return tuple(found)
