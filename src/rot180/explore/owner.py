"""The one thread that runs the network; commands are carried out between two steps."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from rot180.files import system

Result = TypeVar("Result")

NICE = 5
"""How far the thread, and the kernels' threads that it starts, stand behind the browser and the rest of the program; it
costs nothing while a core is free."""

COURTESY = 0.15
"""Seconds for which a training leaves the processors to the page after a person has asked for something: longer than a
pointer takes from cell to cell, so that few answers are drawn beside a step (with 0.05, twice as many)."""


class Owner(threading.Thread):
    """A thread that carries out commands, one after the other.

    A command that takes long, such as a training, calls `pause_for_commands` between two of its steps: the others are
    carried out there, so that nobody ever sees half an update.

    Examples
    --------
    >>> owner = Owner()
    >>> owner.start()
    >>> owner.ask(lambda: 6 * 7).result()
    42
    >>> owner.close()
    """

    def __init__(self) -> None:
        super().__init__(name="rot180-owner", daemon=True)
        self._commands: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = queue.SimpleQueue()
        self.is_closing = False
        self._heard = -COURTESY

    def hear(self) -> None:
        """Note that a person has just asked for something, and waits for the page to show it."""
        self._heard = time.monotonic()

    def ask(self, command: Callable[[], Result]) -> Future[Result]:
        """Have a command carried out; its result or exception is in the future."""
        future: Future[Result] = Future()
        self._commands.put((command, future))
        return future

    def run(self) -> None:
        """Carry out commands until the end."""
        system.let_others_first(NICE)
        while not self.is_closing:
            self._carry_out(self._commands.get())

    def pause_for_commands(self, *, wait: Callable[[], bool]) -> None:
        """Carry out what has been asked for, and go on waiting for more while `wait` returns True.

        Called by a command, between two of its steps. Whoever points at the page comes first: kernels on all cores
        would keep its answer from being drawn.
        """
        rest = self._heard + COURTESY - time.monotonic()
        if rest > 0:
            time.sleep(rest)
        while not self.is_closing:
            try:
                found = self._commands.get(block=wait())
            except queue.Empty:
                return
            self._carry_out(found)

    def close(self) -> None:
        """End the thread after the command in progress, and wait for it."""
        self.is_closing = True
        self._commands.put(None)
        self.join(timeout=3)

    def _carry_out(self, found: tuple[Callable[[], Any], Future[Any]] | None) -> None:
        if found is None:
            return
        command, future = found
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(command())
        except BaseException as error:  # it belongs to whoever asked
            future.set_exception(error)
