"""Where weights come from: a file, published weights known by name, or a repository of a hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rot180.data.options import Progress, _silent
from rot180.errors import ModelError, did_you_mean
from rot180.interop.hub import fetch_repository, is_repository
from rot180.interop.published import PUBLISHED, fetch_published, known_config
from rot180.nn import MODELS


@dataclass(frozen=True)
class Origin:
    """A file of weights, and what is known of it apart from its content.

    Attributes
    ----------
    path : Path
    text : str
        What finds the same weights again: as given, or a repository with its revision.
    license : str or None
    note : str or None
    """

    path: Path
    text: str
    license: str | None = None
    note: str | None = None


def find_weights(given: str | Path, progress: Progress = _silent) -> Origin:
    """Return the file of weights that a path or a name stands for; a path that exists goes first.

    Raises
    ------
    ModelError
        There is no such file, and it is no name of published weights and no repository; or it cannot be downloaded.
    """
    path, text = Path(given), Path(given).as_posix()
    if _exists(path):
        return Origin(path, str(given))
    if text in PUBLISHED:
        found = fetch_published(text, progress)
        config = known_config(found)
        return Origin(found, text, None if config is None else config.license)
    if is_repository(text):
        from_hub = fetch_repository(text, progress)
        return Origin(from_hub.path, from_hub.repository, from_hub.license, from_hub.note)
    if text in MODELS:
        raise ModelError(f"{text}: no weights of this network are published; give the path of a file of weights")
    raise ModelError(
        f"{given}: there is no such file or folder, and no weights are published under this name"
        f"{did_you_mean(text, PUBLISHED)}; check the path, or give owner/name of a model hub"
    )


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError, RuntimeError):  # an impossible file name, a loop of links
        return True  # who opens it says what is wrong
