"""Move a network's kinks away from its values, so that a rounding error switches no activation.

A network has hundreds of thousands of inputs of ReLUs, and in float32 one or two of them lie within a rounding error of
zero. Whether such a ReLU passes delta on is then decided by the order of a sum: two correct implementations differ by
percents in some gradients. Shifting the biases a little leaves a gap around each kink.
"""

from __future__ import annotations

import numpy as np

from rot180.nn import Add, Hardsigmoid, Hardswish, Network, ReLU, ReLU6
from rot180.nn.graph import INPUT

KINKS = {ReLU: (0.0,), ReLU6: (0.0, 6.0), Hardsigmoid: (-3.0, 3.0), Hardswish: (-3.0, 3.0)}
"""Where the slopes of activations jump."""
WINDOW = 0.1
"""The farthest that a bias moves, in standard deviations of its channel."""


def avoid_kinks(model: Network, images: np.ndarray) -> float:
    """Shift biases in place, in training and in inference at once; return the smallest distance from a kink then.

    The distance is in standard deviations of the channel. Activations behind a layer without a bias stay as they are.

    Parameters
    ----------
    model : Network
        In float64, without random layers.
    images : (N, H, W, C) float64
    """
    values: dict[int, tuple[np.ndarray, ...]] = {INPUT: (images, images)}
    movable: dict[int, tuple[int, ...]] = {}  # the node whose bias moves this output, and the nodes up to here
    distance = np.inf
    for place, (layer, reads) in enumerate(model.nodes):
        kinks, nodes = KINKS.get(type(layer)), movable.get(reads[0])
        if kinks and nodes:
            z = np.concatenate([value.reshape(-1, value.shape[-1]) for value in values[reads[0]]])
            shift = np.array([widest_gap(column, kinks) for column in z.T])
            bias = model.nodes[nodes[0]].layer.parameters["bias"]
            bias += shift
            for node in nodes:
                values[node] = tuple(value + shift for value in values[node])
            nearest = np.min([np.abs(z + shift - kink).min(0) for kink in kinks], axis=0)
            distance = min(distance, float((nearest / z.std(0)).min()))
        if "bias" in layer.parameters:
            movable[place] = (place,)
        elif isinstance(layer, Add):
            movable[place] = next(((*movable[source], place) for source in reads if movable.get(source)), ())
        values[place] = tuple(
            layer.forward(*(values[source][training] for source in reads), training=bool(training))[0]
            for training in (False, True)
        )
    return distance


def widest_gap(z: np.ndarray, kinks: tuple[float, ...]) -> float:
    """Return the small shift that keeps values farthest from kinks: the middle of the widest gap in the window.

    >>> round(widest_gap(np.array([-10.0, 0.0, 10.0]), (0.0,)), 2)
    -0.41
    """
    window = WINDOW * float(z.std())
    taken = np.concatenate([kink - z for kink in kinks])
    edges = np.sort(np.concatenate([taken[np.abs(taken) < window], [-window, window]]))
    widest = int(np.argmax(np.diff(edges)))
    return float(edges[widest] + edges[widest + 1]) / 2
