"""The containers of Keras, and which variables belong to which layer.

    .keras         a zip file: config.json, metadata.json and model.weights.h5
    .weights.h5    the arrays alone: `layers/conv2d_1/vars/0`, by class and in order, or the older names of weights
    .h5            before Keras 3: the configuration is an attribute, and the arrays are in the group `model_weights`

The older names are `weight_names` of each layer's group, such as `conv1/kernel:0`.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from rot180.errors import ModelError, short
from rot180.interop.keras.hdf5 import SIGNATURE, Hdf5, read_hdf5
from rot180.interop.stored import StoredArray
from rot180.interop.stored_zip import LOCAL, Fault, StoredZip

CONFIG, WEIGHTS, METADATA = "config.json", "model.weights.h5", "metadata.json"

MAX_CONFIG = 16 * 1024**2
"""The longest configuration, in bytes; that of a network with a thousand layers is a tenth of it."""

LEGACY = "model_weights"

Variables = dict[str, StoredArray]
"""The arrays of a layer by Keras's names, such as "kernel"."""

VARIABLES = {
    "batch_normalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "conv2d": ("kernel", "bias"),
    "conv2d_transpose": ("kernel", "bias"),
    "dense": ("kernel", "bias"),
    "depthwise_conv2d": ("kernel", "bias"),
    "group_normalization": ("gamma", "beta"),
    "layer_normalization": ("gamma", "beta"),
    "normalization": ("mean", "variance"),
    "p_re_lu": ("alpha",),
    "separable_conv2d": ("depthwise_kernel", "pointwise_kernel", "bias"),
}
"""The variables of a layer in the order of their numbers, by its class."""

OPTIONAL = {"gamma": "scale", "beta": "center", "bias": "use_bias"}
"""The setting without which a layer does not have a variable."""


def snake_case(name: str) -> str:
    """Return the name of a class as the groups of a file have it.

    >>> snake_case("DepthwiseConv2D"), snake_case("ReLU"), snake_case("BatchNormalization")
    ('depthwise_conv2d', 're_lu', 'batch_normalization')
    """
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


@dataclass(frozen=True)
class KerasFile:
    """What a file holds.

    Attributes
    ----------
    path : Path
    config : dict or None
        The configuration of the model; None for weights alone.
    version : int
        The first number of Keras's version; 2 where the file does not say it.
    hdf5 : Hdf5
    prefix : str or None
        Before the names of layers, where the arrays have the older names.
    """

    path: Path
    config: dict[str, Any] | None
    version: int
    hdf5: Hdf5
    prefix: str | None
    _groups: dict[str, dict[str, Variables]] = field(default_factory=dict, compare=False, repr=False)

    def variables(self, names: tuple[str, ...], place: str, kind: str, config: dict[str, Any]) -> Variables:
        """Return the variables of a layer.

        Parameters
        ----------
        names : tuple of str
            Its name, after those of the models that it is inside.
        place : str
            The path of its group, such as `layers/conv2d_1`.
        kind : str
            Its class.
        config : dict
            Its configuration.
        """
        if self.prefix is None:
            known = [
                name for name in VARIABLES.get(snake_case(kind), ()) if config.get(OPTIONAL.get(name, ""), True) is True
            ]
            return dict(zip(known, self._numbered(place), strict=False))
        return self._grouped(names[0]).get("" if len(names) == 1 else names[-1], {})

    def layers(self) -> list[tuple[str, str, Variables]]:
        """Return the layers that have variables, in the order of the file: name, class if known, and variables."""
        if self.prefix is not None:
            found = []
            for layer in self._texts("", "layer_names") or self._texts(self.prefix.rstrip("/"), "layer_names"):
                groups: dict[str, Variables] = {}
                for name, array in self._named(layer):
                    within, _, own = name.rpartition("/")
                    groups.setdefault(f"{layer}/{within}", {})[own.partition(":")[0]] = array
                if len(groups) > 1:  # those that were trained come first
                    raise ModelError(
                        f"{self.path}: {short(layer)} is a model inside the model, and the order of its layers is not "
                        f"known; save the whole model"
                    )
                found += [(name, "", variables) for name, variables in groups.items()]
            return found
        places = {path.removesuffix("/vars") for path in self.hdf5.groups if path.endswith("/vars")}
        return [
            (place, kind, dict(zip(VARIABLES[kind], arrays, strict=False)))
            for place in sorted(places, key=_in_order)
            if (kind := re.sub(r"_\d+$", "", place.rpartition("/")[2])) in VARIABLES
            and (arrays := self._numbered(place))
        ]

    def _numbered(self, place: str) -> list[StoredArray]:
        found: list[StoredArray] = []
        while (array := self.hdf5.arrays.get(f"{place}/vars/{len(found)}")) is not None:
            found.append(array)
        return found

    def _grouped(self, layer: str) -> dict[str, Variables]:
        """Return the variables in a layer's group by the layer inside it that they belong to, and by "" all of them."""
        if layer not in self._groups:
            found: dict[str, Variables] = {"": {}}
            for name, array in self._named(layer):
                within, _, own = name.rpartition("/")
                inner, own = within.rpartition("/")[2], own.partition(":")[0]
                if own in found.get(inner, {}) and inner:
                    raise ModelError(
                        f"{self.path}: two layers inside {short(layer)} have the name {short(inner)}; save the model "
                        f"as .keras, where they are numbered"
                    )
                found[""][own] = array
                found.setdefault(inner, {})[own] = array
            self._groups[layer] = found
        return self._groups[layer]

    def _named(self, layer: str) -> list[tuple[str, StoredArray]]:
        group = f"{self.prefix}{layer}"
        names = self._texts(group, "weight_names")
        return [(name, self.hdf5.arrays[path]) for name in names if (path := f"{group}/{name}") in self.hdf5.arrays]

    def _texts(self, group: str, name: str) -> list[str]:
        """Return an attribute that is a list of texts; long ones are divided and numbered."""
        attributes = self.hdf5.groups[group].attributes if group in self.hdf5.groups else {}
        parts = [name] if name in attributes else []
        while f"{name}{len(parts)}" in attributes and name not in attributes:
            parts.append(f"{name}{len(parts)}")
        lists = [attributes[part] for part in parts]
        return [text for each in lists if isinstance(each, list) for text in each]


def _in_order(place: str) -> list[tuple[str, int]]:
    """Return what sorts `conv2d`, `conv2d_1` ... `conv2d_10` by their numbers."""
    parts = [re.fullmatch(r"(.*?)(?:_(\d{1,9}))?", part) for part in place.split("/")]
    return [(part[1], int(part[2] or 0)) for part in parts if part is not None]


def is_keras_file(file: BinaryIO, head: bytes) -> bool:
    """Return whether a file is HDF5, or a zip file as Keras writes it."""
    if head.startswith(SIGNATURE):
        return True
    if not head.startswith(LOCAL):
        return False
    try:
        return WEIGHTS in StoredZip(file).places
    except Fault:
        file.seek(0)
        return CONFIG.encode() in file.read(200)  # read again, and refused with the reason
    finally:
        file.seek(0)


def read_keras_file(path: Path, file: BinaryIO) -> KerasFile:
    """Read the configuration, and find the arrays.

    Raises
    ------
    ModelError
        The file is damaged, or not one of Keras.
    """
    size = os.fstat(file.fileno()).st_size
    file.seek(0)
    if file.read(8) == SIGNATURE:
        hdf5 = read_hdf5(path, file, 0, size)
        root = hdf5.groups[""].attributes
        prefix = f"{LEGACY}/" if LEGACY in hdf5.groups else None
        if prefix is None and ("layer_names" in root or "layer_names0" in root):
            prefix = ""
        config = _json(path, str(root["model_config"])) if "model_config" in root else None
        is_newer = prefix is None or str(root.get("keras_version", "")).startswith("3")
        return KerasFile(path, config, 3 if is_newer else 2, hdf5, prefix)
    try:
        archive = StoredZip(file)
        missing = [name for name in (CONFIG, WEIGHTS) if name not in archive.places]
        if missing:
            raise Fault(f"no {missing[0]} in it")
        config = _json(path, archive.bytes(CONFIG, MAX_CONFIG).decode("utf-8", "replace"))
        start, length = archive.start(WEIGHTS), archive.places[WEIGHTS][1]
        told = _json(path, archive.bytes(METADATA, MAX_CONFIG).decode()) if METADATA in archive.places else {}
    except (Fault, UnicodeDecodeError) as fault:
        raise ModelError(f"{path}: {fault}; the file is damaged or not one of Keras") from None
    version = str(told.get("keras_version", "3"))
    return KerasFile(path, config, 2 if version.startswith("2") else 3, read_hdf5(path, file, start, length), None)


def _json(path: Path, text: str) -> dict[str, Any]:
    if len(text) > MAX_CONFIG:
        raise ModelError(f"{path}: the configuration may have at most {MAX_CONFIG:,} characters; it has {len(text):,}")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: the configuration is no JSON ({str(error)[:80]}); use another copy") from None
    if not isinstance(found, dict):
        raise ModelError(f"{path}: the configuration must be a table; use another copy")
    return found
