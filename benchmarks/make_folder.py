"""Make a folder of PNG files, with one sub-folder per class, from the IDX files of MNIST.

    python benchmarks/make_folder.py path/to/mnist path/to/new-folder [--limit N]

Files are numbered in the order of the IDX files, so a training on the folder sees the same images in the same order.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

from rot180.data import Dataset, load_data


def make_folder(data: Dataset, folder: Path) -> int:
    """Write every image of a data set as PNG, below `train/` and `test/`; return their number."""
    written = 0
    for part in ("train", "test"):
        images, labels = getattr(data, f"{part}_images"), getattr(data, f"{part}_labels")
        for name in data.class_names:
            (folder / part / name).mkdir(parents=True)
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            picture = image[..., 0] if image.shape[2] == 1 else image
            Image.fromarray(picture).save(folder / part / data.class_names[label] / f"{number:05}.png")
            written += 1
    return written


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", help="a folder with the IDX files of MNIST, or any data that rot180 reads")
    parser.add_argument("folder", type=Path, help="the folder to make; it must not exist")
    parser.add_argument("--limit", type=int, help="use only the first N training images")
    arguments = parser.parse_args()
    data = load_data(arguments.source)
    print(make_folder(data.limit(arguments.limit) if arguments.limit else data, arguments.folder), "files")
