"""Bodies are held while there is room for them, and give it back whatever becomes of the request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from rot180.serve.bodies import Bodies


def request(*messages: dict[str, Any]) -> Request:
    left = list(messages)

    async def receive() -> dict[str, Any]:
        return left.pop(0)

    return Request({"type": "http", "headers": []}, receive)


def whole(body: bytes) -> Request:
    return request({"type": "http.request", "body": body})


def cut() -> Request:
    return request({"type": "http.request", "body": b"012", "more_body": True}, {"type": "http.disconnect"})


def grown() -> Request:
    parts = (b"01234", b"56789", b"0")
    return request(*({"type": "http.request", "body": part, "more_body": True} for part in parts))


def test_bodies_beyond_the_room_are_refused_until_others_have_ended() -> None:
    async def fill() -> None:
        bodies = Bodies(10)
        async with bodies.reading(whole(b"0123456")) as first:
            assert first == b"0123456"
            with pytest.raises(HTTPException, match="too many large requests at once; try again") as refused:
                async with bodies.reading(whole(b"0123")):
                    pass
            assert (refused.value.status_code, refused.value.headers) == (503, {"retry-after": "1"})
            async with bodies.reading(whole(b"012")) as second:
                assert second == b"012"
        async with bodies.reading(whole(b"0123456789")) as third:
            assert third == b"0123456789"

    asyncio.run(fill())


@pytest.mark.parametrize(("broken", "status"), [(cut, 400), (grown, 503)])
def test_what_is_not_read_to_its_end_leaves_no_room_taken(broken: Callable[[], Request], status: int) -> None:
    async def fill() -> None:
        bodies = Bodies(10)
        for _ in range(5):
            with pytest.raises(HTTPException) as refused:
                async with bodies.reading(broken()):
                    pass
            assert refused.value.status_code == status
        async with bodies.reading(whole(b"0123456789")) as body:
            assert len(body) == 10

    asyncio.run(fill())
