"""A running server, asked without a browser."""

from __future__ import annotations

import http.client
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_COMMAND = "import sys; from rot180.cli import main; sys.exit(main(sys.argv[1:]))"


@dataclass
class Server:
    """The command in a process of its own."""

    process: subprocess.Popen[str]
    port: int
    lines: queue.Queue[dict[str, Any]]
    reader: threading.Thread
    token: str = ""

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str | None
    ) -> tuple[int, dict[str, str], bytes]:
        """Send one request; None leaves a header out."""
        usual: dict[str, str | None] = {"Host": self.host}
        if self.token:
            usual["Authorization"] = f"Bearer {self.token}"
        if method == "POST":
            usual["Content-Length"] = str(len(body or b""))
        connection = self.connect()
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in {**usual, **{name.replace("_", "-"): value for name, value in headers.items()}}.items():
                if value is not None:
                    connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def json(self, method: str, path: str, asked: object = None, **headers: str | None) -> Any:
        body = None if asked is None else asked if isinstance(asked, bytes) else json.dumps(asked).encode()
        status, _, answer = self.ask(method, path, body, **headers)
        assert status == 200, answer
        return json.loads(answer)

    def raw(self, data: bytes) -> socket.socket:
        """Open a connection and send some bytes."""
        found = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        found.sendall(data)
        return found

    def metric(self, begins: str) -> float:
        """Return the first number of a metric whose line begins so."""
        text = self.ask("GET", "/metrics")[2].decode()
        return next(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(begins))

    def logged(self, **values: object) -> dict[str, Any]:
        """Return the next line of the log that has these values."""
        while True:
            line = self.lines.get(timeout=20)
            if values.items() <= line.items():
                return line

    def end(self, number: int = signal.SIGTERM) -> int:
        """End it as an administrator does, and return its exit status."""
        self.process.send_signal(number)
        try:
            return self.process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        finally:
            self.reader.join(timeout=10)
            for stream in (self.process.stdout, self.process.stderr):
                assert stream is not None
                stream.close()


def start(*arguments: str | Path, token: str = "", **environment: str) -> Server:
    """Start the command, and wait until it answers."""
    command = [sys.executable, "-c", _COMMAND, "serve", *map(str, arguments), "--port", "0"]
    variables = {**os.environ, **({"ROT180_TOKEN": token} if token else {}), **environment}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=variables)
    assert process.stdout is not None
    first = process.stdout.readline()
    if not first:
        raise AssertionError(process.communicate()[1])
    address = json.loads(first)["address"]
    lines: queue.Queue[dict[str, Any]] = queue.Queue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(json.loads(line))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    server = Server(process, int(address.rpartition(":")[2]), lines, reader, token)
    while server.ask("GET", "/v2/health/ready")[0] != 200:
        if process.poll() is not None:
            raise AssertionError(process.communicate()[1])
        time.sleep(0.02)  # which leaves the processors to the server
    return server
