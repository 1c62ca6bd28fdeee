"""Mistakes planted into the layers of deeper networks are called by their names, and right layers are not blamed.

Each layer is written here as a user would write it, with NumPy and not with the code that names its mistakes. For more
shapes:

    python tests/inside/test_mistakes_in_deep_networks.py 20
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rot180.errors import ArgumentError
from rot180.inside.check import check
from rot180.nn import Conv2d, ConvTranspose2d, network
from rot180.nn.batch_norm import BatchNorm2d
from rot180.nn.joins import Add, Concatenate, Join, Multiply
from rot180.nn.layer import Layer

Array = np.ndarray
Generator = np.random.Generator

BATCH, CHANNELS, PIXELS, IMAGE = (0, 1, 2), (3,), (1, 2), (1, 2, 3)


class Norm(Layer):
    """A normalization over some axes, with scale and shift; `wrong` names what its backward does wrong."""

    def __init__(
        self, wrong: str = "", *, axes: tuple[int, ...] = BATCH, eps: float = 1e-3, affine: bool = True
    ) -> None:
        super().__init__()
        self.wrong, self.axes, self.eps, self.affine = wrong, axes, eps, affine

    def build(self, input_shape, generator, *, dtype=np.float32, activation="linear"):
        if self.affine:
            self.parameters = {"gamma": np.ones(input_shape[-1:], dtype), "beta": np.zeros(input_shape[-1:], dtype)}
        self.statistics = {"mean": np.full(input_shape[-1:], 0.3, dtype), "var": np.full(input_shape[-1:], 1.7, dtype)}

    def forward(self, x, *, training=False, generator=None):
        mean, var = x.mean(self.axes, keepdims=True), x.var(self.axes, keepdims=True)
        if self.wrong == "running forward":
            mean, var = self.statistics["mean"], self.statistics["var"]
        xhat = (x - mean) / np.sqrt(var + self.eps)
        if "unbiased forward" in self.wrong:
            xhat = (x - mean) / np.sqrt(x.var(self.axes, keepdims=True, ddof=1) + self.eps)
        if "outside forward" in self.wrong:
            xhat = (x - mean) / (np.sqrt(var) + self.eps)
        if not self.affine:
            return xhat, x
        return xhat * self.parameters["gamma"] + self.parameters["beta"], x

    def backward(self, dy, x, *, needs_dx=True):
        wrong, axes = self.wrong, self.axes
        gamma = self.parameters["gamma"] if self.affine else 1.0
        mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
        m = x.size // mean.size
        if wrong == "running backward":
            mean, var = self.statistics["mean"], self.statistics["var"]
        if wrong == "unbiased":
            var = x.var(axes, keepdims=True, ddof=1)
        deviation = np.sqrt(var + self.eps)
        if wrong == "eps outside":
            deviation = np.sqrt(var) + self.eps
        if wrong == "no eps":
            deviation = np.sqrt(var)
        xhat = (x - mean) / deviation
        g = dy if wrong == "no gamma" else dy * gamma
        over = BATCH if wrong == "other axes" else axes
        along_mean, along_xhat = g.mean(over, keepdims=True), (g * xhat).mean(over, keepdims=True)
        if wrong in ("no mean", "constants", "all but direct"):
            along_mean = 0
        if wrong in ("no variance", "constants"):
            along_xhat = 0
        if wrong == "m - 1":
            along_xhat = (g * xhat).sum(over, keepdims=True) / (m - 1)
        if wrong == "sums":
            along_mean, along_xhat = m * along_mean, m * along_xhat
        if wrong == "added":
            along_mean, along_xhat = -along_mean, -along_xhat
        dx = (g - along_mean - xhat * along_xhat) / (deviation**2 if wrong == "variance" else deviation)
        if not self.affine:
            return dx, {}
        by = x if wrong == "dgamma of x" else xhat
        dgamma, dbeta = (dy * by).sum((0, 1, 2)), dy.sum((0, 1, 2))
        if wrong == "dgamma of one image":
            dgamma = (dy * by)[0].sum((0, 1))
        if wrong == "dbeta times gamma":
            dbeta = dbeta * gamma
        return dx, {"gamma": dgamma, "beta": dbeta}


class RightForms(Norm):
    """Unusual but consistent: unbiased variance or epsilon outside the root in forward, with the gradient of that."""

    def backward(self, dy, x, *, needs_dx=True):
        mean, m = x.mean(self.axes, keepdims=True), x.size // x.mean(self.axes).size
        gamma = self.parameters["gamma"]
        n = m - 1 if "unbiased" in self.wrong else m
        std = np.sqrt(
            ((x - mean) ** 2).sum(self.axes, keepdims=True) / n + (self.eps if "outside" not in self.wrong else 0)
        )
        deviation = std + (self.eps if "outside" in self.wrong else 0)
        g, off = dy * gamma, x - mean
        through = (g * off).sum(self.axes, keepdims=True) / deviation**2 / std / n
        dx = (g - g.mean(self.axes, keepdims=True)) / deviation - off * through
        return dx, {"gamma": (dy * off / deviation).sum((0, 1, 2)), "beta": dy.sum((0, 1, 2))}


class Spread(ConvTranspose2d):
    """A transposed convolution whose gradients are computed pixel by pixel, with one thing wrong."""

    wrong = ""

    def backward(self, dy, x, *, needs_dx=True):
        w, wrong = self.weight, self.wrong
        dx, dw = np.zeros_like(x), np.zeros_like(w)
        s, p, d = self.stride, self.padding, self.dilation
        c, f = x.shape[3] // self.groups, w.shape[2]
        for i, j, u, v in np.ndindex(*x.shape[1:3], *w.shape[:2]):
            strides = (1, 1) if wrong == "stride" else s
            cut = (0, 0) if wrong == "crop" else p
            row, column = i * strides[0] + u * d[0] - cut[0], j * strides[1] + v * d[1] - cut[1]
            if not (0 <= row < dy.shape[1] and 0 <= column < dy.shape[2]):
                continue
            tap = w[-1 - u, -1 - v] if wrong == "rotated" else w[u, v]
            for k in range(self.groups):
                of = (k + 1) % self.groups if wrong == "groups" else k
                ins, outs = slice(k * c, (k + 1) * c), slice(of * f, (of + 1) * f)
                dx[:, i, j, ins] += dy[:, row, column, outs] @ tap[:, ins]
                dw[u, v, :, ins] += dy[:, row, column, outs].T @ x[:, i, j, ins]
        if wrong == "dw rotated":
            dw = dw[::-1, ::-1]
        if wrong == "last row":
            dw = dw * (np.arange(w.shape[0]) < w.shape[0] - 1)[:, None, None, None]
        db = dy[0].sum((0, 1)) if wrong == "bias" else dy.sum((0, 1, 2))
        return dx, {"weight": dw, "bias": db}


class Depthwise(Layer):
    """A depthwise convolution of 3 x 3 whose kernel is stored as (rows, columns, channels)."""

    def __init__(self, wrong: str = "") -> None:
        super().__init__()
        self.wrong = wrong

    def output_shape(self, input_shape):
        return input_shape[0] - 2, input_shape[1] - 2, input_shape[2]

    def build(self, input_shape, generator, *, dtype=np.float32, activation="linear"):
        self.parameters = {"kernel": generator.normal(size=(3, 3, input_shape[2])).astype(dtype)}

    def forward(self, x, *, training=False, generator=None):
        h, w, k = x.shape[1] - 2, x.shape[2] - 2, self.parameters["kernel"]
        return sum(x[:, u : u + h, v : v + w] * k[u, v] for u in range(3) for v in range(3)), x

    def backward(self, dy, x, *, needs_dx=True):
        h, w, k = dy.shape[1], dy.shape[2], self.parameters["kernel"]
        dx, dk = np.zeros_like(x), np.zeros_like(k)
        for u, v in np.ndindex(3, 3):
            tap = k[2 - u, 2 - v] if self.wrong == "not rotated" else k[u, v]
            if self.wrong == "next channel":
                tap = np.roll(tap, 1)
            if self.wrong == "assigned":
                dx[:, u : u + h, v : v + w] = dy * tap
            else:
                dx[:, u : u + h, v : v + w] += dy * tap
            dk[u, v] = (dy * x[:, u : u + h, v : v + w]).sum((0, 1, 2))
        return dx, {"kernel": dk[::-1, ::-1] if self.wrong == "dw rotated" else dk}


def turned(kind: type[Join], back: Callable[[Array, list[Array]], tuple[Array, ...]]) -> Layer:
    """Return a join with another backward, which is given delta and the inputs."""

    class Wrong(kind):  # type: ignore[misc, valid-type]
        def forward(self, *inputs, training=False, generator=None):
            return super().forward(*inputs)[0], list(inputs)

        def backward(self, dy, saved, *, needs_dx=True):
            return back(dy, saved), {}

    return Wrong()


class Own(Layer):
    """A layer of two functions."""

    def __init__(self, f: Callable[[Array], Array], back: Callable[[Array, Array], Array]) -> None:
        super().__init__()
        self.f, self.back = f, back

    def forward(self, x, *, training=False, generator=None):
        return self.f(x), x

    def backward(self, dy, saved, *, needs_dx=True):
        return self.back(dy, saved), {}


class Residual(Layer):
    """x + conv(x), as a layer that contains a layer; without the skip branch's delta if it is `wrong`."""

    def __init__(self, wrong: bool) -> None:
        super().__init__()
        self.wrong = wrong

    def build(self, input_shape, generator, *, dtype=np.float32, activation="linear"):
        self.conv = Conv2d(input_shape[2], 3, padding="same")
        self.conv.build(input_shape, generator, dtype=dtype)
        self.parameters = self.conv.parameters

    def forward(self, x, *, training=False, generator=None):
        y, saved = self.conv.forward(x)
        return x + y, saved

    def backward(self, dy, saved, *, needs_dx=True):
        dx, gradients = self.conv.backward(dy, saved)
        return dx if self.wrong else dx + dy, gradients


def spread(wrong: str, **options: Any) -> Callable[[Generator], tuple[Layer, Any]]:
    def draw(generator: Generator) -> tuple[Layer, Any]:
        settings = {"stride": 2, "padding": 1, **options}
        layer = Spread(2 * settings.get("groups", 1), (3, 4), **settings)
        layer.wrong = wrong
        return layer, (*(int(n) for n in generator.integers(4, 6, 2)), 3 * settings.get("groups", 1))

    return draw


def norm(wrong: str, **options: Any) -> Callable[[Generator], tuple[Layer, Any]]:
    return lambda generator: (Norm(wrong, **options), maps(generator))


def maps(generator: Generator) -> tuple[int, ...]:
    height = int(generator.integers(3, 6))
    return height, height + int(generator.integers(1, 3)), int(generator.integers(2, 5))


def on_maps(make: Callable[[], Layer]) -> Callable[[Generator], tuple[Layer, Any]]:
    return lambda generator: (make(), maps(generator))


def two(make: Callable[[], Layer], shape: Callable[[tuple[int, ...]], tuple[int, ...]] = lambda one: one) -> Any:
    def draw(generator: Generator) -> tuple[Layer, Any]:
        first = maps(generator)
        return make(), [first, shape(first)]

    return draw


def gate_of(x: Array) -> Array:
    return 1 / (1 + np.exp(-x.mean((1, 2), keepdims=True)))


def repeated(x: Array) -> Array:
    return x.repeat(2, 1).repeat(2, 2)


def blocks(dy: Array, x: Array) -> Array:
    return dy.reshape(len(x), x.shape[1], 2, x.shape[2], 2, x.shape[3])


def interpolated(x: Array) -> Array:
    """Twice the size, by the definition of bilinear interpolation between the centers of pixels."""
    return np.einsum("ip,npqc,jq->nijc", near(x.shape[1]), x, near(x.shape[2]))


def back_interpolated(dy: Array, x: Array) -> Array:
    return np.einsum("ip,nijc,jq->npqc", near(x.shape[1]), dy, near(x.shape[2]))


def near(n: int) -> Array:
    """How much pixel p counts in pixel i of the result: 1 minus its distance, if that is below 1."""
    places = [min(max((i + 0.5) / 2 - 0.5, 0), n - 1) for i in range(2 * n)]
    return np.array([[max(0.0, 1 - abs(place - p)) for p in range(n)] for place in places])


def uneven(x: Array) -> Array:
    """The means of two overlapping halves of the rows and of the columns."""
    rows, columns = halves(x.shape[1]), halves(x.shape[2])
    return np.stack([np.stack([x[:, r, c].mean((1, 2)) for c in columns], 1) for r in rows], 1)


def halves(n: int) -> tuple[slice, slice]:
    return slice(0, -(-n // 2)), slice(n // 2, n)


def uneven_back(dy: Array, x: Array, *, divide: bool) -> Array:
    dx = np.zeros_like(x)
    for i, r in enumerate(halves(x.shape[1])):
        for j, c in enumerate(halves(x.shape[2])):
            dx[:, r, c] += dy[:, None, None, i, j] / (x[0, r, c, 0].size if divide else 1)
    return dx


class WithShape(Own):
    """A layer of two functions whose output has another shape."""

    def output_shape(self, input_shape):
        return self.f(np.zeros((1, *input_shape))).shape[1:]


def wide(dy: Array, x: Array) -> Array:
    return np.broadcast_to(dy[:, None, None], x.shape).copy()


ODD = (5, 5, 2)

Planted = tuple[str, Callable[[Generator], tuple[Layer, Any]], tuple[str, ...]]
"""The name of the mistake, the layer that makes it, and the arrays whose gradients are wrong."""

PLANTED: dict[str, Planted] = {
    "bn-no-mean": ("gradient through the mean missing", norm("no mean"), ("x",)),
    "bn-no-variance": ("gradient through the variance missing", norm("no variance"), ("x",)),
    "bn-constants": ("gradient through mean and variance missing", norm("constants"), ("x",)),
    "ln-no-variance": ("gradient through the variance missing", norm("no variance", axes=CHANNELS), ("x",)),
    "in-no-mean": ("gradient through the mean missing", norm("no mean", axes=PIXELS, affine=False), ("x",)),
    "bn-unbiased": ("biased and unbiased variance mixed", norm("unbiased"), ("x", "gamma")),
    "bn-by-m-1": ("biased and unbiased variance mixed", norm("m - 1"), ("x",)),
    "bn-eps-outside": ("epsilon outside the root", norm("eps outside"), ("x", "gamma")),
    "bn-small-eps-outside": ("epsilon outside the root", norm("eps outside", eps=1e-5), ("x", "gamma")),
    "gn-no-eps": ("epsilon missing in backward", norm("no eps", axes=IMAGE, eps=0.1), ("x", "gamma")),
    "bn-running-forward": ("running statistics in training", norm("running forward"), ("x", "gamma")),
    "bn-running-backward": ("running statistics in training", norm("running backward"), ("x", "gamma")),
    "in-other-axes": ("means over other axes than in forward", norm("other axes", axes=PIXELS), ("x",)),
    "bn-sums": ("sums instead of means", norm("sums"), ("x",)),
    "bn-added": ("terms added, not subtracted", norm("added"), ("x",)),
    "bn-variance": ("divided by the variance, not the deviation", norm("variance"), ("x",)),
    "bn-no-gamma": ("gamma missing", norm("no gamma"), ("x",)),
    "bn-dgamma-of-x": ("gradient of gamma without the normalized input", norm("dgamma of x"), ("gamma",)),
    "bn-dgamma-of-one-image": (
        "parameter's gradient not summed over all positions", norm("dgamma of one image"), ("gamma",)
    ),
    "bn-dbeta": ("gradient of beta times gamma or xhat", norm("dbeta times gamma"), ("beta",)),
    "convt-rotated": ("kernel rotated", spread("rotated"), ("x",)),
    "convt-stride": ("stride forgotten", spread("stride"), ("x", "weight")),
    "convt-crop": ("cropping forgotten", spread("crop"), ("x", "weight")),
    "convt-dw-rotated": ("weight gradient rotated", spread("dw rotated"), ("weight",)),
    "convt-last-row": ("last row of the kernel forgotten", spread("last row"), ("weight",)),
    "convt-bias": ("bias not summed", spread("bias"), ("bias",)),
    "convt-groups": ("groups mixed", spread("groups", groups=2), ("x", "weight")),
    "depthwise-not-rotated": ("kernel not rotated", on_maps(lambda: Depthwise("not rotated")), ("x",)),
    "depthwise-assigned": ("overlapping windows assigned, not added", on_maps(lambda: Depthwise("assigned")), ("x",)),
    "depthwise-dw-rotated": ("weight gradient rotated", on_maps(lambda: Depthwise("dw rotated")), ("kernel",)),
    "depthwise-next-channel": ("groups mixed", on_maps(lambda: Depthwise("next channel")), ("x",)),
    "add-one-branch": (
        "delta given to one branch only", two(lambda: turned(Add, lambda dy, xs: (dy, np.zeros_like(dy)))), ("x2",)
    ),
    "add-shared": (
        "delta divided among the branches", two(lambda: turned(Add, lambda dy, xs: (dy / 2, dy / 2))), ("x1", "x2")
    ),
    "residual-one-branch": ("delta given to one branch only", on_maps(lambda: Residual(True)), ("x",)),
    "residual-relu": (
        "delta given to one branch only",
        on_maps(
            lambda: Own(
                lambda x: np.maximum(x + np.tanh(x), 0), lambda dy, x: dy * (x > 0) * (1 - np.tanh(x) ** 2)
            )
        ),
        ("x",),
    ),
    "own-gate": (
        "delta of one factor missing",
        on_maps(lambda: Own(lambda x: x * gate_of(x), lambda dy, x: dy * gate_of(x))),
        ("x",),
    ),
    "concat-order": (
        "channels of another branch",
        two(lambda: turned(Concatenate, lambda dy, xs: (dy[..., -xs[0].shape[-1] :], dy[..., : xs[1].shape[-1]]))),
        ("x1", "x2"),
    ),
    "multiply-own": (
        "own input instead of the other one",
        two(lambda: turned(Multiply, lambda dy, xs: (dy * xs[0], dy * xs[1]))),
        ("x1", "x2"),
    ),
    "gate-missing": (
        "other factor missing",
        two(
            lambda: turned(Multiply, lambda dy, xs: (dy, (dy * xs[0]).sum((1, 2)))),
            lambda one: one[2:],
        ),
        ("x1",),
    ),
    "gate-mean": (
        "gate's gradient not summed over the map",
        two(
            lambda: turned(Multiply, lambda dy, xs: (dy * xs[1][:, None, None], (dy * xs[0]).mean((1, 2)))),
            lambda one: one[2:],
        ),
        ("x2",),
    ),
    "gap-undivided": (
        "mean of the global pool not divided", on_maps(lambda: WithShape(lambda x: x.mean((1, 2)), wide)), ("x",)
    ),
    "up-one-copy": (
        "only one copy's delta", on_maps(lambda: WithShape(repeated, lambda dy, x: dy[:, ::2, ::2])), ("x",)
    ),
    "up-mean": (
        "mean instead of sum over the copies",
        on_maps(lambda: WithShape(repeated, lambda dy, x: blocks(dy, x).mean((2, 4)))),
        ("x",),
    ),
    "up-order": (
        "copies in another order",
        on_maps(
            lambda: WithShape(
                repeated,
                lambda dy, x: dy.reshape(len(x), 2, x.shape[1], 2, x.shape[2], x.shape[3]).sum((1, 3)),
            )
        ),
        ("x",),
    ),
    "bilinear-nearest": (
        "gradient of nearest neighbors for bilinear interpolation",
        on_maps(lambda: WithShape(interpolated, lambda dy, x: blocks(dy, x).sum((2, 4)))),
        ("x",),
    ),
    "adaptive-undivided": (
        "mean of a window not divided",
        lambda generator: (WithShape(uneven, lambda dy, x: uneven_back(dy, x, divide=False)), ODD),
        ("x",),
    ),
}  # fmt: skip


RIGHT: dict[str, Callable[[Generator], tuple[Layer, Any]]] = {
    **{f"norm-{axes}": norm("", axes=axes) for axes in (BATCH, CHANNELS, PIXELS, IMAGE)},
    "norm-without-parameters": norm("", affine=False),
    "norm-tiny-eps": norm("", eps=1e-9),
    "norm-unbiased-both-ways": on_maps(lambda: RightForms("unbiased forward")),
    "norm-outside-both-ways": on_maps(lambda: RightForms("outside forward", eps=0.05)),
    "convt": spread(""),
    "convt-groups": spread("", groups=2, dilation=2),
    "depthwise": on_maps(Depthwise),
    "add": two(lambda: turned(Add, lambda dy, xs: (dy, dy))),
    "concat": two(lambda: turned(Concatenate, lambda dy, xs: tuple(np.split(dy, 2, axis=-1)))),
    "gate": two(
        lambda: turned(Multiply, lambda dy, xs: (dy * xs[1][:, None, None], (dy * xs[0]).sum((1, 2)))),
        lambda one: one[2:],
    ),
    "residual": on_maps(lambda: Residual(False)),
    "residual-relu": on_maps(
        lambda: Own(lambda x: np.maximum(x + np.tanh(x), 0), lambda dy, x: dy * (x > 0) * (2 - np.tanh(x) ** 2))
    ),
    "gap": on_maps(lambda: WithShape(lambda x: x.mean((1, 2)), lambda dy, x: wide(dy, x) / x[0, ..., 0].size)),
    "up": on_maps(lambda: WithShape(repeated, lambda dy, x: blocks(dy, x).sum((2, 4)))),
    "bilinear": on_maps(lambda: WithShape(interpolated, back_interpolated)),
    "adaptive": lambda generator: (WithShape(uneven, lambda dy, x: uneven_back(dy, x, divide=True)), ODD),
}


def mistakes(key: str, seed: int) -> dict[str, str]:
    """Plant one mistake into a layer of a drawn shape; return what was named, by array."""
    layer, shape = PLANTED[key][1](np.random.default_rng(seed))
    layer.name = "planted"
    return check(layer, shape, coordinates=12, directions=3, seed=seed).mistakes


@pytest.mark.parametrize("key", PLANTED)
def test_a_planted_mistake_is_called_by_its_name(key: str) -> None:
    name, _, arrays = PLANTED[key]
    found = mistakes(key, 5)
    assert set(found) == {f"planted.{array}" for array in arrays}
    assert {said.split(";")[0] for said in found.values()} == {name}


@pytest.mark.parametrize("key", RIGHT)
def test_right_layers_are_not_blamed(key: str) -> None:
    for seed in (2, 3):
        layer, shape = RIGHT[key](np.random.default_rng(seed))
        assert check(layer, shape, coordinates=12, directions=3, seed=seed).passed


def test_a_wrong_join_in_a_network_is_named_where_it_is() -> None:
    class OneBranch(Add):
        def backward(self, dy, saved, *, needs_dx=True):
            return (dy, np.zeros_like(dy)), {}

    model = network("4x4x2 > conv3x3:2:same bn relu ( conv1:2 + skip ) > gap > fc3")
    model.layers[4].__class__ = OneBranch
    report = check(model)
    assert list(report.mistakes) == ["add1.x2"]
    assert report.mistakes["add1.x2"].startswith("delta given to one branch only; each branch of a sum receives")


def test_batch_normalization_of_ones_own_by_inheritance() -> None:
    class Constants(BatchNorm2d):
        def backward(self, dy, saved, *, needs_dx=True):
            return super().backward(dy, saved._replace(of_batch=False), needs_dx=needs_dx)

    report = check(Constants(name="bn"), (4, 3, 2))
    assert report.mistakes["bn.x"].startswith("gradient through mean and variance missing")
    assert "in the formula: both means in dx = r * (g - mean(g)" in str(report)


def test_a_join_is_checked_with_the_shape_of_each_input() -> None:
    assert check(Multiply(), [(4, 3, 2), (2,)]).subject == "Multiply() on 4x3x2 and 2"
    assert check(Add(), (4, 3, 2)).passed
    with pytest.raises(
        ArgumentError, match=r"a layer has one input, a join \(derived from rot180.nn.Join\) at least two"
    ):
        check(BatchNorm2d(), [(4, 3, 2), (4, 3, 2)])


def main(count: int) -> int:
    """Plant each mistake into so many shapes; print those that get another name, and how many."""
    other = blamed = 0
    for key, (name, _, _) in PLANTED.items():
        for seed in range(count):
            found = mistakes(key, seed)
            if {said.split(";")[0] for said in found.values()} != {name}:
                other += 1
                print(f"{key}, seed {seed}: {found}")
    for key, draw in RIGHT.items():
        for seed in range(count):
            layer, shape = draw(np.random.default_rng(seed))
            if not (report := check(layer, shape, seed=seed)).passed:
                blamed += 1
                print(f"{key}, seed {seed}: {report}")
    print(f"{len(PLANTED) * count} planted, {other} with another name; {len(RIGHT) * count} right, {blamed} blamed")
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
