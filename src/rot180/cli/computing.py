"""What computes, on how many cores: for all commands that run a network."""

from __future__ import annotations

ENGINE_HELP = "What computes: compiled, numpy, or auto for the faster one."
THREADS_HELP = "Cores to compute on, by default all; results do not depend on it."


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
