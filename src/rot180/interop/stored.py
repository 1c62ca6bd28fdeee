"""The arrays of a file of weights, whatever its format: known by name, type and shape before any is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from rot180.nn import Network
from rot180.nn.preprocessing import Preprocessing
from rot180.ops.types import Array


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
