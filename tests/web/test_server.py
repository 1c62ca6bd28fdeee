"""Clients that are slow are let go by every server of the program."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from rot180.web.listening import LOOPBACK, listen
from rot180.web.server import Server

LONG = 20_000_000
"""Bytes: more than the buffers of the system hold."""

Slow = list[tuple[str | None, str]]


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[int, Slow]]:
    """The port of a server that never reads a body, and what it tells of slow clients."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(b"x" * LONG + b"end" if scope["path"] == "/long" else b"short")(scope, receive, send)

    slow: Slow = []
    ready, listening = threading.Event(), listen(LOOPBACK, 0)
    server = Server(
        app, ready=ready.set, timeout=0.2, slow=lambda *told: slow.append(told), timeout_graceful_shutdown=1
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    assert ready.wait(20)
    yield listening.getsockname()[1], slow
    server.should_exit = True
    thread.join(20)
    listening.close()


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (b"", "did not send the headers"),
        (b"GET / HTTP/1.1\r\nHost", "did not send the headers"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc", "did not send the body"),
        (b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n", "did not read the answer"),
    ],
)
def test_a_slow_client_is_let_go(running: tuple[int, Slow], sent: bytes, why: str) -> None:
    port, slow = running
    slow.clear()
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect((LOOPBACK, port))
    connection.sendall(sent)
    deadline = time.monotonic() + 10
    while not slow and time.monotonic() < deadline:
        time.sleep(0.01)
    connection.close()
    assert slow == [(LOOPBACK, why)]


def test_a_client_that_asks_again_in_time_is_kept(running: tuple[int, Slow]) -> None:
    port, slow = running
    slow.clear()
    with socket.create_connection((LOOPBACK, port), timeout=10) as connection:
        for path, end in ((b"/", b"short"), (b"/long", b"end"), (b"/", b"short")):
            connection.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = b""
            while not answer.endswith(end):
                part = connection.recv(1 << 20)
                assert part, "the connection was closed"
                answer = answer[-10:] + part
            time.sleep(0.25)
    assert slow == []


@pytest.mark.parametrize("part", [b"x: y\r\n", b"y"])
def test_headers_without_end_are_refused(running: tuple[int, Slow], part: bytes) -> None:
    port, slow = running
    slow.clear()
    with socket.create_connection((LOOPBACK, port), timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nx: ")
        try:
            for _ in range(20):
                connection.sendall(part * (10_000 // len(part)))
            answer = connection.recv(1000)
        except ConnectionError:  # closed while more was on its way
            answer = b"HTTP/1.1 400"
    assert answer.startswith(b"HTTP/1.1 400")
    assert slow == []


def test_requests_that_follow_each_other_at_once_are_all_answered(running: tuple[int, Slow]) -> None:
    with socket.create_connection((LOOPBACK, running[0]), timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 2 + b"GET / HTTP/1.1\r\nHo")
        time.sleep(0.05)
        connection.sendall(b"st: x\r\n\r\n")
        answer = b""
        while answer.count(b"short") < 3:
            part = connection.recv(1 << 16)
            assert part, f"closed after {answer!r}"
            answer += part
