"""Downloading a file from the first mirror that delivers it completely.

Whatever a server does, the file under its final name has the expected checksum: it is received under a temporary name,
resumed after a broken connection, and renamed only when it is verified. If several processes want the file, one
downloads it and the others wait.
"""

from __future__ import annotations

import hashlib
import os
import re
import string
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import quote, urljoin, urlsplit

from rot180.data.options import Progress, _silent
from rot180.errors import DataError
from rot180.files import make_folder, open_descriptor, publish, system

if TYPE_CHECKING:
    # Where they are used, they are imported: that takes as long as a network takes to be built.
    import urllib.error
    import urllib.request

ATTEMPTS = 4
"""How often a mirror is tried; after a broken connection, the download resumes where it stopped."""

TIMEOUT = 30.0
"""Seconds without data after which a connection counts as broken."""

PIECE = 64 * 1024

REDIRECTIONS = 10
"""How many redirects are followed."""

MAX_ANNOUNCED = 2 * 1024**3
"""The most bytes that a file of unknown size may have."""


@dataclass(frozen=True)
class RemoteFile:
    """A file to download: its mirrors, size and checksum."""

    name: str
    urls: Sequence[str]
    """Mirrors, tried in this order."""
    size: int | None
    """In bytes; None if it is unknown, so that the server says it."""
    sha256: str


class _Broken(Exception):
    """The connection ended early; resuming may help."""


class _NoSuchRange(_Broken):
    """The server's file is shorter than what has been received already."""


class _Useless(Exception):
    """This mirror cannot deliver the file; the next one is tried."""


def download(
    remote: RemoteFile,
    folder: Path,
    *,
    progress: Progress = _silent,
    timeout: float = TIMEOUT,
    attempts: int = ATTEMPTS,
    token: str | None = None,
) -> Path:
    """Return the path of the file in the folder, downloading it unless it is there and its checksum is correct.

    Parameters
    ----------
    remote : RemoteFile
    folder : Path
        Created if necessary.
    progress : callable
        Called with the file's name, the bytes received, and the file's size.
    timeout : float
        Seconds without data after which a connection counts as broken.
    attempts : int
        Per mirror.
    token : str, optional
        Sent to the mirrors, but not to where they redirect to.

    Raises
    ------
    DataError
        No mirror delivered the file (the message gives the reason for each), or the folder cannot be written.
    """
    path, part = folder / remote.name, folder / f"{remote.name}.part"
    problems: list[str] = []
    received = False
    try:
        if _is_right(path, remote):
            return path
        make_folder(folder)
        total = remote.size or MAX_ANNOUNCED
        with _alone(part, lambda: progress(remote.name, min(_size(part), total - 1), total)) as file:
            there = _is_right(path, remote)  # downloaded by another process in the meantime
            for url in () if there else remote.urls:
                problem = _try_mirror(url, remote, file, progress, timeout, attempts, token)
                if received := problem is None:
                    break
                problems.append(f"the mirror {urlsplit(url).netloc}: {problem}")
            empty = file.seek(0, os.SEEK_END) == 0
        if received:
            publish(part, path)
        elif empty or there:
            part.unlink(missing_ok=True)
        if received or there:
            return path
    except FileNotFoundError:
        if _is_right(path, remote):  # another process was slightly faster
            return path
        raise DataError(f"{path}: cannot be written because its folder was removed meanwhile; try again") from None
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written ({error.strerror or error}); check the folder and the disk"
        ) from None
    raise DataError(f"{remote.name}: could not be downloaded from any mirror ({'; '.join(problems)})")


@contextmanager
def _alone(part: Path, wait: Any) -> Iterator[BinaryIO]:
    """Open the partial file, creating it if necessary, as soon as no other process is receiving it."""
    while True:
        with os.fdopen(open_descriptor(part, os.O_RDWR | os.O_CREAT), "r+b") as file:
            if system.try_lock(file.fileno()) and _is_of(part, file):
                yield file
                file.flush()
                system.flush(file.fileno())
                return
        wait()
        time.sleep(0.1)


def _is_of(path: Path, file: BinaryIO) -> bool:
    """Return whether a path still refers to an open file; the process that held the lock may have renamed it."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _try_mirror(
    url: str,
    remote: RemoteFile,
    file: BinaryIO,
    progress: Progress,
    timeout: float,
    attempts: int,
    token: str | None,
) -> str | None:
    """Download from one mirror; return None if the file is complete and correct, else what went wrong."""
    problem = ""
    for _ in range(attempts):
        began = file.seek(0, os.SEEK_END)
        try:
            if remote.size is None or began < remote.size:
                _receive(url, remote, file, progress, timeout, token)
        except _Useless as error:
            return str(error)
        except _Broken as error:
            problem = str(error)
            continue
        if remote.size in (None, file.seek(0, os.SEEK_END)) and _sha256(file) == remote.sha256:
            return None
        file.truncate(0)
        problem = "the checksum does not match"
        if not began:  # all of it came from this mirror, so retrying would not help; else the earlier part may be wrong
            return problem
    return problem


def _receive(
    url: str, remote: RemoteFile, file: BinaryIO, progress: Progress, timeout: float, token: str | None
) -> None:
    """Receive the missing bytes and no more: the length that a server reports is not trusted."""
    offset = file.seek(0, os.SEEK_END)
    try:
        response = _open(url, offset, timeout, token)
    except _NoSuchRange:
        file.truncate(0)  # what has been received is not the beginning of the server's file
        raise
    with response:
        if offset and response.status == 206:
            sent_from = re.match(r"bytes ([0-9]{1,20})-", response.headers.get("Content-Range", ""))
            if sent_from is None or int(sent_from[1]) != offset:
                file.truncate(0)
                raise _Broken("the server sent a different range than requested")
        elif offset:  # the server cannot resume: start over
            offset = file.seek(0)
            file.truncate()
        size = _announced(response, offset) if remote.size is None else remote.size
        while offset < size:
            wanted = min(PIECE, size - offset)
            with _network(timeout):
                piece = response.read1(wanted)[:wanted]  # what has arrived; `read` would lose it on a timeout
            if not piece:
                raise _Broken(f"ended after {offset} of {size} bytes")
            file.write(piece)
            offset += len(piece)
            progress(remote.name, offset, size)


def _announced(response: Any, offset: int) -> int:
    """Return the size of a file as the server says it."""
    length = response.headers.get("Content-Length", "")
    if not re.fullmatch("[0-9]{1,15}", length):
        raise _Useless("the server does not say how long the file is")
    if offset + int(length) > MAX_ANNOUNCED:
        raise _Useless(f"the file would have {offset + int(length):,} bytes; at most {MAX_ANNOUNCED:,} are received")
    return offset + int(length)


def read_url(
    url: str, limit: int, *, timeout: float = TIMEOUT, attempts: int = ATTEMPTS, token: str | None = None
) -> bytes:
    """Return what an address answers, without keeping it; a token is not sent to where it redirects to.

    Raises
    ------
    DataError
        There is no answer, or it is longer than `limit` bytes.
    """
    problem = ""
    for _ in range(attempts):
        try:
            content = b""
            with _open(url, 0, timeout, token) as response:
                while len(content) <= limit:
                    with _network(timeout):
                        piece = response.read1(limit + 1 - len(content))
                    if not piece:
                        break
                    content += piece
            if len(content) > limit:
                raise _Useless(f"answered more than {limit:,} bytes")
            length = response.headers.get("Content-Length")
            if length is not None and length != str(len(content)):
                raise _Broken(f"ended after {len(content)} bytes")
            return content
        except _Useless as error:
            problem = str(error)
            break
        except _Broken as error:
            problem = str(error)
    raise DataError(f"the server {urlsplit(url).netloc}: {problem}")


def _open(url: str, offset: int, timeout: float, token: str | None = None) -> Any:
    """Return a server's response, following redirects to HTTP addresses; a token stays with the first server."""
    import urllib.error
    import urllib.request

    server = urlsplit(url)[:2]
    for _ in range(REDIRECTIONS + 1):
        with _network(timeout):
            request = urllib.request.Request(url, headers={"User-Agent": f"rot180/{version('rot180')}"})
            if offset:
                request.add_header("Range", f"bytes={offset}-")
            if token is not None and urlsplit(url)[:2] == server:
                request.add_header("Authorization", f"Bearer {token}")
            try:
                return _opener().open(request, timeout=timeout)
            except urllib.error.HTTPError as error:
                with error:  # its body is not read: it may be endless
                    url = _led_on(url, error)
    raise _Useless(f"more than {REDIRECTIONS} redirects")


def _led_on(url: str, answer: urllib.error.HTTPError) -> str:
    """Return the address that a response redirects to; raise the matching error if it is not a redirect."""
    location = answer.headers.get("Location")
    if answer.code not in (301, 302, 303, 307, 308) or not location:
        raise _refusal(answer)
    url = urljoin(url, quote(location, encoding="iso-8859-1", safe=string.punctuation))
    if urlsplit(url).scheme not in ("http", "https"):
        raise _Useless(f"redirects to {url[:80]!r}, which is not an HTTP address")
    return url


def _refusal(error: urllib.error.HTTPError) -> _Broken | _Useless:
    """Return the error for a response other than the file."""
    says = f"answered {error.code} {' '.join(str(error.reason).split())[:80]}"
    if error.code == 416:
        return _NoSuchRange(says)
    return _Broken(says) if error.code >= 500 or error.code in (408, 429) else _Useless(says)


@contextmanager
def _network(timeout: float) -> Iterator[None]:
    """Turn network errors into `_Broken` and `_Useless`, so that they are not mistaken for disk errors."""
    import http.client
    import urllib.error

    try:
        yield
    except TimeoutError:
        raise _Broken(f"no data for {timeout:g} s") from None
    except http.client.InvalidURL as error:
        raise _Useless(f"the address cannot be used ({' '.join(str(error).split())[:80]})") from None
    except http.client.HTTPException as error:
        raise _Broken(f"connection lost ({type(error).__name__})") from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError):
            raise _Broken(f"no data for {timeout:g} s") from None
        raise _Useless(f"no connection ({error.reason})") from None
    except OSError as error:
        raise _Broken(f"connection lost ({error.strerror or type(error).__name__})") from None
    except ValueError as error:  # from addresses, the mirror's or a proxy's
        raise _Useless(f"the address cannot be used ({' '.join(str(error).split())[:80]})") from None


def _opener() -> urllib.request.OpenerDirector:
    """Return an opener for HTTP only, which leaves redirects to `_open`."""
    import urllib.request

    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def _is_right(path: Path, remote: RemoteFile) -> bool:
    if not path.exists() or remote.size not in (None, _size(path)):
        return False
    with path.open("rb") as file:
        return _sha256(file) == remote.sha256


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _sha256(file: BinaryIO) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
