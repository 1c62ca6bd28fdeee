"""Resizing and adaptive average pooling."""

from __future__ import annotations

from typing import Any

import numpy as np

from rot180.engine.stage import Context, Stage, Target
from rot180.engine.step import Step
from rot180.kernels.feature_map import FeatureMap
from rot180.kernels.resample import resample, taps_of
from rot180.nn.global_pooling import AdaptiveAvgPool2d
from rot180.nn.upsample import Upsample
from rot180.ops.resize import MODES, means


class ResizeStage(Stage):
    """Upsample or AdaptiveAvgPool2d: weighted means of rows and columns."""

    def forward(self, context: Context, inputs: list[FeatureMap], y: FeatureMap) -> list[Step]:
        """y = R @ x @ S^T for each image and channel"""
        return [self._resample("resize", inputs[0], y, *self._matrices(context))]

    def backward(self, context: Context, dy: FeatureMap, targets: list[Target | None]) -> list[Step]:
        """dx = R^T @ dy @ S"""
        (target,) = targets
        if target is None:
            return []
        rows, columns = self._matrices(context)
        return [self._resample("resize delta back", dy, target.map, rows.T, columns.T)]

    def _matrices(self, context: Context) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        (layer,) = self.layers
        weights = MODES[layer.mode] if isinstance(layer, Upsample) else means
        if not isinstance(layer, Upsample | AdaptiveAvgPool2d):
            raise TypeError(f"not Upsample or AdaptiveAvgPool2d: {layer!r}")
        rows, columns = (
            weights(n, o).astype(context.dtype)
            for n, o in zip(self.input_shape[:2], self.output_shape[:2], strict=True)
        )
        return rows, columns

    def _resample(
        self, does: str, x: FeatureMap, y: FeatureMap, rows: np.ndarray[Any, Any], columns: np.ndarray[Any, Any]
    ) -> Step:
        sizes = np.array([y.height, y.width, *x.place, *y.place], np.int64)
        return Step(self.names, does, resample, (x.array, y.array, *taps_of(rows), *taps_of(columns), sizes))
