"""Interrupted equals uninterrupted, to the bit; and what is not finite is stopped in the same step."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from rot180.errors import ArgumentError, ModelError, NonFiniteError
from rot180.nn.activation import NoisyReLU, ReLU
from rot180.nn.conv2d import Conv2d
from rot180.nn.dropout import Dropout
from rot180.nn.flatten import Flatten
from rot180.nn.linear import Linear
from rot180.nn.loss import CrossEntropyLoss
from rot180.nn.preprocessing import Preprocessing
from rot180.nn.sequential import Sequential
from rot180.training import SGD, Adam, EpochDone, History, StepDone, TrainingEnded, TrainingStarted, capture
from rot180.training import fit as fit_with
from rot180.training.evaluate import run_evaluation
from rot180.training.state import ADDED

RNG = np.random.default_rng(0)
IMAGES, LABELS = RNG.integers(0, 255, (52, 6, 6, 1), np.uint8), RNG.integers(0, 3, 52)


# plain NumPy throughout: what is tested is the loop
fit = partial(fit_with, engine="numpy")


def network() -> Sequential:
    return Sequential([Conv2d(2, 3), NoisyReLU(0.1), Flatten(), Linear(8), ReLU(), Dropout(0.3), Linear(3)])


def weights(model: Sequential) -> bytes:
    return b"".join(w.tobytes() for w in model.parameters.values())


class StopAfter:
    """Stops after so many batches and keeps the state, as a run folder would."""

    def __init__(self, batches: int, history: History | None = None) -> None:
        self.left, self.history = batches, history or History()

    def __call__(self, event) -> None:
        if isinstance(event, TrainingStarted):
            self.started = event
        if isinstance(event, TrainingEnded):
            at = self.started
            self.state = deepcopy(capture(at.trainer, at.settings, at.progress, at.images, self.history))
            return
        self.history(event)
        if isinstance(event, StepDone):
            self.left -= 1
            if not self.left:
                self.started.trainer.stop("enough")


OPTIONS = {
    "plain": {"optimizer": "adam", "schedule": "cosine", "warmup": 3},
    "momentum": {"optimizer": SGD(lr=0.05, momentum=0.9), "schedule": "one-cycle"},
    "accumulated": {"optimizer": "rmsprop", "accumulate": 2, "validation": 0.2},
    "augmented": {"augment": "resizedcrop,altflip,randaugment,erase,mixup,cutmix", "workers": 2, "ema": 0.9},
    "early stopping": {"optimizer": "adamw", "lr": 0.02, "validation": 0.2, "early_stopping": 2},
    "clipped": {"optimizer": Adam(lr=0.01, clip_norm=0.8), "schedule": "cosine", "accumulate": 2},
    "weights decay": {"optimizer": "adamw", "weight_decay": 0.5, "decay_bias_and_norm": False, "clip_norm": 1.0},
    "averaged": {"optimizer": "adam", "ema": 0.9, "accumulate": 2, "validation": 0.2, "label_smoothing": 0.1},
    "averaged, the best": {"lr": 0.02, "ema": 0.8, "validation": 0.2, "early_stopping": 2, "tta": "flip"},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_interrupted_equals_uninterrupted(name: str) -> None:
    options = {"epochs": 6, "batch_size": 8, "seed": 3, **OPTIONS[name]}
    whole = network()
    history = fit(whole, (IMAGES, LABELS), **deepcopy(options))
    for batches in range(1, len(history.losses) + 1, 4):
        stop = StopAfter(batches)
        fit(network(), (IMAGES, LABELS), **deepcopy(options), subscribers=[stop])
        # a second interruption, of the training that was taken up again
        second = StopAfter(2, deepcopy(stop.history))
        fit(network(), (IMAGES, LABELS), **deepcopy(options), resume=stop.state, subscribers=[second])
        model = network()
        resumed = fit(model, (IMAGES, LABELS), **deepcopy(options), resume=second.state)
        assert weights(model) == weights(whole), batches
        assert (resumed.losses, resumed.learning_rates) == (history.losses, history.learning_rates)
        assert resumed.column("validation_loss") == history.column("validation_loss")
        for column in ("learning_rate", "gradient_norm", "clipped"):
            assert resumed.column(column) == history.column(column)
        assert (resumed.stopped, resumed.epoch, resumed.restored_epoch) == (
            history.stopped,
            history.epoch,
            history.restored_epoch,
        )


def test_a_training_stopped_in_its_validation_validates_again(monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"epochs": 2, "batch_size": 8, "validation": (IMAGES, LABELS)}
    whole = network()
    history = fit(whole, (IMAGES, LABELS), **options)

    calls = []

    def evaluate_and_stop(engine, loss, *data, stop, **rest):
        def stop_now():
            calls.append(keep.started.trainer.stop("enough"))
            return stop()

        return run_evaluation(engine, loss, *data, **{**rest, "batch_size": 8}, stop=stop_now)

    keep = StopAfter(10**6)
    monkeypatch.setattr("rot180.training.loop.run_evaluation", evaluate_and_stop)
    interrupted = fit(network(), (IMAGES, LABELS), **options, subscribers=[keep])
    monkeypatch.undo()
    assert len(calls) == 1
    assert (interrupted.epochs, interrupted.epoch, interrupted.batch) == ([], 1, 7)
    model, epochs = network(), []
    resumed = fit(
        model,
        (IMAGES, LABELS),
        **options,
        resume=keep.state,
        subscribers=[lambda event: epochs.append(event) if isinstance(event, EpochDone) else None],
    )
    assert weights(model) == weights(whole)
    assert [epoch.validation_loss for epoch in epochs] == history.column("validation_loss")
    assert resumed.column("learning_rate") == history.column("learning_rate")


def state_of(**options):
    stop = StopAfter(2)
    fit(network(), (IMAGES, LABELS), batch_size=8, subscribers=[stop], **options)
    return stop.state


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 4}, "another training: batch_size 8, here 4; use the same"),
        ({"batch_size": 8, "seed": 1}, "seed 0, here 1"),
        ({"batch_size": 8, "schedule": "cosine"}, "schedule 'constant', here 'cosine'"),
        ({"batch_size": 8, "warmup": 2}, "warmup 0, here 2"),
        ({"batch_size": 8, "loss": CrossEntropyLoss(label_smoothing=0.1)}, r"label_smoothing 0\.0, here 0\.1"),
        ({"batch_size": 8, "accumulate": 2}, "accumulate 1, here 2"),
        ({"batch_size": 8, "label_smoothing": 0.2}, r"label_smoothing 0\.0, here 0\.2"),
        ({"batch_size": 8, "clip_norm": 1}, "optimizer .*, here .*'clip_norm': 1.0"),
        ({"batch_size": 8, "decay_bias_and_norm": False}, "optimizer .*, here .*'decay_bias_and_norm': False"),
        ({"batch_size": 8, "ema": 0.9}, r"ema None, here 0\.9"),
        ({"batch_size": 8, "tta": "flip"}, "tta 'none', here 'flip'"),
        ({"batch_size": 8, "augment": "flip"}, "augment None, here 'flip"),
        ({"batch_size": 8, "optimizer": Adam(lr=1e-3, betas=(0.8, 0.999))}, "optimizer .*0.9, .*, here .*0.8"),
        ({"batch_size": 8, "validation": 0.5}, "images 52, here 26"),
    ],
)
def test_another_training_is_not_gone_on_with(options, message) -> None:
    with pytest.raises(ArgumentError, match=message):
        fit(network(), (IMAGES, LABELS), **options, resume=state_of())


def test_another_network_of_the_same_shapes_is_not_gone_on_with() -> None:
    state = state_of()
    other = network()
    other.layers[5].rate = 0.4
    with pytest.raises(ArgumentError, match=r"network '.*dropout0\.3.*', here '.*dropout0\.4"):
        fit(other, (IMAGES, LABELS), batch_size=8, resume=state)
    other = network()
    other.preprocessing = Preprocessing("image")
    with pytest.raises(ArgumentError, match=r"preprocessing {'kind': 'scale'.*}, here {'kind': 'image'"):
        fit(other, (IMAGES, LABELS), batch_size=8, resume=state)
    old = replace(state, plan={name: value for name, value in state.plan.items() if name not in ADDED})
    assert fit(network(), (IMAGES, LABELS), batch_size=8, resume=old).stopped == "finished"


@pytest.mark.parametrize("batches", [3, 12])
def test_more_epochs_equal_as_many_from_the_start(batches: int) -> None:
    options = {"batch_size": 8, "validation": 0.2, "early_stopping": 9, "lr": 0.02}
    whole, model, stop = network(), network(), StopAfter(batches)  # in the first epoch; at the end of the last
    history = fit(whole, (IMAGES, LABELS), epochs=5, **options)
    fit(network(), (IMAGES, LABELS), epochs=2, **options, subscribers=[stop])
    resumed = fit(model, (IMAGES, LABELS), epochs=5, **options, resume=stop.state)
    assert weights(model) == weights(whole)
    assert resumed.losses == history.losses


def test_fewer_epochs_and_more_that_change_nothing() -> None:
    options = {"batch_size": 8, "validation": 0.2, "early_stopping": 1, "lr": 0.5, "optimizer": "sgd"}
    stop = StopAfter(100)
    history = fit(network(), (IMAGES, LABELS), epochs=30, **options, subscribers=[stop])
    assert history.stopped == "early_stopping"
    with pytest.raises(ArgumentError, match="planned for 30 epochs and can be extended, but not shortened to 29"):
        fit(network(), (IMAGES, LABELS), epochs=29, **options, resume=stop.state)
    with pytest.raises(ArgumentError, match=r"early stopping ended the training after epoch \d+, .*more patience"):
        fit(network(), (IMAGES, LABELS), epochs=31, **options, resume=stop.state)


def test_a_damaged_state_is_refused() -> None:
    state = state_of()
    for change, message in (
        ({"parameters": {}}, "the checkpoint's arrays must be .*missing: conv1.bias"),
        ({"optimizer_state": {**state.optimizer_state, "m/fc1.bias": np.zeros(3)}}, "m/fc1.bias must be .*; it is"),
        ({"generators": {}}, "state cannot be used .*generators"),
        ({"generators": {"noise": {"bit_generator": "PCG64", "state": {"state": -1, "inc": 2}}}}, "cannot be used"),
        ({"generators": {"noise": {"bit_generator": "MT19937"}}}, "cannot be used"),
        ({"progress": {**state.progress, "epoch": 7}}, "is at epoch 7"),
        ({"progress": {"epoch": 0}}, "cannot be used .*batch"),
        ({"progress": {**state.progress, "step": 3}}, "counts 3 steps and 16 images .* requires 2 and 16"),
        ({"progress": {**state.progress, "images": 17}}, "counts 2 steps and 17 images"),
        ({"step_count": 1}, "use an older one"),
    ):
        with pytest.raises(ModelError, match=message):
            fit(network(), (IMAGES, LABELS), batch_size=8, resume=replace(state, **change))


def test_what_is_not_finite_is_stopped_in_the_same_step() -> None:
    model, seen = network(), []
    with pytest.raises(NonFiniteError) as caught:
        fit(model, (IMAGES, LABELS), epochs=9, batch_size=8, optimizer=SGD(lr=1e30), subscribers=[seen.append])
    error, steps = caught.value, sum(isinstance(event, StepDone) for event in seen)
    assert error.step == steps > 0
    epoch, batch = divmod(steps, 7)
    assert str(error).startswith(f"epoch {epoch + 1}, batch {batch + 1} of 7, step {steps + 1}: ")
    assert "the learning rate is too high (now 1e+30): lower --lr or add --warmup" in str(error)
    assert error.array in str(error)


@pytest.mark.parametrize(
    ("damage", "message", "layer"),
    [
        ("images", r"pixels must be finite numbers; 1 of 8 images .* the first is image 2 \(1 of 36 values\)", ""),
        ("weight", r"non-finite array: fc1\.weight \(1 of 256 values\)", "fc1"),
        ("output", r"non-finite array: the output of fc1 .*the images reach 3e\+38: normalize them", "fc1"),
    ],
)
def test_the_first_array_that_is_not_finite_is_named(damage: str, message: str, layer: str) -> None:
    model = network().build((6, 6, 1), seed=0)
    images = np.full((8, 6, 6, 1), 0.5, np.float32)
    if damage == "images":
        images[2, 3, 3, 0] = np.nan
    elif damage == "weight":
        model.parameters["fc1.weight"][1, 1] = np.inf
    else:
        images[:] = 3e38
        model.parameters["conv1.weight"][:] = 1 / 9
        model.parameters["fc1.weight"][:] = 1
        model.preprocessing = Preprocessing("none")
    before = weights(model)
    with pytest.raises(NonFiniteError, match=message) as caught:
        fit(model, (images, LABELS[:8]))
    assert caught.value.layer == layer
    assert weights(model) == before


def test_a_gradient_alone_may_be_what_is_not_finite() -> None:
    model = Sequential([Flatten(), Linear(3), Linear(3)]).build((6, 6, 1), seed=0)
    # the outputs are all 0, so the loss is log 3; the gradient of the hidden units is what overflows
    images = np.full((4, 6, 6, 1), 1e3, np.float32)
    model.preprocessing = Preprocessing("none")
    model.parameters["fc1.weight"][:] = 0
    model.parameters["fc2.weight"][:] = np.float32(1e37) * np.array([[1, -1, 1]], np.float32)
    with pytest.raises(NonFiniteError, match=r"a gradient is not finite; .*: the gradient of fc1") as caught:
        fit(model, (images, np.array([0, 1, 2, 0])), batch_size=4, loss="cross_entropy")
    assert caught.value.layer in ("fc1", "fc2")
