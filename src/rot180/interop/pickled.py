"""Values of a pickle, read without unpickling: nothing is imported, called or created but numbers, texts and lists.

Python's own unpickler runs whatever a file names. Here `pickletools` splits the file into its operations, and a stack
machine carries out those in a closed table. What would import a function gives a `Name`, what would call it a `Call`;
a reader looks at them and decides what they mean (`rot180.interop.torch_file`).
"""

from __future__ import annotations

import pickletools
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO, NamedTuple

from rot180.errors import ModelError

MAX_OPERATIONS = 500_000
"""The most operations in a file; a checkpoint needs about 40 for each array."""


class Name(NamedTuple):
    """The name of a function or class, which is never imported."""

    module: str
    name: str


@dataclass
class Call:
    """An object that unpickling would create by calling `function`.

    Attributes
    ----------
    function : Name
    arguments : tuple
    state : object
        What unpickling would pass to it afterwards, usually its attributes by name.
    items : dict
        What unpickling would store in it, if it is a mapping.
    """

    function: Any
    arguments: tuple[Any, ...]
    state: Any = None
    items: dict[Any, Any] = field(default_factory=dict)


class _Mark:
    """Where a sequence of values on the stack begins."""


_MARK = _Mark()

Make = Callable[[Name, tuple[Any, ...]], Any]
"""Returns what a function would return, or None if it is not known."""


def read_pickle(file: BinaryIO, *, make: Make, persistent: Callable[[Any], Any]) -> Any:
    """Return the value of the pickle that starts at the position of a file, which is then at its end.

    Parameters
    ----------
    file : binary file
        Bounded by the caller: it is a `BytesIO`, or of a size that may be read.
    make : callable
        Called with a `Name` and its arguments; returns an object made of known values, or None.
    persistent : callable
        Returns what a persistent identifier stands for.

    Raises
    ------
    ModelError
        It is damaged or too long, or has an operation that is not in the table. The message does not name the file.

    Examples
    --------
    >>> import io, pickle  # doctest: +SKIP
    >>> read_pickle(io.BytesIO(pickle.dumps({"a": [1, 2.5]})), make=lambda *_: None, persistent=print)  # doctest: +SKIP
    {'a': [1, 2.5]}
    """
    machine = _Machine(make, persistent)
    try:
        for count, (operation, argument, _) in enumerate(pickletools.genops(file)):
            if operation.name == "STOP":
                return machine.pop()
            if count >= MAX_OPERATIONS:
                raise ModelError(f"expected at most {MAX_OPERATIONS:,} operations, found more")
            machine.run(operation.name, argument)
    except (ValueError, EOFError, IndexError, struct.error, OverflowError, AttributeError, TypeError) as error:
        raise ModelError(f"the description of the arrays is damaged ({str(error)[:80]})") from None
    raise ModelError("the description of the arrays is cut off")


class _Machine:
    """The stack, and the values that later operations refer to by number."""

    def __init__(self, make: Make, persistent: Callable[[Any], Any]) -> None:
        self._make, self._persistent = make, persistent
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def pop(self) -> Any:
        value = self._stack.pop()
        if value is _MARK:
            raise ValueError("a value is missing")
        return value

    def _since_mark(self) -> list[Any]:
        place = len(self._stack) - 1
        while self._stack[place] is not _MARK:  # an IndexError below the stack's end
            place -= 1
            if place < 0:
                raise ValueError("there is no mark on the stack")
        values = self._stack[place + 1 :]
        del self._stack[place:]
        return values

    def _top(self) -> Any:
        value = self._stack[-1]
        if value is _MARK:
            raise ValueError("a value is missing")
        return value

    def run(self, operation: str, argument: Any) -> None:
        push = self._stack.append
        if operation in _VALUES:
            push(argument)
        elif operation in _CONSTANTS:
            push(_CONSTANTS[operation])
        elif operation in _COLLECTIONS:
            push(_COLLECTIONS[operation]())
        elif operation in ("BINPUT", "LONG_BINPUT"):
            self._memo[argument] = self._top()
        elif operation == "MEMOIZE":
            self._memo[len(self._memo)] = self._top()
        elif operation in ("BINGET", "LONG_BINGET"):
            if argument not in self._memo:
                raise ValueError("a reference to nothing")
            push(self._memo[argument])
        elif operation == "MARK":
            push(_MARK)
        elif operation == "TUPLE":
            push(tuple(self._since_mark()))
        elif operation in ("TUPLE1", "TUPLE2", "TUPLE3"):
            push(tuple(reversed([self.pop() for _ in range(int(operation[-1]))])))
        elif operation in ("APPEND", "APPENDS", "ADDITEMS"):
            values = [self.pop()] if operation == "APPEND" else self._since_mark()
            if isinstance(self._top(), list):
                self._top().extend(values)
        elif operation == "SETITEM":
            value, key = self.pop(), self.pop()
            self._set(key, value)
        elif operation == "SETITEMS":
            values = self._since_mark()
            for key, value in zip(values[::2], values[1::2], strict=True):
                self._set(key, value)
        elif operation == "GLOBAL":
            module, _, name = str(argument).partition(" ")
            push(Name(module, name))
        elif operation == "STACK_GLOBAL":
            name, module = self.pop(), self.pop()
            push(Name(str(module)[:200], str(name)[:200]))
        elif operation in ("REDUCE", "NEWOBJ"):
            arguments, function = self.pop(), self.pop()
            push(self._call(function, arguments))
        elif operation == "BUILD":
            state = self.pop()
            if isinstance(self._top(), Call):
                self._top().state = state
        elif operation == "BINPERSID":
            push(self._persistent(self.pop()))
        elif operation == "POP":
            self._stack.pop()
        elif operation == "POP_MARK":
            self._since_mark()
        elif operation not in ("PROTO", "FRAME"):
            raise ModelError(f"the operation {operation} is not one that arrays need; save the weights alone")

    def _set(self, key: Any, value: Any) -> None:
        target = self._top()
        target = target.items if isinstance(target, Call) else target
        if not isinstance(target, dict):
            raise ValueError("a value with a key for something that is not a table")
        if isinstance(key, str | int | None):  # hashing a deep tuple would overflow the interpreter's stack
            target[key] = value

    def _call(self, function: Any, arguments: Any) -> Any:
        if not isinstance(arguments, tuple):
            raise ValueError("arguments that are not a tuple")
        if not isinstance(function, Name):
            return Call(None, arguments)
        made = self._make(function, arguments)
        return Call(function, arguments) if made is None else made


_VALUES = {
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES"),
}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_COLLECTIONS: dict[str, Callable[[], Any]] = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": list}
