"""The progress bar: what it says in a terminal, and its silence elsewhere."""

from __future__ import annotations

import importlib.machinery
import io
import sys
import types

import pytest
from rich.console import Console
from rich.jupyter import JupyterRenderable

import rot180
from rot180.training.progress_bar import ProgressBar


def run_with(console: Console) -> None:
    data = rot180.load_data("digits").limit(320)
    model = rot180.network("8x8x1 > fc10")
    rot180.fit(model, data, epochs=2, validation=0.1, subscribers=[ProgressBar(console)])


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
    bar = ProgressBar(Console(file=text, force_terminal=True, color_system=None))
    with pytest.raises(ValueError, match="in between"):
        rot180.fit(rot180.network("8x8x1 > fc10"), data, subscribers=[bar, fail])
    assert text.getvalue().rfind("\x1b[?25h") > text.getvalue().rfind("\x1b[?25l")  # the cursor shows again


@pytest.mark.parametrize("has_widgets", [False, True])
def test_a_notebook_shows_a_line_for_each_epoch_and_a_bar_if_it_can(
    monkeypatch: pytest.MonkeyPatch, has_widgets: bool
) -> None:
    shown, cleared = [], []

    class Output:
        """Stands for a widget of the notebook, in which rich draws the bar anew."""

        def __enter__(self) -> None: ...

        def __exit__(self, *_: object) -> None: ...

        def clear_output(self, wait: bool) -> None:
            cleared.append(wait)

        def close(self) -> None: ...

    def display(*what: object, **_: object) -> None:
        shown.extend(one._repr_mimebundle_((), ())["text/plain"] for one in what if isinstance(one, JupyterRenderable))

    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", types.SimpleNamespace(display=display))
    if has_widgets:
        widgets = types.ModuleType("ipywidgets")
        widgets.Output, widgets.__spec__ = Output, importlib.machinery.ModuleSpec("ipywidgets", None)
        monkeypatch.setitem(sys.modules, "ipywidgets", widgets)
    else:
        monkeypatch.setattr("rot180.training.progress_bar.find_spec", lambda name: None)
    run_with(Console(force_jupyter=True, width=120))
    lines = [text for text in shown if "validation loss" in text]
    assert ["epoch 1/2" in lines[0], "epoch 2/2" in lines[1]] == [True, True]
    assert bool(cleared) == has_widgets
