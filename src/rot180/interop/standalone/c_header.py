"""A network as one C99 header: no library but the standard one, no allocation, weights in constant memory."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rot180.errors import ArgumentError, TooLargeError, did_you_mean
from rot180.files import write_atomically
from rot180.interop.standalone import numpy_program
from rot180.interop.standalone.arena import places
from rot180.interop.standalone.c_text import Blob, c_text, call_of
from rot180.interop.standalone.examples import example_images, examples_of
from rot180.interop.standalone.operation import Program, as_map, program_of
from rot180.memory import require
from rot180.nn.keywords import answering_call
from rot180.nn.network import Network
from rot180.ops.types import Array

WEIGHTS = ("float32", "int8")

MAX_BYTES = 160_000_000
"""The largest weights in bytes that are written, for which a compiler takes about a gigabyte."""


@dataclass(frozen=True)
class CHeader:
    """What `export_c` has written.

    Attributes
    ----------
    path : str
    prefix : str
        What the names in it begin with.
    size : int
        The bytes of the file.
    weight_bytes, arena_bytes : int
        The bytes of constant memory for the weights, and of memory that the caller provides.
    operations, examples : int
        The numbers of operations, and of inputs that it holds with their outputs.
    """

    path: str
    prefix: str
    size: int
    weight_bytes: int
    arena_bytes: int
    operations: int
    examples: int

    def to_dict(self) -> dict[str, Any]:
        """Return everything as numbers and texts, ready for JSON."""
        return asdict(self)


@answering_call
def export_c(model: Network, path: str | Path, *, weights: str = "float32") -> CHeader:
    """Write a network as one C99 header.

    It needs the standard library's `math.h` alone, allocates nothing, and keeps its weights in constant memory; the
    caller provides the memory for values. It holds the preprocessing, the class names and a few inputs with the outputs
    that it must give: compiled with `-DMODEL_TEST -x c model.h -lm`, it is a program that compares them.

    Parameters
    ----------
    model : Network
        Built.
    path : str or Path
        An existing file is replaced. The name of the file is the prefix of all names in it.
    weights : {"float32", "int8"}
        How the weights of convolutions and fully connected layers are stored: int8 takes a quarter of the memory, with
        one scale for each filter. Computations are in float32.

    Returns
    -------
    CHeader

    Raises
    ------
    ArgumentError
        The model is not built, has a layer of a user's own, or `weights` is unknown.
    NonFiniteError
        A weight is infinite, NaN or beyond float32.
    TooLargeError
        The weights exceed what such a file may hold, or the memory.
    ModelError
        The file cannot be written; an existing file is unchanged.

    Examples
    --------
    >>> import tempfile
    >>> from rot180.nn import network
    >>> path = Path(tempfile.mkdtemp()) / "model.h"
    >>> written = export_c(network("8x8x1 > conv3x3:4 bn relu > fc10").build(seed=0), path)
    >>> written.weight_bytes, written.arena_bytes, written.prefix
    (5960, 832, 'model')
    """
    if weights not in WEIGHTS:
        raise ArgumentError(f"unknown weights {weights!r}{did_you_mean(str(weights), WEIGHTS)}")
    program = program_of(model, "export_c")
    examples = examples_of(model)
    if weights == "int8":
        program = quantized(program)
        images, _ = example_images(model, len(examples.small), seed=0)
        examples = examples._replace(outputs=evaluate(program, model, images))
    blob = Blob()
    calls = [call_of(operation, blob) for operation in program.operations]
    if len(blob) > MAX_BYTES:
        raise TooLargeError(
            f"export_c: a C header holds at most {MAX_BYTES // 10**6} MB of weights, but the network has "
            f"{len(blob) / 1e6:.0f} MB; choose weights='int8', or export it as ONNX"
        )
    require(8 * len(blob), "export_c: the file")
    prefix = re.sub(r"\W", "_", Path(path).stem, flags=re.ASCII)
    prefix = f"model_{prefix}" if not prefix[:1].isalpha() else prefix
    offsets, count = places(program)
    data = c_text(program, examples, prefix, calls, offsets, count, blob).encode("ascii")
    write_atomically(path, data)
    return CHeader(str(path), prefix, len(data), len(blob), 4 * count, len(program.operations), len(examples.small))


def quantized(program: Program) -> Program:
    """Return a program whose convolutions have weights of int8, and a scale for each filter."""
    made = []
    for operation in program.operations:
        if operation.kind == "convolution":
            weight = operation.arrays["weight"]
            scale = np.abs(weight).max(axis=(0, 1, 2)).astype(np.float32) / np.float32(127)
            scale[scale == 0] = 1
            small = np.rint(weight / scale).astype(np.int8)
            arrays = {"weight": small, "scale": scale, "bias": operation.arrays["bias"]}
            operation = replace(operation, kind="convolution8", arrays=arrays)
        made.append(operation)
    return replace(program, operations=tuple(made))


def evaluate(program: Program, model: Network, images: Array) -> Array:
    """Return what a program computes for raw images, in NumPy; the network's preprocessing is applied."""
    pixels = model.preprocessing.pixels
    x = model.preprocessing(images, white=None if pixels is None else pixels.white)
    x = x.reshape(len(x), *as_map(program.input_shape))
    operations: list[dict[str, Any]] = []
    arrays: list[Array] = []
    for operation in program.operations:
        own = dict(operation.arrays)
        if operation.kind == "convolution8":
            own = {"weight": own["weight"].astype(np.float32) * own["scale"], "bias": own["bias"]}
        arrays += own.values()
        operations.append(
            {
                "kind": "convolution" if operation.kind == "convolution8" else operation.kind,
                "reads": operation.reads,
                "takes": operation.takes,
                "shape": operation.shape,
                "numbers": dict(operation.numbers),
                "arrays": {name: array.shape for name, array in own.items()},
            }
        )
    y = numpy_program.compute(x, operations, arrays)
    found: Array = numpy_program.FINISHES[program.finish](y).reshape(len(images), *program.output_shape)
    return found
