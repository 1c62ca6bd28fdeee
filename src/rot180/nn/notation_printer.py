"""Write a network in the notation."""

from __future__ import annotations

from collections.abc import Sequence

from rot180.nn.flatten import Flatten
from rot180.nn.layer import Layer, Shape
from rot180.nn.linear import Linear
from rot180.nn.word import join


def notation(
    input_shape: Shape,
    layers: Sequence[Layer],
    shapes: Sequence[tuple[Shape, Shape]],
    automatic_names: Sequence[str],
) -> str:
    """Return `28x28x1 > conv5x5:32:same relu maxpool2 > fc10`.

    A `>` is written after the input and before each layer with weights. A name is written if it is not the automatic
    one, and `flatten` if the parser would not insert it automatically. Values that depend on the input alone
    (`in_channels`) and users' functions as initializers are not written.
    """
    blocks: list[list[str]] = [["x".join(map(str, input_shape))], []]
    for index, (layer, name) in enumerate(zip(layers, automatic_names, strict=True)):
        if is_implicit(layer, shapes[index][0], layers[index + 1 : index + 2]) and layer.name == name:
            continue
        if layer.has_parameters and blocks[-1]:
            blocks.append([])
        blocks[-1].append(join(layer.to_notation(), f"name={layer.name}" if layer.name != name else ""))
    return " > ".join(" ".join(words) for words in blocks if words)


def is_implicit(layer: Layer, input_shape: Shape, following: Sequence[Layer]) -> bool:
    """Return whether this is the flattening implied by a fully connected layer after feature maps."""
    return (
        isinstance(layer, Flatten)
        and len(input_shape) == 3
        and len(following) == 1
        and isinstance(following[0], Linear)
    )
