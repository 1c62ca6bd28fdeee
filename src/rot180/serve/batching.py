"""Images of many requests run together, by one thread.

Images are joined, not requests: a batch takes the images at the heads of the queues, and a request with more of them
than a batch has goes to the back of its queue with the rest. Batches have few sizes, as each has a plan and buffers of
its own that are made at the start: powers of two, and the largest. With `steady`, an image has the same bits in each.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import pairwise
from time import perf_counter

import numpy as np

from rot180.engine.compiled import CompiledEngine
from rot180.errors import NonFiniteError
from rot180.memory import require
from rot180.nn.loss import SquaredErrorLoss
from rot180.ops.types import Array
from rot180.serve.served import Served
from rot180.training.predict import predict_ready

MOST_PATIENT = 4
"""Images that run together while nobody else waits: whoever comes then waits for few."""


class QueueFull(Exception):
    """There is no room for a request's images; `seconds` tells when there may be."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"the queue is full; try again in {seconds} s")
        self.seconds = seconds


@dataclass(eq=False)
class _Request:
    """The images of a request, preprocessed, and where their answers go."""

    ready: Array
    answers: Array
    arrived: float
    turn: float
    """Since when it has been waiting for its turn: its arrival, or when some of its images ran."""
    future: Future[Array] = field(default_factory=Future)
    taken: int = 0

    @property
    def left(self) -> int:
        return len(self.ready) - self.taken


@dataclass(eq=False)
class _Queue:
    """The requests to a network: those that are waited for, and behind them the patient ones."""

    served: Served
    engine: CompiledEngine
    sizes: tuple[int, ...]
    requests: deque[_Request] = field(default_factory=deque)
    patient: deque[_Request] = field(default_factory=deque)
    waiting: int = 0
    seconds_per_image: float = 0.0


class Batcher:
    """Runs the images of all requests.

    Parameters
    ----------
    networks : mapping of name to Served
    max_batch, max_queue : int
        As in `Settings`.
    max_wait : float
        Seconds.
    observe : callable
        Called by its thread after each batch with the network's name, the number of images, and the seconds it took.
    deliver : callable
        Called by its thread with a function that tells all whom a batch has answered; calls it, at once or elsewhere.
        One call for a batch spares the thread from waiting for the interpreter's lock after every answer.

    Examples
    --------
    >>> import rot180
    >>> model = rot180.network("2x2x1 > fc2").build(seed=0)
    >>> batcher = Batcher({"it": Served("it", model)}, max_batch=4)
    >>> batcher.submit("it", np.zeros((3, 2, 2, 1), np.float32)).result().tolist()
    [[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]]
    >>> batcher.close()
    """

    def __init__(
        self,
        networks: Mapping[str, Served],
        *,
        max_batch: int = 16,
        max_wait: float = 0.0,
        max_queue: int = 256,
        observe: Callable[[str, int, float], None] = lambda name, images, seconds: None,
        deliver: Callable[[Callable[[], None]], None] = lambda tell: tell(),
    ) -> None:
        self._max_wait, self._max_queue, self._observe, self._deliver = max_wait, max_queue, observe, deliver
        sizes = sizes_of(max_batch)
        self._queues = {
            name: _Queue(served, CompiledEngine(served.model, SquaredErrorLoss()), sizes)
            for name, served in networks.items()
        }
        self._changed = threading.Condition()
        self._is_closing = self._drops = False
        self.is_ready = False
        self._thread = threading.Thread(target=self._work, name="rot180 serve: batches", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether the thread that runs the images does."""
        return self._thread.is_alive()

    def waiting(self, name: str) -> int:
        """Return how many images wait for a network."""
        return self._queues[name].waiting

    def submit(self, name: str, ready: Array, *, patient: bool = False) -> Future[Array]:
        """Have images run, and return their future answers (N, ...), with the bits of `predict`.

        Parameters
        ----------
        name : str
            The network's.
        ready : (N, ...)
            Preprocessed, at least one.
        patient : bool
            Run them only while nobody else waits; they do not count as waiting.

        Raises
        ------
        QueueFull
            There is no room for them.
        TooLargeError
            There is no memory for the answers.
        """
        queue = self._queues[name]
        shape = (len(ready), *queue.served.model.output_shape)
        require(math.prod(shape) * ready.itemsize, "the answers to a request")
        now = perf_counter()
        request = _Request(ready, np.empty(shape, queue.served.model.dtype), arrived=now, turn=now)
        with self._changed:
            if self._is_closing or not self.is_alive:
                raise QueueFull(1)
            if patient:
                queue.patient.append(request)
            else:
                if queue.waiting and queue.waiting + len(ready) > self._max_queue:
                    raise QueueFull(max(1, math.ceil(queue.waiting * queue.seconds_per_image)))
                queue.requests.append(request)
                queue.waiting += len(ready)
            self._changed.notify()
        return request.future

    def close(self, *, finish: bool = True) -> None:
        """Run what waits, or refuse it, and end."""
        with self._changed:
            self._is_closing, self._drops = True, not finish
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        try:
            self._warm_up()
            self.is_ready = True
            while (taken := self._take()) is not None:
                self._run(*taken)
        finally:
            self.is_ready = False
            self._refuse_all()

    def _warm_up(self) -> None:
        """Make the plans of all sizes, which may compile kernels."""
        for queue in self._queues.values():
            queue.engine.kept_plans = len(queue.sizes)
            image = np.zeros((1, *queue.served.model.input_shape), queue.served.model.dtype)
            for size in queue.sizes:
                predict_ready(queue.engine, np.repeat(image, size, axis=0), tta=queue.served.tta, steady=True)

    def _take(self) -> tuple[_Queue, list[tuple[_Request, slice]]] | None:
        """Wait until images should run, and return them; None at the end."""
        with self._changed:
            while True:
                queue, seconds = self._due()
                if queue is not None and not self._drops:
                    return queue, self._batch(queue)
                if self._is_closing:
                    return None
                self._changed.wait(seconds)

    def _due(self) -> tuple[_Queue | None, float | None]:
        """Return the queue whose images should run now, or how long to wait for one."""
        now, soonest = perf_counter(), math.inf
        first: _Queue | None = None
        for queue in self._queues.values():
            if not queue.requests:
                continue
            arrived = queue.requests[0].arrived
            if queue.waiting >= queue.sizes[-1] or now >= arrived + self._max_wait or self._is_closing:
                if first is None or queue.requests[0].turn < first.requests[0].turn:
                    first = queue
            else:
                soonest = min(soonest, arrived + self._max_wait - now)
        if first is not None:
            return first, None
        for queue in self._queues.values():
            if queue.patient:
                return queue, None
        return None, None if soonest == math.inf else soonest

    def _batch(self, queue: _Queue) -> list[tuple[_Request, slice]]:
        """Take as many images as the largest size that they fill."""
        requests = queue.requests or queue.patient
        waiting = queue.waiting if requests is queue.requests else min(requests[0].left, MOST_PATIENT)
        missing = max(size for size in queue.sizes if size <= waiting)
        if requests is queue.requests:
            queue.waiting -= missing
        taken = []
        while missing:
            request = requests.popleft()
            piece = slice(request.taken, request.taken + min(missing, request.left))
            request.taken = piece.stop
            missing -= piece.stop - piece.start
            taken.append((request, piece))
            if request.left:
                request.turn = perf_counter()
                requests.append(request)  # behind the others: nobody waits for all of a long request
        return taken

    def _run(self, queue: _Queue, taken: list[tuple[_Request, slice]]) -> None:
        began = perf_counter()
        ready = taken[0][0].ready[taken[0][1]] if len(taken) == 1 else np.concatenate([r.ready[p] for r, p in taken])
        try:
            answers = predict_ready(queue.engine, ready, tta=queue.served.tta, first=taken[0][1].start, steady=True)
        except NonFiniteError as error:
            if len(taken) == 1:
                self._fail(queue, [taken[0][0]], error)
            else:  # of one of the requests; the others have their answers
                for one in taken:
                    self._run(queue, [one])
            return
        except Exception as error:  # whatever it is, nobody may wait for an answer that will not come
            self._fail(queue, [request for request, _ in taken], error)
            return
        seconds = perf_counter() - began
        ends = np.cumsum([0, *(piece.stop - piece.start for _, piece in taken)])
        answered = []
        for (request, piece), (start, stop) in zip(taken, pairwise(ends.tolist()), strict=True):
            request.answers[piece] = answers[start:stop]
            if piece.stop == len(request.ready):
                answered.append(request)

        def tell() -> None:
            for request in answered:
                if not request.future.done():
                    request.future.set_result(request.answers)

        queue.seconds_per_image = 0.9 * queue.seconds_per_image + 0.1 * seconds / len(ready)
        self._observe(queue.served.name, len(ready), seconds)  # first: who has the answer may ask for the counts
        if answered:
            self._deliver(tell)

    def _refuse_all(self) -> None:
        """Leave nobody waiting for an answer that will not come."""
        with self._changed:
            self._is_closing = True
        for queue in self._queues.values():
            self._fail(queue, [*queue.requests, *queue.patient], QueueFull(1))

    def _fail(self, queue: _Queue, requests: list[_Request], error: Exception) -> None:
        """Answer some requests with an error; what is left of them does not run."""
        with self._changed:
            for request in requests:
                if request in queue.requests:
                    queue.requests.remove(request)
                    queue.waiting -= request.left
                elif request in queue.patient:
                    queue.patient.remove(request)

        def tell() -> None:
            for request in requests:
                if not request.future.done():
                    request.future.set_exception(error)

        self._deliver(tell)


def sizes_of(most: int) -> tuple[int, ...]:
    """Return the sizes of batches: powers of two, and the largest.

    >>> sizes_of(16), sizes_of(6), sizes_of(1)
    ((1, 2, 4, 8, 16), (1, 2, 4, 6), (1,))
    """
    return (*(2**power for power in range(most.bit_length()) if 2**power < most), most)
