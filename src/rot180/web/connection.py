"""Clients that are slow to ask, or to read the answer, are let go; so are those whose headers do not end.

A request's headers have `timeout` seconds, its body as many again, unless `bodies.py` has answered before with 408,
and an answer that does not fit the buffers of the system has `timeout` seconds to be read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

TIMEOUT = 10.0
"""Seconds that a client may take, unless a server is given others."""

MOST_HEADERS = 1 << 16
"""Bytes of a request before its body."""


class Connection(HttpToolsProtocol):
    """A connection to a client, which is closed if the client is too slow."""

    timeout: float
    slow: Callable[[str | None, str], None]
    """Set by `connection_class`."""

    _awaited = "headers"
    """The part of a request that has not arrived as a whole: headers, body, or none."""

    _bytes_of_headers = 0
    _late: asyncio.TimerHandle | None = None
    _stuck: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take some of a request."""
        if self._awaited == "none":
            self._awaited, self._bytes_of_headers = "headers", 0
        super().data_received(data)
        if self._awaited == "headers":
            self._bytes_of_headers += len(data)
            if self._bytes_of_headers > MOST_HEADERS:
                self.send_400_response(f"The headers are longer than {MOST_HEADERS:,} bytes.")
        self._watch()

    def on_message_begin(self) -> None:
        """Begin to wait for the headers of a request that follows another one at once."""
        self._awaited, self._bytes_of_headers = "headers", 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Begin to wait for the body.

        Raises
        ------
        ValueError
            No host is named, or several; the client is told that its request is invalid.
        """
        if [name for name, _ in self.headers].count(b"host") != 1 and self.parser.get_http_version() != "1.0":
            raise ValueError("a request must name one host")
        self._awaited, self._bytes_of_headers = "body", 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Wait no more."""
        self._awaited = "none"
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        self._may_go_on()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Begin to wait for the client to read."""
        super().pause_writing()
        self._stuck = self._stuck or self.loop.call_later(self.timeout, self._let_go, "did not read the answer")

    def resume_writing(self) -> None:
        """Stop waiting for the client to read."""
        self._may_go_on()
        super().resume_writing()

    def _watch(self) -> None:
        """Let time run as long as a part of a request is missing."""
        if self._awaited == "none":
            self._stop_waiting()
        elif self._late is None:
            self._late = self.loop.call_later(self.timeout, self._has_taken_long)

    def _stop_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _may_go_on(self) -> None:
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None

    def _has_taken_long(self) -> None:
        if self._awaited == "body":
            self._late = self.loop.call_later(self.timeout, self._let_go, "did not send the body")
        elif self.cycle is None or self.cycle.response_complete:
            self._let_go("did not send the headers")

    def _let_go(self, why: str) -> None:
        self.slow(self.client[0] if self.client else None, why)
        self.transport.abort()


def connection_class(timeout: float, slow: Callable[[str | None, str], None]) -> type[Any]:
    """Return the class of connections whose clients have so many seconds; `slow` is told of those that are let go."""
    return type("Connection", (Connection,), {"timeout": timeout, "slow": staticmethod(slow)})
