"""Every request that is not the page's own is refused, and nothing that is sent brings the program down."""

from __future__ import annotations

import asyncio
import json
import signal
from typing import Any

import pytest
from hostile import attack, kill_while_it_trains
from serving import Served, start
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from rot180.cli import main
from rot180.explore.guard import MAX_BODY, Guard


def test_the_page_is_served_with_a_strict_policy(served: Served) -> None:
    status, headers, body = served.ask("GET", "/")
    assert status == 200
    assert b"<main" in body
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert not [name for name in headers if name.startswith("access-control")]


def test_the_token_is_good_once_and_the_cookie_is_for_this_page_only(served: Served) -> None:
    used = served.address.removeprefix(f"http://{served.host}")
    status, headers, body = served.ask("GET", used, Cookie=None)
    assert status == 403
    assert b"has been used or is wrong" in body
    assert "set-cookie" not in headers


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/api/subject", {"Host": "example.com"}, 421),
        ("GET", "/api/subject", {"Host": "127.0.0.1"}, 421),
        ("GET", "/api/subject", {"Host": "localhost:80"}, 421),
        ("GET", "/api/subject", {"Host": None}, 400),  # not HTTP/1.1
        ("GET", "/api/subject", {"Cookie": None}, 403),
        ("GET", "/api/subject", {"Cookie": "rot180=wrong"}, 403),
        ("GET", "/main.js", {"Cookie": None}, 403),
        ("GET", "/", {"Cookie": None}, 403),
        ("GET", "/?token=wrong", {"Cookie": None}, 403),
        ("GET", "/?" + "a&" * 50, {"Cookie": None}, 403),
        ("GET", "/?" + "a&" * 50, {"Sec_Fetch_Site": "cross-site"}, 200),  # a link to the page
        ("GET", "/?token=" + "x" * 2000, {}, 403),
        ("GET", "/?token=%ff%00", {}, 403),
        ("GET", "/api/subject", {"Sec_Fetch_Site": "cross-site"}, 403),
        ("GET", "/api/subject", {"Sec_Fetch_Site": "same-site"}, 403),
        ("POST", "/api/pass", {"Origin": None}, 403),
        ("POST", "/api/pass", {"Origin": "http://example.com"}, 403),
        ("POST", "/api/pass", {"Origin": "null"}, 403),
        ("POST", "/api/pass", {"Sec_Fetch_Site": "cross-site"}, 403),
        ("POST", "/api/pass", {"Cookie": None}, 403),
        ("POST", "/api/pass", {"Content_Type": "text/plain"}, 415),
        ("POST", "/api/pass", {"Content_Type": "application/x-www-form-urlencoded"}, 415),
        ("POST", "/api/subject", {}, 405),
        ("PUT", "/api/pass", {}, 405),
        ("DELETE", "/", {}, 405),
        ("GET", "/../pyproject.toml", {}, 404),
        ("GET", "/%2e%2e%2fapp.py", {}, 404),
        ("GET", "/app.py", {}, 404),
        ("GET", "/api/nothing", {}, 404),
        ("GET", "/api/pass/1/none", {}, 400),
        ("GET", "/api/images/999999", {}, 400),
    ],
)
def test_what_is_not_the_pages_own_request_is_refused(
    served: Served, method: str, path: str, headers: dict[str, str | None], status: int
) -> None:
    found, answered, _ = served.ask(method, path, b"{}" if method == "POST" else None, **headers)
    assert found == status
    assert found == 400 or "content-security-policy" in answered


def test_a_body_that_is_too_long_is_refused_by_its_header_and_by_its_bytes(served: Served) -> None:
    body = b"[" + b"1," * (MAX_BODY // 2) + b"1]"
    assert served.ask("POST", "/api/pass", None, Content_Length=str(MAX_BODY + 1))[0] == 413
    chunked = hex(len(body))[2:].encode() + b"\r\n" + body + b"\r\n0\r\n\r\n"
    assert served.ask("POST", "/api/pass", chunked, Content_Length=None, Transfer_Encoding="chunked")[0] == 413
    assert served.get("/api/subject")["classes"][0] == "0"


def test_a_body_that_is_announced_and_never_sent_is_refused() -> None:
    host, answers = "127.0.0.1:8000", list[dict[str, Any]]()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Request(scope, receive).body()

    async def ask(method: str, path: str, **headers: str) -> None:
        async def receive() -> Any:
            await asyncio.sleep(60)

        async def send(message: Any) -> None:
            answers.append(message)

        pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in {"host": host, **headers}.items()]
        path, _, query = path.partition("?")
        scope = {"type": "http", "method": method, "path": path, "query_string": query.encode(), "headers": pairs}
        await guard(scope, receive, send)

    guard = Guard(app, host, timeout=0.02)
    asyncio.run(ask("GET", guard.address.removeprefix(f"http://{host}")))
    cookie = dict(answers[0]["headers"])[b"set-cookie"].decode().partition(";")[0]
    own = {"cookie": cookie, "origin": f"http://{host}", "content_type": "application/json", "content_length": "9"}
    with pytest.raises(HTTPException, match=r"the body took longer than 0.02 s") as refused:
        asyncio.run(ask("POST", "/api/pass", **own))
    assert refused.value.status_code == 408


@pytest.mark.parametrize(
    ("path", "command", "reason"),
    [
        ("/api/pass", {}, "image must be a whole number from 0 to"),
        ("/api/pass", {"image": -1}, "image must be a whole number from 0 to"),
        ("/api/pass", {"image": True}, "image must be a whole number from 0 to"),
        ("/api/pass", {"image": 1e3}, "image must be a whole number from 0 to"),
        ("/api/pass", {"pixels": "AAAA"}, "pixels must be 64 bytes in base64, one for each pixel and channel; got 3"),
        ("/api/pass", {"pixels": "not base64"}, "pixels must be 64 bytes in base64"),
        ("/api/pass", {"pixels": [1, 2]}, "pixels must be 64 bytes in base64"),
        ("/api/attribution", {"image": 0, "class": 10}, "class must be a whole number from 0 to 9"),
        ("/api/pass", [], "a command is one JSON object"),
        ("/api/ledger", {"pass": 999, "cell": "loss"}, "pass 999 is no longer kept; choose the image again"),
        ("/api/ledger", {"pass": 1, "cell": 7}, "cell must be the name of a number"),
        (
            "/api/train",
            {"command": "fly"},
            "unknown command 'fly'; known: begin, run, pause, step, restart, replay, watch, ignore",
        ),
        ("/api/train", {"command": "step", "steps": "x"}, "steps must be a whole number"),
    ],
)
def test_a_command_that_cannot_be_carried_out_is_answered_with_the_reason(
    served: Served, path: str, command: object, reason: str
) -> None:
    status, _, body = served.ask("POST", path, json.dumps(command).encode())
    assert status == 400
    assert reason in json.loads(body)["error"]


def test_generated_requests_never_bring_it_down(served: Served) -> None:
    statuses, faults = attack(served, 150, seed=1)
    assert faults == []
    assert {200, 400, 403, 405, 421} <= statuses.keys()
    assert served.get("/api/subject")["count"] > 100


def test_after_it_was_killed_it_starts_again_on_its_port_which_is_then_taken_and_ctrl_c_ends_it_silently(
    capsys: pytest.CaptureFixture[str],
) -> None:
    port = kill_while_it_trains(0)
    process, served = start("8x8x1 > conv3x3:8 relu > fc10", "--data", "digits", "--port", str(port))
    served.open()
    served.post("/api/train", {"command": "run"})
    assert main(["explore", "8x8x1 > fc10", "--port", str(port)]) == 2
    assert "choose another port" in capsys.readouterr().err
    assert served.ask("GET", "/", x="\0")[0] == 400
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20) == ("", "")
    assert process.returncode == 0
