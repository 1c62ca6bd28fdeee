"""Opening a file of weights: safetensors, a PyTorch checkpoint or a file of Keras, known by its content."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

from rot180.errors import ModelError
from rot180.files import open_regular, reading
from rot180.files.safetensors_file import open_arrays
from rot180.interop.keras.container import is_keras_file, read_keras_file
from rot180.interop.keras.lifting import lift, plain_arrays
from rot180.interop.stored import StoredArray, Weights
from rot180.interop.torch_file import is_torch_file, open_torch_file
from rot180.nn.layer import Shape

FLOATS = ("F32", "F64", "F16", "BF16")
"""The types of weights, as in safetensors; counters and indices have others and are left out."""


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
    with open_arrays(path, leaves_out_integers=True) as stored:
        arrays = {
            name: StoredArray(entry.shape, entry.dtype, partial(stored.read_one, name))
            for name, entry in sorted(stored.header.arrays.items(), key=lambda item: stored.header.places[item[0]])
        }
        metadata = stored.header.metadata
        yield Weights(path, arrays, metadata, False, keeps_layout="rot180_format" in metadata)


def _floats(arrays: dict[str, StoredArray]) -> dict[str, StoredArray]:
    return {name: array for name, array in arrays.items() if array.dtype in FLOATS}
