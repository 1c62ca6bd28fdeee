"""Mistakes planted into layers of drawn shapes, built in and written by a user, are called by their names.

What each mistake returns is computed here with loops over pixels, not with the code that names it. For more shapes:

    python tests/inside/test_mistake_names.py 20
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rot180 import AvgPool2d, Conv2d, Flatten, LeakyReLU, Linear, MaxPool2d, Softmax
from rot180.errors import Rot180Error
from rot180.inside.check import check
from rot180.nn import Dropout
from rot180.nn.layer import Layer
from rot180.ops.geometry import geometry

Array = np.ndarray
Generator = np.random.Generator
Wrong = Callable[[Any, Array, Any, dict[str, Array]], dict[str, Array]]
Draw = Callable[[Generator], tuple[Layer, tuple[int, ...]]]


def planted(layer: Layer, wrong: Wrong) -> Layer:
    """Give a layer another backward: what `wrong` returns stands in place of the right gradients."""
    base = type(layer)

    class Planted(base):  # type: ignore[misc, valid-type]
        def backward(self, dy: Array, saved: Any, *, needs_dx: bool = True) -> tuple[Array, dict[str, Array]]:
            dx, gradients = super().backward(dy, saved, needs_dx=True)
            right = {"x": dx, **gradients}
            found = {**right, **wrong(self, dy, saved, right)}
            return found.pop("x"), found

    layer.__class__ = Planted
    return layer


# Convolution, by its definition


def convolution(**fixed: Any) -> Draw:
    def draw(generator: Generator) -> tuple[Layer, tuple[int, ...]]:
        groups = fixed.get("groups", 1)
        stride, dilation = fixed.get("stride", int(generator.integers(1, 3))), fixed.get("dilation", 1)
        padding = fixed.get("padding", int(generator.integers(0, 3)))
        kernel = tuple(int(k) for k in generator.integers(2, 4, 2))
        filters, channels = groups * int(generator.integers(2, 4)), groups * int(generator.integers(2, 4))
        layer = Conv2d(filters, kernel, stride=stride, padding=padding, dilation=dilation, groups=groups)
        return layer, (int(generator.integers(6, 9)), int(generator.integers(7, 10)), channels)

    return draw


def convolved(
    layer: Any,
    dy: Array,
    x: Array,
    *,
    stride: tuple[int, int] | None = None,
    dilation: tuple[int, int] | None = None,
    moved: tuple[int, int] = (0, 0),
    leave: str = "",
    group_of: Callable[[int], int] | None = None,
) -> dict[str, Array]:
    """Return both gradients, pixel by pixel, with one thing wrong."""
    w = layer.weight
    g = geometry(*x.shape[1:3], w.shape[:2], stride=layer.stride, padding=layer.padding, dilation=layer.dilation)
    s, d = stride or g.stride, dilation or g.dilation
    c, per = w.shape[2], w.shape[3] // layer.groups
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for i, j, u, v in np.ndindex(g.out_height, g.out_width, *g.kernel):
        if (leave == "row of the kernel" and u == g.kernel[0] - 1) or (leave == "row" and i == g.out_height - 1):
            continue
        if leave == "column" and j == g.out_width - 1:
            continue
        row = i * s[0] + u * d[0] - g.padding[0][0] - moved[0]
        column = j * s[1] + v * d[1] - g.padding[1][0] - moved[1]
        if not (0 <= row < x.shape[1] and 0 <= column < x.shape[2]):
            continue
        for f in range(w.shape[3]):
            k = group_of(f) if group_of else f // per
            channels = slice(k * c, (k + 1) * c)
            dx[:, row, column, channels] += dy[:, i, j, f, None] * w[u, v, :, f]
            dw[u, v, :, f] += (x[:, row, column, channels] * dy[:, i, j, f, None]).sum(0)
    return {"x": dx, "weight": dw}


def of(array: str, **how: Any) -> Wrong:
    return lambda layer, dy, x, right: {array: convolved(layer, dy, x, **how)[array]}


def exchanged(array: str) -> Wrong:
    def wrong(layer: Any, dy: Array, x: Array, right: dict[str, Array]) -> dict[str, Array]:
        pair = layer.dilation, layer.stride
        s, d = (p if isinstance(p, tuple) else (p, p) for p in pair)
        return {array: convolved(layer, dy, x, stride=s, dilation=d)[array]}

    return wrong


def interleaved(array: str) -> Wrong:
    return lambda layer, dy, x, right: {array: convolved(layer, dy, x, group_of=lambda f: f % layer.groups)[array]}


def next_group(array: str) -> Wrong:
    def wrong(layer: Any, dy: Array, x: Array, right: dict[str, Array]) -> dict[str, Array]:
        per = layer.weight.shape[3] // layer.groups
        return {array: convolved(layer, dy, x, group_of=lambda f: (f // per + 1) % layer.groups)[array]}

    return wrong


# Pooling


def pooling(kind: type, **fixed: Any) -> Draw:
    def draw(generator: Generator) -> tuple[Layer, tuple[int, ...]]:
        kernel = fixed.get("kernel") or tuple(int(k) for k in generator.integers(2, 4, 2))
        layer = kind(kernel, **{name: value for name, value in fixed.items() if name not in ("kernel", "size")})
        drawn = tuple(int(n) for n in (*generator.integers(6, 10, 2), generator.integers(2, 4)))
        return layer, fixed.get("size", drawn)

    return draw


def pooled(layer: Any, dy: Array, x_shape: tuple[int, ...], place: Callable[..., Any]) -> Array:
    """Send each number of delta where `place(n, i, j, c)` says: rows and columns of its window, with a weight."""
    g = layer.geometry(x_shape[1:])
    dx = np.zeros(x_shape)
    for n, i, j, c in np.ndindex(dy.shape):
        for u, v, weight in place(n, i, j, c):
            row, column = i * g.stride[0] + u - g.padding[0][0], j * g.stride[1] + v - g.padding[1][0]
            if 0 <= row < x_shape[1] and 0 <= column < x_shape[2]:
                dx[n, row, column, c] += weight * dy[n, i, j, c]
    return dx


def to_winner(change: Callable[..., tuple[int, int]]) -> Wrong:
    def wrong(layer: Any, dy: Array, saved: Any, right: dict[str, Array]) -> dict[str, Array]:
        winners, x_shape = saved
        rows, columns = layer.kernel_size if isinstance(layer.kernel_size, tuple) else (layer.kernel_size,) * 2

        def place(n: int, i: int, j: int, c: int) -> list[tuple[int, int, float]]:
            return [(*change(int(winners[n, i, j, c]), rows, columns), 1.0)]

        return {"x": pooled(layer, dy, x_shape, place)}

    return wrong


def shared(weight: Callable[[int, int, int, int], float]) -> Wrong:
    """Share delta among the window; `weight(pixels, pixels inside, rows, columns)`."""

    def wrong(layer: Any, dy: Array, x_shape: Any, right: dict[str, Array]) -> dict[str, Array]:
        g = layer.geometry(x_shape[1:])

        def place(n: int, i: int, j: int, c: int) -> list[tuple[int, int, float]]:
            taps = list(np.ndindex(g.kernel))
            inside = sum(
                0 <= i * g.stride[0] + u - g.padding[0][0] < g.height
                and 0 <= j * g.stride[1] + v - g.padding[1][0] < g.width
                for u, v in taps
            )
            return [(u, v, weight(len(taps), inside, *g.kernel)) for u, v in taps]

        return {"x": pooled(layer, dy, x_shape, place)}

    return wrong


# Layers that a user might write


class Own(Layer):
    """Without parameters, attributes or labels: what it computes can be told from its numbers alone."""

    def __init__(self, f: Callable[[Array], Array], back: Callable[[Array, Array], Array]) -> None:
        super().__init__()
        self.f, self.back = f, back

    def forward(self, x, *, training=False, generator=None):
        return self.f(x), x

    def backward(self, dy, saved, *, needs_dx=True):
        return self.back(dy, saved), {}


class OwnDense(Layer):
    """Flattens its images and multiplies them with a matrix."""

    def build(self, input_shape, generator, *, dtype=np.float32, activation="linear"):
        self.parameters = {"kernel": generator.normal(size=(int(np.prod(input_shape)), 5)).astype(dtype)}

    def forward(self, x, *, training=False, generator=None):
        return x.reshape(len(x), -1) @ self.parameters["kernel"], x

    def backward(self, dy, saved, *, needs_dx=True):
        flat = saved.reshape(len(saved), -1)
        return (dy @ self.parameters["kernel"].T).reshape(saved.shape), {"kernel": flat.T @ dy}


def own(f: Callable[[Array], Array], back: Callable[[Array, Array], Array]) -> Draw:
    return lambda generator: (Own(f, back), maps(generator))


def maps(generator: Generator) -> tuple[int, int, int]:
    height = int(generator.integers(3, 6))
    return height, height + int(generator.integers(1, 3)), int(generator.integers(2, 4))


def on_maps(make: Callable[[], Layer]) -> Draw:
    return lambda generator: (make(), maps(generator))


def on_vectors(make: Callable[[], Layer]) -> Draw:
    return lambda generator: (make(), (int(generator.integers(4, 9)),))


def right_as_it_is(layer: Any, dy: Array, saved: Any, right: dict[str, Array]) -> dict[str, Array]:
    return {}


def wide(dy: Array, x: Array) -> Array:
    return np.broadcast_to(dy[:, None, None], x.shape).copy()


def normalized(x: Array, axis: int) -> Array:
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def delta_of(places: int, *names: str) -> Wrong:
    def wrong(layer: Any, dy: Array, saved: Any, right: dict[str, Array]) -> dict[str, Array]:
        dx, gradients = type(layer).__mro__[1].backward(layer, np.roll(dy, places, 0), saved)
        both = {"x": dx, **gradients}
        return {name: both[name] for name in names}

    return wrong


def winner_of_map(place: Callable[[int, int, int], tuple[int, int]]) -> Callable[[Array, Array], Array]:
    """Return a backward that sends delta to `place(winner, rows, columns)` of each map."""

    def back(dy: Array, x: Array) -> Array:
        dx = np.zeros_like(x)
        for n, c in np.ndindex(len(x), x.shape[3]):
            row, column = place(int(x[n, :, :, c].argmax()), *x.shape[1:3])
            dx[n, row % x.shape[1], column % x.shape[2], c] = dy[n, c]
        return dx

    return back


BOTH = ("x", "weight")
PLANTED: dict[str, tuple[str, Draw, Wrong, tuple[str, ...]]] = {
    **{
        f"{what}-{array}": (name, convolution(**fixed), wrong(array), (array,))
        for what, name, fixed, wrong in [
            ("exchange", "stride and dilation exchanged", {"stride": 2, "dilation": 1}, exchanged),
            ("exchange-back", "stride and dilation exchanged", {"stride": 1, "dilation": 2}, exchanged),
            ("strides", "stride of rows and columns exchanged", {"stride": (1, 2)}, lambda a: of(a, stride=(2, 1))),
            (
                "dilations",
                "dilation of rows and columns exchanged",
                {"dilation": (1, 2), "stride": 1},
                lambda a: of(a, dilation=(2, 1)),
            ),
            ("top", "padding off on one side", {"padding": 1}, lambda a: of(a, moved=(1, 0))),
            ("top2", "padding off on one side", {"padding": 2}, lambda a: of(a, moved=(-1, 0))),
            ("left", "padding off on one side", {"padding": ((1, 1), (2, 0))}, lambda a: of(a, moved=(0, -2))),
            ("interleaved", "groups mixed", {"groups": 2}, interleaved),
            ("next-group", "groups mixed", {"groups": 3}, next_group),
            ("last-row", "last row forgotten in delta", {}, lambda a: of(a, leave="row")),
            ("last-column", "last column forgotten in delta", {}, lambda a: of(a, leave="column")),
            ("last-tap", "last row of the kernel forgotten", {}, lambda a: of(a, leave="row of the kernel")),
        ]
        for array in BOTH
    },
    "conv-batch": ("delta of the neighboring image", convolution(), delta_of(1, *BOTH), BOTH),
    "fc-batch": ("delta of the neighboring image", on_vectors(lambda: Linear(3)), delta_of(-1, *BOTH), BOTH),
    "pool-batch": ("delta of the neighboring image", pooling(MaxPool2d), delta_of(1, "x"), ("x",)),
    "fc-last-image": (
        "last image forgotten in delta",
        on_vectors(lambda: Linear(3)),
        lambda layer, dy, x, right: {"weight": x[:-1].T @ dy[:-1]},
        ("weight",),
    ),
    "conv-weight-order": (
        "order of flattening",
        convolution(),
        lambda layer, dy, x, right: {"weight": right["weight"].transpose(2, 0, 1, 3).reshape(right["weight"].shape)},
        ("weight",),
    ),
    "winner-down": (
        "winner shifted",
        pooling(MaxPool2d),
        to_winner(lambda k, rows, columns: (k // columns + 1, k % columns)),
        ("x",),
    ),
    "winner-off-by-one": (
        "winner shifted",
        pooling(MaxPool2d),
        to_winner(lambda k, rows, columns: divmod((k + 1) % (rows * columns), columns)),
        ("x",),
    ),
    "winner-padded": (
        "winner shifted, or padding off on one side",
        pooling(MaxPool2d, kernel=3, stride=2, padding=1),
        to_winner(lambda k, rows, columns: (k // columns, k % columns - 1)),
        ("x",),
    ),
    "winner-transposed": (
        "winner transposed",
        pooling(MaxPool2d, kernel=3),
        to_winner(lambda k, rows, columns: (k % columns, k // columns)),
        ("x",),
    ),
    "winner-by-height": (
        "winner transposed",
        pooling(MaxPool2d, kernel=(2, 3)),
        to_winner(lambda k, rows, columns: (k // rows, k % rows)),
        ("x",),
    ),
    "first-pixel": (
        "delta to the same pixel of every window",
        pooling(MaxPool2d),
        to_winner(lambda *_: (0, 0)),
        ("x",),
    ),
    "border-inside": (
        "wrong mean at the border",
        pooling(AvgPool2d, kernel=3, stride=1, padding=1),
        shared(lambda pixels, inside, rows, columns: 1 / inside),
        ("x",),
    ),
    "border-all": (
        "wrong mean at the border",
        pooling(AvgPool2d, kernel=(3, 2), stride=2, padding=1, count_include_pad=False),
        shared(lambda pixels, inside, rows, columns: 1 / pixels),
        ("x",),
    ),
    "border-beyond": (
        "wrong mean at the border",
        pooling(AvgPool2d, kernel=3, stride=2, padding=1, ceil_mode=True, size=(8, 7, 2)),
        shared(lambda pixels, inside, rows, columns: 1 / (rows * columns)),
        ("x",),
    ),
    "rows-only": (
        "mean over another number of pixels",
        pooling(AvgPool2d),
        shared(lambda pixels, inside, rows, columns: 1 / rows),
        ("x",),
    ),
    "slope-forgotten": (
        "leaky slope forgotten",
        on_maps(lambda: LeakyReLU(0.2)),
        lambda layer, dy, x, right: {"x": dy},
        ("x",),
    ),
    "slope-other": (
        "wrong leaky slope: 0.01 instead of 0.3",
        on_vectors(lambda: LeakyReLU(0.3)),
        lambda layer, dy, x, right: {"x": dy * np.where(x > 0, 1, 0.01)},
        ("x",),
    ),
    "slope-squared": (
        "leaky slope squared",
        on_maps(lambda: LeakyReLU(0.2)),
        lambda layer, dy, x, right: {"x": dy * np.where(x > 0, 1, 0.04)},
        ("x",),
    ),
    "slope-above": (
        "leaky slope on the wrong side",
        on_vectors(lambda: LeakyReLU(0.3)),
        lambda layer, dy, x, right: {"x": dy * np.where(x > 0, 0.3, 1)},
        ("x",),
    ),
    "softmax-batch": (
        "softmax over the wrong axis",
        on_vectors(Softmax),
        lambda layer, dy, y, right: {"x": y * (dy - (dy * y).sum(0))},
        ("x",),
    ),
    "softmax-plus": (
        "sign in softmax",
        on_vectors(Softmax),
        lambda layer, dy, y, right: {"x": y * (dy + (dy * y).sum(-1, keepdims=True))},
        ("x",),
    ),
    "softmax-unweighted": (
        "delta not weighted in softmax's sum",
        on_vectors(Softmax),
        lambda layer, dy, y, right: {"x": y * (dy - dy.sum(-1, keepdims=True))},
        ("x",),
    ),
    "mask-drawn-again": (
        "another dropout mask",
        on_maps(lambda: Dropout(0.4)),
        lambda layer, dy, mask, right: {
            "x": dy * np.random.default_rng(9).permutation(mask.ravel()).reshape(mask.shape)
        },
        ("x",),
    ),
    "mask-turned": (
        "dropout mask inverted",
        on_maps(lambda: Dropout(0.4)),
        lambda layer, dy, mask, right: {"x": dy * (mask == 0) / 0.6},
        ("x",),
    ),
    "mask-twice": (
        "wrong scale of the mask",
        on_vectors(lambda: Dropout(0.4)),
        lambda layer, dy, mask, right: {"x": right["x"] / 0.6},
        ("x",),
    ),
    "flatten-channels-first": (
        "order of flattening",
        on_maps(Flatten),
        lambda layer, dy, saved, right: {
            "x": dy.reshape(len(dy), right["x"].shape[3], *right["x"].shape[1:3]).transpose(0, 2, 3, 1)
        },
        ("x",),
    ),
    "flatten-fortran": (
        "order of flattening",
        on_maps(Flatten),
        lambda layer, dy, saved, right: {"x": dy.reshape(right["x"].shape, order="F")},
        ("x",),
    ),
    "own-dense-order": (
        "order of flattening",
        on_maps(OwnDense),
        lambda layer, dy, x, right: {"kernel": x.transpose(0, 3, 1, 2).reshape(len(x), -1).T @ dy},
        ("kernel",),
    ),
    "own-global-mean": (
        "mean of the global pool not divided",
        own(lambda x: x.mean((1, 2)), wide),
        right_as_it_is,
        ("x",),
    ),
    "own-global-mean-rows": (
        "mean over another number of pixels",
        own(lambda x: x.mean((1, 2)), lambda dy, x: wide(dy, x) / x.shape[1]),
        right_as_it_is,
        ("x",),
    ),
    "own-global-max": (
        "winner transposed",
        own(lambda x: x.max((1, 2)), winner_of_map(lambda k, rows, columns: (k % rows, k // rows))),
        right_as_it_is,
        ("x",),
    ),
    "own-global-max-shift": (
        "winner shifted",
        own(lambda x: x.max((1, 2)), winner_of_map(lambda k, rows, columns: (k // columns + 1, k % columns))),
        right_as_it_is,
        ("x",),
    ),
    "own-global-sum": (
        "mean instead of sum",
        own(lambda x: x.sum((1, 2)), lambda dy, x: wide(dy, x) / (x.shape[1] * x.shape[2])),
        right_as_it_is,
        ("x",),
    ),
    "own-softmax-rows": (
        "softmax over the wrong axis",
        own(
            lambda x: normalized(x, 1),
            lambda dy, x: normalized(x, 1) * (dy - (dy * normalized(x, 1)).sum(-1, keepdims=True)),
        ),
        right_as_it_is,
        ("x",),
    ),
    "own-cube-batch": (
        "delta of the neighboring image",
        own(lambda x: x**3, lambda dy, x: np.roll(dy, 1, 0) * 3 * x**2),
        right_as_it_is,
        ("x",),
    ),
    "own-cube-row": (
        "last row forgotten",
        own(lambda x: x**3, lambda dy, x: dy * 3 * x**2 * (np.arange(x.shape[1]) < x.shape[1] - 1)[:, None, None]),
        right_as_it_is,
        ("x",),
    ),
    "own-flip-back": (
        "right numbers in another order",
        own(lambda x: x[:, ::-1] * 2, lambda dy, x: 2 * dy[:, ::-1, ::-1, ::-1]),
        right_as_it_is,
        ("x",),
    ),
}


def names(key: str, seed: int) -> tuple[str, set[str], dict[str, str]]:
    """Plant one mistake into a layer of a drawn shape; return the name, the arrays, and what was named."""
    name, draw, wrong, arrays = PLANTED[key]
    generator = np.random.default_rng(seed)
    while True:
        layer, shape = draw(generator)
        layer.name = "planted"
        try:
            report = check(planted(layer, wrong), shape, coordinates=16, directions=3, seed=seed)
        except Rot180Error:  # a window larger than the image
            continue
        if not report.passed:  # where a stride leaves one window, forgetting it changes nothing else
            break
    return name, {f"planted.{array}" for array in arrays}, report.mistakes


@pytest.mark.parametrize("key", PLANTED)
def test_a_planted_mistake_is_called_by_its_name(key: str) -> None:
    name, arrays, mistakes = names(key, 11)
    assert set(mistakes) == arrays
    assert {said.split(";")[0] for said in mistakes.values()} == {name}


def test_the_report_says_where_in_the_formula() -> None:
    layer = planted(Conv2d(2, 3, stride=2), exchanged("weight"))
    report = check(layer, (7, 7, 2))
    assert "in the formula: i*s + u*d in dw[u,v,c,f] = sum_nij" in str(report)
    assert max(len(line) for line in str(report).splitlines()) <= 80
    (gradient,) = [one for one in report.to_dict()["parts"][0]["gradients"] if one["name"] == "weight"]
    assert gradient["where"].startswith("i*s + u*d in dw")


@pytest.mark.parametrize(
    ("f", "back"),
    [
        (lambda x: x.mean((1, 2)), lambda dy, x: wide(dy, x) / (x.shape[1] * x.shape[2])),
        (lambda x: x.max((1, 2)), winner_of_map(lambda k, rows, columns: divmod(k, columns))),
        (
            lambda x: normalized(x, 2),
            lambda dy, x: normalized(x, 2) * (dy - (dy * normalized(x, 2)).sum(2, keepdims=True)),
        ),
        (
            lambda x: x.transpose(0, 3, 1, 2).reshape(len(x), -1),
            lambda dy, x: dy.reshape(len(x), x.shape[3], *x.shape[1:3]).transpose(0, 2, 3, 1),
        ),
    ],
    ids=["mean", "max", "softmax", "flatten"],
)
def test_right_layers_of_a_user_are_not_blamed(
    f: Callable[[Array], Array], back: Callable[[Array, Array], Array]
) -> None:
    generator = np.random.default_rng(4)
    for _ in range(3):
        assert check(Own(f, back), maps(generator)).passed


def main(count: int) -> int:
    """Plant each mistake into so many shapes; print those that get another name, and how many."""
    other = 0
    for key in PLANTED:
        for seed in range(count):
            name, _, mistakes = names(key, seed)
            if {said.split(";")[0] for said in mistakes.values()} != {name}:
                other += 1
                print(f"{key}, seed {seed}: {mistakes}")
    print(f"{len(PLANTED) * count} planted, {other} with another name")
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
