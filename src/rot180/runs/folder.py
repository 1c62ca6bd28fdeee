"""The folder that a training leaves behind.

config.toml         everything needed to do it again
environment.json    versions, machine, threads, fingerprint of the data
history.jsonl       what happened, a line each
checkpoints/        the newest two; the training goes on from them
best.safetensors    the weights of the lowest validation loss, where there is validation
model.safetensors   the weights of the end, or of an interruption, with network, preprocessing and class names
pictures/           curves, kernels, feature maps, confusion matrix, mistakes
report.html         all of it on one page
"""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rot180.errors import ArgumentError, ModelError
from rot180.files import make_folder, read_bounded, write_atomically
from rot180.nn.keywords import answering_call
from rot180.nn.sequential import Sequential
from rot180.runs.config import read_config, write_config
from rot180.runs.fields import ENVIRONMENT, check_fields, parse_json
from rot180.runs.history_file import HistoryWriter, read_history
from rot180.runs.model_file import load_model, model_bytes, read_model
from rot180.runs.newest import newest_weights
from rot180.training.history import History

MAX_ENVIRONMENT = 100_000
"""Bytes of `environment.json` that are read."""

MAX_ENVIRONMENT_VALUES = 1000
"""Values in it."""


@dataclass(frozen=True)
class RunFolder:
    """Where the parts of a run lie, and how they are written."""

    path: Path

    @property
    def config_path(self) -> Path:
        """The configuration."""
        return self.path / "config.toml"

    @property
    def history_path(self) -> Path:
        """The history."""
        return self.path / "history.jsonl"

    @property
    def model_path(self) -> Path:
        """The weights of the end."""
        return self.path / "model.safetensors"

    @property
    def pictures(self) -> Path:
        """The folder of the pictures."""
        return self.path / "pictures"

    @property
    def best_path(self) -> Path:
        """The weights of the lowest validation loss."""
        return self.path / "best.safetensors"

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def tensorboard(self) -> Path:
        """The folder of TensorBoard's event files, where they are asked for."""
        return self.path / "tensorboard"

    @property
    def environment_path(self) -> Path:
        """Versions, machine, threads, fingerprint of the data."""
        return self.path / "environment.json"

    @property
    def report_path(self) -> Path:
        """The page."""
        return self.path / "report.html"

    def make(self, path: Path) -> Path:
        """Make a folder in the run unless it is there, and return it.

        Raises
        ------
        ModelError
            It cannot be made, or is a link.
        """
        try:
            make_folder(path, beneath=self.path)
        except OSError as error:
            raise ModelError(f"{path}: cannot be made ({error.strerror or error}); check the folder") from None
        return path

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write the configuration; see `rot180.runs.config.write_config`."""
        write_config(self.config_path, config)

    def history_writer(self) -> HistoryWriter:
        """Return a subscriber that appends to the history."""
        return HistoryWriter(self.history_path)

    def save_model(self, model: Sequential, step: int | None = None) -> None:
        """Write the weights of the end, reached after so many updates, whole or not at all."""
        write_atomically(self.model_path, model_bytes(model, step))

    def save_best(self, model: Sequential) -> None:
        """Write the best weights so far, whole or not at all."""
        write_atomically(self.best_path, model_bytes(model))

    def write_environment(self, values: Mapping[str, Any]) -> None:
        """Write what `rot180.runs.environment.environment` found."""
        write_atomically(self.environment_path, json.dumps(values, indent=1).encode())

    def read_environment(self) -> dict[str, Any]:
        """Read what `write_environment` wrote; empty where it is missing, as the first runs did not have it.

        Raises
        ------
        ModelError
            It is damaged, a link or no regular file.
        """
        if not os.path.lexists(self.environment_path):
            return {}
        path = self.environment_path
        found = parse_json(read_bounded(path, MAX_ENVIRONMENT, beneath=self.path), str(path), MAX_ENVIRONMENT_VALUES)
        check_fields(found, ENVIRONMENT, str(path))
        return dict(found)


@dataclass(frozen=True)
class Run:
    """A run that was read.

    Attributes
    ----------
    model : Sequential
        Built, with the trained weights, preprocessing and class names.
    config : dict
        What `config.toml` says; empty for a lone model file.
    history : History
        Empty for a lone model file.
    folder : RunFolder or None
        None for a lone model file.
    """

    model: Sequential
    config: dict[str, Any]
    history: History
    folder: RunFolder | None


def create_run(path: str | Path) -> RunFolder:
    """Make a new run folder, and the folders above it.

    Raises
    ------
    ArgumentError
        There is something of this name already; nothing is written over.
    ModelError
        The folder cannot be made.

    Examples
    --------
    >>> import tempfile
    >>> folder = create_run(Path(tempfile.mkdtemp()) / "runs" / "first")
    >>> sorted(entry.name for entry in folder.path.iterdir())
    ['checkpoints', 'pictures']
    """
    path = Path(path)
    try:
        make_folder(path, exist_ok=False)
        make_folder(path / "pictures", beneath=path)
        make_folder(path / "checkpoints", beneath=path)
    except OSError as error:
        if isinstance(error, FileExistsError) and os.path.lexists(path):
            raise ArgumentError(f"{path} exists already; choose another --out or remove it") from None
        raise ModelError(f"{path}: the run folder cannot be made ({_reason(error)}); choose another --out") from None
    return RunFolder(path)


def create_numbered_run(dataset: str, model: str, parent: str | Path = "runs") -> RunFolder:
    """Make a new run folder with the next free name, such as `runs/digits-lenet5-001`.

    Parameters
    ----------
    dataset, model : str
        Their names; what does not belong in a folder's name becomes a hyphen.
    parent : str or Path, default "runs"

    Raises
    ------
    ModelError
        The folder cannot be made.

    Examples
    --------
    >>> import tempfile
    >>> parent = tempfile.mkdtemp()
    >>> [create_numbered_run("digits", "lenet5", parent).path.name for _ in range(2)]
    ['digits-lenet5-001', 'digits-lenet5-002']
    """
    stem = f"{_slug(dataset)}-{_slug(model)}"
    number = 1
    while True:
        path = Path(parent) / f"{stem}-{number:03}"
        # Not asked first whether it exists: another process may make it in between.
        try:
            return create_run(path)
        except ArgumentError:
            number += 1


@answering_call
def load_run(path: str | Path) -> Run:
    """Read a run folder, or a lone model file.

    Parameters
    ----------
    path : str or Path
        A folder that `train` left, or a `.safetensors` file. A run's weights are those of its furthest progress: of
        `model.safetensors`, or of a newer checkpoint.

    Returns
    -------
    Run

    Raises
    ------
    ModelError
        There is nothing there, or a part is missing or damaged.
    """
    path = Path(path)
    try:
        is_folder, is_file = path.is_dir(), path.is_file()
    except (OSError, ValueError) as error:
        raise ModelError(f"{str(path)!r} cannot be read ({_reason(error)}); check the path") from None
    if is_file:
        # A link in a run's folder may be somebody else's, and lead anywhere.
        model = read_model(path) if RunFolder(path.parent).config_path.exists() else load_model(path)
        return Run(model, {}, History(), None)
    if not is_folder:
        raise ModelError(
            f"{path}: there is no such run; give a folder that `rot180 train` left, or a .safetensors file"
        )
    folder = RunFolder(path)
    if not folder.config_path.is_file():
        raise ModelError(f"{path}: expected config.toml in it, found none; it is no run folder")
    config, history = read_config(folder.config_path), read_history(folder.history_path)
    model = newest_weights(folder.model_path, folder.checkpoints, folder.history_path)
    return Run(model, config, history, folder)


def _slug(name: str) -> str:
    """Return the letters and digits of a name, of any script, joined by hyphens; short enough for every disk.

    >>> _slug("My Photos (2).csv"), _slug("花卉 图片")
    ('my-photos-2-csv', '花卉-图片')
    """
    kept = (one if unicodedata.category(one)[0] in "LNM" else " " for one in unicodedata.normalize("NFC", name.lower()))
    joined = "-".join("".join(kept).split())[:40]
    return joined.encode()[:100].decode(errors="ignore").strip("-") or "unnamed"


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
