"""A lesson: the explorer's page as one file that needs no program and no network.

The page asks for what it shows, and in a lesson the file itself answers. So the answers that it may need are recorded
here: some images with their arrays, journeys and rivers, ledgers as far as they fit, and the bug bench. What only a
running program can answer, such as a training or a drawing, has no page in a lesson.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import heapq
import json
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from starlette.types import Message

from rot180.errors import ArgumentError
from rot180.explore.app import PAGE, Explorer
from rot180.explore.passes import Pass, describe_layers
from rot180.explore.subject import Subject
from rot180.files import write_atomically
from rot180.inside.bugs import BUGS
from rot180.inside.explain.arrays import layer_arrays
from rot180.language import LANGUAGES
from rot180.web.page import kind_of, page_files

PAGES = ("journey", "microscope", "products", "river", "bench")
"""The pages of a lesson, besides the front page and the tour."""

MOST_IMAGES = 10
"""One of each class, but not more."""

MOST_BYTES, LARGEST_IMAGE = 4_000_000, 40_000_000
"""Arrays: images are added as long as they fit into the first; the first image may take as much as the second."""

MOST_ENTRIES = 80_000
"""Entries of ledgers in a lesson, which take about 30 bytes each."""

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' data:; style-src 'unsafe-inline'; img-src data: blob:; "
    "base-uri 'none'; form-action 'none'"
)
"""The file asks nobody for anything."""

Progress = Callable[[str, int, int], None]


def write_lesson(subject: Subject, path: Path, progress: Progress = lambda *_: None) -> None:
    """Write the page about a subject as one HTML file.

    Parameters
    ----------
    subject : Subject
    path : Path
    progress : callable
        Called with what is recorded, how much of it is done, and how much there is.

    Raises
    ------
    ArgumentError
        The file cannot be written.
    """
    chosen = _one_of_each_class(np.asarray(subject.labels))
    images = np.stack([np.asarray(subject.images[number]) for number in chosen])
    few = replace(subject, images=images, labels=np.asarray(subject.labels)[chosen])
    explorer = Explorer(replace(few, prepare=None, checkpoints=(), replay=None, beside=None))
    explorer.owner.start()
    try:
        with ThreadPoolExecutor(1) as thread:  # a notebook has a loop of its own in this one
            answers = thread.submit(asyncio.run, _record(explorer, progress)).result()
    finally:
        explorer.close()
    write_atomically(path, _as_file(page_files(PAGE), answers), fault=ArgumentError)


def _one_of_each_class(labels: Any) -> list[int]:
    """Return the number of the first image of each class, in the order of the classes.

    >>> _one_of_each_class(np.array([2, 0, 2, 1]))
    [1, 3, 0]
    """
    return [int(np.flatnonzero(labels == label)[0]) for label in np.unique(labels)[:MOST_IMAGES]]


async def ask(explorer: Explorer, method: str, path: str, body: object = None, language: str = "en") -> bytes:
    """Ask the application itself, without a server.

    Raises
    ------
    ArgumentError
        It refuses.
    """
    sent, status = bytearray(), 0
    given = b"" if body is None else _compact(body).encode()

    async def receive() -> Message:
        return {"type": "http.request", "body": given, "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)
        sent.extend(message.get("body", b""))

    headers = [(b"accept-language", language.encode())]
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": headers}
    await explorer.app({**scope, "http_version": "1.1"}, receive, send)
    if status != 200:
        raise ArgumentError(json.loads(bytes(sent))["error"])
    return bytes(sent)


class _Recording:
    """The answers that are recorded, by method, path and body, as the page asks for them."""

    def __init__(self, explorer: Explorer) -> None:
        self.explorer = explorer
        self.answers: dict[str, Any] = {}
        self.size = 0  # of the arrays, in bytes

    async def keep(self, method: str, path: str, body: object = None, *, says: bool = False) -> dict[str, Any]:
        """Record an answer, in each language if it says anything, and return it."""
        languages = LANGUAGES if says else ("en",)
        said = {code: json.loads(await ask(self.explorer, method, path, body, code)) for code in languages}
        values: dict[str, Any] = said["en"]
        for other in said.values():  # only what differs is kept once a language
            values = {key: value for key, value in values.items() if other[key] == value}
        words = {code: {key: told[key] for key in told if key not in values} for code, told in said.items()}
        self.answers[f"{method} {path} {'' if body is None else _compact(body)}"] = {"values": values, "said": words}
        return {**values, **words["en"]}

    async def keep_bytes(self, path: str) -> None:
        """Record an answer of arrays; those that are too large to be sent are left out."""
        try:
            data = await ask(self.explorer, "GET", path)
        except ArgumentError:
            return
        self.answers[f"GET {path} "] = {"bytes": base64.b64encode(data).decode()}
        self.size += len(data)

    async def keep_ledgers(self, made: Pass, room: int) -> None:
        """Record ledgers while there is room for their entries, each array from the middle of its first map outward.

        The array that has had the least entries comes next.
        """
        await self.keep("POST", "/api/ledger", {"pass": made.number, "cell": "loss"}, says=True)
        arrays = [(0, turn, cells) for turn, cells in enumerate(_cells_of_arrays(made))]  # a heap
        while arrays and room > 0:
            taken, turn, cells = arrays[0]
            cell = next(cells, None)
            entries = None
            if cell is not None:
                asked = {"pass": made.number, "cell": cell}
                with suppress(ArgumentError):  # sums that are too long to be shown, layers that have no ledger
                    entries = len((await self.keep("POST", "/api/ledger", asked, says=True))["terms"])
            if entries is None:
                heapq.heappop(arrays)
            else:
                room -= entries
                heapq.heapreplace(arrays, (taken + entries, turn, cells))


async def _record(explorer: Explorer, progress: Progress) -> dict[str, Any]:
    """Return the answers to all requests of a lesson's pages."""
    record, bytes_of = _Recording(explorer), list[int]()
    layers = describe_layers(explorer.subject.model)
    count = len(explorer.subject.images)
    for number in range(count):
        progress("recording images", number, count)
        before = record.size
        at = (await record.keep("POST", "/api/pass", {"image": number}))["pass"]
        await record.keep("POST", "/api/journey", {"image": number})
        await record.keep("POST", "/api/river", {"pass": at})
        for layer in layers:
            name = quote(layer["name"], safe="")
            await record.keep_bytes(f"/api/pass/{at}/{name}")
            for group in range(layer["groups"] if layer["has_products"] else 0):
                await record.keep_bytes(f"/api/pass/{at}/{name}/products/{group}")
        bytes_of.append(record.size - before)
        if bytes_of[0] > LARGEST_IMAGE:
            raise ArgumentError(
                f"the arrays of one image take {bytes_of[0] / 1e6:.0f} MB, more than the {LARGEST_IMAGE / 1e6:.0f} MB "
                f"of a lesson; choose a smaller network, or smaller images"
            )
        made = explorer.passes.find(at)
        if made is not None:
            # The tour goes along the first image, which has half of all entries.
            await record.keep_ledgers(made, MOST_ENTRIES // (2 if number == 0 else 2 * count))
        if sum(bytes_of) + bytes_of[0] > MOST_BYTES:
            break
    progress("recording images", count, count)
    kept, subject = len(bytes_of), explorer.subject
    explorer.subject = replace(subject, images=np.asarray(subject.images[:kept]), labels=subject.labels[:kept])
    await record.keep("GET", "/api/subject")
    record.answers["GET /api/subject "]["values"]["lesson"] = PAGES
    await record.keep_bytes("/api/images/0")
    await record.keep("GET", "/api/bugs", says=True)
    for done, bug in enumerate(BUGS):
        progress("recording the bug bench", done, len(BUGS))
        await record.keep("POST", "/api/bench", {"bug": bug}, says=True)
    progress("recording the bug bench", len(BUGS), len(BUGS))
    return record.answers


def _cells_of_arrays(made: Pass) -> Iterator[Iterator[str]]:
    """Yield, for each array that the microscope explains, its cells in the order in which they are recorded."""
    for place, layer in enumerate(made.trace.model.layers):
        for name, array in layer_arrays(made.trace, place).items():
            if name == "output" or (name.endswith(".grad") and name != "output.grad"):
                shape = array.shape if name.removesuffix(".grad") in layer.parameters else array.shape[1:]
                yield _cells(f"{layer.name}.{name}", shape)


def _cells(name: str, shape: tuple[int, ...]) -> Iterator[str]:
    return (f"{name}[{','.join(map(str, index))}]" for index in _in_order(shape))


def _in_order(shape: tuple[int, ...]) -> Iterable[tuple[int, ...]]:
    """Return the indices of an array: of its first map from the middle outward, then of the next map.

    >>> list(_in_order((3, 1, 2)))
    [(1, 0, 0), (0, 0, 0), (2, 0, 0), (1, 0, 1), (0, 0, 1), (2, 0, 1)]
    """
    drawn = min(len(shape), 2)
    middle = [(size - 1) // 2 for size in shape[:drawn]]

    def order(index: tuple[int, ...]) -> tuple[Any, ...]:
        far = sum((at - to) ** 2 for at, to in zip(index, middle, strict=False))
        return index[drawn:], far, index

    return sorted((tuple(map(int, index)) for index in np.ndindex(*shape)), key=order)


def _compact(values: object) -> str:
    """Return JSON as the page writes it."""
    return json.dumps(values, separators=(",", ":"), ensure_ascii=False)


def _as_file(files: dict[str, bytes], answers: dict[str, Any]) -> bytes:
    """Return the page with its styles, modules, texts and answers inside."""
    for code in LANGUAGES:
        texts = json.loads(files[f"{code}.json"])
        answers[f"GET /{code}.json "] = {"values": texts, "said": {}}
    modules = {}
    for name, data in files.items():
        if name.endswith(".js"):
            script = re.sub(r'from "\./([\w-]+\.js)"', r'from "rot180/\1"', data.decode())
            modules[f"rot180/{name}"] = _inline("text/javascript", script.encode())
    packed = base64.b64encode(gzip.compress(_compact(answers).encode(), mtime=0)).decode()
    page = files["index.html"].decode()
    icon = _inline(str(kind_of("icon.svg")), files["icon.svg"])
    inside = {
        '<link rel="icon" href="/icon.svg" type="image/svg+xml">': f'<link rel="icon" href="{icon}">',
        '<link rel="stylesheet" href="/style.css">': f"<style>\n{files['style.css'].decode()}</style>",
        '<script type="module" src="/main.js"></script>': f'<script type="importmap">{json.dumps({"imports": modules})}'
        f"</script>",
        "<head>": f'<head>\n<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        "</body>": f'<script type="text/plain" id="answers">{packed}</script>\n'
        '<script type="module">import "rot180/main.js";</script>\n</body>',
    }
    for outside, replaced in inside.items():
        page = page.replace(outside, replaced, 1)
    return page.encode()


def _inline(kind: str, data: bytes) -> str:
    return f"data:{kind.partition(';')[0]};base64,{base64.b64encode(data).decode()}"
