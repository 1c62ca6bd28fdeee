"""The moving average of the weights: what it is, and that it is what a training evaluates and keeps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rot180.errors import ArgumentError
from rot180.nn.conv2d import Conv2d
from rot180.nn.flatten import Flatten
from rot180.nn.layer import Layer
from rot180.nn.linear import Linear
from rot180.nn.sequential import Sequential
from rot180.runs import load_run
from rot180.runs.history_file import read_history
from rot180.runs.recorder import CheckpointPolicy
from rot180.runs.resume import resume_run
from rot180.runs.train_run import RunSettings, train_run
from rot180.training import StepDone, Trainer, TrainingEnded, TrainingStarted, evaluate, fit

RNG = np.random.default_rng(0)
IMAGES, LABELS = RNG.integers(0, 255, (40, 6, 6, 1), np.uint8), RNG.integers(0, 3, 40)


class Scale(Layer):
    """A user's own layer, whose parameter is in no arena."""

    kind = "scale"

    def build(self, input_shape, generator, *, dtype=np.float32, activation="linear") -> None:
        self.parameters = {"scale": np.ones(input_shape, dtype)}

    def forward(self, x, *, training=False, generator=None):
        return x * self.parameters["scale"], x

    def backward(self, dy, saved, *, needs_dx=True):
        return dy * self.parameters["scale"], {"scale": (dy * saved).sum(axis=0)}


def network() -> Sequential:
    return Sequential([Conv2d(2, 3), Scale(), Flatten(), Linear(3)])


class Watch:
    """Averages the weights after each update on its own, and keeps them as they are at the end."""

    def __init__(self, decay: float) -> None:
        self.decay, self.updates = decay, 0
        self.average: dict[str, np.ndarray] = {}

    def __call__(self, event) -> None:
        if isinstance(event, TrainingStarted):
            self.trainer = event.trainer
        weights = self.trainer.model.parameters
        if isinstance(event, StepDone) and event.updated:
            self.updates += 1
            t = self.updates
            d = min(self.decay, (1 + t) / (10 + t)) if t > 1 else 0.0
            for name, w in weights.items():
                self.average[name] = d * self.average.get(name, 0.0) + (1 - d) * w.astype(np.float64)
        if isinstance(event, TrainingEnded):
            self.at_the_end = {name: w.copy() for name, w in weights.items()}


@pytest.mark.filterwarnings("ignore:scale1")
@pytest.mark.parametrize("engine", ["numpy", "compiled"])
def test_what_is_evaluated_and_kept_is_the_average_after_each_update(engine) -> None:
    watch, model, plain = Watch(0.8), network(), network()
    options = {"epochs": 4, "batch_size": 8, "accumulate": 2, "lr": 0.01, "engine": engine, "seed": 5}
    history = fit(model, (IMAGES, LABELS), ema=0.8, validation=(IMAGES, LABELS), subscribers=[watch], **options)
    for name, w in model.parameters.items():
        np.testing.assert_allclose(w, watch.average[name], rtol=1e-5, atol=1e-7)
        assert np.array_equal(w, watch.at_the_end[name])
    measured = evaluate(model, IMAGES, LABELS, engine=engine)
    assert (measured.loss, measured.accuracy) == (history.epochs[-1].validation_loss, history.kept.validation_accuracy)
    # the training itself takes no notice of it
    assert fit(plain, (IMAGES, LABELS), **options).losses == history.losses
    assert not np.allclose(plain.parameters["fc1.weight"], model.parameters["fc1.weight"], atol=1e-4)


@pytest.mark.filterwarnings("ignore:scale1")
def test_the_average_does_not_depend_on_the_threads_or_the_engine() -> None:
    found = {}
    for engine in ("numpy", "compiled"):
        model = network()
        fit(model, (IMAGES, LABELS), epochs=2, batch_size=8, ema=0.9, engine=engine)
        found[engine] = model.parameters
    for name, w in found["numpy"].items():
        np.testing.assert_allclose(w, found["compiled"][name], rtol=1e-4, atol=1e-6)


def test_early_stopping_restores_the_best_average() -> None:
    model = network()
    held_out = (IMAGES, RNG.permutation(LABELS))
    history = fit(
        model, (IMAGES, LABELS), epochs=30, lr=0.05, ema=0.9, validation=held_out, early_stopping=2, engine="numpy"
    )
    assert history.stopped == "early_stopping"
    assert evaluate(model, *held_out, engine="numpy").loss == min(history.column("validation_loss"))


def test_an_interrupted_training_leaves_the_average_only_after_the_end_was_reported() -> None:
    watch, model = Watch(0.9), network()

    def stop(event) -> None:
        if isinstance(event, StepDone) and event.batch == 4:
            watch.trainer.stop("enough")

    fit(model, (IMAGES, LABELS), batch_size=8, ema=0.9, subscribers=[watch, stop], engine="numpy")
    for name, w in model.parameters.items():
        assert not np.array_equal(w, watch.at_the_end[name])  # which a checkpoint would need
        np.testing.assert_allclose(w, watch.average[name], rtol=1e-5, atol=1e-7)


@pytest.mark.filterwarnings("ignore:scale1")
def test_a_trainer_keeps_both() -> None:
    trainer = Trainer(network(), ema=0.5)
    for _ in range(3):
        trainer.step(IMAGES, LABELS)
    before = trainer.model.parameters["fc1.weight"].copy()
    with trainer.averaged():
        np.testing.assert_array_equal(trainer.model.parameters["fc1.weight"], _average(trainer, before))
    np.testing.assert_array_equal(trainer.model.parameters["fc1.weight"], before)
    trainer.model.build(seed=9)
    trainer.step(IMAGES, LABELS)
    assert trainer.average.updates == 1
    np.testing.assert_array_equal(trainer.average.arrays["fc1.weight"], trainer.model.parameters["fc1.weight"])
    for off in (None, 0, 0.0):
        trainer = Trainer(network(), ema=off)
        trainer.step(IMAGES, LABELS)
        assert trainer.average is None
        with trainer.averaged():
            pass


def _average(trainer: Trainer, weights: np.ndarray) -> np.ndarray:
    """Return the average, which inside the block is where the weights were, and must not be the weights."""
    assert np.array_equal(trainer.average.arrays["fc1.weight"], weights)
    return trainer.model.parameters["fc1.weight"].copy()


@pytest.mark.parametrize("ema", [1, 1.5, -0.1, "0.9"])
def test_a_decay_that_is_none(ema) -> None:
    with pytest.raises(ArgumentError, match=r"ema must be a number, at least 0 and below 1; it is"):
        fit(network(), (IMAGES, LABELS), ema=ema)


def test_label_smoothing_is_for_cross_entropy() -> None:
    from rot180.nn.activation import Sigmoid
    from rot180.nn.loss import CrossEntropyLoss

    with pytest.raises(
        ArgumentError, match="label_smoothing is for cross_entropy; this network is trained with squared"
    ):
        fit(Sequential([Flatten(), Linear(3), Sigmoid()]), (IMAGES, LABELS), label_smoothing=0.1)
    with pytest.raises(ArgumentError, match="give label_smoothing to the loss itself, such as CrossEntropyLoss"):
        fit(network(), (IMAGES, LABELS), label_smoothing=0.1, loss=CrossEntropyLoss())
    with pytest.raises(ArgumentError, match="label_smoothing must be a number, at least 0 and below 1; it is 1"):
        fit(network(), (IMAGES, LABELS), label_smoothing=1)
    given, own = network(), network()
    smoothed = fit(given, (IMAGES, LABELS), label_smoothing=0.2, engine="numpy")
    assert fit(own, (IMAGES, LABELS), loss=CrossEntropyLoss(0.2), engine="numpy").losses == smoothed.losses


SETTINGS = RunSettings(
    model="8x8x1 > conv3x3:2 bn relu maxpool2 > dropout0.2 > fc10",
    epochs=3,
    batch_size=16,
    limit=120,
    validation=0.2,
    lr=0.02,
    label_smoothing=0.1,
    ema=0.9,
    tta="flip",
    augment="flip",
    clip_norm=0.8,
    decay_bias_and_norm=False,
    weight_decay=0.01,
    engine="numpy",
)


class StopAt:
    """Stops a training after so many batches."""

    def __init__(self, batches: int) -> None:
        self.left = batches

    def __call__(self, event) -> None:
        if isinstance(event, TrainingStarted):
            self.trainer = event.trainer
        if isinstance(event, StepDone):
            self.left -= 1
            if not self.left:
                self.trainer.stop("interrupted")


@pytest.mark.parametrize(("engine", "stops"), [("numpy", (3, 6, 11)), ("compiled", (8,))])
def test_a_run_that_was_interrupted_ends_with_the_same_files(tmp_path: Path, engine: str, stops: tuple[int]) -> None:
    settings = replace(SETTINGS, engine=engine)
    whole = train_run(settings, out=tmp_path / "whole", draw=False)
    for batches in stops:
        path = tmp_path / f"run{batches}"
        train_run(settings, out=path, subscribers=[StopAt(batches)], draw=False)
        told = []
        run = resume_run(path, draw=False, tell=told.append)
        assert told == []
        for name in ("model.safetensors", "best.safetensors"):
            assert (path / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
        assert (run.test.loss, run.history.losses) == (whole.test.loss, whole.history.losses)
        for column in ("gradient_norm", "clipped"):
            assert read_history(path / "history.jsonl").column(column) == whole.history.column(column)
    assert 0 < whole.history.epochs[0].clipped <= 1
    assert "updates clipped" in (tmp_path / "whole" / "report.html").read_text()


def test_a_run_that_was_killed_has_the_average_of_its_newest_checkpoint(tmp_path: Path) -> None:
    kept: list[dict[str, np.ndarray]] = []
    started: list[TrainingStarted] = []

    def kill(event) -> None:
        if isinstance(event, TrainingStarted):
            started.append(event)
        if isinstance(event, StepDone) and event.batch == 4:
            kept.append({name: average.copy() for name, average in started[0].trainer.average.arrays.items()})
            raise OSError("killed")

    with pytest.raises(OSError, match="killed"):
        train_run(SETTINGS, out=tmp_path / "run", subscribers=[kill], checkpoints=CheckpointPolicy(every=1), draw=False)
    for name, w in load_run(tmp_path / "run").model.parameters.items():
        np.testing.assert_array_equal(w, kept[0][name])


@pytest.mark.parametrize(
    ("line", "changed", "message"),
    [
        ("ema = 0.9", "ema = 0.8", r"another training: ema 0\.9, here 0\.8"),
        ("ema = 0.9", 'ema = "0.9"', "ema must be a finite number"),
        ("label_smoothing = 0.1", "label_smoothing = 0.2", r"label_smoothing 0\.1, here 0\.2"),
        ("clip_norm = 0.8", "clip_norm = 2.0", "optimizer .*'clip_norm': 0.8"),
        ("decay_bias_and_norm = false", "decay_bias_and_norm = true", "optimizer .*'decay_bias_and_norm': False"),
        ("decay_bias_and_norm = false", "decay_bias_and_norm = 0", "decay_bias_and_norm must be true or false"),
        ('tta = "flip"', 'tta = "none"', "tta 'flip', here 'none'"),
        ('tta = "flip"', "tta = 1", "tta must be text"),
    ],
)
def test_a_changed_configuration_is_refused(tmp_path: Path, line: str, changed: str, message: str) -> None:
    from rot180.errors import Rot180Error

    train_run(SETTINGS, out=tmp_path / "run", subscribers=[StopAt(2)], draw=False)
    config = tmp_path / "run" / "config.toml"
    assert line in config.read_text()
    config.write_text(config.read_text().replace(line, changed))
    with pytest.raises(Rot180Error, match=message):
        resume_run(tmp_path / "run", draw=False)
