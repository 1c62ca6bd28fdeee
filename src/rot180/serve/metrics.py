"""Counts and times, as Prometheus reads them.

All workers count in one array of shared memory, each in a row of its own that nobody else writes, so that whichever of
them is asked can tell for all.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

ROUTES = ("infer", "predict", "look", "metadata", "health", "metrics", "page", "other")
"""What requests are for."""

STATUSES = (200, 303, 400, 401, 403, 404, 405, 408, 413, 415, 421, 500, 503)
"""Others are counted with the last one of their hundred."""

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
IMAGES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def _layout(names: Sequence[str]) -> np.dtype[Any]:
    """Return what a worker counts, of requests by route and of networks by name."""
    number = np.float64
    route = np.dtype([("statuses", number, len(STATUSES)), ("times", number, len(SECONDS) + 1), ("seconds", number)])
    values = ("images", "seconds", "waiting", "refused", "ready")
    model = np.dtype([("batches", number, len(IMAGES) + 1), *((value, number) for value in values)])
    routes, models = ([(key, of) for key in keys] for keys, of in ((ROUTES, route), (names, model)))
    return np.dtype([("starts", number), ("routes", routes), ("models", models)])


class Metrics:
    """What the workers of a server have done.

    Parameters
    ----------
    names : sequence of str
        The networks.
    workers : int
    worker : int
        The one that this process is.
    memory : buffer, optional
        `size_of` numbers for each worker, shared by them.

    Examples
    --------
    >>> metrics = Metrics(["digits"])
    >>> metrics.answered("infer", 200, 0.002)
    >>> metrics.ran("digits", 5, 0.001)
    >>> text = metrics.text({"digits": 3})
    >>> 'rot180_requests_total{route="infer",status="200"} 1' in text
    True
    >>> 'rot180_images_total{model="digits"} 5' in text
    True
    """

    def __init__(self, names: Sequence[str], workers: int = 1, worker: int = 0, memory: Any = None) -> None:
        self._names = tuple(names)
        length = self.size_of(names)
        numbers = np.zeros(workers * length) if memory is None else np.frombuffer(memory, np.float64)
        self._all = numbers.reshape(workers, length)
        self._own = self._all[worker].view(_layout(names))
        self._lock = threading.Lock()
        self._own["starts"] += 1  # not the first, if it is in the place of one that ended

    @staticmethod
    def size_of(names: Sequence[str]) -> int:
        """Return how many numbers a worker counts in."""
        return _layout(names).itemsize // np.dtype(np.float64).itemsize

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count an answer."""
        if status not in STATUSES:
            status = max((known for known in STATUSES if known // 100 == status // 100), default=500)
        counts = self._own["routes"][route]
        with self._lock:
            counts["statuses"][0, STATUSES.index(status)] += 1
            counts["times"][0, bisect_left(SECONDS, seconds)] += 1
            counts["seconds"] += seconds

    def ran(self, name: str, images: int, seconds: float) -> None:
        """Count a batch."""
        counts = self._own["models"][name]
        with self._lock:
            counts["batches"][0, bisect_left(IMAGES, images)] += 1
            counts["images"] += images
            counts["seconds"] += seconds

    def refused(self, name: str) -> None:
        """Count a request for which there was no room."""
        with self._lock:
            self._own["models"][name]["refused"] += 1

    def is_ready(self, name: str, ready: bool) -> None:
        """Note whether this worker answers for a network."""
        self._own["models"][name]["ready"] = ready

    def text(self, waiting: Mapping[str, int]) -> str:
        """Return the numbers of all workers; `waiting` is by name how many images wait in this one."""
        for name, images in waiting.items():
            self._own["models"][name]["waiting"] = images
        total = self._all.sum(axis=0).view(self._own.dtype)[0]
        lines: list[str] = []

        def begin(name: str, kind: str, says: str) -> None:
            lines.append(f"# HELP {name} {says}")
            lines.append(f"# TYPE {name} {kind}")

        def sample(name: str, value: float, **labels: object) -> None:
            within = ",".join(f'{key}="{label}"' for key, label in labels.items())
            lines.append(f"{name}{{{within}}} {value:.17g}" if within else f"{name} {value:.17g}")

        def histogram(name: str, limits: Sequence[float], counts: Any, added: float, **labels: object) -> None:
            running = np.cumsum(counts)
            for limit, count in zip((*limits, "+Inf"), running, strict=True):
                sample(f"{name}_bucket", count, **labels, le=limit)
            sample(f"{name}_sum", added, **labels)
            sample(f"{name}_count", running[-1], **labels)

        begin("rot180_requests_total", "counter", "Answers by route and status.")
        for route in ROUTES:
            for status, count in zip(STATUSES, total["routes"][route]["statuses"], strict=True):
                if count:
                    sample("rot180_requests_total", count, route=route, status=status)
        begin("rot180_request_seconds", "histogram", "Time from a request's headers to the end of its answer.")
        for route in ROUTES:
            counts = total["routes"][route]
            if counts["times"].any():
                histogram("rot180_request_seconds", SECONDS, counts["times"], counts["seconds"], route=route)
        begin("rot180_batch_images", "histogram", "Images per batch.")
        for name in self._names:
            counts = total["models"][name]
            histogram("rot180_batch_images", IMAGES, counts["batches"], counts["images"], model=name)
        for key, metric, kind, says in (
            ("images", "rot180_images_total", "counter", "Images processed."),
            ("seconds", "rot180_compute_seconds_total", "counter", "Time spent computing."),
            ("waiting", "rot180_waiting_images", "gauge", "Images waiting to be computed."),
            ("refused", "rot180_refused_total", "counter", "Requests refused because the queue was full."),
            ("ready", "rot180_ready_workers", "gauge", "Workers ready to answer."),
        ):
            begin(metric, kind, says)
            for name in self._names:
                sample(metric, total["models"][name][key], model=name)
        begin("rot180_workers", "gauge", "Worker processes.")
        sample("rot180_workers", float(np.count_nonzero(self._all[:, 0])))
        begin("rot180_worker_starts_total", "counter", "Worker starts, restarts included.")
        sample("rot180_worker_starts_total", total["starts"])
        return "\n".join(lines) + "\n"
