"""Networks to serve, and one server for all tests of this folder that leave it as it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from asking import Server, start

import rot180

DIGITS = "8x8x1 > conv3x3:4:same relu maxpool2 > fc24 relu > fc10"
COLORS = "12x12x3 > conv3x3:6 bn relu > conv3x3:8:s2 relu > gap > fc3"
MAPS = "6x6x1 > conv3x3:2:same relu > conv1x1:2"


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the networks in files: digits, colors and maps."""
    found = tmp_path_factory.mktemp("networks")
    data = rot180.load_data("digits")
    digits = rot180.network(DIGITS).build(seed=0)
    rot180.fit(digits, data, epochs=1, optimizer="adam", lr=0.003, engine="numpy")
    rot180.save_model(found / "digits.safetensors", digits)
    colors = rot180.network(COLORS).build(seed=1)
    colors.class_names = ("cat", "dog", "雪")
    rot180.save_model(found / "colors.safetensors", colors)
    rot180.save_model(found / "maps.safetensors", rot180.network(MAPS).build(seed=2))
    return found


@pytest.fixture(scope="session")
def server(folder: Path) -> Iterator[Server]:
    found = start(*(folder / f"{name}.safetensors" for name in ("digits", "colors", "maps")))
    yield found
    assert found.end() == 0
