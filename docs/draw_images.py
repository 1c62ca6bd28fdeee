"""Redraw the pictures in the documentation.

feature-maps.png   a digit on its way through a network trained on the bundled digits
convolution.png    the worked example on the page on gradients
augmentation.png   the effect of each augmentation step on a digit
trials.png         a search for settings on some of the bundled digits
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from PIL import Image

from rot180 import load_data, ops
from rot180.data.augment import parse_augmentation
from rot180.pictures import contact_sheet
from rot180.pictures.style import BLUE, INK, ORANGE, PALE, new_figure, style
from rot180.runs.draw import draw_images
from rot180.runs.train_run import RunSettings, train_run
from rot180.tuning.picture import draw_study
from rot180.tuning.tune import tune

IMAGE = 3
"""A three, which is easy to read at 8 x 8 pixels."""


IMAGES = Path(__file__).parent / "images"


def main() -> None:
    """Draw all of them."""
    IMAGES.mkdir(exist_ok=True)
    draw_feature_maps()
    draw_convolution()
    draw_augmentation()
    draw_trials()


def draw_trials() -> None:
    """Search for settings, and draw the trials."""
    with tempfile.TemporaryDirectory() as scratch:
        study = tune(RunSettings(epochs=4, limit=400), trials=24, out=Path(scratch) / "study")
        shutil.copyfile(draw_study(study), IMAGES / "trials.png")


def draw_feature_maps() -> None:
    """Train, draw and save the picture where the README expects it."""
    with tempfile.TemporaryDirectory() as scratch:
        run = train_run(RunSettings(), out=Path(scratch) / "run", draw=False)
        data = run.dataset
        draw_images(Path(scratch), run.model, data.test_images, data.test_labels, data.class_names, [IMAGE])
        shutil.copyfile(Path(scratch) / f"feature-maps-{IMAGE}.png", IMAGES / "feature-maps.png")


def draw_convolution() -> None:
    """Draw both passes of a convolution of 4x4 pixels with 3x3 weights, with all the numbers."""
    x = np.array([[1, 2, 0, 1], [0, 1, 3, 1], [2, 0, 1, 0], [1, 1, 0, 2]], float)
    w = np.array([[1, 0, -1], [2, 1, 0], [0, 1, 3]], float)
    dy = np.array([[1, -1], [2, 0]], float)
    y = ops.conv2d(x[None, :, :, None], w[:, :, None, None])[0, :, :, 0]
    dx = ops.conv2d_backward(dy[None, :, :, None], x[None, :, :, None], w[:, :, None, None])[0][0, :, :, 0]
    border = np.pad(np.zeros_like(dy), 2, constant_values=1) == 1
    with style():
        figure = new_figure(7.2, 5.4)
        axes = figure.subplots()
        axes.set(xlim=(-0.1, 17.6), ylim=(13.2, -0.9), aspect="equal")
        axes.axis("off")
        _grid(axes, (0, 0), x, "image x", marked=(0, 0, 3))
        _grid(axes, (7.5, 0), w, "kernel w")
        _grid(axes, (12, 0), y, "output y", marked=(0, 0, 1))
        _grid(axes, (0, 7), np.pad(dy, 2), "delta dy, padded with two zeros", marked=(1, 1, 3), padded=border)
        _grid(axes, (7.5, 7), w[::-1, ::-1], "w rotated by 180°")
        _grid(axes, (12, 7), dx, "gradient dx", marked=(1, 1, 1))
        figure.savefig(IMAGES / "convolution.png", dpi=150, metadata={"Software": None})


def draw_augmentation() -> None:
    """Draw a digit on gray, so that black can be told from the background, and the effect of each step on it."""
    data = load_data("digits")
    two = [np.asarray(Image.fromarray(data.test_images[index, :, :, 0]).resize((40, 40))) for index in (IMAGE, 7)]
    batch = np.stack([(70 + image * (185 / 255)).astype(np.uint8) for image in two])[..., np.newaxis]
    texts = ("resizedcrop:0.3", "rotate:25", "rotate:25,border:reflect", "scale:0.4", "elastic:2", "shift:8",
             "shift:8,border:reflect", "crop:8", "flip", "randaugment:2:15", "trivialaugment", "brightness:0.3",
             "contrast:0.7", "cutout:14", "erase:1", "mixup:1", "cutmix:1")  # fmt: skip
    rows = []
    for text in texts:
        augment = parse_augmentation(text)
        drawn = [augment(batch, np.arange(2), np.random.default_rng(seed), 2)[0][0] for seed in range(7)]
        rows.append([batch[0], *drawn])
    figure = contact_sheet(rows, texts, "", column_names=["original"])
    with style():
        figure.savefig(IMAGES / "augmentation.png", dpi=100, bbox_inches="tight", metadata={"Software": None})


def _grid(
    axes: Axes,
    corner: tuple[float, float],
    values: np.ndarray,
    title: str,
    marked: tuple[int, int, int] | None = None,
    padded: np.ndarray | None = None,
) -> None:
    """Draw a matrix as a grid of numbers; `marked` is the row, the column and the size of a frame."""
    left, top = corner
    rows, columns = values.shape
    axes.text(left, top - 0.35, title, va="bottom")
    for at in range(rows + 1):
        axes.plot([left, left + columns], [top + at, top + at], color=PALE, linewidth=0.6)
    for at in range(columns + 1):
        axes.plot([left + at, left + at], [top, top + rows], color=PALE, linewidth=0.6)
    for (i, j), value in np.ndenumerate(values):
        text = f"{value:g}".replace("-", "\N{MINUS SIGN}")
        color = PALE if padded is not None and padded[i, j] else INK
        axes.text(left + j + 0.5, top + i + 0.5, text, ha="center", va="center", color=color)
    if marked is not None:
        i, j, size = marked
        x, y = left + j, top + i
        color = ORANGE if size > 1 else BLUE
        axes.plot([x, x + size, x + size, x, x], [y, y, y + size, y + size, y], color=color, linewidth=2.5)


if __name__ == "__main__":
    main()
