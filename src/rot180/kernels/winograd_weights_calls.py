"""The call of a weight gradient by minimal filtering: sizes, strides and scratch."""

from __future__ import annotations

import math

import numpy as np

from rot180.kernels.call import Call, Scratch, packed
from rot180.kernels.feature_map import FeatureMap
from rot180.kernels.simd import lane_count_of
from rot180.kernels.tile import even_blocks, tile_address, tile_strides
from rot180.kernels.winograd_calls import tiles_along
from rot180.kernels.winograd_transforms import OUTPUTS, POINTS, transform_address
from rot180.kernels.winograd_weights import Field, TileSizes, correlate_few_tiles, correlate_tiles
from rot180.ops.conv_winograd import applies
from rot180.ops.geometry import Geometry
from rot180.ops.types import Array

PANEL = 4
"""The most registers of channels or filters in a panel: at a point, the matrices of a block of tiles and two panels,
and their sums, are about as large as the first-level cache."""
FEW_PANEL = 2
"""The same, if all tiles are one block: two panels at all points, and their sums, stay in the second-level cache."""
BLOCK_BYTES = 1 << 19
"""Bytes of a block of tiles and their delta at all points: half the second-level cache, if the sums are small."""
LEAST_BLOCK, LARGE_BLOCK, LARGE_SUMS = 64, 256, 12 << 20
"""A block has at least so many tiles; or so many, if the sums are so many bytes that, with a block and the maps, they
would not stay in the last cache from one block to the next: mostly all tiles are one block then."""
MOST_PARTS, SMALL_SUMS = 4, 1 << 20
"""The sums of at most so many bytes are copied for so many parts of a batch, with a block of tiles or more in each; and
larger ones if there is one panel of channels, as nothing else is divided between threads."""
IMAGE_COST, DELTA_COST, GRADIENT_COST = 174, 121, 300
"""Cycles for a register: of a tile's pixels, of its delta, and of the gradients, whose sums come from memory."""
FEWEST = 8
"""With fewer channels or filters, most of a register would be empty."""


def filters_weights(algorithm: str, g: Geometry, groups: int, w_shape: tuple[int, ...], count: int) -> bool:
    """Return whether the weight gradient over `count` images is computed by minimal filtering.

    "auto" takes the faster way, by the number of multiply-adds; a register of them takes a cycle.

    >>> from rot180.ops.geometry import geometry
    >>> def auto(size, channels, count):
    ...     g = geometry(size, size, (3, 3), stride=(1, 1), padding="same", dilation=(1, 1), name="conv2d")
    ...     return filters_weights("auto", g, 1, (3, 3, channels, channels), count)
    >>> auto(32, 64, 64), auto(7, 512, 16), auto(7, 512, 1), auto(32, 3, 64)
    (True, True, False, False)
    """
    if algorithm not in ("auto", "winograd") or not applies(g.kernel, g.stride, g.dilation, groups):
        return False
    taps, _, C, F = w_shape
    tiles = count * tiles_along(g.out_height, taps) * tiles_along(g.out_width, taps)
    filtered = tiles * (POINTS**2 * C * F + IMAGE_COST * C + DELTA_COST * F) + GRADIENT_COST * C * F
    direct = count * g.out_height * g.out_width * math.prod(w_shape)
    return algorithm == "winograd" or (filtered < direct and min(C, F) >= FEWEST)


def weight_gradient_by_tiles(
    x: FeatureMap, delta: FeatureMap, dw: Array, g: Geometry, *, threads: int, scratch: Scratch
) -> Call:
    """Return the call that computes dw by minimal filtering.

    There must be room for a register after the ends of x and delta.

    Parameters
    ----------
    x : FeatureMap
        (N, H, W, C), with zeros around it where the buffer is larger. Where it is not, zeros are assumed.
    delta : FeatureMap
        (N, OH, OW, F), in any buffer.
    dw : (3, 3, C, F) or (5, 5, C, F)
    """
    taps, _, C, F = dw.shape
    outputs, lanes, points = OUTPUTS[taps], lane_count_of(dw.dtype), POINTS * POINTS
    tile_rows, tile_columns = tiles_along(g.out_height, taps), tiles_along(g.out_width, taps)
    tiles = max(1, len(x.array) * tile_rows * tile_columns)
    bytes_of_sums = points * C * F * dw.itemsize
    least = LARGE_BLOCK if bytes_of_sums > LARGE_SUMS else LEAST_BLOCK
    depth = sum(-(-n // lanes) * lanes for n in (C, F))
    most = max(least, BLOCK_BYTES // (points * depth * dw.itemsize))
    copied = bytes_of_sums <= SMALL_SUMS or C <= PANEL * lanes
    parts = min(MOST_PARTS, max(1, tiles // least)) if copied else 1
    block = even_blocks(-(-tiles // parts), most)
    blocks = -(-tiles // (parts * block))
    few = parts == blocks == 1

    panel = FEW_PANEL if few else PANEL
    channel_registers, filter_registers = (even_blocks(-(-n // lanes), panel) for n in (C, F))
    width_c, width_f = channel_registers * lanes, filter_registers * lanes
    panels_c, panels_f = -(-C // width_c), -(-F // width_f)

    shares = min(panels_f, -(-threads // panels_c)) if few else min(panels_c, threads // math.gcd(threads, parts))

    # A register more from point to point: their addresses must not fall into one set of the first-level cache.
    point_c, point_f, point = (n + lanes for n in (block * width_c, block * width_f, width_c * width_f))
    v = scratch((threads, (1 if few else -(-panels_c // shares)) * points * point_c))
    e = scratch((1 if few else threads, panels_f * points * point_f))
    sums = scratch((threads, points * point) if few else (parts, panels_c * panels_f * points * point))
    cuts = scratch((threads, max(points * width_c, outputs * outputs * width_f)))
    steps = []
    for one, width, side, step in ((x, width_c, POINTS, point_c), (delta, width_f, outputs, point_f)):
        to = POINTS * step, step, 0, 0
        steps += [(side * width, width, *to), (one.array.shape[2] * one.array.shape[3], one.array.shape[3], *to)]
    steps.append((POINTS * point, point, taps * C * F, C * F, 0, 0))
    (top, _), (left, _) = g.padding
    fields = (
        Field(x.top - top, x.left - left, 0, x.array.shape[1], 0, x.array.shape[2]),
        Field(*delta.place, delta.top, delta.top + delta.height, delta.left, delta.left + delta.width),
    )
    sizes = TileSizes(
        taps=taps,
        outputs=outputs,
        tile_rows=tile_rows,
        tile_columns=tile_columns,
        parts=parts,
        shares=shares,
        blocks=blocks,
        block=block,
        channel_registers=channel_registers,
        filter_registers=filter_registers,
        rows=even_blocks(min(C, width_c)),
    )
    strides = tile_strides((1, block), (0, 0, width_c), (0, 0, width_f), a_row=1, c_row=width_f)
    addresses = packed((tile_address(dw.dtype), transform_address(dw.dtype)))
    call = (
        addresses, x.array, delta.array, dw, v, e, sums, cuts, np.array(fields, np.int64), np.array(steps, np.int64),
        strides, packed(sizes),
    )  # fmt: skip
    return Call(correlate_few_tiles if few else correlate_tiles, call)
