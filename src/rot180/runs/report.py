"""report.html: one page that shows a run and needs nothing beside it."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any

from rot180.errors import ModelError
from rot180.files import write_atomically
from rot180.nn.sequential import Sequential
from rot180.runs.config import read_config
from rot180.runs.folder import RunFolder
from rot180.runs.history_file import read_records

HEADINGS = {
    "curves": "Loss and accuracy",
    "confusion": "Confusion matrix",
    "mistakes": "Worst mistakes",
    "kernels": "Kernels",
    "feature-maps": "Feature maps",
}
"""The sections of pictures, in their order, by what the files' names begin with."""

MAX_EPOCHS = 200
"""Rows of the table of epochs: of longer trainings the first and the last."""

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2.5rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
td, th { padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid #8884; }
.n { text-align: right; font-variant-numeric: tabular-nums; }
img { max-width: 100%; background: white; border-radius: 4px; }
code { overflow-wrap: anywhere; } .failed { border-left: 4px solid #d55e00; padding-left: 1rem; }
"""


def write_report(folder: RunFolder, model: Sequential) -> Path:
    """Write a run's page from what lies in its folder, with the pictures inside it.

    The page loads nothing and runs nothing: it may be sent by mail, and opened from a stranger.

    Raises
    ------
    ModelError
        A part of the run is damaged, or the page cannot be written.
    """
    config, records = read_config(folder.config_path), read_records(folder.history_path)
    epochs = [record for record in records if record["event"] == "epoch"]
    body = [
        f"<h1>{escape(folder.path.name)}</h1>",
        *_failure(records),
        _table("What came of it", _outcome(records, epochs)),
        f"<h2>The network</h2><p><code>{escape(str(config.get('network', '')))}</code></p>{_layers(model)}",
        *_pictures(folder.pictures, model.class_names),
        _epochs(epochs),
        _table("Settings", {"data": config.get("data"), "model": config.get("model"), **config.get("training", {})}),
        _table("Computed with", folder.read_environment()),
    ]
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    page = (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{escape(folder.path.name)}</title>'
        f'<meta name="viewport" content="width=device-width"><meta http-equiv="Content-Security-Policy" '
        f'content="{policy}"><style>{STYLE}</style></head><body>{"".join(body)}</body></html>\n'
    )
    write_atomically(folder.report_path, page.encode("utf-8", "replace"))
    return folder.report_path


def _outcome(records: list[dict[str, Any]], epochs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the few numbers that are looked for first."""
    last = {record["event"]: record for record in records}
    found: dict[str, Any] = {}
    if test := last.get("test"):
        right = round(float(test.get("accuracy") or 0) * int(test.get("count") or 0))
        found["unseen images right"] = f"{right:,} of {int(test.get('count') or 0):,}"
        found["test accuracy"], found["test loss"] = _percent(test.get("accuracy")), _shown(test.get("loss"))
    if epochs:
        found["training loss"] = _shown(epochs[-1].get("train_loss"))
        found["training accuracy"] = _percent(epochs[-1].get("train_accuracy"))
        known = [epoch for epoch in epochs if epoch.get("validation_loss") is not None]
        if known:
            best = min(known, key=lambda epoch: float(epoch["validation_loss"]))
            found["lowest validation loss"] = f"{_shown(best['validation_loss'])} in epoch {best.get('epoch')}"
    if started := last.get("started"):
        found["epochs"] = f"{len(epochs)} of {started.get('epochs')}"
        found["training images"] = f"{started.get('images') or 0:,}"
    if ended := last.get("ended"):
        found["ended"], found["seconds"] = ended.get("reason"), _shown(ended.get("seconds"))
    return found


def _failure(records: list[dict[str, Any]]) -> Iterable[str]:
    if records and records[-1]["event"] == "failed":
        yield f'<p class="failed"><strong>The training failed.</strong> {escape(str(records[-1].get("reason")))}</p>'


def _layers(model: Sequential) -> str:
    rows = [
        [row.name, row.word, "x".join(map(str, row.output_shape)), f"{row.parameters:,}", f"{row.multiply_adds:,}"]
        for row in model.summary().rows
    ]
    return _rows(["layer", "what", "output", "parameters", "multiply-adds"], rows, numbers_from=3)


def _epochs(epochs: list[dict[str, Any]]) -> str:
    shown = epochs if len(epochs) <= MAX_EPOCHS else [*epochs[: MAX_EPOCHS // 2], *epochs[-MAX_EPOCHS // 2 :]]
    names = ["train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "images_per_second"]
    rows = [
        [
            str(epoch.get("epoch")),
            *(_percent(epoch.get(name)) if "accuracy" in name else _shown(epoch.get(name)) for name in names),
        ]
        for epoch in shown
    ]
    heads = ["epoch", *(name.replace("_", " ") for name in names)]
    return f"<h2>Epochs</h2>{_rows(heads, rows, numbers_from=0)}" if rows else ""


def _pictures(folder: Path, class_names: tuple[str, ...] | None) -> Iterable[str]:
    """Yield a section for each kind of picture that is there."""
    for start, heading in HEADINGS.items():
        paths = sorted(folder.glob(f"{start}*.png"))
        if paths:
            yield f"<h2>{heading}</h2>"
        for path in paths:
            try:
                data = base64.b64encode(path.read_bytes()).decode("ascii")
            except OSError as error:
                raise ModelError(f"{path}: cannot be read ({error.strerror or error}); draw it again") from None
            yield f'<p><img alt="{escape(path.stem)}" src="data:image/png;base64,{data}"></p>'


def _table(heading: str, values: Mapping[str, Any]) -> str:
    rows = [[str(name), _shown(value)] for name, value in values.items() if value is not None]
    return f"<h2>{escape(heading)}</h2>{_rows([], rows, numbers_from=2)}" if rows else ""


def _rows(heads: list[str], rows: list[list[str]], *, numbers_from: int) -> str:
    """Return a table; the columns from a number on hold numbers."""

    def line(cells: list[str], tag: str) -> str:
        kinds = (' class="n"' if at >= numbers_from else "" for at in range(len(cells)))
        return "".join(f"<{tag}{kind}>{escape(cell)}</{tag}>" for cell, kind in zip(cells, kinds, strict=True))

    head = f"<tr>{line(heads, 'th')}</tr>" if heads else ""
    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    return f"<table>{head}{body}</table>"


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    return "" if value is None else str(value)


def _percent(value: Any) -> str:
    return f"{100 * value:.2f}%" if isinstance(value, (int, float)) else ""
