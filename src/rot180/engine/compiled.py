"""The compiled engine: plans of kernels, made for a network and a batch size and run step by step."""

from __future__ import annotations

import math
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from numba import config

from rot180.engine.batch_loss import BatchLoss, tasks_of
from rot180.engine.governor import Governor
from rot180.engine.interface import StepResult, Updater
from rot180.engine.model_lock import ModelLock
from rot180.engine.orthogonal import OrthogonalSteps
from rot180.engine.plan import Plan
from rot180.engine.planning import make_plan
from rot180.engine.threads import most_threads
from rot180.engine.update_rule import KERNEL_SLOTS, NO_RULE, clip, kernel_rule
from rot180.errors import ShapeError
from rot180.kernels.ahead import task_of
from rot180.kernels.averaging import ema
from rot180.kernels.call import Call
from rot180.kernels.finite import all_finite
from rot180.kernels.launching import Launch
from rot180.kernels.memory import accounting
from rot180.kernels.softmax_rows import softmax_rows
from rot180.kernels.update import SGD, hyper_parameters, update
from rot180.memory import require
from rot180.nn.arena import Arena
from rot180.nn.contract import is_own
from rot180.nn.hyper import changes
from rot180.nn.linear import Linear
from rot180.nn.loss import Loss
from rot180.nn.network import Network
from rot180.ops.types import Array

KEPT_PLANS = 4
"""The number of batch sizes whose buffers are kept, unless an engine's `kept_plans` says otherwise."""


class _Group(NamedTuple):
    """Parameters that are updated with the same numbers."""

    factor: float
    decays: bool
    rule: int


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
        self._optimizer: Updater | None = None
        self._held_state: dict[str, dict[str, Array]] | None = None
        self._given: tuple[str, dict[str, Any]] = "", {}
        self._rule, self._keywords = kernel_rule(*self._given)
        self._generator: dict[str, np.random.Generator | None] = {"noise": None}
        self._lock = ModelLock(model)
        self._governor = Governor(most_threads())
        self._decays_all = True
        self._orthogonal = OrthogonalSteps({}, model.dtype)
        self._made_for: object = None
        self._seen: object = None
        self._plans: dict[tuple[int, str], Plan] = {}
        self._states: dict[str, Arena] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._fused: list[str] = []
        self._fused_hyper: dict[str, Array] = {}
        self._loose: list[str] = []
        self._own_values = Arena({}, model.dtype)
        self._gradients: Arena | None = None
        self._sums: Arena | None = None
        self._summed = 0
        self._look()

    def __reduce__(self) -> tuple[Any, ...]:
        """A copied or unpickled engine makes new plans: copied buffers would no longer be views of one another."""
        waiting = dict(self._sums.items()) if self._sums is not None and self._summed else {}
        return type(self), (self.model, self.loss), (self._summed, waiting)

    def __setstate__(self, state: tuple[int, dict[str, Array]]) -> None:
        self._summed, waiting = state
        if waiting:
            self._sums = self._new_arena()
            for name, array in waiting.items():
                np.copyto(self._sums[name], array)

    def _look(self) -> None:
        """Check whether the network is still the one the plans were made for, and start over if it is not."""
        made_for = self.model.look()
        if made_for is not self._made_for:
            self._begin()
            self._made_for = made_for
        if changes.latest is not self._seen:
            self._seen = changes.latest
            self._group_parameters()

    def _forget_views(self) -> None:
        """Drop what was looked up once for all steps: which stretches of which arrays an update takes."""
        self._updates: Launch | None = None
        self._stored: Array | None = None

    def _begin(self) -> None:
        """Prepare for the network as it is now, dropping what was kept for parameters of other shapes or types."""
        layers, arena, dtype = self.model.layers, self.model.arena, self.model.dtype
        self._plans.clear()
        self._forget_views()
        self._seen = None
        self._own = {
            f"{layer.name}.{local}": array
            for layer in layers
            if is_own(layer)
            for local, array in layer.parameters.items()
        }
        # If the parameters of built-in layers are adjacent in memory, so are their gradients and the optimizer's state.
        shapes = {name: array.shape for name, array in (*self._own.items(), *arena.items())}
        if self._shapes == shapes and self._own_values.flat.dtype == dtype:
            return
        if self._summed:
            raise ShapeError(
                f"the gradients of {self._summed} images await an update, but the network was rebuilt; "
                f"finish the update first, or create a new trainer"
            )
        self._shapes = shapes
        self._fused = [f"{layer.name}.weight" for layer in layers if type(layer) is Linear]
        self._fused_hyper = {name: np.zeros(9) for name in self._fused}
        self._loose = [name for name, _ in arena.items() if name not in self._fused]
        self._own_values = Arena({name: shapes[name] for name in self._own}, dtype)
        self._gradients = self._sums = self._optimizer = None

    def _group_parameters(self) -> None:
        """Find out which parameters are updated with the same numbers: learning rate and weight decay."""
        self._forget_views()
        self._factors = self.model.lr_factors
        self._groups = {
            name: _Group(
                factor,
                self._decays_all or len(self._shapes[name]) > 1,
                SGD if name in self._orthogonal.shapes else self._rule,
            )
            for name, factor in self._factors.items()
        }
        self._hyper = {group: np.zeros(9) for group in self._groups.values()}
        self._runs = [
            (group, list(names))
            for some in (self._own, self._loose)
            for group, names in groupby(some, key=self._groups.__getitem__)
        ]

    def _new_arena(self) -> Arena:
        return Arena(self._shapes, self.model.dtype)

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
        images = self.model.accept(images)
        if len(images) == 0:
            raise ShapeError("a training step needs at least one image; the batch is empty")
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
        self.model.require_writeable()
        self._hold_state(optimizer)
        # To clip the gradient, all of it must be known before anything is updated.
        fuse = update and self._summed == 0 and self._rule != NO_RULE and optimizer.clip_norm is None
        plan = self._plan(len(images), "fused" if fuse else "kept")
        result = self._pass(plan, images, target, generator, sample_weights)
        if not math.isfinite(result.loss) or (fuse and not all_finite(plan.x.array.reshape(-1))):
            return result._replace(finite=False)
        if fuse:
            self._next_step(optimizer)
        plan.run_backward()
        if not all_finite(self._formed_gradients(fuse)):
            return result._replace(finite=False)
        plan.learn()
        if fuse and self._gradients is not None:
            if self._updates is None:
                self._updates = self._stored_updates(self._gradients)
            self._update_stored(self._gradients, self._updates)
        else:
            self._collect(len(images), optimizer, update)
        return result

    def _pass(
        self,
        plan: Plan,
        images: Array,
        target: Array,
        generator: np.random.Generator | None,
        sample_weights: Array | None,
    ) -> StepResult:
        """Run the forward pass and the loss, which leaves the gradient of the outputs in the plan."""
        self._generator["noise"] = generator
        plan.x.batch(images.ndim)[...] = images
        plan.run_forward()
        if plan.dy is None or plan.loss is None:
            raise TypeError("a plan for training has a loss")
        axes = 1 + len(self.model.output_shape)
        return plan.loss(self.loss, plan.y.batch(axes), target, plan.dy.batch(axes), sample_weights)

    def form(
        self,
        images: Array,
        target: Array,
        generator: np.random.Generator | None = None,
        *,
        sample_weights: Array | None = None,
    ) -> tuple[StepResult, Array]:
        """Run the forward and backward passes of one batch; return the result, and the gradients in one flat array.

        The array is valid until the next batch. Statistics have learned the batch; nothing else is changed.
        """
        images = self.model.accept(images)
        if len(images) == 0:
            raise ShapeError("a training step needs at least one image; the batch is empty")
        with self._lock, self._governor.running((len(images), "form")):
            self._look()
            self.model.require_writeable()
            plan = self._plan(len(images), "kept")
            result = self._pass(plan, images, target, generator, sample_weights)
            if not math.isfinite(result.loss):
                return result._replace(finite=False), self._formed_gradients(fuse=False)
            plan.run_backward()
            formed = self._formed_gradients(fuse=False)
            if not all_finite(formed):
                return result._replace(finite=False), formed
            plan.learn()
            return result, formed

    def apply(self, gradients: Array, count: int, optimizer: Updater, *, update: bool = True) -> None:
        """Take the mean gradient of `count` images, flat as `form` returns it, as that of a batch."""
        with self._lock:
            self._look()
            self._hold_state(optimizer)
            if self._gradients is None:
                self._gradients = self._new_arena()
            np.copyto(self._gradients.flat, gradients)
            self._collect(count, optimizer, update)

    @property
    def gradient_size(self) -> int:
        """The length of the flat array that `form` returns and `apply` takes."""
        with self._lock:
            self._look()
            return self._new_arena().flat.size if self._gradients is None else self._gradients.flat.size

    def forward(self, images: Array, *, softmax: bool = False, steady: bool = False) -> Array:
        """Return the outputs for preprocessed images in inference mode (no dropout, no noise), or their softmax."""
        kind = "steady" if steady and len(images) == 1 else "inference"
        images = self.model.accept(images)
        if len(images) == 0:
            return np.empty((0, *self.model.output_shape), self.model.dtype)
        with self._lock, self._governor.running((len(images), kind)):
            self._look()
            plan = self._plan(len(images), kind)
            plan.x.batch(images.ndim)[...] = images
            plan.run_forward()
            y = plan.y.rows
            require(y.nbytes, self.model.layers[-1].name)
            if softmax:
                softmax_rows(y, y)
            return plan.y.batch(1 + len(self.model.output_shape)).copy()

    def prepare(self, optimizer: Updater) -> None:
        """Allocate the optimizer's state in its final place."""
        with self._lock:
            self._look()
            self._hold_state(optimizer)

    def plan(self, batch_size: int, optimizer: Updater | None = None, *, training: bool = True) -> Plan:
        """Return the plan of a training step, or of inference, for inspection: `print(engine.plan(32))`.

        Without an optimizer, the one of the steps so far is assumed, or one that stores all gradients.
        """
        with self._lock:
            self._look()
            if optimizer is not None:
                self._hold_state(optimizer)
            held = self._optimizer
            fused = held is not None and self._rule != NO_RULE and held.clip_norm is None
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
        threads = config.NUMBA_NUM_THREADS
        with accounting() as account:
            if kind in ("inference", "steady"):
                return make_plan(
                    self.model, count, training=False, threads=threads, account=account, steady=kind == "steady"
                )
            if self._gradients is None:
                account.owner = "the gradient of the network"
                self._gradients = self._new_arena()
            updates = {}
            if kind == "fused":
                for name in self._fused:
                    w = self.model.arena[name]
                    m, v = self._state_of(name, w)
                    updates[name] = (w, m, v, self._rule, self._fused_hyper[name])
            return make_plan(
                self.model,
                count,
                training=True,
                loss=BatchLoss(count),
                threads=threads,
                gradients=dict(self._gradients.items()),
                generator=self._generator,
                updates=updates,
                account=account,
                also=self._tasks(),
            )

    def _tasks(self) -> list[str]:
        """Return what a training step compiles apart from its plan."""
        flat = np.zeros(1, self.model.dtype)
        tasks = [*tasks_of(self.loss, flat.dtype), task_of(all_finite, (flat,))]
        if self._rule != NO_RULE:
            tasks.append(task_of(update, (self._rule, flat, flat, flat, flat, np.zeros(9))))
        if self._orthogonal.shapes:
            calls = [*self._orthogonal.calls(), Call(ema, (flat, flat, 0.5))]
            tasks += [task_of(call.kernel, call.arguments) for call in calls]
        return tasks

    def _state_of(self, name: str, w: Array) -> tuple[Array, Array]:
        """Return the two state arrays as the kernels take them: velocity or mean first, mean of squares second."""
        first, second = (self._states.get(slot) for slot in KERNEL_SLOTS[self._rule])
        return (w if first is None else first[name]), (w if second is None else second[name])

    def _hold_state(self, optimizer: Updater) -> None:
        """Keep the optimizer's state in arenas, and read its hyper-parameters.

        Values that a user assigns are copied in. An optimizer without a kernel keeps its own state.
        """
        fused = optimizer.fused_rule
        given = fused, optimizer.hyper() if fused else {}
        if given != self._given:
            rule, self._keywords = kernel_rule(*given)
            if rule != self._rule:
                self._rule = rule
                self._plans.clear()
                self._group_parameters()
            self._given = given
        if optimizer.decay_bias_and_norm != self._decays_all:
            self._decays_all = optimizer.decay_bias_and_norm
            self._group_parameters()
        if optimizer is not self._optimizer or optimizer.state is not self._held_state:
            optimizer.prepare(self.model.parameters)
            self._optimizer, self._held_state = optimizer, optimizer.state
            self._states = {} if self._rule == NO_RULE else {slot: self._new_arena() for slot in optimizer.state}
            self._plans.clear()
            chosen = {name: of for name, of in self._shapes.items() if fused and optimizer.orthogonalizes(of)}
            self._orthogonal = OrthogonalSteps(chosen, self.model.dtype)
            self._group_parameters()
        for slot, arena in self._states.items():
            arrays = optimizer.state.get(slot, {})
            for name, held in arena.items():
                if arrays.get(name) is not held:
                    optimizer.prepare(self.model.parameters)  # zeros if it is missing; raises if a shape differs
                    arrays = optimizer.state[slot]
                    np.copyto(held, arrays[name])
                    arrays[name] = held

    def _formed_gradients(self, fuse: bool) -> Array:
        """Return the stored gradients: all of them, or those that no kernel consumed at once."""
        if self._gradients is None:
            raise TypeError("a plan for training has gradients")
        if not fuse:
            return self._gradients.flat
        if self._stored is None:
            stored = [*self._own, *self._loose]
            self._stored = self._gradients.part(stored) if stored else self._gradients.flat[:0]
        return self._stored

    def _next_step(self, optimizer: Updater) -> None:
        optimizer.step_count += 1
        optimizer.gradient_norm = None
        for group, numbers in self._hyper.items():
            keywords = self._keywords if group.decays else {**self._keywords, "weight_decay": 0.0}
            lr = optimizer.lr * group.factor
            hyper_parameters(group.rule, step=optimizer.step_count, lr=lr, out=numbers, **keywords)
        for name, numbers in self._fused_hyper.items():
            numbers[:] = self._hyper[self._groups[name]]

    def _update_stored(self, gradients: Arena, updates: Launch) -> None:
        """Update the parameters whose gradients are stored; neighbors of the same group in one call."""
        if self._orthogonal.shapes:
            self._orthogonal(gradients, self._states["m"], self._keywords["beta1"])
        for name, array in self._own.items():
            np.copyto(self._own_values[name], array)
        updates()
        for name, array in self._own.items():
            np.copyto(array, self._own_values[name])

    def _stored_updates(self, gradients: Arena) -> Launch:
        return Launch([(update, self._operands(group, names, gradients)) for group, names in self._runs])

    def _operands(self, group: _Group, names: list[str], gradients: Arena) -> tuple[Any, ...]:
        """What the kernel takes to update some neighbors: rule, parameters, gradients, state, hyper-parameters."""
        w = (self._own_values if names[0] in self._own else self.model.arena).part(names)
        first, second = (self._states.get(slot) for slot in KERNEL_SLOTS[self._rule])
        m = w if first is None else first.part(names)
        v = w if second is None else second.part(names)
        return group.rule, w, gradients.part(names), m, v, self._hyper[group]

    def _collect(self, count: int, optimizer: Updater, finish: bool) -> None:
        """Add the batch's gradients, weighted by images, to the pending sum; with `finish`, update with the mean."""
        if self._gradients is None:
            return
        if finish and not self._summed:
            self._update_all(optimizer, self._gradients)
            return
        if self._sums is None:
            self._sums = self._new_arena()
        # Each gradient is a mean over its batch; weighted by images, the means combine into that of one large batch.
        self._gradients.flat *= count
        self._sums.flat += self._gradients.flat
        self._summed += count
        if not finish:
            return
        self._sums.flat /= self._summed
        self._update_all(optimizer, self._sums)
        self._sums.flat[:] = 0
        self._summed = 0

    def _update_all(self, optimizer: Updater, gradients: Arena) -> None:
        if self._rule == NO_RULE:
            optimizer.update(self.model.parameters, dict(gradients.items()), self._factors)
            return
        self._next_step(optimizer)
        if optimizer.clip_norm is not None:
            optimizer.gradient_norm = clip(gradients, optimizer.clip_norm)
        self._update_stored(gradients, self._stored_updates(gradients))
        for name in self._fused:
            update(*self._operands(self._groups[name], [name], gradients))
