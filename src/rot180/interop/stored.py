"""The arrays of a file of weights, whatever its format: known by name, type and shape before any is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO

from rot180.errors import ModelError
from rot180.files import open_regular, reading
from rot180.nn import Network
from rot180.nn.layer import Shape
from rot180.nn.preprocessing import Preprocessing
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
    is_ordered : bool
        Whether the order is that in which the author of the network defined its layers.
    keeps_layout : bool
        Whether the arrays are stored in the layout used here, not in PyTorch's.
    kinds : dict of str to str
        For a file that keeps the layers of each class in order, but not the classes: the class of each layer.
    network : Network or None
        The network that the file describes, not built; the arrays then have its names.
    preprocessing : Preprocessing or None
        What this network does with pixels first.
    notes : tuple of str
        What was left out of it.
    """

    path: Path
    arrays: dict[str, StoredArray]
    metadata: dict[str, str]
    is_ordered: bool
    keeps_layout: bool = False
    kinds: dict[str, str] = field(default_factory=dict)
    network: Network | None = None
    preprocessing: Preprocessing | None = None
    notes: tuple[str, ...] = ()


@contextmanager
def open_weights(path: str | Path, input_shape: Shape | None = None) -> Iterator[Weights]:
    """Open a file of weights, by its content, not by its name.

    Parameters
    ----------
    path : str or Path
    input_shape : tuple of int, optional
        The shape of one image, for a file that describes a network and leaves it open.

    Raises
    ------
    ModelError
        It cannot be read, is damaged, or is of no format that is known.
    """
    from rot180.interop.keras.container import is_keras_file
    from rot180.interop.torch_file import is_torch_file, open_torch_file

    try:
        path = Path(path).resolve()
    except (OSError, ValueError, RuntimeError) as error:  # an impossible file name, a loop of links
        raise ModelError(f"{str(path)!r} cannot be read ({error}); check the path") from None
    with reading(path), open_regular(path) as file:
        head = file.read(16)
        file.seek(0)
        if is_keras_file(file, head):
            yield _open_keras(path, file, input_shape)
        elif is_torch_file(path, head):
            with open_torch_file(path, file) as arrays:
                yield Weights(path, _floats(arrays), {}, True)
        elif head[8:9] == b"{":
            with _open_safetensors(path) as weights:
                yield weights
        else:
            raise ModelError(
                f"{path}: expected weights in a .safetensors file, a PyTorch checkpoint (.pth, .pt) or a Keras file "
                f"(.keras, .h5), found something else"
            )


def _open_keras(path: Path, file: BinaryIO, input_shape: Shape | None) -> Weights:
    from rot180.interop.keras.container import read_keras_file
    from rot180.interop.keras.lifting import lift, plain_arrays

    found = read_keras_file(path, file)
    if found.config is None:
        arrays, kinds = plain_arrays(found)
        note = "the file tells neither padding nor epsilon; those of the given network are used"
        return Weights(path, arrays, {}, not kinds, keeps_layout=True, kinds=kinds, notes=(note,))
    model = lift(found, input_shape)
    return Weights(
        path,
        model.arrays,
        {},
        True,
        keeps_layout=True,
        network=model.network,
        preprocessing=model.preprocessing,
        notes=model.notes,
    )


@contextmanager
def _open_safetensors(path: Path) -> Iterator[Weights]:
    from rot180.files.safetensors_file import open_arrays

    with open_arrays(path, leaves_out_integers=True) as stored:
        arrays = {
            name: StoredArray(entry.shape, entry.dtype, partial(stored.read_one, name))
            for name, entry in sorted(stored.header.arrays.items(), key=lambda item: stored.header.places[item[0]])
        }
        metadata = stored.header.metadata
        yield Weights(path, arrays, metadata, False, keeps_layout="rot180_format" in metadata)


def _floats(arrays: dict[str, StoredArray]) -> dict[str, StoredArray]:
    return {name: array for name, array in arrays.items() if array.dtype in FLOATS}
