"""Checkpoints: whole or not there at all, whatever fails; safe to load from strangers."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rot180.errors import ModelError, NonFiniteError
from rot180.nn.notation import network
from rot180.runs import load_model
from rot180.runs.checkpoint import list_checkpoints, load_checkpoint, load_newest, save_checkpoint
from rot180.training import History, TrainingStarted, capture, fit

CALLS = ("open", "write", "fsync", "mkdir", "rename", "close")
EXTRA = {"note": 1}


def trained(history: History | None = None, **options):
    """A small training that is over, and its state."""
    seen = []
    model = network("4x4x1 > fc5 relu > fc3")
    images = np.random.default_rng(0).integers(0, 255, (12, 4, 4, 1), np.uint8)
    done = fit(
        model,
        (images, np.arange(12) % 3),
        batch_size=4,
        engine="numpy",
        validation=0.25,
        subscribers=[lambda event: seen.append(event) if isinstance(event, TrainingStarted) else None],
        **options,
    )
    at = seen[0]
    return model, capture(at.trainer, at.settings, at.progress, at.images, history or done)


MODEL, STATE = trained(epochs=2, early_stopping=5)


def test_it_comes_back_to_the_bit(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, MODEL, STATE, EXTRA)
    assert path.name == "000001"
    found = load_checkpoint(path)
    assert (found.state.plan, found.state.progress, found.state.generators, found.state.step_count, found.extra) == (
        STATE.plan,
        STATE.progress,
        STATE.generators,
        STATE.step_count,
        EXTRA,
    )
    assert (found.state.history.losses, found.state.history.epochs) == (STATE.history.losses, STATE.history.epochs)
    for part in ("parameters", "optimizer_state", "best_parameters"):
        own, loaded = getattr(STATE, part), getattr(found.state, part)
        assert own.keys() == loaded.keys()
        assert all(own[name].tobytes() == loaded[name].tobytes() for name in own)
    assert load_model(path / "model.safetensors").notation == MODEL.notation


def test_a_loss_that_overflowed_comes_back(tmp_path: Path) -> None:
    first, *others = STATE.history.epochs
    epochs = [replace(first, validation_loss=math.inf, train_loss=math.nan), *others]
    state = replace(STATE, history=replace(STATE.history, epochs=epochs))
    found = load_checkpoint(save_checkpoint(tmp_path, MODEL, state, EXTRA)).state.history.epochs[0]
    assert (found.validation_loss, math.isnan(found.train_loss)) == (math.inf, True)


def test_the_newest_two_are_kept(tmp_path: Path) -> None:
    for _ in range(4):
        save_checkpoint(tmp_path, MODEL, STATE, EXTRA)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["000003", "000004"]


def calls_of_a_checkpoint(monkeypatch: pytest.MonkeyPatch, folder: Path, fail_at: int = 0) -> int:
    """Write a checkpoint while one of its system calls fails, a write after half of it; return how many there are."""
    count = 0

    def counted(name):
        original = getattr(os, name)

        def wrapper(*arguments, **options):
            nonlocal count
            count += 1
            if count != fail_at:
                return original(*arguments, **options)
            if name == "write":
                original(arguments[0], arguments[1][: len(arguments[1]) // 2])
            if name == "close":
                original(*arguments)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))

        return wrapper

    with monkeypatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, counted(name))
        save_checkpoint(folder, MODEL, STATE, {"number": 2})
    return count


def test_a_full_disk_at_every_call_leaves_the_checkpoint_before(tmp_path: Path, monkeypatch) -> None:
    first = tmp_path / "count"
    first.mkdir()
    save_checkpoint(first, MODEL, STATE, {"number": 1})
    total = calls_of_a_checkpoint(monkeypatch, first)
    assert total >= 20  # three files, a folder, a name
    for call in range(1, total + 1):
        folder = tmp_path / str(call)
        folder.mkdir()
        save_checkpoint(folder, MODEL, STATE, {"number": 1})
        with pytest.raises(ModelError, match=r"cannot be (written|read) \(No space left on device\)"):
            calls_of_a_checkpoint(monkeypatch, folder, call)
        found, damaged = load_newest(folder)
        assert damaged == []
        # once it has its name, it is whole: then the new one counts
        assert found.extra["number"] == (1 if call <= total - 2 else 2), call
        assert not [entry for entry in folder.iterdir() if entry.name.startswith(".")]


def test_one_write_after_another(tmp_path: Path, monkeypatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:100]))
    assert load_checkpoint(save_checkpoint(tmp_path, MODEL, STATE, EXTRA)).extra == EXTRA


def test_a_folder_that_is_gone_is_not_made_again(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot be written because its folder does not exist"):
        save_checkpoint(tmp_path / "gone", MODEL, STATE, EXTRA)
    assert not (tmp_path / "gone").exists()


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    model, state = trained()
    model.parameters["fc2.weight"][0, 0] = np.nan
    with pytest.raises(NonFiniteError, match=rf"step {state.step_count}: fc2\.weight is not finite") as caught:
        save_checkpoint(tmp_path, model, state, EXTRA)
    assert caught.value.step == state.step_count - 1  # updates done before, as of every such error
    assert (caught.value.layer, caught.value.array) == ("fc2", "fc2.weight")
    assert list_checkpoints(tmp_path) == []


def test_a_damaged_one_is_passed_over(tmp_path: Path) -> None:
    for number in (1, 2):
        save_checkpoint(tmp_path, MODEL, STATE, {"number": number})
    weights = tmp_path / "000002" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    found, damaged = load_newest(tmp_path)
    assert found.extra == {"number": 1}
    assert "the checksum differs from the one stored with the checkpoint" in damaged[0]
    weights.unlink()
    assert "cannot be read" in load_newest(tmp_path)[1][0]
    with pytest.raises(ModelError, match="no checkpoint found"):
        load_newest(tmp_path / "000001" / "none")


def change(path: Path, **values) -> None:
    """Write other values into state.json, with their checksum."""
    state, sums = path / "state.json", path / "SHA256SUMS"
    before = hashlib.sha256(state.read_bytes()).hexdigest()
    state.write_text(json.dumps({**json.loads(state.read_text()), **values}))
    sums.write_text(sums.read_text().replace(before, hashlib.sha256(state.read_bytes()).hexdigest()))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"format": 3}, "it comes from another version"),
        ({"format": 1}, r"state\.json: sha256 is missing"),
        ({"format": []}, "it comes from another version"),
        (
            {"steps": 10**9},
            r"'history/learning_rates': expected shape \(1000000000,\)|'history/losses': expected shape",
        ),
        ({"steps": -1}, "steps must be a whole number from 0; it is -1"),
        (
            {"plan": {**STATE.plan, "optimizer": {"name": "sgd"}}},
            "arrays must be those of sgd .*unexpected: optimizer/m/",
        ),
        ({"plan": {**STATE.plan, "optimizer": {"name": "evil"}}}, "unknown optimizer 'evil'"),
        ({"plan": {}}, r"plan\.epochs is missing"),
        ({"has_best": False}, "unexpected: best/"),
        ({"progress": {"epoch": "2"}}, r"progress\.epoch must be a whole number from 0; it is '2'"),
        ({"progress": {**STATE.progress, "loss_sum": "1"}}, r"progress\.loss_sum must be a finite number; it is '1'"),
        (
            {"progress": {**STATE.progress, "seconds": 10**400}},
            "seconds must be a finite number; it is a larger number",
        ),
        ({"progress": {**STATE.progress, "elapsed": math.inf}}, "elapsed must be a finite number; it is inf"),
        ({"progress": {**STATE.progress, "step": True}}, "step must be a whole number from 0; it is True"),
        ({"progress": {**STATE.progress, "best_loss": []}}, r"best_loss must be a finite number, or null; it is \[\]"),
        ({"epochs": []}, "the number completed"),
        ({"epochs": [{}, {}]}, r"epochs\[0\]\.epoch is missing"),
        ({"generators": []}, "generators must be a table"),
        ({"generators": {"noise": 7}}, r"generators\.noise must be a table"),
        ({"extra": 7}, "extra must be a table; it is 7"),
    ],
)
def test_a_state_from_a_stranger_is_looked_through(tmp_path: Path, values, message) -> None:
    path = save_checkpoint(tmp_path, MODEL, STATE, EXTRA)
    change(path, **values)
    with pytest.raises(ModelError, match=message):
        load_checkpoint(path)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_drawn_bytes_are_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("drawn")
    path = save_checkpoint(folder, MODEL, STATE, EXTRA)
    content = bytearray((path / "state.json").read_bytes())
    start = data.draw(st.integers(0, len(content) - 1))
    content[start : start + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=40))
    (path / "state.json").write_bytes(content)
    try:
        load_checkpoint(path)
    except ModelError:
        pass


def test_no_digit_of_a_checkpoint_can_change_unnoticed(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, MODEL, STATE, EXTRA)
    rng = np.random.default_rng(0)
    for file in sorted(path.iterdir()):
        content = file.read_bytes()
        digits = [at for at, byte in enumerate(content) if byte in b"0123456789"]
        for at in rng.choice(digits, min(len(digits), 50), replace=False):
            changed = bytearray(content)
            changed[at] = ord("0") + (changed[at] - ord("0") + rng.integers(1, 10)) % 10
            file.write_bytes(changed)
            # A number that begins with 0 is no JSON.
            with pytest.raises(ModelError, match=r"checksum|expected a checkpoint of format 2|expected JSON"):
                load_checkpoint(path)
        file.write_bytes(content)
    load_checkpoint(path)
    (path / "SHA256SUMS").unlink()
    with pytest.raises(ModelError, match="SHA256SUMS: there is no such file"):
        load_checkpoint(path)


def test_a_checkpoint_of_format_1_is_read(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, MODEL, STATE, EXTRA)
    sums = dict(reversed(line.split("  ")) for line in (path / "SHA256SUMS").read_text().splitlines())
    del sums["state.json"]
    change(path, format=1, sha256=sums)
    (path / "SHA256SUMS").unlink()
    assert load_checkpoint(path).state.progress == STATE.progress


def test_a_state_of_gigabytes_is_not_read(tmp_path: Path, monkeypatch) -> None:
    path = save_checkpoint(tmp_path, MODEL, STATE, EXTRA)
    monkeypatch.setattr("rot180.runs.checkpoint.MAX_STATE_BYTES", 100)
    with pytest.raises(ModelError, match="expected at most 100 bytes, found more"):
        load_checkpoint(path)
