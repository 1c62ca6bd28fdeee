"""Several arrays in one file, as NumPy keeps them: a zip archive of `.npy` files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rot180.errors import DataError, Rot180Error
from rot180.files.writing import atomic_files


def write_npz(
    path: str | Path,
    arrays: Mapping[str, np.ndarray[Any, Any]],
    *,
    replace: bool = True,
    fault: type[Rot180Error] = DataError,
) -> None:
    """Write a file that `numpy.load` reads without unpickling, completely or not at all.

    Parameters
    ----------
    path : str or Path
        As it is; no suffix is added.
    arrays : mapping of str to array
        Numbers or texts.
    replace, fault
        As in `atomic_files`.

    Raises
    ------
    DataError
        The file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "two.npz"
    >>> write_npz(path, {"x": np.arange(3), "names": np.array(["cat", "dog"])})
    >>> with np.load(path) as found:
    ...     found["x"].tolist(), found["names"].tolist()
    ([0, 1, 2], ['cat', 'dog'])
    """
    with atomic_files(path, replace=replace, fault=fault) as [file]:
        np.savez(file, allow_pickle=False, **arrays)
