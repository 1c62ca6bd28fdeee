"""From the nodes of a network to the stages of a plan: which layers run as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rot180.engine.stage import Stage, Value
from rot180.engine.stage_activation import FURTHER, FurtherActivationStage, PReLUStage
from rot180.engine.stage_channels import ResponseStage, ShuffleStage, SliceStage
from rot180.engine.stage_convolution import ConvolutionStage
from rot180.engine.stage_convolution_dense import DenseConvolutionStage
from rot180.engine.stage_convolution_depthwise import DepthwiseStage
from rot180.engine.stage_convolution_expanded import ExpandedDepthwiseStage, expands
from rot180.engine.stage_convolution_inverted import InvertedResidualStage
from rot180.engine.stage_convolution_pointwise import PointwiseStage
from rot180.engine.stage_convolution_pooled import PooledConvolutionStage, fuses_pool
from rot180.engine.stage_convolution_rearranged import RearrangedStage
from rot180.engine.stage_convolution_winograd import PooledWinogradStage, WinogradStage
from rot180.engine.stage_join import AddStage, ConcatenateStage, MultiplyStage
from rot180.engine.stage_layer import LayerStage
from rot180.engine.stage_linear import FUSED, LinearStage
from rot180.engine.stage_normalization import FUSED as FUSED_WITH_NORMALIZATION
from rot180.engine.stage_normalization import BatchNormStage
from rot180.engine.stage_normalization_within import NormalizationWithinStage
from rot180.engine.stage_pooling import PoolingStage, fuses_activation
from rot180.engine.stage_resize import ResizeStage
from rot180.engine.stage_simple import (
    ActivationStage,
    DropoutStage,
    DropPathStage,
    FlattenStage,
    NoisyReLUStage,
    SoftmaxStage,
)
from rot180.kernels.pointwise_calls import is_pointwise
from rot180.kernels.space_to_depth_calls import rearranges
from rot180.kernels.winograd_calls import POOLED, is_filtered
from rot180.nn.activation import LeakyReLU, NoisyReLU, ReLU, Sigmoid, Softmax, Tanh
from rot180.nn.activation_piecewise import PReLU, ReLU6
from rot180.nn.batch_norm import BatchNorm2d
from rot180.nn.channels import ChannelShuffle, ChannelSlice, LocalResponseNorm
from rot180.nn.conv2d import Conv2d
from rot180.nn.dropout import Dropout, DropPath
from rot180.nn.flatten import Flatten
from rot180.nn.global_pooling import AdaptiveAvgPool2d, GlobalAvgPool2d, GlobalMaxPool2d
from rot180.nn.graph import INPUT, Node, readers
from rot180.nn.group_norm import GroupNorm, InstanceNorm2d, LayerNorm
from rot180.nn.joins import Add, Concatenate, Multiply
from rot180.nn.layer import Layer, Shape
from rot180.nn.linear import Linear
from rot180.nn.pooling import AvgPool2d, MaxPool2d
from rot180.nn.upsample import Upsample


class Run:
    """A layer, and those taken so far to run as one with it: each is the only reader of the one before.

    Attributes
    ----------
    inputs : list of Value
        What the first layer reads, then what is added to it on the way.
    places : list of int
        The nodes taken.
    is_inference : bool
        Whether there will be no backward pass.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        shapes: Sequence[Shape],
        readers: Sequence[list[int]],
        place: int,
        values: dict[int, Value],
        is_inference: bool,
    ) -> None:
        self._nodes, self._shapes, self._readers, self._values = nodes, shapes, readers, values
        self.inputs = [values[source] for source in nodes[place].reads]
        self.places = [place]
        self.is_inference = is_inference

    @property
    def layers(self) -> list[Layer]:
        """The layers taken."""
        return [self._nodes[place].layer for place in self.places]

    @property
    def output_shape(self) -> Shape:
        """The shape of the last one's output."""
        return self._shapes[self.places[-1]]

    @property
    def may_overwrite(self) -> bool:
        """Whether nobody else needs the first layer's input."""
        source = self._nodes[self.places[0]].reads[0]
        producer = self.inputs[0].producer
        is_only_reader = source != INPUT and len(self._readers[source]) == 1
        return is_only_reader and producer is not None and not (producer.keeps_output or producer.is_view)

    @property
    def following(self) -> Layer | None:
        """The next layer that may run with them, if there is one."""
        readers = self._readers[self.places[-1]]
        if len(readers) != 1 or len(self._nodes[readers[0]].reads) != 1:
            return None
        return self._nodes[readers[0]].layer

    def after(self, output: Value) -> Run:
        """Return the run that begins with the following layer, which reads this output."""
        place = self._readers[self.places[-1]][0]
        known = {**self._values, self.places[-1]: output}
        return Run(self._nodes, self._shapes, self._readers, place, known, self.is_inference)

    def take(self) -> None:
        """Let the following layer run with them."""
        self.places += self._readers[self.places[-1]]

    def take_sum(self) -> bool:
        """Let a sum with one other value run with them, if it follows and the other value is there by then."""
        readers = self._readers[self.places[-1]]
        if len(readers) != 1 or type(self._nodes[readers[0]].layer) is not Add:
            return False
        others = [source for source in self._nodes[readers[0]].reads if source != self.places[-1]]
        if len(others) != 1 or others[0] not in self._values:
            return False
        self.inputs.append(self._values[others[0]])
        self.take()
        return True


def stages_of(nodes: Sequence[Node], shapes: Sequence[Shape], x: Value, *, inference: bool = False) -> list[Stage]:
    """Group nodes, whose outputs have these shapes, into stages in the order in which they run.

    Convolution, ReLU and max pooling run as one; linear and activation; sigmoid or tanh and average pooling; batch
    normalization and activation, or the sum with a shortcut and ReLU. In inference, normalization, a sum and ReLU or
    ReLU6 run with the convolution before them, and a 1x1 convolution with the depthwise one that follows, and with the
    1x1 convolution after that.
    """
    found = readers(nodes)
    values = {INPUT: x}
    taken: set[int] = set()
    stages: list[Stage] = []
    for place, node in enumerate(nodes):
        if place in taken:
            continue
        run = Run(nodes, shapes, found, place, values, inference)
        stage = MAKERS.get(type(node.layer), _alone(LayerStage))(run)
        for value in stage.inputs:
            value.readers.append(stage)
        values[run.places[-1]] = stage.output
        taken.update(run.places)
        stages.append(stage)
    return stages


def _alone(kind: type[Stage]) -> Callable[[Run], Stage]:
    return lambda run: kind(run.layers, run.inputs, run.output_shape)


def _convolution(run: Run) -> Stage:
    stage = _one_convolution(run)
    if run.is_inference and isinstance(run.following, Conv2d):
        following = run.after(stage.output)
        deep = _one_convolution(following)
        if isinstance(stage, PointwiseStage) and isinstance(deep, DepthwiseStage) and expands(stage, deep):
            run.places += following.places
            return _reduced(run, following, ExpandedDepthwiseStage(stage, deep))
    return stage


def _reduced(run: Run, last: Run, expanded: ExpandedDepthwiseStage) -> Stage:
    """Let the 1x1 convolution that may follow the last run take part, too."""
    if isinstance(last.following, Conv2d):
        following = last.after(expanded.output)
        reduce = _one_convolution(following)
        if isinstance(reduce, PointwiseStage) and reduce.geometry.stride == (1, 1):
            run.places += following.places
            return InvertedResidualStage(expanded, reduce)
    return expanded


def _one_convolution(run: Run) -> Stage:
    conv, relu, pool = run.layers[0], False, None
    if run.is_inference:
        if type(run.following) is BatchNorm2d:
            run.take()
        if _kind(run) is not DepthwiseStage:
            run.take_sum()
        if type(run.following) is ReLU6:
            run.take()
            return _kind(run)(run.layers, run.inputs, run.output_shape, False)
    while (following := run.following) is not None:
        if type(following) is ReLU and not relu:
            relu = True
        elif (
            isinstance(conv, Conv2d)
            and type(following) is MaxPool2d
            and pool is None
            and len(run.inputs) == 1
            and _fuses_pool(run, conv, following)
        ):
            pool = following
        else:
            break
        run.take()
    kind = _kind(run)
    if pool is not None:
        pooled = PooledWinogradStage if kind is WinogradStage else PooledConvolutionStage
        return pooled(run.layers, run.inputs, run.output_shape, relu, pool)
    return kind(run.layers, run.inputs, run.output_shape, relu)


def _fuses_pool(run: Run, conv: Conv2d, pool: MaxPool2d) -> bool:
    """Return whether max pooling runs inside the convolution; in tiles, only of windows into which they are divided."""
    if _kind(run) is WinogradStage and pool.kernel_size != (POOLED, POOLED):
        return False
    return fuses_pool(conv, pool, run.output_shape)


def _kind(run: Run) -> type[ConvolutionStage]:
    """Return the kind of stage for a convolution without pooling."""
    conv, shape = run.layers[0], run.inputs[0].shape
    if isinstance(conv, Conv2d):
        if conv.groups > 1 and conv.groups == shape[2]:
            return DepthwiseStage
        if is_pointwise(conv.parameters["weight"], conv.geometry(shape), conv.groups):
            return PointwiseStage
        if is_filtered(conv.algorithm, conv.geometry(shape), conv.groups, conv.parameters["weight"].shape):
            return WinogradStage
        if rearranges(conv.algorithm, conv.geometry(shape), conv.groups, conv.parameters["weight"].shape):
            return RearrangedStage
    return DenseConvolutionStage


def _linear(run: Run) -> Stage:
    if type(run.following) in FUSED:
        run.take()
    return LinearStage(run.layers, run.inputs, run.output_shape)


def _normalization(run: Run) -> Stage:
    summed = run.take_sum()
    if type(run.following) in ((ReLU,) if summed else FUSED_WITH_NORMALIZATION):
        run.take()
    return BatchNormStage(run.layers, run.inputs, run.output_shape)


def _normalization_within(run: Run) -> Stage:
    norm = run.layers[0]
    if isinstance(norm, LayerNorm):
        # Of several axes, each value has a scale of its own.
        kind: type[Stage] = NormalizationWithinStage if norm.axes == 1 else LayerStage
        return kind(run.layers, run.inputs, run.output_shape)
    if type(run.following) in FUSED_WITH_NORMALIZATION:
        run.take()
    return NormalizationWithinStage(run.layers, run.inputs, run.output_shape)


def _sum(run: Run) -> Stage:
    if type(run.following) is ReLU:
        run.take()
    return AddStage(run.layers, run.inputs, run.output_shape)


def _activation_and_pool(run: Run) -> Stage:
    if run.may_overwrite and fuses_activation(run.layers[0], run.following, run.output_shape):
        run.take()
        return PoolingStage(run.layers, run.inputs, run.output_shape)
    return ActivationStage(run.layers, run.inputs, run.output_shape)


MAKERS: dict[type[Layer], Callable[[Run], Stage]] = {
    Conv2d: _convolution,
    Linear: _linear,
    BatchNorm2d: _normalization,
    **dict.fromkeys((GroupNorm, InstanceNorm2d, LayerNorm), _normalization_within),
    Add: _sum,
    Concatenate: _alone(ConcatenateStage),
    Multiply: _alone(MultiplyStage),
    **dict.fromkeys(FURTHER, _alone(FurtherActivationStage)),
    PReLU: _alone(PReLUStage),
    ChannelShuffle: _alone(ShuffleStage),
    ChannelSlice: _alone(SliceStage),
    LocalResponseNorm: _alone(ResponseStage),
    **dict.fromkeys((Sigmoid, Tanh), _activation_and_pool),
    **dict.fromkeys((ReLU, LeakyReLU), _alone(ActivationStage)),
    **dict.fromkeys((MaxPool2d, AvgPool2d, GlobalMaxPool2d, GlobalAvgPool2d), _alone(PoolingStage)),
    **dict.fromkeys((Upsample, AdaptiveAvgPool2d), _alone(ResizeStage)),
    NoisyReLU: _alone(NoisyReLUStage),
    Dropout: _alone(DropoutStage),
    DropPath: _alone(DropPathStage),
    Flatten: _alone(FlattenStage),
    Softmax: _alone(SoftmaxStage),
}
"""What makes the stage that begins with a layer of each class; a layer of another class is called in NumPy."""
