"""Fetching one file from the first mirror that gives it whole.

Whatever a server does, the file under its final name has the checksum that was asked for: it is received under another
name, resumed where a connection broke, and put in place only when it is right.
"""

from __future__ import annotations

import hashlib
import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

from rot180.data.options import Progress, _silent
from rot180.errors import DataError

ATTEMPTS = 4
"""Times that a mirror is asked again after a broken connection, each going on where the last one ended."""

TIMEOUT = 30.0
"""Seconds without a byte after which a connection counts as broken."""

PIECE = 64 * 1024


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
    try:
        if path.exists() and path.stat().st_size == remote.size and _sha256(path) == remote.sha256:
            return path
        folder.mkdir(parents=True, exist_ok=True)
        for url in remote.urls:
            problem = _try_mirror(url, remote, part, progress, timeout, attempts)
            if problem is None:
                part.replace(path)
                return path
            problems.append(f"{urlsplit(url).netloc}: {problem}")
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written ({error.strerror or error}); check the folder and the disk"
        ) from None
    raise DataError(f"{remote.name}: no mirror gave it ({'; '.join(problems)})")


def _try_mirror(
    url: str, remote: RemoteFile, part: Path, progress: Progress, timeout: float, attempts: int
) -> str | None:
    """Fetch from one mirror; return None when the file is there and right, else what went wrong."""
    problem = ""
    for _ in range(attempts):
        began = _size(part)
        try:
            if began < remote.size:
                _receive(url, remote, part, progress, timeout)
        except _Useless as error:
            return str(error)
        except _Broken as error:
            problem = str(error)
            continue
        if _sha256(part) == remote.sha256:
            return None
        part.unlink()
        problem = "the checksum is another"
        if not began:  # all of it came from here, so coming again would not help; else the beginning may be to blame
            return problem
    return problem


def _receive(url: str, remote: RemoteFile, part: Path, progress: Progress, timeout: float) -> None:
    """Receive what is missing, and no byte more: what a server says of the length is not relied on."""
    offset = _size(part)
    request = urllib.request.Request(url, headers={"User-Agent": f"rot180/{version('rot180')}"})
    if offset:
        request.add_header("Range", f"bytes={offset}-")
    try:
        with _opener().open(request, timeout=timeout) as response:
            if offset and response.status == 206:
                sent_from = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
                if sent_from is None or int(sent_from[1]) != offset:
                    part.unlink()
                    raise _Broken("another part came than was asked for")
            elif offset:  # no resuming here: the whole comes again
                offset = 0
            with part.open("r+b" if offset else "wb") as file:
                file.seek(offset)
                while offset < remote.size:
                    piece = response.read1(
                        min(PIECE, remote.size - offset)
                    )  # what has come; `read` loses it at a stall
                    if not piece:
                        raise _Broken(f"ended after {offset} of {remote.size} bytes")
                    file.write(piece)
                    offset += len(piece)
                    progress(remote.name, offset, remote.size)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # what is here is no beginning of what is there
            part.unlink(missing_ok=True)
        if error.code >= 500 or error.code in (408, 416, 429):
            raise _Broken(f"answered {error.code} {error.reason}") from None
        raise _Useless(f"answered {error.code} {error.reason}") from None
    except TimeoutError:
        raise _Broken(f"nothing came for {timeout:g} s") from None
    except http.client.HTTPException as error:
        raise _Broken(f"broke off ({type(error).__name__})") from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError):
            raise _Broken(f"nothing came for {timeout:g} s") from None
        raise _Useless(f"no connection ({error.reason})") from None
    except ConnectionError as error:
        raise _Broken(f"broke off ({error.strerror or type(error).__name__})") from None


def _opener() -> urllib.request.OpenerDirector:
    """Return an opener for the web alone: a redirection cannot lead to a file of this machine."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
