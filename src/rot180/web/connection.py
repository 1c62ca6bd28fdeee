"""Clients that are slow to ask, or to read the answer, are let go.

A request's headers have `timeout` seconds, its body as many again, unless `bodies.py` has answered before with 408,
and an answer that does not fit the buffers of the system has `timeout` seconds to be read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

TIMEOUT = 10.0
"""Seconds that a client may take, unless a server is given others."""


class Connection(H11Protocol):
    """A connection to a client, which is closed if the client is too slow."""

    timeout: float
    slow: Callable[[str | None, str], None]
    """Set by `connection_class`."""

    _late: asyncio.TimerHandle | None = None
    _stuck: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take some of a request."""
        super().data_received(data)
        self._watch()

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
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
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
        if self.conn.their_state is h11.SEND_BODY:
            self._late = self.loop.call_later(self.timeout, self._let_go, "did not send the body")
        elif self.conn.our_state is h11.IDLE:
            self._let_go("did not send the headers")

    def _let_go(self, why: str) -> None:
        self.slow(self.client[0] if self.client else None, why)
        self.transport.abort()


def connection_class(timeout: float, slow: Callable[[str | None, str], None]) -> type[Any]:
    """Return the class of connections whose clients have so many seconds; `slow` is told of those that are let go."""
    return type("Connection", (Connection,), {"timeout": timeout, "slow": staticmethod(slow)})
