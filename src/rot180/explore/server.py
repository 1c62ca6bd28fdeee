"""The address, the browser, the end."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable

import uvicorn

from rot180.errors import ArgumentError
from rot180.explore.app import Explorer
from rot180.explore.guard import Guard
from rot180.explore.subject import Subject

LOOPBACK = "127.0.0.1"

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
    listening = _listen(host, port)
    place = f"[{host}]" if ":" in host else host
    explorer = Explorer(subject)
    guard = Guard(explorer.app, f"{place}:{listening.getsockname()[1]}")
    if not _is_loopback(host):
        tell(f"--host {host}: other machines can reach the page, unencrypted; whoever sees the address can use it")
    config = uvicorn.Config(
        guard,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=MOST_REQUESTS,
        timeout_graceful_shutdown=1,
    )
    server = _Server(config, ready=lambda: ready(guard.address), ending=explorer.close)
    explorer.owner.start()
    try:
        server.run(sockets=[listening])
    except KeyboardInterrupt:
        pass  # Ctrl-C is how it ends
    finally:
        explorer.close()
        listening.close()


class _Server(uvicorn.Server):
    """A server that tells when it answers, and when it ends, so that streams of events end as well."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None], ending: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready, self._ending = ready, ending

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._ending()
        await super().shutdown(sockets)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(128)
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ArgumentError(f"--host {host} --port {port}: {reason}; choose another port, or leave both out") from None
    return listening


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
