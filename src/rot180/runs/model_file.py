"""A model as one safetensors file: its weights, and everything needed to use them.

The metadata contain the network in the notation, the preprocessing and the class names, so the file alone is enough for
prediction. They also list the hyper-parameters of each layer, for other programs; the notation decides. Nothing in it
is executed: the notation can only name layers of this package.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rot180.errors import ArgumentError, ModelError, Rot180Error
from rot180.files import write_atomically
from rot180.files.safetensors_file import DTYPES, StoredArrays, compare_arrays, entry_of, open_arrays, serialize
from rot180.files.safetensors_header import WIDENED, Header, read_header
from rot180.nn.image_statistics import ImageStatistics
from rot180.nn.keywords import answering_call
from rot180.nn.network import Network
from rot180.nn.notation import network
from rot180.nn.notation_items import MAX_LAYERS
from rot180.nn.preprocessing import Preprocessing
from rot180.nn.weighted import build_with_zeros
from rot180.runs.fields import CLASS_NAMES, IMAGE_STATISTICS, LAYERS, PREPROCESSING, Kind, check_fields, parse_json
from rot180.training.diagnosis import refuse_non_finite_weights

FORMAT_VERSION = "1"
"""Raised when older files can no longer be read correctly."""

MAX_NOTATION = 100_000
"""The longest notation that is read, in characters."""

NOT_IN_NOTATION = ("in_channels", "in_features", "initializer")
"""Hyper-parameters that the notation does not always hold: they depend on the input, or may be a user's function."""

MAX_VALUES = 200_000
"""The most JSON values in the metadata."""


@answering_call
def save_model(path: str | Path, model: Network) -> None:
    """Write a model to one file, completely or not at all.

    Parameters
    ----------
    path : str or Path
        Usually `model.safetensors`; an existing file is replaced.
    model : Network
        Built; its parameters and statistics are stored in their type, float32 or float64.

    Raises
    ------
    ArgumentError
        The model is not built, or has layers that the notation cannot name.
    NonFiniteError
        A weight is infinite or NaN.
    ModelError
        The file cannot be written; an existing file is unchanged.

    Examples
    --------
    >>> import tempfile
    >>> from rot180.nn import network
    >>> path = Path(tempfile.mkdtemp()) / "model.safetensors"
    >>> save_model(path, network("8x8x1 > fc10").build(seed=1))
    >>> load_model(path)
    network('8x8x1 > fc10')
    """
    write_atomically(path, model_bytes(model))


def model_bytes(model: Network, step: int | None = None) -> bytes:
    """Return the bytes that `save_model` writes; the same model gives the same bytes.

    With `step`, they also record the number of updates in the run's training.
    """
    if not model.is_built:
        raise ArgumentError("save_model: the model has no parameters yet; call build(seed=0) first")
    refuse_non_finite_weights(model, "save_model: only a model with finite weights is saved")
    if model.class_names is not None and len(set(model.class_names)) < len(model.class_names):
        twice = next(name for name in model.class_names if model.class_names.count(name) > 1)
        raise ArgumentError(f"save_model: class names must differ; {twice!r} occurs more than once; rename one")
    notation = model.notation
    if not _reads_back(notation, model):
        shown = notation if len(notation) <= 200 else notation[:200] + "..."
        raise ArgumentError(
            f"save_model: the network cannot be read back from its notation {shown!r}; use the layers of rot180.nn, "
            f"and at most {MAX_LAYERS:,} of them"
        )
    metadata = {
        "rot180_format": FORMAT_VERSION,
        "notation": notation,
        "preprocessing": json.dumps(model.preprocessing.to_dict()),
        "class_names": json.dumps(model.class_names),
        "layers": json.dumps({layer.name: layer.hyperparameters for layer in model.layers}),
    }
    if model.image_statistics is not None:
        metadata["image_statistics"] = json.dumps(model.image_statistics.to_dict())
    if not model.state:  # otherwise they determine it
        metadata["dtype"] = model.dtype.name
    if step is not None:
        metadata["step"] = str(step)
    return serialize(model.state, metadata)


@answering_call
def load_model(path: str | Path) -> Network:
    """Read a model written by `save_model`.

    The header is limited to 1 MB and 10,000 arrays, and the number, names, types and shapes of the weights are compared
    with the network that the notation describes before any array is created. Files from untrusted sources are safe to
    load: a bad file raises an error and never takes more memory than its size warrants.

    Parameters
    ----------
    path : str or Path
        The safetensors file.

    Returns
    -------
    Network
        Built, with preprocessing and class names.

    Raises
    ------
    ModelError
        The file cannot be read, is damaged, was not written by `save_model`, or is inconsistent.
    """
    # A path that the user gives may be a link; inside a run folder, links are refused (`read_model`).
    try:
        return read_model(Path(path).resolve())
    except (OSError, ValueError, RuntimeError) as error:  # an impossible file name, a loop of links
        raise ModelError(f"{str(path)!r} cannot be read ({error}); check the path") from None


def read_model(path: Path, *, beneath: Path | None = None) -> Network:
    """Read a model file without following links, neither the file itself nor the path below `beneath`.

    Raises
    ------
    ModelError
        As from `load_model`.
    """
    with open_arrays(path, beneath=beneath) as stored:
        return _read_model(path, stored)


def _read_model(path: Path, stored: StoredArrays) -> Network:
    header = stored.header
    version = header.metadata.get("rot180_format")
    if version != FORMAT_VERSION:
        found = "none" if version is None else f"{version[:20]!r}"
        raise ModelError(
            f"{path}: expected a model of rot180 in format {FORMAT_VERSION}, found {found}; "
            "it was written by another program or a newer version"
        )
    model = _described_model(path, header)
    entries = {name: entry_of(array) for name, array in model.state.items()}
    for name, entry in header.arrays.items():  # 16-bit types are accepted too
        if name in entries and WIDENED.get(entry.dtype) == entries[name].dtype:
            entries[name] = replace(entries[name], dtype=entry.dtype)
    compare_arrays(path, header, entries, f"the network {model.notation[:80]!r}")
    model.class_names = _class_names(path, header, model)
    _check_layers(path, header, model)
    arrays = stored.read()
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ModelError(f"{path}: {name} contains non-finite numbers; the file is damaged, use another copy")
    model.load_parameters(arrays)
    return model


def is_model_file(path: Path) -> bool:
    """Return whether a path is a file that `save_model` may have written, by its metadata."""
    try:
        return "rot180_format" in read_header(path.resolve()).metadata
    except (OSError, ValueError, RuntimeError, ModelError):
        return False


def stored_step(path: Path) -> int | None:
    """Return the number of updates recorded in a model file; None if there is none.

    Raises
    ------
    ModelError
        As from `load_model`, or it is not a number.
    """
    step = read_header(path).metadata.get("step")
    if step is not None and not (step.isascii() and step.isdigit() and len(step) < 16):
        raise ModelError(f"{path}: step: expected a whole number in the metadata, found {step[:20]!r}")
    return None if step is None else int(step)


def _described_model(path: Path, header: Header) -> Network:
    """Build the network described by the metadata, after checking that it has as many weights as the file."""
    notation = header.metadata.get("notation", "")
    if len(notation) > MAX_NOTATION:
        raise ModelError(f"{path}: the notation has {len(notation)} characters; at most {MAX_NOTATION} are read")
    stored = sum(int(np.prod(entry.shape, dtype=np.int64)) for entry in header.arrays.values())
    types = {WIDENED.get(entry.dtype, entry.dtype) for entry in header.arrays.values()}
    try:
        model = network(notation)
        described = _count(model)
        if described != stored:
            raise ModelError(f"{path}: the notation describes {described} weights, the file holds {stored}")
        if len(types) > 1:
            raise ModelError(f"{path}: the weights must have one type; found {' and '.join(sorted(types))}")
        build_with_zeros(model, DTYPES[types.pop()] if types else header.metadata.get("dtype", "float32"))
        model.preprocessing = Preprocessing.from_dict(_json(path, header, "preprocessing", PREPROCESSING))
        statistics = _json(path, header, "image_statistics", IMAGE_STATISTICS)
        model.image_statistics = None if statistics is None else ImageStatistics.from_dict(statistics)
    except ModelError:
        raise
    except Rot180Error as error:
        reason = str(error).partition("\n")[0]
        raise ModelError(f"{path}: its description of the network cannot be used ({reason})") from None
    return model


def _class_names(path: Path, header: Header, model: Network) -> tuple[str, ...] | None:
    """Return the class names, one per output."""
    names = _json(path, header, "class_names", CLASS_NAMES)
    if names is None:
        return None
    if len(names) != model.output_shape[-1]:
        raise ModelError(f"{path}: class_names: expected {model.output_shape[-1]} names, found {len(names)}")
    return tuple(names)


def _check_layers(path: Path, header: Header, model: Network) -> None:
    """Raise ModelError if the hyper-parameters listed for other programs contradict the notation."""
    listed = _json(path, header, "layers", LAYERS)
    if listed is None:  # older files have none
        return
    for layer in model.layers:
        values = listed.get(layer.name, {})
        for name, value in layer.hyperparameters.items():
            if name in values and name not in NOT_IN_NOTATION and values[name] != value:
                raise ModelError(
                    f"{path}: layers: {layer.name}.{name} is {values[name]!r}, but the notation says {value!r}; "
                    f"the file was changed"
                )


def _json(path: Path, header: Header, key: str, kind: Kind) -> Any:
    """Return a metadata value, which is JSON itself."""
    value = parse_json(header.metadata.get(key, "null").encode(), f"{path}: {key}", MAX_VALUES)
    check_fields(value, kind, str(path), key)
    return value


def _count(model: Network) -> int:
    """Return the number of values in the arrays that `build` would create."""
    return sum(
        math.prod(shape)
        for layer, shapes in zip(model.layers, model.layer_shapes, strict=True)
        for kind in (layer.parameter_shapes(shapes.input), layer.statistic_shapes(shapes.input))
        for shape in kind.values()
    )


def _reads_back(notation: str, model: Network) -> bool:
    """Return whether the notation describes a network with the same layers and number of weights."""
    try:
        again = network(notation)
    except Rot180Error:
        return False
    # A user's own layer derived from a built-in one may have the notation of that one.
    same = list(map(type, again.layers)) == list(map(type, model.layers))
    return same and again.notation == notation and _count(again) == sum(array.size for array in model.state.values())
