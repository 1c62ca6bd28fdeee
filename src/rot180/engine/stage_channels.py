"""Channel shuffling, slices and local response normalization."""

from __future__ import annotations

from typing import Any

import numpy as np

from rot180.engine.stage import Context, Stage, Target
from rot180.engine.step import Step
from rot180.kernels.across_channels import respond, respond_backward, shuffle
from rot180.kernels.clearing import clear
from rot180.kernels.feature_map import FeatureMap
from rot180.kernels.joins import copy_channels
from rot180.nn.channels import ChannelShuffle, ChannelSlice, LocalResponseNorm


class ShuffleStage(Stage):
    """ChannelShuffle; backward, the same with C / groups groups."""

    def forward(self, context: Context, inputs: list[FeatureMap], y: FeatureMap) -> list[Step]:
        """Interleave the groups."""
        return [self._shuffle("shuffle", inputs[0], y, self._groups)]

    def backward(self, context: Context, dy: FeatureMap, targets: list[Target | None]) -> list[Step]:
        """Move delta back."""
        (dx,) = targets
        return [self._shuffle("shuffle delta back", dy, dx.map, self.output_shape[-1] // self._groups)] if dx else []

    @property
    def _groups(self) -> int:
        (layer,) = self.layers
        if not isinstance(layer, ChannelShuffle):
            raise TypeError(f"not ChannelShuffle: {layer!r}")
        return layer.groups

    def _shuffle(self, does: str, x: FeatureMap, y: FeatureMap, groups: int) -> Step:
        sizes = np.array([x.height, x.width, *x.place, *y.place], np.int64)
        return Step(self.names, does, shuffle, (x.array, y.array, groups, sizes))


class SliceStage(Stage):
    """ChannelSlice; backward, delta among zeros."""

    def forward(self, context: Context, inputs: list[FeatureMap], y: FeatureMap) -> list[Step]:
        """Copy the channels that are kept."""
        return [self._copy("slice", inputs[0], y, (self._start, 0))]

    def backward(self, context: Context, dy: FeatureMap, targets: list[Target | None]) -> list[Step]:
        """Copy delta to its place."""
        (dx,) = targets
        if dx is None:
            return []
        return [
            Step(self.names, "clear", clear, (dx.map.array,)),
            self._copy("delta back", dy, dx.map, (0, self._start)),
        ]

    @property
    def _start(self) -> int:
        (layer,) = self.layers
        if not isinstance(layer, ChannelSlice):
            raise TypeError(f"not ChannelSlice: {layer!r}")
        return layer.start

    def _copy(self, does: str, x: FeatureMap, y: FeatureMap, channels: tuple[int, int]) -> Step:
        sizes = np.array([x.height, x.width, *x.place, *y.place, *channels, self.output_shape[-1]], np.int64)
        return Step(self.names, does, copy_channels, (x.array, y.array, False, sizes))


class ResponseStage(Stage):
    """LocalResponseNorm."""

    def forward(self, context: Context, inputs: list[FeatureMap], y: FeatureMap) -> list[Step]:
        """y = x * q^(-beta)"""
        (x,) = inputs
        context.keep(x)
        self.x = x
        sizes = np.array([x.height, x.width, *x.place, *y.place], np.int64)
        return [Step(self.names, "normalize", respond, (x.array, y.array, *self._given(context), sizes))]

    def backward(self, context: Context, dy: FeatureMap, targets: list[Target | None]) -> list[Step]:
        """Return the step that computes dx, directly and through q."""
        (target,) = targets
        if target is None:
            return []
        x, dx = self.x, target.map
        sizes = np.array([x.height, x.width, *dy.place, *x.place, *dx.place], np.int64)
        call = (dy.array, x.array, dx.array, *self._given(context), sizes)
        return [Step(self.names, "data gradient", respond_backward, call)]

    def _given(self, context: Context) -> tuple[Any, ...]:
        (layer,) = self.layers
        if not isinstance(layer, LocalResponseNorm):
            raise TypeError(f"not LocalResponseNorm: {layer!r}")
        numbers = np.array([layer.alpha / layer.size, layer.beta, layer.k], context.dtype)
        return layer.size, numbers, context.scratch((context.threads, 3, self.input_shape[-1]))
