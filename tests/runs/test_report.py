"""The page of a run, its event files, and runs side by side."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from rot180.cli.train_output import result
from rot180.errors import ArgumentError, ModelError
from rot180.runs import load_run
from rot180.runs.lock import RunLock
from rot180.runs.overview import list_runs, setting_differences, summarize_run
from rot180.runs.report import write_report
from rot180.runs.resume import resume_run
from rot180.runs.tensorboard import TensorBoardWriter
from rot180.runs.train_run import RunSettings, train_run
from rot180.training import StepDone, TrainingStarted

SETTINGS = RunSettings(
    model="8x8x1 > conv3x3:2 relu maxpool2 > fc10", epochs=2, limit=100, validation=0.2, engine="numpy"
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "a <b> & c"
    train_run(SETTINGS, out=path, examine=lambda *of: ["<b>dead units</b>"], command="rot180 train --epochs 2")
    return path


class Page(HTMLParser):
    """What a page holds; complains about elements that are not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        self.text += data + " "


def test_the_page_shows_everything_and_needs_nothing(run: Path) -> None:
    text = (run / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    for heading in ("Worst mistakes", "Kernels", "Feature maps", "Health", "Classes", "Network", "Epochs"):
        assert heading in page.text
    for said in (
        " of 362 images",
        "validation loss",
        "numpy",
        "8x8x1 > conv3x3:2",
        "multiply-adds",
        "seed",
        "<b>dead units</b>",
        "recall",
    ):
        assert said in page.text
    assert "a <b> & c" in page.text  # and not as an element
    assert "rot180 train --epochs 2" in page.text
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", page.text)
    pictures = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(pictures) >= 5
    assert all(picture["src"].startswith("data:image/png;base64,") for picture in pictures)
    assert [picture["alt"] for picture in pictures][:2] == ["Loss and accuracy", "Confusion matrix"]
    tags = [tag for tag, _ in page.tags]
    assert tags.count("main") == tags.count("h1") == 1
    assert {"lang": "en"} in [attributes for tag, attributes in page.tags if tag == "html"]
    assert all("scope" in attributes for tag, attributes in page.tags if tag == "th")
    assert not {"script", "link", "iframe"} & {tag for tag, _ in page.tags}
    assert "http" not in re.sub(r'content="[^"]*"|http-equiv', "", re.sub('base64,[^"]*', "", text))


def test_the_page_of_a_damaged_run(run: Path, tmp_path: Path) -> None:
    loaded = load_run(run)
    assert loaded.folder is not None
    copy = type(loaded.folder)(tmp_path)
    copy.write_config({"network": "<script>"})
    write_report(copy, loaded.model)
    assert "&lt;script&gt;" in copy.report_path.read_text()
    copy.history_path.write_text("nonsense\n")
    with pytest.raises(ModelError, match="line 1: expected JSON"):
        write_report(copy, loaded.model)


def test_runs_side_by_side(run: Path, tmp_path: Path) -> None:
    def stop(event) -> None:
        if isinstance(event, StepDone):
            started[0].trainer.stop("interrupted")
        elif isinstance(event, TrainingStarted):
            started.append(event)

    started: list[TrainingStarted] = []
    train_run(replace(SETTINGS, seed=1, epochs=3), out=tmp_path / "two", subscribers=[stop], draw=False)
    (tmp_path / "no run").mkdir()
    assert list_runs(tmp_path) == [tmp_path / "two"]
    assert list_runs(run) == [run]
    whole, part = summarize_run(run), summarize_run(tmp_path / "two")
    assert (whole.status, whole.epochs, whole.planned) == ("finished", 2, 2)
    assert whole.validation_loss == min(load_run(run).history.column("validation_loss"))
    assert whole.test_accuracy is not None
    assert (part.status, part.epochs, part.planned, part.test_accuracy) == ("interrupted", 0, 3, None)
    assert setting_differences([whole, part]) == {"epochs": [2, 3], "seed": [0, 1]}
    with pytest.raises(ModelError, match="give a folder of runs"):
        list_runs(tmp_path / "none")


def test_an_interrupted_run_has_a_report_and_a_killed_one_gets_it_from_show(tmp_path: Path, monkeypatch) -> None:
    from rot180.cli import main

    def stop(event) -> None:
        if isinstance(event, TrainingStarted):
            seen.append(event)
        elif isinstance(event, StepDone) and event.epoch == 2:
            seen[0].trainer.stop("interrupted")

    seen: list[TrainingStarted] = []
    path = tmp_path / "run"
    train_run(SETTINGS, out=path, subscribers=[stop], draw=False)
    assert "The training was interrupted in epoch 2" in (path / "report.html").read_text()
    assert "Kernels" not in (path / "report.html").read_text()
    for name in ("report.html", "model.safetensors"):  # as a killed training leaves it
        (path / name).unlink()
    drawn: list[Path] = []

    def draw(folder: Path, *_, **__) -> list[Path]:
        (folder / "kernels-conv1.png").write_bytes(b"a picture")
        drawn.append(folder / "kernels-conv1.png")
        return drawn

    monkeypatch.setattr("rot180.runs.train_run.draw_run", draw)
    assert main(["show", str(path)]) == 0
    assert drawn
    assert "Kernels" in (path / "report.html").read_text()


def test_links_among_runs_are_not_listed(run: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(run)
    assert list_runs(tmp_path) == []
    assert list_runs(tmp_path / "link") == [tmp_path / "link"]  # named by the user


def test_a_run_is_running_while_a_process_holds_it(run: Path, tmp_path: Path) -> None:
    history = run / "history.jsonl"
    content = history.read_bytes()
    history.write_bytes(content[: content.index(b'{"event": "ended"')])
    try:
        assert summarize_run(run).status == "interrupted"  # its process is gone
        lock = RunLock(run)
        assert summarize_run(run).status == "running"
        lock.release()
    finally:
        history.write_bytes(content)


def scalars(folder: Path) -> dict[str, list[int]]:
    """Return the steps of each curve in the event files of a folder."""
    from tensorboardX.proto.event_pb2 import Event

    found: dict[str, list[int]] = {}
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        while data:
            length = int.from_bytes(data[:8], "little")
            event = Event.FromString(data[12 : 12 + length])
            data = data[16 + length :]
            for value in event.summary.value:
                found.setdefault(value.tag, []).append(event.step)
    return found


def test_event_files_go_on_when_the_run_does(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    seen = []

    def stop(event) -> None:
        if isinstance(event, TrainingStarted):
            seen.append(event.trainer)
        if isinstance(event, StepDone) and event.epoch == 2:
            seen[0].stop("interrupted")

    train_run(SETTINGS, out=tmp_path / "run", subscribers=[stop], draw=False, tensorboard=True)
    resume_run(tmp_path / "run", draw=False, tensorboard=True)
    found = scalars(tmp_path / "run" / "tensorboard")
    assert found["step/loss"] == found["step/learning_rate"] == [1, 2, 3, 4, 5, 6]
    assert found["train/accuracy"] == found["validation/loss"] == [3, 6]


def test_event_files_need_their_package(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tensorboardX", None)
    with pytest.raises(ArgumentError, match=r"pip install 'rot180\[tensorboard\]'"):
        train_run(SETTINGS, out=tmp_path / "run", tensorboard=True)
    with pytest.raises(ArgumentError, match="needs a package"):
        TensorBoardWriter(lambda: tmp_path)
    assert not (tmp_path / "run").exists()


def test_after_early_stopping_all_speak_of_the_epoch_that_was_kept(tmp_path: Path) -> None:
    settings = replace(SETTINGS, epochs=30, early_stopping=1, lr=0.05)
    trained = train_run(settings, out=tmp_path / "run", draw=False)
    history = trained.history
    kept = history.kept
    assert history.stopped == "early_stopping"
    assert kept is not None
    assert kept.epoch == history.restored_epoch < len(history.epochs)
    assert kept.validation_loss == min(history.column("validation_loss"))
    page = Page((tmp_path / "run" / "report.html").read_text(encoding="utf-8"))
    assert f"stopped early; weights of epoch {kept.epoch}" in page.text
    assert f"{100 * kept.validation_accuracy:.2f}%" in page.text
    assert result(trained)["train_loss"] == kept.train_loss
    assert result(trained)["kept_epoch"] == kept.epoch
