"""The fingerprint of images that are decoded when they are asked for: what it notices, and what it must not."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rot180.data import load_data
from rot180.data.lazy import EncodedImage, LazyImages
from rot180.data.options import ImageOptions


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of four images."""
    for name in ("cat", "dog"):
        (tmp_path / "pets" / "train" / name).mkdir(parents=True)
        for number in range(4):
            pixels = np.random.default_rng([number, *name.encode()]).integers(0, 256, (9, 9), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pets" / "train" / name / f"{number}.bmp")
    return tmp_path / "pets"


def fingerprint(source: Path | str) -> bytes:
    images = load_data(source, ImageOptions(memory=0)).every_image()[0]
    assert isinstance(images, LazyImages)
    return images.fingerprint()


def test_a_fingerprint_is_the_same_by_any_path_and_after_a_move(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = fingerprint(folder)
    monkeypatch.chdir(folder.parent)
    assert fingerprint("pets") == found
    assert fingerprint("./pets/../pets") == found
    monkeypatch.chdir(folder)
    assert fingerprint(".") == found
    shutil.copytree(folder, folder.parent / "moved")
    assert fingerprint(folder.parent / "moved") == found
    (folder / "train" / "cat" / "1.bmp").rename(folder / "train" / "cat" / "new.bmp")
    assert fingerprint(folder) != found


def test_a_fingerprint_of_parquet_is_the_same_by_any_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    contents = [path.read_bytes() for path in sorted(folder.glob("train/*/*.bmp"))]
    (folder.parent / "rows").mkdir()
    parquet.write_table(pyarrow.table({"image": contents, "label": [0, 1] * 4}), folder.parent / "rows" / "a.parquet")
    monkeypatch.chdir(folder.parent)
    assert fingerprint("rows") == fingerprint(folder.parent / "rows")
    assert fingerprint("rows/a.parquet") == fingerprint(folder.parent / "rows" / "a.parquet")


@pytest.mark.parametrize(("size", "at"), [(100, 99), (12288, 9000), (50000, 0), (50000, 25000), (50000, 49999)])
def test_a_fingerprint_notices_other_contents_of_the_same_size(tmp_path: Path, size: int, at: int) -> None:
    path = tmp_path / "any.png"
    content = bytearray(size)

    def found() -> list[bytes]:
        sources = (path, path.read_bytes())
        return [LazyImages([EncodedImage("any", source, 0)], (4, 4, 1)).fingerprint() for source in sources]

    path.write_bytes(content)
    before = found()
    content[at] = 1
    path.write_bytes(content)
    assert before[0] == before[1]
    assert found()[0] == found()[1] != before[0]


def test_a_fingerprint_is_taken_of_files_that_cannot_be_read(tmp_path: Path) -> None:
    def found(path: Path) -> bytes:
        return LazyImages([EncodedImage("any", path, 0)] * 600, (4, 4, 1)).fingerprint()

    (tmp_path / "empty").touch()
    missing = found(tmp_path / "none.png")
    assert missing == found(tmp_path) != found(tmp_path / "empty")  # a folder cannot be read as a file
