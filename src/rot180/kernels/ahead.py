"""What a plan needs is compiled ahead, in several processes at the same time.

Numba compiles one function at a time, whatever the number of threads. So other processes compile, too; what they made
is in Numba's cache, from which it is loaded here. They are given one task after another as lines of text, such as

    rot180.kernels.folding pack_kernel_rows f4:4 f4:4
    rot180.kernels.tile _tile _signature f4

for a kernel or subroutine and its arguments (element type and rank of an array, `f` or `i` for a number), and for a
callback with its signature.
"""

from __future__ import annotations

import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import numpy as np
from numba import types
from numba.np.numpy_support import from_dtype

from rot180.kernels import compiling, launching, team

MOST_PROCESSES = 4
"""With more, starting them would take longer than they help."""
WORTH_A_PROCESS = 3
"""Tasks that take as long as starting a process."""

Tell = Callable[[int, int], None]
"""Called with the number of tasks that are done, and of all."""


def task_of(function: Any, arguments: tuple[Any, ...]) -> str:
    """Return the task of compiling a kernel or subroutine for these arguments.

    >>> from rot180.kernels.folding import pack_kernel_rows
    >>> task_of(pack_kernel_rows, (np.zeros((3, 3, 1, 1)), np.zeros((3, 3, 1, 1))))
    'rot180.kernels.folding pack_kernel_rows f8:4 f8:4'
    """
    source = getattr(function, "dispatcher", function).py_func
    return " ".join([source.__module__, source.__name__, *map(_spelled, arguments)])


def callback_task(function: Any, signature: Any, dtype: np.dtype[Any]) -> str:
    """Return the task of compiling a callback."""
    return f"{function.__module__} {function.__name__} {signature.__name__} {dtype.str[1:]}"


def _spelled(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype.str[1:]}:{value.ndim}"
    return "f" if isinstance(value, (float, np.floating)) else "i"


def _type(word: str) -> types.Type:
    if word in ("f", "i"):
        return types.float64 if word == "f" else types.int64
    dtype, _, rank = word.partition(":")
    return types.Array(from_dtype(np.dtype(dtype)), int(rank), "C")


def _read(task: str) -> tuple[Any, Any]:
    """Return the function of a task and the signature to compile it for."""
    module, name, *words = task.split()
    room = import_module(module)
    function = getattr(room, name)
    if words and words[0].startswith("_"):
        return function, getattr(room, words[0])(from_dtype(np.dtype(words[1])))
    signature = tuple(map(_type, words))
    if isinstance(function, launching.Kernel):
        return function.dispatcher, (launching.TEAM, *signature)
    return function, signature


def _compile(task: str) -> None:
    function, signature = _read(task)
    if callable(getattr(function, "compile", None)):
        function.compile(signature)
    else:
        compiling.callback(function, signature)


def _is_missing(task: str) -> bool:
    return not compiling.is_cached(*_read(task))


def _length(task: str) -> int:
    """Return a guess of how long a task takes; callbacks hold many register blocks each."""
    function, _ = _read(task)
    source = getattr(function, "py_func", None)
    return 10**6 if source is None else len(source.__code__.co_code)


ALWAYS = [
    f"{team.__name__} _take _take_signature i8",
    f"{launching.__name__} _alone i i",
    f"{launching.__name__} _lead i i i i",
    f"{launching.__name__} _help i i i",
    f"{launching.__name__} _wake i i",
    f"{launching.__name__} _is_used i i",
    f"{launching.__name__} _spin i",
]
"""What every launch needs."""


_cached: set[str] = set()
"""Tasks that are known to be in the cache: every new plan asks for most of them again."""


def compile_ahead(tasks: Iterable[str], tell: Tell, *, may_start: bool = True) -> None:
    """Compile what is not in Numba's cache yet, in this process alone unless it may start others.

    `tell` is only called if there is anything to compile.
    """
    asked = {task: None for task in [*tasks, *ALWAYS] if task not in _cached}
    missing = [task for task in asked if _is_missing(task)]
    _cached.update(asked.keys() - missing)
    if not missing:
        return
    waiting = deque(sorted(missing, key=_length, reverse=True))
    done, counting = 0, Lock()

    def finished() -> None:
        nonlocal done
        with counting:
            done += 1
            tell(done, len(missing))

    tell(0, len(missing))
    count = min(launching.most_threads(), MOST_PROCESSES, len(missing) // WORTH_A_PROCESS) - 1
    processes = _start(count) if may_start else []
    threads = [Thread(target=_hand_out, args=(process, waiting, finished), daemon=True) for process in processes]
    try:
        for thread in threads:
            thread.start()
        for task in _taken(waiting):
            _compile(task)
            finished()
    finally:
        if waiting:  # interrupted
            waiting.clear()
            for process in processes:
                process.kill()
        for thread in threads:
            if thread.is_alive():
                thread.join()
        for process in processes:
            with suppress(OSError), process:
                process.kill()


def _start(count: int) -> list[subprocess.Popen[str]]:
    """Start processes that compile; none if there is no Python that could."""
    if count < 1 or not sys.executable or getattr(sys, "frozen", False):
        return []
    root = str(Path(__file__).parents[2])
    code = f"import sys; sys.path.append({root!r}); from rot180.kernels.ahead import work; work()"
    pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
    flags = getattr(subprocess, "CREATE_NO_WINDOW", 0)
    command = [sys.executable, "-P", "-c", code]
    try:
        return [
            subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nothing, text=True, creationflags=flags)
            for _ in range(count)
        ]
    except OSError:
        return []


def _hand_out(process: subprocess.Popen[str], waiting: deque[str], finished: Callable[[], None]) -> None:
    """Let a process do tasks as long as there are any; if it fails, what it has not done is compiled when needed."""
    if process.stdin is None or process.stdout is None or not process.stdout.readline():
        return
    for task in _taken(waiting):
        try:
            process.stdin.write(task + "\n")
            process.stdin.flush()
            said = process.stdout.readline()
        except OSError:
            return
        if not said:
            return
        finished()


def _taken(waiting: deque[str]) -> Iterator[str]:
    """Yield tasks as long as nobody else has taken the last one."""
    while True:
        try:
            yield waiting.popleft()
        except IndexError:
            return


def work() -> None:
    """Compile what the lines of stdin ask for, and say when it is done."""
    print("ready", flush=True)
    for task in sys.stdin:
        _compile(task)
        print("done", flush=True)
