"""The history of a run: written by a training, read as it was."""

from __future__ import annotations

import json
import math

import pytest

from rot180.data import load_data
from rot180.errors import ModelError
from rot180.nn.notation import network
from rot180.runs import history_file
from rot180.runs.history_file import HistoryWriter, iterate_records, read_history
from rot180.training.fit import fit


def train(path, **arguments):
    data = load_data().limit(100)
    return fit(
        network("8x8x1 > fc10"), data, batch_size=10, validation=0.2, subscribers=[HistoryWriter(path)], **arguments
    )


def test_a_training_is_read_back(tmp_path):
    path = tmp_path / "history.jsonl"
    history = train(path, epochs=2)
    again = read_history(path)
    assert again == history
    events = [record["event"] for record in iterate_records(path)]
    assert events == ["started", *["step"] * 8, "epoch", *["step"] * 8, "epoch", "ended"]
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_long_epochs_share_lines(tmp_path, monkeypatch):
    monkeypatch.setattr(history_file, "STEPS_PER_EPOCH", 3)
    path = tmp_path / "history.jsonl"
    history = train(path, epochs=1)
    steps = [record for record in iterate_records(path) if record["event"] == "step"]
    assert [step["batch"] for step in steps] == [3, 6, 8]
    assert steps[0]["loss"] == pytest.approx(sum(history.losses[:3]) / 3)
    assert steps[2]["loss"] == pytest.approx(sum(history.losses[6:]) / 2)
    correct = sum(step["accuracy"] * count for step, count in zip(steps, (30, 30, 20), strict=True))
    assert correct / 80 == pytest.approx(history.epochs[0].train_accuracy)


def test_what_is_not_finite_is_null(tmp_path):
    path = tmp_path / "history.jsonl"
    HistoryWriter(path).write("step", loss=math.nan, learning_rate=math.inf, more=[1.0, -math.inf])
    assert path.read_text() == '{"event": "step", "loss": null, "learning_rate": null, "more": [1.0, null]}\n'
    assert math.isnan(read_history(path).losses[0])


def test_a_line_that_was_cut_off_is_left_out(tmp_path):
    path = tmp_path / "history.jsonl"
    assert list(iterate_records(path)) == []
    HistoryWriter(path).write("one")
    with path.open("a") as file:
        file.write('{"event": "tw')
    assert list(iterate_records(path)) == [{"event": "one"}]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("no json", "line 2: expected JSON .*; the file is damaged"),
        ("[1]", "line 2: expected a JSON object"),
        ("[" * 10_000, "line 2: expected JSON .*recursion"),
        ("[" * 100_000, "line 2: expected at most 20,000 values, found 100,000"),
        ("1" * 2_000_000, "line 2: expected at most 1,000,000 bytes, found more"),
        ('{"event": 1}', "line 2: expected a JSON object with 'event'"),
        ('{"event": "step", "loss": 1}', "line 2: learning_rate is missing"),
        ('{"event": "step", "loss": "x", "learning_rate": 1}', "line 2: loss must be a finite number, or null; it is"),
        (
            '{"event": "step", "loss": 1e999, "learning_rate": 1}',
            "line 2: loss must be a finite number, or null; it is inf",
        ),
        ('{"event": "started", "epochs": 1e999}', "line 2: epochs must be a whole number from 0; it is inf"),
        ('{"event": "epoch"}', "line 2: epoch is missing"),
    ],
)
def test_damaged_lines_are_named(tmp_path, line, message):
    path = tmp_path / "history.jsonl"
    HistoryWriter(path).write("one")
    with path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(ModelError, match=message):
        read_history(path)


def test_a_folder_that_is_gone(tmp_path):
    with pytest.raises(ModelError, match=r"history\.jsonl: cannot be written, as its folder is gone; do not move"):
        HistoryWriter(tmp_path / "gone" / "history.jsonl").write("one")
    with pytest.raises(ModelError, match="cannot be read"):
        list(iterate_records(tmp_path))
