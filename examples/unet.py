"""Train a small U-Net to say for each pixel what it belongs to: a disk, a square, a triangle or the background.

python examples/unet.py                # 400 steps, about a minute
python examples/unet.py 20 out         # 20 steps; the picture goes to out/unet.png

It shows a network with branches in branches, a loss of one's own, and training by steps instead of by `fit`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import rot180
from rot180.ops import cross_entropy, cross_entropy_backward
from rot180.pictures import contact_sheet, save_figure

SIZE = 48
CLASSES = ("background", "disk", "square", "triangle")
COLORS = np.array([(0.9, 0.9, 0.9), (0.85, 0.3, 0.2), (0.2, 0.45, 0.8), (0.95, 0.7, 0.2)])


# The data: each call draws new images, so no image is seen twice.


def draw(generator: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return noisy images (count, SIZE, SIZE, 1) of bytes, and the class of each pixel (count, SIZE, SIZE)."""
    row, column = np.mgrid[:SIZE, :SIZE]
    images = np.empty((count, SIZE, SIZE, 1), np.uint8)
    labels = np.zeros((count, SIZE, SIZE), np.int64)
    for image, truth in zip(images, labels, strict=True):
        gray = np.full((SIZE, SIZE), generator.uniform(40, 120))
        for _ in range(generator.integers(1, 5)):
            shape, radius = generator.integers(1, len(CLASSES)), generator.uniform(5, 11)
            y, x = (row, column) - generator.uniform(radius, SIZE - radius, size=(2, 1, 1))
            inside = (
                y**2 + x**2 < radius**2,
                np.maximum(abs(y), abs(x)) < 0.85 * radius,
                (y < 0.7 * radius) & (2 * abs(x) < y + radius),
            )[shape - 1]
            gray[inside] = generator.uniform(140, 230)  # a later shape covers an earlier one
            truth[inside] = shape
        image[..., 0] = (gray + generator.normal(scale=25, size=gray.shape)).clip(0, 255)
    return images, labels


# The network: halve the map, go one level deeper, double the map again. The branch `skip` goes around all of that, and
# its channels are appended, so that the last convolutions see both what is there and exactly where it is.


def unet(channels: int, *deeper: int) -> str:
    """Return a level of a U-Net and all levels below it, in the notation."""
    block = f"conv3x3:{channels}:same:nobias bn relu"
    if not deeper:
        return block
    return f"{block} ( skip | maxpool2 {unet(*deeper)} up2 ) {block}"


# The loss: the cross-entropy takes rows of outputs, one for each label. Here, each pixel is a row.


class PixelCrossEntropy:
    """The mean cross-entropy of all pixels; outputs are (N, H, W, K), labels (N, H, W)."""

    name = "pixel_cross_entropy"

    def forward(self, outputs: np.ndarray, labels: np.ndarray) -> tuple[float, tuple[np.ndarray, np.ndarray]]:
        """Return the loss, and what `backward` needs."""
        loss, probabilities = cross_entropy(outputs.reshape(-1, outputs.shape[-1]), labels.reshape(-1))
        return loss, (probabilities, labels)

    def backward(self, saved: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """Return dL/doutputs."""
        probabilities, labels = saved
        return cross_entropy_backward(probabilities, labels.reshape(-1)).reshape(*labels.shape, -1)


# The measure: most pixels are background, so that accuracy flatters. The intersection over union does not.


def intersection_over_union(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return for each class the pixels that are both found and true, divided by those that are either."""
    return np.array([((found == k) & (truth == k)).sum() / ((found == k) | (truth == k)).sum() for k in range(4)])


def main(steps: int = 400, folder: str = ".") -> None:
    """Train, measure, and draw."""
    model = rot180.network(f"{SIZE}x{SIZE}x1 > {unet(8, 16, 32, 32)} conv1x1:{len(CLASSES)}")
    print(model, f"{sum(w.size for w in model.build(seed=0).parameters.values()):,} parameters", sep="\n")

    held_out, truth = draw(np.random.default_rng(1), 100)

    def measure(step: int, loss: float) -> np.ndarray:
        found = rot180.predict(model, held_out).argmax(axis=-1)
        scores = intersection_over_union(found, truth)
        each = ", ".join(f"{name} {score:.3f}" for name, score in zip(CLASSES, scores, strict=True))
        print(f"step {step:3}: loss {loss:.3f}, pixels {(found == truth).mean():.2%}, IoU {scores.mean():.3f} ({each})")
        return found

    trainer = rot180.Trainer(model, optimizer="adam", loss=PixelCrossEntropy())
    generator = np.random.default_rng(0)
    for step in range(1, steps + 1):
        trainer.optimizer.lr = 5e-3 * (1 - (step - 1) / steps)  # falls to 0
        loss = trainer.step(*draw(generator, 16))
        if step % 50 == 0 or step == steps:
            found = measure(step, loss)

    rows = [(image, COLORS[a], COLORS[b]) for image, a, b in zip(held_out[:8], truth, found, strict=False)]
    columns = [[np.broadcast_to(picture, (SIZE, SIZE, 3)) for picture in column] for column in zip(*rows, strict=True)]
    figure = contact_sheet(columns, ["image", "truth", "found"], "A U-Net and shapes that it has not seen")
    print("picture:", save_figure(figure, Path(folder) / "unet")[0])


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]), *sys.argv[2:3])
