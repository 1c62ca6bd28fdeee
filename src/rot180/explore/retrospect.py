"""Looking back at a training: one image through it, one weight through it, steps of a run again, another run beside it.

GET   /api/moments/STEP         the images and labels of the batch after STEP updates, in the safetensors layout
POST  /api/time                 {"image": 7}: what the network would have answered at each moment of the training
POST  /api/biography            {"cell": "conv1.weight[0,0,0,1]"}: a parameter at each moment
POST  /api/chapter              likewise, with {"moment": STEP, "image": 3}: what pushed it then, and how far
GET   /api/beside               the losses of both runs, and where their settings and weights differ
POST  /api/beside               {"image": 7}: what both networks answer now
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TypeVar

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from rot180.errors import ArgumentError
from rot180.explore.answers import answer, binary, shown_images, told_ledger
from rot180.explore.asked import body, whole
from rot180.explore.owner import Owner
from rot180.explore.subject import Beside, Subject
from rot180.explore.training import Training
from rot180.inside.biographies import biography, chapter, trace_of
from rot180.inside.explain import Trace
from rot180.inside.moments import Moment, decision
from rot180.inside.two_networks import apart
from rot180.nn import Network
from rot180.web.refusals import wanted_language

Result = TypeVar("Result")


class Retrospect:
    """The requests that look back at one training.

    Parameters
    ----------
    subject : Subject
    training : Training
    owner : Owner
    limits : (float, float)
        Black and white in the images.
    """

    def __init__(self, subject: Subject, training: Training, owner: Owner, limits: tuple[float, float]) -> None:
        self._subject, self._training, self._owner, self._limits = subject, training, owner, limits
        self._trace: tuple[tuple[int, int], Trace] | None = None  # of the chapter that is open
        self._opening = asyncio.Lock()
        self.routes = [
            Route("/api/moments/{step:int}", self._batch),
            Route("/api/time", self._time, methods=["POST"]),
            Route("/api/biography", self._biography, methods=["POST"]),
            Route("/api/chapter", self._chapter, methods=["POST"]),
            Route("/api/beside", self._two_runs),
            Route("/api/beside", self._two_answers, methods=["POST"]),
        ]

    async def _ask(self, command: Callable[[], Result]) -> Result:
        return await asyncio.wrap_future(self._owner.ask(command))

    async def _batch(self, request: Request) -> Response:
        step = request.path_params["step"]
        images, labels = await self._ask(lambda: self._training.batch_after(step))
        return binary(await asyncio.to_thread(shown_images, images, labels, self._limits), changes=True)

    async def _time(self, request: Request) -> Response:
        number = whole(await body(request), "image", len(self._subject.images))
        kept, model = self._moments(), self._training.model
        if len(model.output_shape) != 1:
            raise ArgumentError("this network returns maps; Time follows the answers of a network with classes")
        image, label = np.asarray(self._subject.images[number]), int(self._subject.labels[number])
        found = await asyncio.to_thread(decision, model, kept, image, label)
        return answer({**asdict(found), "label": label})

    def _moments(self) -> list[Moment]:
        kept = list(self._training.moments.kept)
        if not kept:
            raise ArgumentError("there are no moments of a training to look back at: start one on the page Train")
        return kept

    async def _biography(self, request: Request) -> Response:
        cell = _cell(await body(request))
        found = await asyncio.to_thread(biography, self._training.model, self._moments(), cell)
        return answer(asdict(found))

    async def _chapter(self, request: Request) -> Response:
        asked = await body(request)
        cell, step = _cell(asked), whole(asked, "moment", 1 << 53)
        moment = self._training.moment_at(step)
        async with self._opening:
            key = self._training.generation, step
            if self._trace is None or self._trace[0] != key:
                images, labels = await self._ask(lambda: self._training.batch_after(step))
                loss = await self._ask(lambda: self._training.loss)
                self._trace = key, await asyncio.to_thread(trace_of, self._training.model, moment, images, labels, loss)
            trace = self._trace[1]
            image = whole(asked, "image", trace.count, 0)
            found = await asyncio.to_thread(chapter, trace, step, cell, image)
        told = {**asdict(found), "update": told_ledger(found.update, wanted_language(request))}
        return answer({**told, "loss": trace.loss_value})

    def _beside(self) -> Beside:
        if self._subject.beside is None:
            raise ArgumentError("there is no other run; start rot180 explore with --beside RUN")
        return self._subject.beside

    async def _two_runs(self, request: Request) -> Response:
        beside, subject, training = self._beside(), self._subject, self._training
        losses = list(subject.losses)
        if training.points:  # those of a replay begin where it went back to
            losses = losses[: training.points[0][0] - 1] + [point[1] for point in training.points]
        names = sorted(subject.settings.keys() | beside.settings.keys())
        pairs = [(name, subject.settings.get(name), beside.settings.get(name)) for name in names]
        return answer(
            {
                "name": subject.name,
                "other": beside.name,
                "losses": losses,
                "other_losses": list(beside.losses),
                "settings": [[name, mine, theirs] for name, mine, theirs in pairs if mine != theirs],
                "weights": [asdict(found) for found in apart(training.model, beside.model)],
            }
        )

    async def _two_answers(self, request: Request) -> Response:
        number = whole(await body(request), "image", len(self._subject.images))
        beside, image = self._beside(), np.asarray(self._subject.images[number])
        label = int(self._subject.labels[number])

        def now(model: Network) -> dict[str, Any]:
            found = decision(model, [Moment(0, model.state)], image, label)
            return {"probabilities": found.probabilities[0], "loss": found.losses[0]}

        mine = await self._ask(lambda: now(self._training.model))
        return answer({"mine": mine, "theirs": await asyncio.to_thread(now, beside.model), "label": label})


def _cell(asked: dict[str, Any]) -> str:
    cell = asked.get("cell")
    if not isinstance(cell, str) or len(cell) > 200:
        raise ArgumentError("cell must be the name of a parameter, such as conv1.weight[0,0,0,1]")
    return cell
