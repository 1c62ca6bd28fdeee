"""The requests of the page, and their answers.

GET   /                         the page; a file of it
GET   /api/subject              what is explored: layers, images, classes
GET   /api/images/FIRST         some images with their labels, in the safetensors layout
GET   /api/pass/NUMBER          a pass: its image, its probabilities, the ends of the color scales
GET   /api/pass/NUMBER/LAYER    the arrays around a layer, in the safetensors layout; never changes
GET   /api/pass/NUMBER/LAYER/products/GROUP   its passes as three matrix products, likewise
GET   /api/events               the training, as server-sent events
GET   /api/batch                the images and labels that the training takes next, in the safetensors layout
POST  /api/pass                 {"image": 7}, or {"pixels": BASE64} of H x W x C bytes: send an image through the
                                network as it is now, or as it was at a "moment" of the training
POST  /api/attribution          likewise, with {"class": 3}: which part of the image that class rests on
POST  /api/ledger               {"pass": 3, "cell": "conv1.output[3,5,1]"}: where a number comes from
POST  /api/river                {"pass": 3}: how much of delta flows through each layer
POST  /api/nudge                likewise, of a pixel or parameter: the loss around it
POST  /api/journey              {"image": 7} or {}: every array of an image's journey, or of the next batch's
POST  /api/lab                  {"kind": "convolution", "height": 7, ...}: a pass of small whole numbers
GET   /api/bugs                 the mistakes that the bug bench makes
POST  /api/bench                {"bug": "no-rotation"}: a training with this mistake, and the check that finds it
POST  /api/train                {"command": "run"}: begin, run, pause, step, restart, watch, ignore;
                                {"command": "replay", "from": 57}: a run's steps again, from its checkpoint
POST  /api/health               {}: what `rot180 health` finds in the network as it is now

Those that look back at a training are in retrospect.py.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import asdict
from importlib.resources import files
from typing import Any, TypeVar

import numpy as np
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from rot180.errors import ArgumentError, Rot180Error
from rot180.explore import lab
from rot180.explore.answers import answer, binary, shown_images, told_ledger
from rot180.explore.asked import body, last_event, pixels, whole
from rot180.explore.owner import Owner
from rot180.explore.passes import Pass, Passes, describe_layers, place_of
from rot180.explore.retrospect import Retrospect
from rot180.explore.subject import Subject
from rot180.explore.training import RUNNING, Training
from rot180.inside import attribution, journey
from rot180.inside.bugs import BUGS, BenchResult, bug_bench
from rot180.language import LANGUAGES, language, translate
from rot180.language.visible import json_ready
from rot180.nn.pixel_range import PixelRange
from rot180.ops.types import Array
from rot180.web.page import PageFiles
from rot180.web.refusals import explain_status, refusal, wanted_language

PAGE = files("rot180.explore") / "page"

IMAGES = 24
"""Images that are sent at once, as the page shows them in a strip."""

MOST_OF_A_BATCH = 64
"""Images of a batch that are shown."""

BETWEEN_LOOKS = 0.1
"""Seconds between two looks at whether there is news of the training; a change of its state is told at once."""

BETWEEN_EVENTS = 0.8
"""Seconds between two events of a training that simply runs. For each, the page draws its curve anew, and a training on
all cores loses the time that one of them takes for it."""

Result = TypeVar("Result")


class Explorer:
    """The requests about one subject."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.owner = Owner()
        self.training = Training(self.owner, subject)
        self.passes = Passes()
        self.bench = asyncio.Lock()
        self.benches: dict[str, BenchResult] = {}
        self.is_closing = False
        self.limits = PixelRange.of(np.asarray(subject.images[:MOST_OF_A_BATCH])).limits
        page = PageFiles(PAGE)
        self.app = Starlette(
            routes=[
                Route("/api/subject", self._subject),
                Route("/api/images/{first:int}", self._images),
                Route("/api/pass/{number:int}", self._describe),
                Route("/api/pass/{number:int}/{layer}", self._layer),
                Route("/api/pass/{number:int}/{layer}/products/{group:int}", self._products),
                Route("/api/events", self._events),
                Route("/api/batch", self._batch),
                Route("/api/pass", self._make, methods=["POST"]),
                Route("/api/attribution", self._attribution, methods=["POST"]),
                Route("/api/ledger", self._ledger, methods=["POST"]),
                *Retrospect(subject, self.training, self.owner, self.limits).routes,
                Route("/api/river", self._river, methods=["POST"]),
                Route("/api/nudge", self._nudge, methods=["POST"]),
                Route("/api/journey", self._journey, methods=["POST"]),
                Route("/api/lab", self._lab, methods=["POST"]),
                Route("/api/bugs", self._bugs),
                Route("/api/bench", self._bench, methods=["POST"]),
                Route("/api/train", self._train, methods=["POST"]),
                Route("/api/health", self._health, methods=["POST"]),
                *(Route(path, page.answer) for path in page.paths),
            ],
            exception_handlers={
                Rot180Error: _explain_error,
                MemoryError: _explain_error,
                HTTPException: explain_status,
            },
        )

    def close(self) -> None:
        """End the training and the owner of the network."""
        self.is_closing = True
        self.training.stop()
        self.owner.close()

    async def _ask(self, command: Callable[[], Result]) -> Result:
        """Have the owner of the network carry out a command between two steps."""
        return await asyncio.wrap_future(self.owner.ask(command))

    async def _subject(self, request: Request) -> Response:
        subject, model = self.subject, self.training.model
        return answer(
            {
                "name": subject.name,
                "notation": model.notation,
                "input": model.input_shape,
                "dataset": subject.dataset,
                "part": subject.part,
                "count": len(subject.images),
                "classes": model.class_names or [str(k) for k in range(model.output_shape[-1])],
                "can_train": subject.prepare is not None,
                "checkpoints": subject.checkpoints,
                "beside": None if subject.beside is None else subject.beside.name,
                "is_trained": subject.is_trained,
                "layers": describe_layers(model),
                "language": language(),
                "languages": LANGUAGES,
            }
        )

    async def _images(self, request: Request) -> Response:
        first = request.path_params["first"]
        count = len(self.subject.images)
        if first >= count:
            raise ArgumentError(f"there are {count:,} images, counted from 0; there is no number {first}")
        chosen = slice(first, min(first + IMAGES, count))

        def read() -> bytes:
            images, labels = np.asarray(self.subject.images[chosen]), np.asarray(self.subject.labels[chosen])
            return shown_images(images, labels, self.limits)

        return binary(await asyncio.to_thread(read))

    async def _batch(self, request: Request) -> Response:
        images, labels = await self._ask(self.training.next_images)
        chosen = slice(MOST_OF_A_BATCH)
        return binary(await asyncio.to_thread(shown_images, images[chosen], labels[chosen], self.limits), changes=True)

    def _image(self, asked: Mapping[str, Any]) -> tuple[Array, int | None, int | None]:
        """Return the image that a command names or holds, its number, and its label."""
        if "pixels" in asked:
            drawn = pixels(asked["pixels"], self.subject.model.input_shape)
            black, white = self.limits
            if black < 0:  # normalized images, whose black and white have no bytes
                drawn = (black + drawn / np.float32(255) * (white - black)).astype(np.float32)
            return drawn, None, None
        number = whole(asked, "image", len(self.subject.images))
        return np.asarray(self.subject.images[number]), number, int(self.subject.labels[number])

    async def _make(self, request: Request) -> Response:
        asked = await body(request)

        def make() -> Pass:
            image, number, label = self._image(asked)
            training = self.training
            if "moment" in asked:
                moment = training.moment_at(whole(asked, "moment", 1 << 53))
                then = moment.of(training.model)
                return self.passes.make(then, moment.step, image, number, label, moment.optimizer)
            return self.passes.make(training.model, training.step, image, number, label, training.optimizer)

        made = await self._ask(make)
        return answer(await asyncio.to_thread(made.describe))

    async def _attribution(self, request: Request) -> Response:
        asked = await body(request)
        label = whole(asked, "class", self.subject.model.output_shape[-1])

        def attribute() -> dict[str, Any]:
            engine = self.subject.engine
            return asdict(attribution(self.training.model, self._image(asked)[0], label, engine=engine))

        return answer(await self._ask(attribute))

    async def _lab(self, request: Request) -> Response:
        asked = await body(request)

        def make() -> dict[str, Any]:
            trace, told = lab.build(asked)
            return {"pass": self.passes.keep(trace).number, **told}

        # It has a network of its own, and need not wait for the owner of the other one.
        return answer(await asyncio.to_thread(make))

    async def _bugs(self, request: Request) -> Response:
        return answer({name: translate(bug.says, wanted_language(request)) for name, bug in BUGS.items()})

    async def _bench(self, request: Request) -> Response:
        asked, into = await body(request), wanted_language(request)
        bug = str(asked.get("bug"))[:40]
        async with self.bench:  # one at a time: it takes the processors for some seconds
            if bug not in self.benches:
                self.benches[bug] = await asyncio.to_thread(bug_bench, bug)
        found = self.benches[bug].to_dict()
        found["says"] = translate(found["says"], into)
        found["optimizer"]["mistakes"] = [translate(mistake, into) for mistake in found["optimizer"]["mistakes"]]
        for part in found["gradients"]["parts"]:
            for gradient in part["gradients"]:
                for key in ("mistake", "advice"):
                    gradient[key] = gradient[key] and translate(gradient[key], into)
        return answer(found)

    def _find(self, number: int) -> Pass:
        found = self.passes.find(number)
        if found is None:
            raise ArgumentError(f"pass {number} is no longer kept; choose the image again")
        return found

    async def _describe(self, request: Request) -> Response:
        return answer(await asyncio.to_thread(self._find(request.path_params["number"]).describe))

    async def _layer(self, request: Request) -> Response:
        found, name = self._find(request.path_params["number"]), request.path_params["layer"]
        place_of(found.trace.model, name)
        return binary(await asyncio.to_thread(found.layer, name))

    async def _products(self, request: Request) -> Response:
        given = request.path_params
        found = self._find(given["number"])
        return binary(await asyncio.to_thread(found.products, given["layer"], given["group"]))

    def _named(self, asked: Mapping[str, Any]) -> tuple[Pass, str]:
        """Return the pass and the cell that a command names."""
        cell = asked.get("cell")
        if not isinstance(cell, str) or len(cell) > 200:
            raise ArgumentError("cell must be the name of a number, such as conv1.output[3,5,1]")
        return self._find(whole(asked, "pass", 1 << 53)), cell

    async def _river(self, request: Request) -> Response:
        found = self._find(whole(await body(request), "pass", 1 << 53))
        return answer({"beds": [asdict(bed) for bed in await asyncio.to_thread(found.river)]})

    async def _nudge(self, request: Request) -> Response:
        found, cell = self._named(await body(request))
        return answer(asdict(await asyncio.to_thread(found.nudge, cell)))

    async def _ledger(self, request: Request) -> Response:
        self.owner.hear()
        found, cell = self._named(await body(request))
        ledger = await asyncio.to_thread(found.ledger, cell)
        self.owner.hear()
        return answer(told_ledger(ledger, wanted_language(request)))

    async def _journey(self, request: Request) -> Response:
        asked = await body(request)
        if "image" not in asked:
            return answer((await self._ask(self.training.next_batch)).to_dict())
        number = whole(asked, "image", len(self.subject.images))

        def travel() -> dict[str, Any]:
            images, labels = np.asarray(self.subject.images[number])[None], self.subject.labels[number : number + 1]
            rule = self.training.optimizer
            return journey(self.training.model, images, labels, optimizer=rule or "adam").to_dict()

        return answer(await self._ask(travel))

    async def _train(self, request: Request) -> Response:
        asked = await body(request)
        steps, start = whole(asked, "steps", 1_000_000, 1), whole(asked, "from", 1 << 53, 0)
        self.training.command(str(asked.get("command")), steps, start)
        return answer({})

    async def _health(self, request: Request) -> Response:
        await body(request)
        found = (await self._ask(self.training.health)).to_dict()
        into = wanted_language(request)
        for finding in found["findings"]:
            for key in ("what", "evidence", "advice"):
                finding[key] = translate(finding[key], into)
        return answer(found)

    async def _events(self, request: Request) -> Response:
        generation, point = last_event(request.headers.get("last-event-id", ""))
        into = wanted_language(request)
        return StreamingResponse(
            self._stream(request, generation, point, into),
            media_type="text/event-stream",
            headers={"x-accel-buffering": "no"},
        )

    async def _stream(self, request: Request, generation: int, point: int, into: str) -> AsyncIterator[str]:
        """Yield what is new about the training; the id of an event tells how far a page has got."""
        before: Mapping[str, Any] = {}
        quiet = 0.0
        while not self.is_closing and not await request.is_disconnected():
            found = self.training.since(generation, point)
            found["reason"] = translate(found["reason"], into)
            told = {key: value for key, value in found.items() if key not in ("points", "is_new")}
            runs_on = found["state"] == before.get("state") == RUNNING and not found["is_new"]
            is_news = found["points"] or found["is_new"] or told != before or quiet > 10
            if is_news and not (runs_on and quiet < BETWEEN_EVENTS):
                point = len(found["points"]) + (0 if found["is_new"] else point)
                generation, before, quiet = found["generation"], {**told, "epochs": list(told["epochs"])}, 0.0
                data = json.dumps(json_ready(found), separators=(",", ":"), allow_nan=False)
                yield f"id: {generation}.{point}\ndata: {data}\n\n"
            quiet += BETWEEN_LOOKS
            await asyncio.sleep(BETWEEN_LOOKS)


async def _explain_error(request: Request, error: Exception) -> Response:
    return refusal(400, str(error), wanted_language(request))
