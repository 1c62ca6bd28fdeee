"""What computes, on how many cores, and a note while it is being compiled: for all commands that run a network."""

from __future__ import annotations

import sys

ENGINE_HELP = "What computes: compiled, numpy, or auto for the faster one."
THREADS_HELP = "Cores to compute on, by default all; results do not depend on it."
NOTE = "compiling the kernels for this machine, once: 10 to 20 seconds"

_told = False


def use_threads(threads: int | None, engine: str) -> None:
    """Do what `--threads` says.

    Raises
    ------
    ArgumentError
        There are not so many, or NumPy computes, whose threads are its own affair.
    """
    if threads is None:
        return
    from rot180.engine.threads import set_threads
    from rot180.errors import ArgumentError

    if engine == "numpy":
        raise ArgumentError("--threads is for the compiled engine; NumPy's own threads follow OMP_NUM_THREADS")
    set_threads(threads)


def note_compiling() -> None:
    """Say on stderr when kernels are compiled, from now on and once; a process that finds them cached says nothing.

    Silent where stderr is no terminal.
    """
    if not sys.stderr.isatty():
        return
    from numba.core import event

    class Note(event.Listener):  # type: ignore[misc]  # Numba has no types
        def on_start(self, event: object) -> None:
            global _told
            if not _told:
                _told = True
                print(NOTE, file=sys.stderr, flush=True)

        def on_end(self, event: object) -> None:
            pass

    event.register("numba:run_pass", Note())
