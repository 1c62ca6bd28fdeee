"""Runs that go on: the same weights, the same history; and every way in which that can be impossible."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rot180.errors import ArgumentError, DataError, ModelError, NonFiniteError
from rot180.files.unfinished import unfinished_name
from rot180.runs import load_model, load_run, save_model
from rot180.runs.checkpoint import list_checkpoints
from rot180.runs.draw import draw_model
from rot180.runs.history_file import iterate_records, read_history
from rot180.runs.lock import RunLock, is_locked
from rot180.runs.model_file import model_bytes
from rot180.runs.overview import summarize_run
from rot180.runs.own_data import own_data
from rot180.runs.recorder import CheckpointPolicy
from rot180.runs.resume import resume_run
from rot180.runs.train_run import RunSettings, train_run
from rot180.training import EpochDone, StepDone, TrainingEnded, TrainingStarted

SETTINGS = RunSettings(
    model="8x8x1 > conv3x3:2 relu maxpool2 > dropout0.2 > fc10",
    epochs=3,
    batch_size=16,
    limit=120,
    validation=0.2,
    normalize="dataset",
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


def weights(run: Path) -> bytes:
    return (run / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nothing interrupted."""
    path = tmp_path_factory.mktemp("whole") / "run"
    train_run(SETTINGS, out=path, draw=False)
    return path


@pytest.fixture
def interrupted(tmp_path: Path) -> Path:
    """A run that was interrupted in its second epoch."""
    path = tmp_path / "run"
    run = train_run(SETTINGS, out=path, subscribers=[StopAt(8)], draw=False)
    assert (run.history.stopped, run.test, run.pictures) == ("interrupted", None, ())
    return path


@pytest.mark.parametrize("batches", [1, 5, 6, 7, 13])
def test_interrupted_equals_uninterrupted(tmp_path: Path, whole: Path, batches: int) -> None:
    path = tmp_path / "run"
    train_run(SETTINGS, out=path, subscribers=[StopAt(batches)], draw=False)
    told = []
    run = resume_run(path, draw=False, tell=told.append)
    assert told == []
    assert run.test is not None
    assert weights(path) == weights(whole)
    assert (path / "best.safetensors").read_bytes() == (whole / "best.safetensors").read_bytes()
    own, other = read_history(path / "history.jsonl"), read_history(whole / "history.jsonl")
    assert (own.losses, own.learning_rates) == (other.losses, other.learning_rates)
    assert own.column("validation_loss") == other.column("validation_loss")
    assert run.history.losses == other.losses


def test_what_a_folder_holds(whole: Path) -> None:
    names = {"config.toml", "environment.json", "history.jsonl", "checkpoints", "best.safetensors", "model.safetensors"}
    assert names | {"pictures", "report.html", ".lock"} == {entry.name for entry in whole.iterdir()}
    environment = json.loads((whole / "environment.json").read_text())
    assert {"numpy", "python", "processor", "threads", "data", "engine", "blas"} <= environment.keys()


def test_a_run_that_is_over_is_tested_again(tmp_path: Path, whole: Path) -> None:
    path = tmp_path / "run"
    shutil.copytree(whole, path)
    (path / "model.safetensors").unlink()
    assert load_run(path).model.is_built  # of the newest checkpoint
    resume_run(path, draw=False)
    assert weights(path) == weights(whole)
    assert [record["event"] for record in iterate_records(path / "history.jsonl")].count("test") == 1


def test_lines_of_after_the_checkpoint_come_once(interrupted: Path, whole: Path) -> None:
    with (interrupted / "history.jsonl").open("a") as file:
        file.write('{"event": "step", "epoch": 2, "batch": 99, "loss": 0, "learning_rate": 1}\n{"event": "st')
    with unfinished_name() as name:
        pass  # of a process that has ended
    (interrupted / "checkpoints" / name).mkdir()
    (interrupted / name).write_text("half")
    resume_run(interrupted, draw=False)
    assert read_history(interrupted / "history.jsonl").losses == read_history(whole / "history.jsonl").losses
    assert not list(interrupted.rglob("*.tmp"))


@pytest.mark.parametrize("folder_too", [False, True])
def test_a_run_that_was_killed_before_its_first_checkpoint_begins_anew(
    interrupted: Path, whole: Path, folder_too: bool
) -> None:
    for checkpoint in list_checkpoints(interrupted / "checkpoints"):
        shutil.rmtree(checkpoint)
    if folder_too:
        (interrupted / "checkpoints").rmdir()
    lines = (interrupted / "history.jsonl").read_text().splitlines(keepends=True)
    (interrupted / "history.jsonl").write_text(lines[0])
    (interrupted / "model.safetensors").unlink()
    told = []
    resume_run(interrupted, draw=False, tell=told.append)
    assert told == ["there is no checkpoint yet: the training starts from the beginning"]
    assert weights(interrupted) == weights(whole)


@pytest.mark.parametrize("folder_too", [False, True])
def test_removed_checkpoints_are_said_to_be(interrupted: Path, folder_too: bool) -> None:
    for checkpoint in list_checkpoints(interrupted / "checkpoints"):
        shutil.rmtree(checkpoint)
    if folder_too:
        (interrupted / "checkpoints").rmdir()
    told = []
    message = r"checkpoints: the checkpoints were removed, so the run cannot be resumed; start a new one in another"
    with pytest.raises(ModelError, match=message):
        resume_run(interrupted, draw=False, tell=told.append)
    assert told == []
    assert load_run(interrupted).model.is_built


class KillAt(StopAt):
    """Ends a training as a lost machine would: nothing is written after that batch."""

    def __call__(self, event) -> None:
        if isinstance(event, StepDone):
            self.left -= 1
            if not self.left:
                raise SystemExit


def newest_checkpoint(run: Path) -> bytes:
    return (list_checkpoints(run / "checkpoints")[0] / "model.safetensors").read_bytes()


@pytest.mark.parametrize("tells_its_step", [True, False])
def test_a_killed_run_has_the_weights_of_its_newest_checkpoint(interrupted: Path, tells_its_step: bool) -> None:
    if not tells_its_step:  # as the first versions wrote it
        save_model(interrupted / "model.safetensors", load_run(interrupted).model)
    old = weights(interrupted)
    assert (
        load_run(interrupted).model.parameters.keys() == load_model(interrupted / "model.safetensors").parameters.keys()
    )
    with pytest.raises(SystemExit):
        resume_run(interrupted, draw=False, subscribers=[KillAt(6)])
    assert weights(interrupted) == old  # it is stale
    assert model_bytes(load_run(interrupted).model) == newest_checkpoint(interrupted)
    damaged = list_checkpoints(interrupted / "checkpoints")[0] / "model.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    damaged = damaged.parent
    assert model_bytes(load_run(interrupted).model) != newest_checkpoint(interrupted)
    shutil.rmtree(damaged)
    assert load_run(interrupted).model.is_built


def test_the_best_weights_are_those_of_a_training_that_was_over(tmp_path: Path) -> None:
    stopping = replace(SETTINGS, epochs=30, lr=0.5, optimizer="sgd", early_stopping=1)
    path = tmp_path / "run"
    assert train_run(stopping, out=path, draw=False).history.stopped == "early_stopping"
    ended = load_run(path).model
    (path / "model.safetensors").unlink()  # killed right before it was written
    again = load_run(path).model
    assert all(w.tobytes() == again.parameters[name].tobytes() for name, w in ended.parameters.items())
    with pytest.raises(ArgumentError, match="early stopping ended the training after epoch"):
        resume_run(path, epochs=40, draw=False)


def test_the_best_weights_of_an_epoch_are_saved_by_whoever_goes_on(tmp_path: Path, whole: Path, monkeypatch) -> None:
    path = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr("rot180.runs.folder.RunFolder.save_best", lambda *_: sys.exit())
        with pytest.raises(SystemExit):
            train_run(SETTINGS, out=path, draw=False)
    assert not (path / "best.safetensors").exists()
    resume_run(path, draw=False, subscribers=[StopAt(1)])
    assert (path / "best.safetensors").exists()
    resume_run(path, draw=False)
    assert (path / "best.safetensors").read_bytes() == (whole / "best.safetensors").read_bytes()


@pytest.mark.parametrize("batches", [8, 99])
def test_more_epochs(tmp_path: Path, batches: int) -> None:
    constant = replace(SETTINGS, schedule="constant", warmup=2)
    train_run(replace(constant, epochs=4), out=tmp_path / "whole", draw=False)
    path, told = tmp_path / "run", []
    train_run(replace(constant, epochs=2), out=path, draw=False, subscribers=[StopAt(batches)])
    with pytest.raises(ArgumentError, match="--epochs must be at least the 2 that the run was planned for; it is 1"):
        resume_run(path, epochs=1, draw=False)
    run = resume_run(path, epochs=4, draw=False, tell=told.append)
    assert told == []
    assert weights(path) == weights(tmp_path / "whole")
    assert run.history.losses == read_history(tmp_path / "whole" / "history.jsonl").losses
    config = load_run(path).config
    assert (config["training"]["epochs"], config["earlier_epochs"]) == (4, [2])
    assert summarize_run(path).planned == 4
    assert "extended from 2 epochs" in (path / "report.html").read_text()
    resume_run(path, draw=False, tell=told.append)  # nothing left to do
    assert weights(path) == weights(tmp_path / "whole")


def test_more_epochs_with_a_schedule_that_follows_their_number(tmp_path: Path) -> None:
    path, told = tmp_path / "run", []
    train_run(replace(SETTINGS, schedule="cosine", warmup=0, lr=0.01), out=path, draw=False)
    with pytest.raises(SystemExit):  # killed before the first checkpoint that knows of it
        resume_run(path, epochs=6, draw=False, subscribers=[KillAt(1)], tell=told.append)
    run = resume_run(path, draw=False, tell=told.append)
    message = "the learning rate follows cosine over all 6 epochs from here on: it was 7.6e-05 and continues at 0.005; "
    assert len(told) == 1
    assert told[0].startswith(message)
    assert run.history.learning_rates[18] == pytest.approx(0.005)
    assert len(run.history.epochs) == 6


def test_every_step_and_every_minute(tmp_path: Path) -> None:
    counts = []

    def look(event) -> None:
        if isinstance(event, StepDone):
            counts.append(int(list_checkpoints(tmp_path / "run" / "checkpoints")[0].name))

    run = replace(SETTINGS, epochs=1)
    train_run(run, out=tmp_path / "run", subscribers=[look], draw=False, checkpoints=CheckpointPolicy(every=2))
    assert counts == [1, 2, 2, 3, 3, 3]
    counts.clear()
    shutil.rmtree(tmp_path / "run")
    train_run(run, out=tmp_path / "run", subscribers=[look], draw=False, checkpoints=CheckpointPolicy(minutes=1e-9))
    assert counts == [2, 3, 4, 5, 6, 6]
    for wrong in ({"every": 0}, {"minutes": 0}):
        with pytest.raises(ArgumentError, match=r"--checkpoint-(every must be at least 1|minutes must be above 0)"):
            CheckpointPolicy(**wrong)


def test_what_differs_is_told_before_it_starts(interrupted: Path) -> None:
    path = interrupted / "environment.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "numpy": "1.0", "threads": 99}))
    told = []
    resume_run(interrupted, draw=False, tell=told.append)
    assert len(told) == 1
    assert "may differ in its last bits: numpy was 1.0 and is now" in told[0]
    assert "threads was 99 and is now" in told[0]


def test_other_data_are_refused_unless_forced(interrupted: Path) -> None:
    path = interrupted / "environment.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "data": "0" * 64}))
    with pytest.raises(ArgumentError, match=r"digits: the data differ from .*then 000000000000\); give the same data"):
        resume_run(interrupted, draw=False)
    told = []
    resume_run(interrupted, draw=False, force=True, tell=told.append)
    assert told == ["the data differ from those the run was trained on"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("epochs = 3", "epochs = 4", r"config\.toml: epochs was 3 when the run was trained, and is now 4; restore it"),
        ('schedule = "cosine"', 'schedule = "constant"', "another training: schedule 'cosine', here 'constant'"),
        ("warmup = 0.05", "warmup = 0.5", "another training: warmup 0.05, here 0.5"),
        ("lr = 0.001", "lr = 0.01", "another training: optimizer .*'lr': 0.001.*, here .*'lr': 0.01"),
        (
            'normalize = "dataset"',
            'normalize = "image"',
            "normalize was 'dataset' when the run was trained, and is now 'im",
        ),
        ("seed = 0", "seed = 1", "another training: seed 0, here 1"),
        ("validation = 0.2", "validation = 0.3", "another training: images 96, here 84"),
        ("limit = 120", "limit = 119", "another training: images 96, here 95"),
        ("dropout0.2", "dropout0.3", "another training: network .*dropout0.2.*, here .*dropout0.3"),
        ("epochs = 3", 'epochs = "3"', r"training\.epochs must be a whole number of 64 bits; it is '3'"),
        ("epochs = 3", "epoch = 3", "unknown setting 'epoch'; did you mean 'epochs'"),
        ("[training]", "[learning]", r"no table \[training\] in it"),
        ("conv3x3:2", "conv3x3:3", "another training: network '8x8x1 > conv3x3:2 .*', here '8x8x1 > conv3x3:3"),
        ("network = ", "networks = ", "the run's network is 'None', but here"),
    ],
)
def test_a_changed_configuration(interrupted: Path, old: str, new: str, message: str) -> None:
    path = interrupted / "config.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises((ArgumentError, ModelError), match=message):
        resume_run(interrupted, draw=False)


def test_two_processes_on_one_run(interrupted: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from rot180.runs.lock import RunLock\n"
        "lock = RunLock(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(interrupted)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert is_locked(interrupted)
        with pytest.raises(ModelError, match=f"is in use by process {process.pid}; wait for it, or stop it"):
            resume_run(interrupted, draw=False)
    finally:
        process.kill()
        process.communicate()
    RunLock(interrupted).release()  # the system let go of it with the process
    assert not is_locked(interrupted)


def test_a_folder_removed_under_the_run(tmp_path: Path) -> None:
    def remove(event) -> None:
        if isinstance(event, EpochDone):
            shutil.rmtree(tmp_path / "run")

    with pytest.raises(ModelError, match=r"cannot be written, as its folder is gone"):
        train_run(SETTINGS, out=tmp_path / "run", subscribers=[remove], draw=False)
    assert not (tmp_path / "run").exists()


def test_the_folder_of_checkpoints_removed_under_the_run(tmp_path: Path) -> None:
    def remove(event) -> None:
        if isinstance(event, StepDone) and event.batch == 2:
            shutil.rmtree(tmp_path / "run" / "checkpoints")

    with pytest.raises(
        ModelError, match=r"checkpoints/000001: cannot be written because its folder does not exist"
    ) as found:
        train_run(SETTINGS, out=tmp_path / "run", subscribers=[remove], draw=False)
    assert "room" not in str(found.value)


@pytest.mark.parametrize("when", [StepDone, TrainingEnded])
def test_nothing_comes_anew_while_the_folder_is_removed(tmp_path: Path, when: type) -> None:
    def remove(event) -> None:
        """Half of what rm -rf does: all that is in the folder."""
        if isinstance(event, when):
            for entry in list((tmp_path / "run").iterdir()):
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    with pytest.raises(ModelError, match="gone"):
        train_run(SETTINGS, out=tmp_path / "run", subscribers=[remove])
    assert not (tmp_path / "run" / "history.jsonl").exists()


def test_pictures_make_no_run_anew(tmp_path: Path, whole: Path) -> None:
    run = load_run(whole)
    with pytest.raises(ModelError, match="pictures: the folder cannot be created"):
        draw_model(tmp_path / "gone" / "pictures", run.model, run.history)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_found_before_the_first_step(tmp_path: Path, monkeypatch) -> None:
    steps = []
    write = os.write

    def full(descriptor: int, data) -> int:
        if len(data) > 2000:
            raise OSError(28, "No space left on device")
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(ModelError, match=r"checkpoints/000001: cannot be written \(No space left"):
        train_run(SETTINGS, out=tmp_path / "run", subscribers=[steps.append], draw=False)
    assert steps == []


def test_a_second_checkpoint_must_fit(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 10))
    with pytest.raises(ModelError, match=r"two checkpoints of 0\.0 MB must fit"):
        train_run(SETTINGS, out=tmp_path / "run", draw=False)


def test_a_full_disk_later_says_how_to_go_on(tmp_path: Path, whole: Path, monkeypatch) -> None:
    path, fsync = tmp_path / "run", os.fsync

    def full(descriptor: int) -> None:
        if len(list_checkpoints(path / "checkpoints")) == 2:
            raise OSError(28, "No space left on device")
        fsync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(ModelError, match=f"free some space .*; then resume with: rot180 train --resume {path}"):
            train_run(SETTINGS, out=path, draw=False)
    resume_run(path, draw=False)
    assert weights(path) == weights(whole)


def test_what_is_not_finite_fails_the_run_and_is_never_the_best(tmp_path: Path) -> None:
    path = tmp_path / "run"
    wild = replace(SETTINGS, optimizer="sgd", lr=1e30, schedule="constant")
    with pytest.raises(NonFiniteError, match=r"epoch 1, batch \d of 6, step \d: .* the learning rate is too high"):
        train_run(wild, out=path, draw=False)
    last = list(iterate_records(path / "history.jsonl"))[-1]
    assert last["event"] == "failed"
    assert last["array"] in last["reason"]
    assert f"step {last['step']}: " in last["reason"]
    assert "The training failed: " in (path / "report.html").read_text()
    assert not (path / "best.safetensors").exists()
    assert not (path / "model.safetensors").exists()
    assert all(np.isfinite(w).all() for w in load_run(path).model.parameters.values())


def test_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no config\.toml in it; not a run folder"):
        resume_run(tmp_path)


def test_the_compiled_engine_goes_on_as_well(tmp_path: Path) -> None:
    compiled = replace(SETTINGS, engine="compiled", accumulate=2)
    train_run(compiled, out=tmp_path / "whole", draw=False)
    train_run(compiled, out=tmp_path / "run", subscribers=[StopAt(7)], draw=False)
    resume_run(tmp_path / "run", draw=False)
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")


def test_data_that_were_moved(tmp_path: Path) -> None:
    old, new, path = tmp_path / "old.npz", tmp_path / "new.npz", tmp_path / "my run"
    np.savez(old, images=np.zeros((40, 8, 8), np.uint8), labels=np.arange(40) % 10)
    train_run(replace(SETTINGS, data=str(old), limit=None), out=path, subscribers=[StopAt(1)], draw=False)
    old.rename(new)
    message = f"{old}: the data .* no longer exists; .* new path: rot180 train NEWPATH --resume '{path}'"
    with pytest.raises(DataError, match=message):
        resume_run(path, draw=False)
    with pytest.raises(DataError, match=r"no longer exists; if it was moved, give DATA"):
        own_data(path, load_run(path), None)
    assert resume_run(path, data=str(new), draw=False).history.stopped == "finished"
