"""A progress bar on stderr while data is downloaded, inspected and read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def reading_bar() -> Iterator[Callable[[str, int, int], None]]:
    """Yield a function of (what, done, total) that draws a bar; it does nothing if stderr is not a terminal.

    >>> with reading_bar() as progress:
    ...     progress("reading", 1, 2)
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    from rot180.language import translate

    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:3.0f}%"),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    tasks: dict[str, TaskID] = {}

    def progress(what: str, done: int, total: int) -> None:
        # Drawn only while something is being read: the training bar follows.
        if what not in tasks:
            bar.start()
            tasks[what] = bar.add_task(translate(what), total=total)
        bar.update(tasks[what], completed=done)
        if done >= total:
            bar.remove_task(tasks.pop(what))
            bar.stop()

    try:
        yield progress
    finally:
        bar.stop()
