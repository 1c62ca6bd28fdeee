"""A test image keeps the name of its file, so that one with a wrong label can be found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rot180 import load_data
from rot180.data.options import ImageOptions


def folder_of_images(root: Path, *parts: str) -> None:
    """Write images that differ, each with its number in its first pixel."""
    number = 0
    for part in parts:
        for name in ("cat", "dog"):
            (root / part / name).mkdir(parents=True)
            for index in range(10):
                pixels = np.full((4, 4), 9 * number // 4, np.uint8)
                pixels[0, 0] = number
                Image.fromarray(pixels).save(root / part / name / f"{index}.png")
                number += 1


@pytest.mark.parametrize("parts", [("",), ("train", "test")])
@pytest.mark.parametrize("memory", [10**9, 0])
def test_names_belong_to_their_images(tmp_path: Path, parts: tuple[str, ...], memory: int) -> None:
    folder_of_images(tmp_path, *parts)
    data = load_data(tmp_path, options=ImageOptions(memory=memory))
    assert len(data.test_names) == len(data.test_images) > 0
    for image, name in zip(data.test_images[:], data.test_names, strict=True):
        found = next(path for path in tmp_path.rglob("*.png") if path.as_posix().endswith(name))
        np.testing.assert_array_equal(image[..., 0], np.asarray(Image.open(found)))


def test_arrays_have_no_names() -> None:
    assert load_data("digits").test_names == ()
