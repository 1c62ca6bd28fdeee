"""All ways to convolve are there, agree, and the fastest is marked."""

from __future__ import annotations

import json

import pytest

import rot180
import rot180.inside
from rot180.errors import ArgumentError
from rot180.inside import comparison
from rot180.ops import conv_unfold

pytestmark = pytest.mark.usefixtures("brief_comparisons")


def test_every_way_for_every_convolution() -> None:
    found = rot180.inside.compare(rot180.network("8x8x1 > conv3x3:4:same relu > conv3x3:4:s2 > fc3"), 4)
    ways = {"loops", "im2col", "offsets", "windows"}
    for name in ("winograd", "compiled-winograd"):
        assert {way.layer for way in found.ways if way.name == name} == {"conv1"}
    rule = "only for 3x3 and 5x5 kernels with stride 1, dilation 1 and groups=1"
    assert found.left_out == {"conv2.winograd": rule}
    for layer in ("conv1", "conv2"):
        own = [way for way in found.ways if way.layer == layer]
        assert ways <= {way.name for way in own}
        assert sum(way.fastest for way in own) == 1
        best = next(way for way in own if way.fastest)
        assert all(best.forward + best.backward <= way.forward + way.backward for way in own)
        assert all(0 < way.difference < 1e-5 for way in own)
        assert [way.name for way in own if way.extrapolated] == ["loops"]
        assert all(way.peak_bytes > 0 for way in own)
        memory = {way.name: way.peak_bytes for way in own}
        assert memory["offsets"] < memory["im2col"]
    assert found.words == {"conv1": "conv3x3:4:same", "conv2": "conv3x3:4:s2"}


def test_every_way_to_unfold() -> None:
    found = rot180.inside.compare(rot180.network("8x8x2 > conv3x3:4:same relu > conv3x3:4:s2:g2 > fc3"), 4)
    for layer in ("conv1", "conv2"):
        own = [one for one in found.unfoldings if one.layer == layer]
        assert [one.method for one in own] == ["loops", "indices", "strides"]
        assert all(one.equal and one.seconds > 0 for one in own)
        assert [one.extrapolated for one in own] == [True, False, False]
        assert sum(one.fastest for one in own) == 1
    _, indices, strides = own
    assert indices.peak_bytes > strides.peak_bytes >= 4 * 9 * 4 * 9 * 4  # the matrix, float32
    assert json.loads(json.dumps(found.to_dict()))["unfoldings"][0]["method"] == "loops"


def test_a_way_to_unfold_that_is_wrong_is_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(conv_unfold.METHODS, "indices", lambda x_pad, g, x_col: x_col.fill(0))
    found = rot180.inside.compare(rot180.network("5x5x1 > conv3x3:2 > fc3"), 2)
    assert {one.method: one.equal for one in found.unfoldings} == {"loops": True, "indices": False, "strides": True}


def test_without_kernels_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError("no numba here")

    monkeypatch.setattr(comparison.importlib, "import_module", missing)
    found = rot180.inside.compare(rot180.network("5x5x1 > conv3x3:2 > fc3"), 1)
    assert found.left_out == {"compiled": "the compiled kernels cannot be imported: no numba here"}
    assert not any(way.extrapolated for way in found.ways)


def test_loops_are_left_out_of_large_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "LOOPS", 8)
    found = rot180.inside.compare(rot180.network("5x5x1 > conv3x3:2 > fc3"), 1)
    assert "loops" not in {way.name for way in found.ways}
    assert "loops" not in {one.method for one in found.unfoldings}
    assert found.left_out["conv1.loops"] == "18 windows times filters per image, at most 8"
    assert found.left_out["conv1.unfold.loops"] == "9 windows per image, at most 8"


def test_mistakes_are_explained() -> None:
    with pytest.raises(ArgumentError, match="the network has no convolution"):
        rot180.inside.compare(rot180.network("4x4x1 > fc3"))
    with pytest.raises(ArgumentError, match="batch_size must be an int, at least 1; it is True"):
        rot180.inside.compare(rot180.model("digits"), True)
