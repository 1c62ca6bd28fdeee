"""Every argument of the public names, given what it is not: one line of a typed error, never a raw exception."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rot180
from rot180 import Rot180Error

WRONG = (None, "x", [], [1, 2], {}, -1, 2.5, float("nan"), True, b"x", object(), len, np.zeros(3), np.zeros((2, 3, 4)),
         np.array("a"), np.zeros((2, 2), complex), np.array([None]), (1,), np.zeros((0, 8, 8, 1)),
         [[1], [2, 3]])  # fmt: skip
"""An argument may take some of these; then nothing is raised."""

DATA = rot180.load_data("digits").limit(10)
IMAGES, LABELS = DATA.train_images, DATA.train_labels


def built() -> rot180.Sequential:
    return rot180.network("8x8x1 > conv3x3:2 relu maxpool2 > fc10").build(seed=0)


def defaults(function: Callable[..., Any], **given: Any) -> dict[str, Any]:
    """Return the arguments of a call: those given, and the defaults of the others."""
    parameters = inspect.signature(function).parameters.values()
    found = {
        one.name: one.default for one in parameters if one.default is not one.empty and one.kind != one.VAR_KEYWORD
    }
    return found | given


OF_LAYERS = {
    "Conv2d": {"out_channels": 2, "kernel_size": 3},
    "MaxPool2d": {"kernel_size": 2},
    "AvgPool2d": {"kernel_size": 2},
    "Linear": {"out_features": 2},
    "ConvTranspose2d": {"out_channels": 2, "kernel_size": 3},
    "AdaptiveAvgPool2d": {"output_size": 2},
    "Upsample": {"scale_factor": 2},
    "GroupNorm": {"num_groups": 2},
    "ChannelShuffle": {"groups": 2},
    "ChannelSlice": {"out_channels": 2},
    "DropPath": {"rate": 0.1},
}
OF_FUNCTIONS: dict[str, dict[str, Any]] = {
    "fit": {"model": built, "data": (IMAGES, LABELS), "engine": "numpy"},
    "evaluate": {"model": built, "images": IMAGES, "labels": LABELS, "engine": "numpy"},
    "predict": {"model": built, "images": IMAGES, "engine": "numpy"},
    "load_data": {"source": "digits"},
    "load_model": {"path": "model"},
    "load_run": {"path": "model"},
    "save_model": {"path": "copy", "model": built},
    "network": {"text": "8x8x1 > fc10"},
    "model": {"name_or_notation": "digits"},
    "Dataset": {"name": "a", "train_images": IMAGES, "train_labels": LABELS, "test_images": IMAGES,
                "test_labels": LABELS, "class_names": DATA.class_names},
    "Sequential": {"layers": lambda: [rot180.Linear(3)]},
    "Trainer": {"model": built, "engine": "numpy"},
    "set_threads": {"count": 1},
}  # fmt: skip
METHODS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "Trainer.step": (lambda **given: rot180.Trainer(built(), engine="numpy").step(**given),
                     {"images": IMAGES, "labels": LABELS}),
    "Sequential.build": (lambda **given: rot180.network("8x8x1 > fc10").build(**given),
                         {"input_shape": None, "seed": 0, "dtype": np.float32}),
    "Sequential.forward": (lambda x: built().forward(x), {"x": np.zeros((2, 8, 8, 1), np.float32)}),
    "Sequential.load_parameters": (lambda parameters: built().load_parameters(parameters),
                                   {"parameters": built().parameters}),
    "Preprocessing.__call__": (lambda images, dtype: rot180.Preprocessing()(images, dtype),
                               {"images": IMAGES, "dtype": np.float32}),
    "Preprocessing.of_dataset": (rot180.Preprocessing.of_dataset, {"images": IMAGES}),
    "Dataset.limit": (lambda count: DATA.limit(count), {"count": 5}),
}  # fmt: skip

NO_ARGUMENTS = {"MODELS", "ProgressBar", "__version__", "threads"}


def calls() -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:
    found = dict(METHODS)
    for name in rot180.__all__:
        function = getattr(rot180, name)
        is_error = inspect.isclass(function) and issubclass(function, Exception)
        if name not in NO_ARGUMENTS and not is_error and not (inspect.isclass(function) and name.startswith("_")):
            found[name] = function, defaults(function, **OF_FUNCTIONS.get(name, OF_LAYERS.get(name, {})))
    return found


CALLS = calls()
PAIRS = [(name, argument) for name, (_, arguments) in CALLS.items() for argument in arguments]


@pytest.mark.parametrize(("name", "argument"), PAIRS)
def test_a_wrong_argument_is_answered_in_one_line(
    name: str, argument: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    threads, said = rot180.threads(), []
    if name in ("load_model", "load_run"):
        rot180.save_model("model", built())
    function, arguments = CALLS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for wrong in WRONG:
            given = {key: make() if inspect.isfunction(make := value) else value for key, value in arguments.items()}
            try:
                function(**(given | {argument: wrong}))
            except rot180.NotationError:
                pass
            except Rot180Error as error:
                said.append(str(error))
    rot180.set_threads(threads)
    assert all(text and "\n" not in text for text in said)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rot180.predict(built(), "a.png"), "if these are names of files, read each"),  # type: ignore[arg-type]
        (lambda: rot180.predict("a.png", IMAGES), "predict: model must be Network; it is 'a.png'"),  # type: ignore[arg-type]
        (lambda: rot180.load_data(5), "load_data: source must be str or Path or None; it is 5"),  # type: ignore[arg-type]
        (lambda: rot180.load_data(IMAGES), r"load_data: source must be .*; it is an array \(10, 8, 8, 1\) of uint8"),
        (lambda: rot180.evaluate(built(), IMAGES, LABELS, loss=5), "loss must be str or Loss; it is 5"),  # type: ignore[arg-type]
        (lambda: rot180.Conv2d(3, 3, name=np.zeros(3)), r"Conv2d: name must be str; it is an array \(3,\) of float64"),
        (lambda: rot180.fit(built(), (IMAGES, LABELS), subscribers=[5]),  # type: ignore[list-item]
         r"fit: subscribers must be an iterable; it is \[5\]"),
        (lambda: rot180.evaluate(built(), IMAGES, LABELS.astype(str)), "labels must be integers; they are <U"),
        (lambda: rot180.SGD(lr=np.zeros((2, 2))), "sgd: lr must be a number.*"),
    ],
)  # fmt: skip
def test_what_the_line_says(call: Callable[[], object], message: str) -> None:
    with pytest.raises(Rot180Error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_labels_may_be_a_list() -> None:
    parts = {"train_labels": LABELS.tolist(), "test_labels": LABELS.tolist()}
    data = rot180.Dataset("a", IMAGES, test_images=IMAGES, class_names=DATA.class_names, **parts)
    np.testing.assert_array_equal(data.train_labels, LABELS)
    assert data.train_labels.dtype == np.int64


def test_a_fault_inside_a_call_stays_what_it_is() -> None:
    def broken(event: object) -> None:
        raise AttributeError("a fault of the subscriber's own")

    with pytest.raises(AttributeError, match="a fault of the subscriber's own"):
        rot180.fit(built(), (IMAGES, LABELS), engine="numpy", subscribers=[broken])
