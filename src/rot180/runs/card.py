"""A run as the files of a hub's repository: weights, configuration, and a card with what was measured."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rot180 import __version__
from rot180.data.named import NAMES
from rot180.errors import ArgumentError
from rot180.nn import MODELS
from rot180.runs.folder import Run
from rot180.runs.history_file import is_milestone, iterate_records
from rot180.runs.model_file import model_bytes

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"

PRIVATE = ("source", "validation", "label_column")
"""Settings that may hold a path of the user's machine, and are left out."""


def repository_files(run: Run, name: str, license: str | None = None) -> dict[str, bytes]:
    """Return the files of a repository by name.

    No path of the machine is in them: of the data, only the last part of its path is told.

    Parameters
    ----------
    run : Run
    name : str
        `owner/name`, for the card.
    license : str, optional
        Its identifier on the hub, such as "mit" or "cc-by-4.0".

    Raises
    ------
    ArgumentError
        The license has no such form, or the model cannot be saved.
    """
    if license is not None and not re.fullmatch(r"[a-z0-9][a-z0-9.+-]{0,60}", license):
        raise ArgumentError(f"--license must be an identifier of the hub such as mit or cc-by-4.0; it is {license!r}")
    config = _config(run)
    return {
        WEIGHTS: model_bytes(run.model),
        CONFIG: (json.dumps(config, indent=2, ensure_ascii=False) + "\n").encode(),
        CARD: _card(run, name, config, license).encode(),
    }


def measured(run: Run) -> dict[str, Any]:
    """Return what was measured of a run: `test` and `validation`, each with accuracy and loss, if there are any.

    A test describes the weights that a training ended with, so one that came before the last step is left out.
    """
    if run.folder is None:
        return {}
    found: dict[str, Any] = {}
    for record in iterate_records(run.folder.history_path):
        if not is_milestone(record):
            continue
        if record["event"] in ("started", "resumed", "extended"):
            found.pop("test", None)
        elif record["event"] == "test":
            found["test"] = {key: record[key] for key in ("accuracy", "loss", "count")}
    kept = run.history.kept
    if kept is not None and kept.validation_accuracy is not None:
        found["validation"] = {"accuracy": kept.validation_accuracy, "loss": kept.validation_loss}
    return found


def _config(run: Run) -> dict[str, Any]:
    """Return the contents of `config.json`, whose first fields are those of other libraries."""
    model = run.model
    training = {
        name: value
        for name, value in run.config.get("training", {}).items()
        if name not in PRIVATE or not isinstance(value, str)
    }
    architecture = run.config.get("model")
    own: dict[str, Any] = {
        "version": __version__,
        "network": model.notation,
        "parameters": model.summary().parameters,
        "preprocessing": model.preprocessing.to_dict(),
        "data": _data(run),
        "training": training or None,
        "measured": measured(run) or None,
    }
    shape = model.input_shape
    found = {
        "model_type": "rot180",
        "architecture": architecture if architecture in MODELS else None,
        "num_classes": model.output_shape[0] if len(model.output_shape) == 1 else None,
        "input_size": [shape[2], *shape[:2]] if len(shape) == 3 else None,
        "label_names": None if model.class_names is None else list(model.class_names),
        "rot180": {name: value for name, value in own.items() if value is not None},
    }
    return {name: value for name, value in found.items() if value is not None}


def _data(run: Run) -> str | None:
    data = run.config.get("data")
    return None if not isinstance(data, str) else data if data in NAMES else Path(data.replace("\\", "/")).name


def _card(run: Run, name: str, config: Mapping[str, Any], license: str | None) -> str:
    """Return the card: what hubs read between its first lines, then a page for people."""
    own = config["rot180"]
    found = own.get("measured", {})
    title = name.rpartition("/")[2]
    return "\n".join(
        [
            "---",
            *_front_matter(title, found, own.get("data"), license),
            "---",
            "",
            f"# {title}",
            "",
            "A convolutional network trained with rot180: convolutional networks you can see through.",
            "",
            *_figures(found),
            "## Use",
            "",
            "```sh",
            'pip install "rot180"',
            f"rot180 pull {name}",
            f"rot180 predict {title} image.png",
            "```",
            "",
            "Preprocessing and class names are in `model.safetensors`.",
            "",
            "## Network",
            "",
            "```",
            str(own["network"]),
            "```",
            "",
            f"{own['parameters']:,} parameters; images of {'x'.join(map(str, run.model.input_shape))}.",
            "",
            *_classes(run.model.class_names or ()),
            *_training(own),
        ]
    )


def _front_matter(title: str, found: Mapping[str, Any], data: str | None, license: str | None) -> Iterable[str]:
    """Yield YAML; a text in JSON is a text in YAML."""
    yield "library_name: rot180"
    if license is not None:
        yield f"license: {json.dumps(license)}"
    yield "pipeline_tag: image-classification"
    yield "tags:"
    yield "- rot180"
    test = found.get("test")
    if test is None or test["accuracy"] is None:
        return
    yield "metrics:"
    yield "- accuracy"
    yield "model-index:"
    yield f"- name: {json.dumps(title)}"
    yield "  results:"
    yield "  - task:"
    yield "      type: image-classification"
    yield "    dataset:"
    yield f"      name: {json.dumps(data or 'test images')}"
    yield f"      type: {json.dumps(re.sub('[^A-Za-z0-9._-]+', '-', data or 'images').strip('-') or 'images')}"
    yield "      split: test"
    yield "    metrics:"
    yield "    - type: accuracy"
    yield f"      value: {test['accuracy']:.6g}"


def _figures(found: Mapping[str, Any]) -> Iterable[str]:
    """Yield the measured figures."""
    yield "## Measured"
    yield ""
    rows = [
        f"| {part} | {count} | {100 * values['accuracy']:.2f}% | {values['loss']:.4f} |"
        for part, values in found.items()
        if values["accuracy"] is not None and values["loss"] is not None
        for count in [f"{values['count']:,}" if "count" in values else "-"]
    ]
    if not rows:
        yield "Nothing was measured on images that the network had not seen."
    else:
        yield "| images | number | accuracy | loss |"
        yield "|---|---|---|---|"
        yield from rows
    yield ""


def _classes(names: Iterable[str]) -> Iterable[str]:
    shown = [json.dumps(name, ensure_ascii=False).replace("`", "'") for name in names]
    if shown:
        yield "## Classes"
        yield ""
        yield f"`{', '.join(shown)}`"
        yield ""


def _training(own: Mapping[str, Any]) -> Iterable[str]:
    if "training" not in own:
        return
    yield "## Training"
    yield ""
    yield "| setting | value |"
    yield "|---|---|"
    for name, value in {"data": own.get("data", "unknown"), **own["training"]}.items():
        shown = json.dumps(value, ensure_ascii=False).replace("|", "\\|").replace("`", "'")
        yield f"| {name} | `{shown}` |"
    yield ""
