"""The folder of a study.

study.toml        the settings of all trials, and what is searched
environment.json  versions, machine and the fingerprint of the data
journal.jsonl     the trials, as Optuna's storage notes them
pictures/         the trials, and what they tried
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rot180.errors import ArgumentError, ModelError
from rot180.files import make_folder, read_bounded, write_atomically
from rot180.runs.config import read_config, write_config
from rot180.runs.fields import COUNT, FLAG, NUMBER, TEXT, check_fields, list_of, maybe, parse_json, table
from rot180.runs.folder import slug
from rot180.runs.prepare import Prepared
from rot180.runs.settings import RunSettings, settings_from
from rot180.tuning.space import Space

MAX_ENVIRONMENT, MAX_VALUES = 100_000, 1000
"""The most bytes and values of `environment.json`."""

TUNING = {
    "trials": COUNT,
    "held_out": FLAG,
    "space": table(
        {
            "lr": maybe(list_of(NUMBER)),
            "weight_decay": maybe(list_of(NUMBER)),
            "width": maybe(list_of(NUMBER)),
            "augment": maybe(list_of(TEXT)),
        }
    ),
}
"""The fields of the table `[tuning]`."""


@dataclass(frozen=True)
class StudyFolder:
    """The paths of a study's files."""

    path: Path

    @property
    def config_path(self) -> Path:
        """The settings."""
        return self.path / "study.toml"

    @property
    def journal_path(self) -> Path:
        """The trials."""
        return self.path / "journal.jsonl"

    @property
    def environment_path(self) -> Path:
        """Versions, machine and the fingerprint of the data."""
        return self.path / "environment.json"

    @property
    def picture_path(self) -> Path:
        """The picture of the trials, without a suffix."""
        return self.path / "pictures" / "trials"

    def read_environment(self) -> dict[str, Any]:
        """Read `environment.json`."""
        path = self.environment_path
        found = parse_json(read_bounded(path, MAX_ENVIRONMENT, beneath=self.path), str(path), MAX_VALUES)
        if not isinstance(found, dict):
            raise ModelError(f"{path}: expected a table; the study is damaged: start another")
        return found


@dataclass(frozen=True)
class Plan:
    """What a study is to do.

    Attributes
    ----------
    settings : RunSettings
        Of all trials, complete.
    network : str
        The notation of the network of width 1.
    space : Space
    trials : int
    held_out : bool
        Whether the study itself holds out images to validate on, as the data have none.
    """

    settings: RunSettings
    network: str
    space: Space
    trials: int
    held_out: bool

    def config(self, prepared: Prepared) -> dict[str, Any]:
        """Return the contents of `study.toml`."""
        space = {name: list(values) for name, values in asdict(self.space).items() if values is not None}
        return {
            **prepared.config(),
            "tuning": {"trials": self.trials, "held_out": self.held_out, "space": space},
        }


def create_study(out: str | Path | None, dataset: str) -> StudyFolder:
    """Create the folder of a study; by default the next free number in `studies/`.

    Raises
    ------
    ArgumentError
        The path exists.
    ModelError
        The folder cannot be created.
    """
    if out is not None:
        return _make(Path(out))
    number = 1
    while True:
        try:
            return _make(Path("studies") / f"{slug(dataset)}-{number:03}")
        except ArgumentError:
            number += 1


def _make(path: Path) -> StudyFolder:
    try:
        make_folder(path, exist_ok=False)
    except OSError as error:
        if isinstance(error, FileExistsError) and os.path.lexists(path):
            raise ArgumentError(f"{path} already exists; choose another --out, or give --resume {path}") from None
        raise ModelError(f"{path}: cannot be created ({error.strerror or error}); choose another --out") from None
    return StudyFolder(path)


def write_study(folder: StudyFolder, config: dict[str, Any], environment: dict[str, Any]) -> None:
    """Write the files of a new study; `study.toml` last, so that a folder which has it is whole."""
    write_atomically(folder.environment_path, json.dumps(environment, indent=1).encode())
    write_atomically(folder.journal_path, b"")
    write_config(folder.config_path, config)


def read_plan(folder: StudyFolder) -> tuple[Plan, dict[str, Any]]:
    """Return what a study is to do, and the contents of its `study.toml`.

    Raises
    ------
    ModelError
        It is not a study, or a value is wrong.
    """
    path = folder.config_path
    if not path.is_file():
        raise ModelError(f"{folder.path}: no study.toml in it; give the folder of a study")
    config = read_config(path)
    tuning = config.get("tuning")
    if not isinstance(tuning, dict) or not isinstance(config.get("network"), str):
        raise ModelError(f"{path}: no table [tuning] in it; give the folder of a study")
    check_fields(tuning, TUNING, str(path))
    space = {name: tuple(values) for name, values in tuning["space"].items() if name in Space.__dataclass_fields__}
    for name in ("lr", "weight_decay", "width"):
        if name in space:
            space[name] = tuple(map(float, space[name]))
    for name in ("lr", "weight_decay"):
        limits = space.get(name)
        if limits is not None and (len(limits) != 2 or not 0 < limits[0] <= limits[1]):
            raise ModelError(f"{path}: {name} must be searched between two numbers above 0, [lowest, highest]")
    if any(not values for values in space.values()) or not space or not all(x > 0 for x in space.get("width", (1,))):
        raise ModelError(f"{path}: expected numbers or names to search in [tuning.space]; there are none")
    if tuning["trials"] < 1:
        raise ModelError(f"{path}: trials must be at least 1; it is {tuning['trials']}")
    settings = settings_from(config, path)
    return Plan(settings, config["network"], Space(**space), tuning["trials"], tuning["held_out"]), config
