"""The random resized crop: which parts are taken, from arrays and from image files, and that it repeats."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rot180
from rot180.data.augment import parse_augmentation
from rot180.data.augment.resized_crop import ResizedCrops
from rot180.data.image import decode_image
from rot180.data.lazy import EncodedImage, LazyImages

GENERATOR = np.random.default_rng(0)


def test_areas_and_proportions_are_those_of_the_definition() -> None:
    crops = ResizedCrops(4000, 0.08, np.random.default_rng(0))
    top, left, height, width = np.array([crops.box(n, 1000, 1000) for n in range(4000)]).T
    share, ratio = height * width / 1e6, width / height
    assert (top.min() >= 0) & (left.min() >= 0) & ((top + height).max() <= 1000) & ((left + width).max() <= 1000)
    assert share.min() == pytest.approx(0.08, abs=0.01)
    assert ratio.min() == pytest.approx(0.75, abs=0.005)
    assert ratio.max() == pytest.approx(4 / 3, abs=0.01)
    # Large parts are drawn again if their proportions do not fit, so that the mean is below that of uniform shares.
    assert share.mean() == pytest.approx(0.5, abs=0.03)
    assert np.log(ratio).mean() == pytest.approx(0, abs=0.01)
    assert np.mean(top / np.maximum(1000 - height, 1)) == pytest.approx(0.5, abs=0.02)
    assert np.mean(left / np.maximum(1000 - width, 1)) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("size", "box"),
    [((10, 200), (0, 93, 10, 13)), ((200, 10), (93, 0, 13, 10)), ((1, 1), (0, 0, 1, 1)), ((3, 1000), (0, 498, 3, 4))],
)
def test_the_largest_part_in_the_middle_if_none_fits(size: tuple[int, int], box: tuple[int, ...]) -> None:
    crops = ResizedCrops(5, 1.0, np.random.default_rng(0))  # the whole area, in other proportions
    assert {crops.box(n, *size) for n in range(5)} == {box}


def test_the_whole_image_is_left_as_it_is() -> None:
    images = GENERATOR.integers(0, 256, (4, 1, 1, 3), dtype=np.uint8)
    augment = parse_augmentation("resizedcrop:1")
    assert augment is not None
    np.testing.assert_array_equal(augment(images, np.zeros(4, int), np.random.default_rng(0), 1)[0], images)


def test_an_array_is_cropped_as_pillow_resizes_a_part() -> None:
    images = GENERATOR.integers(0, 256, (30, 17, 21, 3), dtype=np.uint8)
    augment = parse_augmentation("resizedcrop")
    assert augment is not None
    found, _ = augment(images, np.zeros(30, int), np.random.default_rng(5), 1)
    crops = ResizedCrops(30, 0.08, np.random.default_rng(5))
    for n, image in enumerate(images):
        top, left, height, width = crops.box(n, 17, 21)
        box = (left, top, left + width, top + height)
        expected = np.asarray(Image.fromarray(image).resize((21, 17), Image.Resampling.BILINEAR, box))
        assert np.abs(found[n].astype(int) - expected).max() <= 1


def test_edges_are_not_darkened() -> None:
    white = np.full((200, 8, 8, 1), 255, np.uint8)
    augment = parse_augmentation("resizedcrop")
    assert augment is not None
    assert (augment(white, np.zeros(200, int), np.random.default_rng(0), 1)[0] == 255).all()


def drawn_photograph(size: tuple[int, int], orientation: int = 1, kind: str = "JPEG") -> bytes:
    """A smooth picture of this height and width as it is seen; stored on its side for orientations from 5 on."""
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]]
    seen = np.stack((rows * 255 // size[0], columns * 255 // size[1], (rows + columns) % 256), axis=2).astype(np.uint8)
    image = Image.fromarray(seen)
    if orientation == 6:  # turned by 90 degrees clockwise when shown
        image = image.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = BytesIO()
    image.save(file, kind, exif=exif, **({"quality": 95} if kind == "JPEG" else {}))
    return file.getvalue()


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_file_is_cropped_before_it_is_resized(kind: str, orientation: int) -> None:
    content = drawn_photograph((600, 400), orientation, kind)
    boxes = [(0, 0, 600, 400), (0, 0, 40, 30), (500, 350, 100, 50), (100, 20, 333, 350)]
    whole = decode_image(content, "a picture", (600, 400, 3))
    for top, left, height, width in boxes:
        box_of = {(600, 400): (top, left, height, width)}  # asked for the size as it is seen, and no other
        found = decode_image(content, "a picture", (32, 32, 3), part=lambda *size, of=box_of: of[size])
        box = (left, top, left + width, top + height)
        expected = np.asarray(Image.fromarray(whole).resize((32, 32), Image.Resampling.BILINEAR, box)).astype(int)
        # A JPEG may be decoded at a fraction of its size; the third channel has edges of 255 levels.
        assert np.abs(found[..., :2].astype(int) - expected[..., :2]).max() <= (6 if kind == "JPEG" else 0)


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_image_is_cropped_strip_by_strip(orientation: int, monkeypatch: pytest.MonkeyPatch) -> None:
    content, box = drawn_photograph((300, 200), orientation, "PNG"), (17, 33, 101, 54)
    whole = decode_image(content, "a picture", (20, 30, 3), part=lambda *size: box)
    monkeypatch.setattr("rot180.data.opaque.LARGE", 1000)
    monkeypatch.setattr("rot180.data.opaque.STRIP", 2000)
    strips = decode_image(content, "a picture", (20, 30, 3), part=lambda *size: box)
    assert np.abs(strips.astype(int) - whole).max() <= 1


def test_files_are_cropped_from_their_originals(tmp_path: Path) -> None:
    """A hundredth of a photograph of 400 x 600 is 40 x 60 pixels, but only 3 x 3 of its reduction to 32 x 32."""
    pixels = GENERATOR.integers(0, 2, (400, 600), dtype=np.uint8) * 255  # noise, which any reduction averages
    Image.fromarray(pixels).save(tmp_path / "noise.png")
    images = LazyImages([EncodedImage("noise.png", tmp_path / "noise.png", 0)] * 40, (32, 32, 1))
    augment = parse_augmentation("resizedcrop:0.01")
    assert augment is not None
    labels = np.zeros(40, int)
    fine, _ = augment(images, labels, np.random.default_rng(0), 1)
    coarse, _ = augment(images[np.arange(40)], labels, np.random.default_rng(0), 1)
    assert fine.std((1, 2)).max() > 2 * coarse.std((1, 2)).max()
    again, _ = augment(images, labels, np.random.default_rng(0), 1)
    np.testing.assert_array_equal(fine, again)
    reordered, _ = augment(images, labels, np.random.default_rng(0), 1, chosen=np.arange(40)[::-1])
    np.testing.assert_array_equal(fine, reordered)  # all files are the same: the parts are those of the places


def test_training_crops_the_originals_and_is_the_same_for_any_workers(tmp_path: Path) -> None:
    from rot180.data.options import ImageOptions

    for number in range(24):
        path = tmp_path / "train" / str(number % 2) / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(drawn_photograph((60 + number, 90 - number)))
    data = rot180.load_data(tmp_path, ImageOptions(size=(16, 16), keeps_files=True))
    assert isinstance(data.train_images, LazyImages)
    kept = rot180.load_data(tmp_path, ImageOptions(size=(16, 16)))

    def weights(some: rot180.Dataset, workers: int) -> np.ndarray:
        model = rot180.network("16x16x3 > fc2")
        rot180.fit(model, some, augment="resizedcrop,altflip", epochs=2, batch_size=5, workers=workers, engine="numpy")
        return model.parameters["fc1.weight"]

    first = weights(data, 0)
    np.testing.assert_array_equal(first, weights(data, 1))
    np.testing.assert_array_equal(first, weights(data, 3))
    assert (first != weights(kept, 0)).any()
