"""Layers and operations drawn at their limits, all their arrays between forbidden pages.

    .venv/bin/python tests/kernels/guard_pages.py --count 2000 --seed 0

Each case is refused with an error of this package, by NumPy and by the compiled code alike, or computed, and then both
agree. Reading or writing outside an array ends the process, or shows as a NaN; the last line printed tells the case.
"""

from __future__ import annotations

import argparse
import copy
import faulthandler
import os
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).parent))  # also where this is run as a script

import numpy as np
from guarded_memory import GuardedMemory, guard_aligned

import rot180.memory
from rot180 import ops
from rot180.errors import ArgumentError, Rot180Error, TooLargeError

LIMITS = (0, -1, 255, 2**15, 2**16 + 1, 2**24 + 1, 2**31 - 1, 2**31, 2**32 + 1, 2**62, 2**63 - 1, 2**63, 2**64, 10**30)
ODD: tuple[Any, ...] = (True, 1.5, None, "2", np.int8(3), np.uint64(2**63), (1, 2, 3), ())
MEMORY = 1 << 26
"""Bytes that there are, as far as the code under test is told."""
SLOW = 2_000
"""Taps of a window over which NumPy would take too long; the compiled code runs alone."""

Draw = np.random.Generator


def whole(rng: Draw, usual: int) -> Any:
    """A small number; now and then one at a limit, or no number."""
    kind = rng.random()
    if kind < 0.97:
        return int(rng.integers(1, usual + 1))
    return LIMITS[rng.integers(len(LIMITS))] if kind < 0.995 else ODD[rng.integers(len(ODD))]


def pair(rng: Draw, usual: int) -> Any:
    """One number for both axes, or two."""
    return whole(rng, usual) if rng.random() < 0.4 else (whole(rng, usual), whole(rng, usual))


def padding(rng: Draw, usual: int) -> Any:
    """All forms of padding."""
    form = rng.integers(5)
    if form < 2:
        return ("valid", "same")[form]
    numbers = [
        n - 1 if isinstance(n, int) and 0 < n <= usual + 1 else n for n in (whole(rng, usual + 1) for _ in "abcd")
    ]
    return (numbers[0], (numbers[0], numbers[1]), ((numbers[0], numbers[1]), (numbers[2], numbers[3])))[form - 2]


def image_shape(rng: Draw) -> tuple[int, int, int]:
    """Small and odd sides, few channels or more than a register holds."""
    sides = (1, 2, 3, 5, 7, 8, 12, 17, 23)
    return (*(int(rng.choice(sides)) for _ in "hw"), int(rng.choice((1, 2, 3, 4, 8, 9, 16, 17, 33))))  # type: ignore[return-value]


def a_convolution(rng: Draw, channels: int) -> Any:
    if rng.random() < 0.2:
        filters, taps = int(rng.integers(1, 40)), int(rng.choice((3, 5)))
        return rot180.Conv2d(filters, taps, padding=padding(rng, 5), algorithm="winograd")
    if rng.random() < 0.1:  # in tiles, too, where they cover the outputs
        s, taps = int(rng.integers(2, 5)), int(rng.integers(3, 6))
        return rot180.Conv2d(
            int(rng.integers(16, 40)), s * taps - int(rng.integers(s)), stride=s, padding=padding(rng, 9)
        )
    groups = int(rng.choice((1, 1, 1, channels, 2)))
    return rot180.Conv2d(
        whole(rng, 3) if rng.random() < 0.05 else groups * int(rng.integers(1, 20)),
        pair(rng, 4),
        stride=pair(rng, 3),
        padding=padding(rng, 3),
        dilation=pair(rng, 2),
        groups=groups if rng.random() < 0.95 else whole(rng, 3),
        bias=bool(rng.random() < 0.8),
    )


def an_inverted_residual(rng: Draw) -> list[Any]:
    """Convolutions that run as one in inference."""
    filters = int(rng.choice((1, 16, 33, 70)))
    deep = rot180.Conv2d(
        filters, pair(rng, 4), stride=pair(rng, 3), padding=padding(rng, 3), dilation=pair(rng, 2), groups=filters
    )
    narrow = rot180.Conv2d(int(rng.choice((9, 24, 40))), 1)
    return [rot180.Conv2d(filters, 1), rot180.nn.BatchNorm2d(), rot180.ReLU6(), deep, rot180.ReLU(), narrow]


def a_pooling(rng: Draw) -> Any:
    stride = None if rng.random() < 0.5 else pair(rng, 4)
    if rng.random() < 0.5:
        return rot180.MaxPool2d(pair(rng, 4), stride=stride, padding=padding(rng, 3))
    counts = bool(rng.random() < 0.5)
    return rot180.AvgPool2d(pair(rng, 4), stride=stride, padding=padding(rng, 3), count_include_pad=counts)


def a_join(rng: Draw) -> Any:
    """Branches that fit any map, or a change of its size."""
    nn = rot180.nn
    joins = (
        nn.Add([nn.Tanh()], [], [nn.ReLU()]),
        nn.Concatenate([nn.Conv2d(int(rng.integers(1, 9)), 3, padding="same")], []),
        nn.Multiply([], [nn.Sigmoid()]),
        nn.Add([], []),
        nn.Add([nn.BatchNorm2d(), nn.SiLU()], []),
        nn.Multiply([], [nn.GlobalAvgPool2d(), nn.Sigmoid()]),
        nn.Upsample(2, mode=("nearest", "bilinear")[rng.integers(2)]),
        nn.AdaptiveAvgPool2d(int(rng.integers(1, 6))),
    )
    return joins[rng.integers(len(joins))]


def some_layers(rng: Draw, channels: int) -> list[Any]:
    """A convolution or a pooling, with what the engine runs together with it."""
    activations: tuple[Any, ...] = (
        rot180.ReLU, rot180.Sigmoid, rot180.Tanh, rot180.LeakyReLU, rot180.NoisyReLU, rot180.Softmax, rot180.ReLU6,
        rot180.SiLU, rot180.Hardswish, rot180.GELU, rot180.ELU, rot180.PReLU,
    )  # fmt: skip
    layers: list[Any] = []
    for _ in range(rng.integers(1, 4)):
        kind = rng.random()
        if kind < 0.05:
            layers += an_inverted_residual(rng)
        elif kind < 0.5:
            layers.append(a_convolution(rng, channels if not layers else 1))
        elif kind < 0.8:
            layers.append(a_pooling(rng))
        elif kind < 0.85:
            layers.append(rot180.Dropout(float(rng.random() * 0.9)))
        else:
            layers.append(a_join(rng))
        if rng.random() < 0.3:
            norms = (rot180.nn.BatchNorm2d, rot180.nn.BatchNorm2d, rot180.nn.InstanceNorm2d, rot180.nn.LayerNorm)
            layers.append(norms[rng.integers(len(norms))]())
        if rng.random() < 0.6:
            layers.append(activations[rng.integers(len(activations))]())
    layers.append(rot180.Flatten())
    for _ in range(rng.integers(0, 3)):
        layers.append(rot180.Linear(whole(rng, 40), bias=bool(rng.random() < 0.8)))
        if rng.random() < 0.5:
            layers.append(activations[rng.integers(4)]())
    return layers


def change(rng: Draw, model: Any) -> None:
    """Change a layer behind the network's back."""
    layer = model.layers[rng.integers(len(model.layers))]
    if layer.parameters and rng.random() < 0.3:
        name = list(layer.parameters)[rng.integers(len(layer.parameters))]
        layer.parameters[name] = np.zeros(tuple(rng.integers(1, 3, layer.parameters[name].ndim)), model.dtype)
    for name, value in (("kernel_size", 4), ("stride", 3), ("padding", 3), ("dilation", 2)):
        if hasattr(layer, name) and rng.random() < 0.5:
            setattr(layer, name, (int(rng.integers(1, value + 1)), int(rng.integers(1, value + 1))))
    if hasattr(layer, "out_features"):
        layer.out_features = int(rng.integers(1, 50))


def networks(rng: Draw, guarded: GuardedMemory) -> str:
    """Inference or training steps of a network, on both engines."""
    for more in reversed(range(4)):  # most that is drawn does not fit
        shape, dtype = image_shape(rng), (np.float32, np.float64)[rng.integers(2)]
        try:
            model = rot180.Sequential(some_layers(rng, shape[2]), input_shape=shape).build(seed=1, dtype=dtype)
            break
        except ArgumentError:
            if not more:
                raise
    print(repr(model), flush=True)
    for name, array in model.parameters.items():
        # Of windows over nothing but zeros, rounding would decide which pass a ReLU.
        if name.endswith("bias"):
            array[...] = rng.normal(size=array.shape) * 0.1
    if max(np.prod(getattr(layer, "kernel_size", 1)) for layer in model.layers) > SLOW:
        compiled_alone(model, rng)
        return "computed by the compiled code alone"
    changed = rng.random() < 0.1
    if changed:
        change(rng, model)
    count = int(rng.choice((1, 2, 3, 5, 16, 33)))
    x = rng.normal(size=(count, *shape)).astype(dtype)
    classes = int(np.prod(model.output_shape))
    labels = rng.integers(0, classes, count)
    training = rng.random() < 0.6
    optimizer = (rot180.SGD, rot180.Adam, rot180.AdamW, rot180.RMSprop)[rng.integers(4)]
    momentum = {"momentum": 0.9} if optimizer is rot180.SGD and rng.random() < 0.5 else {}
    update = [bool(rng.random() < 0.8) for _ in range(2)]

    def run(name: str) -> list[np.ndarray]:
        mine = copy.deepcopy(model)
        engine = make_engine(name, mine, CrossEntropyLoss())
        found = [engine.forward(x), engine.forward(x, softmax=True)]
        if training:
            rule, generator = optimizer(lr=1e-3, **momentum), np.random.default_rng(5)
            for now in update:
                result = engine.train_step(x, labels, rule, generator, update=now)
                found.append(np.array([result.loss]))
            if optimizer not in (rot180.Adam, rot180.AdamW, rot180.RMSprop):  # these divide by tiny gradients
                found += list(mine.parameters.values())
        return found

    compare(run, changed, 3e-3 if dtype == np.float32 else 1e-8)
    return "trained" if training else "inferred"


def compiled_alone(model: Any, rng: Draw) -> None:
    x = rng.normal(size=(2, *model.input_shape)).astype(model.dtype)
    engine = make_engine("compiled", model, CrossEntropyLoss())
    engine.forward(x)
    engine.train_step(x, np.zeros(2, int), rot180.SGD(lr=1e-3), np.random.default_rng(5))


def compare(run: Callable[[str], Any], may_differ: bool, tolerance: float) -> None:
    """Run both; they refuse alike, or agree."""
    found: dict[str, Any] = {}
    for name in ("numpy", "compiled"):
        try:
            found[name] = run(name)
        except Rot180Error as error:
            found[name] = error
        except (TypeError, ValueError):
            if not may_differ or name == "compiled":  # NumPy itself says that something does not fit
                raise
            found[name] = None
    ours, reference = found["compiled"], found["numpy"]
    refused = [isinstance(value, Rot180Error) for value in (ours, reference)]
    if may_differ and (any(refused) or reference is None):
        return
    for value in (ours, reference):
        if isinstance(value, TooLargeError):  # they do not need the same
            raise value
    assert refused[0] == refused[1], f"compiled: {ours!r}"[:2000] + f"; NumPy: {reference!r}"[:2000]
    if refused[0]:
        raise ours
    for mine, theirs in zip(ours, reference, strict=True):
        assert (mine.shape, mine.dtype) == (theirs.shape, theirs.dtype)
        scale = max(1.0, float(np.abs(theirs).max(initial=0))) if np.isfinite(theirs).all() else 1.0
        np.testing.assert_allclose(mine, theirs, rtol=tolerance, atol=tolerance * scale)


def odd_array(rng: Draw, guarded: GuardedMemory, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An array in a guarded piece, or one that does not lie as kernels like it."""
    array = rng.normal(size=shape).astype(dtype)
    kind = rng.random()
    if kind < 0.7:
        return guarded.copy(array)
    if kind < 0.8:
        return guarded.copy(array[..., ::-1])[..., ::-1]
    if kind < 0.85:
        array.flags.writeable = False
        return array
    if kind < 0.9:
        return np.asfortranarray(array)
    if kind < 0.95:  # misaligned
        raw = np.zeros(array.nbytes + 1, np.uint8)
        raw[1:] = np.ascontiguousarray(array).view(np.uint8).reshape(-1)
        return raw[1:].view(dtype).reshape(shape)
    return array.astype((">f4", np.int32, np.float16, ">f8")[rng.integers(4)])


def twins(rng: Draw, guarded: GuardedMemory) -> str:
    """A public twin against its operation."""
    dtype = (np.float32, np.float64)[rng.integers(2)]
    count, (height, width, channels) = int(rng.choice((0, 1, 2, 5))), image_shape(rng)
    shape: tuple[int, ...] = (count, height, width, channels)
    if rng.random() < 0.03:
        shape = shape[: rng.integers(1, 4)]
    array = lambda size: odd_array(rng, guarded, size, dtype)  # noqa: E731
    family = ("conv2d", "max_pool2d", "avg_pool2d", "linear", "softmax", "elementwise", "loss", "update", "deep")[
        rng.integers(9)
    ]
    name, arguments, options = family, [array(shape)], {}
    backward = rng.random() < 0.5
    if family == "conv2d":
        groups = int(rng.choice((1, 1, channels)))
        filters = groups * int(rng.integers(1, 20))
        kernel = tuple(int(n) for n in rng.integers(1, 5, 2))
        arguments.append(array((*kernel, max(1, channels // groups), filters)))
        options = {"stride": pair(rng, 3), "padding": padding(rng, 3), "dilation": pair(rng, 2), "groups": groups}
        if rng.random() < 0.3:
            taps = int(rng.choice((3, 5)))
            arguments[1] = array((taps, taps, channels, filters))
            options = {"padding": padding(rng, 5), "algorithm": "winograd"}
        if backward:
            y = ops.conv2d(*[np.ascontiguousarray(a) for a in arguments], **options)
            name, arguments = "conv2d_backward", [array(y.shape), *arguments]
        elif rng.random() < 0.5:
            arguments.append(array((filters,)))
    elif family in ("max_pool2d", "avg_pool2d"):
        kernel = pair(rng, 4)
        options = {"stride": None if rng.random() < 0.3 else pair(rng, 4), "padding": padding(rng, 3)}
        if np.iterable(kernel) and len(kernel) == 2 and all(type(k) is int and 0 < k for k in kernel):
            if np.prod([float(k) for k in kernel]) > SLOW:
                kernel = 2
        elif type(kernel) is int and kernel > 40:
            kernel = 2
        arguments.append(kernel)
        if backward:
            made = getattr(ops, family)(np.ascontiguousarray(arguments[0]), kernel, **options)
            if family == "max_pool2d":
                winners = rng.integers(-5, 70000, made[1].shape).astype(np.int32) if rng.random() < 0.3 else made[1]
                name, arguments = "max_pool2d_backward", [array(winners.shape), guarded.copy(winners), shape, kernel]
            else:
                name, arguments = "avg_pool2d_backward", [array(made.shape), shape, kernel]
    elif family == "deep":
        name, arguments, options = deep(rng, array, guarded, shape, dtype)
    elif family == "linear":
        inputs, outputs = (int(rng.choice((1, 2, 7, 16, 33, 130))) for _ in "io")
        arguments = [array((count, inputs)), array((inputs, outputs))]
        name, arguments = ("linear_backward", [array((count, outputs)), *arguments]) if backward else (name, arguments)
    elif family == "softmax":
        name = ("softmax", "log_softmax")[rng.integers(2)]
        options = {"axis": int(rng.integers(-1, len(shape)))}
        if backward:
            name, arguments = f"{name}_backward", [array(shape), array(shape)]
    elif family == "elementwise":
        name = ("relu", "leaky_relu", "sigmoid", "tanh", "noisy_relu", "dropout")[rng.integers(6)]
        if backward:
            name += "_backward"
        if backward or name in ("noisy_relu", "dropout"):
            arguments.append(array(shape))
    elif family == "loss":
        classes = int(rng.choice((1, 2, 10, 33)))
        name = ("cross_entropy", "squared_error")[rng.integers(2)] + ("_backward" if backward else "")
        labels = rng.integers(-1 if rng.random() < 0.1 else 0, classes + (rng.random() < 0.1), count)
        target = labels if rng.random() < 0.5 else np.abs(rng.dirichlet(np.ones(classes), count)).astype(dtype)
        arguments = [array((count, classes)), guarded.copy(target)]
    else:
        name, options = ("sgd_update", {"lr": 0.1}) if backward else ("adam_update", {"lr": 0.1, "step": 1})
        if backward and rng.random() < 0.5:
            name, options = "ema_update", {"decay": 0.9}
        states = 1 if backward else 3
        base = [rng.normal(size=shape[:2]).astype(dtype) for _ in range(states)] + [np.ones(shape[:2], dtype)]

        def updated(where: str) -> list[np.ndarray]:
            mine = [guarded.copy(a) for a in base]
            getattr(kernels if where == "compiled" else ops, name)(*(mine[:2] if backward else mine), **options)
            return mine

        print(name, [a.shape for a in base], options, flush=True)
        compare(updated, False, 1e-4)
        return "a twin"
    print(name, [a.shape if hasattr(a, "shape") else a for a in arguments], options, flush=True)

    def run(where: str) -> list[np.ndarray]:
        made = getattr(kernels if where == "compiled" else ops, name)(*arguments, **options)
        made = made if isinstance(made, tuple) else (made,)
        return [np.asarray(a) for a in made if a is not None]

    floats = arguments[:1] if name == "max_pool2d_backward" else arguments  # then come the places of maxima
    strange = any(a.dtype not in (dtype, int) for a in floats if hasattr(a, "dtype"))
    compare(run, strange, 1e-3 if dtype == np.float32 else 1e-9)
    return "a twin"


def deep(
    rng: Draw, array: Any, guarded: GuardedMemory, shape: tuple[int, ...], dtype: Any
) -> tuple[str, list[Any], dict[str, Any]]:
    """An operation of deeper networks."""
    x, vector = array(shape), shape[-1:]
    parameter = lambda: guarded.copy(rng.uniform(0.5, 2, vector).astype(dtype))  # noqa: E731
    gate = array((shape[0], shape[-1]))
    kinds = (
        "activation",
        "batch_norm",
        "group_norm",
        "layer_norm",
        "prelu",
        "concatenate",
        "multiply",
        "resize",
        "pool",
        "across",
    )
    kind = kinds[rng.integers(len(kinds))]
    backward = rng.random() < 0.5
    if kind == "activation":
        name = ("relu6", "hard_sigmoid", "hard_swish", "elu", "silu", "gelu")[rng.integers(6)]
        return (f"{name}_backward", [x, array(shape)], {}) if backward else (name, [x], {})
    if kind == "batch_norm":
        parameters = [parameter(), parameter()]
        if backward:
            return "batch_norm_backward", [array(shape), x, parameter(), *parameters], {}
        return ("batch_norm", [x, *parameters], {}) if rng.random() < 0.5 else (
            "batch_norm_inference", [x, *parameters, *parameters], {}
        )  # fmt: skip
    if kind in ("group_norm", "layer_norm"):
        groups = [int(rng.choice((1, shape[-1])))] if kind == "group_norm" else []
        if backward:
            return f"{kind}_backward", [array(shape), x, parameter(), *groups], {}
        return kind, [x, parameter(), parameter(), *groups], {}
    if kind == "prelu":
        slope = parameter()[:1] if rng.random() < 0.3 else parameter()
        return ("prelu_backward", [array(shape), x, slope], {}) if backward else ("prelu", [x, slope], {})
    if kind == "concatenate":
        more = int(rng.integers(1, 20))
        if backward:
            return "concatenate_backward", [x, (shape[-1] // 2, shape[-1] - shape[-1] // 2)], {}
        return ("add", [x, array(shape)], {}) if rng.random() < 0.3 else (
            "concatenate", [x, array((*shape[:-1], more))], {}
        )  # fmt: skip
    if kind == "across":
        if rng.random() < 0.3:
            return "channel_shuffle", [x, int(rng.choice((1, shape[-1])))], {}
        if rng.random() < 0.3:
            start = int(rng.integers(0, shape[-1]))
            return "channel_slice", [x, int(rng.integers(1, shape[-1] - start + 1)), start], {}
        size = int(rng.integers(0, 7))
        return ("local_response_norm_backward", [array(shape), x, size], {}) if backward else (
            "local_response_norm", [x, size], {}
        )  # fmt: skip
    if kind == "multiply":
        return ("multiply_backward", [array(shape), x, gate], {}) if backward else ("multiply", [x, gate], {})
    if kind == "resize":
        size, mode = (int(rng.integers(1, 20)), int(rng.integers(1, 20))), ("nearest", "bilinear")[rng.integers(2)]
        if rng.random() < 0.3:
            delta = array((shape[0], *size, shape[-1]))
            return ("adaptive_avg_pool2d_backward", [delta, shape], {}) if backward else (
                "adaptive_avg_pool2d", [x, size], {}
            )  # fmt: skip
        delta = array((shape[0], *size, shape[-1]))
        return ("resize2d_backward", [delta, shape, mode], {}) if backward else ("resize2d", [x, size, mode], {})
    if rng.random() < 0.5:
        return ("global_avg_pool2d_backward", [gate, shape], {}) if backward else ("global_avg_pool2d", [x], {})
    return "global_max_pool2d", [x], {}


def main(count: int, seed: int, first: int = 0) -> Counter[str]:
    """Run the cases; return how many ended in which way."""
    tally: Counter[str] = Counter()
    guarded = GuardedMemory(np.random.default_rng(seed))
    load(guarded)
    with guarded.replacing_numpy():
        for index in range(first, first + count):
            rng = np.random.default_rng([seed, index])
            print(f"{index}: ", end="", flush=True)
            try:
                ended = (networks if rng.random() < 0.6 else twins)(rng, guarded)
            except Rot180Error as error:
                ended = f"refused: {type(error).__name__}"
                print("    ", error, flush=True)
            guarded.check()
            tally[ended] += 1
    return tally


def load(guarded: GuardedMemory) -> None:
    """Import what is compiled, with its buffers guarded."""
    guard_aligned(guarded)
    global kernels, make_engine, CrossEntropyLoss, rot180
    import numpy.ma  # noqa: F401 - wants the functions of NumPy as they are

    import rot180.kernels.memory
    from rot180 import kernels
    from rot180.engine import compiled, lifetimes, make_engine  # noqa: F401
    from rot180.nn.loss import CrossEntropyLoss

    # Each buffer of a plan gets memory of its own, whose ends are guarded.
    mock.patch.object(lifetimes._Group, "admits", return_value=False).start()
    for place in (rot180.memory, rot180.kernels.memory):
        mock.patch.object(place, "available_memory", return_value=MEMORY).start()
    rot180.memory.SMALL = 1 << 20


if __name__ == "__main__":
    faulthandler.enable()
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    if hasattr(os, "sched_getaffinity"):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number of the first case")
    options = parser.parse_args()
    for ended, times in sorted(main(options.count, options.seed, options.first).items()):
        print(f"{times:6} {ended}")
