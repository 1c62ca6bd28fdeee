"""Data sets by name, from a cache; CIFAR-10's archive."""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import struct
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rot180.data import load_data, named
from rot180.errors import DataError


def idx(array: np.ndarray) -> bytes:
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return gzip.compress(header + array.astype(np.uint8).tobytes(), mtime=0)


def cifar_files(count: int = 4) -> dict[str, bytes]:
    generator = np.random.default_rng(0)
    names = [f"data_batch_{number}.bin" for number in range(1, 6)] + ["test_batch.bin"]
    files = {}
    for name in names:
        records = generator.integers(0, 256, (count, 3073), dtype=np.uint8)
        records[:, 0] = np.arange(count) % 10
        files[name] = records.tobytes()
    return files


def tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(named.CACHE, str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache"


def put(cache: Path, monkeypatch: pytest.MonkeyPatch, name: str, contents: list[bytes]) -> None:
    """Put files into the cache and make them the ones that are expected."""
    (cache / name).mkdir(parents=True)
    files = []
    for (file, _, _), content in zip(named.REMOTE[name].files, contents, strict=True):
        (cache / name / file).write_bytes(content)
        files.append((file, len(content), hashlib.sha256(content).hexdigest()))
    monkeypatch.setitem(named.REMOTE, name, replace(named.REMOTE[name], files=tuple(files), homes=()))


def test_what_is_in_the_cache_needs_no_network(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = np.zeros((3, 28, 28)), np.array([0, 5, 9])
    put(cache, monkeypatch, "fashion-mnist", [idx(images), idx(labels), idx(images), idx(labels)])
    data = load_data("fashion-mnist")
    assert (data.name, data.class_names) == ("fashion-mnist", ("T-shirt/top", "Sandal", "Ankle boot"))
    assert len(data.train_images) == 3


def test_a_path_of_that_name_goes_first(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "kmnist").mkdir()
    with pytest.raises(DataError, match="found an empty folder"):
        load_data("kmnist")


@pytest.mark.parametrize("name", named.REMOTE)
def test_without_a_network_it_says_how_to_go_on(cache: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setitem(named.REMOTE, name, replace(named.REMOTE[name], homes=("http://127.0.0.1:9/",)))
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(DataError, match=rf"no connection.*without a network, copy .*instead of '{name}'"):
        load_data(name)


@pytest.mark.parametrize("name", named.REMOTE)
def test_the_tables_are_well_formed(name: str) -> None:
    remote = named.REMOTE[name]
    assert len(remote.homes) >= 2
    assert len(remote.class_names) == 10
    assert all(home.startswith("http") and home.endswith("/") for home in remote.homes)
    for _, size, sha256 in remote.files:
        assert size > 1000
        assert re.fullmatch("[0-9a-f]{64}", sha256)


def test_mnist_is_what_its_makers_published(mnist_folder: Path) -> None:
    # The files beside this project were compressed anew; what is inside must be what the published checksums say.
    content = gzip.decompress((mnist_folder / "t10k-labels-idx1-ubyte.gz").read_bytes())
    assert hashlib.md5(content, usedforsecurity=False).hexdigest() == "27ae3e4e09519cfbb04c329615203637"


def test_cifar10_from_archive_and_folder(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    files = cifar_files()
    put(cache, monkeypatch, "cifar10", [tar(files)])
    data = load_data("cifar10")
    assert (len(data.train_images), len(data.test_images), data.image_shape) == (20, 4, (32, 32, 3))
    assert data.class_names[3] == "cat"
    record = np.frombuffer(files["data_batch_1.bin"], np.uint8)[1:3073].reshape(3, 32, 32)
    np.testing.assert_array_equal(data.train_images[0], record.transpose(1, 2, 0))
    (tmp_path / "unpacked").mkdir()
    for name, content in files.items():
        (tmp_path / "unpacked" / name).write_bytes(content)
    np.testing.assert_array_equal(load_data(tmp_path / "unpacked").test_images, data.test_images)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda files: files.pop("test_batch.bin"), "found no test_batch.bin"),
        (lambda files: files.update({"data_batch_2.bin": b"123"}), "data_batch_2.bin: expected records of 3073 bytes"),
        (lambda files: files.update({"data_batch_2.bin": b"\xff" * 3073}), "labels from 0 to 9, found 255"),
    ],
)
def test_cifar10_that_is_none(tmp_path: Path, change, message: str) -> None:
    files = cifar_files()
    change(files)
    path = tmp_path / "cifar-10-binary.tar.gz"
    path.write_bytes(tar(files))
    with pytest.raises(DataError, match=message):
        load_data(path)


def test_cifar10_archive_damaged_or_with_links(tmp_path: Path) -> None:
    path = tmp_path / "cifar-10-binary.tar.gz"
    path.write_bytes(tar(cifar_files())[:3000])
    with pytest.raises(DataError, match="gzip file is truncated"):
        load_data(path)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        entry = tarfile.TarInfo("data_batch_1.bin")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(entry)
    path.write_bytes(buffer.getvalue())
    with pytest.raises(DataError, match=r"found no data_batch_1\.bin"):
        load_data(path)
