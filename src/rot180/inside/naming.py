"""What layers and networks are called, those with layers of the user's own too, which need no word in the notation."""

from __future__ import annotations

from rot180.nn import Sequential
from rot180.nn.layer import Layer

__all__ = ["network_text", "word"]


def word(layer: Layer) -> str:
    """Return the layer's word in the notation, or the call that makes it."""
    try:
        return layer.to_notation()
    except NotImplementedError:
        return repr(layer)


def network_text(model: Sequential) -> str:
    """Return the network's notation, or the call that makes it."""
    try:
        return str(model)
    except NotImplementedError:
        return f"Sequential([{', '.join(map(repr, model.layers))}])"
