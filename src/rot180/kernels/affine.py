"""Fully connected layers as tiles.

    y[n, o]  = b[o] + sum over i of x[n, i] * w[i, o]        rows n, columns o
    dx[n, i] = sum over o of dy[n, o] * w[i, o]              both read along o: the dot tile, unless o are few
    dw[i, o] = sum over n of x[n, i] * dy[n, o]              rows i, columns o; consumed by the optimizer at once
    db[o]    = sum over n of dy[n, o]

Most parameters of a network are in its first fully connected layer. Its dw is computed a few rows at a time in a
scratch array that stays in the cache, and the optimizer's rule is applied there: dw never travels to memory and back.
"""

from __future__ import annotations

from rot180.kernels.compiling import kernel
from rot180.kernels.elementwise import NOTHING, RELU, activate_lanes, activate_row
from rot180.kernels.finishing import ALONE
from rot180.kernels.product_tile import product_tile
from rot180.kernels.simd import advance, fma, lanes, load, load_part, pointer, splat, store, store_part
from rot180.kernels.team import split
from rot180.kernels.tile import DOT_COLUMNS, DOT_ROWS, TILE_VECTORS, tile
from rot180.kernels.update import update_lanes

KEEP = -1
"""Used in place of a rule: write the gradient where the parameter would be."""
LINE = 64
"""Bytes of a cache line."""
ROWS = 8
"""Rows of w that a single row of x is multiplied by at a time: as many streams as processors fetch ahead by themselves.
Sums that stayed in registers would read some of each row, which takes 1.6 times as long."""


@kernel
def affine(team, address, x, w, scale, bias, limits, y, strides, sizes, activation):
    """y = f(x @ w + bias), f being a kind of `activate` without a slope, or NOTHING.

    While a block of columns is multiplied, the next one is fetched: it is a few bytes from each row of w.

    address : of the product tile
    x : (N, I), y : (N, O)
    w : (I, O) with room for one register after its end
    scale : (O,) ones
    bias : (O,)
    limits : (2,) the smallest and the largest output; what RELU is, which need not be applied then
    sizes : (3,) int64: columns of a block, rows of a tile, and rows of a unit of work
    """
    N, I = x.shape
    O = y.shape[1]
    width, block, run = sizes[0], sizes[1], sizes[2]
    L, line = lanes(x), LINE // x.itemsize
    runs = (N + run - 1) // run
    for unit in split(team, (O + width - 1) // width * runs):
        first = unit // runs * width
        count = min(width, O - first)
        vectors = (count + L - 1) // L
        begin = unit % runs * run
        for n in range(begin, min(begin + run, N), block):
            p, q = pointer(w, first), pointer(y, n * O + first)
            place = n // block * line
            ahead = advance(p, width + place) if place < width else p
            rows = min(block, N - n)
            product_tile(
                address, rows, vectors, pointer(x, n * I), p, pointer(scale, first), pointer(bias, first),
                pointer(limits, 0), q, q, 1, count - (vectors - 1) * L, ALONE, ahead, strides,
            )  # fmt: skip
            if activation != NOTHING and activation != RELU:
                for r in range(rows):
                    activate_row(activation, advance(q, r * O), advance(q, r * O), count, 0.0)


@kernel
def affine_one(team, x, w, bias, y, sums, activation):
    """The same for one row of x: reading the weights dominates the time, so it is done in the order of memory.

    Inputs are split into parts, whose sums are added at the end.

    sums : (parts, O rounded up to whole registers)
    """
    I, O = w.shape
    parts, padded = sums.shape
    L = lanes(x)
    for part in split(team, parts):
        begin, end = part * I // parts, (part + 1) * I // parts
        s = pointer(sums, part * padded)
        zero = splat(s, 0.0)
        for o in range(0, padded, L):
            store(s, o, zero)
        whole = begin + (end - begin) // ROWS * ROWS
        for i in range(begin, whole, ROWS):
            a, b, c, d = splat(s, x[0, i]), splat(s, x[0, i + 1]), splat(s, x[0, i + 2]), splat(s, x[0, i + 3])
            e, f, g, h = splat(s, x[0, i + 4]), splat(s, x[0, i + 5]), splat(s, x[0, i + 6]), splat(s, x[0, i + 7])
            p = pointer(w, i * O)
            for o in range(0, padded, L):
                total = fma(b, load(p, O + o), fma(a, load(p, o), load(s, o)))
                total = fma(d, load(p, 3 * O + o), fma(c, load(p, 2 * O + o), total))
                total = fma(f, load(p, 5 * O + o), fma(e, load(p, 4 * O + o), total))
                store(s, o, fma(h, load(p, 7 * O + o), fma(g, load(p, 6 * O + o), total)))
        for i in range(whole, end):
            for o in range(0, padded, L):
                store(s, o, fma(splat(s, x[0, i]), load(pointer(w, i * O), o), load(s, o)))
    for block in split(team, (O + L - 1) // L):
        o = block * L
        count = min(L, O - o)
        p = pointer(sums, o)
        total = load_part(pointer(bias, o), 0, count) if bias.size > 0 else splat(p, 0.0)
        for part in range(parts):
            total = total + load(p, part * padded)
        store_part(pointer(y, o), 0, activate_lanes(activation, total, total), count)


@kernel
def affine_data_gradient(team, address, dy, w, dx, strides):
    """dx = dy @ w.T, for dy (N, O), w (I, O), dx (N, I); `strides` of the dot tile."""
    N, O = dy.shape
    I = w.shape[0]
    for b in split(team, (I + DOT_COLUMNS - 1) // DOT_COLUMNS):
        i = b * DOT_COLUMNS
        columns = min(DOT_COLUMNS, I - i)
        for n in range(0, N, DOT_ROWS):
            tile(
                address, min(DOT_ROWS, N - n), columns, pointer(dy, n * O), pointer(w, i * O), pointer(dx, n * I + i),
                O, 0, strides,
            )  # fmt: skip


@kernel
def affine_data_gradient_of_few(team, address, dy, w, dx, scratch, strides, sizes):
    """The same for so few outputs that a dot tile would do little but sum over its lanes: w is transposed first.

    scratch : (threads, at least (O + rows)*width)
    sizes : (2,) int64: inputs of a block (the width), rows of a tile
    """
    N, O = dy.shape
    I = w.shape[0]
    width, block = sizes[0], sizes[1]
    L = lanes(dy)
    for b in split(team, (I + width - 1) // width):
        first = b * width
        count = min(width, I - first)
        for i in range(count):
            for o in range(O):
                scratch[team.thread, o * width + i] = w[first + i, o]
        turned = pointer(scratch, team.thread * scratch.shape[1])
        products = advance(turned, O * width)
        vectors = (count + L - 1) // L
        for n in range(0, N, block):
            rows = min(block, N - n)
            tile(address, rows, vectors, pointer(dy, n * O), turned, products, 1, 0, strides)
            for r in range(rows):
                for v in range(vectors):
                    part = min(L, count - v * L)
                    store_part(pointer(dx, (n + r) * I + first), v * L, load(products, r * width + v * L), part)


@kernel
def affine_weight_gradient(
    team, address, x, dy, w, first_state, second_state, db, scratch, strides, sizes, rule, hyper
):
    """dw = x.T @ dy, a few rows at a time, and the optimizer's update of these rows of w; db.

    x : (N, I), dy : (N, O) with room for one register after its end
    w, first_state, second_state : (I, O); with the rule KEEP the gradient is written to w
    db : (O,), or empty
    scratch : (threads, at least rows of a tile * O rounded up to whole blocks of columns)
    sizes : (2,) int64: rows of a tile, length of a scratch row
    """
    N, I = x.shape
    O = dy.shape[1]
    block, length = sizes[0], sizes[1]
    L = lanes(x)
    width = TILE_VECTORS * L
    blocks = max(1, (I + block - 1) // block)
    for b in split(team, blocks):
        i = b * block
        rows = min(block, I - i)
        s = pointer(scratch, team.thread * scratch.shape[1])
        for o in range(0, O, width):
            vectors = min(TILE_VECTORS, (O - o + L - 1) // L)
            tile(address, rows, vectors, pointer(x, i), pointer(dy, o), advance(s, o), N, 0, strides)
        p, m, v = pointer(w, i * O), pointer(first_state, i * O), pointer(second_state, i * O)
        if length != O:  # without the gaps between rows, all registers but the last are whole
            for r in range(rows):
                for o in range(0, O, L):
                    store_part(s, r * O + o, load(s, r * length + o), min(L, O - o))
        for k in range(0, rows * O, L):
            part = min(L, rows * O - k)
            if rule == KEEP:
                store_part(p, k, load_part(s, k, part), part)
            else:
                update_lanes(rule, load_part(s, k, part), p, m, v, k, part, hyper)
        for o in range(b * L, db.size, blocks * L):
            total = splat(s, 0.0)
            for n in range(N):
                total = total + load(pointer(dy, n * O), o)
            store_part(pointer(db, o), 0, total, min(L, O - o))
