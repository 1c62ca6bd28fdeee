"""Bodies that are too long or too slow are refused, whatever their headers say and whichever server reads them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from rot180.web.bodies import bounded

NEVER = None
"""What is announced, and does not come."""


def read(parts: list[bytes | None], *, length: str | None = None, most: int = 10, seconds: float = 5.0) -> bytes:
    """Read a body that arrives in parts."""
    headers = [] if length is None else [(b"content-length", length.encode())]
    scope: dict[str, Any] = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": headers}
    left = list(parts)

    async def receive() -> dict[str, Any]:
        part = left.pop(0)
        if part is NEVER:
            await asyncio.sleep(60)
        return {"type": "http.request", "body": part, "more_body": bool(left)}

    async def find() -> bytes:
        return await Request(scope, bounded(scope, receive, most, seconds)).body()

    return asyncio.run(find())


def test_a_body_within_the_limits_arrives_as_it_was_sent() -> None:
    assert read([b"01234", b"", b"56789"], length="10") == b"0123456789"
    assert read([b""]) == b""


@pytest.mark.parametrize(
    ("parts", "length"),
    [
        ([b"01234", b"567890"], None),
        ([b"01234567890"], "3"),
        ([NEVER], "11"),
        ([NEVER], "-1"),
        ([NEVER], "1e1"),
        ([NEVER], "9" * 5000),
    ],
)
def test_a_body_that_is_too_long_is_refused_as_soon_as_that_is_known(
    parts: list[bytes | None], length: str | None
) -> None:
    with pytest.raises(HTTPException, match="the body is longer than 10 bytes, which is the limit") as refused:
        read(parts, length=length)
    assert refused.value.status_code == 413


@pytest.mark.parametrize("parts", [[NEVER], [b"0", NEVER]])
def test_a_body_that_is_announced_and_does_not_come_is_refused(parts: list[bytes | None]) -> None:
    with pytest.raises(HTTPException, match=r"the body took longer than 0.02 s; send it without pauses") as refused:
        read(parts, length="5", seconds=0.02)
    assert refused.value.status_code == 408
    assert refused.value.headers == {"connection": "close"}


def test_after_the_body_a_client_may_stay_as_long_as_it_likes() -> None:
    messages = [{"type": "http.request", "body": b"0"}, {"type": "http.disconnect"}]

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0.03)
        return messages.pop(0)

    async def find() -> list[str]:
        bound = bounded({"type": "http", "headers": []}, receive, 1, 0.05)
        return [(await bound())["type"], (await bound())["type"]]

    assert asyncio.run(find()) == ["http.request", "http.disconnect"]
