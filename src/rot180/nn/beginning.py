"""The beginning of a network: what computes the output of one of its layers."""

from __future__ import annotations

import copy

from rot180.errors import ArgumentError
from rot180.nn.contract import is_own
from rot180.nn.graph import Node, leading_to
from rot180.nn.layer import Layer
from rot180.nn.network import Network
from rot180.nn.weighted import build_with_zeros


def beginning(model: Network, place: int) -> Network:
    """Return a network of the nodes that the output of one of them depends on, with copies of their parameters.

    Parameters
    ----------
    model : Network
        Built.
    place : int
        The place of the node whose output becomes the network's.

    Returns
    -------
    Network
        Built, with the names of the layers and the preprocessing of the model.

    Raises
    ------
    ArgumentError
        There is no such node.

    Examples
    --------
    >>> from rot180.nn import network
    >>> model = network("8x8x1 > conv3x3:4 relu ( skip | conv1x1:2 ) > fc10").build(seed=0)
    >>> beginning(model, 1), beginning(model, 2)
    (network('8x8x1 > conv3x3:4 relu'), network('8x8x1 > conv3x3:4 relu > conv1x1:2'))
    """
    if not 0 <= place < len(model.nodes):
        raise ArgumentError(f"the network has {len(model.nodes)} nodes, counted from 0; there is no node {place}")
    _, kept = leading_to(model.nodes, place)
    nodes = [Node(_copied(layer), reads) for layer, reads in kept]
    found = Network(nodes, input_shape=model.input_shape)
    build_with_zeros(found, model.dtype)
    found.load_parameters({name: array for name, array in model.state.items() if name in found.state})
    found.preprocessing, found.image_statistics = model.preprocessing, model.image_statistics
    return found


def _copied(layer: Layer) -> Layer:
    """Return a copy of a layer without its parameters; a user's own layer, which may hold others, is copied whole."""
    if is_own(layer):
        return copy.deepcopy(layer)
    found = copy.copy(layer)
    found.parameters, found.statistics = {}, {}
    return found
