"""Bad input: one clear line, the exit status, and nothing written."""

from __future__ import annotations

import gzip
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Call = Callable[..., Any]

PIXELS = ",".join(["7"] * 64)


def write_idx(folder: Path, *, images: int = 20, labels: int = 20, magic: int = 2051, cut: int = 0) -> None:
    """Write four IDX files of 8 x 8 images, with the faults asked for in the training images."""
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(256, size=(images, 8, 8), dtype=np.uint8).tobytes()
    body = struct.pack(">iiii", magic, images, 8, 8) + pixels
    (folder / "train-images-idx3-ubyte").write_bytes(body[: len(body) - cut])
    (folder / "train-labels-idx1-ubyte").write_bytes(struct.pack(">ii", 2049, labels) + bytes(labels))
    (folder / "t10k-images-idx3-ubyte.gz").write_bytes(
        gzip.compress(struct.pack(">iiii", 2051, 5, 8, 8) + bytes(5 * 64))
    )
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(struct.pack(">ii", 2049, 5) + bytes(5)))


def make(folder: Path, what: str) -> Path:
    """Make the data with this fault and return its path."""
    path = folder / "data"
    if what.startswith("idx"):
        faults: dict[str, dict[str, int]] = {
            "idx truncated": {"cut": 100},
            "idx magic": {"magic": 9999},
            "idx counts": {"labels": 19},
        }
        write_idx(path, **faults[what])
        return path
    path = path.with_suffix(".csv")
    rows = [f"{label % 10},{PIXELS}" for label in range(30)]
    rows[7] = {
        "csv short": "1,2,3",
        "csv text": rows[7].replace(",7", ",seven", 1),
        "csv 300": rows[7].replace(",7", ",300", 1),
    }[what]
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("idx truncated", r"train-images-idx3-ubyte.*1280"),
        ("idx magic", r"train-images-idx3-ubyte.*magic number"),
        ("idx counts", r"20.*19"),
        ("csv short", r"data\.csv.*8"),
        ("csv text", r"data\.csv.*8.*seven"),
        ("csv 300", r"the training images are integers from 0 to 1023; these are uint16 from 0 to"),
    ],
)
def test_bad_data_is_named_and_leaves_no_run(rot180: Call, tmp_path: Path, what: str, says: str) -> None:
    said = rot180("train", make(tmp_path, what), "--out", tmp_path / "run", "--model", "8x8x1 > fc10", "--json")
    assert_refused(said, says)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--model", "lenet"], r"unknown model 'lenet'; did you mean 'lenet5'\?"),
        (["--model", "lenet5"], r"28x28x1 but digits has 8x8x1; choose another --model"),
        (
            ["--optimizer", "adam", "--momentum", "0.9"],
            "--momentum is for the optimizer sgd, but it is adam; add --opt",
        ),
        (["--early-stopping", "3"], "--early-stopping watches the validation loss; add --validation 0.1"),
        (["--optimizer", "adma"], r"unknown optimizer 'adma'; did you mean 'adam'\?"),
        (["--schedule", "cosin"], r"unknown schedule 'cosin'; did you mean 'cosine'\?"),
        (["--normalize", "scales"], r"unknown normalization 'scales'; did you mean 'scale'\?"),
        (["--engine", "nmpy"], r"unknown engine 'nmpy'; did you mean 'numpy'\?"),
        (["--epochs", "0"], r"epochs"),
        (["--batch-size", "-1"], r"batch_size"),
        (["--limit", "0"], r"limit"),
        (["--validation", "1.5"], r"validation"),
        (["--warmup", "100000"], r"warmup"),
        (["--epochs", "many"], r"--epochs.*: it must be a whole number \(see rot180 train --help\)"),
        (["--epoch", "3"], r"--epoch"),
        (["nowhere"], r"nowhere"),
        ([""], r"no data set or path ''"),
        (["a", "b"], r"b"),
    ],
)
def test_bad_arguments_are_refused_before_a_folder_is_made(
    rot180: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_refused(rot180("train", *arguments), says)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("notation", "at", "says"),
    [
        ("8x8x1 > cnv3x3:8 relu > fc10", "cnv3x3", r"'cnv3x3:8'.*did you mean"),
        ("3x3x1 > conv5x5:4 > fc10", "conv5x5", r"conv1: the window is 5 pixels high.*only 3"),
    ],
    ids=["typing error", "kernel larger than its image"],
)
def test_a_mistake_in_the_notation_is_shown_with_a_caret(
    rot180: Call, tmp_path: Path, notation: str, at: str, says: str
) -> None:
    said = rot180("train", "--model", notation, "--out", tmp_path / "run")
    first, text, caret, *_ = said.err.splitlines()
    assert (said.status, said.out) == (2, "")
    assert re.match(f"rot180: notation: .*{says}", first)
    assert text[caret.index("^") :].startswith(at)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("kind", ["run", "file", "link"])
def test_nothing_is_written_over(rot180: Call, tmp_path: Path, kind: str) -> None:
    out = tmp_path / "run"
    if kind == "run":
        out.mkdir()
        (out / "model.safetensors").write_text("precious")
    elif kind == "file":
        out.write_text("precious")
    else:
        out.symlink_to(tmp_path / "nowhere")
    before = sorted(path.name for path in tmp_path.rglob("*"))
    assert_refused(rot180("train", "--out", out), r"already exists")
    assert sorted(path.name for path in tmp_path.rglob("*")) == before
    if kind == "run":
        assert (out / "model.safetensors").read_text() == "precious"


def test_an_image_that_is_none(rot180: Call, trained: Path, tmp_path: Path) -> None:
    path = tmp_path / "note.png"
    path.write_text("not a picture")
    assert_refused(rot180("predict", trained, path, "--json"), r"note\.png: expected an image")
    assert_refused(rot180("predict", trained, tmp_path / "missing.png"), r"missing\.png")
    assert_refused(rot180("predict", trained), r"IMAGE")


def test_a_run_that_is_none(rot180: Call, tmp_path: Path) -> None:
    for command in (["evaluate"], ["predict", "x.png"], ["show"]):
        assert_refused(rot180(command[0], tmp_path / "gone", *command[1:]), r"no such run")
    assert_refused(rot180("evaluate", tmp_path), r"config\.toml")


def test_data_of_another_size_than_the_networks(rot180: Call, trained: Path, tmp_path: Path) -> None:
    path = tmp_path / "small.csv"
    path.write_text("".join(f"{label % 10},{','.join(['9'] * 16)}\n" for label in range(20)))
    assert_refused(rot180("evaluate", trained, path), r"8, 8, 1.*4, 4, 1")


def test_an_empty_path_is_not_the_current_folder(
    rot180: Call, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = "".join(f"{label % 10},{PIXELS}\n" for label in range(20))
    (tmp_path / "here.csv").write_text(rows)
    monkeypatch.chdir(tmp_path)
    for command in (["train"], ["data", "inspect"], ["data", "show"], ["evaluate", trained]):
        assert_refused(rot180(*command, ""), r"there is no data set or path ''; known: cifar10, digits")
    assert_refused(rot180("predict", trained, ""), r"cannot be read")
    assert [path.name for path in tmp_path.iterdir()] == ["here.csv"]


def test_show_refuses_images_that_are_not_there(rot180: Call, trained: Path) -> None:
    assert_refused(rot180("show", trained, "--image", "99999"), r"no image 99999")


def test_a_fault_of_ours_is_one_line_and_says_how_to_see_more(
    rot180: Call, monkeypatch: pytest.MonkeyPatch, trained: Path
) -> None:
    def broken(*arguments: object, **more: object) -> None:
        raise ZeroDivisionError("a\nb")

    monkeypatch.setattr("rot180.training.evaluate", broken)
    said = rot180("evaluate", trained)
    assert said.status == 1
    assert said.err == (
        "rot180: a bug in this program, not your mistake: ZeroDivisionError: a b; "
        "ROT180_TRACEBACK=1 in the environment prints the traceback\n"
    )
    monkeypatch.setenv("ROT180_TRACEBACK", "1")
    assert "Traceback" in rot180("evaluate", trained).err


def test_a_folder_that_cannot_be_made(rot180: Call, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = rot180("train", "--limit", 50, "--epochs", 1, "--model", "8x8x1 > fc10", "--out", tmp_path / "file" / "run")
    assert_refused(said, r"cannot be created")


def assert_refused(said: Any, says: str) -> None:
    """Check that there is one line on stderr, that it says this, and nothing on stdout."""
    assert said.status == 2, said
    assert said.out == ""
    assert re.fullmatch(r"rot180: [^\n]+\n", said.err), said.err
    assert re.search(says, said.err), said.err
