"""Runs sent to a repository of a model hub, and fetched from one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rot180.data.options import Progress, _silent
from rot180.errors import ArgumentError, ModelError
from rot180.files import read_bounded, write_folder_atomically
from rot180.interop.hub import MAX_ANSWER, MAX_SIZE, fetch_repository, hub_token, is_repository
from rot180.interop.hub_upload import require_hub, upload
from rot180.nn import Network
from rot180.runs.card import CARD, CONFIG, WEIGHTS, repository_files
from rot180.runs.folder import load_run
from rot180.runs.model_file import is_model_file, read_model


@dataclass(frozen=True)
class Pulled:
    """A network from a repository.

    Attributes
    ----------
    path : Path
        The new folder.
    repository : str
        `owner/name@revision`, with the whole revision.
    model : Network
    license : str or None
    measured : dict
        The figures that the repository tells, by `test` and `validation`; nobody has checked them.
    note : str or None
        Why another revision than the newest was taken.
    """

    path: Path
    repository: str
    model: Network
    license: str | None
    measured: dict[str, Any]
    note: str | None


def push(
    path: str | Path,
    name: str,
    *,
    private: bool = False,
    revision: str | None = None,
    license: str | None = None,
    tell: Callable[[str], None],
    shows_progress: bool = False,
) -> str:
    """Send a run, or a model file, to a repository of a hub; return the commit.

    Parameters
    ----------
    path : str or Path
    name : str
        `owner/name`, or `owner/name@branch`.
    private, revision, shows_progress
        As in `rot180.interop.hub_upload.upload`.
    license : str, optional
        Its identifier on the hub.
    tell : callable
        Called with warnings before anything is sent.

    Raises
    ------
    ArgumentError, ModelError
        The name is not of a repository; or as from `load_run` and `upload`.
    """
    require_hub()
    name, revision = _named(name, revision)
    run = load_run(path)
    files = repository_files(run, name, license)
    if license is None:
        started = None if run.folder is None else run.folder.read_environment().get("source_license")
        told = f"; the weights it started from: {started}" if started else ""
        tell(f"without --license, nobody else may use the network{told}")
    return upload(name, files, private=private, revision=revision, shows_progress=shows_progress)


def pull(
    name: str, out: str | Path | None = None, *, revision: str | None = None, progress: Progress = _silent
) -> Pulled:
    """Fetch a network of rot180 from a repository of a hub into a new folder.

    Parameters
    ----------
    name : str
        `owner/name`, or `owner/name@revision`.
    out : str or Path, optional
        The folder; by default the repository's name.
    revision : str, optional
        A branch, tag or commit.
    progress : callable, optional

    Raises
    ------
    ArgumentError
        The folder exists, or the name is not of a repository.
    ModelError
        There is no such repository, it holds no network of rot180, or the network fails.
    """
    name, revision = _named(name, revision)
    path = Path(name.rpartition("/")[2]) if out is None else Path(out)
    if path.exists() or path.is_symlink():
        raise ArgumentError(f"{path} already exists; choose another --out or remove it")
    found = fetch_repository(name if revision is None else f"{name}@{revision}", progress, hub_token())
    if not is_model_file(found.path):
        raise ModelError(
            f"{name}: its weights are not those of a network of rot180; make a model of them with: rot180 import {name}"
        )
    model = read_model(found.path)
    place = found.path.parent
    files = {WEIGHTS: read_bounded(found.path, MAX_SIZE)}
    files |= {each: read_bounded(place / each, MAX_ANSWER) for each in (CONFIG, CARD) if (place / each).is_file()}
    write_folder_atomically(path, files)
    return Pulled(path, found.repository, model, found.license, _measured(files.get(CONFIG, b"{}")), found.note)


def _named(name: str, revision: str | None) -> tuple[str, str | None]:
    """Return the repository and the revision that a name and an option give."""
    if not is_repository(name):
        raise ArgumentError(f"a repository is named owner/name, or owner/name@revision; it is {name!r}")
    plain, _, marked = name.partition("@")
    if marked and revision not in (None, marked):
        raise ArgumentError(f"two revisions are given, {marked} and {revision}; leave one out")
    if revision is not None and not re.fullmatch(r"\w[\w./-]{0,99}", revision, re.ASCII):
        raise ArgumentError(f"--revision must be a branch, tag or commit; it is {revision[:100]!r}")
    return plain, revision or marked or None


def _measured(config: bytes) -> dict[str, Any]:
    """Return the figures in a `config.json`, as far as they are numbers."""
    try:
        found = json.loads(config)["rot180"]["measured"]
        return {
            part: {key: float(found[part][key]) for key in ("accuracy", "loss")}
            for part in ("test", "validation")
            if part in found
        }
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return {}
