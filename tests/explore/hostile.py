"""Sends generated requests to a running explorer: broken, foreign, oversized, and some that are right; none may end it.

    python tests/explore/hostile.py --count 10000 --kills 5

After every 500 requests the page must still answer; at the end, a body that is announced and never sent must be refused
in time. With --kills, the process is killed that often while it trains, and
started again on the same port. Prints one JSON object; the exit status is 1 if an answer was an error of the program,
or if the program ended.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from typing import Any

from serving import NETWORK, Served, end, start

PATHS = (
    *("/", "/main.js", "/api/subject", "/api/images/0", "/api/batch", "/api/bugs", "/api/beside", "/api/moments/0"),
    *("/api/pass", "/api/pass/1", "/api/pass/1/conv1", "/api/pass/1/conv1/products/0", "/api/attribution"),
    *("/api/ledger", "/api/time", "/api/river", "/api/nudge", "/api/journey", "/api/lab", "/api/train", "/api/health"),
    *("/api/biography", "/api/chapter", "/../etc/passwd", "/%00", "/api/pass/-1/x", "/api/pass/99999999999999999999/x"),
)
NAMES = (
    *("image", "pass", "pixels", "class", "cell", "command", "steps", "from", "moment"),
    *("kind", "height", "width", "kernel", "stride", "padding", "dilation", "same"),
)
VALUES: tuple[object, ...] = (
    *(None, True, False, -1, 0, 1, 3, 7, 10**30, 1.5, "", "x" * 300, [], {"a": []}, "\u0000", "\ud800"),
    *("conv1.output[9,9,9]", "conv1.weight[0,0,0,1]", "image.grad[3,3,0]", "loss", "conv1.weight.grad[0,0,0,0]"),
    *("run", "pause", "step", "begin", "restart", "replay", "watch", "ignore", "convolution", "max-pooling", "AAAA"),
)
HEADERS: dict[str, tuple[str | None, ...]] = {
    "Host": (None, "example.com", "127.0.0.1", "127.0.0.1:1, 127.0.0.1:2", "\xff"),
    "Origin": (None, "null", "http://example.com"),
    "Cookie": (None, "rot180=1", "=;=;", "a" * 5000, "\xe9=1"),
    "Content_Type": (None, "text/plain", "application/json; charset=utf-16", "multipart/form-data; boundary=x"),
    "Content_Length": ("-1", "0", "99999999999999999999", "1e3", "2"),
    "Transfer_Encoding": ("chunked", "gzip"),
    "Sec_Fetch_Site": ("cross-site", "same-site", "x"),
    "Last_Event_Id": ("1.99999999999999999999", "-1", "\x00"),
    "Accept_Language": ("zh", "xx" * 2000, "\xff"),
}

SLOW = ("Content_Length", "Transfer_Encoding")
"""With these, the program may rightly wait for more of a request."""


def generated(draw: random.Random) -> tuple[str, str, bytes | None, dict[str, str | None]]:
    """Draw a request: method, path, body, and the headers that are not the page's own."""
    names = [name for name in NAMES if draw.random() < 0.4]
    command: object = {name: draw.choice(VALUES) for name in names}
    text = json.dumps(draw.choice([command, command, command, [command], "text", None])).encode()
    body = text if draw.random() < 0.8 else draw.randbytes(draw.choice([0, 1, 50, 2000]))
    if draw.random() < 0.02:
        body = b"[" * 60_000 if draw.random() < 0.5 else b"[" + b"1," * 600_000 + b"1]"
    method = draw.choice(["POST"] * 6 + ["GET", "GET", "PUT", "HEAD", "OPTIONS"])
    path = draw.choice(PATHS) + draw.choice([""] * 8 + ["?token=x", "?" + "a&" * 50])
    headers = {name: draw.choice(HEADERS[name]) for name in HEADERS if draw.random() < (0.01 if name in SLOW else 0.08)}
    return method, path, None if method in ("GET", "HEAD") else body, headers


def send(served: Served, draw: random.Random) -> tuple[int, str]:
    """Send one request; return the status, 0 if the connection was closed, and what was asked."""
    method, path, body, headers = generated(draw)
    try:
        return served.ask(method, path, body, **headers)[
            0
        ], f"{method} {path} {body[:200] if body else body!r} {headers}"
    except (OSError, ValueError):  # refused before it was read to its end, or not to be sent at all
        return 0, ""
    except Exception as error:
        if "http.client" in type(error).__module__:
            return 0, ""
        raise


def attack(served: Served, count: int, seed: int = 0) -> tuple[Counter[int], list[str]]:
    """Send requests; return how often each status came, and the requests that were answered with an error."""
    draw, statuses, faults = random.Random(seed), Counter[int](), list[str]()
    for number in range(count):
        status, asked = send(served, draw)
        statuses[status] += 1
        if status >= 500:
            faults.append(f"{status}: {asked}")
        if number % 500 == 499:
            served.post("/api/train", {"command": "pause"})
            served.get("/api/subject")
    for command in ("ignore", "restart"):
        served.post("/api/train", {"command": command})
    return statuses, faults


def withhold(served: Served) -> tuple[int, float]:
    """Announce a body, and never send it; return the status, and after how many seconds it came."""
    began, patience, served.patience = time.perf_counter(), served.patience, 30
    status = served.ask("POST", "/api/pass", None, Content_Length="100")[0]
    served.patience = patience
    return status, time.perf_counter() - began


def kill_while_it_trains(port: int) -> int:
    """Start the program on a port, and kill it while it trains; return the port."""
    process, served = start(NETWORK, "--data", "digits", "--engine", "numpy", "--port", str(port))
    served.open()
    served.post("/api/train", {"command": "run"})
    served.post("/api/pass", {"image": 0})
    process.kill()
    process.communicate(timeout=20)
    return served.port


def kill_and_restart(times: int) -> list[float]:
    """Kill the program while it trains, and start it again on the same port; return the seconds of each turn."""
    port, took = 0, []
    for _ in range(times):
        began = time.perf_counter()
        port = kill_while_it_trains(port)
        took.append(round(time.perf_counter() - began, 2))
    return took


def main(given: Any) -> int:
    """Send, kill, print."""
    process, served = start(NETWORK, "--data", "digits", "--engine", "numpy")
    served.open()
    served.patience = 3  # a body that is announced and never comes
    began = time.perf_counter()
    try:
        statuses, faults = attack(served, given.count, given.seed)
        status, waited = withhold(served)
        if status != 408 or waited > 15:
            faults.append(f"{status} after {waited:.1f} s: a body that was announced and never sent")
        has_ended = process.poll() is not None
    finally:
        end(process)
    told = {"requests": given.count, "statuses": dict(sorted(statuses.items())), "faults": faults[:20]}
    seconds = round(time.perf_counter() - began, 1)
    print(json.dumps({**told, "ended": has_ended, "seconds": seconds, "restarts": kill_and_restart(given.kills)}))
    return int(bool(faults) or has_ended)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    sys.exit(main(parser.parse_args()))
