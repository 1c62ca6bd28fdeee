"""Observe a computation: each recorded array with its time, statistics and the line of code that computed it.

A `Watcher` is a listener of `rot180.ops.recorder`. The clock stops while it examines an array, so the times are those
of the computation alone; only the processor's cache is affected.
"""

from __future__ import annotations

import inspect
import linecache
import re
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from rot180.ops.types import Array

__all__ = ["Source", "Step", "Watcher", "source_line", "source_of"]

PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
class Source:
    """The line of code that computed an array."""

    file: str
    """Path within this package, such as `ops/conv_im2col.py`; only the file's name outside of it."""
    line: int
    code: str

    def __str__(self) -> str:
        """Return `ops/conv_im2col.py:125`; `given` for arrays from outside."""
        return f"{self.file}:{self.line}" if self.file else "given"


@dataclass(frozen=True)
class Step:
    """One array on the path of a batch through the network and back."""

    name: str
    """Layer and array, such as `conv2.x_col`; in the update the parameter's name comes first: `conv2.weight.m`."""
    phase: str
    """forward, loss, backward or update."""
    layer: str
    shape: tuple[int, ...]
    dtype: str
    bytes: int
    """Memory that the array occupies; overlapping windows of an image occupy no more than the image itself."""
    multiply_adds: int
    """The number of products summed to compute it; 0 if values were only moved, compared, added or scaled."""
    seconds: float
    """Time since the previous array; 0 for an array of the previous layer."""
    smallest: float
    largest: float
    mean: float
    zeros: float
    """Fraction of values that are exactly zero, from 0 to 1."""
    source: Source
    same_as: str = ""
    """The name of the earlier array that this one is identical to: the same memory, passed on."""
    values: Array | None = None
    """A copy of the array, if values were requested."""

    @property
    def array(self) -> str:
        """The name without its layer, such as `x_col`."""
        return self.name.removeprefix(f"{self.layer}.")

    def to_dict(self) -> dict[str, Any]:
        """Return everything except the values, for JSON."""
        return {
            "name": self.name,
            "phase": self.phase,
            "layer": self.layer,
            "array": self.array,
            "shape": list(self.shape),
            "dtype": self.dtype,
            "bytes": self.bytes,
            "multiply_adds": self.multiply_adds,
            "seconds": self.seconds,
            "smallest": self.smallest,
            "largest": self.largest,
            "mean": self.mean,
            "zeros": self.zeros,
            "same_as": self.same_as or None,
            "source": {"file": self.source.file, "line": self.source.line, "code": self.source.code},
        }


class Watcher:
    """Create a `Step` for every array that is recorded, or passed to `note`.

    Parameters
    ----------
    with_values : bool
        Keep a copy of every array. The arrays themselves are not kept alive: what training frees is freed here too, and
        memory is reused as it would be.
    """

    def __init__(self, *, with_values: bool = False) -> None:
        self.steps: list[Step] = []
        self.phase, self.layer, self.prefix = "forward", "", ""
        self._with_values = with_values
        # By place in memory. The reference tells whether the array still exists, or another may have taken its place.
        self._seen: dict[Any, tuple[weakref.ref[Array], Step]] = {}
        self._resumed = time.perf_counter()

    def enter(self, phase: str, layer: str, prefix: str = "") -> None:
        """Set the phase and layer of the next arrays, and start the clock."""
        self.phase, self.layer, self.prefix = phase, layer, prefix or layer
        self._resumed = time.perf_counter()

    def listen(self, name: str, array: Array) -> None:
        """Receive an array from the recorder."""
        now = time.perf_counter()
        frame = inspect.currentframe()
        self._add(name, array, now, _source(frame.f_back if frame else None, name))
        self._resumed = time.perf_counter()

    def note(self, name: str, array: Array, source: Source) -> None:
        """Add an array that no operation recorded."""
        now = time.perf_counter()
        self._add(name, np.asarray(array), now, source)
        self._resumed = time.perf_counter()

    def has_seen(self, array: Array) -> bool:
        """Whether this very array is among the steps of the current phase and layer."""
        step = self._earlier(array)
        return step is not None and (step.phase, step.layer) == (self.phase, self.layer)

    def _earlier(self, array: Array) -> Step | None:
        reference, step = self._seen.get(_place(array), (None, None))
        return step if reference is not None and reference() is not None else None

    def _add(self, name: str, array: Array, now: float, source: Source) -> None:
        full = f"{self.prefix}.{name}"
        earlier = self._earlier(array)
        if earlier and self.steps[-1].name == full and self.steps[-1].phase == self.phase:
            return  # noted as the layer's delta, then recorded by the operation too
        same_as = earlier.name if earlier else ""
        if earlier and earlier.layer != self.layer and re.fullmatch(r"x\d*", earlier.array):
            same_as = earlier.same_as or same_as  # another layer has read it as well
        step = Step(
            name=full,
            phase=self.phase,
            layer=self.layer,
            shape=array.shape,
            dtype=str(array.dtype),
            bytes=_occupied(array),
            multiply_adds=0,
            seconds=0.0 if earlier else now - self._resumed,
            **_statistics(array),
            source=earlier.source if earlier else source,
            same_as=same_as,
            values=np.array(array, order="C") if self._with_values else None,
        )
        if earlier is None or earlier.layer != self.layer:
            self._seen[_place(array)] = (weakref.ref(array), step)
        self.steps.append(step)

    def give_products(self, phase: str, layer: str, names: Sequence[str], products: int) -> None:
        """Set the multiply-adds of the first of these arrays that the layer computed, unless already set."""
        made = {step.array: i for i, step in enumerate(self.steps) if (step.phase, step.layer) == (phase, layer)}
        index = next((made[name] for name in names if name in made), None)
        if index is not None and not self.steps[index].multiply_adds:
            self.steps[index] = replace(self.steps[index], multiply_adds=products)


GIVEN = Source("", 0, "")
"""The source of arrays from outside."""


def source_of(owner: object, method: str) -> Source:
    """Return the first line of an object's method, for an array that nothing inside it recorded."""
    code = getattr(type(owner), method).__code__
    file = _file(Path(code.co_filename))
    return Source(file, code.co_firstlineno, f"{type(owner).__name__}.{method}")


def source_line(function: Callable[..., Any], part: str) -> Source:
    """Return the first line of a function that contains this text."""
    lines, first = inspect.getsourcelines(function)
    number = next(number for number, line in enumerate(lines) if part in line)
    return Source(_file(Path(function.__code__.co_filename)), first + number, lines[number].strip())


def _source(frame: FrameType | None, name: str) -> Source:
    """Find the line that computed the array being recorded: the last assignment to it before the call of `record`.

    An array that is changed through a view has the equation next to the line, as in `mb += scratch  # m = ...`. One
    that the function was given was computed by its caller, by an assignment or in the call itself.
    """
    while frame and frame.f_code.co_name in ("record", "_record_groups", "listen"):
        frame = frame.f_back
    if frame is None:
        return GIVEN
    call = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
    recorded = re.search(rf"[\"']{re.escape(name)}[\"'],\s*(\w+)\s*\)", call)
    while recorded:
        line = _assigned(frame, recorded[1])
        if line:
            return _line_of(frame, line)
        code = frame.f_code
        if recorded[1] not in code.co_varnames[: code.co_argcount] or frame.f_back is None:
            break
        frame = frame.f_back
    return _line_of(frame, frame.f_lineno)


def _assigned(frame: FrameType, name: str) -> int:
    """Return the last line that assigned to a variable before the current one; 0 if there is none."""
    variable = re.escape(name)
    assignment = re.compile(
        rf"\s*(?:\w+, )*{variable}(?:, \w+)*(?:: \w+)?\s*[-+*/]?=[^=]"  # y = ..., y: Array = ..., y += ...
        rf"|.*\bout={variable}\b"  # np.maximum(y, seen, out=y)
        rf"|.*  # {variable} = "
    )
    lines = {line for _, _, line in frame.f_code.co_lines() if line and line < frame.f_lineno}  # no docstring
    for line in sorted(lines, reverse=True):
        if assignment.match(linecache.getline(frame.f_code.co_filename, line)) and _has_run(frame, line):
            return line
    return 0


def _has_run(frame: FrameType, line: int) -> bool:
    """Return whether a line before the current one has run: whether the conditions of the `if`s around it were true.

    Conditions on a single local variable are evaluated; others are unknown, and the line is then not used.
    """
    path = frame.f_code.co_filename
    depth, here = _indentation(path, line), frame.f_lineno
    for above in range(line - 1, frame.f_code.co_firstlineno, -1):
        text = linecache.getline(path, above)
        if not text.strip() or _indentation(path, above) >= depth:
            continue
        depth = _indentation(path, above)
        inner = range(above + 1, here + 1)
        if all(not linecache.getline(path, n).strip() or _indentation(path, n) > depth for n in inner):
            return True  # the current line is in this block, too
        if re.match(r"\s*(if|elif|else|try|except|while)\b", text):
            plain = re.fullmatch(r"\s*if (not )?(\w+)( is not None| is None)?:\s*(#.*)?", text)
            if plain is None or plain[2] not in frame.f_locals:
                return False
            value = frame.f_locals[plain[2]]
            holds = {" is None": value is None, " is not None": value is not None}.get(plain[3] or "")
            if (bool(value) if holds is None else holds) == bool(plain[1]):
                return False
    return True


def _indentation(path: str, line: int) -> int:
    text = linecache.getline(path, line)
    return len(text) - len(text.lstrip())


def _line_of(frame: FrameType, line: int) -> Source:
    path = frame.f_code.co_filename
    code, _, comment = linecache.getline(path, line).strip().partition("  # ")
    return Source(_file(Path(path)), line, f"{code}  # {comment}" if re.match(r"\w+ = ", comment) else code)


def _file(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix() if path.is_relative_to(PACKAGE) else path.name


def _place(array: Array) -> Any:
    return array.__array_interface__["data"][0], array.shape, array.strides, array.dtype


def _occupied(array: Array) -> int:
    if array.size == 0:
        return 0
    low, high = byte_bounds(array)
    return int(min(array.nbytes, high - low))


def _statistics(array: Array) -> dict[str, float]:
    if array.size == 0:
        return {"smallest": 0.0, "largest": 0.0, "mean": 0.0, "zeros": 0.0}
    return {
        "smallest": float(array.min()),
        "largest": float(array.max()),
        "mean": float(array.mean(dtype=np.float64)),
        "zeros": 1 - np.count_nonzero(array) / array.size,
    }
