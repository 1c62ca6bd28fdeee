"""The address, the workers, the end."""

from __future__ import annotations

import asyncio
import gc
import logging
import multiprocessing
import os
import signal
import socket
import sys
import warnings
from collections.abc import Callable
from multiprocessing.connection import wait
from time import monotonic
from types import FrameType
from typing import Any

from rot180.engine.threads import most_threads, set_threads
from rot180.errors import PixelWarning
from rot180.language import language, use_language
from rot180.serve.app import App
from rot180.serve.guard import Guard
from rot180.serve.log import LogHandler, log
from rot180.serve.metrics import Metrics
from rot180.serve.served import open_served
from rot180.serve.settings import Settings
from rot180.web.listening import address_of, is_loopback, listen
from rot180.web.server import Server

BACKLOG = 2048
"""Connections that wait to be accepted."""

MOST_CONNECTIONS = 8192
"""Connections of a worker; fewer if the system allows it fewer files."""

SPARE_FILES = 64
"""Files that a worker may open besides its connections."""

KEEP_ALIVE = 30
"""Seconds that a connection may wait between two requests."""

SHORT_LIFE, MOST_SHORT_LIVES = 10.0, 3
"""Seconds of a worker's life that are short, and how many such lives end the server."""


def serve(settings: Settings, *, tell: Callable[[str], None]) -> int:
    """Serve networks until SIGTERM or Ctrl-C; requests that have begun are still answered then.

    Parameters
    ----------
    settings : Settings
    tell : callable
        Called with a warning if other machines can reach the server.

    Returns
    -------
    int
        The exit status: 0, or 1 if the workers did not live.

    Raises
    ------
    Rot180Error
        A network cannot be read, or the port is taken.
    """
    listening = listen(settings.host, settings.port, backlog=BACKLOG)
    if not is_loopback(settings.host):
        tell(f"--host {settings.host}: the token and all images travel unencrypted; put a proxy with TLS in front")
    names = list(settings.named())
    size = Metrics.size_of(names)
    try:
        if settings.workers == 1:
            worker = _Worker(settings, listening, Metrics(names))
            worker.run()
            return 0
        for name, path in settings.named().items():  # a mistake is told here, and once
            open_served(name, path)
        context = multiprocessing.get_context("spawn")
        memory = context.RawArray("d", settings.workers * size)
        log("listening", address=f"http://{address_of(settings.host, listening)}", workers=settings.workers)
        return _supervise(context, settings, listening, memory)
    finally:
        listening.close()


class _Worker:
    """One process that answers."""

    def __init__(self, settings: Settings, listening: socket.socket, metrics: Metrics) -> None:
        warnings.simplefilter("ignore", PixelWarning)  # they are for whoever sends the images
        self._settings, self._listening = settings, listening
        networks = {name: open_served(name, path) for name, path in settings.named().items()}
        self._app = App(networks, settings, metrics)
        port = listening.getsockname()[1]
        guard = Guard(self._app.app, metrics, settings, port)
        libraries = logging.getLogger("uvicorn")
        libraries.handlers, libraries.propagate = [LogHandler(logging.WARNING)], False
        self._server = _Server(
            guard,
            ready=self._tell_ready,
            timeout=settings.timeout,
            slow=lambda client, why: log("slow client", why=why, client=client),
            backlog=BACKLOG,
            limit_concurrency=_most_connections(),
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=max(1, round(settings.drain)),
        )

    def _tell_ready(self) -> None:
        if self._settings.workers == 1:
            log("listening", address=f"http://{address_of(self._settings.host, self._listening)}", workers=1)

    def run(self) -> None:
        """Answer until told to end."""
        # What has been loaded stays: collections would look through it again and again, while requests wait.
        gc.collect()
        gc.freeze()
        try:
            self._server.run(sockets=[self._listening])
        finally:
            self._app.close()
            log("ended", process=os.getpid())


class _Server(Server):
    """A server that is not ended a second time by the signal that ended it."""

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        # uvicorn raises the signal again when it has ended; this is where it then arrives.
        before = {number: signal.signal(number, _pass) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            asyncio.run(self.serve(sockets=sockets))
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _pass(number: int, frame: FrameType | None) -> None:
    pass


def _most_connections() -> int:
    """Return how many connections a worker may have, after raising the system's limit as far as it goes."""
    try:
        import resource
    except ImportError:
        return 512 - SPARE_FILES  # what Windows' select takes
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
        except (OSError, ValueError):
            pass
    return MOST_CONNECTIONS if soft == resource.RLIM_INFINITY else max(16, min(wanted, soft) - SPARE_FILES)


def _answer(settings: Settings, listening: socket.socket, memory: Any, number: int, code: str, threads: int) -> None:
    """Be a worker: the first function of its process."""
    use_language(code)
    set_threads(threads)
    _Worker(settings, listening, Metrics(list(settings.named()), settings.workers, number, memory)).run()


def _supervise(context: Any, settings: Settings, listening: socket.socket, memory: Any) -> int:
    """Start the workers, and another one in the place of each that ends, until told to end."""
    threads = max(1, most_threads() // settings.workers)
    ending = False

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal ending
        ending = True

    def start(number: int) -> tuple[Any, float]:
        arguments = (settings, listening, memory, number, language(), threads)
        process = context.Process(target=_answer, args=arguments, name=f"rot180 serve: worker {number}", daemon=True)
        process.start()
        return process, monotonic()

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    short_lives = 0
    workers = [start(number) for number in range(settings.workers)]
    try:
        while not ending and short_lives < MOST_SHORT_LIVES:
            wait([process.sentinel for process, _ in workers], timeout=0.2)
            for number, (process, began) in enumerate(workers):
                if not process.is_alive() and not ending:
                    short_lives = short_lives + 1 if monotonic() - began < SHORT_LIFE else 0
                    log("worker ended", worker=number, status=process.exitcode)
                    workers[number] = start(number)
        return 0 if ending else 1
    finally:
        for process, _ in workers:
            process.terminate()
        until = monotonic() + settings.drain + 5
        for process, _ in workers:
            process.join(max(0.0, until - monotonic()))
            if process.is_alive():
                process.kill()
                process.join()
        for number, handler in before.items():
            signal.signal(number, handler)
        sys.stdout.flush()
