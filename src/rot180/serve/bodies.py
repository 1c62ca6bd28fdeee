"""How much memory the bodies of all requests may take together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request


class Bodies:
    """Reads bodies while there is room for them.

    Parameters
    ----------
    room : int
        Bytes of all bodies that are held at a time.
    """

    def __init__(self, room: int) -> None:
        self._room = room

    @asynccontextmanager
    async def reading(self, request: Request) -> AsyncIterator[bytes]:
        """Read a body, which counts as held until the end of the block.

        Raises
        ------
        HTTPException
            503 if there is no room for it; 400 if the client leaves before its end.
        """
        parts: list[bytes] = []
        taken = 0
        try:
            try:
                async for part in request.stream():
                    if len(part) > self._room:
                        raise HTTPException(503, "too many large requests at once; try again", {"retry-after": "1"})
                    taken += len(part)
                    self._room -= len(part)
                    parts.append(part)
            except ClientDisconnect:
                raise HTTPException(400, "the client left before the end of the body") from None
            yield b"".join(parts)
        finally:
            self._room += taken
