"""A running explorer, spoken to without a browser."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

_COMMAND = "import sys; from rot180.cli import main; sys.exit(main(sys.argv[1:]))"

NETWORK = "8x8x1 > conv3x3:4:same bn relu maxpool2 > ( conv3x3:4:same + skip ) conv3x3:6:s2 relu > fc10"


@dataclass
class Served:
    """A running explorer, spoken to without a browser."""

    address: str
    port: int
    cookie: str = ""
    patience: float = 30
    """Seconds to wait for an answer."""

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str | None
    ) -> tuple[int, dict[str, str], bytes]:
        """Send one request as the page would, but for the headers given; None leaves one out."""
        usual: dict[str, str | None] = {"Host": self.host, "Cookie": self.cookie}
        if method == "POST":
            usual |= {"Origin": f"http://{self.host}", "Content-Type": "application/json"}
            usual["Content-Length"] = str(len(body or b""))
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.patience)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            given = {name.replace("_", "-"): value for name, value in headers.items()}
            for name, value in {**usual, **given}.items():
                if value is not None:
                    connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        status, _, body = self.ask("GET", path)
        assert status == 200, body
        return json.loads(body)

    def post(self, path: str, command: object) -> Any:
        status, _, body = self.ask("POST", path, json.dumps(command).encode())
        assert status == 200, body
        return json.loads(body)

    def open(self) -> None:
        """Exchange the token for the cookie."""
        status, headers, _ = self.ask("GET", self.address.removeprefix(f"http://{self.host}"))
        assert status == 303
        self.cookie = headers["set-cookie"].partition(";")[0]


def start(*arguments: str, python: str = sys.executable) -> tuple[subprocess.Popen[str], Served]:
    """Start the command and wait for its address."""
    command = [python, "-c", _COMMAND, "explore", *arguments, "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise AssertionError(process.communicate()[1])
    address = json.loads(line)["address"]
    return process, Served(address, int(address.partition("/?")[0].rpartition(":")[2]))


def end(process: subprocess.Popen[str]) -> int:
    """End it as Ctrl-C does."""
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    return process.returncode
