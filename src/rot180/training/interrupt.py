"""Signals during a training: the first requests a stop after the current batch, the second acts as usual."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def interruptible(
    on_interrupt: Callable[[], None], signals: tuple[signal.Signals, ...] = (signal.SIGINT,)
) -> Iterator[None]:
    """Call `on_interrupt` at the first signal inside the `with` block; the previous handlers are restored afterward.

    Signals belong to the main thread: in other threads nothing changes, nor does it for an ignored signal, such as
    SIGINT in a background job of a script.

    Parameters
    ----------
    on_interrupt : callable
        Runs between two interpreter instructions: it should set a flag and return.
    signals : tuple of signal.Signals
        Ctrl-C by default.
    """
    before: dict[signal.Signals, Any] = {}

    def handle(number: int, frame: FrameType | None) -> None:
        signal.signal(number, before[signal.Signals(number)])
        on_interrupt()

    if threading.current_thread() is threading.main_thread():
        for one in signals:
            handler = signal.getsignal(one)
            if handler not in (signal.SIG_IGN, None):
                before[one] = handler
                signal.signal(one, handle)
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
