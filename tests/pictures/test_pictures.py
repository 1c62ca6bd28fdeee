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
        ([0.0, 3.0], ("Reds", 0.0, 3.0)),
        ([0.0, 0.0], ("Reds", 0.0, 1.0)),
        ([np.nan, np.inf, -2.0], ("RdBu_r", -2.0, 2.0)),
        ([], ("Reds", 0.0, 1.0)),
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
    assert title == "300 kernels of 5 x 3; shown: the first 128"


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
    assert [axes.get_images()[0].get_cmap().name for axes in rows[1:]] == ["RdBu_r", "Reds", "Reds"]
    assert [label.get_text() for label in rows[3].get_xticklabels()] == ["cat", "dog"]


def test_confusion_counts_and_names() -> None:
    axes = confusion_matrix([[5, 0, 2], [0, 6, 0], [0, 1, 6]], ["ape", "bee", "cow"]).axes[0]
    assert axes.get_title(loc="left") == "17 of 20 correct (85.00%), 3 mistakes"
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
    assert [text.get_text() for text in loss.get_legend().get_texts()] == [
        "each step",
        "mean of 10 steps",
        "train, mean of the epoch",
    ]
    assert [text.get_text() for text in accuracy.get_legend().get_texts()] == ["train, mean of the epoch", "test 80"]
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


def test_means_stand_at_the_middle_of_what_they_are_means_of() -> None:
    """A loss that falls along a line lies on that line whatever it is a mean of."""
    steps = np.linspace(2.0, 1.0, 400)
    epochs = steps.reshape(4, 100).mean(1)
    figure = curves({"train": epochs.tolist(), "validation": epochs.tolist()}, {}, step_loss=steps.tolist())
    each, mean, train, validation = figure.axes[0].get_lines()
    for line in (mean, train):
        x, y = line.get_data()
        np.testing.assert_allclose(y, np.interp(x, *each.get_data()), atol=0.003)
    assert train.get_xdata().tolist() == [0.5, 1.5, 2.5, 3.5]
    assert validation.get_xdata().tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("size", [1e-7, 3e-4, 0.02, 0.5, 40.0, 9e5])
def test_numbers_in_cells_are_short(size: float) -> None:
    values = size * np.linspace(-1, 1, 49).reshape(7, 7)
    axes = ledger_picture("w", [Panel("gradient", values)], [("a", 1.0)]).axes[0]
    written = [text.get_text() for text in axes.texts]
    assert len(written) == 49
    assert max(map(len, written)) <= 5
    assert len(set(written)) > 20
    assert "-0.0" not in written
    power = 10.0 ** np.floor(np.log10(size)) if "times" in axes.get_title(loc="left") + axes.get_title() else 1.0
    np.testing.assert_allclose([float(text) * power for text in written], values.ravel(), atol=0.051 * size * 2)


def test_overlapping_captions_of_mistakes_get_more_room() -> None:
    names = ["a class with a long name", "another class with a long name"]
    labels, shares = np.zeros(24, int), np.tile([0.004, 0.996], (24, 1))
    files = [f"photos/test/of some class/a-long-folder/file-{index:04}.jpeg" for index in range(24)]
    figure = mistakes(np.zeros((24, 8, 8, 1)), labels, shares, names, image_names=files.__getitem__)
    figure.draw_without_rendering()
    boxes = [axes.title.get_window_extent() for axes in figure.axes]
    for index, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[index + 1 :])
    first = figure.axes[0].get_title().splitlines()
    assert first[0].endswith("file-0000.jpeg")
    assert first[1:] == ["true: a class with … (0.4%)", "predicted: another class… (100%)"]


def test_the_order_of_mistakes_is_that_of_the_percentages_shown() -> None:
    generator = np.random.default_rng(1)
    shares = generator.dirichlet(np.full(5, 0.4), size=60)
    labels = generator.integers(5, size=60)
    figure = mistakes(np.zeros((60, 4, 4)), labels, shares, limit=40)
    of_truth = [axes.get_title().splitlines()[1].split("(")[1].strip("%)<") for axes in figure.axes]
    assert [float(share) for share in of_truth] == sorted(map(float, of_truth))


def test_kernels_over_colors_are_drawn_in_color() -> None:
    weight = np.zeros((3, 3, 3, 4))
    weight[0, 0, 0, 0], weight[1, 1, :, 1] = 2.0, -2.0
    (axes,) = kernels(weight, "conv1", of_colors=True).axes
    sheet = axes.get_images()[0].get_array()
    np.testing.assert_allclose(sheet[0, 0], [1.0, 0.5, 0.5])  # red alone
    np.testing.assert_allclose(sheet[1, 5], [0.0, 0.0, 0.0])
    np.testing.assert_allclose(sheet[2, 2], 0.5)
    assert axes.get_title(loc="left") == "conv1: 4 kernels of 3 x 3 over red, green and blue"
    assert "gray: weight 0" in axes.get_xlabel()


def test_probabilities_are_bars_with_numbers() -> None:
    shares = np.array([0.7, 0.002, 0.298])
    figure = feature_maps(
        np.zeros((4, 4)), [("fc1", np.log(shares))], class_names=["cat", "dog", "emu"], probabilities=shares
    )
    bars = next(axes for axes in figure.axes if axes.get_ylabel().startswith("probability"))
    assert [patch.get_height() for patch in bars.patches] == shares.tolist()
    assert [text.get_text() for text in bars.texts] == ["70%", "<1%", "30%"]
    assert [tick.get_text() for tick in bars.get_xticklabels()] == ["cat", "dog", "emu"]
    units = next(axes for axes in figure.axes if axes.get_ylabel().startswith("fc1"))
    assert [text.get_text() for text in units.texts] == ["-0.36", "-6.2", "-1.2"]
    many = feature_maps(np.zeros((4, 4)), [], probabilities=np.arange(40) / 780)
    assert "(likeliest 12)" in many.axes[-1].get_ylabel()
    assert many.axes[-1].get_xticklabels()[0].get_text() == "39"
