"""A stage of a plan: one layer, or several that run as one; and what it is given while it makes its steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np

from rot180.engine.lifetimes import Buffer, Memory
from rot180.engine.step import Step
from rot180.kernels.clearing import clear_border
from rot180.kernels.elementwise import GATE
from rot180.kernels.feature_map import NO_PADDING, FeatureMap, Sides, three
from rot180.kernels.memory import aligned
from rot180.kernels.scaling import scale_and_shift
from rot180.nn.batch_norm import BatchNorm2d
from rot180.nn.layer import Layer, Shape
from rot180.ops.types import Array


class Gate(NamedTuple):
    """What delta has to pass for a fused activation: a kind of `combine`, and the activation's output."""

    kind: int
    y: FeatureMap
    slope: float = 0.0


@dataclass(eq=False)
class Value:
    """The network's input, or the output of a stage.

    Attributes
    ----------
    producer : Stage or None
        None for the network's input.
    readers : list of Stage
        In the order in which they run; a stage that reads it twice is listed twice.
    map : FeatureMap
        Where it is.
    needs_delta : bool
        Whether a parameter is trained that it depends on.
    delta : FeatureMap or None
        The sum of the contributions that its readers have made so far.
    """

    shape: Shape
    producer: Stage | None = None
    readers: list[Stage] = field(default_factory=list)
    needs_delta: bool = False
    map: FeatureMap = field(init=False)
    delta: FeatureMap | None = None
    contributions: int = 0
    is_gated: bool = False
    """Whether delta has passed the gate of the producer."""


@dataclass
class WholeBatch:
    """The batch of which a plan's images are a part, if normalization uses the mean and variance of all of them."""

    images: int = 0


class Context:
    """What all stages of a plan share.

    By full name, `gradients` holds the array that each parameter's gradient is written to, and `updates` what is needed
    to update a parameter as its gradient is computed: parameter, two state arrays, rule, hyper-parameters.

    The memory that it provides is shared with other stages: its contents are undefined, apart from the zeros around a
    map. What has to start as zeros, or to stay as it is, is allocated with `kernels.memory.aligned`.
    """

    def __init__(
        self,
        memory: Memory,
        count: int,
        dtype: np.dtype[Any],
        *,
        training: bool,
        threads: int,
        gradients: dict[str, np.ndarray[Any, Any]],
        generator: dict[str, np.random.Generator | None],
        updates: dict[str, tuple[Any, ...]],
        whole: WholeBatch | None = None,
        steady: bool = False,
    ) -> None:
        self.memory, self.count, self.dtype, self.steady = memory, count, dtype, steady
        self.training, self.threads = training, threads
        self.gradients, self.generator, self.updates, self.whole = gradients, generator, updates, whole
        self.stage: Stage | None = None
        self.steps: list[Step] = []
        self._normalizations: list[tuple[BatchNorm2d, tuple[Array, ...]]] = []

    def new_map(self, shape: Shape, padding: Sides = NO_PADDING) -> FeatureMap:
        """Return a buffer for this batch, in use until the end of this stage unless it is held; zeros around it."""
        height, width, channels = three(shape)
        (top, bottom), (left, right) = padding
        size = (self.count, top + height + bottom, left + width + right, channels)
        return self.map_inside(size, top, left, height, width)

    def map_inside(
        self, size: tuple[int, ...], top: int, left: int, height: int, width: int, *, zeros_around: bool = True
    ) -> FeatureMap:
        """Return a map inside a buffer of this size, (N, Hp, Wp, C)."""
        border = (*size, top, left, height, width) if zeros_around and size[1:3] != (height, width) else None
        array, buffer = self.memory.take(size, self.dtype, border, self._owner)
        if buffer.needs_clearing:
            sizes = np.array([top, left, height, width], np.int64)
            self.steps.append(Step(self._owner, "clear the padding", clear_border, (array, sizes)))
        return FeatureMap(array, top, left, height, width, buffer)

    def scratch(self, shape: tuple[int, ...], dtype: Any = None) -> np.ndarray[Any, Any]:
        """Return an array for the steps of this stage and direction."""
        return self.memory.take(shape, dtype or self.dtype, None, self._owner)[0]

    def saved(self, shape: tuple[int, ...], dtype: Any = None) -> np.ndarray[Any, Any]:
        """Return an array that this stage fills in its forward pass and reads in its backward pass."""
        array, buffer = self.memory.take(shape, dtype or self.dtype, None, self._owner)
        self._keep(buffer)
        return array

    def scale_and_shift(self, norm: BatchNorm2d, bias: Array) -> tuple[Array, Array]:
        """Return the arrays that will hold what a convolution with this bias, normalized, does to its sums."""
        made = aligned(bias.shape, self.dtype), aligned(bias.shape, self.dtype)
        given = (
            norm.statistics["running_mean"],
            norm.statistics["running_var"],
            *norm.scale_and_shift(bias[np.newaxis]),
        )
        self._normalizations.append((norm, (*given, bias, *made)))
        return made

    def normalization_steps(self) -> list[Step]:
        """Return the step that fills these arrays, from the parameters and statistics of the moment."""
        if not self._normalizations:
            return []
        names = " ".join(norm.name for norm, _ in self._normalizations)
        call = scale_and_shift([(norm.eps, arrays) for norm, arrays in self._normalizations])
        return [Step(names, "scale and shift", *call)]

    def keep(self, *maps: FeatureMap) -> None:
        """Note, in the forward pass, that this stage reads these maps in its backward pass."""
        for one in maps:
            self._keep(one.buffer)

    def _keep(self, buffer: Buffer | None) -> None:
        if self.stage is not None and self.stage.output.needs_delta:
            self.memory.hold(buffer)
            self.stage.kept.append(buffer)

    def is_free(self, one: FeatureMap) -> bool:
        """Whether whoever asks holds this map alone, and may overwrite it."""
        return one.buffer is None or one.buffer.holders == 1

    def may_change(self, stage: Stage, delta: FeatureMap) -> bool:
        """Return whether the delta of a stage's output may be changed, and is where the stage accepts it."""
        return self.is_free(delta) and stage.accepts(delta)

    @property
    def _owner(self) -> str:
        return self.stage.names if self.stage else ""


def widest(paddings: list[Sides]) -> Sides:
    """Return, side by side, the largest of several paddings."""
    if not paddings:
        return NO_PADDING
    rows, columns = zip(*paddings, strict=True)
    (top, bottom), (left, right) = (map(max, zip(*sides, strict=True)) for sides in (rows, columns))
    return (top, bottom), (left, right)


def has_zeros_around(one: FeatureMap) -> bool:
    """Return whether what surrounds a map in its buffer is zero, if anything does."""
    return not one.is_padded or (one.buffer is not None and one.buffer.border is not None)


def is_padded_by(one: FeatureMap, padding: Sides) -> bool:
    """Return whether a map is surrounded by at least so many zeros."""
    if padding == NO_PADDING:
        return True
    (top, bottom), (left, right) = padding
    rows, columns = one.array.shape[1:3]
    return (
        has_zeros_around(one)
        and one.top >= top
        and one.left >= left
        and rows - one.top - one.height >= bottom
        and columns - one.left - one.width >= right
    )


class Target:
    """Where a stage puts its contribution to the delta of one of its inputs.

    It writes to `map`, which is what the stage below prefers; or it calls `give` if the contribution already is
    somewhere. If there is a `gate`, a stage that can lets delta pass only where it is positive, and sets `is_gated`.
    If there is a sum `so_far`, a stage that can adds to it in its place, sets `is_added`, and instead of `gate` takes
    `gate_of_sum`.
    """

    def __init__(self, context: Context, value: Value) -> None:
        self._context, self._value = context, value
        self._map: FeatureMap | None = None
        self.is_gated = self.is_added = False

    @property
    def map(self) -> FeatureMap:
        """The map to write to."""
        if self._map is None:
            producer = self._value.producer
            if self._value.delta is None and producer is not None:
                self._map = producer.new_delta(self._context)
            else:
                self._map = self._context.new_map(self._value.shape)
        return self._map

    def give(self, contribution: FeatureMap) -> None:
        """Name the map that holds the contribution."""
        self._map = contribution

    @property
    def gate(self) -> FeatureMap | None:
        """The output of a ReLU that delta may pass on its way, if this is the only contribution."""
        return self.gate_of_sum if len(self._value.readers) == 1 else None

    @property
    def so_far(self) -> FeatureMap | None:
        """The sum of the other contributions, where it may be changed."""
        delta, producer = self._value.delta, self._value.producer
        if delta is None or producer is None or not self._context.may_change(producer, delta):
            return None
        return delta

    @property
    def gate_of_sum(self) -> FeatureMap | None:
        """The output of a ReLU that the sum of all contributions may pass on its way, if this is the last one."""
        gate = self._value.producer.gate if self._value.producer else None
        is_last = self._value.contributions + 1 == len(self._value.readers)
        return gate.y if gate and gate.kind == GATE and is_last else None


class Stage(ABC):
    """Makes the steps of its layers."""

    padding: Sides = NO_PADDING
    """The padding it needs around its first input."""
    is_view: ClassVar[bool] = False
    """Whether its output is its input in another shape, in the same memory if possible."""
    keeps_output: bool = False
    """Whether its backward pass reads its output, which therefore must not be overwritten."""
    gate: Gate | None = None
    """What delta has to pass before `backward`; set in the forward pass."""

    def __init__(self, layers: list[Layer], inputs: list[Value], output_shape: Shape) -> None:
        self.layers, self.inputs = layers, inputs
        self.output = Value(output_shape, self)
        self.overwritten: Value | None = None
        """The input whose place the output takes."""
        self.kept: list[Buffer | None] = []

    @property
    def names(self) -> str:
        """The layers it runs, such as `conv1 relu1 pool1`."""
        return " ".join(layer.name for layer in self.layers)

    @property
    def input_shape(self) -> Shape:
        """The shape of one image of the first input."""
        return self.inputs[0].shape

    @property
    def output_shape(self) -> Shape:
        """The shape of one image of the output."""
        return self.output.shape

    @property
    def overwritable(self) -> list[Value]:
        """The inputs whose place its output may take, if nobody else needs them and they have its shape."""
        return []

    def new_output(self, context: Context, padding: Sides) -> FeatureMap:
        """Return the map to write to, with this padding."""
        return context.new_map(self.output_shape, padding)

    @abstractmethod
    def forward(self, context: Context, inputs: list[FeatureMap], y: FeatureMap) -> list[Step]:
        """Return the steps from the inputs to y, and keep what `backward` needs."""

    @property
    def delta_padding(self) -> Sides:
        """The padding it needs around the delta of its output."""
        return NO_PADDING

    def new_delta(self, context: Context) -> FeatureMap:
        """Return a map for the delta of its output."""
        return context.new_map(self.output_shape, self.delta_padding)

    def accepts(self, delta: FeatureMap) -> bool:
        """Return whether it can use the delta of its output where it is; if not, it is moved to `new_delta`."""
        return is_padded_by(delta, self.delta_padding)

    @abstractmethod
    def backward(self, context: Context, dy: FeatureMap, targets: list[Target | None]) -> list[Step]:
        """Return the backward steps from the delta of the output, which must not be changed, to those of the inputs.

        A target is None if nothing below that input needs delta.
        """

    def learn(self) -> None:  # noqa: B027  (most layers have no statistics)
        """Update the statistics of its layers with those of the batch that has just been accepted."""
