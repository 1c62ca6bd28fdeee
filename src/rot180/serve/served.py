"""A network under a name: what it takes and returns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rot180.nn.network import Network
from rot180.ops.types import Array
from rot180.runs import load_run
from rot180.runs.own_data import own_tta

VERSION = "1"
"""A network has one version: the file that it was read from."""

DATATYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
"""The protocol's names of types; in binary, numbers are in little-endian order."""

_NAMES = {dtype: name for name, dtype in DATATYPES.items()}


@dataclass(frozen=True)
class Served:
    """A network under a name.

    Attributes
    ----------
    name : str
    model : Network
        Built.
    tta : str
        Test-time augmentation, as in its training.
    """

    name: str
    model: Network
    tta: str = "none"

    @property
    def classifies(self) -> bool:
        """Whether it returns a probability for each class, and not maps."""
        return len(self.model.output_shape) == 1

    @property
    def takes_pictures(self) -> bool:
        """Whether image files can be made into what it takes."""
        shape, pixels = self.model.input_shape, self.model.preprocessing.pixels
        return len(shape) == 3 and shape[2] in (1, 3) and not (pixels is not None and pixels.is_signed)

    @property
    def classes(self) -> list[str]:
        """The names of the classes."""
        return list(self.model.class_names or map(str, range(self.model.output_shape[-1])))

    @property
    def input_name(self) -> str:
        """The name of its input in the protocol."""
        return "images"

    @property
    def output_name(self) -> str:
        """The name of its output in the protocol."""
        return "probabilities" if self.classifies else "maps"

    @property
    def input_datatype(self) -> str:
        """The type of the numbers it was trained on; others are taken as well."""
        pixels = self.model.preprocessing.pixels
        return "UINT8" if pixels is not None and not pixels.floats and pixels.high <= 255 else "FP32"

    @property
    def output_datatype(self) -> str:
        """The type of the numbers it returns."""
        return datatype_of(np.empty(0, self.model.dtype))

    def metadata(self) -> dict[str, Any]:
        """Return what the protocol tells about a model."""
        output: dict[str, Any] = {
            "name": self.output_name,
            "datatype": self.output_datatype,
            "shape": [-1, *self.model.output_shape],
        }
        if self.classifies:
            output["parameters"] = {"labels": self.classes}
        return {
            "name": self.name,
            "versions": [VERSION],
            "platform": "rot180",
            "inputs": [
                {"name": self.input_name, "datatype": self.input_datatype, "shape": [-1, *self.model.input_shape]}
            ],
            "outputs": [output],
        }

    def ready(self, images: Array) -> Array:
        """Return images as the network's first layer reads them.

        Raises
        ------
        Rot180Error
            They do not fit the network, or are not finite.
        """
        self.model.refuse_shape(images.shape)
        return self.model.preprocessing(images, dtype=self.model.dtype)


def datatype_of(array: Array) -> str:
    """Return the protocol's name of an array's type.

    >>> datatype_of(np.zeros(1, np.float32))
    'FP32'
    """
    return _NAMES[array.dtype.newbyteorder("<")]


def open_served(name: str, path: Path) -> Served:
    """Open a run folder or a weights file.

    Raises
    ------
    Rot180Error
        It cannot be read.
    """
    run = load_run(path)
    return Served(name, run.model, own_tta(path, run))
