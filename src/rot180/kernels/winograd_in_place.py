"""Minimal filtering with as many channels as filters, a few whole registers of them: sums take the place of pixels.

The same bits as from `rot180.kernels.winograd`, for 3x3 kernels. There, a block of tiles is transformed, multiplied and
transformed back by calls for a tile or a point at a time; with 16 channels, beginning and ending them takes half of the
time. Here a block is a few tiles side by side, whose points stay in the first-level cache; compiled functions know all
strides but those from row to row of maps, and take

    transforms    whole tiles of the block
    products      all tiles of the block, at several points; at each, the sums replace the channels
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from rot180.kernels.call import unpacked
from rot180.kernels.compiling import callback, kernel
from rot180.kernels.deferred import cgutils, intrinsic, types
from rot180.kernels.processor import TILE_VECTORS
from rot180.kernels.simd import (
    advance,
    broadcast,
    broadcast_element,
    lane_count,
    lanes,
    llvm_vector,
    multiply_add,
    number,
    pointer,
    prefetch,
    vector_pointer,
)
from rot180.kernels.switch import address_of, emit_call, switched
from rot180.kernels.team import split
from rot180.kernels.winograd import LINE_REGISTERS, SIZES, WinogradSizes, element, transform_output
from rot180.kernels.winograd_transforms import (
    ADD,
    ADD_GATE,
    BIAS,
    GATE,
    IMAGE,
    OUTPUTS,
    POINTS,
    POOL,
    emit_product,
    rows_together,
    transform_matrix,
)

__all__ = ["MOST_TILES", "convolve_tiles_in_place", "products_address", "runs_address"]

MOST_TILES = 4
"""Of a block: enough that multiply-adds do not wait for each other."""
_TAPS = 3
_SIDE = OUTPUTS[_TAPS]


def _emit_products(builder, tiles, vectors, operands, dtype):
    points, weights, count, step = operands
    kind, lanes = llvm_vector(dtype), lane_count(dtype)
    channels = vectors * lanes
    sums = {(t, v): cgutils.alloca_once(builder, kind) for t in range(tiles) for v in range(vectors)}
    point, to_weights = (cgutils.alloca_once_value(builder, first) for first in (points, weights))
    channel, row = (cgutils.alloca_once(builder, first.type) for first in (points, weights))

    def step_on(address, by):
        builder.store(builder.gep(builder.load(address), [by]), address)

    def of_tile(base, t, c):
        return builder.gep(base, [number(t * POINTS * POINTS * channels + c)])

    with cgutils.for_range(builder, count):
        for total in sums.values():
            builder.store(ir.Constant(kind, [0.0] * lanes), total)
        builder.store(builder.load(point), channel)
        builder.store(builder.load(to_weights), row)
        with cgutils.for_range(builder, number(vectors)):
            left, right = builder.load(channel), builder.load(row)
            for k in range(lanes):
                columns = [
                    builder.load(vector_pointer(builder, right, number(k * channels + v * lanes), kind), align=4)
                    for v in range(vectors)
                ]
                for t in range(tiles):
                    spread = broadcast_element(builder, builder.load(of_tile(left, t, k)), lanes)
                    for v in range(vectors):
                        summed = multiply_add(builder, spread, columns[v], builder.load(sums[t, v]))
                        builder.store(summed, sums[t, v])
            step_on(channel, number(lanes))
            step_on(row, number(lanes * channels))
        for (t, v), total in sums.items():
            to = vector_pointer(builder, of_tile(builder.load(point), t, v * lanes), number(0), kind)
            builder.store(builder.load(total), to, align=4)
        step_on(point, number(channels))
        step_on(to_weights, step)


_blocks = [(tiles, vectors) for tiles in range(1, MOST_TILES + 1) for vectors in range(1, TILE_VECTORS + 1)]
_products_body = switched(_emit_products, _blocks)


def _products_signature(value):
    intp, address = types.intp, types.CPointer(value)
    return types.void(intp, intp, address, address, intp, intp)


@callback(_products_signature)
def _products(tiles, vectors, points, weights, count, step):
    _products_body(tiles, vectors, (points, weights, count, step))


def products_address(dtype: Any) -> int:
    """Address of the compiled products for float32 or float64."""
    return address_of(_products, dtype)


@intrinsic
def products(typingctx, address, tiles, vectors, points, weights, count, step):
    """Replace the channels of tiles at `count` points by the sums of their products with weights.

    `points` is (tiles, all points, C), and begins with the first point to be replaced; `weights` is (count, C*C), with
    `step` elements from a point to the next. C is as many as `vectors` registers hold.
    """
    intp = types.intp
    signature = types.void(intp, intp, intp, points, weights, intp, intp)

    def codegen(context, builder, sig, args):
        address, *rest = args
        emit_call(builder, address, rest)
        return context.get_dummy_value()

    return signature, codegen


def _emit_run(builder, what, vectors, operands, dtype):
    source, target, scale, shift, other, bounds, tiles, map_row, other_row = operands
    matrix, from_points = transform_matrix(_TAPS, what)
    kind, lanes = llvm_vector(dtype), lane_count(dtype)
    channels, clamps = vectors * lanes, what in (BIAS, ADD)
    zero = ir.Constant(kind, [0.0] * lanes)
    low, high = (
        (broadcast(builder, builder.load(builder.gep(bounds, [number(i)])), lanes) for i in (0, 1))
        if clamps
        else (zero, zero)
    )

    def read(address):
        return builder.load(address, align=4)

    def at_point(base, i, j):
        return vector_pointer(builder, base, number((i * POINTS + j) * channels), kind)

    def at_pixel(base, i, j, row=map_row):
        return vector_pointer(builder, base, builder.add(builder.mul(row, number(i)), number(j * channels)), kind)

    at_source, at_target = (at_point, at_pixel) if from_points else (at_pixel, at_point)

    def finished(value, target, other, i, j):
        if clamps:
            value = multiply_add(builder, value, factor, term)
        if what == ADD:
            value = builder.fadd(value, read(at_pixel(other, i, j, other_row)))
        if what == ADD_GATE:
            value = builder.fadd(value, read(at_pixel(target, i, j)))
        if what in (GATE, ADD_GATE):
            passes = builder.fcmp_ordered(">", read(at_pixel(other, i, j, other_row)), zero)
            value = builder.select(passes, value, zero)
        if clamps:
            # A NaN stays.
            value = builder.select(builder.fcmp_ordered(">", low, value), low, value)
            value = builder.select(builder.fcmp_ordered("<", high, value), high, value)
        return value

    for v in range(vectors):
        first = number(v * lanes)
        factor, term = (
            (read(vector_pointer(builder, base, first, kind)) for base in (scale, shift)) if clamps else (zero, zero)
        )
        with cgutils.for_range(builder, tiles) as loop:
            points, pixels = (
                builder.add(first, builder.mul(loop.index, number(length * channels)))
                for length in (POINTS * POINTS, _SIDE)
            )
            steps = (points, pixels) if from_points else (pixels, points)
            here, there, beside = (
                builder.gep(base, [step]) for base, step in zip((source, target, other), (*steps, pixels), strict=True)
            )
            for together in rows_together(_TAPS, what):
                half = [
                    emit_product(builder, matrix, from_points, [read(at_source(here, i, j)) for i in range(POINTS)])
                    for j in range(POINTS)
                ]
                for i in together:
                    line = emit_product(builder, matrix, from_points, [column[i] for column in half])
                    for j, value in enumerate(line):
                        builder.store(finished(value, there, beside, i, j), at_target(there, i, j), align=4)


_runs_body = switched(
    _emit_run, [(what, v) for what in (IMAGE, BIAS, ADD, GATE, ADD_GATE) for v in range(1, TILE_VECTORS + 1)]
)


def _runs_signature(value):
    intp, address = types.intp, types.CPointer(value)
    return types.void(intp, intp, *[address] * 6, *[intp] * 3)


@callback(_runs_signature)
def _runs(what, vectors, source, target, scale, shift, other, bounds, tiles, map_row, other_row):
    _runs_body(what, vectors, (source, target, scale, shift, other, bounds, tiles, map_row, other_row))


def runs_address(dtype: Any) -> int:
    """Address of the compiled transforms of tiles side by side, for float32 or float64."""
    return address_of(_runs, dtype)


@intrinsic
def transform_run(
    typingctx, address, what, vectors, source, target, scale, shift, other, bounds, tiles, map_row, other_row
):
    """Transform whole tiles that are side by side, all channels of each.

    `what` is IMAGE, from a map to points, or BIAS, ADD, GATE or ADD_GATE, from points to a map; see
    `winograd_transforms`, also for the addresses. `map_row` and `other_row` are elements from row to row of the map and
    of `other`.
    """
    intp = types.intp
    signature = types.void(*[intp] * 3, source, target, scale, shift, other, bounds, *[intp] * 3)

    def codegen(context, builder, sig, args):
        address, *rest = args
        emit_call(builder, address, rest)
        return context.get_dummy_value()

    return signature, codegen


@kernel
def convolve_tiles_in_place(team, addresses, xp, u, scale, shift, out, other, places, bounds, what, v, steps, sizes):
    """Cross-correlate padded images with 3x3 kernels, C = F being at most `TILE_VECTORS` whole registers.

    Parameters are those of `rot180.kernels.winograd.convolve_tiles`, apart from

    addresses : (3,)
        Of the compiled products, the compiled transforms, and those of whole tiles side by side.
    v : (threads, block, points*C)
        Scratch for the points; `block` tiles, or fewer, are side by side.
    """
    s = WinogradSizes(*unpacked(sizes, SIZES))
    C, L, P = xp.shape[3], lanes(xp), POINTS * POINTS
    vectors, blocks = C // L, (s.across + s.block - 1) // s.block
    xp_row, out_row, other_row = xp.shape[2] * C, out.shape[2] * C, other.shape[2] * C
    points = pointer(v, team.thread * v.shape[1] * v.shape[2])
    a, b, limits = pointer(scale, 0), pointer(shift, 0), pointer(bounds, 0)
    for unit in split(team, xp.shape[0] * s.down * blocks):
        n, above, left = unit // (s.down * blocks), unit // blocks % s.down, unit % blocks * s.block
        count, row, column = min(s.block, s.across - left), above * s.step, left * s.step
        x = pointer(xp, element(xp, n, s.first_row + above * s.side, s.first_column + left * s.side))
        y = pointer(out, element(out, n, s.top + row, s.left + column))
        beside = pointer(other, element(other, n, s.other_top + row, s.other_left + column))
        transform_run(addresses[2], IMAGE, vectors, x, points, x, x, x, x, count, xp_row, 0)
        for i in range(POINTS):
            # Fetch what the tiles below do not share with these, and where the outputs go.
            for k in range(0, count * s.side * C if i < s.side else 0, L * LINE_REGISTERS):
                prefetch(x, (POINTS + i) * xp_row + k)
            for k in range(0, count * s.step * C if i < s.step else 0, L * LINE_REGISTERS):
                prefetch(y, i * out_row + k)
                if what == ADD or what == GATE or what == ADD_GATE:
                    prefetch(beside, i * other_row + k)
            p = i * POINTS
            w = pointer(u, p * u.shape[2])
            products(addresses[0], count, vectors, advance(points, p * C), w, POINTS, u.shape[2])
        whole = 0
        if what != POOL and row + s.step <= s.rows:
            whole = min(count, (s.columns - column) // s.step)
            transform_run(
                addresses[2], what, vectors, points, y, a, b, beside, limits, whole, out_row, other_row
            )  # fmt: skip
        for t in range(whole, count):
            transform_output(
                addresses[1], what, advance(points, t * P * C), (n * s.down + above) * s.across + left + t, out, other,
                places, scale, shift, bounds, 0, s, steps[2],
            )  # fmt: skip
