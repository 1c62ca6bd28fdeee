"""The files of a page: its own, and those that all pages share."""

from __future__ import annotations

import json
from importlib.resources import files
from importlib.resources.abc import Traversable

from starlette.requests import Request
from starlette.responses import Response

from rot180.language import LANGUAGES

SHARED = files("rot180.web") / "page"

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
"""The kinds of files that a page consists of."""


def kind_of(name: str) -> str | None:
    """Return the media type of a file of a page; None for what is none.

    >>> kind_of("main.js"), kind_of("main.py")
    ('text/javascript; charset=utf-8', None)
    """
    return TYPES.get("." + name.rpartition(".")[2])


def page_files(own: Traversable) -> dict[str, bytes]:
    """Return the contents of a page's files by name; the texts of a language are those of both folders.

    Parameters
    ----------
    own : Traversable
        The folder of the page's own files.
    """
    found = {
        file.name: file.read_bytes()
        for folder in (SHARED, own)
        for file in folder.iterdir()
        if file.is_file() and kind_of(file.name)
    }
    for code in LANGUAGES:
        name = f"{code}.json"
        texts: dict[str, str] = {}
        for folder in (SHARED, own):
            texts |= json.loads((folder / name).read_text(encoding="utf-8"))
        found[name] = json.dumps(texts, ensure_ascii=False, separators=(",", ":")).encode()
    return found


class PageFiles:
    """Answers requests for the files of a page, which are at `paths`; at `/` is `index.html`."""

    def __init__(self, own: Traversable) -> None:
        self._files = {f"/{name}": (content, kind_of(name)) for name, content in page_files(own).items()}
        self._files["/"] = self._files["/index.html"]

    @property
    def paths(self) -> list[str]:
        """Where the files are."""
        return list(self._files)

    async def answer(self, request: Request) -> Response:
        """Return the file at the request's path."""
        content, kind = self._files[request.scope["path"]]
        return Response(content, media_type=kind)
