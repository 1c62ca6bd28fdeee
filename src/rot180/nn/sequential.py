"""A network of layers that run one after the other."""

from __future__ import annotations

from collections.abc import Iterable

from rot180.nn.graph import Part, series
from rot180.nn.keywords import answering
from rot180.nn.layer import Layer
from rot180.nn.network import Network


class Sequential(Network):
    """A network: each layer takes the output of the previous one.

    Parameters
    ----------
    layers : iterable of layers
        At least one. Joins (`Add`, `Concatenate`, `Multiply`) hold branches of layers; a list of layers, or another
        network, may take the place of a layer. Layers without a name get one: `conv1`, `relu1`, `pool1`, ...
    input_shape : (H, W, C) or (n,), optional
        The shape of one image; may be passed to `build` instead.

    Attributes
    ----------
    All of `Network`.

    Raises
    ------
    ShapeError
        A layer does not fit the previous one; the message names the layer.

    Examples
    --------
    >>> import numpy as np
    >>> from rot180.nn import Add, Conv2d, Flatten, Linear, ReLU
    >>> model = Sequential([Flatten(), Linear(16), ReLU(), Linear(10)], input_shape=(8, 8, 1)).build(seed=0)
    >>> y, saved = model.forward(np.zeros((5, 8, 8, 1), np.float32))
    >>> y.shape, str(model)
    ((5, 10), '8x8x1 > fc16 relu > fc10')
    >>> block = Add([Conv2d(8, 3, padding="same"), ReLU(), Conv2d(8, 3, padding="same")], [])
    >>> str(Sequential([Conv2d(8, 3), block, ReLU()], input_shape=(10, 10, 1)))
    '10x10x1 > conv3x3:8 ( conv3x3:8:same relu conv3x3:8:same + skip ) relu'
    """

    @answering
    def __init__(self, layers: Iterable[Part], *, input_shape: Iterable[int] | None = None) -> None:
        super().__init__(series((layers,) if isinstance(layers, Layer) else layers), input_shape=input_shape)

    def __repr__(self) -> str:
        """Return a call that creates the network."""
        if self._input_shape is None and not any(layer.is_join for layer in self.layers):
            return f"Sequential([{', '.join(repr(layer) for layer in self.layers)}])"
        return super().__repr__()
