"""The arrays of a file of weights, whatever its format: known by name, type and shape before any is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rot180.errors import ModelError
from rot180.files import open_regular, reading
from rot180.ops.types import Array

FLOATS = ("F32", "F64", "F16", "BF16")
"""The types of weights, as in safetensors; counters and indices have others and are left out."""


@dataclass(frozen=True)
class StoredArray:
    """An array in a file.

    Attributes
    ----------
    shape : tuple of int
    dtype : str
        As in safetensors, such as "F32".
    read : callable
        Returns the array, numbers of 16 bits as float32; may raise ModelError.
    """

    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], Array]


@dataclass(frozen=True)
class Weights:
    """The floats in a file.

    Attributes
    ----------
    path : Path
    arrays : dict of str to StoredArray
        In the order of the file.
    metadata : dict of str to str
        What a safetensors file says about itself.
    is_ordered : bool
        Whether the order is that in which the network's author defined the layers; safetensors sorts them.
    """

    path: Path
    arrays: dict[str, StoredArray]
    metadata: dict[str, str]
    is_ordered: bool


@contextmanager
def open_weights(path: str | Path) -> Iterator[Weights]:
    """Open a file of weights, by its content, not by its name.

    Raises
    ------
    ModelError
        It cannot be read, is damaged, or is of no format that is known.
    """
    from rot180.interop.torch_file import is_torch_file, open_torch_file

    try:
        path = Path(path).resolve()
    except (OSError, ValueError, RuntimeError) as error:  # an impossible file name, a loop of links
        raise ModelError(f"{str(path)!r} cannot be read ({error}); check the path") from None
    with reading(path), open_regular(path) as file:
        head = file.read(16)
        file.seek(0)
        if is_torch_file(path, head):
            with open_torch_file(path, file) as arrays:
                yield Weights(path, _floats(arrays), {}, True)
        elif head[8:9] == b"{":
            with _open_safetensors(path) as weights:
                yield weights
        else:
            raise ModelError(
                f"{path}: expected weights in a .safetensors file or a PyTorch checkpoint (.pth, .pt), found something "
                f"else"
            )


@contextmanager
def _open_safetensors(path: Path) -> Iterator[Weights]:
    from rot180.files.safetensors_file import open_arrays

    with open_arrays(path, leaves_out_integers=True) as stored:
        arrays = {
            name: StoredArray(entry.shape, entry.dtype, partial(stored.read_one, name))
            for name, entry in sorted(stored.header.arrays.items(), key=lambda item: stored.header.places[item[0]])
        }
        yield Weights(path, arrays, stored.header.metadata, False)


def _floats(arrays: dict[str, StoredArray]) -> dict[str, StoredArray]:
    return {name: array for name, array in arrays.items() if array.dtype in FLOATS}
