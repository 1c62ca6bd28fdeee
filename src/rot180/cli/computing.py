"""Options of the commands that run a network: the engine, the number of threads, test-time augmentation."""

from __future__ import annotations

ENGINE_HELP = "Engine to compute with: compiled, numpy, or auto for the faster one."
TTA_HELP = (
    "Test-time augmentation. flip: average the outputs for each image and its mirror image, in twice the time; not for "
    "digits, letters or other images whose mirror image is of another class. shift: average those for each image and "
    "the image moved by one pixel to each side, in five times the time. none: off. By default as in training."
)
AVERAGED = {
    "flip": "the outputs for each image and its mirror image are averaged (--tta flip)",
    "shift": "the outputs for each image and four shifted ones are averaged (--tta shift)",
}
"""What is said of outputs, by test-time augmentation."""
THREADS_HELP = "Threads to compute on, by default one per core; results do not depend on it."


def use_threads(threads: int | None, engine: str) -> None:
    """Apply `--threads`.

    Raises
    ------
    ArgumentError
        The machine has fewer cores, or the engine is NumPy, which manages its own threads.
    """
    if threads is None:
        return
    from rot180.engine.threads import set_threads
    from rot180.errors import ArgumentError

    if engine == "numpy":
        raise ArgumentError("--threads is for the compiled engine; NumPy's own threads follow OMP_NUM_THREADS")
    set_threads(threads)
