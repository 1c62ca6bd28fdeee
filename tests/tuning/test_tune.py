"""Studies: the same for the same seed, however often they are killed, and without a look at test images."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import get_type_hints

import numpy as np
import pytest

pytest.importorskip("optuna", reason="optuna is not installed")

import typer
from typer.testing import CliRunner

import rot180
from rot180.cli.app import app
from rot180.cli.train import train as train_command
from rot180.cli.tune import tune as tune_command
from rot180.cli.tune_output import TuningBar
from rot180.data.augment import parse_augmentation
from rot180.errors import ArgumentError, ModelError
from rot180.nn import MODELS
from rot180.nn.width import widened
from rot180.pictures import trials as draw_trials
from rot180.runs.command import train_options
from rot180.runs.config import read_config
from rot180.runs.lock import RunLock
from rot180.runs.prepare import prepare
from rot180.runs.settings import RunSettings, settings_from
from rot180.tuning import tune as tuning
from rot180.tuning.space import applied, augmentations, searched, space_around
from rot180.tuning.trial import FAILED, FINISHED, PRUNED, Trial, TrialEnded, TrialStarted, best_of
from rot180.tuning.tune import resume_tuning, tune

SMALL = RunSettings(model="8x8x1 > fc16 relu > fc10", epochs=2, limit=200, batch_size=20)
TRIALS = 9
TANH = "8x8x1 > conv5x5:6:same tanh avgpool2 > fc84 tanh > fc10"


def facts(trials):
    """Return trials without what a clock measures."""
    return [replace(trial, seconds=0.0) for trial in trials]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return tune(SMALL, trials=TRIALS, out=tmp_path_factory.mktemp("study") / "study")


@pytest.fixture(scope="module")
def one_trial(tmp_path_factory):
    return tune(SMALL, trials=1, search=["lr"], out=tmp_path_factory.mktemp("study") / "study").folder.path


@pytest.fixture
def short(one_trial, tmp_path):
    """A study of one trial, to be changed and continued."""
    return Path(shutil.copytree(one_trial, tmp_path / "study"))


def test_the_same_seed_gives_the_same_study(study, tmp_path):
    assert study.is_complete
    assert len(study.trials) == TRIALS
    assert {FINISHED, PRUNED} == {trial.state for trial in study.trials}
    again = tune(SMALL, trials=TRIALS, out=tmp_path / "again")
    assert facts(again.trials) == facts(study.trials)
    other = tune(replace(SMALL, seed=1), trials=2, out=tmp_path / "other")
    assert other.trials[1].choice != study.trials[1].choice


def test_the_first_trial_is_an_ordinary_training(study):
    first = study.trials[0]
    assert first.choice == {"lr": 0.001, "weight_decay": 1e-06, "width": 1.0, "augment": "none"}
    model = rot180.network(SMALL.model)
    options = {"lr": 0.001, "weight_decay": 1e-6, "schedule": "cosine", "warmup": 0.05, "batch_size": 20, "epochs": 2}
    history = rot180.fit(model, rot180.load_data("digits").limit(200), validation=0.2, **options)
    assert tuple(epoch.validation_accuracy for epoch in history.epochs) == first.accuracies
    assert study.best.accuracy == max(trial.accuracy or 0 for trial in study.trials) >= first.accuracy


def test_a_study_that_is_killed_anywhere_goes_on_to_the_same_trials(study, tmp_path):
    folder = tmp_path / "study"

    class Killed(BaseException):
        """Ends everything, like a signal that is not caught."""

    started = 0
    rng = np.random.default_rng(0)

    def kill(event):
        nonlocal started
        started += isinstance(event, TrialStarted)
        if rng.random() < 0.05:
            raise Killed

    def go(**options):
        try:
            if (folder / "study.toml").exists():
                return resume_tuning(folder, **options)
            return tune(SMALL, trials=TRIALS, out=folder, **options)
        except Killed:
            with (folder / "journal.jsonl").open("ab") as file:  # an append that was cut off
                file.write(b'{"op_code":')

    ended = 0
    while ended < 6:
        go(subscribers=[kill])
        ended += 1
    found = go()
    assert started > 6
    assert facts(found.trials) == facts(study.trials)
    assert found.command == study.command


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal")
def test_a_process_that_is_killed(study, tmp_path):
    folder = tmp_path / "study"
    settings = ["--model", SMALL.model, "--epochs", "2", "--limit", "200", "--batch-size", "20"]
    command = ["tune", *settings, "--trials", str(TRIALS), "--out", str(folder)]
    code = "from rot180.cli import main; main()"
    process = subprocess.Popen([sys.executable, "-c", code, *command], stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("trial 2/"):
            process.send_signal(signal.SIGSTOP)
            break
    with pytest.raises(ModelError, match=f"is in use by process {process.pid}; wait for it, or stop it"):
        resume_tuning(folder)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    heard = []
    assert facts(resume_tuning(folder, subscribers=[heard.append]).trials) == facts(study.trials)
    assert any(isinstance(event, TrialEnded) for event in heard)


def test_more_trials_continue_a_study_as_if_they_had_been_planned(study, tmp_path):
    few = tune(SMALL, trials=3, out=tmp_path / "study")
    assert facts(few.trials) == facts(study.trials)[:3]
    heard = []
    more = resume_tuning(few.folder.path, trials=TRIALS, subscribers=[heard.append])
    assert facts(more.trials) == facts(study.trials)
    assert [event.trial.number for event in heard if isinstance(event, TrialEnded)] == [4, 5, 6, 7, 8, 9]
    assert resume_tuning(few.folder.path).is_complete
    with pytest.raises(ArgumentError, match="--trials must be at least the 9 that were planned; it is 5"):
        resume_tuning(few.folder.path, trials=5)


def test_a_signal_stops_it(tmp_path):
    def interrupt(event):
        if isinstance(event, TrialStarted) and event.number == 2:
            os.kill(os.getpid(), signal.SIGINT)

    found = tune(SMALL, trials=4, out=tmp_path / "study", subscribers=[interrupt])
    assert not found.is_complete
    assert len(found.trials) <= 2


def test_a_process_that_is_killed_before_its_first_trial_is_asked_for(study, tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tuning.optuna.Study, "ask", killed)
        with pytest.raises(KeyboardInterrupt):
            tune(SMALL, trials=2, out=tmp_path / "study")
    assert facts(resume_tuning(tmp_path / "study").trials) == facts(study.trials)[:2]


def test_which_trials_are_pruned(tmp_path, monkeypatch):
    """After four that have finished, those behind their median, but not before a quarter of the epochs."""
    pruned = []

    def train(settings, dataset, subscribers, falls_behind, on_start):
        accuracy = 0.9 - 0.1 * len(pruned)
        epoch = next((epoch for epoch in range(1, 9) if falls_behind(epoch, accuracy)), None)
        pruned.append(epoch)
        kept = SimpleNamespace(validation_accuracy=accuracy, validation_loss=1.0)
        return SimpleNamespace(stopped="finished" if epoch is None else PRUNED, kept=kept), None

    monkeypatch.setattr(tuning, "train_trial", train)
    found = tune(replace(SMALL, epochs=8), trials=6, search=["lr"], out=tmp_path / "study")
    assert pruned == [None] * 4 + [2, 2]
    assert [trial.state for trial in found.trials] == [FINISHED] * 4 + [PRUNED] * 2


def test_the_best_of_equally_accurate_trials_has_the_lowest_loss():
    def trial(number, accuracy, loss):
        return Trial(number, PRUNED if accuracy is None else FINISHED, {}, (), accuracy, loss, 0.0)

    trials = [trial(1, 0.5, 0.1), trial(2, 0.9, 0.4), trial(3, 0.9, 0.3), trial(4, 0.9, 0.3), trial(5, None, 0.0)]
    assert best_of(trials) == trials[2]
    assert best_of([trials[0], trial(2, 0.5, None)]) == trials[0]
    assert best_of(trials[4:]) is None


def test_what_changed_since_a_study_began_is_told(short):
    path = short / "environment.json"
    known = json.loads(path.read_text())
    path.write_text(json.dumps({**known, "numpy": "0.1"}))
    told = []
    resume_tuning(short, tell=told.append)
    assert told == [f"numpy was 0.1 and is now {np.__version__}"]


def test_the_bar_moves_with_each_batch(tmp_path):
    seen = []
    bar = TuningBar(quiet=True)
    tune(SMALL, trials=2, search=["lr"], out=tmp_path / "study", subscribers=[bar, lambda _: seen.append(bar.done)])
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0, 2)
    assert len(set(seen)) == 1 + 2 * 2 * 8  # trials, epochs, batches


def test_the_picture_shows_the_best_so_far():
    figure = draw_trials([0.5, 0.9, None, 0.7], [FINISHED, FINISHED, FAILED, FINISHED], {"lr": [0.1, 0.2, 9.0, 0.3]})
    lines = {line.get_label(): line.get_ydata() for line in figure.axes[0].get_lines()}
    np.testing.assert_allclose(lines["best so far"], [50, 90, 90, 90])
    np.testing.assert_allclose(lines["failed"], [50])


def write_data(path, test):
    generator = np.random.default_rng(0)
    labels = np.arange(120) % 3
    images = (40 * labels[:, None, None, None] + generator.integers(0, 60, (120, 6, 6, 1))).astype(np.uint8)
    np.savez(path, x_train=images, y_train=labels, x_test=test, y_test=np.arange(len(test)) % 3)


def test_no_test_image_is_looked_at(tmp_path, monkeypatch):
    """Whatever the test images are, the study is the same, and the trainings are not given any."""
    given = []
    real = tuning.train_trial
    monkeypatch.setattr(tuning, "train_trial", lambda *what: given.append(what[1]) or real(*what))
    found = []
    for name, test in (("a", np.zeros((9, 6, 6, 1), np.uint8)), ("b", np.full((30, 6, 6, 1), 255, np.uint8))):
        write_data(tmp_path / f"{name}.npz", test)
        settings = RunSettings(data=str(tmp_path / f"{name}.npz"), model="6x6x1 > fc3", epochs=1)
        found.append(tune(settings, trials=3, out=tmp_path / f"study-{name}"))
    assert facts(found[0].trials) == facts(found[1].trials)
    assert len(given) == 6
    assert all(len(data.test_images) == len(data.test_labels) == 0 for data in given)
    # Other training images are noticed.
    generator = np.random.default_rng(1)
    images = generator.integers(0, 255, (60, 6, 6, 1)).astype(np.uint8)
    np.savez(tmp_path / "a.npz", x_train=images, y_train=np.arange(60) % 3, x_test=images[:9], y_test=np.arange(9) % 3)
    with pytest.raises(ArgumentError, match=r"the data differ from those that the trials of .* were trained on"):
        resume_tuning(tmp_path / "study-a", trials=5)


def test_the_images_to_validate_on_are_the_datas_own_if_there_are_any(tmp_path):
    generator = np.random.default_rng(0)
    images, labels = generator.integers(0, 255, (60, 6, 6, 1)).astype(np.uint8), np.arange(60) % 3
    parts = {"train": slice(30), "val": slice(30, 50), "test": slice(50, None)}
    arrays = {f"x_{part}": images[some] for part, some in parts.items()}
    np.savez(tmp_path / "a.npz", **arrays, **{f"y_{part}": labels[some] for part, some in parts.items()})
    settings = RunSettings(data=str(tmp_path / "a.npz"), model="6x6x1 > fc3", epochs=1)
    found = tune(settings, trials=1, search=["lr"], out=tmp_path / "study")
    assert found.plan.settings.validation is None
    assert "--validation" not in found.command
    shared = tune(replace(settings, validation=0.5), trials=1, search=["lr"], out=tmp_path / "other")
    assert "--validation 0.5" in shared.command


def test_the_command_trains_on_all_images_unless_it_stops_early(study, tmp_path):
    assert "--validation" not in study.command
    found = tune(replace(SMALL, early_stopping=1), trials=1, search=["lr"], out=tmp_path / "study")
    assert "--validation 0.2" in found.command


@pytest.mark.parametrize(
    ("given", "choice"),
    [
        (RunSettings(), {"lr": 0.00123, "weight_decay": 1e-05, "width": 1.0, "augment": "shift:1"}),
        (RunSettings(model=TANH, optimizer="sgd", momentum=0.5, nesterov=True, seed=3), {"lr": 0.5, "width": 0.5}),
        (RunSettings(model="8x8x1 > conv3x3:4:nobias bn relu > fc10", schedule="step"), {"width": 2.0}),
        (RunSettings(recipe="best", class_weights="balanced", decay_bias_and_norm=False), {"augment": "none"}),
    ],
)
def test_the_command_trains_with_the_settings(given, choice, tmp_path):
    data = rot180.load_data("digits").limit(100)
    plan = prepare(replace(given, limit=100, epochs=1, engine="numpy"), dataset=data)  # which has nothing to load
    settings = applied(plan.settings, choice, plan.model.notation)
    options = ["--out", str(tmp_path / "run"), "--no-pictures", "--json"]
    done = CliRunner().invoke(app, ["train", *train_options(settings, data), *options])
    assert done.exit_code == 0, done.output
    config = read_config(tmp_path / "run" / "config.toml")
    assert replace(settings_from(config, tmp_path), data=settings.data) == settings


def test_a_training_that_fails_is_a_trial_like_others(short):
    text = (short / "study.toml").read_text()
    changed = re.sub(r"lr = \[[^\]]*\]", "lr = [1e30, 1e31]", text)
    assert changed != text
    (short / "study.toml").write_text(changed)
    found = resume_tuning(short, trials=3)
    assert [trial.state for trial in found.trials] == [FINISHED, FAILED, FAILED]
    assert "the learning rate is too high" in found.trials[1].reason
    assert found.best.number == 1


def test_every_named_model_is_made_wider_and_narrower():
    for name in MODELS:
        model = rot180.model(name)
        narrow, same, wide = (widened(model, factor) for factor in (0.5, 1.0, 2.0))
        assert str(same) == str(model)
        assert narrow.summary().parameters < model.summary().parameters < wide.summary().parameters
        assert narrow.output_shape == wide.output_shape == model.output_shape
        assert not model.is_built
    fixed = rot180.network("6x6x4 > ( conv3x3:4:same + skip ) relu > fc3")
    with pytest.raises(ArgumentError, match=r"the network cannot have 2 times as many channels: .*add1"):
        widened(fixed, 2.0)
    grouped = rot180.network("6x6x4 > conv3x3:6:g2 shuffle2 slice4:from2 > conv1x1:5 gap > fc3")
    assert str(widened(grouped, 0.5)) == "6x6x4 > conv3x3:4:g2 shuffle2 slice2:from1 > conv1x1:2 gap > fc3"
    last = rot180.network("6x6x3 > conv3x3:8 relu conv1x1:4 gap")
    assert str(widened(last, 2.0)) == "6x6x3 > conv3x3:16 relu > conv1x1:4 gap"


def test_what_is_searched():
    with pytest.raises(ArgumentError, match="cannot search 'rate'; known: augment, lr, weight-decay, width"):
        searched(RunSettings(), ["rate"])
    with pytest.raises(ArgumentError, match="lr is both given and to be searched; leave out --lr"):
        searched(RunSettings(lr=0.1), ["lr", "width"])
    with pytest.raises(ArgumentError, match="nothing is left to search"):
        searched(RunSettings(lr=0.1), [])
    digits = rot180.load_data("digits")
    prepared = prepare(RunSettings(optimizer="adamw"), dataset=digits)
    space = space_around(prepared, ["lr", "weight_decay", "augment"])
    assert (space.weight_decay, space.width) == ((1e-4, 0.1), None)
    images = np.zeros((4, 32, 32, 3), np.uint8)
    for names in (("cat", "dog"), ("0", "1"), ("a", "b")):
        data = rot180.Dataset("some", images, np.arange(4) % 2, images[:0], np.arange(0), names)
        assert all(parse_augmentation(text) or text == "none" for text in augmentations(data))
    rigid = RunSettings(model="8x8x1 > ( conv3x3:1:same + skip ) relu > fc10")
    with pytest.raises(ArgumentError, match="cannot have 2 times as many channels"):
        space_around(prepare(rigid, dataset=digits), ["width"])


def test_what_is_refused(tmp_path, study):
    with pytest.raises(ArgumentError, match="trials must be at least 1; it is 0"):
        tune(SMALL, trials=0)
    with pytest.raises(ArgumentError, match="tune trains networks from the start; leave out --from"):
        tune(RunSettings(source="resnet18"))
    with pytest.raises(ArgumentError, match="already exists; choose another --out, or give --resume"):
        tune(SMALL, trials=1, out=study.folder.path)
    with pytest.raises(ModelError, match=r"no study\.toml in it; give the folder of a study"):
        resume_tuning(tmp_path)
    for name in ("study.toml", "environment.json"):
        shutil.copy(study.folder.path / name, tmp_path)
    with pytest.raises(ModelError, match=r"journal\.jsonl: cannot be opened or written"):
        resume_tuning(tmp_path)
    lock = RunLock(study.folder.path)
    with pytest.raises(ModelError, match=f"is in use by process {os.getpid()}; wait for it, or stop it"):
        resume_tuning(study.folder.path)
    lock.release()


def test_settings_that_cannot_be_trained_leave_no_study(tmp_path):
    for wrong, message in (
        (replace(SMALL, validation=1.5), "validation must be a share above 0 and below 1"),
        (replace(SMALL, model="8x8x1 > fc2"), "labels must be from 0 to 1"),
    ):
        with pytest.raises(ArgumentError, match=message):
            tune(wrong, trials=1, out=tmp_path / "study")
        assert not list(tmp_path.iterdir())


def test_every_setting_of_a_training_is_an_option():
    """Other options are those of `rot180 train`, with the same types and defaults."""
    own, trains = map(get_type_hints, (tune_command, train_command))
    names = {field.name for field in fields(RunSettings)} - {"lr", "source"} | {"learning_rate"}
    assert names - set(own) == {"freeze", "shards", "sync_batch_norm"}
    options = typer.main.get_command(app).commands
    given_by, expected_by = ({each.name: each for each in options[name].params} for name in ("tune", "train"))
    for name in names & set(own):
        assert own[name] == trains[name]
        given, expected = given_by[name], expected_by[name]
        assert (given.opts, given.secondary_opts) == (expected.opts, expected.secondary_opts)
        assert given.default == expected.default


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[tuning]", "[tunings]", "trials is missing"),
        ('network = "8x8x1 > fc16', 'network = "8x8x1 > fc15', "the network of the study is '8x8x1 > fc15 relu"),
        ("network", "networks", r"no table \[tuning\] in it"),
        ("trials = 1", "trials = -1", "tuning.trials|trials must be a whole number"),
        ("trials = 1", "trials = 0", "trials must be at least 1"),
        ("lr = [", "lr = [0.0,", "lr must be searched between two numbers above 0"),
        ("lr = [", 'lr = ["a",', "must be a finite number"),
        ("lr = [", "other = [", "expected numbers or names to search"),
    ],
)
def test_studies_of_strangers(short, old, new, message):
    text = (short / "study.toml").read_text()
    assert old in text
    (short / "study.toml").write_text(text.replace(old, new))
    with pytest.raises(ModelError, match=message):
        resume_tuning(short)


@pytest.mark.parametrize(
    "content",
    [
        b"{}\n",
        b"[]\n",
        b"no JSON\n",
        b'{"op_code": 99}\n',
        b'{"op_code": 0, "worker_id": 1}\n',
        b'{"op_code": 4, "trial_id": 7}\n',
        b"[" * 50_000 + b"\n",
    ],
)
def test_journals_of_strangers(tmp_path, study, content):
    path = tmp_path / "study"
    path.mkdir()
    for name in ("study.toml", "environment.json"):
        (path / name).write_bytes((study.folder.path / name).read_bytes())
    (path / "journal.jsonl").write_bytes(content)
    with pytest.raises(ModelError, match=r"journal\.jsonl: "):
        resume_tuning(path)


@pytest.mark.parametrize(
    ("old", "new"), [('"lr":0', '"rate":0'), ('"lr":0', '"lr":"a","x":0'), ('"seconds"', '"hours"')]
)
def test_trials_of_strangers(short, old, new):
    text = (short / "journal.jsonl").read_text()
    at = text.index("user_attr")
    assert old in text[at:]
    (short / "journal.jsonl").write_text(text[:at] + text[at:].replace(old, new))
    with pytest.raises(ModelError, match="the journal cannot be read"):
        resume_tuning(short)


def test_on_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = ["--model", SMALL.model, "--epochs", "1", "--limit", "100", "--warmup", "2", "--search", "lr, width"]
    done = CliRunner().invoke(app, ["tune", *settings, "--trials", "2", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["study"] == "studies/digits-001"
    assert [trial["number"] for trial in found["trials"]] == [1, 2]
    assert re.match(r"rot180 train digits --model .* --warmup 2 --limit 100$", found["command"])
    assert (tmp_path / found["picture"]).stat().st_size > 1000
    told = CliRunner().invoke(app, ["tune", "--resume", "studies/digits-001", "--trials", "3", "--no-picture"])
    assert told.exit_code == 0, told.output
    assert re.search(r"^trial 3/3: .*learning rate .*, width ", told.stdout, re.MULTILINE)
    assert re.search(r"^  rot180 train digits --model ", told.stdout, re.MULTILINE)
    assert "no test image is used" in told.stdout
    for given, name in ((["--epochs", "3"], "--epochs"), (["digits"], "DATA"), (["-b", "9"], "--batch-size")):
        done = CliRunner().invoke(app, ["tune", "--resume", "studies/digits-001", *given])
        assert f"--resume keeps the settings of the study; leave {name} out" in str(done.exception)
