"""The arrays of a pass around one layer, by the names that their cells have."""

from __future__ import annotations

import numpy as np

from rot180.inside.explain.trace import Trace
from rot180.ops.types import Array


def layer_arrays(trace: Trace, place: int) -> dict[str, Array]:
    """Return what a layer reads, holds and computes, and the gradient of each, under the names of its cells.

    Parameters
    ----------
    trace : Trace
    place : int
        The layer's index in the network.

    Returns
    -------
    dict of str to array
        `input` (`input1`, `input2`, ... for a join), `output`, the parameters and the statistics; each name with
        `.grad` is the gradient. What several layers read has one gradient a reader here: what this one passes back.

    Examples
    --------
    >>> import numpy as np, rot180
    >>> from rot180.inside.explain import Trace
    >>> model = rot180.network("4x4x1 > conv3x3:2 relu > fc3").build(seed=0)
    >>> found = layer_arrays(Trace(model, np.ones((4, 4))), 0)
    >>> {name: array.shape for name, array in found.items() if not name.endswith(".grad")}
    {'input': (1, 4, 4, 1), 'output': (1, 2, 2, 2), 'weight': (3, 3, 1, 2), 'bias': (2,)}
    >>> found["input.grad"].shape
    (1, 4, 4, 1)
    """
    layer, reads = trace.model.nodes[place]
    found: dict[str, Array] = {}
    for slot in range(len(reads)):
        name = f"input{slot + 1}" if layer.is_join else "input"
        found[name] = trace.input(place, slot)
        found[f"{name}.grad"] = trace.contributions[place][slot]
    found["output"], found["output.grad"] = trace.outputs[place], trace.deltas[place + 1]
    for name, array in layer.parameters.items():
        found[name], found[f"{name}.grad"] = array, trace.gradients[f"{layer.name}.{name}"]
    return {**found, **layer.statistics}


def largest_magnitudes(trace: Trace) -> dict[str, float]:
    """Return the largest finite magnitude of each quantity in the whole network: the end of its color scale.

    Returns
    -------
    dict of str to float
        `pixel` (the image as the first layer reads it), `value` (all outputs), `grad` (the gradients of both),
        `parameter`, and `parameter.grad`.

    Examples
    --------
    >>> import numpy as np, rot180
    >>> from rot180.inside.explain import Trace
    >>> model = rot180.network("1x2x1 > fc2:nobias").build(seed=0)
    >>> model.parameters["fc1.weight"][:] = [[0.5, -4], [0.25, 2]]
    >>> largest = largest_magnitudes(Trace(model, np.array([[1.0, 2.0]])))
    >>> largest["pixel"], largest["value"], largest["parameter"]
    (2.0, 2.0, 4.0)
    """
    quantities = {
        "pixel": (trace.x,),
        "value": trace.outputs,
        "grad": trace.deltas,
        "parameter": trace.model.parameters.values(),
        "parameter.grad": trace.gradients.values(),
    }
    return {name: max(map(_largest, arrays), default=0.0) for name, arrays in quantities.items()}


def _largest(array: Array) -> float:
    finite = np.isfinite(array)
    return float(np.abs(array, where=finite, out=np.zeros_like(array)).max(initial=0.0))
