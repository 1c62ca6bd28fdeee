"""Chains keep their bits: each named one against its training written out, operation by operation.

A digest of the weights would hold for one processor and one BLAS only. On every machine, however, the NumPy engine runs
exactly the operations below, in their order and from the same draws, and the compiled engine the same up to rounding.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rot180
from rot180 import ops
from rot180.nn.initializer import glorot_uniform, he_uniform
from rot180.training import SGD, Adam, Trainer
from rot180.training.recipe import RECIPES
from rot180.training.streams import stream

STEPS, BATCH, SEED = 5, 8, 0
CHAINS = [name for name in RECIPES if "bn" not in rot180.MODELS[name].split()]
NOISY = "9x9x2 > conv3x3:4:same noisyrelu dropout0.3 avgpool3 > conv2x2:5 leakyrelu > fc6 dropout0.2 tanh > fc4"
Weights = dict[str, np.ndarray]
Back = Callable[[np.ndarray, bool], tuple[np.ndarray | None, Weights]]


def words_of(notation: str) -> list[str]:
    """Return the layers' words, with the flattening ahead of the first fully connected layer."""
    words = notation.replace(">", "").split()[1:]
    first = next(place for place, word in enumerate(words) if word.startswith("fc"))
    return [*words[:first], "flatten", *words[first:]]


def draw(words: list[str], x_shape: tuple[int, ...]) -> Weights:
    """Each layer draws from a generator of its place; a ReLU that follows asks for he_uniform."""
    weights: Weights = {}
    x = np.zeros((1, *x_shape), np.float32)
    for place, word in enumerate(words):
        if match := re.match(r"conv(\d)x\d:(\d+)|fc(\d+)", word):
            kernel, filters, units = match.groups()
            w_shape = (x.shape[1], int(units)) if units else (int(kernel), int(kernel), x.shape[3], int(filters))
            fan_in, fan_out = int(np.prod(w_shape[:-1])), int(np.prod(w_shape[:-2])) * w_shape[-1]
            behind = (word for word in words[place + 1 :] if "pool" not in word and "dropout" not in word)
            spread = he_uniform if next(behind, "").endswith("relu") else glorot_uniform
            generator = np.random.default_rng(np.random.SeedSequence(SEED, spawn_key=(place,)))
            weights[f"{place}.w"] = spread(w_shape, fan_in, fan_out, generator).astype(np.float32)
            weights[f"{place}.b"] = np.zeros(w_shape[-1], np.float32)
        x = run(place, word, x, weights, np.random.default_rng(0))[0]
    return weights


def run(
    place: int, word: str, x: np.ndarray, weights: Weights, generator: np.random.Generator
) -> tuple[np.ndarray, Back]:
    """Return a layer's output, and the function from dy, and whether dx is needed, to dx and the gradients."""
    w, b = weights.get(f"{place}.w"), weights.get(f"{place}.b")

    def learned(dx: Any, dw: Any, db: Any) -> tuple[np.ndarray | None, Weights]:
        return dx, {f"{place}.w": dw, f"{place}.b": db}

    def needs(wanted: bool) -> tuple[str, ...]:
        return ("x", "w", "b") if wanted else ("w", "b")

    size = int(word[-1]) if "pool" in word else 0
    if word.startswith("conv"):
        padding = "same" if "same" in word else "valid"
        y = ops.conv2d(x, w, b, padding=padding)
        return y, lambda dy, wanted: learned(*ops.conv2d_backward(dy, x, w, padding=padding, needs=needs(wanted)))
    if word.startswith("fc"):
        return ops.linear(x, w, b), lambda dy, wanted: learned(*ops.linear_backward(dy, x, w, needs=needs(wanted)))
    if word.startswith("maxpool"):
        y, winners = ops.max_pool2d(x, size)
        return y, lambda dy, _: (ops.max_pool2d_backward(dy, winners, x.shape, size), {})
    if word.startswith("avgpool"):
        return ops.avg_pool2d(x, size), lambda dy, _: (ops.avg_pool2d_backward(dy, x.shape, size), {})
    if word.startswith("dropout"):
        mask = ops.dropout_mask(x.shape, float(word.removeprefix("dropout")), generator)
        return ops.dropout(x, mask), lambda dy, _: (ops.dropout_backward(dy, mask), {})
    if word == "flatten":
        return x.reshape(len(x), -1), lambda dy, _: (dy.reshape(x.shape), {})
    if word == "noisyrelu":
        y = ops.noisy_relu(x, generator.standard_normal(x.shape, dtype=np.float32) * np.float32(0.1))
        return y, lambda dy, _: (ops.noisy_relu_backward(dy, y), {})
    if word == "leakyrelu":
        return ops.leaky_relu(x, 0.01), lambda dy, _: (ops.leaky_relu_backward(dy, x, 0.01), {})
    forward, backward = {"relu": (ops.relu, ops.relu_backward), "tanh": (ops.tanh, ops.tanh_backward)}[word]
    y = forward(x)
    return y, lambda dy, _: (backward(dy, y), {})


def train(notation: str, batches: list[tuple[np.ndarray, np.ndarray]], rule: str) -> list[np.ndarray]:
    """Return the weights after one update for each batch."""
    words = words_of(notation)
    weights = draw(words, batches[0][0].shape[1:])
    first, second = ({name: np.zeros_like(w) for name, w in weights.items()} for _ in range(2))
    generator = stream(SEED, "noise")
    for step, (x, labels) in enumerate(batches, 1):
        backs = []
        for place, word in enumerate(words):
            x, back = run(place, word, x, weights, generator)
            backs.append(back)
        delta = ops.cross_entropy_backward(ops.cross_entropy(x, labels)[1], labels)
        gradients: Weights = {}
        for place in reversed(range(len(words))):
            delta, own = backs[place](delta, place > 0)
            gradients.update(own)
        for name, dw in gradients.items():
            if rule == "adam":
                ops.adam_update(weights[name], dw, first[name], second[name], step=step, lr=1e-3)
            else:
                ops.sgd_update(weights[name], dw, first[name], lr=0.05, momentum=0.9)
    return list(weights.values())


@pytest.mark.parametrize(("engine", "rule"), [("numpy", "adam"), ("compiled", "sgd")])
@pytest.mark.parametrize("notation", [*(rot180.MODELS[name] for name in CHAINS), NOISY], ids=[*CHAINS, "noisy"])
def test_training_is_what_is_written_out(notation: str, engine: str, rule: str) -> None:
    model = rot180.network(notation).build(seed=SEED)
    generator = np.random.default_rng(1)
    batches = [
        (
            generator.integers(0, 256, (BATCH, *model.input_shape), np.uint8),
            generator.integers(0, model.output_shape[0], BATCH),
        )
        for _ in range(STEPS)
    ]
    optimizer = Adam(1e-3) if rule == "adam" else SGD(0.05, momentum=0.9)
    trainer = Trainer(model, optimizer=optimizer, engine=engine, seed=SEED)
    for images, labels in batches:
        trainer.step(images, labels)
    expected = train(notation, [(model.preprocessing(x, dtype=np.float32), labels) for x, labels in batches], rule)
    assert len(model.parameters) == len(expected)
    for (name, w), wanted in zip(model.parameters.items(), expected, strict=True):
        if engine == "numpy":
            assert w.tobytes() == wanted.tobytes(), name
        else:
            np.testing.assert_allclose(w, wanted, rtol=0, atol=1e-4 * np.abs(wanted).max(), err_msg=name)
