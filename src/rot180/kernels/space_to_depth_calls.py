"""The calls of a strided convolution by minimal filtering, over images rearranged from space to depth."""

from __future__ import annotations

from rot180.kernels.call import Call, Scratch
from rot180.kernels.feature_map import NO_PADDING, FeatureMap
from rot180.kernels.finishing import Finish
from rot180.kernels.space_to_depth import gather_taps, space_to_depth, spread_taps
from rot180.kernels.winograd_calls import Winograd, tiles_along
from rot180.kernels.winograd_transforms import OUTPUTS
from rot180.kernels.winograd_weights_calls import weight_gradient_by_tiles
from rot180.ops.geometry import Geometry
from rot180.ops.types import Array

FEWEST_CHANNELS, FEWEST_FILTERS = 8, 16
"""With fewer, after rearranging, the transforms take longer than is saved between them."""
MOST_COMPUTED = 1.4
"""The most outputs that whole tiles may compute, in relation to those that are needed."""


def rearranges(algorithm: str, g: Geometry, groups: int, w_shape: tuple[int, ...]) -> bool:
    """Return whether a strided convolution is computed by minimal filtering, which depends on shapes alone.

    >>> from rot180.ops.geometry import geometry
    >>> def auto(taps, s):
    ...     g = geometry(224, 224, (taps, taps), stride=(s, s), padding="same", dilation=(1, 1), name="conv2d")
    ...     return rearranges("auto", g, 1, (taps, taps, 3, 64))
    >>> auto(7, 2), auto(11, 4), auto(3, 2), auto(7, 1)
    (True, True, False, False)
    """
    (taps, _), (s, _) = g.kernel, g.stride
    r = -(-taps // s)
    if algorithm != "auto" or groups > 1 or s == 1 or r not in OUTPUTS:
        return False
    if g.kernel != (taps, taps) or g.stride != (s, s) or g.dilation != (1, 1):
        return False
    computed = tiles_along(g.out_height, r) * tiles_along(g.out_width, r) * OUTPUTS[r] ** 2
    enough = s * s * w_shape[2] >= FEWEST_CHANNELS and w_shape[3] >= FEWEST_FILTERS
    return enough and computed <= MOST_COMPUTED * g.out_height * g.out_width


class Rearranged:
    """A strided convolution of a batch, for which `rearranges` holds: its forward pass and its weight gradient.

    Parameters are those of `Winograd`.
    """

    def __init__(self, w: Array, g: Geometry, *, count: int, threads: int, scratch: Scratch) -> None:
        self.w, self.g = w, g
        self.threads, self.scratch = threads, scratch
        K, _, C, F = w.shape
        self.s = g.stride[0]
        r = -(-K // self.s)
        self.taps_shape = (r, r, self.s**2 * C, F)
        rows, columns = (tiles_along(n, r) * OUTPUTS[r] + r - 1 for n in (g.out_height, g.out_width))
        self.deep_shape = (count, rows, columns, self.s**2 * C)
        """Of the rearranged images, as far as whole tiles reach."""
        self.filtering = Geometry(
            g.out_height + r - 1, g.out_width + r - 1, (r, r), (1, 1), (1, 1), NO_PADDING, g.out_height, g.out_width
        )

    def to_depth(self, x: FeatureMap, deep: Array) -> Call:
        """Return the call that rearranges images, with zeros around them, to an array of `deep_shape`."""
        (top, _), (left, _) = self.g.padding
        return Call(space_to_depth, (x.array, deep, self.s, x.top - top, x.left - left))

    def forward(self, deep: Array, y: FeatureMap, finish: Finish) -> list[Call]:
        """Return the calls that rearrange the weights and compute y."""
        taps = self.scratch(self.taps_shape)
        winograd = Winograd(taps, self.filtering, count=len(deep), threads=self.threads, scratch=self.scratch)
        spread = Call(spread_taps, (self.w, taps, self.s))
        return [spread, *winograd.forward(self._map(deep), y, finish)]

    def weight_gradient(self, deep: Array, delta: FeatureMap, dw: Array) -> tuple[Call, Call]:
        """Return the call that correlates rearranged images with delta, and the one that puts the result in order."""
        taps = self.scratch(self.taps_shape)
        correlate = weight_gradient_by_tiles(
            self._map(deep), delta, taps, self.filtering, threads=self.threads, scratch=self.scratch
        )
        return correlate, Call(gather_taps, (taps, dw, self.s))

    def _map(self, deep: Array) -> FeatureMap:
        return FeatureMap(deep, 0, 0, self.filtering.height, self.filtering.width)
