"""The layers and shapes that a network was built with, and whether they still apply."""

from __future__ import annotations

from typing import Any

import numpy as np

from rot180.errors import ArgumentError, ShapeError
from rot180.nn.arena import Arena
from rot180.nn.contract import is_own, shapes_of
from rot180.nn.hyper import changes
from rot180.nn.layer import Layer, Shape
from rot180.nn.linear import Linear
from rot180.ops.types import Array


class Built:
    """The parameters of a network and the hyper-parameters that they were created for.

    The parameters of built-in layers are in `arena`; the arrays of a user's own layer stay where that layer created
    them, as layers inside it may refer to them too. None of them ever moves: an array that a user assigns in place of
    one is copied into it.

    Parameters
    ----------
    layers : tuple of Layer
    shapes : list of (input shape, output shape)
        The shapes of each layer.
    dtype : numpy.dtype
    """

    def __init__(self, layers: tuple[Layer, ...], shapes: list[tuple[Shape, Shape]], dtype: np.dtype[Any]) -> None:
        known = {
            (layer, local): shape
            for layer, (taken, _) in zip(layers, shapes, strict=True)
            if not is_own(layer)
            for local, shape in layer.parameter_shapes(taken).items()
        }
        # The engine updates a fully connected weight as its gradient is computed, and all others in one call, or in two
        # if biases and normalization do not decay.
        order = sorted(known, key=lambda key: (type(key[0]) is Linear and key[1] == "weight", len(known[key]) == 1))
        self.arena = Arena({f"{layer.name}.{local}": known[layer, local] for layer, local in order}, dtype)
        self._layers, self._shapes, self._dtype = layers, shapes, dtype
        self._names = [layer.name for layer in layers]
        self._arrays: list[tuple[Layer, str, Array]] = []
        self._made_of: list[Any] = []
        self._seen: object = None
        self._revision = object()

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        places = dict(self.arena.items())  # their places, whatever pickling did to them
        self._arrays = [
            (layer, local, places.get(f"{layer.name}.{local}", array)) for layer, local, array in self._arrays
        ]

    def place(self, layer: Layer) -> None:
        """Take over the parameters that a layer has just created, before building the next layer, which may use them.

        Raises
        ------
        ArgumentError
            A user's own layer created something other than separate arrays of the network's type.
        """
        for local, array in layer.parameters.items():
            name = f"{layer.name}.{local}"
            if not is_own(layer):
                held = self.arena[name]
                np.copyto(held, array)
                layer.parameters[local] = held
                self._arrays.append((layer, local, held))
                continue
            if not isinstance(array, np.ndarray) or array.dtype != self._dtype or not array.flags.writeable:
                raise ArgumentError(
                    f"{name} must be a writeable array of {self._dtype}, the type passed to build; it is "
                    f"{getattr(array, 'dtype', type(array).__name__)}"
                )
            self._forbid_sharing(name, array)
            self._arrays.append((layer, local, array))

    def look(self) -> object:
        """Return a token that stays the same as long as everything that an engine relies on does.

        That is, the hyper-parameters of built-in layers other than `lr_factor`; a user's own layers are simply called.

        Raises
        ------
        ArgumentError, ShapeError
            A value was set that a built network cannot adopt.
        """
        try:
            for layer, local, array in self._arrays:
                if layer.parameters[local] is not array:
                    return self._look_closely()
        except KeyError:  # reported by the closer look
            return self._look_closely()
        return self._revision if changes.latest is self._seen else self._look_closely()

    def _look_closely(self) -> object:
        seen = changes.latest
        for layer, name in zip(self._layers, self._names, strict=True):
            if layer.name != name:
                raise ArgumentError(
                    f"{name}: the name of a layer cannot change after the network is built; it is now {layer.name!r}; "
                    f"restore it"
                )
        self._check_shapes()
        self._take_parameters()
        # Compare identities, not values: a value may be an array, which == does not compare as a whole.
        made_of = [
            value
            for layer in self._layers
            if not is_own(layer)  # simply called
            for name, value in vars(layer).items()
            if name not in ("parameters", "lr_factor")
        ]
        if len(made_of) != len(self._made_of) or any(a is not b for a, b in zip(made_of, self._made_of, strict=True)):
            self._made_of, self._revision = made_of, object()
        self._seen = seen
        return self._revision

    def _check_shapes(self) -> None:
        found = shapes_of(self._layers, self._shapes[0][0])
        for layer, (taken, given), shape in zip(self._layers, self._shapes, found, strict=True):
            if shape != given:
                raise ArgumentError(
                    f"{layer.label}: the layer was changed after the network was built, to {layer!r}: its output would "
                    f"be {shape}, not {given}; call build again, or restore it"
                )
            made = {local: array.shape for other, local, array in self._arrays if other is layer}
            if not is_own(layer) and (wanted := layer.parameter_shapes(taken)) != made:
                raise ArgumentError(
                    f"{layer.label}: the layer was changed after the network was built, to {layer!r}: its parameters "
                    f"would be {wanted}, not {made}; call build again, or restore it"
                )
            if layer.parameters.keys() != made.keys():
                raise ArgumentError(
                    f"{layer.label}: its parameters are now {list(layer.parameters)}, but it was built with "
                    f"{list(made)}; call build again, or restore them"
                )

    def _take_parameters(self) -> None:
        """Copy in the arrays that a user has assigned to parameters."""
        for layer, local, held in self._arrays:
            array = layer.parameters[local]
            if array is not held:
                name, given = f"{layer.name}.{local}", np.asarray(array)
                if given.shape != held.shape or given.dtype.kind != "f":
                    raise ShapeError(f"{name} must be {held.shape} of floats; it is {given.shape} of {given.dtype}")
                self._forbid_sharing(name, given)
                np.copyto(held, given, casting="same_kind")
                layer.parameters[local] = held

    def _forbid_sharing(self, name: str, array: Array) -> None:
        for layer, local, held in self._arrays:
            other = f"{layer.name}.{local}"
            if other != name and np.may_share_memory(array, held) and np.shares_memory(array, held):
                raise ArgumentError(
                    f"{name} and {other} share memory; each parameter of a network must be a separate array: copy it, "
                    f"or list it in only one layer"
                )
