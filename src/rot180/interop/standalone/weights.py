"""How the weights of a program are stored: as float32, or as int8 with a scale for each filter."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from rot180.errors import ArgumentError, did_you_mean
from rot180.interop.standalone import numpy_program
from rot180.interop.standalone.examples import Examples, example_images, examples_of
from rot180.interop.standalone.operation import Program, as_map
from rot180.nn.network import Network
from rot180.ops.types import Array

WEIGHTS = ("float32", "int8")


def check_weights(weights: str) -> None:
    """Raise ArgumentError unless weights can be stored as this type."""
    if weights not in WEIGHTS:
        raise ArgumentError(f"unknown weights {weights!r}{did_you_mean(str(weights), WEIGHTS)}")


def stored_as(weights: str, program: Program, model: Network) -> tuple[Program, Examples]:
    """Return a network's program with its weights in this type, and examples with the outputs that it must give."""
    examples = examples_of(model)
    if weights == "int8":
        program = quantized(program)
        images, _ = example_images(model, len(examples.small), seed=0)
        examples = examples._replace(outputs=evaluate(program, model, images))
    return program, examples


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
