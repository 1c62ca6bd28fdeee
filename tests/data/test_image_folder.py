"""A folder of images: any format, mode and size; what is refused, and with which reason."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rot180.data import load_data
from rot180.data.folder import read_image_folder
from rot180.data.lazy import LazyImages
from rot180.data.options import BadFiles, ImageOptions, parse_resize
from rot180.errors import ArgumentError, DataError


def draw(path: Path, size: tuple[int, int] = (12, 10), mode: str = "RGB", seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng([seed, *path.name.encode()]).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten cats and ten dogs, gray, all of one size."""
    for name in ("dog", "cat"):
        for number in range(10):
            draw(tmp_path / "pets" / name / f"{number}.png", mode="L")
    return tmp_path / "pets"


def test_classes_are_sub_folders_and_a_fifth_of_each_is_held_out(folder: Path) -> None:
    data = load_data(folder)
    assert (data.name, data.class_names, data.image_shape) == ("pets", ("cat", "dog"), (10, 12, 1))
    assert np.bincount(data.train_labels).tolist() == [8, 8]
    assert np.bincount(data.test_labels).tolist() == [2, 2]
    assert "held out" in data.description
    first = np.asarray(Image.open(folder / "cat" / "0.png"))
    np.testing.assert_array_equal(data.train_images[0, :, :, 0], first)


def test_images_are_ordered_by_their_names_and_classes_by_their_numbers(tmp_path: Path) -> None:
    for number, name in enumerate(("10", "9", "10", "9")):
        draw(tmp_path / "train" / name / f"{number:03}.png")
    draw(tmp_path / "test" / "9" / "0.png")
    data = load_data(tmp_path)
    assert data.class_names == ("9", "10")
    assert data.train_labels.tolist() == [1, 0, 1, 0]
    assert len(data.test_images) == 1


def test_val_takes_the_place_of_test_and_folders_inside_classes_are_looked_into(tmp_path: Path) -> None:
    draw(tmp_path / "Train" / "a" / "deep" / "1.png")
    draw(tmp_path / "Train" / "b" / "2.png")
    draw(tmp_path / "val" / "b" / "3.png")
    (tmp_path / "Train" / "a" / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "Train" / ".hidden").mkdir()
    data = load_data(tmp_path)
    assert (len(data.train_images), data.test_labels.tolist()) == (2, [1])


def test_a_class_only_in_test_is_refused(tmp_path: Path) -> None:
    draw(tmp_path / "train" / "a" / "1.png")
    draw(tmp_path / "test" / "b" / "1.png")
    with pytest.raises(DataError, match="classes that no training image has: b"):
        load_data(tmp_path)


@pytest.mark.parametrize(("suffix", "modes"), [("png", "1 L LA P RGB RGBA I;16"), ("jpg", "L RGB CMYK"),
                                               ("gif", "P L"), ("bmp", "1 L P RGB"), ("webp", "RGB RGBA")])  # fmt: skip
def test_formats_and_modes(tmp_path: Path, suffix: str, modes: str) -> None:
    for number, mode in enumerate(modes.split() * 2):
        path = tmp_path / "data" / "ab"[number % 2] / f"{number}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if mode == "I;16":
            Image.fromarray(np.full((9, 9), 40000, np.uint16)).save(path)
        else:
            Image.new("RGB", (9 + number, 9), "white").convert(mode).save(path)
    data = load_data(tmp_path / "data")
    assert data.image_shape[:2] == (32, 32)
    assert data.train_images.min() >= 40000 >> 8


@pytest.mark.parametrize(
    ("text", "shape"), [("20", (20, 20, 3)), ("6x8", (6, 8, 3)), ("crop:6x8x1", (6, 8, 1)), ("pad", (32, 32, 3))]
)
def test_sizes_that_are_asked_for(tmp_path: Path, text: str, shape: tuple[int, int, int]) -> None:
    for number in range(6):
        draw(tmp_path / "d" / "ab"[number % 2] / f"{number}.jpg", (20 + number, 40))
    size, channels, way = parse_resize(text)
    data = load_data(tmp_path / "d", ImageOptions(size=size, channels=channels, resize=way))
    assert data.image_shape == shape
    assert data.resize == way


def test_mixed_sizes_become_squares_in_color(tmp_path: Path) -> None:
    for number in range(6):
        draw(tmp_path / "d" / "ab"[number % 2] / f"{number}.jpg", (100 + number, 150), "L" if number else "RGB")
    assert load_data(tmp_path / "d").image_shape == (64, 64, 3)


def test_crop_and_pad_keep_proportions(tmp_path: Path) -> None:
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 255  # the middle third
    for name in "ab":
        (tmp_path / "d" / name).mkdir(parents=True)
        Image.fromarray(wide).save(tmp_path / "d" / name / "1.png")
    crop = load_data(tmp_path / "d", ImageOptions(size=(10, 10), resize="crop")).train_images[0]
    assert crop.min() == 255
    pad = load_data(tmp_path / "d", ImageOptions(size=(30, 30), resize="pad")).train_images[0]
    assert pad[:10].max() == 0
    assert pad[10:20, 10:20].min() == 255


@pytest.mark.parametrize("text", ["", "0", "x", "64x", "crop:", "squeeze:64", "64x64x2", "-3"])
def test_resize_is_read_strictly(text: str) -> None:
    def read() -> ImageOptions:
        size, channels, way = parse_resize(text)
        return ImageOptions(size=size, channels=channels, resize=way)

    with pytest.raises(ArgumentError, match=r"resize must be|1 to 4096 pixels"):
        read()


def make_bad(folder: Path, kind: str) -> Path:
    """Put one bad file into a folder and return it."""
    bad = folder / "cat" / "bad.png"
    good = (folder / "cat" / "1.png").read_bytes()
    if kind == "truncated":
        bad.write_bytes(good[: len(good) // 2])
    elif kind == "no image":
        bad.write_bytes(b"hello")
    elif kind == "empty":
        bad.write_bytes(b"")
    elif kind == "wrong suffix":
        draw(folder / "cat" / "x.jpg").rename(bad)
    elif kind == "other suffix":
        bad = folder / "cat" / "cat.psd"
        bad.write_text("my cats")
    elif kind == "bomb":
        Image.new("1", (9000, 9000)).save(bad)
    elif kind == "link to no file":
        bad.symlink_to("/dev/zero")
    elif kind == "link to nowhere":
        bad.symlink_to(folder / "none.png")
    else:
        bad = folder / "cat" / "more"
        bad.symlink_to(folder / "dog", target_is_directory=True)
    return bad


BAD = {
    "truncated": "cannot be read",
    "no image": "found something else",
    "empty": "found an empty file",
    "wrong suffix": "expected PNG judging by its name, found JPEG",
    "other suffix": r"found a file named \.psd",
    "bomb": "at most 50 megapixels, found 9000 x 9000",
    "link to no file": "found something other than a file",
    "link to nowhere": "a broken symbolic link",
    "link to a folder": "a symbolic link to a folder",
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_stops_and_is_named(folder: Path, kind: str) -> None:
    bad = make_bad(folder, kind)
    with pytest.raises(DataError, match=f"{bad.name}.*{BAD[kind]}.*--on-bad-file skip"):
        load_data(folder)


@pytest.mark.parametrize(
    ("total", "bad", "is_too_many"),
    [
        (41, 1, False),
        (3, 1, False),
        (2, 2, True),
        (21, 10, False),
        (40, 11, True),
        (20_000, 20, False),
        (20_000, 21, True),
    ],
)
def test_skip_allows_a_few_and_stops_where_there_are_many(total: int, bad: int, is_too_many: bool) -> None:
    found = BadFiles("skip", total)
    for _ in range(bad - 1):
        found.report(DataError("some.png: cut off"))
    if is_too_many:
        with pytest.raises(DataError, match=rf"^{bad} of {total} files are bad, .*; the last was last\.png: cut off"):
            found.report(DataError("last.png: cut off"))
    else:
        found.report(DataError("last.png: cut off"))


@pytest.mark.parametrize("memory", [1024**3, 0], ids=["in memory", "lazy"])
@pytest.mark.parametrize("kind", ["truncated", "link to no file", "other suffix"])
def test_skip_leaves_out_and_logs(folder: Path, kind: str, memory: int, caplog: pytest.LogCaptureFixture) -> None:
    good = (folder / "dog" / "0.png").read_bytes()
    for number in range(1000):
        (folder / "dog" / f"more-{number}.png").write_bytes(good)
    bad = make_bad(folder, kind)
    with caplog.at_level(logging.WARNING, "rot180.data"):
        data = load_data(folder, ImageOptions(on_bad_file="skip", memory=memory))
    assert len(data.train_images) + len(data.test_images) == 1020
    assert [bad.name in record.message for record in caplog.records] == [True]


def test_links_to_images_are_followed(folder: Path) -> None:
    (folder / "cat" / "again.png").symlink_to(folder / "cat" / "1.png")
    (folder / "cat" / "elsewhere.png").symlink_to(draw(folder.parent / "elsewhere" / "1.png", mode="L"))
    data = load_data(folder)
    assert len(data.train_images) + len(data.test_images) == 22


def test_nothing_to_read(tmp_path: Path) -> None:
    (tmp_path / "d" / "a").mkdir(parents=True)
    (tmp_path / "d" / "a" / "x.png").write_bytes(b"no")
    with pytest.raises(DataError, match="found something else"):
        load_data(tmp_path / "d")


def test_lazy_images_are_the_same_and_decoded_when_asked(folder: Path) -> None:
    now, later = read_image_folder(folder), read_image_folder(folder, ImageOptions(memory=0))
    assert isinstance(later.train_images, LazyImages)
    np.testing.assert_array_equal(later.train_images[:], now.train_images)
    np.testing.assert_array_equal(later.test_images[np.array([3, 0])], now.test_images[[3, 0]])
    np.testing.assert_array_equal(later.train_images[np.int64(5)], now.train_images[5])
    np.testing.assert_array_equal(later.every_image()[0][:], now.every_image()[0])
    assert now.divided
    assert later.divided
    assert later.limit(3).train_images.shape == (3, 10, 12, 1)
    with pytest.raises(ArgumentError, match="too many to decode into memory at once"):
        np.asarray(later.train_images)
    for path in folder.glob("*/*.png"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"0\.png: expected an image"):
        later.train_images[0]


@pytest.mark.parametrize("workers", [0, 1, 5])
def test_workers_change_nothing(folder: Path, workers: int) -> None:
    seen = []
    options = ImageOptions(workers=workers, progress=lambda what, done, total: seen.append((what, done, total)))
    np.testing.assert_array_equal(load_data(folder, options).train_images, load_data(folder).train_images)
    assert seen[-1] == ("reading images", 20, 20)


def test_options_are_checked() -> None:
    with pytest.raises(ArgumentError, match="strict or skip; got 'ignore'"):
        ImageOptions(on_bad_file="ignore")
    with pytest.raises(ArgumentError, match="did you mean 'crop'"):
        ImageOptions(resize="crops")
    with pytest.raises(ArgumentError, match="1 channel"):
        ImageOptions(channels=2)


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes are Linux's")
@pytest.mark.parametrize("name", [b"caf\xe9", b"red\x1b[31m", b"two\nlines"])
def test_names_that_cannot_be_printed_are_refused_in_one_line(folder: Path, name: bytes) -> None:
    strange = draw(folder / os.fsdecode(name) / "1.png").parent
    with pytest.raises(
        DataError, match=r"expected class names of printable characters, found '\w+\\\w+.*'; rename the folder"
    ) as caught:
        load_data(folder)
    assert str(caught.value).isprintable()
    shutil.rmtree(strange)
    draw(folder / "cat" / "1.png", mode="L").rename(folder / "cat" / os.fsdecode(name + b".png"))
    with pytest.raises(
        DataError,
        match=r"expected file names of printable characters, found '\w+\\.*\.png'; rename the file .*--on-bad-file",
    ) as caught:
        load_data(folder)
    assert str(caught.value).isprintable()


def test_test_images_alone_are_refused_and_training_images_alone_are_not(tmp_path: Path) -> None:
    for name in ("a", "b"):
        for number in range(5):
            draw(tmp_path / "test" / name / f"{number}.png")
    with pytest.raises(
        DataError, match="has test images but none for training, judging by the names; give the folder above"
    ):
        load_data(tmp_path)
    assert load_data(tmp_path / "test").class_names == ("a", "b")
    (tmp_path / "test").rename(tmp_path / "train")
    assert load_data(tmp_path).class_names == ("a", "b")


@pytest.mark.parametrize("memory", [1024**3, 0], ids=["in memory", "lazy"])
@pytest.mark.parametrize("how", ["header", "pixels"])
def test_a_bad_file_decides_neither_size_nor_channels(tmp_path: Path, how: str, memory: int) -> None:
    for number in range(8):
        path = tmp_path / "set" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((12, 12), 255 - 20 * number, np.uint8)).save(path)
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    bad = tmp_path / "set" / "a" / "bad.png"
    Image.fromarray(noise).save(bad)
    bad.write_bytes(bad.read_bytes()[: 20 if how == "header" else -900])
    data = load_data(tmp_path / "set", ImageOptions(on_bad_file="skip", memory=memory))
    assert data.image_shape == (12, 12, 1)
    images, labels = data.every_image()
    assert len(images) == len(labels) == 8


@pytest.mark.parametrize("suffix", [".txt", ".XML", ".json", ".pdf", ".MOV"])
def test_what_describes_images_is_not_used_and_told(tmp_path: Path, suffix: str) -> None:
    for number in range(6):
        draw(tmp_path / "train" / "ab"[number % 2] / "images" / f"{number}.png")
        (tmp_path / "train" / "ab"[number % 2] / f"boxes-{number}{suffix}").write_text("0 0 8 8")
    data = load_data(tmp_path)
    assert len(data.every_image()[0]) == 6
    assert data.sources.unused == f"files in class folders: 6 {suffix.lower()}"


def test_sixteen_bits_that_hold_less(tmp_path: Path) -> None:
    def save(name: str, white: int) -> Path:
        for number in range(10):
            path = tmp_path / name / "ab"[number % 2] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            values = np.linspace(0, white * (number + 1) // 10, 64)
            Image.fromarray(values.astype(np.uint16).reshape(8, 8)).save(path)
        return tmp_path / name

    assert load_data(save("full", 65535)).notes == ()
    (note,) = load_data(save("scanner", 4095)).notes
    assert "no pixel is above 4095" in note
    assert "16 gray levels; to keep more, multiply the pixels" in note
    with pytest.raises(DataError, match="found none with a pixel above 255; only the upper 8 bits are read; multiply"):
        load_data(save("small", 200))
