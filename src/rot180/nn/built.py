"""The layers and shapes that a network was built with, and whether they still apply."""

from __future__ import annotations

from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

from rot180.errors import ArgumentError, ShapeError
from rot180.nn.arena import Arena
from rot180.nn.contract import is_own, shapes_of
from rot180.nn.graph import INPUT, Node
from rot180.nn.hyper import changes
from rot180.nn.layer import Layer, Shape
from rot180.nn.linear import Linear
from rot180.ops.types import Array


class Held(NamedTuple):
    """An array of a network: the layer that it belongs to, whether it is among its parameters or its statistics."""

    layer: Layer
    which: str
    local: str
    array: Array

    @property
    def name(self) -> str:
        """The full name, such as `conv1.weight`."""
        return f"{self.layer.name}.{self.local}"

    @property
    def store(self) -> dict[str, Array]:
        """The layer's own dictionary of such arrays."""
        found: dict[str, Array] = getattr(self.layer, self.which)
        return found


_is_writeable = attrgetter("array.flags.writeable")


class Built:
    """The parameters and statistics of a network and the hyper-parameters that they were created for.

    The parameters of built-in layers are in `arena`, their statistics in `statistics`; the arrays of a user's own layer
    stay where that layer created them, as layers inside it may refer to them too. None of them ever moves: an array
    that a user assigns in place of one is copied into it.

    Parameters
    ----------
    nodes : tuple of Node
    shape : (H, W, C) or (n,)
        The shape of the network's input.
    shapes : list of Shape
        The shape of each node's output.
    dtype : numpy.dtype
    """

    def __init__(self, nodes: tuple[Node, ...], shape: Shape, shapes: list[Shape], dtype: np.dtype[Any]) -> None:
        layers = tuple(layer for layer, _ in nodes)
        self._inputs = [shape if reads[0] == INPUT else shapes[reads[0]] for _, reads in nodes]
        built_in = [(layer, taken) for layer, taken in zip(layers, self._inputs, strict=True) if not is_own(layer)]
        known = {
            (layer, local): shape for layer, taken in built_in for local, shape in layer.parameter_shapes(taken).items()
        }
        # The engine updates a fully connected weight as its gradient is computed, and all others in one call, or in two
        # if biases and normalization do not decay.
        order = sorted(known, key=lambda key: (type(key[0]) is Linear and key[1] == "weight", len(known[key]) == 1))
        self.arena = Arena({f"{layer.name}.{local}": known[layer, local] for layer, local in order}, dtype)
        self.statistics = Arena(
            {
                f"{layer.name}.{local}": shape
                for layer, taken in built_in
                for local, shape in layer.statistic_shapes(taken).items()
            },
            dtype,
        )
        self._nodes, self._shape, self._shapes, self._layers, self._dtype = nodes, shape, shapes, layers, dtype
        self._names = [layer.name for layer in layers]
        self._held: list[Held] = []
        self._in_place: list[tuple[dict[str, Array], str, Array]] = []
        self._made_of: list[Any] = []
        self._seen: object = None
        self._revision = object()

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        places = {**dict(self.arena.items()), **dict(self.statistics.items())}  # whatever pickling did to them
        self._held = [held._replace(array=places.get(held.name, held.array)) for held in self._held]
        self._seen = None

    def place(self, layer: Layer) -> None:
        """Take over the arrays that a layer has just created, before building the next layer, which may use them.

        Raises
        ------
        ArgumentError
            A user's own layer created something other than separate arrays of the network's type.
        """
        for which, arena in (("parameters", self.arena), ("statistics", self.statistics)):
            for local, array in getattr(layer, which).items():
                held = Held(layer, which, local, array)
                if not is_own(layer):
                    held = held._replace(array=arena[held.name])
                    np.copyto(held.array, array)
                    held.store[local] = held.array
                elif not isinstance(array, np.ndarray) or array.dtype != self._dtype or not array.flags.writeable:
                    raise ArgumentError(
                        f"{held.name} must be a writeable array of {self._dtype}, the type passed to build; it is "
                        f"{getattr(array, 'dtype', type(array).__name__)}"
                    )
                else:
                    self._forbid_sharing(held.name, array)
                self._held.append(held)

    def look(self) -> object:
        """Return a token that stays the same as long as everything that an engine relies on does.

        That is, the hyper-parameters of built-in layers other than `lr_factor`; a user's own layers are simply called.

        Raises
        ------
        ArgumentError, ShapeError
            A value was set that a built network cannot adopt.
        """
        try:
            for store, local, array in self._in_place:
                if store[local] is not array:
                    return self._look_closely()
        except KeyError:  # reported by the closer look
            return self._look_closely()
        return self._revision if changes.latest is self._seen else self._look_closely()

    def require_writeable(self) -> None:
        """Raise ArgumentError if an array was made read-only: kernels would write to its memory all the same."""
        if all(map(_is_writeable, self._held)):
            return
        name = next(held.name for held in self._held if not _is_writeable(held))
        raise ArgumentError(
            f"{name} is read-only, but a network's arrays change in place; set its flags.writeable to True, and "
            f"lr_factor to 0 for a layer that must not learn"
        )

    def _look_closely(self) -> object:
        seen = changes.latest
        for layer, name in zip(self._layers, self._names, strict=True):
            if layer.name != name:
                raise ArgumentError(
                    f"{name}: the name of a layer cannot change after the network is built; it is now {layer.name!r}; "
                    f"restore it"
                )
        self._check_shapes()
        self._take_arrays()
        # Compare identities, not values: a value may be an array, which == does not compare as a whole.
        made_of = [
            value
            for layer in self._layers
            if not is_own(layer)  # simply called
            for name, value in vars(layer).items()
            if name not in ("parameters", "statistics", "lr_factor")
        ]
        if len(made_of) != len(self._made_of) or any(a is not b for a, b in zip(made_of, self._made_of, strict=True)):
            self._made_of, self._revision = made_of, object()
        # Whoever sets `layer.parameters` itself sets `changes.latest`.
        self._in_place = [(held.store, held.local, held.array) for held in self._held]
        self._seen = seen
        return self._revision

    def _check_shapes(self) -> None:
        found = shapes_of(self._nodes, self._shape)
        for layer, taken, given, shape in zip(self._layers, self._inputs, self._shapes, found, strict=True):
            if shape != given:
                raise ArgumentError(
                    f"{layer.label}: the layer was changed after the network was built, to {layer!r}: its output would "
                    f"be {shape}, not {given}; call build again, or restore it"
                )
            for which, wanted in (
                ("parameters", layer.parameter_shapes(taken)),
                ("statistics", layer.statistic_shapes(taken)),
            ):
                made = {
                    held.local: held.array.shape for held in self._held if held.layer is layer and held.which == which
                }
                if not is_own(layer) and wanted != made:
                    raise ArgumentError(
                        f"{layer.label}: the layer was changed after the network was built, to {layer!r}: its {which} "
                        f"would be {wanted}, not {made}; call build again, or restore it"
                    )
                now = getattr(layer, which)
                if now.keys() != made.keys():
                    raise ArgumentError(
                        f"{layer.label}: its {which} are now {list(now)}, but it was built with {list(made)}; call "
                        f"build again, or restore them"
                    )

    def _take_arrays(self) -> None:
        """Copy in the arrays that a user has assigned to parameters or statistics."""
        for held in self._held:
            array = held.store[held.local]
            if array is not held.array:
                given = np.asarray(array)
                if given.shape != held.array.shape or given.dtype.kind != "f":
                    raise ShapeError(
                        f"{held.name} must be {held.array.shape} of floats; it is {given.shape} of {given.dtype}"
                    )
                self._forbid_sharing(held.name, given)
                self.require_writeable()
                np.copyto(held.array, given, casting="same_kind")
                held.store[held.local] = held.array

    def _forbid_sharing(self, name: str, array: Array) -> None:
        for held in self._held:
            if held.name != name and np.may_share_memory(array, held.array) and np.shares_memory(array, held.array):
                raise ArgumentError(
                    f"{name} and {held.name} share memory; each parameter of a network must be a separate array: copy "
                    f"it, or list it in only one layer"
                )
