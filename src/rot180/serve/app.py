"""The requests and their answers.

GET   /                                   the page; a file of it
GET   /models                             the networks, as the page needs them
POST  /predict                            an image file, or a form with several: their classes, as `rot180 predict`
                                          tells them; ?model=NAME, ?top=K or ?top=all
POST  /look                               an image file: what the network sees, and maps of its layers
POST  /reasons?class=CLASS                an image file: what the probability of a class rests on
GET   /metrics                            for Prometheus
GET   /v2                                 the Open Inference Protocol: the server,
GET   /v2/health/live, /v2/health/ready   whether it is alive, and whether it answers,
GET   /v2/models/NAME, .../ready          a network, and whether it answers,
POST  /v2/models/NAME/infer               and its outputs for a tensor; also below /versions/1
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from functools import partial
from importlib.resources import files
from typing import TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rot180 import __version__
from rot180.errors import ArgumentError, Rot180Error, did_you_mean
from rot180.language import LANGUAGES, language
from rot180.ops.types import Array
from rot180.serve import pictures
from rot180.serve.batching import Batcher, QueueFull
from rot180.serve.bodies import Bodies
from rot180.serve.form import is_form, read_form
from rot180.serve.guard import ROUTE
from rot180.serve.metrics import CONTENT_TYPE, Metrics
from rot180.serve.served import VERSION, Served
from rot180.serve.settings import Settings
from rot180.serve.tensors import LENGTH_HEADER, read_request, write_answer
from rot180.web.page import PageFiles
from rot180.web.refusals import explain_status, refusal, wanted_language

PAGE = files("rot180.serve") / "page"

SMALL = 1 << 16
"""Bytes of a request for tensors that is read at once; longer ones are read by another thread."""

LOOKS_AT_ONCE, LOOKS_WAITING = 1, 8
"""Images whose decisions are examined at a time, and that may wait for it."""

BODIES_AT_ONCE = 16
"""How many bodies of the greatest length may be held at a time."""

Result = TypeVar("Result")
Handler = Callable[[Request], Awaitable[Response]]


class App:
    """The requests about some networks.

    Parameters
    ----------
    networks : mapping of name to Served
    settings : Settings
    metrics : Metrics
    """

    def __init__(self, networks: Mapping[str, Served], settings: Settings, metrics: Metrics) -> None:
        self._networks, self._metrics = networks, metrics
        self._bodies = Bodies(BODIES_AT_ONCE * settings.most_bytes)
        self._looking, self._looks = asyncio.Semaphore(LOOKS_AT_ONCE), 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self.batcher = Batcher(
            networks,
            max_batch=settings.max_batch,
            max_wait=settings.max_wait,
            max_queue=settings.max_queue,
            observe=metrics.ran,
            deliver=self._deliver,
        )
        routes = [
            ("GET", "/metrics", "metrics", self._tell_metrics),
            ("GET", "/v2", "metadata", self._server),
            ("GET", "/v2/health/live", "health", self._live),
            ("GET", "/v2/health/ready", "health", self._ready),
            ("POST", "/predict", "predict", self._predict),
        ]
        for below in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
            routes += [
                ("GET", below, "metadata", self._model),
                ("GET", f"{below}/ready", "health", self._model_ready),
                ("POST", f"{below}/infer", "infer", self._infer),
            ]
        if settings.page:
            page = PageFiles(PAGE)
            routes += [
                ("GET", "/models", "page", self._models),
                ("POST", "/look", "look", self._look),
                ("POST", "/reasons", "look", self._reasons),
                *(("GET", path, "page", page.answer) for path in page.paths),
            ]
        self.app = Starlette(
            routes=[Route(path, _noting(label, handler), methods=[method]) for method, path, label, handler in routes],
            exception_handlers={
                HTTPException: explain_status,
                QueueFull: _explain_full,
                Rot180Error: _explain_error,
                MemoryError: _explain_memory,
            },
        )
        self.app.router.redirect_slashes = False

    def close(self) -> None:
        """End; nobody waits any more, or has waited as long as is granted."""
        self.batcher.close(finish=False)

    # The Open Inference Protocol.

    async def _server(self, request: Request) -> Response:
        return JSONResponse({"name": "rot180", "version": __version__, "extensions": ["binary_tensor_data"]})

    async def _live(self, request: Request) -> Response:
        return JSONResponse({"live": self.batcher.is_alive}, 200 if self.batcher.is_alive else 503)

    async def _ready(self, request: Request) -> Response:
        return JSONResponse({"ready": self.batcher.is_ready}, 200 if self.batcher.is_ready else 503)

    async def _model_ready(self, request: Request) -> Response:
        name = self._named(request).name
        return JSONResponse({"name": name, "ready": self.batcher.is_ready}, 200 if self.batcher.is_ready else 503)

    async def _model(self, request: Request) -> Response:
        return JSONResponse(self._named(request).metadata())

    async def _infer(self, request: Request) -> Response:
        served = self._named(request)
        async with self._bodies.reading(request) as body:
            hop = len(body) > SMALL
            read = partial(read_request, body, request.headers.get(LENGTH_HEADER), served)
            asked = await _call(read, hop)
            ready = await _call(partial(served.ready, asked.images), hop)
            answers = await self._run(served, ready)
            data, headers = await _call(partial(write_answer, answers, asked, served), answers.nbytes > SMALL)
        return Response(data, headers=headers)

    def _named(self, request: Request) -> Served:
        """Return the network that a path names."""
        served = self._find(request.path_params["name"])
        if request.path_params.get("version", VERSION) != VERSION:
            raise HTTPException(404, f"{served.name} has only version {VERSION}; leave the version out")
        return served

    def _find(self, name: str) -> Served:
        if name not in self._networks:
            raise HTTPException(404, f"no network is called {name[:40]!r}{did_you_mean(name[:40], self._networks)}")
        return self._networks[name]

    async def _run(self, served: Served, ready: Array) -> Array:
        """Have images run with those of others."""
        self._loop = asyncio.get_running_loop()
        try:
            future = self.batcher.submit(served.name, ready)
        except QueueFull:
            self._metrics.refused(served.name)
            raise
        answered: asyncio.Future[Array] = self._loop.create_future()

        def tell(found: Future[Array]) -> None:
            if not answered.done():
                error = found.exception()
                answered.set_result(found.result()) if error is None else answered.set_exception(error)

        # Called in this thread, as `_deliver` sees to; `asyncio.wrap_future` would wake it for every request.
        future.add_done_callback(tell)
        return await answered

    def _deliver(self, tell: Callable[[], None]) -> None:
        """Have the thread of the requests told of their answers."""
        try:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(tell)
                return
        except RuntimeError:
            pass  # the loop has ended, and nobody waits in it
        tell()

    # Image files.

    async def _predict(self, request: Request) -> Response:
        served = self._chosen(request, "predict")
        top = _top(request.query_params.get("top", "3"), len(served.classes))
        async with self._bodies.reading(request) as body:
            sent = _files(request, body)
            found, ready = await asyncio.to_thread(pictures.read_pictures, sent, served)
            answers = None if ready is None else await self._run(served, ready)
            told = pictures.tell_predictions(sent, found, answers, served, top)
        return JSONResponse(told, 400 if answers is None else 200)

    async def _look(self, request: Request) -> Response:
        served = self._chosen(request, "look")
        data = await self._examine(request, lambda name, file: pictures.look(file, name, served))
        return Response(data, media_type="application/octet-stream")

    async def _reasons(self, request: Request) -> Response:
        served = self._chosen(request, "reasons")
        label = pictures.class_number(request.query_params.get("class", ""), served)
        submit = partial(self.batcher.submit, served.name, patient=True)
        found = await self._examine(request, lambda name, file: pictures.reasons(file, name, label, served, submit))
        return JSONResponse(
            {key: value.tolist() if hasattr(value, "tolist") else value for key, value in found.items()}
        )

    async def _examine(self, request: Request, work: Callable[[str, bytes], Result]) -> Result:
        """Do with an image what takes long: one at a time, and not more than a few wait for it."""
        async with self._bodies.reading(request) as body:
            ((name, file), *others) = _files(request, body)
            if others:
                raise ArgumentError("only one image at a time can be examined; send the others in separate requests")
            if self._looks > LOOKS_WAITING:
                raise QueueFull(5)
            self._looks += 1
            try:
                async with self._looking:
                    return await asyncio.to_thread(work, name, file)
            finally:
                self._looks -= 1

    def _chosen(self, request: Request, command: str) -> Served:
        """Return the network that a request's `model` names, or else the first one."""
        served = self._find(request.query_params.get("model", next(iter(self._networks))))
        pictures.require_classes(served, command)
        return served

    # Everything else.

    async def _tell_metrics(self, request: Request) -> Response:
        for name in self._networks:
            self._metrics.is_ready(name, self.batcher.is_ready)
        text = self._metrics.text({name: self.batcher.waiting(name) for name in self._networks})
        return Response(text, media_type=CONTENT_TYPE)

    async def _models(self, request: Request) -> Response:
        return JSONResponse(
            {
                "models": [
                    {
                        "name": served.name,
                        "notation": served.model.notation,
                        "input": served.model.input_shape,
                        "classes": served.classes,
                    }
                    for served in self._networks.values()
                    if served.classifies and served.takes_pictures
                ],
                "language": language(),
                "languages": LANGUAGES,
            }
        )


def _noting(label: str, handler: Handler) -> Handler:
    async def answer(request: Request) -> Response:
        request.scope[ROUTE] = label
        return await handler(request)

    return answer


async def _call(work: Callable[[], Result], hop: bool) -> Result:
    """Call a function, in another thread if it takes long."""
    return await asyncio.to_thread(work) if hop else work()


def _files(request: Request, body: bytes) -> list[tuple[str, bytes]]:
    """Return the names and contents of the files of a request: those of a form, or its body."""
    kind = request.headers.get("content-type", "")
    if is_form(kind):
        return read_form(body, kind)
    if not body:
        raise ArgumentError("the body is empty; it must be an image file, as curl --data-binary @image.png sends it")
    return [("the body", body)]


def _top(text: str, classes: int) -> int:
    if text == "all":
        return classes
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:9]):
        raise ArgumentError(f"top must be a whole number from 1, or all; it is {text[:40]!r}")
    return min(int(text[:9]), classes)


async def _explain_full(request: Request, error: Exception) -> Response:
    seconds = error.seconds if isinstance(error, QueueFull) else 1
    return refusal(503, str(error), wanted_language(request), {"retry-after": str(seconds)})


async def _explain_error(request: Request, error: Exception) -> Response:
    return refusal(400, str(error), wanted_language(request))


async def _explain_memory(request: Request, error: Exception) -> Response:
    reason = str(error) or "there is not enough memory for this request"
    return refusal(503, reason, wanted_language(request), {"retry-after": "1"})
