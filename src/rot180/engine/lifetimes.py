"""Memory by lifetimes: buffers of a plan that are never in use at once share a block.

A plan is made twice. The first time is a rehearsal: every buffer is the same piece of untouched memory, and what is
noted is when each is taken and when the last stage that holds it has passed. Then the largest buffers get blocks first,
and each smaller one goes into a block that is free for as long as it is in use. The second time, the same buffers are
taken in the same order, and get their blocks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rot180.kernels.memory import aligned
from rot180.memory import require
from rot180.ops.types import Array

Border = tuple[int, ...]
"""The shape of a padded buffer and the place of the map in it: what must match for zeros to stay where they are."""

CLEARED = 1 << 24
"""From this size in bytes on, a padded map may share memory with anything: its border is a small part of it, and is set
to zero before each use. Smaller ones share with those that have the same border, which nobody writes to."""


@dataclass(eq=False)
class Buffer:
    """One buffer of a plan, and the stages in which it is taken and given back."""

    size: int
    border: Border | None
    born: int
    died: int = 0
    holders: int = 1
    needs_clearing: bool = False
    """Whether its border may hold what another buffer wrote."""


@dataclass(eq=False)
class Block:
    """Memory of a plan, made when it is first used."""

    size: int
    memory: Array | None = None

    def part(self, size: int) -> Array:
        """Return its first bytes."""
        if self.memory is None:
            self.memory = aligned((self.size,), np.uint8)
        return self.memory[:size]


@dataclass(eq=False)
class _Group:
    """Buffers that share a block."""

    members: list[Buffer] = field(default_factory=list)

    @property
    def borders(self) -> set[Border | None]:
        return {buffer.border for buffer in self.members}

    def admits(self, buffer: Buffer) -> bool:
        """Return whether none of them is in use together with this buffer."""
        return all(other.died < buffer.born or buffer.died < other.born for other in self.members)

    def suits(self, buffer: Buffer) -> bool:
        """Return whether no border would have to be cleared, or only those of large maps."""
        if self.borders == {buffer.border}:
            return True
        return min(other.size for other in (*self.members, buffer) if other.border is not None) >= CLEARED


class Memory:
    """Provides the buffers of a plan: in a rehearsal, or with the blocks that came of it.

    A buffer is in use from the stage in which it is taken until all who hold it have released it.
    """

    def __init__(self, blocks: list[tuple[Block, bool]] | None = None) -> None:
        self._buffers: list[Buffer] = []
        self._blocks = blocks
        self._now = 0
        self._taken: list[Buffer] = []
        self._untouched = np.empty(0, np.uint8)

    def take(self, shape: tuple[int, ...], dtype: Any, border: Border | None, owner: str) -> tuple[Array, Buffer]:
        """Return an array, and the buffer that it is in, held until the end of this stage.

        Its contents are undefined, except that with a border the elements outside the map are zero, unless it
        `needs_clearing`.
        """
        dtype = np.dtype(dtype)
        buffer = Buffer(math.prod(shape) * dtype.itemsize, border, self._now)
        if self._blocks is None:
            require(buffer.size, owner)
            if len(self._untouched) < buffer.size:
                self._untouched = np.empty(buffer.size, np.uint8)
            memory = self._untouched[: buffer.size]
        else:
            block, is_mixed = self._blocks[len(self._buffers)]
            buffer.needs_clearing = is_mixed and border is not None
            memory = block.part(buffer.size)
        self._buffers.append(buffer)
        self._taken.append(buffer)
        return memory.view(dtype).reshape(shape), buffer

    def hold(self, buffer: Buffer | None, times: int = 1) -> None:
        """Keep a buffer until it is released as many times; None is memory that is not shared."""
        if buffer is not None:
            buffer.holders += times

    def release(self, buffer: Buffer | None) -> None:
        """Give a buffer back at the end of this stage, unless others hold it."""
        if buffer is not None:
            buffer.holders -= 1
            buffer.died = self._now

    def pass_stage(self) -> None:
        """Begin the next stage: what was taken in this one and is not held is free."""
        for buffer in self._taken:
            self.release(buffer)
        self._taken.clear()
        self._now += 1

    def blocks(self) -> list[tuple[Block, bool]]:
        """Return the block of each buffer of a rehearsal, and whether it holds maps of different borders."""
        for buffer in self._buffers:
            if buffer.holders > 0:
                buffer.died = self._now
        groups: list[_Group] = []
        group_of: dict[Buffer, _Group] = {}
        for buffer in sorted(self._buffers, key=lambda one: -one.size):
            # A group is as large as its first member: of those that are free, the last one fits best.
            free = [group for group in reversed(groups) if group.admits(buffer)]
            free.sort(key=lambda group: group.borders != {buffer.border})
            group = next((group for group in free if group.suits(buffer)), None)
            if group is None:
                groups.append(group := _Group())
            group.members.append(buffer)
            group_of[buffer] = group
        blocks = {group: (Block(group.members[0].size), len(group.borders) > 1) for group in groups}
        return [blocks[group_of[buffer]] for buffer in self._buffers]
