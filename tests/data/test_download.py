"""Downloads, against servers on this machine that truncate, stall, refuse and lie."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from disk import full_disk
from rot180.data.download import RemoteFile, download
from rot180.errors import DataError

CONTENT = bytes(range(256)) * 1024  # 256 KiB
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Answers each path by a behavior, and remembers the ranges that were asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str | None]] = []
        self.stop = threading.Event()

    def url(self, behavior: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{behavior}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        behavior = self.path.strip("/")
        first = behavior not in [name for name, _ in self.server.asked]
        self.server.asked.append((behavior, wanted))
        offset = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        answer: Callable[[int, bool], None] = getattr(self, behavior.replace("-", "_"))
        answer(offset, first)

    def send(self, status: int, body: bytes, length: int | None = None, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def send_range(self, body: bytes, offset: int, length: int | None = None) -> None:
        status = 206 if offset else 200
        headers = {"Content-Range": f"bytes {offset}-{len(CONTENT) - 1}/{len(CONTENT)}"} if offset else {}
        self.send(status, body, len(CONTENT) - offset if length is None else length, headers)

    def good(self, offset: int, first: bool) -> None:
        self.send_range(CONTENT[offset:], offset)

    def truncates(self, offset: int, first: bool) -> None:
        self.send_range(CONTENT[offset : offset + 100_000], offset)

    def truncates_without_resuming(self, offset: int, first: bool) -> None:
        self.send(200, CONTENT[: 100_000 if first else None], len(CONTENT))

    def stalls_once(self, offset: int, first: bool) -> None:
        self.send_range(CONTENT[offset : 1000 if first else None], offset)
        if first:
            self.wfile.flush()
            self.server.stop.wait(5)

    def stalls(self, offset: int, first: bool) -> None:
        self.server.stop.wait(5)

    def forbids(self, offset: int, first: bool) -> None:
        self.send(403, b"no", 2)

    def fails_once(self, offset: int, first: bool) -> None:
        if first:
            self.send(503, b"later", 5)
        else:
            self.good(offset, first)

    def says_too_much(self, offset: int, first: bool) -> None:
        self.send(200, CONTENT, 10 * len(CONTENT))
        self.wfile.flush()
        self.server.stop.wait(5)

    def says_too_little(self, offset: int, first: bool) -> None:
        self.send_range(CONTENT[offset:], offset, 70_000)

    def never_ends(self, offset: int, first: bool) -> None:
        self.send(200, CONTENT, None)
        try:
            while not self.server.stop.is_set():
                self.wfile.write(CONTENT)
        except OSError:
            pass

    def another_file(self, offset: int, first: bool) -> None:
        self.send(200, CONTENT[::-1], len(CONTENT))

    def another_range(self, offset: int, first: bool) -> None:
        if first:
            self.truncates(offset, first)
        else:
            self.send(206, CONTENT, len(CONTENT), {"Content-Range": f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}"})

    def leads_to_a_file(self, offset: int, first: bool) -> None:
        self.send(302, b"", 0, {"Location": "file:///etc/hostname"})

    def leads_to_ftp(self, offset: int, first: bool) -> None:
        self.send(302, b"", 0, {"Location": "ftp://127.0.0.1/x"})

    def leads_to_half_an_address(self, offset: int, first: bool) -> None:
        self.send(302, b"", 0, {"Location": "http://[::1/x"})

    def leads_to_no_port(self, offset: int, first: bool) -> None:
        self.send(307, b"", 0, {"Location": "http://127.0.0.1:port/x"})

    def leads_to_an_impossible_name(self, offset: int, first: bool) -> None:
        self.send(301, b"", 0, {"Location": "http://a..b/x"})

    def leads_to_itself(self, offset: int, first: bool) -> None:
        self.send(302, b"", 0, {"Location": self.path})

    def leads_nowhere(self, offset: int, first: bool) -> None:
        self.send(302, b"", 0)

    def leads_on_without_an_end(self, offset: int, first: bool) -> None:
        self.send(302, b"", None, {"Location": "http://127.0.0.1:9/x"})
        try:
            while not self.server.stop.is_set():
                self.wfile.write(CONTENT)
        except OSError:
            pass

    def has_a_huge_header(self, offset: int, first: bool) -> None:
        self.send(200, b"", 0, {"X": "x" * 100_000})

    def has_many_headers(self, offset: int, first: bool) -> None:
        self.send(200, b"", 0, {f"X{number}": "x" for number in range(200)})

    def has_a_huge_range(self, offset: int, first: bool) -> None:
        if offset:
            self.send(206, b"x", 1, {"Content-Range": f"bytes {'9' * 5000}-9/9"})
        else:
            self.truncates(offset, first)

    def has_a_strange_status(self, offset: int, first: bool) -> None:
        self.wfile.write(b"HTTP/1.1 99999 what\r\n\r\n")

    def says_more_than_one_line(self, offset: int, first: bool) -> None:
        self.wfile.write(b"HTTP/1.1 403 no \x1b[2J way\r\n\r\n")

    def leads_to_good(self, offset: int, first: bool) -> None:
        self.send(302, b"", 0, {"Location": "/good"})


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.stop.set()
    server.shutdown()
    server.server_close()
    thread.join()


def fetch(server: Server, folder: Path, *behaviors: str, timeout: float = 5.0) -> Path:
    urls = [server.url(behavior) for behavior in behaviors]
    return download(RemoteFile("file.bin", urls, len(CONTENT), SHA256), folder, timeout=timeout)


@pytest.mark.parametrize(
    "behaviors",
    [
        ["good"],
        ["truncates"],
        ["truncates-without-resuming"],
        ["forbids", "good"],
        ["fails-once"],
        ["says-too-much"],
        ["says-too-little"],
        ["never-ends"],
        ["another-file", "good"],
        ["leads-to-good"],
        ["leads-to-a-file", "good"],
    ],
    ids=" ".join,
)
def test_the_file_comes_whole(server: Server, tmp_path: Path, behaviors: list[str]) -> None:
    path = fetch(server, tmp_path / "new" / "folder", *behaviors)
    assert path.read_bytes() == CONTENT
    assert [entry.name for entry in path.parent.iterdir()] == ["file.bin"]


def test_what_came_is_not_asked_for_again(server: Server, tmp_path: Path) -> None:
    fetch(server, tmp_path, "truncates")
    assert server.asked == [("truncates", None), ("truncates", "bytes=100000-"), ("truncates", "bytes=200000-")]
    fetch(server, tmp_path, "forbids")  # it is there already
    assert len(server.asked) == 3


def test_another_run_goes_on_where_one_was_ended(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.bin.part").write_bytes(CONTENT[:200_000])
    assert fetch(server, tmp_path, "good").read_bytes() == CONTENT
    assert server.asked == [("good", "bytes=200000-")]


@pytest.mark.parametrize("left", [b"x" * 1000, b"x" * len(CONTENT), b"x" * (len(CONTENT) + 5)])
def test_a_damaged_beginning_is_thrown_away(server: Server, tmp_path: Path, left: bytes) -> None:
    (tmp_path / "file.bin.part").write_bytes(left)
    assert fetch(server, tmp_path, "good").read_bytes() == CONTENT


def test_a_damaged_file_in_the_cache_is_fetched_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.bin").write_bytes(CONTENT[::-1])
    assert fetch(server, tmp_path, "good").read_bytes() == CONTENT


def test_stalls(server: Server, tmp_path: Path) -> None:
    assert fetch(server, tmp_path, "stalls-once", timeout=0.2).read_bytes() == CONTENT
    assert server.asked[1] == ("stalls-once", "bytes=1000-")
    (tmp_path / "file.bin").unlink()
    assert fetch(server, tmp_path, "stalls", "good", timeout=0.1).read_bytes() == CONTENT


def test_another_range_than_asked_for_starts_anew(server: Server, tmp_path: Path) -> None:
    assert fetch(server, tmp_path, "another-range").read_bytes() == CONTENT
    assert [asked for _, asked in server.asked] == [None, "bytes=100000-", None]


@pytest.mark.parametrize(
    ("behavior", "reason"),
    [
        ("forbids", "answered 403 Forbidden"),
        ("another-file", "the checksum does not match"),
        ("stalls", "no data for 0.1 s"),
        ("leads-to-a-file", "redirects to 'file:///etc/hostname', which is not an HTTP address"),
        ("leads-to-ftp", "redirects to 'ftp://127.0.0.1/x', which is not an HTTP address"),
        ("leads-to-half-an-address", "the address cannot be used"),
        ("leads-to-no-port", "the address cannot be used"),
        ("leads-to-an-impossible-name", "no connection|the address cannot be used"),
        ("leads-to-itself", "more than 10 redirects"),
        ("leads-nowhere", "answered 302 Found"),
        ("leads-on-without-an-end", "answered 302|redirects to|connection lost|no connection"),
        ("has-a-huge-header", "connection lost .LineTooLong."),
        ("has-many-headers", "connection lost .HTTPException."),
        ("has-a-huge-range", "a different range than requested"),
        ("has-a-strange-status", "connection lost"),
        ("says-more-than-one-line", "answered 403 no \\S+ way"),
    ],
)
def test_no_mirror_gives_it(server: Server, tmp_path: Path, behavior: str, reason: str) -> None:
    with pytest.raises(DataError, match=f"file.bin: could not be downloaded from any mirror .*({reason})") as caught:
        fetch(server, tmp_path, behavior, timeout=0.1)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
    assert not (tmp_path / "file.bin").exists()


def test_no_server_at_all(tmp_path: Path) -> None:
    remote = RemoteFile("file.bin", ["http://127.0.0.1:9/file.bin"], 10, SHA256)
    with pytest.raises(DataError, match="no connection"):
        download(remote, tmp_path, timeout=1)


def test_a_folder_that_cannot_be_written(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        fetch(server, tmp_path / "file", "good")


def test_progress(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    remote = RemoteFile("file.bin", [server.url("good")], len(CONTENT), SHA256)
    download(remote, tmp_path, progress=lambda what, done, total: seen.append((what, done, total)))
    assert seen[-1] == ("file.bin", len(CONTENT), len(CONTENT))
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)


def test_a_proxy_that_is_none(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http:///")
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(
        DataError, match=r"could not be downloaded from any mirror .*(no connection|the address cannot be used)"
    ):
        fetch(server, tmp_path, "good")


def test_of_several_that_want_it_one_fetches(server: Server, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        for path in pool.map(lambda _: fetch(server, tmp_path, "truncates"), range(8)):
            assert path.read_bytes() == CONTENT
    assert len(server.asked) == 3
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.bin"]


def test_a_full_disk_is_no_fault_of_the_server(server: Server, tmp_path: Path) -> None:
    with full_disk(100_000), pytest.raises(DataError, match=r"file\.bin: cannot be written \(File too large\)"):
        fetch(server, tmp_path, "good")
    assert not (tmp_path / "file.bin").exists()
    assert fetch(server, tmp_path, "good").read_bytes() == CONTENT


def test_a_partial_file_that_is_a_link_is_not_followed(server: Server, tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(b"keep")
    (tmp_path / "file.bin.part").symlink_to(tmp_path / "mine")
    with pytest.raises(DataError, match=r"cannot be written \(a symbolic link, which is not followed"):
        fetch(server, tmp_path, "good")
    assert (tmp_path / "mine").read_bytes() == b"keep"
