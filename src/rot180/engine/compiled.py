"""The compiled engine: plans of kernels, made for a network and a batch size and run step by step."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Iterator
from typing import Any

import numpy as np

from rot180.engine.batch_loss import BatchLoss, tasks_of
from rot180.engine.governor import Governor
from rot180.engine.halts import Halt, Mean
from rot180.engine.interface import StepResult, Updater
from rot180.engine.model_lock import ModelLock
from rot180.engine.plan import Plan
from rot180.engine.planning import make_plan
from rot180.engine.stage import WholeBatch
from rot180.engine.threads import most_threads
from rot180.engine.updates import Updates
from rot180.errors import ShapeError
from rot180.kernels.ahead import task_of
from rot180.kernels.finite import FiniteTest, look
from rot180.kernels.memory import accounting
from rot180.memory import require
from rot180.nn.arena import Arena
from rot180.nn.hyper import changes
from rot180.nn.loss import Loss
from rot180.nn.network import Network
from rot180.ops.types import Array

KEPT_PLANS = 4
"""The number of batch sizes whose buffers are kept, unless an engine's `kept_plans` says otherwise."""


class CompiledEngine:
    """Run a network on the compiled kernels.

    The parameters stay where they are. The optimizer's state is moved into aligned memory when the first step begins;
    it remains available, and up to date, as `optimizer.state`. Changes that a user makes between two steps take effect:
    a plan is used only as long as the network is the one it was made for. Threads that share a model take turns.

    Parameters
    ----------
    model : Network
        A built network.
    loss : Loss
        Applied to the network's outputs.
    """

    name = "compiled"

    def __init__(self, model: Network, loss: Loss) -> None:
        self.model, self.loss, self.kept_plans = model, loss, KEPT_PLANS
        self._generator: dict[str, np.random.Generator | None] = {"noise": None}
        self._whole = WholeBatch()
        self._lock = ModelLock(model)
        self._governor = Governor(most_threads())
        self._updates = Updates(model)
        self._optimizer: Updater | None = None
        self._made_for: object = None
        self._seen: object = None
        self._plans: dict[tuple[int, str], Plan] = {}
        self._gradients: Arena | None = None
        self._stored: Array | None = None
        self._sums: Arena | None = None
        self._summed = 0
        self._finite_test: tuple[Array, FiniteTest] | None = None
        self._look()

    def __reduce__(self) -> tuple[Any, ...]:
        """A copied or unpickled engine makes new plans: copied buffers would no longer be views of one another."""
        waiting = dict(self._sums.items()) if self._sums is not None and self._summed else {}
        return type(self), (self.model, self.loss), (self._summed, waiting)

    def __setstate__(self, state: tuple[int, dict[str, Array]]) -> None:
        self._summed, waiting = state
        if waiting:
            self._sums = self._updates.new_arena()
            for name, array in waiting.items():
                np.copyto(self._sums[name], array)

    def _look(self) -> None:
        """Check whether the network is still the one the plans were made for, and start over if it is not."""
        made_for = self.model.look()
        if made_for is not self._made_for:
            self._plans.clear()
            self._seen = None
            if self._updates.begin(self._summed):
                self._gradients = self._stored = self._sums = self._optimizer = self._finite_test = None
            self._made_for = made_for
        if changes.latest is not self._seen:
            self._seen = changes.latest
            self._updates.group()

    def _hold(self, optimizer: Updater) -> None:
        """Take the optimizer whose updates are made from now on."""
        self._optimizer = optimizer
        if self._updates.hold(optimizer):
            self._plans.clear()

    def train_step(
        self,
        images: Array,
        target: Array,
        optimizer: Updater,
        generator: np.random.Generator | None = None,
        *,
        update: bool = True,
        sample_weights: Array | None = None,
    ) -> StepResult:
        """Run the forward and backward passes of one batch; with `update`, also update the parameters.

        If the loss or the images are not finite, nothing is changed (a tanh may hide such images from the loss).
        Gradients are checked when all are complete; the weight of a fully connected layer has been updated by then,
        from finite images and a finite loss.
        """
        images = self._accept(images)
        with self._lock, self._governor.running((len(images), update)):
            return self._train_step(images, target, optimizer, generator, update, sample_weights)

    def _train_step(
        self,
        images: Array,
        target: Array,
        optimizer: Updater,
        generator: np.random.Generator | None,
        update: bool,
        sample_weights: Array | None = None,
    ) -> StepResult:
        self._look()
        self._hold(optimizer)
        fuse = update and self._summed == 0 and self._updates.can_fuse(optimizer)
        plan = self._begin("fused" if fuse else "kept", len(images), generator)
        plan.run_forward(images)
        result = self._measure(plan, target, sample_weights)
        if not result.finite or (fuse and not plan.incoming.is_finite):
            return result._replace(finite=False)
        if fuse:
            self._updates.next_step(optimizer)
        plan.run_backward()
        if not self._is_finite(self._stored_gradients() if fuse else self._gradient.flat):
            return result._replace(finite=False)
        plan.learn()
        if fuse:
            self._updates.apply(self._gradient, fused=True)
        else:
            self._collect(len(images), optimizer, update)
        return result

    def form(
        self,
        images: Array,
        target: Array,
        generator: np.random.Generator | None = None,
        *,
        sample_weights: Array | None = None,
        whole: int | None = None,
        least: int | None = None,
    ) -> Generator[Halt, None, StepResult]:
        """Run the forward and backward passes of a part of a batch, as `Engine.form` describes it."""
        images = self._accept(images)
        kind = "kept" if whole is None else "synchronized"
        with self._lock, self._governor.running((len(images), "form")):
            self._look()
            plan, gradient = self._begin(kind, len(images), generator), self._gradient
            self._whole.images = whole or len(images)
            yield from self._halting(plan.pass_forward(images))
            result = self._measure(plan, target, sample_weights)
            share = np.array([float(result.finite)])
            if whole is not None:  # passes stay in step: none goes on if one does not
                yield from self._halting([Mean(share)])
            if share[0] == 1:
                yield from self._halting(plan.pass_backward(gradient, least))
                result = result._replace(finite=self._is_finite(gradient.flat))
            else:
                gradient.flat[:] = 0
                yield from self._halting(plan.pass_over(gradient, least))
            if share[0] == 1 and result.finite:
                plan.learn()
        return result

    def _halting(self, halts: Iterable[Halt]) -> Iterator[Halt]:
        for halt in halts:
            with self._governor.away():
                yield halt

    def compile(self, count: int, *, synchronized: bool = False) -> None:
        """Compile what `form` needs for so many images, and for the update."""
        with self._lock:
            self._look()
            self._plan(count, "synchronized" if synchronized else "kept")

    def _accept(self, images: Array) -> Array:
        images = self.model.accept(images)
        if len(images) == 0:
            raise ShapeError("a training step needs at least one image; the batch is empty")
        return images

    def _begin(self, kind: str, count: int, generator: np.random.Generator | None) -> Plan:
        """Return the plan of a training step of so many images, ready to run."""
        self.model.require_writeable()
        self._generator["noise"] = generator
        return self._plan(count, kind)

    def _measure(self, plan: Plan, target: Array, sample_weights: Array | None) -> StepResult:
        """Return loss and correct count after a forward pass, and prepare the backward pass."""
        if plan.dy is None or plan.loss is None:
            raise TypeError("a plan for training has a loss")
        axes = 1 + len(self.model.output_shape)
        result = plan.loss(self.loss, plan.y.batch(axes), target, plan.dy.batch(axes), sample_weights)
        return result._replace(finite=math.isfinite(result.loss))

    def apply(self, gradients: Array, count: int, optimizer: Updater, *, update: bool = True) -> None:
        """Take the mean gradient of `count` images, flat as `form` leaves it, as that of a batch."""
        with self._lock:
            self._look()
            self._hold(optimizer)
            np.copyto(self._gradient.flat, gradients)
            self._collect(count, optimizer, update)

    @property
    def gradient(self) -> Array:
        """The gradients of the latest batch in one flat array."""
        return self._gradient.flat

    @property
    def _gradient(self) -> Arena:
        """The gradients of the latest batch, as far as no kernel has consumed them."""
        if self._gradients is None:
            self._gradients = self._updates.new_arena()
        return self._gradients

    def forward(self, images: Array, *, softmax: bool = False, steady: bool = False) -> Array:
        """Return what `Engine.forward` describes; `steady` makes a plan of its own for a single image."""
        kind = "steady" if steady and len(images) == 1 else "inference"
        images = self.model.accept(images)
        if len(images) == 0:
            return np.empty((0, *self.model.output_shape), self.model.dtype)
        with self._lock, self._governor.running((len(images), kind)):
            self._look()
            plan = self._plan(len(images), kind)
            plan.run_forward(images)
            require(plan.y.rows.nbytes, self.model.layers[-1].name)
            if softmax:
                plan.softmax.alone()
            return plan.y.batch(1 + len(self.model.output_shape)).copy()

    def prepare(self, optimizer: Updater) -> None:
        """Allocate the optimizer's state in its final place."""
        with self._lock:
            self._look()
            self._hold(optimizer)

    def plan(self, batch_size: int, optimizer: Updater | None = None, *, training: bool = True) -> Plan:
        """Return the plan of a training step, or of inference, for inspection: `print(engine.plan(32))`.

        Without an optimizer, the one of the steps so far is assumed, or one that stores all gradients.
        """
        with self._lock:
            self._look()
            if optimizer is not None:
                self._hold(optimizer)
            fused = self._updates.can_fuse(self._optimizer)
            return self._plan(batch_size, ("fused" if fused else "kept") if training else "inference")

    def _plan(self, count: int, kind: str) -> Plan:
        plan = self._plans.pop((count, kind), None)
        if plan is None:
            while len(self._plans) >= self.kept_plans:
                self._plans.pop(next(iter(self._plans)))
            plan = self._make_plan(count, kind)
        self._plans[count, kind] = plan  # the most recently used comes last
        return plan

    def _make_plan(self, count: int, kind: str) -> Plan:
        threads = most_threads()
        with accounting() as account:
            if kind in ("inference", "steady"):
                return make_plan(
                    self.model, count, training=False, threads=threads, account=account, steady=kind == "steady"
                )
            account.owner = "the gradient of the network"
            gradients = dict(self._gradient.items())
            return make_plan(
                self.model,
                count,
                training=True,
                loss=BatchLoss(count),
                threads=threads,
                gradients=gradients,
                generator=self._generator,
                updates=self._updates.of_fused() if kind == "fused" else {},
                whole=self._whole if kind == "synchronized" else None,
                account=account,
                also=self._tasks(),
            )

    def _tasks(self) -> list[str]:
        """Return what a training step compiles apart from its plan."""
        flat = np.zeros(1, self.model.dtype)
        return [
            *tasks_of(self.loss, flat.dtype),
            task_of(look, FiniteTest.arguments(flat, np.zeros(1, np.int64))),
            *self._updates.tasks(),
        ]

    def _is_finite(self, gradients: Array) -> bool:
        """Return whether all gradients are finite: nearly always they are where they were in the step before."""
        if self._finite_test is None or self._finite_test[0] is not gradients:
            self._finite_test = gradients, FiniteTest(gradients)
        return self._finite_test[1]()

    def _stored_gradients(self) -> Array:
        """Return the gradients that no kernel consumes at once."""
        if self._stored is None:
            stored = self._updates.stored
            self._stored = self._gradient.part(stored) if stored else self._gradient.flat[:0]
        return self._stored

    def _collect(self, count: int, optimizer: Updater, finish: bool) -> None:
        """Add the batch's gradients, weighted by images, to the pending sum; with `finish`, update with the mean."""
        if finish and not self._summed:
            self._updates.apply_all(optimizer, self._gradient)
            return
        if self._sums is None:
            self._sums = self._updates.new_arena()
        # Each gradient is a mean over its batch; weighted by images, the means combine into that of one large batch.
        self._gradient.flat *= count
        self._sums.flat += self._gradient.flat
        self._summed += count
        if not finish:
            return
        self._sums.flat /= self._summed
        self._updates.apply_all(optimizer, self._sums)
        self._sums.flat[:] = 0
        self._summed = 0
