"""What a plan needs is compiled ahead, in several processes at the same time.

Numba compiles one function at a time, whatever the number of threads. So other processes compile, too; what they made
is in files, from which it is loaded here. They are given one task after another as lines of text, such as

    rot180.kernels.folding pack_kernel_rows f4:4 f4:4

for a function of a module and the types that it is compiled for, as `rot180.kernels.entry` spells them.
"""

from __future__ import annotations

import gc
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from threading import Lock, Thread
from typing import Any

from rot180.kernels import launching, team
from rot180.kernels.compiling import Addressed, Callback
from rot180.kernels.entry import Types, type_of

MOST_PROCESSES = 4
"""With more, starting them would take longer than they help."""
WORTH_A_PROCESS = 3
"""Tasks that take as long as starting a process."""

Tell = Callable[[int, int], None]
"""Called with the number of tasks that are done, and of all."""


def task_of(kernel: Any, arguments: tuple[Any, ...]) -> str:
    """Return the task of compiling a kernel for these arguments.

    >>> import numpy as np
    >>> from rot180.kernels.folding import pack_kernel_rows
    >>> task_of(pack_kernel_rows, (np.zeros((3, 3, 1, 1)), np.zeros((3, 3, 1, 1))))
    'rot180.kernels.folding pack_kernel_rows f8:4 f8:4'
    """
    return spelled(kernel, tuple(map(type_of, arguments)))


def spelled(function: Addressed, types: Types) -> str:
    """Return the task of compiling a function for these types."""
    return " ".join([function.__module__, function.__name__, *types])


def _read(task: str) -> tuple[Addressed, Types]:
    """Return the function of a task and the types to compile it for."""
    module, name, *types = task.split()
    return getattr(import_module(module), name), tuple(types)


def _compile(task: str) -> None:
    function, types = _read(task)
    function.compile(types)


def _is_missing(task: str) -> bool:
    function, types = _read(task)
    return not function.is_compiled(types)


def _length(task: str) -> int:
    """Return a guess of how long a task takes; callbacks hold many register blocks each."""
    function, _ = _read(task)
    return 10**6 if isinstance(function, Callback) else len(function.function.__code__.co_code)


ALWAYS = [
    f"{team.__name__} take i i i i",
    f"{launching.__name__} _alone i i",
    f"{launching.__name__} _lead i i i i",
    f"{launching.__name__} _help i i i",
    f"{launching.__name__} _wake i i",
    f"{launching.__name__} _is_used i i",
    f"{launching.__name__} _spin i",
]
"""What every launch needs."""


def compile_ahead(tasks: Iterable[str], tell: Tell, *, may_start: bool = True) -> None:
    """Compile what no process has compiled yet, in this one alone unless it may start others.

    `tell` is only called if there is anything to compile.
    """
    missing = [task for task in dict.fromkeys([*tasks, *ALWAYS]) if _is_missing(task)]
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
        with _no_collection():
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


@contextmanager
def _no_collection() -> Iterator[None]:
    """Look for no garbage: Numba keeps so many objects that this takes a tenth of the time, and leaves little of it."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


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
    with _no_collection():
        for task in sys.stdin:
            _compile(task)
            print("done", flush=True)
