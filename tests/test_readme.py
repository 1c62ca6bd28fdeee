"""What the README says to type works, and both READMEs say the same."""

from __future__ import annotations

import re
import shlex
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rot180
from pages import ROOT, blocks, links, outline
from rot180.cli import main

ENGLISH, CHINESE = (ROOT / name for name in ("README.md", "README.zh-CN.md"))


def test_both_languages_have_the_same_structure_and_code() -> None:
    assert outline(ENGLISH) == outline(CHINESE)


@pytest.mark.parametrize("path", [ENGLISH, CHINESE], ids=["English", "Chinese"])
def test_links_lead_somewhere(path: Path) -> None:
    for target in links(path):
        assert target.startswith("https://") or (ROOT / target).exists(), target


def test_make_has_every_word_that_the_readme_uses() -> None:
    words = {
        line.split()[1] for block in blocks(ENGLISH, "sh") for line in block.splitlines() if line.startswith("make")
    }
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert words == {"train", "test"}
    assert words <= targets


def test_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    make_files()
    lines = [line for block in blocks(ENGLISH, "sh") for line in block.splitlines() if line.startswith("rot180")]
    assert len(lines) >= 7
    for line in lines:
        arguments = shlex.split(line)[1:]
        if arguments[0] == "train" and "--resume" not in arguments:
            arguments += ["--epochs", "1", "--limit", "200", "--no-pictures"]  # the last word counts
        status = main(arguments)
        assert status == 0, f"{line}: {capsys.readouterr().err}"


def test_python_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks(ENGLISH, "python"):
        exec(compile(block, "README.md", "exec"), names)
    assert np.shape(names["probabilities"]) == (5, 10)


def make_files() -> None:
    """Make what the README's commands name: an image, folders of images and of IDX files, a CSV file."""
    data = rot180.load_data("digits")
    Path("examples").mkdir()
    shutil.copy(ROOT / "examples" / "three.png", "examples")
    rows = [
        f"{label},{','.join(map(str, image.ravel()))}"
        for image, label in zip(data.test_images[:60], data.test_labels[:60], strict=True)
    ]
    Path("my-digits.csv").write_text("\n".join(rows) + "\n")
    colors = np.random.default_rng(1)
    for number in range(12):
        path = Path("photos") / ("cat" if number % 2 else "dog") / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(colors.integers(256, size=(90 + number, 80, 3), dtype=np.uint8)).save(path)
    Path("mnist").mkdir()
    generator = np.random.default_rng(0)
    for part, count in (("train", 64), ("t10k", 16)):
        pixels = generator.integers(256, size=(count, 28, 28), dtype=np.uint8)
        labels = generator.integers(10, size=count, dtype=np.uint8)
        (Path("mnist") / f"{part}-images-idx3-ubyte").write_bytes(
            struct.pack(">iiii", 2051, *pixels.shape) + pixels.tobytes()
        )
        (Path("mnist") / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">ii", 2049, count) + labels.tobytes())
