"""A plan: the steps that run a network on batches of one size, and the buffers that they work on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from rot180.cached import cached_property
from rot180.engine.batch_loss import BatchLoss
from rot180.engine.halts import Halt, cuts
from rot180.engine.step import Step, root_of
from rot180.kernels.feature_map import FeatureMap
from rot180.kernels.incoming import Incoming
from rot180.kernels.launching import Kernel, Launch
from rot180.kernels.softmax_rows import softmax_rows
from rot180.language import pad, translate
from rot180.nn.arena import Arena
from rot180.ops.types import Array

Run = Callable[[], Halt | None]
"""Makes some steps, and returns where the pass halts after them, if it does."""


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
    learners: tuple[Callable[[], None], ...] = ()
    """What updates the statistics of layers, once for each accepted batch."""
    completed: tuple[tuple[int, list[str]], ...] = ()
    """After how many backward steps the gradients of which parameters are complete."""

    def run_forward(self, images: Array | None = None) -> None:
        """Compute y from images of the plan's shape and type; without them, from what is in x."""
        for _ in self.pass_forward(images):
            pass

    def run_backward(self) -> None:
        """Compute the gradients from dy."""
        for run in self._backward_runs:
            run()

    def pass_forward(self, images: Array | None = None) -> Iterator[Halt]:
        """Compute y together with other parts of the batch."""
        if images is not None:
            self.incoming.offer(images)
        try:
            for run in self._forward_runs:
                if (halt := run()) is not None:
                    yield halt
        finally:
            self.incoming.withdraw()

    def pass_backward(self, gradients: Arena, least: int | None) -> Iterator[Halt]:
        """Compute the gradients from dy together with other parts of the batch; see `rot180.engine.halts.cuts`."""
        if least not in self._cuts:
            done, self._cuts[least] = 0, []
            for steps, end in cuts(self.completed, gradients, least):
                self._cuts[least].append((_runs(self.backward[done:steps]), end))
                done = steps
        for runs, at_end in self._cuts[least]:
            for run in runs:
                if (halt := run()) is not None:
                    yield halt
            yield at_end

    def pass_over(self, gradients: Arena, least: int | None) -> Iterator[Halt]:
        """Halt as `pass_backward` does where gradients are complete, without a pass."""
        for _, end in cuts(self.completed, gradients, least):
            yield end

    @cached_property
    def _cuts(self) -> dict[int | None, list[tuple[list[Run], Halt]]]:
        return {}

    @cached_property
    def _forward_runs(self) -> list[Run]:
        return _runs([Step("", "", *self.incoming.call), *self.forward])

    @cached_property
    def _backward_runs(self) -> list[Run]:
        return _runs(self.backward)

    @cached_property
    def incoming(self) -> Incoming:
        """Copies the images that a pass is given into x, and knows whether the last ones were finite."""
        return Incoming(self.x)

    @cached_property
    def softmax(self) -> Launch:
        """Replace y by its softmax."""
        return Launch([(softmax_rows, (self.y.rows, self.y.rows))])

    def learn(self) -> None:
        """Update the statistics of layers with those of the batch."""
        for learn in self.learners:
            learn()

    @property
    def batch_size(self) -> int:
        """Images per batch."""
        return len(self.x.array)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of all steps for one image, counted densely even where only winners are visited."""
        return sum(step.multiply_adds for step in (*self.forward, *self.backward)) // self.batch_size

    @property
    def multiply_adds_made(self) -> int:
        """Those that are made for one image: fewer, if steps of minimal filtering are among them."""
        return sum(step.multiply_adds_made for step in (*self.forward, *self.backward)) // self.batch_size

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
            "multiply_adds_made_per_image": self.multiply_adds_made,
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
        lines.append(f"{self.buffers} buffers, {self.bytes:,} bytes in all; {per_image}")
        if self.multiply_adds_made < self.multiply_adds:
            lines.append(f"steps in tiles (minimal filtering) make fewer: {self.multiply_adds_made:,} per image in all")
        return "\n".join(lines)


def _runs(steps: list[Step]) -> list[Run]:
    """Return calls that make all steps: kernels that follow one another are launched together."""
    runs: list[Run] = []
    kernels: list[tuple[Kernel, tuple[Any, ...]]] = []
    for step in steps:
        if isinstance(step.call, Kernel):
            kernels.append((step.call, step.arguments))
            continue
        if kernels:
            runs.append(Launch(kernels))
        kernels = []
        runs.append(step.prepared())
    return [*runs, Launch(kernels)] if kernels else runs


def _line(layers: str, does: str, multiply_adds: str, touched: str) -> str:
    layers = layers if len(layers) <= 19 else layers[:18] + "…"
    left = f"{pad(translate(layers), 19)} {pad(translate(does), 28)}"
    right = (pad(translate(cell), 15, right=True) for cell in (multiply_adds, touched))
    return " ".join([left, *right]).rstrip()
