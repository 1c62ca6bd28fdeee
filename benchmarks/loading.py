"""Measure whether decoding and augmentation keep up with the training, in images per second.

    python benchmarks/loading.py [--workers N] [--seconds 1.0]

All images are generated: drawn JPEGs with sides of 80 to 400 pixels, and noise as PNG of 28 x 28. Decoding and
augmentation run in threads ahead of the training, on the same processors. "alone" is their speed with nothing else to
do, "with training" that of a whole training, compared with the same training on images that are already in memory. "one
core" is the processor time of each step in one thread, on noise; set OPENBLAS_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

import rot180
from make_photos import make_photos
from rot180.data import load_data
from rot180.data.augment import STEPS, parse_augmentation
from rot180.data.loader import read_ahead
from rot180.data.options import ImageOptions
from rot180.nn.models import default_network

BATCH = 64

USUAL = "shift:2,rotate:10,scale:0.1"

SMALL = "crop:4,border:reflect,altflip,cutout:8"
"""What is usual for small pictures such as those of CIFAR-10."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--workers", type=int, default=min(os.cpu_count() or 1, 4))
    parser.add_argument("--seconds", type=float, default=1.0, help="for each measurement")
    arguments = parser.parse_args()
    workers, seconds = arguments.workers, arguments.seconds
    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        photos, digits = Path(folder) / "photos", Path(folder) / "digits"
        make_photos(photos, 400)
        for number in range(2000):
            path = digits / str(number % 10) / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(generator.integers(0, 256, (28, 28), dtype=np.uint8)).save(path)
        print(f"{os.cpu_count()} processors, {workers} workers, batches of {BATCH}\n\nalone, images/s")
        lazy = {
            name: load_data(path, ImageOptions(memory=0)) for name, path in (("photos", photos), ("digits", digits))
        }
        kept = {name: load_data(path) for name, path in (("photos", photos), ("digits", digits))}
        say("decode JPEG of 80 to 400 pixels to 64x64x3", alone(batch_of(lazy["photos"]), workers, seconds))
        say("decode PNG of 28x28x1", alone(batch_of(lazy["digits"]), workers, seconds))
        say("crop parts of these JPEGs to 64x64x3", alone(batch_of(lazy["photos"], "resizedcrop"), workers, seconds))
        for data in kept.values():
            shape = "x".join(map(str, data.image_shape))
            say(f"{USUAL} on {shape}", alone(batch_of(data, USUAL), workers, seconds))
        print("\none core, images/s of 32x32x3 and of 224x224x3")
        for text in (*STEPS, SMALL):
            small, large = (one_core(text, shape, seconds) for shape in ((512, 32, 32, 3), (16, 224, 224, 3)))
            say(text, small, f"{large:>10,.0f}")
        print("\nwith training, images/s: from memory, and what it is as share of that")
        networks = [("digits", "cnn-8-16"), ("digits", "cnn-32-64-512"), ("photos", default_network((64, 64, 3), 4))]
        for name, model in networks:
            still = training(kept[name], model, None, seconds, workers)
            say(f"{model[:46] + '...' * (len(model) > 46)} from memory", still)
            for what, data, augment in (
                (USUAL, kept[name], USUAL),
                ("decoded each time", lazy[name], None),
            ):
                found = training(data, model, augment, seconds, workers)
                say(f"    {what}", found, f"{found / still:.0%}")


def batch_of(data: rot180.Dataset, augment: str | None = None) -> Callable[[int], object]:
    """Return a function that makes one batch."""
    alter = None if augment is None else parse_augmentation(augment)
    classes = len(data.class_names)

    def make(number: int) -> object:
        generator = np.random.default_rng(number)
        chosen = generator.integers(0, len(data.train_images), BATCH)
        if alter is None:
            return data.train_images[chosen]
        return alter(data.train_images, data.train_labels, generator, classes, (0, 255), chosen=chosen)

    return make


def one_core(text: str, shape: tuple[int, ...], seconds: float) -> float:
    """Return the images per second of processor time of one thread, in the median of several batches."""
    generator = np.random.default_rng(0)
    images, labels = generator.integers(0, 256, shape, dtype=np.uint8), generator.integers(0, 10, shape[0])
    alter = parse_augmentation(text)
    assert alter is not None
    times: list[float] = []
    began = time.perf_counter()
    while len(times) < 3 or time.perf_counter() - began < seconds:
        start = time.thread_time()
        alter(images, labels, np.random.default_rng(len(times)), 10, (0, 255))
        times.append(time.thread_time() - start)
    return shape[0] / float(np.median(times))


def alone(make: Callable[[int], object], workers: int, seconds: float) -> float:
    """Return the images per second of making batches and nothing else."""
    made = read_ahead(make, range(10**9), workers=workers)
    next(made)
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        next(made)
        count += BATCH
    passed = time.perf_counter() - began
    made.close()
    return count / passed


def training(data: rot180.Dataset, model: str, augment: str | None, seconds: float, workers: int) -> float:
    """Return the images per second of a training's best epoch, since other programs can only slow one down."""
    network = rot180.model(model)
    times: list[float] = []

    def watch(event: object) -> None:
        if type(event).__name__ == "EpochDone":
            times.append(event.images_per_second)  # type: ignore[attr-defined]
            if time.perf_counter() - began > 3 * seconds and len(times) > 4:
                trainers[0].stop()
        elif type(event).__name__ == "TrainingStarted":
            trainers.append(event.trainer)  # type: ignore[attr-defined]

    trainers: list[rot180.Trainer] = []
    began = time.perf_counter()
    # Without workers if the images are in memory and not augmented, as in `fit`.
    is_still = augment is None and isinstance(data.train_images, np.ndarray)
    rot180.fit(network, data, epochs=1000, batch_size=BATCH, augment=augment, workers=0 if is_still else workers,
               subscribers=[watch])  # fmt: skip
    return max(times)


def say(what: str, number: float, more: str = "") -> None:
    """Print one line."""
    print(f"  {what:<64}{number:>12,.0f}  {more}", flush=True)


if __name__ == "__main__":
    main()
