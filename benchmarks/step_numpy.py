"""Compare a NumPy training step of cnn-32-64-512 at batch 32 with one that unfolds pixel by pixel in Python.

Both contenders are the same network on the same engine with the same matrix products. The second unfolds the images by
a Python loop over the output pixels, in which each iteration copies one window of every image of the batch. They take
turns in one process, in blocks of steps; each block gives its median.

    python benchmarks/step_numpy.py [--rounds 9] [--steps 8] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from pathlib import Path
from unittest import mock

import numpy as np

import rot180
from rot180.files import write_atomically
from rot180.ops import conv_im2col
from rot180.ops.geometry import Geometry

BATCH = 32
TARGET = 600
"""Images per second on two cores."""


def unfold_by_pixel(x_pad: np.ndarray, g: Geometry, groups: int) -> np.ndarray:
    """Do one output pixel at a time what `conv_im2col` does in one strided copy."""
    if groups != 1:
        raise ValueError(f"this benchmark unfolds one group; got {groups}")
    n, channels = x_pad.shape[0], x_pad.shape[3]
    (kh, kw), (sh, sw), (dh, dw) = g.kernel, g.stride, g.dilation
    x_col = np.empty((n, g.out_height, g.out_width, kh * kw * channels), x_pad.dtype)
    for i in range(g.out_height):
        for j in range(g.out_width):
            top, left = i * sh, j * sw
            window = x_pad[:, top : top + dh * (kh - 1) + 1 : dh, left : left + dw * (kw - 1) + 1 : dw]
            x_col[:, i, j] = window.reshape(n, -1)
    return x_col.reshape(1, n * g.out_height * g.out_width, -1)


class Contender:
    """A trainer with its batches and its way to unfold."""

    def __init__(self, by_pixel: bool) -> None:
        self.by_pixel = by_pixel
        model = rot180.model("cnn-32-64-512")
        if by_pixel:
            for layer in model.layers:
                if isinstance(layer, rot180.Conv2d):
                    layer.algorithm = "im2col"
        # a small rate: the network must not memorize the few batches, or vanishing gradients become denormal
        self.trainer = rot180.Trainer(model, optimizer=rot180.Adam(lr=1e-7), engine="numpy")

    def block(self, batches: list[tuple[np.ndarray, np.ndarray]]) -> tuple[float, float]:
        """Train on the batches; return the median seconds of a step and the last loss."""
        seconds, loss = [], 0.0
        unfold = unfold_by_pixel if self.by_pixel else conv_im2col._unfold
        with mock.patch.object(conv_im2col, "_unfold", unfold):
            for images, labels in batches:
                start = time.perf_counter()
                loss = self.trainer.step(images, labels)
                seconds.append(time.perf_counter() - start)
        return statistics.median(seconds), loss


def measure(rounds: int, steps: int) -> dict[str, object]:
    """Let both take turns; return the images/s of each, their ratio, and what identifies the run."""
    rng = np.random.default_rng(0)
    batches = [(rng.integers(0, 256, (BATCH, 28, 28, 1), np.uint8), rng.integers(0, 10, BATCH)) for _ in range(steps)]
    contenders = {"ours": Contender(by_pixel=False), "by_pixel": Contender(by_pixel=True)}
    losses = {name: contender.block(batches)[1] for name, contender in contenders.items()}  # also warms up
    if not np.isclose(losses["ours"], losses["by_pixel"], rtol=1e-4):
        raise SystemExit(f"the contenders disagree: losses {losses}")
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contender in contenders.items():
            seconds[name].append(contender.block(batches)[0])
    median = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "ours_images_per_second": BATCH / median["ours"],
        "by_pixel_images_per_second": BATCH / median["by_pixel"],
        "ratio": median["by_pixel"] / median["ours"],
        "target_images_per_second": TARGET,
        "batch_size": BATCH,
        "rounds": rounds,
        "steps_per_round": steps,
        "cores": os.cpu_count(),
        "processor": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "rot180": rot180.__version__,
    }


def main() -> int:
    """Measure, print, and return 1 if the target was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="turns of each contender (default: 9)")
    parser.add_argument("--steps", type=int, default=8, help="training steps per turn (default: 8)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers there")
    arguments = parser.parse_args()
    result = measure(arguments.rounds, arguments.steps)
    print(f"rot180, NumPy engine      {result['ours_images_per_second']:8,.0f} images/s (target {TARGET})")
    print(f"unfolding pixel by pixel  {result['by_pixel_images_per_second']:8,.0f} images/s")
    print(f"ratio                     {result['ratio']:8.2f}")
    if arguments.json:
        write_atomically(arguments.json, (json.dumps(result, indent=2) + "\n").encode())
    return 0 if float(str(result["ours_images_per_second"])) >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
