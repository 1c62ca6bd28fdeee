"""A model of Keras as a network: its layers one by one, with their arrays."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rot180.errors import ModelError, Rot180Error, short
from rot180.interop.keras.container import KerasFile, Variables
from rot180.interop.keras.graph import LayerCall, read_calls
from rot180.interop.keras.layers import LAYERS
from rot180.interop.keras.network import NO_PADDING, Building, Call, Value, reshaped
from rot180.interop.pixel_scale import preprocessing_of
from rot180.interop.stored import StoredArray
from rot180.nn import Network
from rot180.nn.graph import leading_to
from rot180.nn.layer import Shape
from rot180.nn.preprocessing import Preprocessing

MAX_IMAGE = 2**26
"""The most values of an image."""

FAULTS = (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError, Rot180Error)


@dataclass(frozen=True)
class LiftedModel:
    """A network that is not built yet, and the arrays in the file by their full names in it.

    Attributes
    ----------
    network : Network
    arrays : dict of str to StoredArray
        In the layout used here.
    preprocessing : Preprocessing or None
        What the model does with pixels first.
    notes : tuple of str
        What was left out.
    """

    network: Network
    arrays: dict[str, StoredArray]
    preprocessing: Preprocessing | None
    notes: tuple[str, ...]


def lift(file: KerasFile, input_shape: Shape | None = None) -> LiftedModel:
    """Return the network that a model of Keras stands for.

    Raises
    ------
    ModelError
        The model is not one of layers that are known, or does not fit the arrays; the message names the layer.
    """
    if file.config is None:
        raise ModelError(f"{file.path}: the file holds weights alone; give the network")
    calls, output = read_calls(file.path, file.config)
    values: list[Value] = []
    net = Building(())
    for call in calls:
        values.append(_lifted(call, [values[place] for place in call.inputs], net, file, input_shape))
    found = values[output] if calls else None
    if found is None or found.place < 0 or found.padding != NO_PADDING:
        raise ModelError(f"{file.path}: the output of the model is not computed from its input by any layer")
    if net.scalings_read - {net.scaling}:
        raise ModelError(f"{file.path}: the model uses pixels both before and after it scales them")
    return _network(net, found.place, file)


def _lifted(layer: LayerCall, inputs: list[Value], net: Building, file: KerasFile, input_shape: Shape | None) -> Value:
    call = Call(file, layer, inputs, file.variables(layer.names, layer.place, layer.kind, layer.config))
    if layer.kind == "InputLayer":
        if net.input_shape:
            raise call.error("a network has one input")
        net.input_shape = _input_shape(call, input_shape)
        return Value(-1, net.input_shape)
    if layer.kind == "Lambda":
        raise call.error("it holds a function of Python, which is not run; replace it by layers in Keras")
    if layer.kind not in LAYERS:
        raise call.error("no layer stands for this class")
    try:
        return LAYERS[layer.kind](call, net)
    except ModelError:
        raise
    except FAULTS as error:
        raise call.error(f"no layer stands for it ({short(str(error) or type(error).__name__)})") from None


def _input_shape(call: Call, given: Shape | None) -> Shape:
    """Return the shape of one image, which the file may leave open."""
    shape = call.get("batch_shape") or call.get("batch_input_shape")
    if not isinstance(shape, list) or len(shape) not in (2, 4):
        raise call.error(f"the model must take images (H, W, C) or vectors; its input is {short(shape)}")
    sizes = shape[1:]
    if given is not None and len(given) == len(sizes):
        sizes = [there if size is None else size for size, there in zip(sizes, given, strict=True)]
    if None in sizes:
        raise call.error("the file leaves the size of the images open; give it: --input 224x224x3 (input_shape)")
    if not all(type(size) is int and size > 0 for size in sizes) or math.prod(sizes) > MAX_IMAGE:
        raise call.error(f"the model's input is {short(shape)}; at most {MAX_IMAGE:,} values are supported")
    return tuple(sizes)


def _network(net: Building, last: int, file: KerasFile) -> LiftedModel:
    """Return the network of those nodes that the last one depends on."""
    kept, nodes = leading_to(net.nodes, last)
    try:
        network = Network(nodes, input_shape=net.input_shape)
        preprocessing = None if net.pixels is None else preprocessing_of(*net.pixels, str(file.path))
    except ModelError:
        raise
    except Rot180Error as error:
        raise ModelError(f"{file.path}: its layers do not make a network ({error})") from None
    arrays = {
        f"{node.layer.name}.{name}": array
        for node, old in zip(nodes, kept, strict=True)
        for name, array in net.arrays[old].items()
    }
    return LiftedModel(network, arrays, preprocessing, tuple(net.notes))


def plain_arrays(file: KerasFile) -> tuple[dict[str, StoredArray], dict[str, str]]:
    """Return the arrays of a file of weights alone, and the class of each layer where their order is by class.

    The arrays are in the layout used here, and named by Keras's name of the layer and ours of the array.
    """
    found: dict[str, StoredArray] = {}
    kinds: dict[str, str] = {}
    for name, kind, variables in file.layers():
        for own, own_kind, arrays in _own(kind, variables):
            if kind:
                kinds[f"{name}{own}"] = own_kind
            found |= {f"{name}{own}.{key}": array for key, array in arrays.items()}
    return found, kinds


def _own(kind: str, variables: Variables) -> list[tuple[str, str, dict[str, StoredArray]]]:
    """Return what one layer of Keras is here, its class and its arrays; for a separable convolution, two layers."""
    given = dict(variables)
    if "pointwise_kernel" in given and "depthwise_kernel" in given:
        depthwise, pointwise = given.pop("depthwise_kernel"), {"weight": given.pop("pointwise_kernel")}
        return [("/depthwise", "depthwise_conv2d", {"weight": depthwise}), ("/pointwise", "conv2d", pointwise | given)]
    if "alpha" in given:
        given["alpha"] = reshaped(given["alpha"], (math.prod(given["alpha"].shape),))
    return [("", kind, {KEYS.get(name, name): array for name, array in given.items()})]


KEYS = {
    "alpha": "weight",
    "beta": "bias",
    "depthwise_kernel": "weight",
    "gamma": "weight",
    "kernel": "weight",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
"""Our names of a layer's arrays, by Keras's."""
