"""Passes of single images, kept unchanged, from which maps and ledgers are read."""

from __future__ import annotations

import copy
import json
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rot180.errors import ArgumentError, did_you_mean
from rot180.files.safetensors_file import serialize
from rot180.inside.explain import Ledger, Trace, explain_in
from rot180.inside.explain.arrays import largest_magnitudes, layer_arrays
from rot180.inside.explain.loss import probabilities
from rot180.inside.nudging import Nudge, nudge
from rot180.inside.products import has_products, products
from rot180.inside.rivers import Bed, river
from rot180.nn import Network
from rot180.nn.layer import Layer
from rot180.ops.types import Array
from rot180.training import Optimizer

KEPT = 8
"""Passes that are kept; the page asks again for an older one."""

LARGEST = 4_000_000
"""The most values of one array that are sent to the page."""

MOST_TERMS = 20_000
"""The most entries of a ledger that are sent to the page."""


@dataclass
class Pass:
    """One image's pass through a copy of the network, as it was after some step.

    Attributes
    ----------
    number : int
        Names the pass; never used again.
    trace : Trace
    image : int or None
        The image's number among those of the subject; None for an image from the page.
    label : int or None
        None for an image from the page, whose loss is that of the likeliest class.
    step : int
        Updates done before.
    """

    number: int
    trace: Trace
    image: int | None
    label: int | None
    step: int
    lock: threading.Lock = field(default_factory=threading.Lock)

    def describe(self) -> dict[str, Any]:
        """Return what the page needs to know before it asks for a layer's arrays."""
        with self.lock:
            trace, model = self.trace, self.trace.model
            names = model.class_names or tuple(map(str, range(model.output_shape[-1])))
            found: dict[str, Any] = {
                "pass": self.number,
                "image": self.image,
                "step": self.step,
                "label": self.label,
                "classes": names,
                "loss": trace.loss_value,
                "scales": largest_magnitudes(trace),
            }
            if len(model.output_shape) == 1:
                shares = probabilities(trace)[0]
                found |= {"probabilities": shares, "likeliest": int(shares.argmax())}
            return found

    def layer(self, name: str) -> bytes:
        """Return the arrays around one layer in the safetensors layout; those that are too large are only named.

        Raises
        ------
        ArgumentError
            The network has no such layer.
        """
        place = place_of(self.trace.model, name)
        with self.lock:
            arrays = layer_arrays(self.trace, place)
        sent = {key: np.asarray(array) for key, array in arrays.items() if array.size <= LARGEST}
        too_large = {key: list(array.shape) for key, array in arrays.items() if array.size > LARGEST}
        return serialize(sent, {"too_large": json.dumps(too_large), "layer": name})

    def products(self, name: str, group: int) -> bytes:
        """Return the matrices of one layer in the safetensors layout; as from `rot180.inside.products`.

        Raises
        ------
        ArgumentError
            The network has no such layer, it is of another kind, or the matrices are too large to be sent.
        """
        place = place_of(self.trace.model, name)
        with self.lock:
            found = products(self.trace, place, group)
        if found.x_col.size > LARGEST:
            raise ArgumentError(f"x_col of {name} has {found.x_col.size:,} values, more than the {LARGEST:,} sent")
        told = {key: getattr(found, key) for key in ("kind", "windows", "taps", "image_shape", "difference")}
        names = ("image", "folded", "x_col", "w_col", "dy_col", "y_col", "dw_col", "dx_col")
        sent = {key: np.ascontiguousarray(getattr(found, key)) for key in names}
        return serialize({**sent, "places": found.places.astype(np.float64)}, {"products": json.dumps(told)})

    def river(self) -> tuple[Bed, ...]:
        """Return how much of delta flows through each layer; as from `rot180.inside.river`."""
        with self.lock:
            return river(self.trace)

    def nudge(self, cell: str) -> Nudge:
        """Return the loss around one pixel or parameter of this pass; as from `rot180.inside.nudge`."""
        with self.lock:
            return nudge(self.trace, cell)

    def ledger(self, cell: str) -> Ledger:
        """Explain one number of this pass.

        Raises
        ------
        ArgumentError
            There is no such number, or its sum has more entries than a page can show.
        """
        with self.lock:
            ledger = explain_in(self.trace, cell)
        if len(ledger.terms) > MOST_TERMS:
            raise ArgumentError(
                f"{ledger.cell} is a sum of {len(ledger.terms):,} entries, more than the {MOST_TERMS:,} that the page "
                f"shows; rot180 explain prints it"
            )
        return ledger


class Passes:
    """The passes kept; made by the owner of the network, read by anyone."""

    def __init__(self) -> None:
        self._kept: OrderedDict[int, Pass] = OrderedDict()
        self._made = 0
        self._lock = threading.Lock()
        self._copy: tuple[Network, int, Network] | None = None

    def make(
        self,
        model: Network,
        step: int,
        image: Array,
        number: int | None,
        label: int | None,
        optimizer: Optimizer | None,
    ) -> Pass:
        """Send an image through the network as it is now; called by the owner."""
        if self._copy is None or self._copy[0] is not model or self._copy[1] != step:
            self._copy = model, step, copy.deepcopy(model)
        # Maps have no label: they are compared with zero, so that there is a loss to go back from.
        target = label if len(model.output_shape) == 1 else np.zeros((1, *model.output_shape), model.dtype)
        return self.keep(Trace(self._copy[2], image, target, optimizer=optimizer), number, label, step)

    def keep(self, trace: Trace, number: int | None = None, label: int | None = None, step: int = 0) -> Pass:
        """Keep a pass, and forget the oldest one."""
        with self._lock:
            self._made += 1
            made = self._kept[self._made] = Pass(self._made, trace, number, label, step)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return made

    def find(self, number: int) -> Pass | None:
        """Return a pass that is still kept."""
        return self._kept.get(number)


def place_of(model: Network, name: str) -> int:
    """Return the index of a layer.

    Raises
    ------
    ArgumentError
        The network has no such layer.
    """
    names = [layer.name for layer in model.layers]
    if name not in names:
        raise ArgumentError(f"the network has no layer {name[:40]!r}{did_you_mean(name[:40], names)}")
    return names.index(name)


def describe_layers(model: Network) -> list[dict[str, Any]]:
    """Return each layer as the page lists it: name, word in the notation, shapes, and what it reads."""
    names = [layer.name for layer in model.layers]
    return [
        {
            "name": layer.name,
            "word": layer.to_notation(),
            "kind": type(layer).__name__,
            "reads": ["image" if source < 0 else names[source] for source in reads],
            "inputs": [list(shape) for shape in shapes.inputs],
            "output": list(shapes.output),
            "parameters": {name: list(array.shape) for name, array in layer.parameters.items()},
            "groups": _groups(layer),
            "is_join": layer.is_join,
            "has_products": has_products(layer),
        }
        for (layer, reads), shapes in zip(model.nodes, model.layer_shapes, strict=True)
    ]


def _groups(layer: Layer) -> int:
    return int(getattr(layer, "groups", 1))
