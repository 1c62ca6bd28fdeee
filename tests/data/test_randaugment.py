"""RandAugment and TrivialAugment: every operation against Pillow, what is drawn, and what is made of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from rot180.data.augment import parse_augmentation
from rot180.data.augment.look import Look
from rot180.data.augment.pixel_operations import PIXEL_OPERATIONS, in_levels
from rot180.data.augment.policies import Drawn, strengths
from rot180.data.augment.warp import then, warp

LOOK = Look(0, 255, "black")
GENERATOR = np.random.default_rng(0)


def photographs(channels: int) -> np.ndarray:
    """Smooth images, dark, bright and flat ones among them, as (12, 20, 24, C) uint8."""
    coarse = GENERATOR.integers(0, 256, (9, 5, 6, channels), dtype=np.uint8)
    smooth = [np.asarray(Image.fromarray(one.squeeze()).resize((24, 20), Image.Resampling.BICUBIC)) for one in coarse]
    images = np.stack(smooth).reshape(9, 20, 24, channels)
    images[1] //= 3
    images[2] = 255 - images[2] // 5
    flat, two = np.full((1, 20, 24, channels), 77, np.uint8), np.where(images[:1] > 128, np.uint8(200), np.uint8(10))
    return np.concatenate([images, flat, two, np.zeros_like(flat)])


PILLOW: dict[str, Callable[[Image.Image, float], Image.Image]] = {
    "brightness": lambda image, change: ImageEnhance.Brightness(image).enhance(1 + change),
    "color": lambda image, change: ImageEnhance.Color(image).enhance(1 + change),
    "contrast": lambda image, change: ImageEnhance.Contrast(image).enhance(1 + change),
    "sharpness": lambda image, change: ImageEnhance.Sharpness(image).enhance(1 + change),
    "posterize": lambda image, bits: ImageOps.posterize(image, round(bits)),
    "solarize": lambda image, threshold: ImageOps.solarize(image, threshold),  # type: ignore[arg-type]
    "autocontrast": lambda image, _: ImageOps.autocontrast(image),
    "equalize": lambda image, _: ImageOps.equalize(image),
}


def test_every_operation_that_leaves_pixels_where_they_are_has_a_reference() -> None:
    geometric = {"identity", "shear_x", "shear_y", "translate_x", "translate_y", "rotate"}
    assert set(strengths(8, 8)) == {*PIXEL_OPERATIONS, *geometric} == {*PILLOW, *geometric}
    assert len(strengths(8, 8)) == 14


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", PIXEL_OPERATIONS)
def test_operations_are_those_of_pillow_to_the_bit(name: str, channels: int) -> None:
    images = photographs(channels)
    for strength in {
        "posterize": (1, 4, 7, 8),
        "solarize": (0.0, 100.5, 128, 255),
        "autocontrast": (0.0,),
        "equalize": (0.0,),
    }.get(name, (-1.0, -0.9, -0.27, 0.0, 0.27, 0.9, 0.99)):
        given = np.full(len(images), strength, float)
        found = in_levels(PIXEL_OPERATIONS[name], images, given, LOOK)
        for image, ours in zip(images, found, strict=True):
            theirs = np.asarray(PILLOW[name](Image.fromarray(image.squeeze()), strength)).reshape(image.shape)
            np.testing.assert_array_equal(ours, theirs, err_msg=f"{name} {strength}")


def test_each_image_has_its_own_strength() -> None:
    images = photographs(3)
    strength = np.linspace(-0.9, 0.9, len(images))
    found = in_levels(PIXEL_OPERATIONS["contrast"], images, strength, LOOK)
    for image, ours, change in zip(images, found, strength, strict=True):
        np.testing.assert_array_equal(ours, np.asarray(PILLOW["contrast"](Image.fromarray(image), change)))


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (2, 3)])
@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_small_images_and_any_channels(shape: tuple[int, int], channels: int) -> None:
    images = GENERATOR.integers(0, 256, (200, *shape, channels), dtype=np.uint8)
    for text in ("randaugment:3:20", "trivialaugment"):
        augment = parse_augmentation(text)
        assert augment is not None
        found, _ = augment(images, np.zeros(200, int), np.random.default_rng(0), 1)
        assert (found.shape, found.dtype) == (images.shape, np.uint8)


@pytest.mark.parametrize(("name", "strength"), [("translate_x", 3.0), ("translate_y", -2.0), ("rotate", 90.0)])
def test_movements_by_whole_pixels(name: str, strength: float) -> None:
    image = GENERATOR.integers(1, 256, (1, 9, 9, 3), dtype=np.uint8)
    found = moved(image, name, strength)
    if name == "translate_x":  # the pixel at column j is that from column j + 3
        np.testing.assert_array_equal(found[:, :, :-3], image[:, :, 3:])
        assert not found[:, :, -3:].any()
    elif name == "translate_y":
        np.testing.assert_array_equal(found[:, 2:], image[:, :-2])
        assert not found[:, :2].any()
    else:
        np.testing.assert_array_equal(found, np.rot90(image, axes=(1, 2)))


@pytest.mark.parametrize(
    ("name", "strength", "coefficients"),
    [
        ("shear_x", 0.3, (1, 0.3, 0, 0, 1, 0)),
        ("shear_y", -0.2, (1, 0, 0, -0.2, 1, 0)),
        ("translate_x", 2.25, (1, 0, 2.25, 0, 1, 0)),
        ("rotate", 25.0, None),
    ],
)
def test_movements_are_those_of_pillow_about_the_center(
    name: str, strength: float, coefficients: tuple[float, ...] | None
) -> None:
    (image,) = photographs(1)[:1]
    picture = Image.fromarray(image[..., 0])
    if coefficients is None:
        expected = picture.rotate(strength, Image.Resampling.BILINEAR)
    else:
        a, b, c, d, e, f = coefficients
        middle = (12.0, 10.0)
        centered = (
            a, b, c + middle[0] - a * middle[0] - b * middle[1], d, e, f + middle[1] - d * middle[0] - e * middle[1],
        )  # fmt: skip
        expected = picture.transform(picture.size, Image.Transform.AFFINE, centered, Image.Resampling.BILINEAR)
    inside = np.s_[4:-4, 6:-6]  # the outermost half pixel is filled differently
    difference = moved(image[np.newaxis], name, strength)[0, ..., 0].astype(int) - np.asarray(expected)
    assert np.abs(difference[inside]).max() <= 1


def moved(images: np.ndarray, name: str, strength: float) -> np.ndarray:
    drawn = only(name, strength, images.shape)
    return warp(images, drawn.transformations(), LOOK)


def only(name: str, strength: float, shape: tuple[int, ...]) -> Drawn:
    """Operations that are all of one name and strength."""
    drawn = Drawn(np.random.default_rng(0), shape, 1, 9)
    drawn._chosen[:] = list(strengths(1, 1)).index(name)
    drawn._strength[:] = strength
    return drawn


def test_two_movements_are_one_resampling() -> None:
    drawn = only("rotate", 20, (1, 9, 9, 1)).transformations(), only("translate_x", 4, (1, 9, 9, 1)).transformations()
    image = np.zeros((1, 41, 41, 1), np.float32)
    image[0, 20, 20] = 1
    # Rotating leaves the middle where it is, and the translation then moves it; the other way it would turn around.
    found = warp(image, then(*drawn), Look(0, 1, "black"))
    assert found[0, 20, 16, 0] == pytest.approx(1, abs=1e-5)


def test_operations_are_drawn_equally_often_and_their_signs_too() -> None:
    drawn = Drawn(np.random.default_rng(0), (7000, 32, 32, 3), 2, 15)
    counts = Counter(drawn._chosen.ravel().tolist())
    assert len(counts) == 14
    assert all(abs(count - 1000) < 130 for count in counts.values())  # 4 standard deviations
    table = strengths(32, 32)
    for name, (weakest, strongest, is_signed) in table.items():
        found = drawn._strength[drawn._chosen == list(table).index(name)]
        half = (weakest + strongest) / 2
        assert set(np.abs(found).round(6)) == {round(half, 6)}
        assert abs((found > 0).mean() - 0.5) < 0.07 if is_signed else (found == half).all()


def test_trivialaugment_draws_one_operation_and_any_magnitude() -> None:
    drawn = Drawn(np.random.default_rng(0), (7000, 32, 32, 3))
    table = strengths(32, 32, is_trivial=True)
    found = drawn._strength[drawn._chosen == list(table).index("rotate")]
    assert drawn._chosen.shape == (7000, 1)
    assert np.unique(np.abs(found).round(6)).size == 31
    assert np.abs(found).max() == 135
    assert abs(np.abs(found).mean() - 67.5) < 7
    bits = np.rint(drawn._strength[drawn._chosen == list(table).index("posterize")])
    assert (bits.min(), bits.max()) == (2, 8)


def test_order_of_operations_is_the_order_in_which_they_were_drawn() -> None:
    images = photographs(3)
    augment = Drawn(np.random.default_rng(0), images.shape, 2, 20)
    names = list(strengths(1, 1))
    augment._chosen[:] = [names.index("equalize"), names.index("solarize")]
    augment._strength[:] = [0, 100]
    expected = [ImageOps.solarize(ImageOps.equalize(Image.fromarray(image)), 100) for image in images]
    np.testing.assert_array_equal(augment.alter(images.copy(), LOOK), np.stack([np.asarray(one) for one in expected]))


def test_images_do_not_depend_on_those_beside_them() -> None:
    """Work is done operation by operation; each image comes out as if it were alone."""
    images = GENERATOR.integers(0, 256, (40, 90, 90, 3), dtype=np.uint8)
    drawn = Drawn(np.random.default_rng(3), images.shape, 2, 12)
    together = drawn.alter(images.copy(), LOOK)
    for image in range(0, 40, 7):
        alone = Drawn(np.random.default_rng(0), (1, 90, 90, 3), 2, 12)
        alone._chosen, alone._strength = drawn._chosen[image : image + 1], drawn._strength[image : image + 1]
        np.testing.assert_array_equal(alone.alter(images[image : image + 1].copy(), LOOK)[0], together[image])
