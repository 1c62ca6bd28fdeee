"""Training on shards: the same bits on any number of processes, here threads."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from crew import Crew, Member
from trainings import CASES, CHAIN, RESIDUAL, digest, measure, train

import rot180
from rot180.errors import ArgumentError, NonFiniteError, ParallelError, ShapeError
from rot180.nn.preprocessing import Preprocessing
from rot180.parallel.communicator import ALONE
from rot180.training import Progress, Trainer, capture, gradient_sum
from rot180.training.data_parallel import DataParallel
from rot180.training.events import StepDone, TrainingStarted


@pytest.fixture(scope="module")
def alone():
    return measure(ALONE)


@pytest.mark.parametrize("size", [2, 3, 4])
def test_shards_give_the_same_bits_on_any_number_of_processes(size, alone):
    for found in Crew(size).run(measure):
        for name in CASES:
            assert found[name] == alone[name], name
        # Without shards, the order of the sums depends on the number of processes.
        np.testing.assert_allclose(found["ordinary"], alone["ordinary"], rtol=0, atol=1e-12)


def test_the_numpy_engine_sums_in_the_same_order():
    one, _ = train(ALONE, RESIDUAL, engine="numpy", epochs=1)
    for model, _ in Crew(2).run(lambda member: train(member, RESIDUAL, engine="numpy", epochs=1)):
        assert digest(model) == digest(one)


def test_shards_alone_agree_with_whole_batches_to_rounding():
    whole, _ = train(ALONE, CHAIN, shards=None, dtype=np.float64)
    cut, _ = train(ALONE, CHAIN, shards=8, dtype=np.float64)
    for name, w in whole.parameters.items():
        np.testing.assert_allclose(cut.parameters[name], w, rtol=0, atol=1e-12)


def test_running_statistics_are_the_mean_over_the_shards():
    images = np.random.default_rng(0).uniform(0, 255, (8, 4, 4, 1))
    labels = np.arange(8) % 2
    network = "4x4x1 > bn:momentum=0.5 > fc2"
    model = rot180.network(network).build(seed=0)
    rot180.fit(model, (images, labels), batch_size=8, shards=2, lr=0.0, seed=3)
    order = np.random.default_rng(np.random.SeedSequence(3, spawn_key=(0, 0))).permutation(8)
    parts = model.preprocessing(images)[order].reshape(2, 4, 4, 4, 1)
    means = [0.5 * part.mean() for part in parts]
    variances = [0.5 + 0.5 * part.var(ddof=1) for part in parts]
    np.testing.assert_allclose(model.statistics["bn1.running_mean"], [np.mean(means)], rtol=1e-5)
    np.testing.assert_allclose(model.statistics["bn1.running_var"], [np.mean(variances)], rtol=1e-5)


def test_a_training_resumes_with_another_number_of_processes():
    expected, _ = train(ALONE, RESIDUAL, ema=0.9)
    states = []

    def keep(event):
        if isinstance(event, TrainingStarted):
            keep.started = event
        if isinstance(event, StepDone) and keep.started.progress.step == 3:
            start = keep.started
            state = capture(start.trainer, start.settings, start.progress, start.images, History)
            arrays = ("parameters", "optimizer_state", "best_parameters", "average")
            copies = {name: {key: a.copy() for key, a in getattr(state, name).items()} for name in arrays}
            states.append(type(state)(**{**vars(state), **copies}))

    History = rot180.training.History()
    train(ALONE, RESIDUAL, ema=0.9, subscribers=[keep])

    def resume(member):
        return train(member, RESIDUAL, ema=0.9, resume=None if member.rank else states[0])[0]

    for model in Crew(2).run(resume):
        assert digest(model) == digest(expected)


def test_all_processes_start_from_what_the_first_has():
    def run(member):
        model = rot180.network("2x2x1 > fc2").build(seed=member.rank)
        trainer = Trainer(model)
        trainer.prepare((2, 2, 1))
        progress = Progress()
        if member.rank == 0:
            model.preprocessing = Preprocessing("image")
            trainer.optimizer.step_count = 7
            best = {name: array + 1 for name, array in model.state.items()}
            progress = Progress(epoch=2, step=7, best_loss=0.5, best_epoch=1, best_parameters=best)
        DataParallel(trainer, member).start_alike(progress, np.arange(4))
        arrays = {**model.state, **{f"best {name}": array for name, array in progress.best_parameters.items()}}
        found = {name: array.tolist() for name, array in arrays.items()}
        return found, model.preprocessing, trainer.optimizer.step_count, progress.epoch, progress.best_loss

    first, second = Crew(2).run(run)
    assert first == second


def test_all_processes_stop_after_the_same_batch_if_one_is_asked_to():
    def run(member):
        def stop(event):
            if isinstance(event, TrainingStarted):
                stop.trainer = event.trainer
            if isinstance(event, StepDone) and member.rank == 1 and event.epoch == 1 and event.batch == 2:
                stop.trainer.stop("interrupted")

        return train(member, CHAIN, subscribers=[stop])[1]

    histories = Crew(3).run(run)
    assert {(history.stopped, history.epoch, history.batch) for history in histories} == {("interrupted", 1, 3)}


@pytest.mark.parametrize("network", ["2x2x1 > fc2", "2x2x1 > fc2 > bn > fc2"])
def test_one_error_of_all_processes_if_a_shard_is_not_finite(network):
    images = np.zeros((8, 2, 2, 1), np.uint8)
    images[5] = 255  # in one shard only; times the weights, it is infinite
    messages = []

    def run(member):
        model = rot180.network(network).build(seed=0)
        model.parameters["fc1.weight"][:] = 3e38
        try:
            labels = np.arange(8) % 2
            rot180.fit(model, (images, labels), batch_size=8, shards=8, sync_batch_norm=True, communicator=member)
        except NonFiniteError as error:
            messages.append((str(error), error.array, member.failed_together))
            raise

    with pytest.raises(NonFiniteError, match="epoch 1, batch 1 of 1, step 1"):
        Crew(2).run(run)
    assert len(messages) == 2
    assert len(set(messages)) == 1
    assert messages[0][1:] == ("the output of fc1", True)


def test_weights_that_differ_are_noticed_at_the_end_of_the_epoch():
    def run(member):
        def spoil(event):
            if isinstance(event, TrainingStarted):
                spoil.model = event.trainer.model
            if isinstance(event, StepDone) and member.rank == 2 and event.epoch == 1 and event.batch == 4:
                spoil.model.parameters["fc1.weight"][0, 0] += 1e-6

        train(member, CHAIN, subscribers=[spoil])

    with pytest.raises(ParallelError, match="epoch 1: the weights of process 2 differ from those of process 0"):
        Crew(3).run(run)


def test_different_data_are_refused():
    images = np.zeros((8, 2, 2, 1), np.uint8)

    def run(member):
        model = rot180.network("2x2x1 > fc2").build(seed=0)
        rot180.fit(model, (images, (np.arange(8) + member.rank) % 2), communicator=member)

    with pytest.raises(ArgumentError, match="must read the same data; the training labels of process 1 differ"):
        Crew(2).run(run)


def test_every_process_needs_a_shard():
    with pytest.raises(ArgumentError, match="each process needs a shard of its own; there are 3 processes"):
        Crew(3).run(lambda member: train(member, CHAIN, shards=2))


NORMALIZED = "8x8x1 > conv3x3:4:same bn relu ( conv3x3:4:same bn + skip ) relu > gap > fc8 > bn relu > fc10"


@pytest.mark.parametrize("engine", ["auto", "numpy"])
def test_synchronized_normalization_is_that_of_the_whole_batch(engine):
    # Adam would take the noise in the gradients of biases, which normalization removes, for gradients.
    options = {"dtype": np.float64, "optimizer": "sgd", "momentum": 0.9}
    whole, _ = train(ALONE, NORMALIZED, shards=None, engine=engine, **options)
    options["sync_batch_norm"] = True
    # The last batch of an epoch has shards of one image, and of none.
    found = [model for model, _ in Crew(2).run(lambda member: train(member, NORMALIZED, shards=8, **options))]
    found += [model for model, _ in Crew(3).run(lambda member: train(member, NORMALIZED, shards=None, **options))]
    for model in found:
        for name, array in whole.state.items():
            np.testing.assert_allclose(model.state[name], array, rtol=0, atol=1e-12, err_msg=name)


def test_normalization_is_synchronized_only_if_asked():
    network = NORMALIZED.replace("fc8 > bn relu", "fc8 relu")
    whole, _ = train(ALONE, network, shards=None, dtype=np.float64, epochs=1)
    cut, _ = train(ALONE, network, shards=8, dtype=np.float64, epochs=1)
    assert abs(cut.parameters["conv1.weight"] - whole.parameters["conv1.weight"]).max() > 1e-3


def test_synchronized_normalization_needs_two_values_in_all():
    images, labels = np.zeros((1, 2, 2, 1), np.uint8), np.array([0])
    model = rot180.network("2x2x1 > fc2 > bn > fc2").build(seed=0)
    with pytest.raises(ShapeError, match="a channel needs at least two values to have a variance"):
        rot180.fit(model, (images, labels), shards=2, sync_batch_norm=True)


def test_what_cannot_be_synchronized_is_refused():
    class Mine(rot180.BatchNorm2d):
        pass

    with pytest.raises(ArgumentError, match="synchronized by the compiled engine alone; this is the numpy engine"):
        train(ALONE, NORMALIZED, engine="numpy", sync_batch_norm=True)
    model = rot180.Sequential([rot180.Flatten(), Mine(), rot180.Linear(2)], input_shape=(2, 2, 1)).build(seed=0)
    images, labels = np.zeros((4, 2, 2, 1), np.uint8), np.arange(4) % 2
    with pytest.raises(ArgumentError, match="Mine is a class of your own, which cannot be synchronized"):
        rot180.fit(model, (images, labels), shards=2, sync_batch_norm=True)


def test_stretches_of_the_gradient_do_not_change_the_sum(monkeypatch):
    (expected, _), _ = Crew(2).run(lambda member: train(member, RESIDUAL, epochs=1))
    monkeypatch.setattr(gradient_sum, "LEAST_PIECE", 256)
    begun = []
    monkeypatch.setattr(Member, "begin_sum", lambda self, *of: begun.append(self.rank) or partial(self.sum, *of))
    for model, _ in Crew(2).run(lambda member: train(member, RESIDUAL, epochs=1)):
        assert digest(model) == digest(expected)
    assert len(begun) > 2 * 2 * 4  # several for each member and batch


@pytest.mark.parametrize("shards", [0, 3, 2.0, True])
def test_shards_are_a_power_of_two(shards):
    with pytest.raises(ArgumentError, match="shards must be"):
        train(ALONE, CHAIN, shards=shards)
