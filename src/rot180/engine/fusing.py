"""Group layers into stages."""

from __future__ import annotations

import warnings

from rot180.engine.stage import Stage
from rot180.engine.stage_convolution_dense import DenseConvolutionStage
from rot180.engine.stage_convolution_pooled import PooledConvolutionStage, fuses_pool
from rot180.engine.stage_linear import FUSED, LinearStage
from rot180.engine.stage_pooling import PoolingStage, fuses_activation
from rot180.engine.stage_simple import SIMPLE, FlattenStage, LayerStage
from rot180.nn.activation import ReLU
from rot180.nn.conv2d import Conv2d
from rot180.nn.flatten import Flatten
from rot180.nn.layer import Layer
from rot180.nn.linear import Linear
from rot180.nn.pooling import AvgPool2d, MaxPool2d
from rot180.nn.sequential import Sequential

_told: set[type[Layer]] = set()


def stages_of(model: Sequential) -> list[Stage]:
    """Group a built network's layers.

    Convolution, ReLU and max pooling; linear and activation; sigmoid or tanh and average pooling; others alone.
    """
    layers, shapes = list(model.layers), model.layer_shapes
    stages: list[Stage] = []
    index = 0
    while index < len(layers):
        layer, shape = layers[index], shapes[index][0]
        end = index + 1
        stage: Stage
        if type(layer) is Conv2d:
            relu, pool = False, None
            while end < len(layers):
                following = layers[end]
                if type(following) is ReLU and not relu:
                    relu = True
                elif type(following) is MaxPool2d and pool is None and fuses_pool(layer, following, shapes[end][0]):
                    pool = following
                else:
                    break
                end += 1
            group, output = layers[index:end], shapes[end - 1][1]
            if pool is None:
                stage = DenseConvolutionStage(group, shape, output, relu)
            else:
                stage = PooledConvolutionStage(group, shape, output, relu, pool)
        elif type(layer) is Linear:
            end += end < len(layers) and type(layers[end]) in FUSED
            stage = LinearStage(layers[index:end], shape, shapes[end - 1][1])
        elif type(layer) is Flatten:
            stage = FlattenStage([layer], shape, shapes[index][1])
        elif type(layer) in (MaxPool2d, AvgPool2d):
            stage = PoolingStage([layer], shape, shapes[index][1])
        elif (
            end < len(layers)
            and fuses_activation(layer, layers[end], shape)
            and stages
            and isinstance(stages[-1], DenseConvolutionStage)
            and not stages[-1].keeps_output  # the activation works in place
        ):
            stage = PoolingStage([layer, layers[end]], shape, shapes[end][1])
            end += 1
        elif type(layer) in SIMPLE:
            stage = SIMPLE[type(layer)]([layer], shape, shapes[index][1])
        else:
            if type(layer) not in _told:
                _told.add(type(layer))
                warnings.warn(
                    f"{layer.name}: {type(layer).__name__} has no compiled kernel and runs in NumPy", stacklevel=2
                )
            stage = LayerStage(layer, shape, shapes[index][1])
        stages.append(stage)
        index = end
    return stages
