"""From a network and a batch size to a plan."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from rot180.engine.batch_loss import BatchLoss
from rot180.engine.elementwise_steps import add_step, combine_step, copy_step
from rot180.engine.fusing import stages_of
from rot180.engine.lifetimes import Memory
from rot180.engine.note import tell_compiling
from rot180.engine.plan import Plan
from rot180.engine.stage import Context, Stage, Target, Value, WholeBatch, widest
from rot180.kernels import addition
from rot180.kernels.ahead import compile_ahead, spelled, task_of
from rot180.kernels.elementwise import GATE
from rot180.kernels.feature_map import FeatureMap, Sides, new_map
from rot180.kernels.launching import Kernel
from rot180.kernels.memory import Account, accounting
from rot180.kernels.switch import noting_callbacks
from rot180.nn.network import Network
from rot180.nn.walk import backward_passes
from rot180.parallel.start import may_start_processes


def make_plan(
    model: Network,
    count: int,
    *,
    training: bool,
    threads: int,
    loss: BatchLoss | None = None,
    gradients: dict[str, np.ndarray[Any, Any]] | None = None,
    generator: dict[str, np.random.Generator | None] | None = None,
    updates: dict[str, tuple[Any, ...]] | None = None,
    whole: WholeBatch | None = None,
    account: Account | None = None,
    also: Iterable[str] = (),
    steady: bool = False,
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
    whole : WholeBatch, optional
        If batches are parts of a whole one, to whose mean and variance they are normalized.
    account : Account, optional
        Accounts for the buffers.
    also : iterable of str
        What is to be compiled in addition to the steps, as `rot180.kernels.ahead` spells it.
    steady : bool
        Whether a single image has the bits that it has in a batch.

    Raises
    ------
    TooLargeError
        The buffers would need more memory than is available; the message names the layers.
    ArgumentError, ShapeError
        A layer was changed and no longer fits the shapes that the network was built with.
    """
    model.look()

    def made(memory: Memory, account: Account) -> Plan:
        context = Context(
            memory,
            count,
            model.dtype,
            training=training,
            threads=threads,
            gradients=gradients or {},
            generator=generator or {"noise": None},
            updates=updates or {},
            whole=whole,
            steady=steady,
        )
        planner = _Planner(model, context, account)
        try:
            return planner.plan(loss)
        finally:
            planner.separate()

    rehearsal = Memory()
    with accounting() as trial, noting_callbacks() as callbacks:
        rehearsed = made(rehearsal, trial)
    tasks = [spelled(*callback) for callback in callbacks]
    tasks += [
        task_of(step.call, step.arguments)
        for step in (*rehearsed.forward, *rehearsed.backward)
        if isinstance(step.call, Kernel)
    ]
    tasks.append(task_of(*rehearsed.incoming.call))
    del rehearsed
    compile_ahead([*tasks, *also], tell_compiling, may_start=may_start_processes())
    return made(Memory(rehearsal.blocks()), account or Account())


class _Planner:
    """Goes through the stages, forward and then backward, and lets each make its steps."""

    def __init__(self, model: Network, context: Context, account: Account) -> None:
        self._context, self._memory, self._account = context, context.memory, account
        self._x = Value(model.input_shape)
        shapes = [output for _, output in model.layer_shapes]
        self._stages = stages_of(model.nodes, shapes, self._x, inference=not context.training)
        if context.training and model.parameters:
            runs = {node.layer: one.runs for node, one in zip(model.nodes, backward_passes(model.nodes), strict=True)}
            for stage in self._stages:
                stage.output.needs_delta = runs[stage.layers[-1]]
        for stage in self._stages:
            same = (value for value in stage.overwritable if value.shape == stage.output_shape)
            stage.overwritten = next((value for value in same if _is_free(value)), None)

    def plan(self, loss: BatchLoss | None) -> Plan:
        """Return the plan."""
        context = self._context
        self._account.owner = f"the input of {self._stages[0].names}"
        # Written before the first step, and looked at after the last one of a forward pass: it shares no memory.
        self._x.map = new_map(context.count, self._x.shape, _padding(self._x), context.dtype)
        forward = context.steps = []
        for stage in self._stages:
            self._run_forward(stage)
        forward[:0] = context.normalization_steps()
        y = self._stages[-1].output
        if not context.training:
            return Plan(self._x.map, y.map, None, forward, [])
        backward = context.steps = []
        dy = y.delta = context.new_map(y.shape)
        self._memory.hold(dy.buffer)
        completed = []
        for stage in reversed(self._stages):
            if stage.output.needs_delta:
                self._run_backward(stage)
                names = [f"{layer.name}.{local}" for layer in stage.layers for local in layer.parameters]
                completed.append((len(context.steps), names))
        learners = tuple(stage.learn for stage in self._stages if type(stage).learn is not Stage.learn)
        return Plan(self._x.map, y.map, dy, forward, backward, loss, learners, tuple(completed))

    def separate(self) -> None:
        """Let go of each other what would otherwise keep the buffers after the plan is gone."""
        for value in (self._x, *(stage.output for stage in self._stages)):
            value.producer = None
            value.readers.clear()

    def _begin(self, stage: Stage) -> None:
        self._memory.pass_stage()
        self._context.stage = stage
        self._account.owner = stage.names

    def _run_forward(self, stage: Stage) -> None:
        self._begin(stage)
        y = stage.output
        if stage.overwritten is not None:
            y.map = stage.overwritten.map
        else:
            y.map = stage.new_output(self._context, _padding(y))
        self._context.steps += stage.forward(self._context, [value.map for value in stage.inputs], y.map)
        self._memory.hold(y.map.buffer, max(1, len(y.readers)))
        for value in stage.inputs:
            self._memory.release(value.map.buffer)

    def _run_backward(self, stage: Stage) -> None:
        self._begin(stage)
        dy = self._settled(stage)
        targets = [Target(self._context, value) if value.needs_delta else None for value in stage.inputs]
        self._context.steps += stage.backward(self._context, dy, targets)
        for value, target in zip(stage.inputs, targets, strict=True):
            if target is not None:
                self._contribute(stage, value, target)
        for buffer in (dy.buffer, *stage.kept):
            self._memory.release(buffer)

    def _settled(self, stage: Stage) -> FeatureMap:
        """Return the delta of a stage's output, past the gate and in a buffer that the stage accepts."""
        value, gate = stage.output, stage.gate
        delta = value.delta
        if delta is None:
            raise TypeError(f"{stage.names}: nothing reads its output")
        if gate is not None and not value.is_gated:
            target = delta if self._context.may_change(stage, delta) else stage.new_delta(self._context)
            does = "ReLU gate" if gate.kind == GATE else "gate"
            self._context.steps.append(combine_step(stage.names, does, gate.kind, delta, gate.y, target, gate.slope))
        elif not stage.accepts(delta):
            target = stage.new_delta(self._context)
            self._context.steps.append(copy_step(stage.names, "move delta", delta, target))
        else:
            return delta
        self._replace(value, target)
        return target

    def _contribute(self, stage: Stage, value: Value, target: Target) -> None:
        """Add what a stage contributes to the delta of an input; the first contribution is the delta."""
        value.contributions += 1
        if target.is_added:
            value.is_gated = target.is_gated
            return
        so_far, made, producer = value.delta, target.map, value.producer
        if so_far is None:
            value.is_gated = target.is_gated
            self._replace(value, made)
        elif producer is not None:
            total = so_far if self._context.may_change(producer, so_far) else producer.new_delta(self._context)
            gate = producer.gate
            if gate is not None and gate.kind == GATE and value.contributions == len(value.readers):
                value.is_gated = True
                step = add_step(stage.names, "add to delta, gate", so_far, made, total, addition.GATE, gate.y)
            else:
                step = add_step(stage.names, "add to delta", so_far, made, total)
            self._context.steps.append(step)
            self._replace(value, total)

    def _replace(self, value: Value, delta: FeatureMap) -> None:
        self._memory.hold(delta.buffer)
        if value.delta is not None:
            self._memory.release(value.delta.buffer)
        value.delta = delta


def _is_free(value: Value) -> bool:
    """Return whether nobody but its only reader needs a value."""
    producer = value.producer
    if producer is None or len(value.readers) > 1 or (producer.keeps_output and value.needs_delta):
        return False
    return _is_free(producer.inputs[0]) if producer.is_view else True


def _padding(value: Value) -> Sides:
    """Return the padding around a value: on each side, the most that any of its readers needs."""
    needed = [reader.padding for reader in value.readers if reader.inputs[0] is value]
    taken = [_padding(reader.output) for reader in value.readers if reader.overwritten is value]
    return widest(needed + taken)
