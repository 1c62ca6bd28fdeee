"""The run folder that a training writes.

config.toml         everything needed to repeat the run
environment.json    versions, machine, threads, fingerprint of the data
history.jsonl       the events of the training, one per line
checkpoints/        the newest two, from which the training can be resumed
best.safetensors    the weights with the lowest validation loss, if there is validation
model.safetensors   the weights at the end or at an interruption, with network, preprocessing and class names
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
from rot180.nn.network import Network
from rot180.runs.config import read_config, write_config
from rot180.runs.fields import ENVIRONMENT, check_fields, parse_json
from rot180.runs.history_file import HistoryWriter, read_history
from rot180.runs.model_file import load_model, model_bytes, read_model
from rot180.runs.newest import newest_weights
from rot180.training.history import History

MAX_ENVIRONMENT = 100_000
"""The largest `environment.json` that is read, in bytes."""

MAX_ENVIRONMENT_VALUES = 1000
"""The most values in it."""


@dataclass(frozen=True)
class RunFolder:
    """The paths of a run's files, and methods to write them."""

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
        """The final weights."""
        return self.path / "model.safetensors"

    @property
    def pictures(self) -> Path:
        """The pictures folder."""
        return self.path / "pictures"

    @property
    def best_path(self) -> Path:
        """The weights with the lowest validation loss."""
        return self.path / "best.safetensors"

    @property
    def checkpoints(self) -> Path:
        """The checkpoints folder."""
        return self.path / "checkpoints"

    @property
    def tensorboard(self) -> Path:
        """The folder of TensorBoard event files, if requested."""
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
        """Create a folder in the run unless it exists, and return it.

        Raises
        ------
        ModelError
            The folder cannot be created, or is a link.
        """
        try:
            make_folder(path, beneath=self.path)
        except OSError as error:
            raise ModelError(f"{path}: cannot be created ({error.strerror or error}); check the folder") from None
        return path

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write the configuration; see `rot180.runs.config.write_config`."""
        write_config(self.config_path, config)

    def history_writer(self) -> HistoryWriter:
        """Return a subscriber that appends to the history."""
        return HistoryWriter(self.history_path)

    def save_model(self, model: Network, step: int | None = None) -> None:
        """Write the final weights and the number of updates, completely or not at all."""
        write_atomically(self.model_path, model_bytes(model, step))

    def save_best(self, model: Network) -> None:
        """Write the best weights so far, completely or not at all."""
        write_atomically(self.best_path, model_bytes(model))

    def write_environment(self, values: Mapping[str, Any]) -> None:
        """Write the result of `rot180.runs.environment.environment`."""
        write_atomically(self.environment_path, json.dumps(values, indent=1).encode())

    def read_environment(self) -> dict[str, Any]:
        """Read what `write_environment` wrote; empty if it is missing, as in the first runs.

        Raises
        ------
        ModelError
            The file is damaged, a link or not a regular file.
        """
        if not os.path.lexists(self.environment_path):
            return {}
        path = self.environment_path
        found = parse_json(read_bounded(path, MAX_ENVIRONMENT, beneath=self.path), str(path), MAX_ENVIRONMENT_VALUES)
        check_fields(found, ENVIRONMENT, str(path))
        return dict(found)


@dataclass(frozen=True)
class Run:
    """A run that has been read.

    Attributes
    ----------
    model : Network
        Built, with the trained weights, preprocessing and class names.
    config : dict
        The contents of `config.toml`; empty for a single model file.
    history : History
        Empty for a single model file.
    folder : RunFolder or None
        None for a single model file.
    """

    model: Network
    config: dict[str, Any]
    history: History
    folder: RunFolder | None


def create_run(path: str | Path) -> RunFolder:
    """Create a new run folder, and its parents.

    Raises
    ------
    ArgumentError
        The path already exists; nothing is overwritten.
    ModelError
        The folder cannot be created.

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
            raise ArgumentError(f"{path} already exists; choose another --out or remove it") from None
        raise ModelError(f"{path}: the run folder cannot be created ({_reason(error)}); choose another --out") from None
    return RunFolder(path)


def create_numbered_run(dataset: str, model: str, parent: str | Path = "runs") -> RunFolder:
    """Create a new run folder with the next free name, such as `runs/digits-lenet5-001`.

    Parameters
    ----------
    dataset, model : str
        Their names; characters that are not allowed in a folder name become hyphens.
    parent : str or Path, default "runs"

    Raises
    ------
    ModelError
        The folder cannot be created.

    Examples
    --------
    >>> import tempfile
    >>> parent = tempfile.mkdtemp()
    >>> [create_numbered_run("digits", "lenet5", parent).path.name for _ in range(2)]
    ['digits-lenet5-001', 'digits-lenet5-002']
    """
    stem = f"{slug(dataset)}-{slug(model)}"
    number = 1
    while True:
        path = Path(parent) / f"{stem}-{number:03}"
        # Not checked first whether it exists: another process may create it in between.
        try:
            return create_run(path)
        except ArgumentError:
            number += 1


@answering_call
def load_run(path: str | Path) -> Run:
    """Read a run folder, or a single model file.

    Parameters
    ----------
    path : str or Path
        A folder written by `train` or `pull`, or a `.safetensors` file. The weights of a run are the newest ones:
        those of `model.safetensors`, or of a newer checkpoint.

    Returns
    -------
    Run

    Raises
    ------
    ModelError
        The path does not exist, or a part is missing or damaged.
    """
    path = Path(path)
    try:
        is_folder, is_file = path.is_dir(), path.is_file()
    except (OSError, ValueError) as error:
        raise ModelError(f"{str(path)!r} cannot be read ({_reason(error)}); check the path") from None
    if is_file:
        # A link in a run folder may come from someone else and lead anywhere.
        run = path.parents[2] if path.parent.parent.name == "checkpoints" else path.parent
        model = read_model(path, beneath=run) if RunFolder(run).config_path.exists() else load_model(path)
        return Run(model, {}, History(), None)
    if not is_folder:
        raise ModelError(f"{path}: no such run; give a folder written by `rot180 train`, or a .safetensors file")
    folder = RunFolder(path)
    if not folder.config_path.is_file():
        if folder.model_path.is_file() and (path / "config.json").is_file():  # from a hub
            return Run(read_model(folder.model_path, beneath=path), {}, History(), None)
        raise ModelError(f"{path}: no config.toml in it; not a run folder")
    config, history = read_config(folder.config_path), read_history(folder.history_path)
    model = newest_weights(folder.model_path, folder.checkpoints, folder.history_path)
    return Run(model, config, history, folder)


def names_a_run(text: str) -> bool:
    """Return whether a text names a run, not a network: something that exists, or that can only be a path.

    >>> names_a_run("lenet5"), names_a_run("8x8x1 > fc10"), names_a_run("runs/none"), names_a_run("a.safetensors")
    (False, False, True, True)
    """
    if ">" not in text and ("/" in text or "\\" in text or text.endswith(".safetensors")):
        return True
    try:
        return Path(text).exists()
    except (OSError, ValueError):  # too long for a file's name, as the notation of a deep network may be
        return False


def slug(name: str) -> str:
    """Return the letters and digits of a name, in any script, joined by hyphens; short enough for any file system.

    >>> slug("My Photos (2).csv"), slug("花卉 图片")
    ('my-photos-2-csv', '花卉-图片')
    """
    kept = (one if unicodedata.category(one)[0] in "LNM" else " " for one in unicodedata.normalize("NFC", name.lower()))
    joined = "-".join("".join(kept).split())[:40]
    return joined.encode()[:100].decode(errors="ignore").strip("-") or "unnamed"


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
