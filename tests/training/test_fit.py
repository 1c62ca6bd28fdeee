"""The training loop: it learns, repeats itself to the bit, tells what happens, and can be stopped."""

from __future__ import annotations

import json
import os
import signal
import threading

import numpy as np
import pytest

from rot180.errors import ArgumentError, ShapeError
from rot180.nn.activation import ReLU, Sigmoid, Softmax
from rot180.nn.conv2d import Conv2d
from rot180.nn.dropout import Dropout
from rot180.nn.flatten import Flatten
from rot180.nn.linear import Linear
from rot180.nn.sequential import Sequential
from rot180.training import SGD, EpochDone, History, StepDone, Trainer, TrainingEnded, TrainingStarted, evaluate, fit
from rot180.training.streams import epoch_order


def bars(count: int = 60, seed: int = 0):
    """Noisy 6x6 images of a horizontal (0), vertical (1) or no (2) bar."""
    rng = np.random.default_rng(seed)
    images, labels = rng.integers(0, 60, (count, 6, 6, 1), np.uint8), rng.integers(0, 3, count)
    for image, label in zip(images, labels, strict=True):
        place = rng.integers(0, 6)
        if label == 0:
            image[place] += 190
        elif label == 1:
            image[:, place] += 190
    return images, labels


def network(*extra) -> Sequential:
    return Sequential([Conv2d(4, 3), ReLU(), Flatten(), Linear(8), ReLU(), *extra, Linear(3)])


def weights(model: Sequential) -> bytes:
    return b"".join(w.tobytes() for w in model.parameters.values())


def test_it_learns_what_it_has_and_has_not_seen() -> None:
    model = network()
    history = fit(model, bars(400), epochs=40, lr=1e-2, schedule="cosine", validation=bars(100, seed=1))
    assert history.stopped == "finished"
    assert history.epochs[-1].train_accuracy > 0.97
    assert history.epochs[-1].validation_accuracy > 0.95
    assert evaluate(model, *bars(100, seed=1)).accuracy == history.epochs[-1].validation_accuracy


def test_sigmoid_with_squared_error_learns() -> None:
    model = Sequential([Flatten(), Linear(12), Sigmoid(), Linear(3), Sigmoid()])
    history = fit(model, bars(200), epochs=30, optimizer="adam", lr=1e-2)
    assert history.epochs[-1].train_loss < 0.5 * history.epochs[0].train_loss


def test_same_seed_same_bits() -> None:
    models = [network(Dropout(0.3)) for _ in range(3)]
    histories = [fit(m, bars(), epochs=2, seed=seed, validation=0.2) for m, seed in zip(models, (5, 5, 6), strict=True)]
    assert weights(models[0]) == weights(models[1]) != weights(models[2])
    assert histories[0].losses == histories[1].losses != histories[2].losses


def test_every_epoch_has_an_order_of_its_own() -> None:
    assert sorted(epoch_order(0, 0, 9)) == list(range(9))
    assert len({tuple(epoch_order(seed, epoch, 9)) for seed in range(3) for epoch in range(3)}) == 9


def test_accumulated_batches_are_one_large_batch() -> None:
    small, large = network(), network()
    for model in (small, large):
        model.build((6, 6, 1), seed=1, dtype=np.float64)
    # 26 images: updates of 8, 8, 8 and 2; in small batches of 4 the last update has one batch alone
    fit(small, bars(26), epochs=2, batch_size=4, accumulate=2, optimizer=SGD(lr=0.1, momentum=0.9))
    fit(large, bars(26), epochs=2, batch_size=8, optimizer=SGD(lr=0.1, momentum=0.9))
    for name, w in large.parameters.items():
        np.testing.assert_allclose(small.parameters[name], w, rtol=1e-11, atol=1e-14)


def test_events_come_in_order() -> None:
    seen = []
    fit(network(), bars(20), epochs=2, batch_size=8, accumulate=2, validation=bars(5), subscribers=[seen.append])
    assert [type(event) for event in seen] == [
        TrainingStarted,
        *[StepDone] * 3,
        EpochDone,
        *[StepDone] * 3,
        EpochDone,
        TrainingEnded,
    ]
    assert (seen[0].epochs, seen[0].batches, seen[0].images, seen[0].validation_images) == (2, 3, 20, 5)
    steps = [event for event in seen if isinstance(event, StepDone)]
    assert [(s.epoch, s.batch, s.images, s.updated) for s in steps] == [
        (1, 1, 8, False),
        (1, 2, 8, True),
        (1, 3, 4, True),
        (2, 1, 8, False),
        (2, 2, 8, True),
        (2, 3, 4, True),
    ]
    assert seen[4].train_loss == pytest.approx(sum(s.loss * s.images for s in steps[:3]) / 20)
    assert seen[4].train_accuracy == sum(s.correct for s in steps[:3]) / 20
    assert seen[-1].reason == "finished"


def test_history_is_ready_for_json() -> None:
    history = fit(network(), bars(20), epochs=2, schedule="step", lr=0.01)
    table = json.loads(json.dumps(history.to_dict()))
    assert len(table["losses"]) == 2
    assert table["epochs"][1]["train_loss"] == history.column("train_loss")[1]
    assert table["epochs"][0]["validation_loss"] is None
    assert table["learning_rates"] == history.learning_rates == pytest.approx([0.01, 0.001])


def test_ctrl_c_ends_after_the_batch_and_says_where() -> None:
    before = signal.getsignal(signal.SIGINT)
    model, batches = network(), []

    def press(event) -> None:
        if isinstance(event, StepDone):
            batches.append(event.batch)
            if (event.epoch, event.batch) == (2, 2):
                os.kill(os.getpid(), signal.SIGINT)

    history = fit(model, bars(40), epochs=5, batch_size=8, subscribers=[press])
    assert (history.stopped, history.epoch, history.batch) == ("interrupted", 2, 2)
    assert len(history.epochs) == 1
    assert len(history.losses) == len(batches) == 7
    assert signal.getsignal(signal.SIGINT) is before
    evaluate(model, *bars(10))


def test_the_second_ctrl_c_ends_at_once() -> None:
    def press_twice(event) -> None:
        if isinstance(event, StepDone):
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fit(network(), bars(40), subscribers=[press_twice])


def test_another_thread_trains_and_is_stopped_by_a_call() -> None:
    histories: list[History] = []

    def stop(event) -> None:
        if isinstance(event, TrainingStarted):
            trainers.append(event.trainer)
        if isinstance(event, StepDone) and event.batch == 3:
            trainers[0].stop("enough")

    trainers: list[Trainer] = []
    # accumulate=2: the third batch shares its update with the fourth, where it ends
    thread = threading.Thread(
        target=lambda: histories.append(fit(network(), bars(60), batch_size=8, accumulate=2, subscribers=[stop]))
    )
    thread.start()
    thread.join(20)
    assert (histories[0].stopped, histories[0].epoch, histories[0].batch) == ("enough", 1, 4)


def test_early_stopping_puts_the_best_weights_back() -> None:
    model, kept = network(), {}

    def keep(event) -> None:
        if isinstance(event, EpochDone) and event.is_best:
            kept["weights"], kept["epoch"], kept["loss"] = weights(model), event.epoch, event.validation_loss

    images, labels = bars(30)
    wrong = (images, (labels + 1) % 3)  # the better it learns, the worse it does here
    history = fit(model, (images, labels), epochs=50, lr=1e-2, validation=wrong, early_stopping=2, subscribers=[keep])
    assert history.stopped == "early_stopping"
    assert history.epoch == kept["epoch"] + 2 < 50
    assert history.restored_epoch == kept["epoch"]
    assert weights(model) == kept["weights"]
    assert evaluate(model, *wrong).loss == kept["loss"]


def test_a_share_is_held_out() -> None:
    seen = []
    fit(network(), bars(50), validation=0.3, subscribers=[seen.append])
    assert (seen[0].images, seen[0].validation_images) == (35, 15)


def test_images_need_no_channel_axis_and_a_data_set_will_do() -> None:
    class Data:
        train_images, train_labels = bars(20)

    one, two = network(), network()
    fit(one, Data())
    fit(two, (Data.train_images[..., 0], Data.train_labels))
    assert weights(one) == weights(two)


def test_a_trainer_takes_one_step() -> None:
    trainer = Trainer(network(), optimizer="sgd", seed=3)
    with pytest.raises(ArgumentError, match="not built yet"):
        _ = trainer.engine
    images, labels = bars(8)
    before = trainer.step(images, labels)
    for _ in range(20):
        after = trainer.step(images, labels)
    assert after < before
    assert trainer.optimizer.step_count == 21
    one_hot = np.eye(3, dtype=np.float32)[labels]
    assert trainer.step(images, one_hot) < before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": "adamm"}, r"unknown optimizer 'adamm'; did you mean 'adam'\?"),
        ({"schedule": "cosinus"}, r"did you mean 'cosine'\?"),
        ({"engine": "nunpy"}, r"unknown engine 'nunpy'; did you mean 'numpy'\?"),
        ({"loss": "crossentropy"}, r"did you mean 'cross_entropy'\?"),
        ({"epochs": -1}, "fit: epochs must be an int, at least 0; it is -1"),
        ({"batch_size": 2.5}, "fit: batch_size must be an int"),
        ({"accumulate": 0}, "fit: accumulate"),
        ({"early_stopping": 3}, "give validation, such as validation=0.1"),
        ({"validation": 1.5}, "validation must be a share above 0 and below 1"),
        ({"validation": (1,)}, "it has 1 parts"),
        ({"lr": -1.0}, "adam: lr must be a number"),
        ({"seed": -1}, "seed must be an int, at least 0"),
        ({"warmup": 99}, "less than the total of 1, or .* it is 99"),
    ],
)
def test_what_cannot_be_used_is_said(options, message) -> None:
    with pytest.raises(ArgumentError, match=message):
        fit(network(), bars(10), **options)


def test_data_that_does_not_fit_is_refused_before_the_first_batch() -> None:
    images, labels = bars(10)
    for data, error, message in (
        ((images, labels[:5]), ShapeError, "10 images, labels"),
        ((images, labels + 1), ArgumentError, "from 0 to 2, one for each output"),
        ((images, labels / 2), ArgumentError, "labels must be integers"),
        ((images[:, None], labels), ShapeError, "images must be"),
        (images, ArgumentError, "it is ndarray"),
        ((images[:1], labels[:1]), ArgumentError, "there is only 1"),
    ):
        with pytest.raises(error, match=message):
            fit(network(), data, validation=0.5)
    with pytest.raises(ShapeError, match="end it in fc"):
        fit(Sequential([Conv2d(3, 3)]), (images, labels))
    with pytest.raises(ShapeError, match="3 images, 2 labels"):
        Trainer(network()).step(images[:3], labels[:2])


def test_a_softmax_under_cross_entropy_is_refused() -> None:
    with pytest.raises(ArgumentError, match="leave the softmax out, the loss includes it"):
        fit(Sequential([Flatten(), Linear(3), Softmax()]), bars(10))
