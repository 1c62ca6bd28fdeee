"""The progress bar: what it says in a terminal, and its silence elsewhere."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

import rot180
from rot180.cli.progress import ProgressBar


def run_with(console: Console) -> None:
    data = rot180.load_data("digits").limit(320)
    with ProgressBar(console) as bar:
        rot180.fit(rot180.network("8x8x1 > fc10"), data, epochs=2, validation=0.1, subscribers=[bar])


def test_it_says_epoch_speed_loss_accuracy_and_validation() -> None:
    text = io.StringIO()
    run_with(Console(file=text, force_terminal=True, width=120, color_system=None))
    lines = [line for line in text.getvalue().replace("\r", "\n").split("\n") if "validation loss" in line]
    assert len(lines) == 2
    for word in ("epoch 2/2", "loss ", "accuracy ", "images/s"):
        assert word in lines[1]


def test_it_is_silent_where_there_is_no_terminal() -> None:
    text = io.StringIO()
    run_with(Console(file=text))
    assert text.getvalue() == ""


def test_the_terminal_is_put_right_after_an_error() -> None:
    text = io.StringIO()

    def fail(event: object) -> None:
        raise ValueError("in between")

    data = rot180.load_data("digits").limit(32)
    with (
        pytest.raises(ValueError, match="in between"),
        ProgressBar(Console(file=text, force_terminal=True, color_system=None)) as bar,
    ):
        rot180.fit(rot180.network("8x8x1 > fc10"), data, subscribers=[bar, fail])
    assert text.getvalue().rfind("\x1b[?25h") > text.getvalue().rfind("\x1b[?25l")  # the cursor shows again
