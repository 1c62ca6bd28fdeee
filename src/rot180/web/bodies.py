"""Bodies of requests: how long they may be, and how long they may take."""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope


def bounded(scope: Scope, receive: Receive, most: int, seconds: float) -> Receive:
    """Return the same messages, but no body that is too long or takes too long.

    Parameters
    ----------
    scope, receive
        A request's; its headers have just arrived.
    most : int
        Bytes of the body, whatever its header says.
    seconds : float
        From now to the end of the body.

    Raises
    ------
    HTTPException
        413 or 408, when the messages are received.
    """
    has_ended, taken = False, 0
    until = asyncio.get_running_loop().time() + seconds
    is_too_long = says_too_long(Headers(scope=scope), most)

    async def receive_bounded() -> Message:
        nonlocal has_ended, taken
        if has_ended:  # what follows is that the client leaves, whenever that may be
            return await receive()
        if not is_too_long:
            try:
                async with asyncio.timeout_at(until):
                    message = await receive()
            except TimeoutError:
                reason = f"the body took longer than {seconds:g} s; send it without pauses, or send less at once"
                raise HTTPException(408, reason, {"connection": "close"}) from None
            has_ended = not message.get("more_body", False)
            taken += len(message.get("body", b""))
            if taken <= most:
                return message
        raise HTTPException(413, f"the body is longer than {most:,} bytes, which is the limit; send less at once")

    return receive_bounded


def says_too_long(headers: Headers, most: int) -> bool:
    """Return whether a request announces a body of more than `most` bytes, or of a length that is no number.

    >>> says_too_long(Headers({"content-length": "8"}), 7), says_too_long(Headers({}), 7)
    (True, False)
    """
    length = headers.get("content-length", "0")
    return not (length.isascii() and length.isdigit()) or int(length[:15]) > most
