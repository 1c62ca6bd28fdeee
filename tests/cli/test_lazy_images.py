"""Images larger than memory, from the training to the last command: none of them makes one array of all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rot180.data.lazy import LazyImages
from rot180.data.load import load_data
from rot180.data.options import ImageOptions

Call = Callable[..., Any]


@pytest.fixture(autouse=True)
def _little_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Make a folder of images, `pictures`, here, and let no image fit in memory."""
    generator = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(30):
            pixels = generator.integers(256, size=(12, 12), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    defaults = ImageOptions.__init__.__defaults__
    assert defaults is not None
    lowered = tuple(0 if value == 1024**3 else value for value in defaults)
    monkeypatch.setattr(ImageOptions.__init__, "__defaults__", lowered)
    assert isinstance(load_data("pictures").train_images, LazyImages)


def test_a_set_larger_than_memory_goes_all_the_way(rot180: Call) -> None:
    network = ["--model", "12x12x1 > conv3x3:2 relu > fc2", "--epochs", "1", "--engine", "numpy"]
    trained = rot180("train", "pictures", *network, "--validation", "0.2", "--out", "run")
    assert trained.status == 0, trained.err
    assert Path("run/report.html").is_file()
    assert Path("run/pictures/confusion.png").is_file()
    for command in (
        ("health", "run"),
        ("journey", "run"),
        ("journey", "run", "pictures/cat/1.png"),
        ("explain", "run", "2", "--at", "loss"),
        ("evaluate", "run"),
        ("show", "run"),
        ("data", "inspect", "pictures"),
        ("data", "show", "pictures", "--augment", "flip"),
        ("train", "--resume", "run"),
    ):
        said = rot180(*command)
        assert said.status == 0, (command, said.err)


def test_what_the_sample_of_large_files_misses_is_found_with_verify(rot180: Call) -> None:
    large = Path("pictures/cat/0.png")
    pixels = np.random.default_rng(1).integers(256, size=(128, 128), dtype=np.uint8)
    Image.fromarray(pixels).save(large, format="BMP")  # not compressed: any byte of it may be another one
    large = large.rename(large.with_suffix(".bmp"))
    network = ["--model", "12x12x1 > conv3x3:2 relu > fc2", "--resize", "12", "--engine", "numpy", "--no-pictures"]
    for name, more in (("plain", []), ("verified", ["--verify"])):
        said = rot180("train", "pictures", *network, "--epochs", "1", "--out", name, *more)
        assert said.status == 0, said.err
    data = bytearray(large.read_bytes())
    data[5000] ^= 255  # neither in the first 4 KB, nor in the middle or the last
    large.write_bytes(data)
    resume = ["train", "--no-pictures", "--resume"]
    said = rot180(*resume, "plain")
    assert said.status == 0
    assert (
        "only 12 KB of each large image file were compared with those the run was trained on; start runs with --verify"
        in said.err
    )
    said = rot180(*resume, "plain", "--verify")
    assert (said.status, "every byte of the data was stored when the run started; it is stored now" in said.err) == (
        0,
        True,
    )
    assert rot180(*resume, "plain", "--verify").status == 0
    said = rot180(*resume, "verified")
    assert (said.status, "--verify compares every byte" in said.err) == (0, True)
    said = rot180(*resume, "verified", "--verify")
    assert (said.status, "pictures: the data differ from those the run was trained on" in said.err) == (2, True)
    said = rot180(*resume, "verified", "--verify", "--force")
    assert (said.status, "the data differ from those" in said.err) == (0, True)
