"""What is served, and its limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rot180.errors import ArgumentError, short
from rot180.web.connection import TIMEOUT
from rot180.web.listening import LOOPBACK, is_loopback

SHORTEST_TOKEN = 16
"""Characters of a token: fewer can be guessed."""


@dataclass(frozen=True)
class Settings:
    """What is served, and its limits.

    Parameters
    ----------
    models : sequence of str
        Run folders or weights files, `NAME=PATH` under another name than their own.
    host, port
        Where to listen; port 0 for a free one.
    token : str or None
        What every request must carry, but for those that ask whether the server is alive.
    workers : int
        Processes that answer, each with its own copy of the networks.
    max_batch : int
        Images that run together.
    max_wait : float
        Seconds that an image waits for others to run with.
    max_queue : int
        Images that wait in a process for a network; requests beyond are refused until there is room again.
    max_body : float
        Megabytes of a request's body.
    timeout : float
        Seconds that a client may take to send a request, or to read its answer.
    drain : float
        Seconds that requests may still take after the server was told to end.
    page : bool
        Whether there is a page at `/`.

    Raises
    ------
    ArgumentError
        A value is not possible, or other machines could ask without a token.
    """

    models: Sequence[str]
    host: str = LOOPBACK
    port: int = 8000
    token: str | None = None
    workers: int = 1
    max_batch: int = 16
    max_wait: float = 0.0
    max_queue: int = 256
    max_body: float = 16.0
    timeout: float = TIMEOUT
    drain: float = 20.0
    page: bool = True

    def __post_init__(self) -> None:
        for option, value, least, most in (
            ("--workers", self.workers, 1, 256),
            ("--max-batch", self.max_batch, 1, 1024),
            ("--max-wait-ms", 1000 * self.max_wait, 0, 60_000),
            ("--max-queue", self.max_queue, 1, 1_000_000),
            ("--max-body", self.max_body, 0.001, 2000),
            ("--timeout", self.timeout, 0.01, 3600),
            ("--drain", self.drain, 0, 3600),
        ):
            if not least <= value <= most:
                raise ArgumentError(f"{option} must be from {least:,} to {most:,}; it is {value:,g}")
        if not self.models:
            raise ArgumentError("serve needs at least one run folder or weights file")
        if self.token is not None and (
            len(self.token) < SHORTEST_TOKEN or not self.token.isascii() or " " in self.token
        ):
            raise ArgumentError(
                f"a token must have at least {SHORTEST_TOKEN} characters of ASCII without spaces; "
                "python -c 'import secrets; print(secrets.token_urlsafe())' makes one"
            )
        if self.token is None and not is_loopback(self.host):
            raise ArgumentError(
                f"--host {self.host}: other machines could send requests; add --token, or leave --host out"
            )
        self.named()

    @property
    def most_bytes(self) -> int:
        """How many bytes a request's body may have."""
        return round(1e6 * self.max_body)

    def named(self) -> dict[str, Path]:
        """Return the path of each network by the name that it is served under.

        >>> Settings(["runs/first", "digits=runs/other/model.safetensors"]).named()
        {'first': PosixPath('runs/first'), 'digits': PosixPath('runs/other/model.safetensors')}
        """
        found: dict[str, Path] = {}
        for text in self.models:
            name, equals, place = text.partition("=")
            if not equals or Path(text).exists():
                name, place = _own_name(Path(text)), text
            elif not name or not place:
                raise ArgumentError(f"{short(text)}: a name or a path is missing; write NAME=PATH, or the path alone")
            path = Path(place)
            if not name or len(name) > 100 or not all(letter.isalnum() or letter in "._-" for letter in name):
                raise ArgumentError(
                    f"{short(name)}: the name of a served network may have letters, digits, '.', '_' and '-'; choose "
                    f"another one, NAME={path}"
                )
            if name in found:
                raise ArgumentError(f"two networks would be served as {name!r}; name one of them with NAME={path}")
            found[name] = path
        return found


def _own_name(path: Path) -> str:
    """Return the name of a run or of a weights file; a run's own file is called like its folder.

    >>> _own_name(Path("runs/first/model.safetensors")), _own_name(Path("digits.safetensors"))
    ('first', 'digits')
    """
    path = path.resolve() if path.name in ("", ".", "..") else path
    if path.name == "model.safetensors" and path.parent.name:
        return path.parent.name
    return path.stem if path.suffix == ".safetensors" else path.name
