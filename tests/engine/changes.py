"""Whatever a user changes between two steps: both engines obey, or both refuse. As a script, many drawn networks.

python tests/engine/changes.py --count 300 --seed 0
"""

from __future__ import annotations

import argparse
import copy
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
from composite import Residual, Shared

from rot180.errors import Rot180Error
from rot180.nn import (
    AvgPool2d,
    Conv2d,
    CrossEntropyLoss,
    Dropout,
    Flatten,
    LeakyReLU,
    Linear,
    MaxPool2d,
    NoisyReLU,
    ReLU,
    Sequential,
    Sigmoid,
    SquaredErrorLoss,
    Tanh,
)
from rot180.training import SGD, Adam, AdamW, RMSprop, Trainer

REFUSED = (
    "name", "reshaped", "removed", "shared", "features", "channels", "groups", "kernel_size", "algorithm", "stride",
    "layers", "model", "padding", "dilation", "bias", "build float32",
)  # fmt: skip
"""Changes that are refused mostly, or that end the comparison in float64."""

Change = tuple[str, Callable[[Trainer], Any]]

TOLERANCE = 2e-7
"""Both run in float64, up to a change of type: float32 then."""


def draw_network(rng: np.random.Generator) -> Sequential:
    """Draw layers of every kind, with layers of one's own among them."""
    activation: list[Callable[[], Any]] = [
        ReLU, Sigmoid, Tanh, lambda: LeakyReLU(0.1), lambda: NoisyReLU(0.1), lambda: Dropout(0.3),
    ]  # fmt: skip
    blocks: list[Callable[[], list[Any]]] = [
        lambda: [Conv2d(int(rng.integers(2, 6)), 3, padding="same"), pick(activation)()],
        lambda: [Conv2d(4, 3, padding="same"), ReLU(), MaxPool2d(2)],
        lambda: [Conv2d(3, (2, 3), padding="same", dilation=2, bias=False), Tanh(), AvgPool2d(2)],
        lambda: [Residual(padding=1), pick(activation)()],
        lambda: [Shared()],
        lambda: [pick(activation)()],
    ]

    def pick(some: list[Any]) -> Any:
        return some[rng.integers(len(some))]

    layers = [layer for _ in range(rng.integers(1, 4)) for layer in pick(blocks)()]
    layers += [Flatten(), Linear(int(rng.integers(4, 9))), pick(activation)(), Linear(5)]
    return Sequential(layers, input_shape=(8, 8, int(rng.integers(1, 4)))).build(seed=3, dtype=np.float64)


def draw_trainers(rng: np.random.Generator) -> tuple[Trainer, Trainer]:
    """Make the same trainer for each engine."""
    optimizer = [
        SGD(0.05), SGD(0.05, momentum=0.9), SGD(0.05, momentum=0.8, nesterov=True), Adam(0.01, eps=1e-3),
        AdamW(0.01, eps=1e-3), RMSprop(0.005, eps=1e-2),
    ][rng.integers(6)]  # fmt: skip
    loss = [CrossEntropyLoss(), CrossEntropyLoss(0.1), SquaredErrorLoss()][rng.integers(3)]
    model = draw_network(rng)
    pair = [
        Trainer(copy.deepcopy(model), optimizer=copy.deepcopy(optimizer), loss=copy.deepcopy(loss), engine=engine)
        for engine in ("compiled", "numpy")
    ]
    return pair[0], pair[1]


def _set(of: Callable[[Trainer], Any], name: str, value: Any) -> Change:
    return name, lambda trainer: setattr(of(trainer), name, value)


def _put(of: Callable[[Trainer], Any], name: str, new: Callable[[Trainer], Any]) -> Callable[[Trainer], Any]:
    return lambda trainer: of(trainer).parameters.update({name: new(trainer)})


def changes(trainer: Trainer, rng: np.random.Generator) -> list[Change]:
    """Everything that can be changed in this trainer, lawful or not."""
    found: list[Change] = []
    value = float(rng.uniform(0.05, 0.6))
    for index, layer in enumerate(trainer.model.layers):

        def at(trainer: Trainer, index: int = index) -> Any:
            return trainer.model.layers[index]

        kind = type(layer).__name__
        found += [(f"{kind}.lr_factor", _set(at, "lr_factor", f)[1]) for f in (0.0, value, 2.0)]
        found.append((f"{kind}.name", lambda t, at=at: setattr(at(t), "name", "other")))
        for name in vars(layer):
            if name in ("name", "lr_factor", "parameters", "initializer", "_sub"):
                continue
            for new in (value, 0, 1, 2, (1, 2), (3, 3), "same", "valid", True, False, None, "nonsense"):
                found.append((f"{kind}.{name}", _set(at, name, new)[1]))
        for local, array in layer.parameters.items():
            drawn = rng.normal(size=array.shape) * 0.3
            for what, new in (
                ("replaced", lambda t, w=drawn: w.copy()),
                ("in float32", lambda t, w=drawn: np.float32(w)),
                ("reshaped", lambda t, w=drawn: w[:1]),
                ("shared", lambda t: next(iter(t.model.parameters.values()))),
            ):
                found.append((f"{kind}.{local} {what}", _put(at, local, new)))
            found.append(
                (f"{kind}.{local} in place", lambda t, of=at, n=local, w=drawn: np.copyto(of(t).parameters[n], w))
            )
            found.append((f"{kind}.{local} removed", lambda t, of=at, n=local: of(t).parameters.pop(n)))
    for name in trainer.optimizer.hyper():
        for new in (value, 0.0, 0.9, True, False, (value, 0.99), 2.0, -1, "nonsense"):
            if name == "eps" and new in (0.0, False):
                continue  # asks for the signs of gradients that are zero but for rounding
            found.append((f"{type(trainer.optimizer).__name__}.{name}", _set(lambda t: t.optimizer, name, new)[1]))
    found += [_set(lambda t: t.optimizer, "lr", f) for f in (0.0, 0.1 * value)]
    found.append(
        ("state", lambda t: [np.multiply(a, 0.5, out=a) for s in t.optimizer.state.values() for a in s.values()])
    )
    found.append(("state loaded", lambda t: t.optimizer.load_state(copy.deepcopy(t.optimizer.state_dict()))))
    found += [
        ("state replaced", lambda t: setattr(t.optimizer, "state", {})),
        ("state emptied", lambda t: t.optimizer.state.clear()),
        ("slots emptied", lambda t: [slot.clear() for slot in t.optimizer.state.values()]),
    ]
    weights = rng.uniform(0.1, 2, 5)
    found += [
        ("optimizer", lambda t: setattr(t, "optimizer", Adam(0.01, eps=1e-3))),
        ("loss", lambda t: setattr(t, "loss", CrossEntropyLoss(0.2))),
        ("loss", lambda t: setattr(t, "loss", "squared_error")),
        ("loss.class_weights", lambda t: setattr(t.loss, "class_weights", weights)),
        ("loss.class_weights", lambda t: setattr(t.loss, "class_weights", weights[:4])),
        ("build", lambda t: t.model.build(seed=9, dtype=np.float64)),
        ("build float32", lambda t: t.model.build(seed=9, dtype=np.float32)),
        ("layers", lambda t: setattr(t.model, "layers", t.model.layers[:-1])),
        ("model", lambda t: setattr(t, "model", t.model)),
        ("load_parameters", lambda t: t.model.load_parameters({n: 0.9 * w for n, w in t.model.parameters.items()})),
        ("generator", lambda t: t.generators.update(noise=np.random.default_rng(5))),
    ]
    return found


def _change(trainer: Trainer, seed: int, step: int, number: int) -> Any:
    """Make one of the changes, from this trainer's own objects."""
    return changes(trainer, np.random.default_rng([seed, step]))[number][1](trainer)


def _attempt(what: Callable[..., Any], *arguments: Any, **options: Any) -> tuple[Any, str]:
    try:
        return what(*arguments, **options), ""
    except (Rot180Error, AttributeError) as error:
        return None, f"{type(error).__name__}: {error}"


def compare_drawn(seed: int, steps: int = 6) -> list[str]:
    """Run one drawn network on both engines with a drawn change before each step; return what was changed.

    Raises
    ------
    AssertionError
        The engines differ in a loss, a parameter or a message.
    """
    rng = np.random.default_rng(seed)
    pair = draw_trainers(rng)
    done = []
    for step in range(steps):
        count = int(rng.choice([1, 3, 4]))
        shape = pair[0].model.input_shape
        images = rng.normal(size=(count, *shape)).astype(np.float32)
        labels = rng.integers(0, 5, count)
        name = ""
        if step:
            options = [name for name, _ in changes(pair[0], np.random.default_rng([seed, step]))]
            if rng.random() < 0.8:  # what is refused ends the comparison soon
                options = [name if not name.endswith(REFUSED) else "" for name in options]
            name = rng.choice(sorted({*options} - {""}))
            at = int(rng.choice([index for index, other in enumerate(options) if other == name]))
            messages = [_attempt(_change, trainer, seed, step, at)[1] for trainer in pair]
            assert messages[0] == messages[1], (seed, name, messages)
            if messages[0]:
                done.append(f"{name}: refused where it is set")
                continue
        update = bool(rng.random() < 0.8)
        results = [_attempt(trainer.run_batch, images, labels, update=update) for trainer in pair]
        assert results[0][1] == results[1][1], (seed, step, name, [error for _, error in results])
        if results[0][1]:
            done.append(f"{name}: refused by the next step")
            break
        done.append(f"{name or 'nothing'}: obeyed")
        single = pair[0].model.dtype == np.float32
        _assert_same(pair, [result.loss for result, _ in results], 1e-3 if single else TOLERANCE, (seed, step, name))
    return done


def _assert_same(pair: tuple[Trainer, Trainer], losses: list[float], tolerance: float, where: Any) -> None:
    assert abs(losses[0] - losses[1]) <= tolerance * max(1, abs(losses[1])), (where, losses)
    for trainer in pair:  # one engine allocates the state at the first batch, the other at the first update
        trainer.engine.prepare(trainer.optimizer)
    fast, plain = ({**t.model.parameters, **t.optimizer.state_dict()} for t in pair)
    assert fast.keys() == plain.keys(), (where, fast.keys() ^ plain.keys())
    for key, array in plain.items():
        assert fast[key].dtype == array.dtype, (where, key)
        error = float(np.abs(fast[key] - array).max(initial=0))
        assert error <= tolerance * max(1.0, float(np.abs(array).max(initial=0))), (where, key, error)
    for trainer in pair:
        for layer in trainer.model.layers:
            if isinstance(layer, Residual):
                assert layer.parameters["first.weight"] is layer.first.parameters["weight"], (where, layer.name)


def main() -> int:
    """Compare many and print what was tried."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    told: Counter[str] = Counter()
    for seed in range(asked.seed, asked.seed + asked.count):
        told.update(compare_drawn(seed))
    for what, times in sorted(told.items()):
        print(f"{times:5} {what}")
    print(f"{asked.count} networks, {sum(told.values())} steps: the engines agree")
    return 0


if __name__ == "__main__":
    sys.exit(main())
