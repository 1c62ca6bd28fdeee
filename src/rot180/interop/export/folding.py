"""Batch normalization folded into the layer before it.

With running statistics, normalization is a multiplication and an addition for each channel,

    y = gamma / sqrt(var + eps) * (x - mean) + beta = scale * x + shift

and the layer before it is linear, x = w . z + b. So y = (scale * w) . z + (scale * b + shift): the same layer with
other weights.
"""

from __future__ import annotations

import numpy as np

from rot180.nn.batch_norm import BatchNorm2d
from rot180.nn.conv2d import Conv2d
from rot180.nn.conv_transpose2d import ConvTranspose2d
from rot180.nn.graph import INPUT, readers
from rot180.nn.layer import Layer
from rot180.nn.linear import Linear
from rot180.nn.network import Network
from rot180.nn.weighted import Weighted
from rot180.ops.types import Array

Arrays = dict[str, Array]


def fold(model: Network) -> tuple[set[int], dict[Layer, Arrays]]:
    """Fold each normalization that is the only reader of a convolution or a fully connected layer.

    Returns
    -------
    gone : set of int
        The places of the normalizations that are folded.
    arrays : dict of Layer to dict
        Weight and bias, in float64, of the layers that they are folded into.

    Examples
    --------
    >>> from rot180.nn import network
    >>> gone, arrays = fold(network("8x8x1 > conv3x3:4:nobias bn relu bn > fc10").build(seed=0))
    >>> gone, [(layer.name, list(some)) for layer, some in arrays.items()]
    ({1}, [('conv1', ['weight', 'bias'])])
    """
    read = readers(model.nodes)
    gone: set[int] = set()
    arrays: dict[Layer, Arrays] = {}
    for place, (layer, (source, *_)) in enumerate(model.nodes):
        if type(layer) is not BatchNorm2d or source == INPUT or read[source] != [place]:
            continue
        before = model.layers[source]
        if isinstance(before, Conv2d | ConvTranspose2d | Linear):
            gone.add(place)
            arrays[before] = _folded(before, layer)
    return gone, arrays


def _folded(layer: Weighted, normalization: BatchNorm2d) -> Arrays:
    """Return weight and bias of the layer that a layer and the normalization after it amount to."""
    weight = layer.weight.astype(np.float64)
    mean, variance = (normalization.statistics[name].astype(np.float64) for name in ("running_mean", "running_var"))
    scale = 1 / np.sqrt(variance + normalization.eps)
    shift = -mean * scale
    if normalization.affine:
        gamma, beta = (normalization.parameter(name).astype(np.float64) for name in ("weight", "bias"))
        scale, shift = gamma * scale, gamma * shift + beta
    bias = layer.parameters.get("bias")
    factors = scale
    if isinstance(layer, ConvTranspose2d):  # (KH, KW, F/g, C): the filters of each group, for the group's inputs
        factors = np.repeat(scale.reshape(layer.groups, -1).T, weight.shape[3] // layer.groups, axis=1)
    return {"weight": weight * factors, "bias": shift if bias is None else scale * bias + shift}
