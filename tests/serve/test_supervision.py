"""What a server does when its workers cannot live, and when more is asked of the page than it can do."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import pytest

import rot180
from rot180.serve import Settings, pictures, server
from rot180.serve.app import LOOKS_AT_ONCE, LOOKS_WAITING, App
from rot180.serve.metrics import Metrics
from rot180.serve.served import Served


class Dead:
    """A process that ends as soon as it starts."""

    exitcode = 3
    started = 0

    def __init__(self, **given: Any) -> None:
        self.sentinel, other = socket.socketpair()
        other.close()

    def start(self) -> None:
        Dead.started += 1
        assert Dead.started < 20

    def is_alive(self) -> bool:
        self.sentinel.close()
        return False

    def terminate(self) -> None:
        pass

    def join(self, timeout: float | None = None) -> None:
        pass


class Context:
    """Starts such processes."""

    Process = Dead


def test_a_server_whose_workers_die_at_once_gives_up(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        assert server._supervise(Context(), Settings(["x"], workers=2), listening, None) == 1
    assert 4 <= Dead.started < 10
    assert '"event": "worker ended", "worker": 0, "status": 3' in capsys.readouterr().out


def test_only_so_many_images_wait_to_be_examined(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    monkeypatch.setattr(pictures, "look", lambda *_: b"" if gate.wait(20) else None)
    model = rot180.network("8x8x1 > fc3").build(seed=0)
    app = App({"x": Served("x", model)}, Settings(["x"]), Metrics(["x"]))

    async def look() -> tuple[int, dict[bytes, bytes]]:
        answers: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": b"an image"}

        async def send(message: Any) -> None:
            answers.append(message)

        scope = {"type": "http", "method": "POST", "path": "/look", "query_string": b"", "headers": []}
        await app.app(scope, receive, send)
        return answers[0]["status"], dict(answers[0]["headers"])

    async def look_often() -> None:
        most = LOOKS_AT_ONCE + LOOKS_WAITING
        tasks = [asyncio.create_task(look()) for _ in range(most)]
        await asyncio.sleep(0.05)
        try:
            status, headers = await asyncio.wait_for(look(), 5)
            assert (status, headers[b"retry-after"]) == (503, b"5")
        finally:
            gate.set()
        assert [status for status, _ in await asyncio.gather(*tasks)] == [200] * most
        assert (await look())[0] == 200

    try:
        asyncio.run(look_often())
    finally:
        app.close()
