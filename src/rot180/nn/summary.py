"""A network as a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rot180.nn.graph import LayerShapes
from rot180.nn.layer import Layer, Shape


@dataclass(frozen=True)
class SummaryRow:
    """One layer: its name, its word in the notation, its numbers for one image, and its hyper-parameters."""

    name: str
    word: str
    output_shape: Shape
    parameters: int
    multiply_adds: int
    hyperparameters: dict[str, Any]
    """As in `Layer.hyperparameters`; the table shows them in the word."""


@dataclass(frozen=True)
class Summary:
    """The rows of all layers; `str` is a table of 80 columns."""

    input_shape: Shape
    rows: tuple[SummaryRow, ...]

    @property
    def parameters(self) -> int:
        """Number of all weights and biases."""
        return sum(row.parameters for row in self.rows)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one image's forward pass."""
        return sum(row.multiply_adds for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Return everything, for JSON.

        >>> from rot180.nn import network
        >>> network("8 > fc10 relu").summary().to_dict()["layers"][1]
        {'name': 'relu1', 'layer': 'relu', 'output_shape': [10], 'parameters': 0, 'multiply_adds': 0, \
'hyperparameters': {}}
        """
        layers = [
            {
                "name": row.name,
                "layer": row.word,
                "output_shape": list(row.output_shape),
                "parameters": row.parameters,
                "multiply_adds": row.multiply_adds,
                "hyperparameters": row.hyperparameters,
            }
            for row in self.rows
        ]
        total = {"parameters": self.parameters, "multiply_adds": self.multiply_adds}
        return {"input_shape": list(self.input_shape), **total, "layers": layers}

    def __str__(self) -> str:
        """Return the table."""
        rule = "-" * 80
        lines = [_line("name", "layer", "output", "parameters", "multiply-adds"), rule]
        lines.append(_line("input", "", _shape(self.input_shape), "", ""))
        for row in self.rows:
            numbers = (f"{n:,}" if n else "" for n in (row.parameters, row.multiply_adds))
            lines.append(_line(row.name, row.word, _shape(row.output_shape), *numbers))
        lines += [rule, _line("total", "", "", f"{self.parameters:,}", f"{self.multiply_adds:,}")]
        return "\n".join(lines)

    __repr__ = __str__


def summarize(input_shape: Shape, layers: Sequence[Layer], shapes: Sequence[LayerShapes]) -> Summary:
    """Return the table of a network whose shapes are known, built or not.

    >>> from rot180.nn import network
    >>> print(network("8x8x1 > conv3:4 relu > fc10").summary())
    name         layer                           output   parameters   multiply-adds
    --------------------------------------------------------------------------------
    input                                         8x8x1
    conv1        conv3x3:4                        6x6x4           40           1,296
    relu1        relu                             6x6x4
    flatten1     flatten                            144
    fc1          fc10                                10        1,450           1,440
    --------------------------------------------------------------------------------
    total                                                      1,490           2,736
    """
    rows = []
    for layer, taken in zip(layers, shapes, strict=True):
        parameters = sum(math.prod(shape) for shape in layer.parameter_shapes(taken.input).values())
        products = layer.multiply_adds(taken.input)
        rows.append(
            SummaryRow(layer.name, layer.to_notation(), taken.output, parameters, products, layer.hyperparameters)
        )
    return Summary(input_shape, tuple(rows))


def _shape(shape: Shape) -> str:
    return "x".join(map(str, shape))


def _line(name: str, word: str, shape: str, parameters: str, multiply_adds: str) -> str:
    return f"{_cut(name, 12):12} {_cut(word, 24):24} {shape:>13} {parameters:>12} {multiply_adds:>15}".rstrip()


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
