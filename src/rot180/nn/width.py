"""The same network with more or fewer channels."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from rot180.errors import ArgumentError, ShapeError
from rot180.nn.channels import ChannelSlice
from rot180.nn.convolution_layer import ConvolutionLayer
from rot180.nn.graph import INPUT, Node
from rot180.nn.linear import Linear
from rot180.nn.network import Network
from rot180.nn.weighted import Weighted


def widened(model: Network, factor: float) -> Network:
    """Return a network, not built, whose layers have so many times the channels and units; its outputs stay.

    A convolution with as many groups as channels keeps one group for each; otherwise the groups stay, and channels are
    rounded to a multiple of them.

    Parameters
    ----------
    model : Network
        With a known input shape.
    factor : float
        Above 0.

    Raises
    ------
    ArgumentError
        The layers of the wider network do not fit each other, as where a sum takes the network's input.

    Examples
    --------
    >>> from rot180.nn import network
    >>> made = network("8x8x4 > conv3x3:12:same conv3x3:12:same:g12 ( conv1x1:12 + skip ) relu > fc10")
    >>> print(widened(made, 0.5))
    8x8x4 > conv3x3:6:same > conv3x3:6:same:g6 ( conv1x1:6 + skip ) relu > fc10
    """
    nodes, shapes = copy.deepcopy(model.nodes), model.layer_shapes
    kept = _of_outputs(nodes)
    try:
        for place, (layer, _) in enumerate(nodes):
            if isinstance(layer, ConvolutionLayer):
                layer.in_channels = None
            elif isinstance(layer, Linear):
                layer.in_features = None
            if place not in kept:
                _widen(layer, shapes[place].input[-1], factor)
        return Network(nodes, input_shape=model.input_shape)
    except (ShapeError, ArgumentError) as error:
        raise ArgumentError(f"the network cannot have {factor:g} times as many channels: {error}") from None


def _widen(layer: object, channels: int, factor: float) -> None:
    """Change the sizes of a layer whose input has so many channels in the original network."""
    if isinstance(layer, ConvolutionLayer):
        if layer.groups == channels > 1:
            layer.groups = _scaled(channels, factor)
        layer.out_channels = _scaled(layer.out_channels, factor, layer.groups)
    elif isinstance(layer, Linear):
        layer.out_features = _scaled(layer.out_features, factor)
    elif isinstance(layer, ChannelSlice):
        layer.start = round(layer.start * factor)
        layer.out_channels = _scaled(layer.out_channels, factor)


def _scaled(count: int, factor: float, multiple: int = 1) -> int:
    return max(1, round(count * factor / multiple)) * multiple


def _of_outputs(nodes: Sequence[Node]) -> set[int]:
    """Return the places from the layers with weights that decide the network's outputs to its end."""
    found, waiting = set(), [len(nodes) - 1]
    while waiting:
        place = waiting.pop()
        if place == INPUT or place in found:
            continue
        found.add(place)
        layer, reads = nodes[place]
        if not isinstance(layer, Weighted):
            waiting.extend(reads)
    return found
