"""Fetching one file from the first mirror that gives it whole.

Whatever a server does, the file under its final name has the checksum that was asked for: it is received under another
name, resumed where a connection broke, and put in place only when it is right. Of several processes that want it, one
fetches and the others wait.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import string
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, urljoin, urlsplit

from rot180.data.options import Progress, _silent
from rot180.errors import DataError
from rot180.files import make_folder, open_descriptor, publish, system

ATTEMPTS = 4
"""Times that a mirror is asked again after a broken connection, each going on where the last one ended."""

TIMEOUT = 30.0
"""Seconds without a byte after which a connection counts as broken."""

PIECE = 64 * 1024

REDIRECTIONS = 10
"""Times that a mirror may send to another address."""


@dataclass(frozen=True)
class RemoteFile:
    """A file that is known: where it is, how long it is, and what it must be."""

    name: str
    urls: Sequence[str]
    """Mirrors, asked in this order."""
    size: int
    sha256: str


class _Broken(Exception):
    """The connection ended early; going on is worth a try."""


class _NoSuchRange(_Broken):
    """The server has less than what is here already."""


class _Useless(Exception):
    """This mirror will not give the file; the next is asked."""


def download(
    remote: RemoteFile,
    folder: Path,
    *,
    progress: Progress = _silent,
    timeout: float = TIMEOUT,
    attempts: int = ATTEMPTS,
) -> Path:
    """Return the file in the folder, fetched unless it is there already and right.

    Parameters
    ----------
    remote : RemoteFile
    folder : Path
        Made if need be.
    progress : callable
        Told the file's name, the bytes that are there, and the bytes of the whole.
    timeout : float
        Seconds without a byte.
    attempts : int
        For each mirror.

    Raises
    ------
    DataError
        No mirror gave the file; the message says of each why. Or the folder cannot be written.
    """
    path, part = folder / remote.name, folder / f"{remote.name}.part"
    problems: list[str] = []
    received = False
    try:
        if _is_right(path, remote):
            return path
        make_folder(folder)
        with _alone(part, lambda: progress(remote.name, min(_size(part), remote.size - 1), remote.size)) as file:
            there = _is_right(path, remote)  # by another process, which was waited for
            for url in () if there else remote.urls:
                problem = _try_mirror(url, remote, file, progress, timeout, attempts)
                if received := problem is None:
                    break
                problems.append(f"{urlsplit(url).netloc}: {problem}")
            empty = file.seek(0, os.SEEK_END) == 0
        if received:
            publish(part, path)
        elif empty or there:
            part.unlink(missing_ok=True)
        if received or there:
            return path
    except FileNotFoundError:
        if _is_right(path, remote):  # another process was faster by a moment
            return path
        raise DataError(f"{path}: cannot be written, as its folder is gone; leave it where it is") from None
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written ({error.strerror or error}); check the folder and the disk"
        ) from None
    raise DataError(f"{remote.name}: no mirror gave it ({'; '.join(problems)})")


@contextmanager
def _alone(part: Path, wait: Any) -> Iterator[BinaryIO]:
    """Open the file that is being received, and make it if need be, when nobody else is receiving it."""
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
    """Say whether a file has this name still; whoever held the lock may have given it another."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _try_mirror(
    url: str, remote: RemoteFile, file: BinaryIO, progress: Progress, timeout: float, attempts: int
) -> str | None:
    """Fetch from one mirror; return None when the file is there and right, else what went wrong."""
    problem = ""
    for _ in range(attempts):
        began = file.seek(0, os.SEEK_END)
        try:
            if began < remote.size:
                _receive(url, remote, file, progress, timeout)
        except _Useless as error:
            return str(error)
        except _Broken as error:
            problem = str(error)
            continue
        if file.seek(0, os.SEEK_END) == remote.size and _sha256(file) == remote.sha256:
            return None
        file.truncate(0)
        problem = "the checksum is another"
        if not began:  # all of it came from here, so coming again would not help; else the beginning may be to blame
            return problem
    return problem


def _receive(url: str, remote: RemoteFile, file: BinaryIO, progress: Progress, timeout: float) -> None:
    """Receive what is missing, and no byte more: what a server says of the length is not relied on."""
    offset = file.seek(0, os.SEEK_END)
    try:
        response = _open(url, offset, timeout)
    except _NoSuchRange:
        file.truncate(0)  # what is here is no beginning of what is there
        raise
    with response:
        if offset and response.status == 206:
            sent_from = re.match(r"bytes ([0-9]{1,20})-", response.headers.get("Content-Range", ""))
            if sent_from is None or int(sent_from[1]) != offset:
                file.truncate(0)
                raise _Broken("another part came than was asked for")
        elif offset:  # no resuming here: the whole comes again
            offset = file.seek(0)
            file.truncate()
        while offset < remote.size:
            wanted = min(PIECE, remote.size - offset)
            with _network(timeout):
                piece = response.read1(wanted)[:wanted]  # what has come; `read` loses it at a stall
            if not piece:
                raise _Broken(f"ended after {offset} of {remote.size} bytes")
            file.write(piece)
            offset += len(piece)
            progress(remote.name, offset, remote.size)


def _open(url: str, offset: int, timeout: float) -> Any:
    """Return the answer of a server, following its redirections within the web."""
    for _ in range(REDIRECTIONS + 1):
        with _network(timeout):
            request = urllib.request.Request(url, headers={"User-Agent": f"rot180/{version('rot180')}"})
            if offset:
                request.add_header("Range", f"bytes={offset}-")
            try:
                return _opener().open(request, timeout=timeout)
            except urllib.error.HTTPError as error:
                with error:  # its body is not read: it may have no end
                    url = _led_on(url, error)
    raise _Useless(f"sends from address to address, more than {REDIRECTIONS} times")


def _led_on(url: str, answer: urllib.error.HTTPError) -> str:
    """Return where an answer sends to; raise what it means where it sends nowhere."""
    location = answer.headers.get("Location")
    if answer.code not in (301, 302, 303, 307, 308) or not location:
        raise _refusal(answer)
    url = urljoin(url, quote(location, encoding="iso-8859-1", safe=string.punctuation))
    if urlsplit(url).scheme not in ("http", "https"):
        raise _Useless(f"sends to {url[:80]!r}, which is not on the web")
    return url


def _refusal(error: urllib.error.HTTPError) -> _Broken | _Useless:
    """Return what an answer other than the file means."""
    says = f"answered {error.code} {' '.join(str(error.reason).split())[:80]}"
    if error.code == 416:
        return _NoSuchRange(says)
    return _Broken(says) if error.code >= 500 or error.code in (408, 429) else _Useless(says)


@contextmanager
def _network(timeout: float) -> Iterator[None]:
    """Turn what can go wrong with a connection into `_Broken` and `_Useless`; nothing of it is the disk's fault."""
    try:
        yield
    except TimeoutError:
        raise _Broken(f"nothing came for {timeout:g} s") from None
    except http.client.InvalidURL as error:
        raise _Useless(f"the address cannot be used ({' '.join(str(error).split())[:80]})") from None
    except http.client.HTTPException as error:
        raise _Broken(f"broke off ({type(error).__name__})") from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError):
            raise _Broken(f"nothing came for {timeout:g} s") from None
        raise _Useless(f"no connection ({error.reason})") from None
    except OSError as error:
        raise _Broken(f"broke off ({error.strerror or type(error).__name__})") from None
    except ValueError as error:  # of addresses, the mirror's or a proxy's
        raise _Useless(f"the address cannot be used ({' '.join(str(error).split())[:80]})") from None


def _opener() -> urllib.request.OpenerDirector:
    """Return an opener for the web alone, which leaves redirections to `_open`."""
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
    if _size(path) != remote.size:
        return False
    with path.open("rb") as file:
        return _sha256(file) == remote.sha256


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _sha256(file: BinaryIO) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
