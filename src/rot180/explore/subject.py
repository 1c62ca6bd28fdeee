"""What is explored: a network, its images, and the settings of its training."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from rot180.data import Dataset
from rot180.data.for_model import load_data_for
from rot180.data.lazy import Images
from rot180.data.options import Progress
from rot180.errors import ArgumentError, Rot180Error, ShapeError
from rot180.nn import Network
from rot180.nn import model as make_model
from rot180.ops.types import Array
from rot180.runs import load_run
from rot180.runs.folder import Run, names_a_run
from rot180.runs.own_data import is_gone, load_own_data
from rot180.runs.prepare import Prepared, prepare
from rot180.runs.replay import Replay, replay, replayable
from rot180.runs.settings import RunSettings, optimizer_of, settings_from
from rot180.training import Optimizer

NOISE_IMAGES = 16
"""Images of noise for a network without data."""


@dataclass(frozen=True)
class Beside:
    """Another run, beside the one that is explored.

    Attributes
    ----------
    name : str
    model : Network
    losses : tuple of float
        Of each batch of its training.
    settings : dict
        Of its training.
    """

    name: str
    model: Network
    losses: tuple[float, ...]
    settings: dict[str, Any]


@dataclass(frozen=True)
class Subject:
    """What is explored.

    Attributes
    ----------
    name : str
        The run, model or data, as the user gave it.
    model : Network
        Built.
    images, labels : (N, H, W, C), (N,)
        The images to look at: the data's test images, or its training images if it has none, or noise.
    part : str
        Which these are: `test`, `training` or `noise`.
    dataset : str
        The name of the data; empty if there is none.
    prepare : callable or None
        Returns what a training from the start needs, with a network of its own; None if the network has no data.
    optimizer : Optimizer or None
        The training's, before its first update; None if it is unknown.
    is_trained : bool
        Whether the weights are those of a run.
    engine : str
        What it is trained with, and runs on.
    losses : tuple of float
        Of each batch of a run's training.
    settings : dict
        Of a run's training.
    checkpoints : tuple of int
        The updates from which steps of a run can be replayed.
    replay : callable or None
        Returns what a replay from one of these needs.
    beside : Beside or None
    """

    name: str
    model: Network
    images: Images
    labels: Array
    part: str
    dataset: str = ""
    prepare: Callable[[], Prepared] | None = None
    optimizer: Optimizer | None = None
    is_trained: bool = False
    engine: str = "auto"
    losses: tuple[float, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    checkpoints: tuple[int, ...] = ()
    replay: Callable[[int], Replay] | None = None
    beside: Beside | None = None


def open_subject(
    text: str | None = None,
    *,
    data: str | None = None,
    seed: int = 0,
    engine: str = "auto",
    progress: Progress | None = None,
    tell: Callable[[str], None] = print,
) -> Subject:
    """Open what `rot180 explore` is asked for.

    Parameters
    ----------
    text : str, optional
        A run folder or weights file, a named model, or a notation. By default the network that `rot180 train` would
        train on the data, before its training.
    data : str, optional
        As in `load_data`; by default a run's own data, or the bundled digits if they fit the network.
    seed : int
        Of a network that is not trained yet.
    engine : str
        What it is trained with, as in `fit`; a run keeps its own.
    progress : callable, optional
        Called with the progress of reading the data.
    tell : callable
        Called with one line if a run is shown without its data.

    Raises
    ------
    Rot180Error
        There is no such run or model, or the data does not fit it.

    Examples
    --------
    >>> open_subject("5x5x1 > conv3x3:2 relu > fc3").part
    'noise'
    """
    if text is not None and names_a_run(text):
        return _open_run(Path(text), data, progress, tell)
    settings = RunSettings(data=data, model=text, seed=seed, engine=engine)
    try:
        prepared = prepare(settings, progress)
    except ShapeError:
        if data is not None or text is None:
            raise
        return _without_data(text, make_model(text).build(seed=seed), seed)
    return _prepared(text or prepared.name, prepared)


def _open_run(path: Path, data: str | None, progress: Progress | None, tell: Callable[[str], None]) -> Subject:
    run = load_run(path)
    settings = None if run.folder is None else settings_from(run.config, run.folder.config_path)
    try:
        if run.folder is None and data is not None:
            dataset = load_data_for(run.model, data)
        else:
            dataset = load_own_data(path, run, data, how="it with --data")
    except Rot180Error as error:
        if data is not None:
            raise
        tell(f"{error}; until then images of noise are shown")
        return replace(_without_data(str(path), run.model, 0), is_trained=True)
    images, labels, part = _looked_at(dataset)
    can_train = settings is not None and data is None and not is_gone(settings.source)
    return Subject(
        str(path),
        run.model,
        images,
        labels,
        part,
        dataset.name,
        None if settings is None or not can_train else lambda: prepare(settings, progress),
        optimizer_of(run.config.get("training", {})),
        is_trained=True,
        engine="auto" if settings is None else settings.engine,
        losses=tuple(run.history.losses),
        settings=_settings_of(run),
        checkpoints=replayable(path) if can_train else (),
        replay=partial(replay, path, progress=progress) if can_train else None,
    )


def open_beside(subject: Subject, text: str) -> Subject:
    """Put another run beside what is explored.

    Raises
    ------
    Rot180Error
        There is no such run, or its network takes other images.
    """
    run = load_run(text)
    if run.model.input_shape != subject.model.input_shape or run.model.output_shape != subject.model.output_shape:
        shapes = [f"{model.input_shape} to {model.output_shape}" for model in (subject.model, run.model)]
        raise ArgumentError(
            f"--beside {text}: both networks must take the same images and have as many outputs; {subject.name} maps "
            f"{shapes[0]}, {text} maps {shapes[1]}"
        )
    return replace(subject, beside=Beside(text, run.model, tuple(run.history.losses), _settings_of(run)))


def _settings_of(run: Run) -> dict[str, Any]:
    """Return the settings of a run that can be told in one word each."""
    found = {**run.config, **run.config.get("training", {})}
    return {name: value for name, value in found.items() if isinstance(value, (str, int, float, bool))}


def _prepared(name: str, prepared: Prepared) -> Subject:
    images, labels, part = _looked_at(prepared.dataset)
    untouched = copy.deepcopy(prepared.model)
    model = prepared.model
    if not model.is_built:
        model.build(seed=prepared.settings.seed)
    return Subject(
        name,
        model,
        images,
        labels,
        part,
        prepared.dataset.name,
        lambda: replace(prepared, model=copy.deepcopy(untouched)),
        optimizer_of({key: getattr(prepared.settings, key) for key in ("optimizer", "lr", "momentum", "nesterov")}),
        engine=prepared.settings.engine,
    )


def _without_data(name: str, model: Network, seed: int) -> Subject:
    if len(model.input_shape) != 3:
        raise ArgumentError(f"explore shows networks of images, but this one takes {model.input_shape}")
    generator = np.random.default_rng(seed)
    images = generator.integers(256, size=(NOISE_IMAGES, *model.input_shape), dtype=np.uint8)
    labels = generator.integers(model.output_shape[-1], size=NOISE_IMAGES)
    return Subject(name, model, images, labels, "noise")


def _looked_at(dataset: Dataset) -> tuple[Any, Array, str]:
    if len(dataset.test_images):
        return dataset.test_images, dataset.test_labels, "test"
    return dataset.train_images, dataset.train_labels, "training"
