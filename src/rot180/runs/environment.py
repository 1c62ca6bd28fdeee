"""The environment of a run: versions, machine, threads, and the fingerprint of the data."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from rot180 import __version__
from rot180.data import Dataset
from rot180.data.options import Progress
from rot180.engine.threads import threads
from rot180.runs.same_data import DATA, SAMPLED, WHOLE

PACKAGES = ("numpy", "numba", "llvmlite", "pillow", "safetensors")
"""Packages whose versions may change bits of the result."""


PROCESSES = "processes"
"""The name of the number of processes, on which only a run without shards depends."""


def environment(
    dataset: Dataset, engine: str, *, processes: int = 1, verify: bool = False, progress: Progress | None = None
) -> dict[str, Any]:
    """Return what the bits of a run depend on besides its configuration, as strings and numbers by name.

    Parameters
    ----------
    dataset : Dataset
        The data set used for training.
    engine : str
        The engine, such as `compiled`.
    processes : int
        How many processes train together.
    verify : bool
        Also read every byte of a data set larger than memory, instead of only a sample of each file.
    progress : callable, optional
        Called with the progress of that.

    Examples
    --------
    >>> from rot180.data import load_data
    >>> found = environment(load_data("digits"), "numpy")
    >>> found["engine"], len(found["data"]), sorted(found)[:4]
    ('numpy', 64, ['blas', 'cores', 'data', 'data_sampled'])
    """
    sampled = any(not isinstance(part, np.ndarray) for part in _parts(dataset))
    whole = {WHOLE: fingerprint(dataset, whole=True, progress=progress)} if verify and sampled else {}
    return {
        "rot180": __version__,
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
        "blas": _blas(),
        "engine": engine,
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "threads": threads(),
        PROCESSES: processes,
        DATA: fingerprint(dataset),
        SAMPLED: sampled,
        **whole,
    }


def begun(command: str | None = None) -> dict[str, str]:
    """Return when the run started, and the command that started it, if any."""
    found = {"date": datetime.now(UTC).isoformat(timespec="seconds")}
    return found if command is None else {**found, "command": command}


def differences(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return what has changed, one text per change, such as `numpy was 2.0.0 and is now 2.1.0`.

    >>> differences({"numpy": "2.0.0", "cores": 4}, {"numpy": "2.1.0", "cores": 4})
    ['numpy was 2.0.0 and is now 2.1.0']
    """
    apart = {DATA, WHOLE, SAMPLED, PROCESSES, *begun("")}  # compared elsewhere, or not about the machine
    names = [name for name in now if name in then] + [name for name in then if name not in now]
    names = [name for name in names if name not in apart]
    return [
        f"{name} was {then[name]} and is now {now.get(name, 'unknown')}"
        for name in names
        if then[name] != now.get(name)
    ]


def fingerprint(dataset: Dataset, *, whole: bool = False, progress: Progress | None = None) -> str:
    """Return the SHA-256 of all images and labels, in order, with their types and shapes.

    For images that are decoded only when needed, the files are used instead of the pixels: names, sizes and a sample of
    the bytes, or with `whole` every byte.
    """
    found = hashlib.sha256()
    for part in _parts(dataset):
        done = _counted(progress, len(part)) if progress is not None and whole else None
        found.update(f"{part.dtype} {tuple(part.shape)};".encode())
        if isinstance(part, np.ndarray):
            found.update(np.ascontiguousarray(part).data)
        else:
            found.update(part.fingerprint(whole=whole, on_read=done))
    found.update("\0".join(dataset.class_names).encode())
    return found.hexdigest()


def _counted(progress: Progress, total: int) -> Callable[[int], None]:
    return lambda done: progress("comparing", done, total)


def _parts(dataset: Dataset) -> list[Any]:
    """Return the arrays of a data set."""
    parts: list[Any] = [dataset.train_images, dataset.train_labels, dataset.test_images, dataset.test_labels]
    if len(dataset.validation_images):
        parts += [dataset.validation_images, dataset.validation_labels]
    return parts


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def _blas() -> str:
    """Return the library that computes NumPy's matrix products, which determines their last bits."""
    try:
        found = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
        return f"{found['name']} {found['version']}"
    except (KeyError, TypeError):
        return "unknown"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"
