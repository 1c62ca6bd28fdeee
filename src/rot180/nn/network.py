"""A network: nodes, with their shapes and their parameters by name."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NoReturn

import numpy as np

from rot180.errors import ArgumentError, ShapeError
from rot180.nn.arena import Arena
from rot180.nn.argument_types import as_array
from rot180.nn.built import Built
from rot180.nn.contract import is_own, shapes_of
from rot180.nn.graph import LayerShapes, Node, automatic_names, check, check_size, following_activations, layer_shapes
from rot180.nn.image_statistics import ImageStatistics
from rot180.nn.keywords import answering, answering_call
from rot180.nn.layer import Layer, Shape
from rot180.nn.notation_printer import notation
from rot180.nn.preprocessing import Preprocessing
from rot180.nn.summary import Summary, summarize
from rot180.nn.validation import float_type, image_shape, whole_number
from rot180.nn.walk import (
    Backward,
    BeforeBackward,
    BeforeForward,
    Forward,
    Saved,
    input_delta,
    walk_backward,
    walk_forward,
)
from rot180.ops.types import Array


class Network:
    """A network of nodes: layers, each of which reads the outputs of some before it.

    `Sequential` creates one from layers that run one after the other, `rot180.network` from a text.

    Parameters
    ----------
    nodes : iterable of Node
        At least one, in the order in which they run; the last one's output is the network's. Layers without a name get
        one: `conv1`, `relu1`, `pool1`, `conv2`, ...
    input_shape : (H, W, C) or (n,), optional
        The shape of one image; may be passed to `build` instead.

    Attributes
    ----------
    preprocessing : Preprocessing
        The preprocessing of images before the first layer; saved with the model.
    class_names : tuple of str or None
        The names of the classes, one per output.
    image_statistics : ImageStatistics or None
        Statistics of the training images; `predict` and `evaluate` warn of images unlike them.

    Raises
    ------
    ArgumentError
        The nodes are not a network; the message names the layer.
    ShapeError
        A layer does not fit what it reads; the message names the layer.

    Examples
    --------
    >>> from rot180.nn import Add, Conv2d, Node, ReLU
    >>> nodes = [Node(Conv2d(4, 3, padding="same"), (-1,)), Node(ReLU(), (0,)), Node(Add(), (1, 0))]
    >>> model = Network(nodes, input_shape=(8, 8, 1)).build(seed=0)
    >>> y, saved = model.forward(np.zeros((5, 8, 8, 1), np.float32))
    >>> y.shape, str(model)
    ((5, 8, 8, 4), '8x8x1 > conv3x3:4:same ( relu + skip )')
    """

    @answering
    def __init__(self, nodes: Iterable[Node], *, input_shape: Iterable[int] | None = None) -> None:
        # The first of all attributes, so that attributes copied after it find the parameters already copied.
        self._built: Built | None = None
        self._nodes = tuple(nodes)
        check(self._nodes, type(self).__name__)
        self._layers = tuple(layer for layer, _ in self._nodes)
        for layer, name in zip(self.layers, automatic_names(self.layers), strict=True):
            layer.name = layer.name or name
        self._check_names()
        self.preprocessing = Preprocessing()
        self.class_names: tuple[str, ...] | None = None
        self.image_statistics: ImageStatistics | None = None
        self.is_built = False
        self._dtype = np.dtype(np.float32)
        self._input_shape: Shape | None = None
        self._shapes: list[Shape] = []
        if input_shape is not None:
            self._input_shape = image_shape(input_shape)
            self._shapes = shapes_of(self.nodes, self._input_shape)

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if self._built is not None:
            self._built.look()  # a pickle leaves the parameters in the layers

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The layers and what each of them reads, in the order in which they run."""
        return self._nodes

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers in the order in which they run; to replace one, create a new network of them."""
        return self._layers

    @layers.setter
    def layers(self, layers: Iterable[Layer]) -> None:
        raise ArgumentError(
            "the layers of a network are fixed; create a new network, such as Sequential([*layers, Linear(5)])"
        )

    @property
    def arena(self) -> Arena:
        """The arena with the parameters of the built-in layers, by full name; raises ArgumentError before `build`."""
        return self._require_built().arena

    @property
    def statistics_arena(self) -> Arena:
        """The arena with the statistics of the built-in layers, by full name; raises ArgumentError before `build`."""
        return self._require_built().statistics

    def _check_names(self) -> None:
        name, count = Counter(layer.name for layer in self.layers).most_common(1)[0]
        if count > 1:
            raise ArgumentError(f"{type(self).__name__}: {count} layers are named {name!r}; give each its own name")

    @property
    def input_shape(self) -> Shape:
        """The shape of one image; raises ArgumentError if it is not known yet."""
        if self._input_shape is None:
            raise ArgumentError(
                "the network's input shape is not known yet; call build((height, width, channels)) first"
            )
        return self._input_shape

    @property
    def output_shape(self) -> Shape:
        """The shape of the output for one image."""
        return self._shapes[-1] if self._shapes else self.input_shape

    @property
    def layer_shapes(self) -> list[LayerShapes]:
        """The shapes of each layer's inputs and output, for one image."""
        return layer_shapes(self.nodes, self.input_shape, self._shapes)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the parameters and of all computations; float32 before `build`."""
        return self._dtype

    @property
    def parameters(self) -> dict[str, Array]:
        """The live arrays by full name, such as `conv1.weight`."""
        return {f"{layer.name}.{name}": array for layer in self.layers for name, array in layer.parameters.items()}

    @property
    def statistics(self) -> dict[str, Array]:
        """The live statistics by full name, such as `bn1.running_mean`."""
        return {f"{layer.name}.{name}": array for layer in self.layers for name, array in layer.statistics.items()}

    @property
    def state(self) -> dict[str, Array]:
        """Parameters and statistics: all arrays that belong to the model, by full name."""
        return {**self.parameters, **self.statistics}

    @property
    def lr_factors(self) -> dict[str, float]:
        """The factor of the learning rate for each parameter, by full name."""
        return {f"{layer.name}.{name}": layer.lr_factor for layer in self.layers for name in layer.parameters}

    @answering_call
    def build(
        self,
        input_shape: Iterable[int] | None = None,
        *,
        seed: int | np.random.SeedSequence = 0,
        dtype: Any = np.float32,
    ) -> Network:
        """Create new parameters for all layers, and return the network.

        Parameters
        ----------
        input_shape : (H, W, C) or (n,), optional
            Needed if not given to the network.
        seed : int or SeedSequence
            Each layer draws from its own generator, so its weights do not depend on the other layers.
        dtype : float32 or float64

        Raises
        ------
        ShapeError
            A layer does not fit the previous one.
        ArgumentError
            The input shape is not known, or seed or dtype is invalid.
        TooLargeError
            The parameters would need more memory than is available.
        """
        shape = self.input_shape if input_shape is None else image_shape(input_shape)
        dtype = float_type(dtype)
        if not isinstance(seed, np.random.SeedSequence):
            seed = np.random.SeedSequence(whole_number(seed, "seed", 0))
        shapes = shapes_of(self.nodes, shape)
        taken = layer_shapes(self.nodes, shape, shapes)
        check_size(self.layers, taken, dtype.itemsize)
        # Created by key, not by spawn(), which would advance a counter in the caller's SeedSequence and change the next
        # build.
        seeds = (
            np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, index))
            for index in range(len(self.layers))
        )
        self._check_names()
        built = Built(self.nodes, shape, shapes, dtype)
        following = following_activations(self.nodes)
        for index, (layer, layer_seed) in enumerate(zip(self.layers, seeds, strict=True)):
            generator = np.random.default_rng(layer_seed)
            layer.build(taken[index].input, generator, dtype=dtype, activation=following[index])
            built.place(layer)
        built.look()
        self._built, self._input_shape, self._shapes, self._dtype, self.is_built = built, shape, shapes, dtype, True
        return self

    def look(self) -> object:
        """Return a token that changes whenever something does that an engine relies on.

        That is, the hyper-parameters of built-in layers other than `lr_factor`, and everything that `build` fixes.
        Arrays that a user has assigned to parameters are copied into the network's own.

        Raises
        ------
        ArgumentError, ShapeError
            The network is not built, or cannot adopt a new value.
        """
        return self._require_built().look()

    def require_writeable(self) -> None:
        """Raise ArgumentError if a parameter or statistic was made read-only; for code about to change them."""
        self._require_built().require_writeable()

    @answering_call
    def forward(
        self, x: Array, *, training: bool = False, generator: np.random.Generator | None = None
    ) -> tuple[Array, Saved]:
        """Return the outputs for a batch and what `backward` needs.

        Parameters
        ----------
        x : (N, *input_shape) float32 or float64
            Images after `preprocessing`; converted to the network's dtype.
        training : bool
            Whether to turn on dropout and noise, which draw from `generator`.

        Raises
        ------
        ShapeError
            The images do not have the network's input shape.
        ArgumentError
            The network is not built, or the images are not floats.
        TooLargeError
            A layer would need more memory than is available.
        """
        saved = []
        for step in self.walk(x, training=training, generator=generator):
            y = step.y
            saved.append(step.saved)
            del step
        return y, saved

    def __call__(self, x: Array) -> Array:
        """Return the outputs for a batch, without keeping anything for a backward pass.

        Shapes and errors as in `forward`.
        """
        for step in self.walk(x):
            y = step.y
            del step
        return y

    def walk(
        self,
        x: Array,
        *,
        training: bool = False,
        generator: np.random.Generator | None = None,
        before: BeforeForward | None = None,
    ) -> Iterator[Forward]:
        """Run the layers one by one, and yield the pass of each: `forward` for code that inspects the layers.

        Parameters and errors are those of `forward`.

        Parameters
        ----------
        before : callable, optional
            Called before each layer with its place and its inputs.

        Examples
        --------
        >>> from rot180.nn import network
        >>> model = network("4x4x1 > conv3x3:2 relu > fc3").build(seed=0)
        >>> [(step.layer.name, step.y.shape) for step in model.walk(np.zeros((1, 4, 4, 1)))]
        [('conv1', (1, 2, 2, 2)), ('relu1', (1, 2, 2, 2)), ('flatten1', (1, 8)), ('fc1', (1, 3))]
        """
        x = self.accept(x)
        self.look()
        return walk_forward(self.nodes, self._shapes, x, training=training, generator=generator, before=before)

    @answering_call
    def backward(self, dy: Array, saved: Saved, *, needs_dx: bool = False) -> tuple[Array | None, dict[str, Array]]:
        """Return dL/dx (None if not needed) and the gradient of each parameter by full name.

        Gradients of several batches can be averaged: that of a large batch is the mean of those of its parts.

        Parameters
        ----------
        dy : (N, *output_shape)
            dL/dy.
        saved
            The second value returned by `forward`.
        needs_dx : bool
            Whether to compute the gradient of the images, which makes the first layer more expensive.
        """
        dx: Array | None = None
        gradients: dict[str, Array] = {}
        for step in self.walk_back(dy, saved, needs_dx=needs_dx):
            dx = input_delta(self.nodes, step, dx)
            gradients.update(step.named_gradients)
            del step
        return dx if needs_dx else None, self.in_order(gradients)

    def walk_back(
        self, dy: Array, saved: Saved, *, needs_dx: bool = False, before: BeforeBackward | None = None
    ) -> Iterator[Backward]:
        """Run the layers backward one by one, and yield the pass of each: `backward` for code that inspects the layers.

        Parameters and errors are those of `backward`.

        Parameters
        ----------
        before : callable, optional
            Called before each layer with its place and its delta.
        """
        return walk_backward(self.nodes, np.asarray(dy, self._dtype), saved, needs_dx=needs_dx, before=before)

    def learn(self, saved: Saved) -> None:
        """Update the statistics with those of a batch that training has accepted.

        Parameters
        ----------
        saved
            The second value returned by `forward` with `training=True`.
        """
        for layer, own in zip(self.layers, saved, strict=True):
            layer.learn(own)

    def in_order(self, gradients: Mapping[str, Array]) -> dict[str, Array]:
        """Return gradients by full name in the order of the parameters, as the optimizer needs them."""
        return {name: gradients[name] for name in self.parameters if name in gradients}

    @answering_call
    def load_parameters(self, parameters: Mapping[str, Array]) -> None:
        """Copy values into the parameters, in place, and into those statistics that are given.

        Raises
        ------
        ArgumentError
            A name is missing or unexpected, the network is not built, or an array of it is read-only. Nothing was
            changed.
        ShapeError
            An array has the wrong shape. Nothing was changed.
        """
        self._require_built()
        own = {name: array for name, array in self.state.items() if name in parameters}
        missing, unexpected = sorted(self.parameters.keys() - own.keys()), sorted(parameters.keys() - own.keys())
        if missing or unexpected:
            raise ArgumentError(
                f"the parameters must be those of the network; missing: {', '.join(missing) or 'none'}; "
                f"unexpected: {', '.join(unexpected) or 'none'}"
            )
        for name, array in own.items():
            given = parameters[name]
            if np.shape(given) != array.shape or np.asarray(given).dtype.kind != "f":
                raise ShapeError(
                    f"{name} must be {array.shape} of floats; it is {np.shape(given)} of {np.asarray(given).dtype}"
                )
        self.require_writeable()
        for name, array in own.items():
            np.copyto(array, parameters[name], casting="same_kind")

    def summary(self) -> Summary:
        """Return a table of layers, output shapes, parameters and multiply-adds per image, to be printed."""
        return summarize(self.input_shape, self.countable().layers, self.layer_shapes)

    def countable(self) -> Network:
        """Return a network whose parameters can be counted: itself, or a built copy.

        The number of parameters of a user's own layer may be known only when it is built.
        """
        if self.is_built or not any(is_own(layer) and layer.has_parameters for layer in self.layers):
            return self
        return copy.deepcopy(self).build(self.input_shape)

    @property
    def notation(self) -> str:
        """The network as `rot180.network` reads it; raises ArgumentError if the input shape is not known."""
        return notation(self.input_shape, self.nodes, self.layer_shapes, automatic_names(self.layers))

    def __str__(self) -> str:
        """Return the notation."""
        return repr(self) if self._input_shape is None else self.notation

    def __repr__(self) -> str:
        """Return a call that creates the network."""
        if self._input_shape is None:
            return f"{type(self).__name__}({list(self.nodes)!r})"
        return f"network({self.notation!r})"

    def _require_built(self) -> Built:
        if self._built is None:
            raise ArgumentError("the network has no parameters yet; call build(seed=0) first")
        return self._built

    def accept(self, images: Any) -> Array:
        """Return a batch in the network's type; raise ShapeError or ArgumentError if it does not fit."""
        self._require_built()
        x: Array = as_array(images)
        if x.dtype.kind != "f":
            raise ArgumentError(f"a network takes floats; got {x.dtype}: pass the images through model.preprocessing")
        if x.shape[1:] != self._input_shape:
            self._refuse(x.shape)
        return x.astype(self._dtype, copy=False)

    def refuse_shape(self, shape: tuple[int, ...]) -> None:
        """Raise ShapeError if a batch of raw images of this shape does not fit even after preprocessing.

        Preprocessing adds the channel axis to gray images (N, H, W).
        """
        if (*shape[1:], 1) != self.input_shape and (shape[1:] != self.input_shape or not shape):
            self._refuse(shape)

    def _refuse(self, shape: tuple[int, ...]) -> NoReturn:
        expected = ", ".join(map(str, ("N", *self.input_shape)))
        raise ShapeError(f"the network takes images ({expected}); got {shape}")
