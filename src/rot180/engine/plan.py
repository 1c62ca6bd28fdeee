"""From a network and a batch size to the steps that run it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rot180.engine.feature_map import NO_PADDING, FeatureMap, Sides
from rot180.engine.fusing import stages_of
from rot180.engine.gating import copy_step, relu_backward_step
from rot180.engine.losing import BatchLoss
from rot180.engine.stage import Context, Stage
from rot180.engine.step import Step, root_of
from rot180.kernels.memory import Account
from rot180.language import pad, translate
from rot180.nn.sequential import Sequential


@dataclass(frozen=True)
class Plan:
    """Buffers and steps for batches of one size."""

    x: FeatureMap
    """Buffer for the images."""
    y: FeatureMap
    """Buffer of the outputs."""
    dy: FeatureMap | None
    """Buffer for the gradient of the outputs; None in a plan for inference."""
    forward: list[Step]
    backward: list[Step]
    loss: BatchLoss | None = None
    """Computes dy from outputs and labels."""

    def run_forward(self) -> None:
        """Compute y from x."""
        for step in self.forward:
            step.call(*step.arguments)

    def run_backward(self) -> None:
        """Compute the gradients from dy."""
        for step in self.backward:
            step.call(*step.arguments)

    @property
    def batch_size(self) -> int:
        """Images per batch."""
        return len(self.x.array)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of all steps for one image, counted densely even where only winners are visited."""
        return sum(step.multiply_adds for step in (*self.forward, *self.backward)) // self.batch_size

    @property
    def buffers(self) -> int:
        """The number of memory blocks that the steps work on."""
        return len(self._memory())

    @property
    def bytes(self) -> int:
        """Total size of the buffers: feature maps, deltas, packed weights, parameters, gradients, optimizer state."""
        return sum(self._memory().values())

    def _memory(self) -> dict[int, int]:
        roots = [root_of(array) for step in (*self.forward, *self.backward) for array in step.arrays]
        return {id(root): root.nbytes for root in roots}

    def to_dict(self) -> dict[str, Any]:
        """Return everything as numbers, texts and lists, ready for JSON.

        Each step lists the shapes of its arrays and, in the same order, the numbers of the buffers that hold them: two
        steps with the same number share memory.
        """
        number = {root: index for index, root in enumerate(self._memory())}

        def described(step: Step) -> dict[str, Any]:
            return {**step.to_dict(), "buffers": [number[id(root_of(array))] for array in step.arrays]}

        return {
            "batch_size": self.batch_size,
            "dtype": self.x.array.dtype.name,
            "forward": [described(step) for step in self.forward],
            "backward": [described(step) for step in self.backward],
            "buffers": self.buffers,
            "bytes": self.bytes,
            "multiply_adds_per_image": self.multiply_adds,
            "multiply_adds": sum(step.multiply_adds for step in (*self.forward, *self.backward)),
            "bytes_touched": sum(step.bytes for step in (*self.forward, *self.backward)),
        }

    def __str__(self) -> str:
        """Return one line per step, 80 columns wide: layers, operation, multiply-adds and bytes touched, for a batch.

        The numbers are exact integers, so that the last line is the sum of those above it.
        """
        rule = "-" * 80
        images = f"{self.batch_size} images" if self.batch_size > 1 else "one image"
        lines = [f"per batch of {images}, {self.x.array.dtype}", ""]
        lines += [_line("layers", "step", "multiply-adds", "bytes touched"), rule]
        steps = (*self.forward, *self.backward)
        for direction, some in (("forward", self.forward), ("backward", self.backward)):
            if some:
                lines.append(f"{direction}:")
            for step in some:
                macs = f"{step.multiply_adds:,}" if step.multiply_adds else ""
                lines.append(_line(step.layers, step.does, macs, f"{step.bytes:,}"))
        products, touched = sum(step.multiply_adds for step in steps), sum(step.bytes for step in steps)
        lines += [rule, _line("total", f"{len(steps)} steps", f"{products:,}", f"{touched:,}"), ""]
        per_image = f"{self.multiply_adds:,} multiply-adds per image"
        return "\n".join([*lines, f"{self.buffers} buffers, {self.bytes:,} bytes in all; {per_image}"])


def _line(layers: str, does: str, multiply_adds: str, touched: str) -> str:
    layers = layers if len(layers) <= 19 else layers[:18] + "…"
    left = f"{pad(translate(layers), 19)} {pad(translate(does), 28)}"
    right = (pad(translate(cell), 15, right=True) for cell in (multiply_adds, touched))
    return " ".join([left, *right]).rstrip()


def make_plan(
    model: Sequential,
    count: int,
    *,
    training: bool,
    threads: int,
    loss: BatchLoss | None = None,
    gradients: dict[str, np.ndarray[Any, Any]] | None = None,
    generator: dict[str, np.random.Generator | None] | None = None,
    updates: dict[str, tuple[Any, ...]] | None = None,
    account: Account,
) -> Plan:
    """Make the plan for batches of `count` images.

    Parameters
    ----------
    training : bool
        Whether to include backward steps, dropout and noise.
    gradients : dict of full name to array
        The arrays to write gradients to.
    generator : dict
        `noise` is read in each step.
    updates : dict of full name to (parameter, state, state, rule, hyper-parameters)
        Parameters that are updated as soon as their gradient is computed, without storing it.
    account : Account
        Accounts for the buffers.

    Raises
    ------
    TooLargeError
        The buffers would need more memory than is available; the message names the layers.
    ArgumentError, ShapeError
        A layer was changed and no longer fits the shapes that the network was built with.
    """
    model.look()
    context = Context(
        count, model.dtype, training, threads, gradients or {}, generator or {"noise": None}, updates or {}
    )
    stages = stages_of(model)
    account.owner = f"the input of {stages[0].names}"
    _forbid_overwriting(stages)
    steps: list[Step] = []
    first = here = context.new_map(model.input_shape, _padding(stages, 0))
    for index, stage in enumerate(stages):
        account.owner = stage.names
        if stage.in_place:
            there = here
        elif stage.moves_nothing:
            there = here.reshaped(stage.output_shape)
        else:
            there = context.new_map(stage.output_shape, _padding(stages, index + 1))
        steps += stage.forward(context, here, there)
        here = there
    if not training:
        return Plan(first, here, None, steps, [])
    backward, last = _backward(context, stages, account)
    return Plan(first, here, last, steps, backward, loss)


def _forbid_overwriting(stages: list[Stage]) -> None:
    """Prevent stages from working in place on an output that is still needed."""
    kept = False
    for stage in stages:
        stage.in_place = stage.in_place and not kept
        kept = stage.keeps_output or (kept and stage.moves_nothing)


def _padding(stages: list[Stage], index: int) -> Sides:
    """Return the padding that the first stage that moves anything needs around its input."""
    for stage in stages[index:]:
        if not stage.in_place:
            return stage.padding
    return NO_PADDING


def _backward(context: Context, stages: list[Stage], account: Account) -> tuple[list[Step], FeatureMap]:
    steps: list[Step] = []
    learning = [index for index, stage in enumerate(stages) if any(layer.parameters for layer in stage.layers)]
    lowest = learning[0] if learning else len(stages)
    wanted: FeatureMap | None = stages[-1].delta(context)
    first = delta = wanted
    gated = False
    for index in range(len(stages) - 1, lowest - 1, -1):
        stage, gate = stages[index], stages[index].gate()
        account.owner = stage.names
        if delta is None or wanted is None:
            raise TypeError(f"{stage.names}: the stage above made no delta")
        if gate is not None and not gated:
            steps.append(relu_backward_step(stage.names, delta, gate, wanted))
            delta = wanted
        elif delta is not wanted and stage.insists:
            steps.append(copy_step(stage.names, "move delta", delta, wanted))
            delta = wanted
        below = stages[index - 1] if index > lowest else None
        wanted = below.delta(context) if below else None
        made, delta, gated = stage.backward(context, delta, wanted, below.gate() if below else None)
        steps += made
    if first is None:
        raise TypeError("a network has a last stage")
    return steps, first
