"""Pictures: what they say in words, the scales they use, and the bytes they leave."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure

from rot180.pictures import (
    confusion_matrix,
    contact_sheet,
    curves,
    feature_maps,
    kernels,
    mistakes,
    save_figure,
    worst_mistakes,
)
from rot180.pictures.explain import Panel, ledger_picture
from rot180.pictures.mosaic import color_scale, mosaic


def test_mosaic_keeps_every_tile_in_row_order() -> None:
    tiles = np.arange(5 * 2 * 3, dtype=float).reshape(5, 2, 3)
    sheet = mosaic(tiles, columns=2)
    assert sheet.shape == (3 * 2 + 2, 2 * 3 + 1)
    np.testing.assert_array_equal(sheet[3:5, 4:7], tiles[3])
    assert np.isnan(sheet[6:8, 4:7]).all()
    assert np.isfinite(sheet).sum() == tiles.size


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([-1.0, 3.0], ("RdBu_r", -3.0, 3.0)),
        ([0.0, 3.0], ("cividis", 0.0, 3.0)),
        ([0.0, 0.0], ("cividis", 0.0, 1.0)),
        ([np.nan, np.inf, -2.0], ("RdBu_r", -2.0, 2.0)),
        ([], ("cividis", 0.0, 1.0)),
    ],
)
def test_signed_values_share_one_scale_with_zero_in_the_middle(
    values: list[float], expected: tuple[str, float, float]
) -> None:
    name, norm = color_scale(values)
    assert (name, norm.vmin, norm.vmax) == expected


def test_kernels_say_what_is_left_out_and_scale_over_all_of_them() -> None:
    weight = np.zeros((3, 3, 20, 40))
    weight[0, 0, 19, 39] = -7.0  # not among those shown
    axes = kernels(weight, "conv2").axes[0]
    title = axes.get_title(loc="left")
    assert "40 filters, 20 input channels" in title
    assert "the first 16 filters, the first 16 channels" in title
    norm = axes.get_images()[0].norm
    assert (norm.vmin, norm.vmax) == (-7.0, 7.0)


def test_kernels_of_one_channel_say_how_many_of_how_many() -> None:
    title = kernels(np.ones((5, 3, 1, 300))).axes[0].get_title(loc="left")
    assert title == "the first 128 of 300 kernels of 5 x 3"


def test_every_layer_has_its_row_and_class_names_stand_under_the_last() -> None:
    figure = feature_maps(
        np.zeros((8, 6, 3), np.uint8),
        [("conv1", -np.ones((8, 6, 30))), ("relu1", np.ones((8, 6, 30))), ("fc1", np.arange(2.0))],
        limit=4,
        class_names=["cat", "dog"],
    )
    rows = [axes for axes in figure.axes if axes.get_ylabel()]
    assert [axes.get_ylabel().split("\n")[0] for axes in rows] == ["image", "conv1", "relu1", "fc1"]
    assert "(first 4)" in rows[1].get_ylabel()
    assert [axes.get_images()[0].get_cmap().name for axes in rows[1:]] == ["RdBu_r", "cividis", "cividis"]
    assert [label.get_text() for label in rows[3].get_xticklabels()] == ["cat", "dog"]


def test_confusion_counts_and_names() -> None:
    axes = confusion_matrix([[5, 0, 2], [0, 6, 0], [0, 1, 6]], ["ape", "bee", "cow"]).axes[0]
    assert axes.get_title(loc="left") == "17 of 20 right (85.00%), 3 mistakes"
    written = {(int(text.get_position()[1]), int(text.get_position()[0])): text.get_text() for text in axes.texts}
    assert written == {(0, 0): "5", (0, 2): "2", (1, 1): "6", (2, 1): "1", (2, 2): "6"}


def test_worst_mistakes_are_wrong_and_ordered() -> None:
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet(np.ones(4), size=50)
    labels = generator.integers(4, size=50)
    chosen = worst_mistakes(labels, probabilities, limit=10)
    of_truth = probabilities[chosen, labels[chosen]]
    assert (probabilities[chosen].argmax(axis=1) != labels[chosen]).all()
    assert (np.diff(of_truth) >= 0).all()


def test_no_mistakes_is_said_so() -> None:
    figure = mistakes(np.zeros((3, 4, 4, 1)), [0, 1, 0], np.eye(2)[[0, 1, 0]])
    assert figure.texts[0].get_text() == "no mistakes among 3 images"


def test_curves_draw_what_is_known_and_leave_out_what_is_not() -> None:
    nan = float("nan")
    figure = curves(
        {"train": [1.0, 0.5], "test": [nan, nan]},
        {"train": [0.5, 0.9], "test": [nan, 0.8]},
        step_loss=np.geomspace(2.0, 0.01, 100).tolist(),
    )
    loss, accuracy = figure.axes
    assert loss.get_yscale() == "log"
    assert [text.get_text() for text in loss.get_legend().get_texts()] == ["each step", "mean of 10 steps", "train"]
    assert [text.get_text() for text in accuracy.get_legend().get_texts()] == ["train", "test 80"]
    assert accuracy.get_ylim()[0] < 50


def test_curves_of_nothing_is_a_picture() -> None:
    assert len(curves({}, {}).axes) == 2


def test_the_same_picture_is_the_same_bytes(tmp_path: Path) -> None:
    names = ["$cat", "\u732b", "a very long class name"]  # neither mathematics nor a missing font may end a run
    first = save_figure(confusion_matrix(np.eye(3, dtype=int) * 5, names), tmp_path / "a" / "conv1.weight")
    second = save_figure(confusion_matrix(np.eye(3, dtype=int) * 5, names), tmp_path / "b" / "conv1.weight")
    assert [path.name for path in first] == ["conv1.weight.png", "conv1.weight.svg"]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_letters_that_no_font_has_are_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from rot180.pictures.save import _say_missing

    _say_missing.cache_clear()
    for name in ("first", "second"):
        save_figure(confusion_matrix([[1, 0], [0, 1]], ["cat", "\U00013000"]), tmp_path / name)
    assert [record.message for record in caplog.records if "drawn as boxes" in record.message] != []
    assert len(caplog.records) == 1
    save_figure(confusion_matrix([[1, 0], [0, 1]], ["cat", "\u00e9t\u00e9"]), tmp_path / "third")
    assert len(caplog.records) == 1


HOSTILE = {
    "control characters": "".join(map(chr, [*range(32), *range(0x7F, 0xA0)])),
    "a comment's end": "a--b-->c<!--]]>&amp;<script>",
    "mathematics": "$5 note$ $\\frac{1}{0}$ $ ^_",
    "surrogates": "a\ud800\udfff",
    "no characters": "\ufffe\uffff\U0001ffff",
    "right to left": "\u202ecat\u2066",
    "lines": "a\r\nb\u2028c",
    "long": "n" * 1_000_000,
    "empty": "",
}


NAMES = list(HOSTILE.values())
TITLE = "\x1b\u202e--> $\\frac{1}{0}$ \ud800\ufffe\n" + "n" * 1_000_000
IMAGE = np.zeros((8, 8, 1), np.uint8)
COUNT = len(NAMES)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: confusion_matrix(np.eye(COUNT, dtype=int), NAMES),
        lambda: mistakes([IMAGE] * COUNT, range(COUNT), np.roll(np.eye(COUNT), 1, axis=0), NAMES),
        lambda: contact_sheet([[IMAGE] * 2] * COUNT, NAMES, TITLE, column_names=[TITLE, "b"]),
        lambda: feature_maps(IMAGE, [(TITLE, np.zeros((4, 4, 2))), (TITLE, np.zeros(COUNT))], TITLE, class_names=NAMES),
        lambda: kernels(np.zeros((3, 3, 1, 2)), TITLE),
        lambda: ledger_picture(TITLE, [Panel(TITLE, np.eye(3))] * 3, [(name, 1.0) for name in NAMES], TITLE),
    ],
    ids=["confusion", "mistakes", "contact sheet", "feature maps", "kernels", "ledger"],
)
def test_names_of_strangers_make_no_picture_ill_formed(tmp_path: Path, draw: Callable[[], Figure]) -> None:
    figure = draw()
    _, svg = save_figure(figure, tmp_path / "picture")
    ElementTree.parse(svg)  # an error if it is no XML
    assert not set(svg.read_text(encoding="utf-8")) & set("\x9b\u202e\u2066\u2028")
    assert max(map(float, figure.get_size_inches())) < 12
    assert svg.stat().st_size < 3_000_000
