"""Data sets loaded by name: downloaded once from their public sites, then read from a cache folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from rot180.data.cifar import CLASSES as CIFAR10_CLASSES
from rot180.data.cifar import read_cifar10
from rot180.data.classes import is_numbered
from rot180.data.dataset import Dataset
from rot180.data.digits import load_digits
from rot180.data.download import RemoteFile, download
from rot180.data.idx_folder import read_idx_folder
from rot180.data.options import ImageOptions
from rot180.errors import DataError

CACHE = "ROT180_CACHE"
"""Environment variable with the folder for downloads, instead of the system's cache folder."""


@dataclass(frozen=True)
class RemoteDataset:
    """A data set that is downloaded: its mirrors, its files, and how they are read."""

    homes: tuple[str, ...]
    files: tuple[tuple[str, int, str], ...]
    """Name, size and SHA-256 of each file."""
    class_names: tuple[str, ...]
    read: Callable[[Path], Dataset]
    source: str


def _idx_files(*sizes_and_sums: tuple[int, str]) -> tuple[tuple[str, int, str], ...]:
    names = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    return tuple((f"{name}-ubyte.gz", *known) for name, known in zip(names, sizes_and_sums, strict=True))


REMOTE = {
    "mnist": RemoteDataset(
        (
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        _idx_files(
            (9_912_422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
            (28_881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
            (1_648_877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
            (4_542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
        ),
        tuple("0123456789"),
        read_idx_folder,
        "MNIST, LeCun, Cortes and Burges",
    ),
    "fashion-mnist": RemoteDataset(
        (
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        ),
        _idx_files(
            (26_421_880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
            (29_515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
            (4_422_102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
            (5_148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
        ),
        ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        read_idx_folder,
        "Fashion-MNIST, Xiao, Rasul and Vollgraf (2017), MIT",
    ),
    "kmnist": RemoteDataset(
        (
            "https://codh.rois.ac.jp/kmnist/dataset/kmnist/",
            "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
        ),
        _idx_files(
            (18_165_135, "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4"),
            (29_497, "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17"),
            (3_041_136, "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5"),
            (5_120, "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c"),
        ),
        ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        read_idx_folder,
        "Kuzushiji-MNIST, ROIS-DS Center for Open Data in the Humanities, CC BY-SA 4.0",
    ),
    "cifar10": RemoteDataset(
        (
            "https://www.cs.toronto.edu/~kriz/",
            "https://cave.cs.toronto.edu/kriz/",
        ),
        (
            (
                "cifar-10-binary.tar.gz",
                170_052_171,
                "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            ),
        ),
        CIFAR10_CLASSES,
        lambda folder: read_cifar10(folder / "cifar-10-binary.tar.gz"),
        "CIFAR-10, Krizhevsky (2009)",
    ),
}
"""What can be downloaded. Every mirror was published by the authors or serves exactly the files they published."""

NAMES = ("digits", *REMOTE)
"""All names of data sets."""


def cache_folder() -> Path:
    """Return the folder for downloads: the environment variable `ROT180_CACHE`, or the system's cache folder."""
    if chosen := os.environ.get(CACHE):
        return Path(chosen)
    from platformdirs import user_cache_path

    return user_cache_path("rot180", appauthor=False)


def load_named(name: str, options: ImageOptions | None = None) -> Dataset:
    """Load a data set by name, downloading the files that are not in the cache.

    Raises
    ------
    DataError
        A file is not in the cache and cannot be downloaded; the message says what to do without a network.
    """
    if name == "digits":
        return load_digits()
    options = options or ImageOptions()
    remote = REMOTE[name]
    folder = cache_folder() / name
    for file, size, sha256 in remote.files:
        urls = [home + file for home in remote.homes]
        try:
            download(RemoteFile(file, urls, size, sha256), folder, progress=options.progress)
        except DataError as error:
            first = f"{remote.homes[0]}{file}"
            if len(remote.files) > 1:
                first = f"{first} and the other three files"
            raise DataError(
                f"{name}: {error}; without a network, copy {first} to this computer and give the path instead of "
                f"{name!r}, or put it into {folder}"
            ) from None
    dataset = remote.read(folder)
    return replace(
        dataset,
        name=name,
        class_names=_names(dataset.class_names, remote.class_names),
        description=f"{remote.source}; in {folder}",
    )


def _names(own: tuple[str, ...], names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of a set's classes in place of the numbers that were read."""
    if not is_numbered(own) or max(map(int, own)) >= len(names):
        return own
    return tuple(names[int(number)] for number in own)
