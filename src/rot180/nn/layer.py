"""The base class of layers: parameters and an operation, without state between forward and backward."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar, Literal

import numpy as np

from rot180.errors import ArgumentError
from rot180.nn.hyper import Hyper, anything, hyperparameters
from rot180.nn.keywords import answering, answering_class
from rot180.nn.validation import layer_name, real_number
from rot180.ops.geometry import Geometry
from rot180.ops.types import Array

Shape = tuple[int, ...]
"""The shape of one image or feature map, without the batch axis: (H, W, C) or (n,)."""


class Layer:
    """The base class of all layers.

    A layer is created with its hyper-parameters, built once for an input shape (which fixes its parameters), and then
    used from any number of threads: `forward` returns what `backward` will need, and stores nothing.

    Attributes
    ----------
    kind : str
        The stem of the layer's name in a network: `conv` becomes `conv1`, `conv2`, ...
    name : str
        Its name in a network, such as `conv1`; set by the container or the user.
    parameters : dict of str to array
        The parameters by local name (`weight`, `bias`); empty before `build` and for layers without any. Updated in
        place.
    statistics : dict of str to array
        What the layer has learned about its inputs other than by gradients (`running_mean`), by local name; empty
        before `build` and for layers without any. Belongs to a model like its parameters.
    lr_factor : float
        Multiplies the learning rate for this layer's parameters; 0 freezes them.

    Hyper-parameters may be set at any time: the next step uses the new values, or raises an error if it cannot.
    """

    lr_factor = Hyper(real_number)
    name = Hyper(lambda value, _: layer_name(value), listed=False)
    parameters: Hyper[dict[str, Array]] = Hyper(anything, listed=False)
    statistics: Hyper[dict[str, Array]] = Hyper(anything, listed=False)

    kind: ClassVar[str] = "layer"
    is_join: ClassVar[bool] = False
    """Whether it takes several inputs; see `rot180.nn.joins.Join`."""
    is_activation: ClassVar[bool] = False
    """Whether it is an elementwise function; initializers depend on the one that follows a layer."""
    draws: ClassVar[bool] = False
    """Whether it draws random numbers in training."""
    output_kind: ClassVar[Literal["logits", "sigmoids", "probabilities"]] = "logits"
    """The meaning of its outputs if it is the last layer: `predict` applies softmax to logits, divides sigmoids by
    their sum, and returns probabilities unchanged."""

    @answering
    def __init__(self, *, name: str = "", lr_factor: float = 1.0) -> None:
        self.name = name
        self.lr_factor = lr_factor
        self.parameters = {}
        self.statistics = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in cls.__dict__:
            answering_class(cls)

    @property
    def label(self) -> str:
        """The layer's name in messages: its name, or its class if it has none yet."""
        return self.name or type(self).__name__

    @property
    def has_parameters(self) -> bool:
        """Whether it has parameters, or `build` will create some."""
        return bool(self.parameters) or type(self).build is not Layer.build

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """The hyper-parameters by name as numbers, texts, lists and None, ready for JSON.

        They are those that the class declares with `Hyper`; without `lr_factor` where nothing is learned.

        >>> from rot180.nn import MaxPool2d
        >>> MaxPool2d(2).hyperparameters
        {'kernel_size': [2, 2], 'stride': [2, 2], 'padding': 'valid', 'ceil_mode': False}
        """
        found = hyperparameters(self)
        if not self.has_parameters:
            found.pop("lr_factor", None)
        return found

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the output for one image; raise ShapeError if the input does not fit."""
        return input_shape

    def geometry(self, input_shape: Shape) -> Geometry | None:
        """Return the geometry of the windows that the layer slides over its input; None if there are none."""
        return None

    def parameter_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        """Return the shape of each parameter that `build` would create; here, of those already created."""
        return {name: array.shape for name, array in self.parameters.items()}

    def parameter(self, name: str) -> Array:
        """Return a live parameter by its local name; raise ArgumentError before `build`."""
        if name not in self.parameters:
            raise ArgumentError(f"{self.label} has no parameters yet; call build(input_shape) first")
        return self.parameters[name]

    def statistic_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        """Return the shape of each statistic that `build` would create; here, of those already created."""
        return {name: array.shape for name, array in self.statistics.items()}

    def build(
        self, input_shape: Shape, generator: np.random.Generator, *, dtype: Any = np.float32, activation: str = "linear"
    ) -> None:
        """Create the parameters and statistics for this input shape.

        `activation` is the next one, for the initializer's gain.
        """

    def forward(
        self, x: Array, *, training: bool = False, generator: np.random.Generator | None = None
    ) -> tuple[Array, Any]:
        """Return the output for a batch and what `backward` needs.

        `training` turns on dropout and noise, which draw from `generator`.
        """
        raise NotImplementedError

    def backward(self, dy: Array, saved: Any, *, needs_dx: bool = True) -> tuple[Array | None, dict[str, Array]]:
        """Return dL/dx (None if not needed) and the gradient of each parameter, given dL/dy."""
        raise NotImplementedError

    def learn(self, saved: Any) -> None:
        """Update the statistics with those of a batch, given what its `forward` in training returned for `backward`.

        Called once for each batch that training accepts, and nowhere else.
        """

    def multiply_adds(self, input_shape: Shape) -> int:
        """Return the multiply-adds of one image's forward pass: the number of products of an input and a weight."""
        return 0

    def to_notation(self) -> str:
        """Return the layer as a word of the notation, without its name.

        A user's own layer, which has no word, is shown by the call that creates it; `rot180.network` cannot read that,
        and `save_model` refuses it.
        """
        return repr(self)

    def __repr__(self) -> str:
        """Return the call that creates the layer, with the arguments that differ from their defaults."""
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
