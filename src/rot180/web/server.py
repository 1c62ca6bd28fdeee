"""A server of HTTP/1.1 that tells when it answers, and lets slow clients go."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from rot180.web.connection import TIMEOUT, connection_class


class Server(uvicorn.Server):
    """A server that tells when it answers, and lets slow clients go.

    Parameters
    ----------
    app : ASGI application
    ready : callable
        Called when the server answers.
    timeout : float
        Seconds that a client may take to send a request's headers, or to read the answer.
    slow : callable
        Called with the address of a client that is let go, and with what it did not do.
    options
        Of `uvicorn.Config`.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        ready: Callable[[], None],
        timeout: float = TIMEOUT,
        slow: Callable[[str | None, str], None] = lambda client, why: None,
        **options: Any,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=connection_class(timeout, slow),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                **options,
            )
        )
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, and tell."""
        await super().startup(sockets)
        self._ready()
