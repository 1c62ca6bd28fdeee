"""What every layer is: parameters, an operation, and nothing remembered between forward and backward."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar, Literal

import numpy as np

from rot180.nn.hyper import Hyper, anything
from rot180.nn.keywords import answering, answering_class
from rot180.nn.validation import layer_name, real_number
from rot180.ops.geometry import Geometry
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
        Multiplies the learning rate for this layer's parameters; 0 freezes them.

    Hyper-parameters may be set at any time: the next step obeys them, or says why it cannot.
    """

    lr_factor = Hyper(real_number)
    name = Hyper(lambda value, _: layer_name(value))
    parameters: Hyper[dict[str, Array]] = Hyper(anything)

    kind: ClassVar[str] = "layer"
    is_activation: ClassVar[bool] = False
    """An elementwise function; initializers look at the one that follows a layer."""
    draws: ClassVar[bool] = False
    """Whether it draws random numbers in training."""
    output_kind: ClassVar[Literal["logits", "sigmoids", "probabilities"]] = "logits"
    """What its outputs are where it is the last layer. `predict` applies softmax to logits, divides sigmoids by their
    sum, and returns probabilities as they are."""

    @answering
    def __init__(self, *, name: str = "", lr_factor: float = 1.0) -> None:
        self.name = name
        self.lr_factor = lr_factor
        self.parameters = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in cls.__dict__:
            answering_class(cls)

    @property
    def label(self) -> str:
        """What messages call the layer: its name, or its class before it has one."""
        return self.name or type(self).__name__

    @property
    def has_parameters(self) -> bool:
        """Whether it has parameters, or `build` will make some."""
        return bool(self.parameters) or type(self).build is not Layer.build

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the output for one image; raise ShapeError where the input does not fit."""
        return input_shape

    def geometry(self, input_shape: Shape) -> Geometry | None:
        """Return where the windows lie that the layer slides over its input; None where there are none."""
        return None

    def parameter_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        """Return the shape of each parameter that `build` would make for this input; here, of those it has made."""
        return {name: array.shape for name, array in self.parameters.items()}

    def build(
        self, input_shape: Shape, generator: np.random.Generator, *, dtype: Any = np.float32, activation: str = "linear"
    ) -> None:
        """Make the parameters for this input shape. `activation` names what follows, for the initializer's gain."""

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
        """Return the multiply-adds of one image's forward pass, in products of an input and a weight."""
        return 0

    def to_notation(self) -> str:
        """Return the layer as a word of the notation, without its name.

        A layer of the user's own, for which there is no word, is shown by the call that makes it; `rot180.network`
        does not read that, and `save_model` refuses it.
        """
        return repr(self)

    def __repr__(self) -> str:
        """Return the call that makes the layer, with what differs from the defaults."""
        arguments = []
        for name, parameter in list(inspect.signature(type(self).__init__).parameters.items())[1:]:
            if not hasattr(self, name):  # a user's class may not keep its arguments
                continue
            value = getattr(self, name)
            if parameter.default is parameter.empty:
                arguments.append(repr(value))
            elif value not in (parameter.default, (parameter.default, parameter.default)):
                arguments.append(f"{name}={_plain(value)!r}")
        return f"{type(self).__name__}({', '.join(arguments)})"


def _plain(value: Any) -> Any:
    return getattr(value, "__name__", value) if callable(value) else value
