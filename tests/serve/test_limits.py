"""Who may ask, how long, and how slowly; and what happens at the end."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asking import Server, start

import rot180
from rot180.serve import Settings
from rot180.serve.guard import Guard
from rot180.serve.metrics import Metrics

TOKEN = "a-token-of-some-length"

MANY = 4000
"""Images that keep a network busy for a while."""


@pytest.fixture(scope="module")
def strict(folder: Path) -> Iterator[Server]:
    """A server with a token and tight limits."""
    found = start(
        *("--timeout", "1", "--max-body", "0.3", "--max-queue", "4", "--max-batch", "1", "--no-page"),
        *(folder / "digits.safetensors", folder / "maps.safetensors"),
        token=TOKEN,
    )
    yield found
    if found.process.poll() is None:  # the last test has ended it
        assert found.end() == 0


def _request(images: np.ndarray) -> tuple[bytes, str]:  # type: ignore[type-arg]
    head = json.dumps(
        {
            "inputs": [
                {
                    "name": "images",
                    "shape": list(images.shape),
                    "datatype": "UINT8",
                    "parameters": {"binary_data_size": images.nbytes},
                }
            ],
            "parameters": {"binary_data_output": True},
        }
    ).encode()
    return head + images.tobytes(), str(len(head))


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/v2", {"Host": "example.com"}, 421),
        ("GET", "/v2", {"Host": "127.0.0.1"}, 421),
        ("GET", "/v2", {"Host": None}, 400),
        ("GET", "/v2", {"Sec_Fetch_Site": "cross-site"}, 403),
        ("GET", "/v2", {"Sec_Fetch_Site": "same-site"}, 403),
        ("GET", "/", {"Sec_Fetch_Site": "cross-site"}, 200),  # a link leads here
        ("POST", "/predict", {"Origin": "http://example.com"}, 403),
        ("POST", "/predict", {"Origin": "null"}, 403),
        ("POST", "/", {}, 405),
        ("PUT", "/predict", {}, 405),
        ("DELETE", "/v2", {}, 405),
        ("GET", "/predict", {}, 405),
        ("GET", "/v2/models/digits/infer", {}, 405),
        ("GET", "/../pyproject.toml", {}, 404),
        ("GET", "/%2e%2e%2fapp.py", {}, 404),
        ("GET", "/app.py", {}, 404),
        ("GET", "/v2/models/..%2f..", {}, 404),
    ],
)
def test_requests_of_other_pages_and_for_other_hosts_are_refused(
    server: Server, method: str, path: str, headers: dict[str, str | None], status: int
) -> None:
    found, answered, _ = server.ask(method, path, b"x" if method == "POST" else None, **headers)
    assert found == status
    if found not in (400, 405, 404):
        assert "default-src 'none'" in answered["content-security-policy"]
        assert answered["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("method", "path", "host", "reason"),
    [
        ("GET", "/predict", "", "/predict does not take GET requests; use POST"),
        ("DELETE", "/v2", "", "/v2 does not take DELETE requests; use GET or HEAD"),
        ("GET", "/v2/nothing", "", "there is nothing at /v2/nothing"),
        ("GET", "/v2", "x", "the header Host must name this machine, as 127.0.0.1:"),
    ],
)
def test_a_refusal_says_what_to_do(server: Server, method: str, path: str, host: str, reason: str) -> None:
    _, _, answer = server.ask(method, path, Host=host or server.host)
    assert reason in json.loads(answer)["error"]


def test_localhost_is_this_machine_as_well(server: Server) -> None:
    assert server.ask("GET", "/v2", Host=f"localhost:{server.port}")[0] == 200
    assert server.ask("GET", "/v2", Origin=f"http://{server.host}")[0] == 200


def test_a_token_is_asked_for_but_by_probes(strict: Server) -> None:
    for path in ("/v2/health/live", "/v2/health/ready"):
        assert strict.ask("GET", path, Authorization=None)[0] == 200
    for path in ("/", "/metrics", "/v2", "/v2/models/digits", "/v2/models/digits/ready", "/nothing"):
        for given in (None, "Bearer wrong-token-of-some-length", f"Basic {TOKEN}", TOKEN, "Bearer", "Bearer é"):
            status, headers, body = strict.ask("GET", path, Authorization=given)
            assert (status, headers["www-authenticate"]) == (401, "Bearer"), path
            assert b"send the token" in body
    assert strict.ask("GET", "/v2")[0] == 200
    assert strict.ask("GET", "/v2", Host="behind.a.proxy")[0] == 200
    assert strict.ask("POST", "/predict", b"x", Authorization=None)[0] == 401


def test_a_browser_exchanges_the_token_for_a_cookie(strict: Server) -> None:
    status, headers, _ = strict.ask("GET", f"/?token={TOKEN}", Authorization=None)
    assert (status, headers["location"]) == (303, "/")
    assert "httponly" in headers["set-cookie"].lower()
    assert "samesite=strict" in headers["set-cookie"].lower()
    cookie = headers["set-cookie"].partition(";")[0]
    assert strict.ask("GET", "/v2", Authorization=None, Cookie=cookie)[0] == 200
    assert strict.ask("GET", "/v2", Authorization=None, Cookie=cookie[:-1])[0] == 401
    assert TOKEN not in cookie
    assert strict.ask("GET", "/?token=wrong", Authorization=None)[0] == 401
    assert strict.ask("GET", "/?" + "a&" * 50, Authorization=None)[0] == 401


def test_the_cookie_belongs_to_the_token_and_is_the_same_in_all_workers() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError

    def cookie(token: str) -> bytes:
        answers: list[Any] = []

        async def send(message: Any) -> None:
            answers.append(message)

        guard = Guard(app, Metrics(["x"]), Settings(["x"], token=token), 8000)
        query = f"token={token}".encode()
        scope = {"type": "http", "method": "GET", "path": "/", "query_string": query, "headers": []}
        asyncio.run(guard(scope, send, send))
        return dict(answers[0]["headers"])[b"set-cookie"]

    assert cookie(TOKEN) == cookie(TOKEN) != cookie(TOKEN + "-")


def test_without_a_page_there_is_none(strict: Server) -> None:
    for method, path in (
        ("GET", "/"),
        ("GET", "/main.js"),
        ("GET", "/models"),
        ("POST", "/look"),
        ("POST", "/reasons"),
    ):
        assert strict.ask(method, path, b"x" if method == "POST" else None)[0] == 404


def test_a_body_that_is_too_long_is_refused_by_its_header_and_by_its_bytes(strict: Server) -> None:
    body = b"x" * 300_001
    status, _, answer = strict.ask("POST", "/predict", body)
    assert status == 413
    assert "the body is longer than 300,000 bytes" in json.loads(answer)["error"]
    chunked = hex(len(body))[2:].encode() + b"\r\n" + body + b"\r\n0\r\n\r\n"
    assert strict.ask("POST", "/predict", chunked, Content_Length=None, Transfer_Encoding="chunked")[0] == 413
    assert strict.ask("POST", "/predict", b"", Content_Length="9" * 400)[0] in (400, 413)
    assert strict.ask("POST", "/predict", b"x" * 300_000)[0] == 400  # no image, but short enough
    assert strict.ask("GET", "/v2/health/ready")[0] == 200


def test_a_full_queue_answers_503_and_when_to_come_back(strict: Server) -> None:
    images = np.zeros((MANY, 8, 8, 1), np.uint8)
    body, length = _request(images)
    assert len(body) < 300_000
    busy: list[int] = []

    def ask() -> None:
        while 200 not in busy:  # refused, too, while another one waits
            headers = {"Inference_Header_Content_Length": length}
            busy.append(strict.ask("POST", "/v2/models/digits/infer", body, **headers)[0])

    thread = threading.Thread(target=ask)
    thread.start()
    one, length_of_one = _request(images[:1])
    seen = set()
    while thread.is_alive():
        status, headers, _ = strict.ask(
            "POST", "/v2/models/digits/infer", one, Inference_Header_Content_Length=length_of_one
        )
        seen.add(status)
        if status == 503:
            assert int(headers["retry-after"]) >= 1
    thread.join()
    assert 503 in seen <= {200, 503}
    assert strict.metric("rot180_refused_total") >= 1
    assert strict.metric('rot180_requests_total{route="infer",status="503"}') >= 1


def _closed_after(connection: socket.socket, seconds: float) -> bytes:
    """Return what came until the other side closed the connection, within so many seconds."""
    connection.settimeout(seconds)
    found = b""
    try:
        while part := connection.recv(65536):
            found += part
    except ConnectionResetError:
        pass
    connection.close()
    return found


def test_clients_that_are_slow_to_ask_are_let_go(strict: Server) -> None:
    authorized = f"Host: x\r\nAuthorization: Bearer {TOKEN}\r\n".encode()
    silent, head = strict.raw(b""), strict.raw(b"GET /v2 HTTP/1.1\r\nHost")
    body = strict.raw(b"POST /predict HTTP/1.1\r\n" + authorized + b"Content-Length: 1000\r\n\r\nabc")
    again = strict.raw(b"GET /v2 HTTP/1.1\r\n" + authorized + b"\r\n")
    answer = b""
    while not answer.endswith(b"]}"):
        answer += again.recv(65536)
    assert answer.startswith(b"HTTP/1.1 200")
    again.sendall(b"GET /v2 HT")
    began = time.monotonic()
    assert _closed_after(silent, 5) == _closed_after(head, 5) == _closed_after(again, 5) == b""
    answer = _closed_after(body, 5)
    strict.logged(event="slow client", why="did not send the headers")
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"the body took longer than 1 s" in answer
    assert time.monotonic() - began < 5


def test_a_client_that_drips_a_body_is_let_go(strict: Server) -> None:
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 100000\r\n\r\n"
    connection = strict.raw(head.encode())
    began = time.monotonic()
    try:
        while time.monotonic() - began < 8:
            connection.sendall(b"x")
            time.sleep(0.05)
    except (ConnectionResetError, BrokenPipeError):
        pass
    connection.close()
    assert 0.5 < time.monotonic() - began < 5


def test_a_client_that_does_not_read_is_let_go(strict: Server) -> None:
    images = np.random.default_rng(0).integers(256, size=(MANY, 6, 6, 1), dtype=np.uint8)
    body, length = _request(images)
    body = body.replace(b"true", b"false", 1)  # numbers in JSON: megabytes, more than the buffers of the system hold
    head = f"Host: x\r\nAuthorization: Bearer {TOKEN}\r\nInference-Header-Content-Length: {int(length) + 1}\r\n"
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", strict.port))
    connection.sendall(
        f"POST /v2/models/maps/infer HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    )
    strict.logged(event="slow client", why="did not read the answer")
    connection.close()


def test_what_is_no_http_is_answered_with_400(server: Server) -> None:
    for data in (b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\nA" * 10, b"\r\n\r\nX\r\n\r\n"):
        assert _closed_after(server.raw(data + b"\r\n\r\n"), 15).startswith(b"HTTP/1.1 400")
    long = b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 100_000
    assert _closed_after(server.raw(long), 15)[:12] in (b"HTTP/1.1 431", b"HTTP/1.1 400", b"")
    assert server.ask("GET", "/v2/health/live")[0] == 200


def test_metrics_are_what_prometheus_reads(server: Server) -> None:
    before = server.metric('rot180_images_total{model="colors"}')
    images = np.zeros((5, 12, 12, 3), np.uint8)
    body, length = _request(images)
    assert server.ask("POST", "/v2/models/colors/infer", body, Inference_Header_Content_Length=length)[0] == 200
    assert server.metric('rot180_images_total{model="colors"}') == before + 5
    _, headers, text = server.ask("GET", "/metrics")
    assert headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    typed: dict[str, str] = {}
    for line in text.decode().splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in typed
            typed[name] = kind
        elif not line.startswith("# HELP "):
            found = re.fullmatch(r'([a-z0-9_]+)(\{(?:[a-z]+="[^"\\\n]*",?)+\})? ([0-9.e+-]+)', line)
            assert found, line
            family = re.sub("_(bucket|sum|count)$", "", found[1])
            assert typed.get(found[1]) in ("counter", "gauge") or typed[family] == "histogram"
    buckets = [
        float(line.rpartition(" ")[2])
        for line in text.decode().splitlines()
        if line.startswith('rot180_batch_images_bucket{model="colors"')
    ]
    assert buckets == sorted(buckets)
    assert server.metric("rot180_workers") == server.metric('rot180_ready_workers{model="colors"}') == 1


def test_batches_and_times_are_counted_in_their_buckets() -> None:
    metrics = Metrics(["a", "b"])
    for images in (1, 2, 5, 2000):
        metrics.ran("b", images, 0.25)
    metrics.answered("infer", 200, 0.003)
    metrics.answered("infer", 418, 99.0)
    lines = metrics.text({"a": 7, "b": 0}).splitlines()
    for line in (
        'rot180_batch_images_bucket{model="a",le="+Inf"} 0',
        'rot180_batch_images_bucket{model="b",le="1"} 1',
        'rot180_batch_images_bucket{model="b",le="4"} 2',
        'rot180_batch_images_bucket{model="b",le="8"} 3',
        'rot180_batch_images_bucket{model="b",le="1024"} 3',
        'rot180_batch_images_bucket{model="b",le="+Inf"} 4',
        'rot180_batch_images_sum{model="b"} 2008',
        'rot180_compute_seconds_total{model="b"} 1',
        'rot180_waiting_images{model="a"} 7',
        'rot180_request_seconds_bucket{route="infer",le="0.0025"} 0',
        'rot180_request_seconds_bucket{route="infer",le="0.005"} 1',
        'rot180_request_seconds_bucket{route="infer",le="10.0"} 1',
        'rot180_request_seconds_count{route="infer"} 2',
        'rot180_requests_total{route="infer",status="421"} 1',  # the last status of its hundred that is known
    ):
        assert line in lines, line


def test_the_log_has_a_json_object_a_line(server: Server) -> None:
    server.ask("GET", "/v2/models/%1b%5b2J%7f")
    line = server.logged(event="request", path="/v2/models/\x1b[2J\x7f")
    assert (line["method"], line["status"], line["client"]) == ("GET", 404, "127.0.0.1")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    assert line["ms"] > 0


def test_workers_share_the_port_and_the_counts_and_are_replaced_when_they_die(folder: Path) -> None:
    server = start(folder / "digits.safetensors", "--workers", "2")
    deadline = time.monotonic() + 60
    while server.metric("rot180_workers") < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    images = rot180.load_data("digits").test_images[:3]
    expected = rot180.predict(rot180.load_model(folder / "digits.safetensors"), images)
    body, length = _request(images)
    for _ in range(20):
        _, headers, answer = server.ask("POST", "/v2/models/digits/infer", body, Inference_Header_Content_Length=length)
        assert answer[int(headers["inference-header-content-length"]) :] == expected.tobytes()
    assert server.metric("rot180_images_total") == 60
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    if children.exists():
        import os

        for child in children.read_text().split():
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                os.kill(int(child), signal.SIGKILL)
                break
        while server.metric("rot180_worker_starts_total") < 3 and time.monotonic() < deadline + 30:
            time.sleep(0.1)
        assert server.metric("rot180_worker_starts_total") == 3
    assert server.end(signal.SIGINT) == 0


def test_small_answers_are_not_held_back(server: Server) -> None:
    connection = server.raw(b"")
    asked = f"GET /v2 HTTP/1.1\r\nHost: {server.host}\r\n\r\n".encode()
    seconds = []
    for _ in range(15):
        began = time.perf_counter()
        connection.sendall(asked)
        answer = b""
        while not answer.endswith(b"]}"):
            answer += connection.recv(65536)
        seconds.append(time.perf_counter() - began)
    connection.close()
    assert min(seconds) < 0.03  # Nagle's algorithm and delayed acknowledgments would make it 0.04, each time


def test_mistakes_are_told_before_anything_is_served(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from rot180.cli import main

    digits = str(folder / "digits.safetensors")
    taken = socket.create_server(("127.0.0.1", 0))
    for arguments, reason in (
        ([str(folder / "none")], "none"),
        ([digits, "--host", "0.0.0.0"], "other machines could send requests"),
        ([digits, "--port", str(taken.getsockname()[1])], "choose another port"),
        ([digits, digits], "two networks would be served as 'digits'"),
        ([digits, "--workers", "0"], "--workers must be from 1"),
        ([digits, "--max-body", "nan"], "--max-body must be from 0.001"),
        (
            [digits, "--host", "nowhere.invalid", "--token", TOKEN],
            "--host must be a name or an address of this machine",
        ),
        ([digits, str(folder / "none"), "--workers", "2", "--port", "0"], "none"),
    ):
        assert main(["serve", *arguments]) == 2
        captured = capsys.readouterr()
        assert reason in captured.err
        assert captured.err.count("\n") == 1
    taken.close()


def test_requests_that_have_begun_are_answered_at_the_end(strict: Server, folder: Path) -> None:
    images = np.random.default_rng(0).integers(256, size=(MANY, 8, 8, 1), dtype=np.uint8)
    body, length = _request(images)
    answers: list[tuple[int, dict[str, str], bytes]] = []
    ask = lambda: answers.append(  # noqa: E731
        strict.ask("POST", "/v2/models/digits/infer", body, Inference_Header_Content_Length=length)
    )
    thread = threading.Thread(target=ask)
    thread.start()
    while not strict.metric("rot180_waiting_images"):
        assert thread.is_alive()
    assert strict.end(signal.SIGTERM) == 0
    thread.join()
    status, headers, answer = answers[0]
    assert status == 200
    found = np.frombuffer(answer[int(headers["inference-header-content-length"]) :], "<f4").reshape(MANY, 10)
    expected = rot180.predict(rot180.load_model(folder / "digits.safetensors"), images)
    assert found.tobytes() == expected.tobytes()
    with pytest.raises(ConnectionRefusedError):
        strict.connect().connect()
