"""Reading a body: how long it may be, how long it may take, and how much memory all of them may take together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from rot180.web.guard import says_too_large

BODIES_AT_ONCE = 16
"""How many bodies of the greatest length may be held at a time."""


class Bodies:
    """Reads bodies.

    Parameters
    ----------
    most : int
        Bytes of a body.
    timeout : float
        Seconds from the end of the headers to the end of the body.
    """

    def __init__(self, most: int, timeout: float) -> None:
        self._most, self._timeout = most, timeout
        self._room = BODIES_AT_ONCE * most

    @asynccontextmanager
    async def reading(self, request: Request) -> AsyncIterator[bytes]:
        """Read a body, which counts as held until the end of the block.

        Raises
        ------
        HTTPException
            413 if it is too long, 408 if it takes too long, 503 if there is no room for another one.
        """
        if says_too_large(request.headers, self._most):
            raise self._too_long()
        parts: list[bytes] = []
        taken = 0
        try:
            try:
                async with asyncio.timeout(self._timeout):
                    async for part in request.stream():
                        if len(part) > self._room:
                            raise HTTPException(503, "too many large requests at once; try again", {"retry-after": "1"})
                        taken += len(part)
                        self._room -= len(part)
                        if taken > self._most:
                            raise self._too_long()
                        parts.append(part)
            except TimeoutError:
                seconds = f"{self._timeout:g}"
                raise HTTPException(408, f"the body took longer than {seconds} s", {"connection": "close"}) from None
            except ClientDisconnect:
                raise HTTPException(400, "the client left before the end of the body") from None
            yield b"".join(parts)
        finally:
            self._room += taken

    def _too_long(self) -> HTTPException:
        return HTTPException(413, f"the body is longer than {self._most:,} bytes; --max-body sets the limit")
