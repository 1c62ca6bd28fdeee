"""The address, the browser, the end."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from starlette.types import ASGIApp

from rot180.explore.app import Explorer
from rot180.explore.guard import Guard
from rot180.explore.subject import Subject
from rot180.web.listening import LOOPBACK, address_of, is_loopback, listen
from rot180.web.server import Server

MOST_REQUESTS = 100
"""Requests that are answered at once."""


def explore(
    subject: Subject, *, host: str = LOOPBACK, port: int = 0, ready: Callable[[str], None], tell: Callable[[str], None]
) -> None:
    """Serve the page until Ctrl-C.

    Parameters
    ----------
    subject : Subject
    host : str
        Whose requests are answered: by default this machine's only.
    port : int
        0 for any free one.
    ready : callable
        Called with the address once it can be opened. It is good for one browser.
    tell : callable
        Called with a warning if other machines can reach the page.

    Raises
    ------
    ArgumentError
        The host is unknown, or the port is taken.
    """
    listening = listen(host, port)
    explorer = Explorer(subject)
    guard = Guard(explorer.app, address_of(host, listening))
    if not is_loopback(host):
        tell(f"--host {host}: other machines can reach the page, unencrypted; whoever sees the address can use it")
    server = _Server(
        guard,
        ready=lambda: ready(guard.address),
        ending=explorer.close,
        limit_concurrency=MOST_REQUESTS,
        log_level="error",  # of requests that are no valid HTTP, nobody at the terminal needs to be told
        timeout_graceful_shutdown=1,
    )
    explorer.owner.start()
    try:
        server.run(sockets=[listening])
    except KeyboardInterrupt:
        pass  # Ctrl-C is how it ends
    finally:
        explorer.close()
        listening.close()


class _Server(Server):
    """A server that tells when it ends, so that streams of events end as well."""

    def __init__(self, app: ASGIApp, *, ending: Callable[[], None], **options: Any) -> None:
        super().__init__(app, **options)
        self._ending = ending

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._ending()
        await super().shutdown(sockets)
