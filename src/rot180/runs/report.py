"""report.html: one page that shows a run and needs nothing beside it."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

from rot180.errors import ModelError
from rot180.files import Folder, quoted, read_bounded, write_atomically
from rot180.language import language, translate
from rot180.nn.network import Network
from rot180.runs.config import read_config
from rot180.runs.folder import RunFolder
from rot180.runs.history_file import is_milestone, iterate_records
from rot180.runs.page import bullets, code, figure, heading, page, paragraph, table, tiles

Record = Mapping[str, Any]

FIRST = {"curves": "Loss and accuracy", "confusion": "Confusion matrix"}
"""The pictures that stand beside each other on the first screen, by what the files' names begin with."""

BELOW = {"mistakes": "Worst mistakes", "kernels": "Kernels", "feature-maps": "Feature maps"}
"""The sections of the others, in their order."""

MAX_ROWS = 200
"""Rows of a table at most: of longer ones the first and the last."""

MAX_PICTURE = 32 * 1024**2
"""Bytes of one picture."""


def write_report(folder: RunFolder, model: Network) -> Path:
    """Write a run's page from what lies in its folder, with the pictures inside it, in the language in use.

    The page loads nothing and runs nothing: it may be sent by mail, and opened from a stranger.

    Raises
    ------
    ModelError
        A part of the run is damaged, or the page cannot be written.
    """
    config = read_config(folder.config_path)
    records = [record for record in iterate_records(folder.history_path) if is_milestone(record)]
    last = {record["event"]: record for record in records}
    epochs = [record for record in records if record["event"] == "epoch"]
    environment = folder.read_environment()
    parameters = model.summary().parameters
    body = [
        f"<header><h1>{escape(folder.path.name)}</h1>{_about(config, environment)}</header>",
        *_notices(folder, records, last),
        tiles(_results(last, epochs, parameters, _table_of(config, "training").get("augment"))),
        f'<div class="side">{"".join(_pictures(folder, FIRST))}</div>',
        *_health(last.get("health")),
        *_classes(last.get("test"), model.class_names),
        *(part for start, title in BELOW.items() for part in _section(title, _pictures(folder, {start: title}))),
        heading("Network"),
        code(str(config.get("network", ""))),
        _layers(model),
        *_epochs(epochs),
        *_values(
            "Settings", {"data": config.get("data"), "model": config.get("model"), **_table_of(config, "training")}
        ),
        *_values("Environment", environment),
    ]
    write_atomically(folder.report_path, page(folder.path.name, body), beneath=folder.path)
    return folder.report_path


def _about(config: Record, environment: Record) -> str:
    """Return the model, the data, the date and the command of a run."""
    facts = [str(config.get(name)) for name in ("model", "data") if config.get(name)]
    if date := environment.get("date"):
        facts.append(str(date)[:16].replace("T", " ") + " UTC")
    command = environment.get("command")
    return f'<p class="about">{escape(" · ".join(facts))}</p>' + (code(str(command)) if command else "")


def _notices(folder: RunFolder, records: list[dict[str, Any]], last: Record) -> Iterator[str]:
    """Yield notices above the numbers: that the training failed, or has not finished."""
    if records and records[-1]["event"] == "failed":
        yield paragraph(f"The training failed: {records[-1].get('reason')}", "notice")
        return
    ended = last.get("ended", {})
    if ended.get("reason") not in ("finished", "early_stopping"):
        text = "The training was interrupted. Resume it with:"
        if ended:
            place = f"in epoch {ended.get('epoch')} after batch {ended.get('batch')}"
            text = f"The training was interrupted {place}. Resume it with:"
        yield paragraph(text, "notice")
        yield code(f"rot180 train --resume {quoted(folder.path)}")


def _results(
    last: Record, epochs: list[dict[str, Any]], parameters: int, augment: object
) -> Iterator[tuple[str, str, str]]:
    """Yield the most important numbers."""
    ended, kept = last.get("ended", {}), _kept(last.get("ended", {}), epochs)
    if test := last.get("test"):
        count = int(test.get("count") or 0)
        right = round(float(test.get("accuracy") or 0) * count)
        remark = f"{right:,} of {count:,} images correct, loss {_shown(test.get('loss'))}"
        yield "test accuracy", _percent(test.get("accuracy")), remark
    if kept.get("validation_accuracy") is not None:
        remark = f"loss {_shown(kept.get('validation_loss'))}, epoch {kept.get('epoch')}"
        yield "validation accuracy", _percent(kept.get("validation_accuracy")), remark
    if kept:
        remark = f"loss {_shown(kept.get('train_loss'))}, epoch {kept.get('epoch')}"
        if "mix" in str(augment):
            remark = f"{remark}, of mixed images"
        yield "training accuracy", _percent(kept.get("train_accuracy")), remark
    head = last.get("head", {})
    if head:
        remark = (
            f"on a fifth of {head.get('images'):,} images, held out to choose its weight decay {head.get('decay'):g}"
        )
        yield "accuracy of the last layer alone", _percent(head.get("accuracy")), remark
    if (started := last.get("started")) and (epochs or started.get("epochs")):
        remark = f"{started.get('images') or 0:,} training images"
        if ended.get("reason") == "early_stopping":
            remark = f"stopped early; weights of epoch {kept.get('epoch')}"
        planned = started.get("epochs")
        if extended := last.get("extended"):
            planned, remark = extended.get("epochs"), f"{remark}; extended from {extended.get('before')} epochs"
        yield "epochs", f"{len(epochs)} / {planned}", remark
    if ended:
        yield "training time", _duration(ended.get("seconds", 0) + head.get("seconds", 0)), ""
    yield "parameters", f"{parameters:,}", ""


def _kept(ended: Record, epochs: list[dict[str, Any]]) -> Record:
    """Return the epoch whose weights were kept: the best after early stopping, else the last."""
    best = ended.get("restored_epoch")
    return next((epoch for epoch in epochs if epoch.get("epoch") == best), epochs[-1] if epochs else {})


def _health(record: Record | None) -> Iterator[str]:
    if record is None:
        return
    yield heading("Health")
    findings = ["; ".join(translate_finding(str(finding))) for finding in record.get("findings") or ()]
    yield bullets(findings) if findings else paragraph("No problems found.")


def translate_finding(text: str) -> tuple[str, str]:
    """Return a finding, in one line as the history has it, and the advice that it ends with, in the current language.

    >>> translate_finding("dead units in relu1: 60% of 64; try --lr 0.001")
    ('dead units in relu1: 60% of 64', 'try --lr 0.001')
    """
    told, found, advice = text.partition("; try ")
    if language() != "en":
        what, _, evidence = told.partition(": ")
        name, within, place = what.partition(" in ")
        where = f" {translate('in')} {place}" if within else ""
        told = f"{translate(name)}{where}{translate(':')}{translate(evidence)}"
    return told, translate(f"try {advice}") if found else ""


def _classes(test: Record | None, names: tuple[str, ...] | None) -> Iterator[str]:
    """Yield precision and recall of each class."""
    counts = test.get("classes") if test else None
    if not isinstance(counts, Mapping):
        return
    rows = []
    lists = [counts.get(name) for name in ("images", "predicted", "right")]
    if not all(isinstance(one, list) for one in lists):
        return
    for label, (images, predicted, right) in enumerate(zip(*lists, strict=False)):
        name = names[label] if names and label < len(names) else str(label)
        rows.append([name, f"{images:,}", f"{right:,}", _ratio(right, predicted), _ratio(right, images)])
    yield heading("Classes")
    yield table("Classes", ["class", "test images", "correct", "precision", "recall"], _cut(rows), numbers_from=1)


def _layers(model: Network) -> str:
    rows = [
        [row.name, row.word, "x".join(map(str, row.output_shape)), f"{row.parameters:,}", f"{row.multiply_adds:,}"]
        for row in model.summary().rows
    ]
    return table("Network", ["layer", "type", "output", "parameters", "multiply-adds"], rows, numbers_from=3)


def _epochs(epochs: list[dict[str, Any]]) -> Iterator[str]:
    heads = {
        "train_loss": "training loss",
        "train_accuracy": "training accuracy",
        "validation_loss": "validation loss",
        "validation_accuracy": "validation accuracy",
        "gradient_norm": "gradient norm",
        "clipped": "updates clipped",
        "images_per_second": "images per second",
    }
    heads = {name: head for name, head in heads.items() if any(epoch.get(name) is not None for epoch in epochs)}
    shares = ("train_accuracy", "validation_accuracy", "clipped")
    rows = [
        [
            str(epoch.get("epoch")),
            *(_percent(epoch.get(name)) if name in shares else _shown(epoch.get(name)) for name in heads),
        ]
        for epoch in epochs
    ]
    if rows:
        yield heading("Epochs")
        yield table("Epochs", ["epoch", *heads.values()], _cut(rows), numbers_from=1)


def _values(title: str, values: Mapping[str, Any]) -> Iterator[str]:
    rows = [[name, _shown(value)] for name, value in values.items() if value is not None]
    if rows:
        yield heading(title)
        yield table(title, [], rows, numbers_from=2)


def _section(title: str, pictures: Iterable[str]) -> Iterator[str]:
    """Yield pictures under a heading, or nothing if there are none."""
    found = list(pictures)
    if found:
        yield heading(title)
        yield from found


def _pictures(folder: RunFolder, kinds: Mapping[str, str]) -> Iterator[str]:
    """Yield the run's pictures whose names begin with one of some prefixes."""
    for start, title in kinds.items():
        for path in _png_files(folder, start):
            data = read_bounded(path, MAX_PICTURE, beneath=folder.path)
            yield figure(
                base64.b64encode(data).decode("ascii"),
                f"{translate(title)} {path.stem[len(start) :].strip('-')}".strip(),
            )


def _png_files(folder: RunFolder, start: str) -> list[Path]:
    """Return the pictures with a prefix; the pictures folder must not be a link."""
    try:
        with Folder(folder.pictures, folder.path) as pictures:
            names = pictures.names()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ModelError(f"{folder.pictures}: cannot be read ({error.strerror or error}); check the folder") from None
    return [folder.pictures / name for name in names if name.startswith(start) and name.endswith(".png")]


def _table_of(config: Record, name: str) -> Record:
    found = config.get(name)
    return found if isinstance(found, Mapping) else {}


def _cut(rows: list[list[str]]) -> list[list[str]]:
    return rows if len(rows) <= MAX_ROWS else [*rows[: MAX_ROWS // 2], *rows[-MAX_ROWS // 2 :]]


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if 1e4 <= abs(value) < 1e15 else f"{value:.4g}"
    return "" if value is None else str(value)


def _percent(value: Any) -> str:
    return f"{100 * value:.2f}%" if isinstance(value, (int, float)) else ""


def _ratio(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}%" if whole else "-"


def _duration(seconds: Any) -> str:
    """Return a duration in a readable form.

    >>> _duration(2.34), _duration(75), _duration(7300)
    ('2.3 s', '1 min 15 s', '2 h 1 min')
    """
    if not isinstance(seconds, (int, float)):
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
