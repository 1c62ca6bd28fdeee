"""A layer without a compiled kernel, called in NumPy."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from rot180.engine.stage import Context, Stage, Target, Value
from rot180.engine.step import Step
from rot180.kernels.feature_map import FeatureMap
from rot180.nn.contract import own_backward, own_forward
from rot180.nn.layer import Layer, Shape

_warned: set[type[Layer]] = set()


class LayerStage(Stage):
    """Any layer; the first of each class is announced by a warning."""

    def __init__(self, layers: list[Layer], inputs: list[Value], output_shape: Shape) -> None:
        super().__init__(layers, inputs, output_shape)
        (self.layer,) = layers
        self.saved: Any = None
        kind = type(self.layer)
        if kind not in _warned:
            _warned.add(kind)
            warnings.warn(f"{self.layer.name}: {kind.__name__} has no compiled kernel and runs in NumPy", stacklevel=2)

    def forward(self, context: Context, inputs: list[FeatureMap], y: FeatureMap) -> list[Step]:
        """Call the layer's forward and copy what it returns."""
        context.keep(*inputs)  # the layer may save its inputs, which are views
        if context.training and type(self.layer).learn is not Layer.learn:
            for x in inputs:
                context.memory.hold(x.buffer)  # until the batch is accepted

        def call(target: np.ndarray[Any, Any], *sources: np.ndarray[Any, Any]) -> None:
            result, self.saved = own_forward(
                self.layer,
                sources,
                self.output_shape,
                training=context.training,
                generator=context.generator["noise"],
            )
            np.copyto(target, result.reshape(target.shape))

        sources = (_given(x, value.shape) for x, value in zip(inputs, self.inputs, strict=True))
        return [Step(self.names, "forward in NumPy", call, (y.inside, *sources))]

    def backward(self, context: Context, dy: FeatureMap, targets: list[Target | None]) -> list[Step]:
        """Call the layer's backward and copy what it returns."""
        maps = [None if target is None else target.map.inside for target in targets]
        needs_dx = any(one is not None for one in maps)

        def call(source: np.ndarray[Any, Any], *dxs: np.ndarray[Any, Any] | None) -> None:
            results, gradients = own_backward(self.layer, source, self.saved, needs_dx=needs_dx)
            results = results if self.layer.is_join else (results,)
            for dx, result in zip(dxs, results or (), strict=False):
                if dx is not None and result is not None:
                    np.copyto(dx, result.reshape(dx.shape))
            for name, gradient in gradients.items():
                np.copyto(context.gradients[f"{self.layer.name}.{name}"], gradient)

        return [Step(self.names, "backward in NumPy", call, (_given(dy, self.output_shape), *maps))]

    def learn(self) -> None:
        """Let the layer update its statistics."""
        self.layer.learn(self.saved)


def _given(x: FeatureMap, shape: Shape) -> np.ndarray[Any, Any]:
    return x.vectors if len(shape) == 1 else x.inside
