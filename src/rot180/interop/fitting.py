"""Which arrays of a file of weights belong to which layers of a network, found before any array is read."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from rot180.errors import ModelError
from rot180.interop.stored import Weights
from rot180.interop.torch_layout import Shape, flattened_maps, own_shapes, torch_shapes
from rot180.interop.torch_names import NAMINGS
from rot180.nn import BatchNorm2d, Conv2d, ConvTranspose2d, GroupNorm, Layer, LayerNorm, Linear, Network, PReLU

OWN = "rot180"
"""The names used here, such as `conv1.weight`."""

IN_ORDER = "the order of the file"

PREFIXES = 4
"""The most parts that all names of a file may share at their beginning."""

SHOWN = 4
"""How many names of each kind a message lists."""


@dataclass(frozen=True)
class Place:
    """An array of a network, and how another program stores it.

    Attributes
    ----------
    name : str
        Its full name here, such as `conv1.weight`.
    shape : tuple of int
        Its shape here.
    shapes : tuple of tuple of int
        The shapes that it may have in the file.
    flattened : (H, W, C) or None
        The feature map that is flattened before its layer.
    """

    name: str
    shape: Shape
    shapes: tuple[Shape, ...]
    flattened: Shape | None


@dataclass(frozen=True)
class Fit:
    """How the names in a file and those of a network fit together.

    Attributes
    ----------
    network : Network
    naming : str
        Whose names they are: of a library, `OWN`, or `IN_ORDER`.
    is_tf : bool
        Whether a network with these names comes from TensorFlow.
    places : dict of str to Place
        Where each array that the file should hold belongs, by its cleaned name in the file.
    stored : dict of str to str
        The names in the file by cleaned name.
    shapes : dict of str to tuple of int
        The shapes in the file by cleaned name.
    """

    network: Network
    naming: str
    is_tf: bool
    places: dict[str, Place]
    stored: dict[str, str]
    shapes: dict[str, Shape]

    @property
    def missing(self) -> list[str]:
        """The arrays that the network has and the file has not, by the file's names."""
        return [name for name in self.places if name not in self.stored]

    @property
    def unexpected(self) -> list[str]:
        """The arrays that the file has and the network has not."""
        return [name for name in self.stored if name not in self.places]

    @property
    def misshapen(self) -> list[str]:
        """The arrays of another shape."""
        return [
            name for name, place in self.places.items() if name in self.shapes and self.shapes[name] not in place.shapes
        ]

    @property
    def is_complete(self) -> bool:
        """Whether every array has its place, and the shape that it needs there."""
        return not (self.missing or self.unexpected or self.misshapen)

    @property
    def likeness(self) -> float:
        """The share of the names that both have, from 0 to 1."""
        return likeness(self.places, self.stored)

    def faults(self) -> str:
        """Return what does not fit, as the end of a message."""
        wrong = [f"{name} is {self.shapes[name]} instead of {self.places[name].shapes[0]}" for name in self.misshapen]
        return f"missing: {_some(self.missing)}; unexpected: {_some(self.unexpected)}; of another shape: {_some(wrong)}"


def _some(names: list[str]) -> str:
    if not names:
        return "none"
    shown = ", ".join(name[:60] for name in names[:SHOWN])
    return shown if len(names) <= SHOWN else f"{shown} and {len(names) - SHOWN} more"


def likeness(one: Collection[str], other: Collection[str]) -> float:
    """Return the share of all names that both have.

    >>> likeness({"a", "b"}, {"b", "c"})
    0.3333333333333333
    """
    common = sum(name in other for name in one)
    return common / max(len(one) + len(other) - common, 1)


def names_of(network: Network) -> list[frozenset[str]]:
    """Return the names of a network's arrays, once for each way of naming that suits its structure."""
    return [frozenset(places_of(network, names)) for _, names, _ in _names(network)]


def best_fit(network: Network, weights: Weights) -> Fit:
    """Return the fit of the file's names to a network under the way of naming that suits it best.

    If no way of naming fits, and the file keeps the order in which its author defined the layers, the layers are taken
    in this order, provided that the shape of every array agrees.
    """
    fits = [fit for naming in _names(network) for fit in _fits(network, weights, *naming)]
    best = max(fits, key=lambda fit: (fit.is_complete, fit.likeness))
    if not best.is_complete and (ordered := _in_order(network, weights)) is not None:
        return ordered
    return best


def _names(network: Network) -> Iterator[tuple[str, dict[str, str], bool]]:
    """Yield each way of naming that suits the structure: whose it is, the names, and whether they mean TensorFlow."""
    yield OWN, {layer.name: layer.name for layer in network.layers}, False
    for naming in NAMINGS:
        names = naming.names(network)
        if names is not None:
            yield naming.library, names, naming.is_tf


def _fits(network: Network, weights: Weights, naming: str, names: dict[str, str], is_tf: bool) -> Iterator[Fit]:
    places = places_of(network, names, keeps_layout=weights.keeps_layout)
    for stored in cleaned(weights.arrays):
        shapes = {name: weights.arrays[original].shape for name, original in stored.items()}
        yield Fit(network, naming, is_tf, places, stored, shapes)


def places_of(network: Network, names: dict[str, str], *, keeps_layout: bool = False) -> dict[str, Place]:
    """Return the place of every array of a network, by the name that it has elsewhere.

    Parameters
    ----------
    network : Network
        Its input shape must be known; it need not be built.
    names : dict of str to str
        The other name of each layer by its name here.
    keeps_layout : bool
        Whether the arrays are stored as they are here, not as in PyTorch.
    """
    flattened = flattened_maps(network)
    found = {}
    for layer, shapes in zip(network.layers, network.layer_shapes, strict=True):
        arrays = {**layer.parameter_shapes(shapes.input), **layer.statistic_shapes(shapes.input)}
        for key, shape in arrays.items():
            maps = flattened.get(layer.name)
            there = own_shapes(layer, key, shape) if keeps_layout else torch_shapes(key, shape, maps)
            found[f"{names[layer.name]}.{key}"] = Place(f"{layer.name}.{key}", shape, there, maps)
    return found


def cleaned(names: Iterable[str]) -> Iterator[dict[str, str]]:
    """Yield the names of a file by cleaned name: as they are, and without prefixes that all of them have.

    Training scripts wrap a network, which puts `module.` or `model.` before every name. Files of DenseNet made before
    2018 have `norm.1` for `norm1`.
    """
    stored = {re.sub(r"(denselayer\d+\.)(norm|conv)\.([12])\.", r"\1\2\3.", name): name for name in names}
    for _ in range(PREFIXES + 1):
        yield stored
        first = {name.partition(".")[0] for name in stored}
        if len(first) != 1 or any("." not in name.partition(".")[2] for name in stored):
            return
        stored = {name.partition(".")[2]: original for name, original in stored.items()}


def _in_order(network: Network, weights: Weights) -> Fit | None:
    """Return the fit of the layers in the order in which both have them; None unless every name and shape agrees."""
    if not weights.is_ordered and not weights.kinds:
        return None
    layers = [
        (layer, shapes.input[-1])
        for layer, shapes in zip(network.layers, network.layer_shapes, strict=True)
        if layer.parameter_shapes(shapes.input) or layer.statistic_shapes(shapes.input)
    ]
    found = list(dict.fromkeys(name.rpartition(".")[0] for name in weights.arrays))
    if weights.kinds:
        of_kind = {kind: [name for name in found[::-1] if weights.kinds[name] == kind] for kind in KINDS}
        left = ([of_kind[kind] for kind in _kinds(*layer) if of_kind[kind]] for layer in layers)
        found = [lists[0].pop() for lists in left if lists]
    if len(found) != len(layers):
        return None
    own = [layer.name for layer, _ in layers]
    places = places_of(network, dict(zip(own, found, strict=True)), keeps_layout=weights.keeps_layout)
    shapes = {name: array.shape for name, array in weights.arrays.items()}
    fit = Fit(network, IN_ORDER, False, places, {name: name for name in weights.arrays}, shapes)
    return fit if fit.is_complete else None


KINDS = {
    "batch_normalization": BatchNorm2d,
    "depthwise_conv2d": Conv2d,
    "conv2d": Conv2d,
    "conv2d_transpose": ConvTranspose2d,
    "dense": Linear,
    "group_normalization": GroupNorm,
    "layer_normalization": LayerNorm,
    "p_re_lu": PReLU,
}
"""Our layers by Keras's name of their class."""


def _kinds(layer: Layer, channels: int) -> list[str]:
    """Return Keras's names of the classes that a layer may have there, given the channels of its input."""
    if isinstance(layer, Linear):
        return ["dense", "conv2d"]  # a 1 x 1 convolution after global pooling
    if isinstance(layer, Conv2d):
        first = ["depthwise_conv2d"] if layer.groups == channels > 1 else []
        last = ["dense"] if layer.kernel_size == (1, 1) else []  # which Keras applies to maps, too
        return [*first, "conv2d", *last]
    return [kind for kind, own in KINDS.items() if type(layer) is own]


def require_complete(fit: Fit, weights: Weights, what: str, hint: str = "") -> None:
    """Raise ModelError unless the file holds the weights of the network, no more and no less."""
    if not fit.is_complete:
        raise ModelError(f"{weights.path}: the weights are not those of {what}; {fit.faults()}{hint}")
