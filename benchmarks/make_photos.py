"""Make a folder of drawn color JPEGs of mixed sizes: four classes of shapes on textured backgrounds, without parts.

    python benchmarks/make_photos.py path/to/new-folder [--count 400] [--seed 0]

Colors, positions, sizes, angles and proportions of the pictures vary; only the shape determines the class.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SHAPES = ("circle", "cross", "star", "triangle")


def make_photos(folder: Path, count: int, seed: int = 0) -> None:
    """Draw `count` pictures, the same number of each shape, with sides of 80 to 400 pixels."""
    generator = np.random.default_rng(seed)
    for shape in SHAPES:
        (folder / shape).mkdir(parents=True)
    for number in range(count):
        shape = SHAPES[number % len(SHAPES)]
        draw_photo(shape, generator).save(
            folder / shape / f"img_{number:05}.jpg", quality=int(generator.integers(60, 95))
        )


def draw_photo(shape: str, generator: np.random.Generator) -> Image.Image:
    """Draw one picture."""
    width, height = (int(side) for side in generator.integers(80, 401, 2))
    ground = generator.integers(0, 150, 3)
    coarse = generator.integers(-25, 26, (8, 8, 3)) + ground
    picture = Image.fromarray(coarse.clip(0, 255).astype(np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
    color = tuple(int(value) for value in generator.integers(170, 256, 3))
    size = min(width, height) * generator.uniform(0.25, 0.42)
    middle = np.array([width, height]) / 2 + generator.uniform(-0.5, 0.5, 2) * (np.array([width, height]) / 2 - size)
    turned = generator.uniform(0, 2 * math.pi)

    def at(angle: float, distance: float = 1.0) -> tuple[float, float]:
        x, y = middle + size * distance * np.array([math.cos(turned + angle), math.sin(turned + angle)])
        return float(x), float(y)

    draw = ImageDraw.Draw(picture)
    if shape == "circle":
        draw.ellipse([*(middle - size), *(middle + size)], fill=color)
    elif shape == "triangle":
        draw.polygon([at(math.tau * corner / 3) for corner in range(3)], fill=color)
    elif shape == "star":
        draw.polygon([at(math.tau * corner / 10, 1.0 if corner % 2 == 0 else 0.4) for corner in range(10)], fill=color)
    else:
        for angle in (0.0, math.pi / 2):
            draw.line([at(angle), at(angle + math.pi)], fill=color, width=max(int(size * 0.35), 3))
    noise = generator.normal(0, 6, (height, width, 3))
    return Image.fromarray((np.asarray(picture) + noise).clip(0, 255).astype(np.uint8))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="the folder to make; it must not exist")
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    make_photos(arguments.folder, arguments.count, arguments.seed)
