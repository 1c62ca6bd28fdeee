"""Both engines on the same network, parameters and batches: what they must agree in."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rot180.engine import make_engine
from rot180.engine.plan import Plan
from rot180.engine.planning import make_plan
from rot180.nn import network
from rot180.nn.loss import CrossEntropyLoss, Loss
from rot180.nn.sequential import Sequential
from rot180.training import SGD, Optimizer

TOLERANCE = {"float32": 1e-4, "float64": 1e-10}
"""Of the largest value of an array, against the reference in float64."""


@dataclass
class Outcome:
    """What some steps led to."""

    model: Sequential
    optimizer: Optimizer
    losses: list[float] = field(default_factory=list)
    correct: list[int] = field(default_factory=list)

    @property
    def arrays(self) -> dict[str, Any]:
        """Parameters, statistics and optimizer state by name."""
        state = {f"{slot} of {name}": a for slot, by in self.optimizer.state.items() for name, a in by.items()}
        return {**self.model.parameters, **self.model.statistics, **state}


def momentum() -> Optimizer:
    """Its velocity is the gradient after one step."""
    return SGD(lr=0.01, momentum=0.9)


def built(text: str, dtype: Any, seed: int = 0) -> Sequential:
    """Build with the weights that float32 has, so that both types start alike."""
    single = network(text).build(seed=seed, dtype=np.float32)
    if np.dtype(dtype) == np.float32:
        return single
    model = network(text).build(seed=seed, dtype=dtype)
    model.load_parameters(single.parameters)
    return model


def batches(model: Sequential, counts: Iterable[int], seed: int = 1) -> list[tuple[np.ndarray, np.ndarray]]:
    """Images and labels, the same for both types."""
    rng = np.random.default_rng(seed)
    return [
        (
            rng.normal(size=(n, *model.input_shape)).astype(np.float32).astype(model.dtype),
            rng.integers(0, model.output_shape[-1], n),
        )
        for n in counts
    ]


def passed(text: str, count: int, dtype: Any = np.float32, threads: int = 2) -> tuple[Plan, dict[str, np.ndarray]]:
    """Run the passes of a plan, compiled for so many threads, with drawn deltas; return it and the gradients."""
    model = built(text, dtype)
    found = {name: np.full_like(array, np.nan) for name, array in model.parameters.items()}
    plan = make_plan(model, count, training=True, threads=threads, gradients=found)
    ((images, _),) = batches(model, [count])
    plan.x.batch(4)[...] = images
    plan.run_forward()
    plan.dy.inside[...] = np.random.default_rng(2).normal(size=plan.dy.inside.shape)
    plan.run_backward()
    return plan, found


def train(
    engine: str,
    text: str,
    counts: Iterable[int],
    *,
    dtype: Any = np.float32,
    loss: Loss | None = None,
    optimizer: Callable[[], Optimizer] = momentum,
    update: Callable[[int], bool] = lambda step: True,
    target: Callable[[np.ndarray, int], np.ndarray] = lambda labels, classes: labels,
) -> Outcome:
    """Run a step for each batch size in `counts`."""
    model = built(text, dtype)
    runner = make_engine(engine, model, loss or CrossEntropyLoss())
    outcome = Outcome(model, optimizer())
    generator = np.random.default_rng(7)
    for step, (images, labels) in enumerate(batches(model, counts)):
        wanted = target(labels, model.output_shape[0])
        result = runner.train_step(images, wanted, outcome.optimizer, generator, update=update(step))
        assert result.finite
        outcome.losses.append(result.loss)
        outcome.correct.append(result.correct)
    return outcome


def assert_agree(found: Outcome, expected: Outcome, tolerance: float) -> None:
    """Compare losses, parameters and optimizer state, each with its own largest value."""
    np.testing.assert_allclose(found.losses, expected.losses, rtol=tolerance)
    assert found.optimizer.step_count == expected.optimizer.step_count
    assert found.arrays.keys() == expected.arrays.keys()
    for name, array in expected.arrays.items():
        assert_close(found.arrays[name], array, tolerance, name)


def assert_close(found: np.ndarray, expected: np.ndarray, tolerance: float, name: str = "") -> None:
    """Compare with the largest expected value. What is zero is a sum of others, of which it has the rounding."""
    largest = float(np.abs(expected).max(initial=0))
    scale = max(largest, 1e-3) if largest > 1e-12 else 1e-2
    error = float(np.abs(found.astype(np.float64) - expected).max(initial=0)) / scale
    assert error <= tolerance, f"{name}: off by {error:.1e} of its largest value"


def compare(
    text: str,
    counts: Iterable[int] = (3, 3),
    dtype: Any = np.float32,
    tolerance: float | None = None,
    **options: Any,
) -> None:
    """Compare the compiled engine with the reference; where noise is drawn, both draw it in the same type."""
    counts = list(counts)
    same = any(word in text for word in ("noisyrelu", "dropout", "droppath"))
    tolerance = tolerance or TOLERANCE[np.dtype(dtype).name]
    expected = train("numpy", text, counts, dtype=dtype if same else np.float64, **options)
    assert_agree(train("compiled", text, counts, dtype=dtype, **options), expected, tolerance)
