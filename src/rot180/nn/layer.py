"""What every layer is: parameters, an operation, and nothing remembered between forward and backward."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from rot180.ops.types import Array

Shape = tuple[int, ...]
"""The shape of one image or feature map, without the batch: (H, W, C) or (n,)."""


class Layer:
    """The base of all layers.

    A layer is made with its hyper-parameters, built once for an input shape (which fixes its parameters), and then used
    from any number of threads: `forward` returns what `backward` will need, and keeps nothing.

    Attributes
    ----------
    kind : str
        The stem of the layer's name in a network: `conv` becomes `conv1`, `conv2`, ...
    name : str
        Its name in a network, such as `conv1`; given by the container, or by the user.
    parameters : dict of str to array
        By local name (`weight`, `bias`); empty before `build` and for layers that have none. Updated in place.
    lr_factor : float
        Multiplies the learning rate for this layer's parameters.
    """

    kind: ClassVar[str] = "layer"
    is_activation: ClassVar[bool] = False
    """An elementwise function; initialisers look at the one that follows a layer."""

    def __init__(self, *, name: str = "", lr_factor: float = 1.0) -> None:
        self.name = name
        self.lr_factor = lr_factor
        self.parameters: dict[str, Array] = {}

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the output for one image; raise ShapeError where the input does not fit."""
        return input_shape

    def build(
        self, input_shape: Shape, generator: np.random.Generator, *, dtype: Any = np.float32, activation: str = "linear"
    ) -> None:
        """Make the parameters for this input shape. `activation` names what follows, for the initialiser's gain."""

    def forward(
        self, x: Array, *, training: bool = False, generator: np.random.Generator | None = None
    ) -> tuple[Array, Any]:
        """Return the output for a batch and what `backward` needs.

        `training` switches dropout and noise on; they draw from `generator`.
        """
        raise NotImplementedError

    def backward(self, dy: Array, saved: Any, *, needs_dx: bool = True) -> tuple[Array | None, dict[str, Array]]:
        """Return dL/dx (None if not needed) and the gradient of each parameter, given dL/dy."""
        raise NotImplementedError

    def multiply_adds(self, input_shape: Shape) -> int:
        """Return the multiply-adds of one image's forward pass."""
        return 0

    def to_notation(self) -> str:
        """Return the layer as a word of the notation."""
        raise NotImplementedError
