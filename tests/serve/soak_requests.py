"""Sends generated requests that make no sense to a server: it must answer them with 4xx, and stay as it is.

    python tests/serve/soak_requests.py --count 10000

Requests are drawn, and valid ones are broken: in their line, headers, JSON, tensors, forms, image files. Prints one
JSON object; the exit status is 1 if an answer is missing or a fault of the server, or if the server's answers to valid
requests have changed afterward, or its memory has grown by more than 64 MB.
"""

from __future__ import annotations

import argparse
import json
import random
import socket
import sys
import tempfile
import time
from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from asking import Server, start
from PIL import Image

import rot180

PATHS = (
    *("/", "/v2", "/v2/health/ready", "/v2/models/digits", "/v2/models/digits/infer", "/v2/models/%00/infer"),
    *(
        "/predict",
        "/predict?top=1e9",
        "/predict?model=digits&top=all",
        "/look",
        "/reasons?class=3",
        "/reasons",
        "/metrics",
    ),
    *(
        "/v2/models/digits/versions/9/infer",
        "/..%2f..%2fetc/passwd",
        "/main.js",
        "/" + "a" * 3000,
        "/%ff%fe",
        "//",
        "*",
    ),
)
METHODS = ("POST", "POST", "POST", "POST", "GET", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "X")
VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 1.5, 10**30, 1e308, "", "x" * 300, "\u0000", "雪", [], {}, [[]], [None], {"a": [1]}),
    *([1, 8, 8], [2**62, 2**62, 2**62], [-1, 8, 8, 1], "UINT8", "FP16", "BYTES", [0] * 64, [[0] * 8] * 8, ["a"] * 64),
)
SPREAD = (b"\x00", b"\xff", b"\r\n", b"\r\n\r\n", b"--x", b"{", b"]", b'"', b"1e999", b"NaN", b"-", b"\xf0\x9f")


def picture(draw: random.Random) -> bytes:
    """Return a small image file, in one of several formats."""
    size = draw.randrange(1, 40), draw.randrange(1, 40)
    image = Image.new(draw.choice(["L", "RGB", "RGBA", "P", "1"]), size)
    file = BytesIO()
    kind = draw.choice(["PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM", "JPEG"])
    image.convert("RGB" if kind in ("JPEG", "PPM", "BMP") else image.mode).save(file, kind)
    return file.getvalue()


def broken(data: bytes, draw: random.Random) -> bytes:
    """Return some bytes with something cut out, put in, repeated or flipped."""
    for _ in range(draw.randrange(1, 4)):
        at, to = sorted(draw.randrange(len(data) + 1) for _ in range(2))
        kind = draw.randrange(4)
        if kind == 0:
            data = data[:at] + data[to:]
        elif kind == 1:
            data = data[:at] + draw.choice(SPREAD) + data[at:]
        elif kind == 2:
            data = data[:to] + data[at:to] + data[to:]
        else:
            data = data[:at] + draw.randbytes(min(8, to - at)) + data[at + min(8, to - at) :]
    return data


def body(draw: random.Random) -> tuple[bytes, dict[str, str]]:
    """Return the body of a request, and the headers that belong to it."""
    kind = draw.randrange(5)
    if kind == 0:
        data = picture(draw)
        return (broken(data, draw) if draw.random() < 0.8 else data), {}
    if kind == 1:
        file = picture(draw)
        head = b'--x\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n'
        data = b"".join(head + file + b"\r\n" for _ in range(draw.randrange(1, 4))) + b"--x--\r\n"
        given = draw.choice(["x", '"x"', "", "y", "x" * 90, "\t"])
        return broken(data, draw), {"Content-Type": f"multipart/form-data; boundary={given}"}
    tensor: dict[str, Any] = {"name": "images", "shape": [1, 8, 8], "datatype": "UINT8", "data": [0] * 64}
    asked: dict[str, Any] = {"inputs": [tensor], "outputs": [{"name": "probabilities"}], "id": "1", "parameters": {}}
    for _ in range(draw.randrange(3)):
        where = draw.choice([tensor, asked])
        where[draw.choice([*where, "parameters", "binary_data_size"])] = draw.choice(VALUES)
    data = json.dumps(asked).encode()
    if kind == 2:
        return data, {}
    if kind == 3:
        return broken(data, draw), {}
    tail = draw.randbytes(draw.choice([0, 1, 63, 64, 65, 256]))
    tensor["parameters"] = {"binary_data_size": draw.choice([64, len(tail), -1, "64", 2**70])}
    data = json.dumps(asked).encode()
    length = draw.choice([len(data), len(data) - 1, 0, -1, 10**9, "x", ""])
    return data + tail, {"Inference-Header-Content-Length": str(length)}


def request(server: Server, draw: random.Random) -> bytes:
    """Return a whole request."""
    data, headers = body(draw)
    headers = {"Host": server.host, "Content-Length": str(len(data)), "Connection": "close", **headers}
    for _ in range(draw.randrange(2)):
        name = draw.choice([*headers, "Transfer-Encoding", "Expect", "Upgrade", "Cookie", "Origin", "Range", "A" * 50])
        headers[name] = draw.choice(["", "0", "-1", "chunked", "gzip", "x" * 2000, "100-continue", "\x7f", str(2**70)])
    path, method = draw.choice(PATHS), draw.choice(METHODS)
    if draw.random() < 0.6:
        method, path = "POST", draw.choice(PATHS[4:6] + PATHS[6:9] + PATHS[9:11])
    head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    whole = head.encode("latin-1") + b"\r\n" + data
    return broken(whole, draw) if draw.random() < 0.1 else whole


def answer_to(server: Server, sent: bytes) -> int:
    """Return the status of the answer; 0 if the request had no end, and the connection was closed without an answer."""
    with server.raw(b"") as connection:
        try:
            connection.sendall(sent)
            connection.settimeout(0.25)
            try:
                begin = connection.recv(65536)
            except TimeoutError:
                connection.settimeout(30)
                connection.shutdown(socket.SHUT_WR)
                begin = connection.recv(65536)
        except (ConnectionResetError, BrokenPipeError):
            return 0
        return int(begin[9:12]) if begin.startswith(b"HTTP/1.1 ") else 0


def memory(server: Server) -> int:
    """Return the bytes of memory that the server's process holds; 0 where the system does not tell."""
    status = Path(f"/proc/{server.process.pid}/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmRSS")), 0)


def soak(server: Server, count: int, seed: int = 0) -> dict[str, Any]:
    """Send some requests, and return what came of them."""
    draw = random.Random(seed)
    images = np.arange(128, dtype=np.uint8).reshape(2, 8, 8, 1).tolist()
    tensor = {"name": "images", "shape": [2, 8, 8, 1], "datatype": "UINT8", "data": images}
    valid = lambda: server.json("POST", "/v2/models/digits/infer", {"inputs": [tensor]})  # noqa: E731
    expected, statuses, wrong = valid(), Counter[int](), []
    began = 0
    for number in range(count):
        if number == min(200, count // 2):
            began = memory(server)
        sent = request(server, draw)
        status = answer_to(server, sent)
        statuses[status] += 1
        if status >= 500:
            wrong.append({"status": status, "request": repr(sent[:2000])})
    return {
        "requests": count,
        "statuses": dict(sorted(statuses.items())),
        "wrong": wrong[:10],
        "unchanged": valid() == expected,
        "megabytes_grown": round((memory(server) - began) / 1e6, 1),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "digits.safetensors"
        network = rot180.network("8x8x1 > conv3x3:4:same relu maxpool2 > fc10")
        rot180.save_model(path, network.build(seed=0))
        server = start(path, "--timeout", "5")
        begin = time.perf_counter()
        try:
            found = soak(server, given.count, given.seed)
        finally:
            status = server.end()
        print(json.dumps({**found, "seconds": round(time.perf_counter() - begin, 1), "exit": status}))
        good = not found["wrong"] and found["unchanged"] and found["megabytes_grown"] < 64 and status == 0
        sys.exit(not good)
