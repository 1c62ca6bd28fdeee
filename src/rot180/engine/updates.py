"""The updates that the compiled engine makes in place of an optimizer: its state, and which kernel changes what."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from rot180.engine.interface import Updater
from rot180.engine.orthogonal import OrthogonalSteps
from rot180.engine.update_rule import KERNEL_SLOTS, NO_RULE, clip, kernel_rule
from rot180.errors import ShapeError
from rot180.kernels.ahead import task_of
from rot180.kernels.launching import Launch
from rot180.kernels.update import SGD, UNIT, hyper_parameters, update
from rot180.nn.arena import Arena
from rot180.nn.contract import is_own
from rot180.nn.linear import Linear
from rot180.nn.network import Network
from rot180.ops.types import Array


class _Group(NamedTuple):
    """Parameters that are updated with the same numbers."""

    factor: float
    decays: bool
    rule: int


class Updates:
    """The updates of a network's parameters.

    The optimizer's state is moved into arenas, where the kernels find the state of neighbors side by side; it remains
    available as `optimizer.state`.

    Parameters
    ----------
    model : Network

    Attributes
    ----------
    fused : list of str
        The parameters that kernels of the backward pass may update as soon as their gradients are known.
    stored : list of str
        All others, whose gradients are stored.
    """

    def __init__(self, model: Network) -> None:
        self.model = model
        self.fused: list[str] = []
        self.stored: list[str] = []
        self._fused_hyper: dict[str, Array] = {}
        self._optimizer: Updater | None = None
        self._held_state: dict[str, dict[str, Array]] | None = None
        self._given: tuple[str, dict[str, Any]] = "", {}
        self._rule, self._keywords = kernel_rule(*self._given)
        self._decays_all = True
        self._orthogonal = OrthogonalSteps({}, model.dtype)
        self._states: dict[str, Arena] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._own_values = Arena({}, model.dtype)

    @property
    def has_rule(self) -> bool:
        """Whether the kernels know the optimizer's rule; otherwise its own `update` is called."""
        return self._rule != NO_RULE

    def can_fuse(self, optimizer: Updater | None) -> bool:
        """Return whether gradients may be consumed one by one: to clip them, all must be known first."""
        return optimizer is not None and self.has_rule and optimizer.clip_norm is None

    def new_arena(self) -> Arena:
        """Return an array for each parameter, such as its gradient."""
        return Arena(self._shapes, self.model.dtype)

    def begin(self, waiting: int) -> bool:
        """Prepare for the network as it is now, and return whether its parameters have other shapes or another type.

        Raises
        ------
        ShapeError
            They have, and the gradients of some images, `waiting` in number, await an update.
        """
        layers, arena, dtype = self.model.layers, self.model.arena, self.model.dtype
        self._launches: dict[tuple[int, bool], tuple[Arena, Callable[[], None]]] = {}
        self._own = {
            f"{layer.name}.{local}": array
            for layer in layers
            if is_own(layer)
            for local, array in layer.parameters.items()
        }
        # If the parameters of built-in layers are adjacent in memory, so are their gradients and the optimizer's state.
        shapes = {name: array.shape for name, array in (*self._own.items(), *arena.items())}
        if self._shapes == shapes and self._own_values.flat.dtype == dtype:
            return False
        if waiting:
            raise ShapeError(
                f"the gradients of {waiting} images await an update, but the network was rebuilt; "
                f"finish the update first, or create a new trainer"
            )
        self._shapes = shapes
        self.fused = [f"{layer.name}.weight" for layer in layers if type(layer) is Linear]
        self._fused_hyper = {name: np.zeros(9) for name in self.fused}
        self.stored = [name for name in shapes if name not in self.fused]
        self._own_values = Arena({name: shapes[name] for name in self._own}, dtype)
        self._optimizer = None
        return True

    def group(self) -> None:
        """Find out which parameters are updated with the same numbers: learning rate and weight decay."""
        self._launches = {}
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

    def hold(self, optimizer: Updater) -> bool:
        """Keep the optimizer's state in arenas, and read its hyper-parameters.

        Values that a user assigns are copied in. An optimizer without a kernel keeps its own state.

        Returns
        -------
        bool
            Whether what `of_fused` returned is out of date.
        """
        fused = optimizer.fused_rule
        given = fused, optimizer.hyper() if fused else {}
        is_new = optimizer is not self._optimizer or optimizer.state is not self._held_state
        rule = self._rule
        if given != self._given:
            self._given = given
            self._rule, self._keywords = kernel_rule(*given)
        is_other = is_new or self._rule != rule
        if is_new:
            optimizer.prepare(self.model.parameters)
            self._optimizer, self._held_state = optimizer, optimizer.state
            self._states = {slot: self.new_arena() for slot in optimizer.state} if self.has_rule else {}
            chosen = {name: of for name, of in self._shapes.items() if fused and optimizer.orthogonalizes(of)}
            self._orthogonal = OrthogonalSteps(chosen, self.model.dtype)
        if is_other or optimizer.decay_bias_and_norm != self._decays_all:
            self._decays_all = optimizer.decay_bias_and_norm
            self.group()
        for slot, arena in self._states.items():
            arrays = optimizer.state.get(slot, {})
            for name, held in arena.items():
                if arrays.get(name) is not held:
                    optimizer.prepare(self.model.parameters)  # zeros if it is missing; raises if a shape differs
                    arrays = optimizer.state[slot]
                    np.copyto(held, arrays[name])
                    arrays[name] = held
        return is_other

    def of_fused(self) -> dict[str, tuple[Any, ...]]:
        """Return by name what the kernels take that update parameters in the backward pass."""
        found = {}
        for name, hyper in self._fused_hyper.items():
            w = self.model.arena[name]
            m, v = (w if arena is None else arena[name] for arena in self._kernel_states())
            found[name] = w, m, v, self._rule, hyper
        return found

    def tasks(self) -> list[str]:
        """Return what is compiled for an update."""
        flat = np.zeros(1, self.model.dtype)
        tasks = [task_of(update, (self._rule, flat, flat, flat, flat, np.zeros(9)))] if self.has_rule else []
        return tasks + [task_of(call.kernel, call.arguments) for call in self._orthogonal.calls()]

    def next_step(self, optimizer: Updater) -> None:
        """Compute the numbers that are constant within a step."""
        optimizer.step_count += 1
        optimizer.gradient_norm = None
        for group, numbers in self._hyper.items():
            keywords = self._keywords if group.decays else {**self._keywords, "weight_decay": 0.0}
            lr = optimizer.lr * group.factor
            hyper_parameters(group.rule, step=optimizer.step_count, lr=lr, out=numbers, **keywords)
        for name, numbers in self._fused_hyper.items():
            numbers[:] = self._hyper[self._groups[name]]

    def apply(self, gradients: Arena, *, fused: bool) -> None:
        """Update the parameters; with `fused`, those that the backward pass has not updated."""
        if self._orthogonal.shapes:
            self._orthogonal(gradients, self._states["m"], self._keywords["beta1"])
        for name, array in self._own.items():
            np.copyto(self._own_values[name], array)
        self._launch(gradients, fused)()
        for name, array in self._own.items():
            np.copyto(array, self._own_values[name])

    def apply_all(self, optimizer: Updater, gradients: Arena) -> None:
        """Make a whole update with complete gradients, which may be changed."""
        if not self.has_rule:
            optimizer.update(self.model.parameters, dict(gradients.items()), self._factors)
            return
        self.next_step(optimizer)
        if optimizer.clip_norm is not None:
            optimizer.gradient_norm = clip(gradients, optimizer.clip_norm)
        self.apply(gradients, fused=False)

    def _launch(self, gradients: Arena, fused: bool) -> Callable[[], None]:
        """Return the launch that updates all parameters, or all but the fused ones, neighbors together."""
        key = id(gradients), fused
        if key not in self._launches:
            in_arena = [name for name in self.stored if name not in self._own]
            runs = [
                list(names)
                for some in (self._own, in_arena)
                for _, names in groupby(some, key=self._groups.__getitem__)
            ]
            runs += [] if fused else [[name] for name in self.fused]
            operands = [self._operands(names, gradients) for names in runs]
            launch = Launch([(update, some) for some in operands])
            is_small = all(w.size <= UNIT for _, w, *_ in operands)  # nothing for a second thread
            self._launches[key] = gradients, launch.alone if is_small else launch
        return self._launches[key][1]

    def _operands(self, names: list[str], gradients: Arena) -> tuple[Any, ...]:
        """What the kernel takes to update some neighbors: rule, parameters, gradients, state, hyper-parameters."""
        group = self._groups[names[0]]
        w = (self._own_values if names[0] in self._own else self.model.arena).part(names)
        m, v = (w if arena is None else arena.part(names) for arena in self._kernel_states())
        return group.rule, w, gradients.part(names), m, v, self._hyper[group]

    def _kernel_states(self) -> list[Arena | None]:
        """Return the state as the kernels take it: velocity or mean first, mean of squares second; None if unused."""
        return [self._states.get(slot) for slot in KERNEL_SLOTS[self._rule]]
