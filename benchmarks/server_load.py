"""How fast `rot180 serve` answers many clients at once, beside ONNX Runtime behind the same HTTP code.

    python benchmarks/server_load.py --model cnn-32-64-512 --clients 200 --seconds 30
    python benchmarks/server_load.py --model resnet18 --clients 16 --seconds 60 --peer
    python benchmarks/server_load.py --clients 1000 --seconds 30 --peer none
    python benchmarks/server_load.py --slow 500 --seconds 20 --peer none

Each client sends one request after another in binary, on a connection of its own, and compares every answer with what
`predict` returns. Prints one JSON object for each server: images per second, milliseconds until an answer (median, 95th
and 99th percentile), answers by status, how many were wrong, the slowest answer of the health route, and by how many
percent the server's memory grew after the first third. With --slow, so many connections send a byte a second, and no
others are opened unless --clients asks for them.

The peer is the same server in which ONNX Runtime computes the batches; it may have any size, as it needs no plans.
--alternate N measures both in turns, N times.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

import rot180
from rot180.cli import main
from rot180.training.predict import run_prediction

REQUESTS = 32
"""Different requests that the clients send."""

PEER = "be-the-peer"
"""The first argument of this script where it is the peer's server."""


def serve_with_onnx(graph: str, model: str, *options: str) -> int:
    """Be the peer: `rot180 serve` with another engine."""
    import onnxruntime

    from rot180.serve import batching

    class Engine:
        def __init__(self, network: rot180.Network, loss: object) -> None:
            self.model = network
            self._session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
            self._input = self._session.get_inputs()[0].name

        def forward(self, images: Any, *, softmax: bool = False, steady: bool = False) -> Any:
            return self._session.run(None, {self._input: np.ascontiguousarray(images)})[0]

    batching.CompiledEngine = Engine  # type: ignore[assignment, misc]
    batching.sizes_of = lambda most: tuple(range(1, most + 1))
    return main(["serve", model, *options])


class Server:
    """A server in a process of its own."""

    def __init__(self, *command: str) -> None:
        self.process = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = int(json.loads(self.process.stdout.readline())["address"].rpartition(":")[2])
        # Nobody reads its log, which would take time from the server.
        self._drain = subprocess.Popen(["cat"], stdin=self.process.stdout, stdout=subprocess.DEVNULL)

    def megabytes(self) -> float:
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("VmRSS"))

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(60)
        self._drain.wait(10)


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    """Read one answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    return int(head[0][9:12]), headers, await reader.readexactly(int(headers.get("content-length", "0")))


def request(port: int, name: str, images: np.ndarray[Any, Any]) -> bytes:
    tensor = {
        "name": "images",
        "shape": list(images.shape),
        "datatype": "UINT8",
        "parameters": {"binary_data_size": images.nbytes},
    }
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    return (
        f"POST /v2/models/{name}/infer HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"Inference-Header-Content-Length: {len(head)}\r\nContent-Length: {len(head) + images.nbytes}\r\n\r\n"
    ).encode() + head + images.tobytes()  # fmt: skip


class Load:
    """What some clients see."""

    def __init__(
        self, port: int, name: str, images: np.ndarray[Any, Any], expected: np.ndarray[Any, Any] | None
    ) -> None:
        self.port, self.expected, self.images = port, expected, images.shape[1]
        self.requests = [request(port, name, some) for some in images]
        self.statuses: Counter[int] = Counter()
        self.milliseconds: list[float] = []
        self.wrong = self.broken = 0

    async def client(self, until: float, draw: random.Random) -> None:
        reader: asyncio.StreamReader | None = None
        writer: asyncio.StreamWriter | None = None
        while time.perf_counter() < until:
            try:
                if reader is None or writer is None:
                    reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                number = draw.randrange(len(self.requests))
                began = time.perf_counter()
                writer.write(self.requests[number])
                status, headers, body = await answer(reader)
            except (OSError, asyncio.IncompleteReadError):
                self.broken += 1
                reader = writer = None
                continue
            self.statuses[status] += 1
            if status == 200:
                self.milliseconds.append(1000 * (time.perf_counter() - began))
                data = body[int(headers["inference-header-content-length"]) :]
                self.wrong += self.expected is not None and data != self.expected[number].tobytes()
            else:
                await asyncio.sleep(min(float(headers.get("retry-after", 1)), 2) * (0.5 + draw.random()))
            if headers.get("connection") == "close":
                writer.close()
                reader = writer = None
        if writer is not None:
            writer.close()


async def drip(port: int, until: float) -> None:
    """Send a byte a second, and begin again when the server has had enough."""
    while time.perf_counter() < until:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            for byte in b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n" * 9:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(1)
                if time.perf_counter() > until:
                    break
            writer.close()
        except OSError:
            await asyncio.sleep(0.1)


async def is_ready(port: int) -> bool:
    """Ask the health route whether the server answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /v2/health/ready HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
    status, _, _ = await answer(reader)
    writer.close()
    return status == 200


async def watch_health(port: int, until: float) -> float:
    """Return the milliseconds of the slowest answer of the health route."""
    slowest = 0.0
    while time.perf_counter() < until:
        began = time.perf_counter()
        ready = await is_ready(port)
        slowest = max(slowest, 1000 * (time.perf_counter() - began) if ready else 1e9)
        await asyncio.sleep(0.2)
    return slowest


async def measure(server: Server, load: Load, clients: int, slow: int, seconds: float) -> dict[str, Any]:
    while not await is_ready(load.port):
        await asyncio.sleep(0.1)
    draw = random.Random(0)
    warm = time.perf_counter() + min(2.0, seconds / 5)
    await asyncio.gather(*(load.client(warm, draw) for _ in range(min(clients, REQUESTS))))
    load.milliseconds.clear()
    load.statuses.clear()
    began = time.perf_counter()
    until = began + seconds

    async def grown() -> float:
        await asyncio.sleep(seconds / 3)
        before = server.megabytes()
        await asyncio.sleep(2 * seconds / 3)
        return 100 * (server.megabytes() / before - 1)

    growth, health, *_ = await asyncio.gather(
        grown(),
        watch_health(load.port, until),
        *(load.client(until, random.Random(number)) for number in range(clients)),
        *(drip(load.port, until) for _ in range(slow)),
    )
    taken = time.perf_counter() - began

    def percentile(share: int) -> float | None:
        return round(float(np.percentile(load.milliseconds, share)), 2) if load.milliseconds else None

    return {
        "clients": clients,
        "slow": slow,
        "seconds": round(taken, 1),
        "images": load.images,
        "images_per_second": round(load.images * load.statuses[200] / taken, 1),
        "ms_median": percentile(50),
        "ms_95": percentile(95),
        "ms_99": percentile(99),
        "statuses": dict(sorted(load.statuses.items())),
        "wrong": load.wrong,
        "connections_broken": load.broken,
        "health_ms_slowest": round(health, 1),
        "memory_grown_percent": round(growth, 2),
    }


def run() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="cnn-32-64-512")
    parser.add_argument("--clients", type=int, help="200, or with --slow none")
    parser.add_argument("--images", type=int, default=1, help="images of a request")
    parser.add_argument("--slow", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--max-queue", type=int, default=256)
    parser.add_argument("--peer", choices=["onnx", "none"], default="onnx", nargs="?", const="onnx")
    parser.add_argument("--alternate", type=int, default=1)
    given = parser.parse_args()
    clients = given.clients if given.clients is not None else 0 if given.slow else 200
    with tempfile.TemporaryDirectory() as folder:
        model = rot180.model(given.model).build(seed=0)
        path, graph = Path(folder) / "net.safetensors", Path(folder) / "net.onnx"
        rot180.save_model(path, model)
        size = (REQUESTS, given.images, *model.input_shape)
        images = np.random.default_rng(0).integers(256, size=size, dtype=np.uint8)
        answers = run_prediction(model, images.reshape(-1, *model.input_shape), batch_size=8)
        expected = answers.reshape(REQUESTS, given.images, -1)
        command = "import sys; from rot180.cli import main; sys.exit(main(sys.argv[1:]))"
        options = ["--port", "0", "--max-queue", str(given.max_queue)]
        commands = {"rot180": ["-c", command, "serve", str(path), *options]}
        if given.peer != "none":
            main(["export", str(path), "--to", str(graph), "--softmax", "--input", "nhwc", "--json"])
            commands["onnx"] = [__file__, PEER, str(graph), str(path), *options]
        faults = 0
        for _ in range(given.alternate):
            for name, command in commands.items():
                server = Server(*command)
                load = Load(server.port, "net", images, expected if name == "rot180" else None)
                try:
                    found = asyncio.run(measure(server, load, clients, given.slow, given.seconds))
                finally:
                    server.end()
                print(json.dumps({"server": name, "model": given.model, **found}), flush=True)
                strange = set(found["statuses"]) - {200, 429, 503}
                faults += bool(found["wrong"] or strange or found["connections_broken"])
    return min(faults, 1)


if __name__ == "__main__":
    sys.exit(serve_with_onnx(*sys.argv[2:]) if sys.argv[1:2] == [PEER] else run())
