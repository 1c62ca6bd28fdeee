"""Augmentation: what each step does, that it repeats, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import rot180
from rot180.data.augment import STEPS, WITH_BORDER, parse_augmentation
from rot180.errors import ArgumentError, ShapeError
from rot180.training.streams import epoch_flips

GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.integers(0, 256, (24, 12, 10, 3), dtype=np.uint8)
LABELS = GENERATOR.integers(0, 4, 24)


def altered(
    text: str, images: np.ndarray = IMAGES, seed: int = 1, limits: tuple[float, float] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    augment = parse_augmentation(text)
    assert augment is not None
    return augment(images, np.resize(LABELS, len(images)), np.random.default_rng(seed), 4, limits)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("name", STEPS)
def test_every_step_repeats_with_its_seed_and_keeps_shape_type_and_input(name: str, dtype: type) -> None:
    images = (IMAGES / 255).astype(dtype) if dtype == np.float32 else IMAGES.astype(dtype)
    before = images.copy()
    found, labels = altered(name, images)
    assert (found.shape, found.dtype) == (images.shape, dtype)
    assert (found != images).any()
    np.testing.assert_array_equal(images, before)
    np.testing.assert_array_equal(found, altered(name, images)[0])
    assert (found != altered(name, images, seed=2)[0]).any()
    assert labels.shape == ((24, 4) if name in ("mixup", "cutmix") else (24,))
    assert found.min() >= 0
    assert found.max() <= (1 if dtype == np.float32 else np.iinfo(dtype).max)


def test_shift_moves_and_fills_with_black() -> None:
    white = np.full((50, 6, 6, 1), 255, np.uint8)
    found = altered("shift:2", white)[0]
    blacks = {(int((image[:, 3] == 0).sum()), int((image[3] == 0).sum())) for image in found}
    assert len(blacks) > 5
    assert max(max(pair) for pair in blacks) == 2
    for image in found:
        rows, columns = (image[..., 0] > 0).any(1).sum(), (image[..., 0] > 0).any(0).sum()
        assert (image > 0).sum() == rows * columns  # what is left is a rectangle


def test_crop_shows_only_what_was_there() -> None:
    found = altered("crop:4,border:reflect")[0]
    for image, original in zip(found, IMAGES, strict=True):
        assert set(map(tuple, image.reshape(-1, 3))) <= set(map(tuple, original.reshape(-1, 3)))


def test_flip_mirrors_about_half() -> None:
    found = altered("flip")[0]
    mirrored = [np.array_equal(image, original[:, ::-1]) for image, original in zip(found, IMAGES, strict=True)]
    same = [np.array_equal(image, original) for image, original in zip(found, IMAGES, strict=True)]
    assert sum(mirrored) + sum(same) == 24
    assert 6 <= sum(mirrored) <= 18
    np.testing.assert_array_equal(altered("flip:1")[0], IMAGES[:, :, ::-1])


def test_rotation_by_nothing_is_nothing_and_a_turn_keeps_the_middle() -> None:
    np.testing.assert_array_equal(altered("rotate:0.0001")[0], IMAGES)
    dot = np.zeros((24, 11, 11, 1), np.uint8)
    dot[:, 5, 5] = 255
    assert (altered("rotate:90", dot)[0][:, 5, 5] == 255).all()


def test_scale_changes_the_area() -> None:
    square = np.zeros((24, 21, 21, 1), np.uint8)
    square[:, 7:14, 7:14] = 255
    areas = altered("scale:0.5", square)[0].sum((1, 2, 3)) / 255 / 49
    assert areas.min() < 0.75
    assert areas.max() > 1.5
    assert areas.min() > 1 / 2.6
    assert areas.max() < 2.6


def test_elastic_moves_by_about_so_many_pixels() -> None:
    from rot180.data.augment.warp import elastic_field

    field = elastic_field(200, 28, 28, 1.5, generator=np.random.default_rng(0))
    assert field.std() == pytest.approx(1.5, rel=0.05)
    assert np.abs(np.diff(field, axis=2)).mean() < 0.5  # neighbors move together


def test_brightness_and_contrast() -> None:
    gray = np.full((24, 4, 4, 1), 100, np.uint8)
    np.testing.assert_array_equal(altered("contrast:0.5", gray)[0], gray)  # nothing to spread
    bright = altered("brightness:0.2", gray)[0]
    assert all(len(np.unique(image)) == 1 for image in bright)
    assert abs(bright.astype(int) - 100).max() <= 51


def striped(count: int, height: int, width: int) -> np.ndarray:
    """Return images of black and white columns, whose mean, 127.5, is rounded to 128, the nearest even number."""
    images = np.zeros((count, height, width, 1), np.uint8)
    images[:, :, ::2] = 255
    return images


def test_cutout_covers_at_most_its_square() -> None:
    covered = (altered("cutout:5", striped(24, 12, 12))[0] == 128).sum((1, 2, 3))
    assert covered.max() == 25
    assert covered.min() >= 4


@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
@pytest.mark.parametrize("text", ["cutout:3", "erase:1"])
def test_what_is_covered_has_the_mean_color_of_its_image(text: str, dtype: type) -> None:
    images = IMAGES.astype(dtype)
    found = altered(text, images, limits=(0, 255))[0]
    changed = (found != images).any(3)
    assert changed.any((1, 2)).all()
    for image, original, where in zip(found, images, changed, strict=True):
        mean = original.mean((0, 1))
        expected = np.broadcast_to(np.rint(mean) if dtype == np.uint8 else mean, image[where].shape)
        np.testing.assert_allclose(image[where], expected, rtol=1e-6)


def test_mixup_mixes_labels_as_it_mixes_images() -> None:
    images = np.zeros((24, 2, 2, 4), np.float32)
    images[np.arange(24), :, :, LABELS] = 1  # the image is its label
    found, probabilities = altered("mixup:1", images)
    np.testing.assert_allclose(found[:, 0, 0], probabilities, atol=1e-6)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-6)


def test_erase_covers_a_rectangle_of_random_size() -> None:
    images = striped(2000, 30, 40)
    covered = altered("erase:0.25", images)[0][..., 0] == 128
    is_erased = covered.any((1, 2))
    assert 0.2 < is_erased.mean() < 0.3
    areas, rows, columns = covered.sum((1, 2)), covered.any(2).sum(1), covered.any(1).sum(1)
    np.testing.assert_array_equal(areas, rows * columns)
    shares = areas[is_erased] / 1200
    assert shares.min() < 0.05
    assert 0.28 < shares.max() < 0.36
    assert shares.mean() == pytest.approx((0.02 + 1 / 3) / 2, abs=0.02)
    ratios = rows[is_erased] / columns[is_erased]
    assert 0.2 < ratios.min() < 0.5
    assert 2 < ratios.max() < 4.5
    assert (altered("erase:1", images)[0] == 128).any((1, 2, 3)).all()


def test_alternating_flips_mirror_each_image_every_other_epoch() -> None:
    images = np.arange(100 * 4, dtype=np.uint16).reshape(100, 1, 4, 1)
    augment = parse_augmentation("altflip")
    assert augment is not None
    chosen = np.random.default_rng(0).permutation(100)[:60]
    seen = []
    for epoch in range(4):
        flips = epoch_flips(7, epoch, 100)
        found, _ = augment(images, np.zeros(100, int), np.random.default_rng(epoch), 1, chosen=chosen, flips=flips)
        mirrored = (found[:, 0, 0, 0] > found[:, 0, 3, 0]).tolist()
        np.testing.assert_array_equal(mirrored, flips[chosen])
        seen.append(mirrored)
    assert seen[0] == seen[2] == [not flag for flag in seen[1]] == [not flag for flag in seen[3]]
    assert 15 < sum(seen[0]) < 45
    assert seen[0] != epoch_flips(8, 0, 100)[chosen].tolist()


@pytest.mark.parametrize("text", ["none", " none "])
def test_none_is_no_augmentation(text: str) -> None:
    assert parse_augmentation(text) is None


def test_order_in_the_text_does_not_matter() -> None:
    np.testing.assert_array_equal(altered("flip, shift:2")[0], altered("shift:2,flip")[0])
    assert str(parse_augmentation("flip,shift")) == "shift:2,flip:0.5"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("shft:2", "no augmentation is called 'shft'; did you mean 'shift'"),
        ("", "no augmentation is called ''"),
        ("flip,flip", "flip is given twice"),
        ("flip:2", r"above 0 and at most 1 .*got '2'"),
        ("rotate:nan", "above 0 and at most 180"),
        ("rotate:x", "got 'x'"),
        ("shift:1.5", r"takes a whole number \(shift by up to this many pixels\); got '1.5'"),
        ("scale:1", "at most 0.9"),
        ("shift,border:mirror", r"the border is black or reflect, as in border:reflect; got 'border:mirror'"),
        ("shift,border", "got 'border'"),
        ("shift,border:black,border:black", "the augmentation border is given twice"),
        (
            "flip,border:reflect",
            "border has an effect only with rotate, scale, elastic, shift, crop, randaugment, trivialaugment; add one",
        ),
        ("shift,boder:reflect", "did you mean 'border'"),
        ("flip:0.5:1", r"flip takes one number \(flip left to right with this probability\); got '0.5:1'"),
        ("altflip:1", "altflip takes no number .*got '1'"),
        ("randaugment:2:9:1", "randaugment takes at most two numbers"),
        ("randaugment:1.5", r"randaugment takes a whole number .*got '1.5'"),
        ("randaugment:15", "above 0 and at most 14 .*got '15'"),
        ("randaugment:2:31", "above 0 and at most 30 .*got '31'"),
        ("randaugment:2:", "above 0 and at most 30 .*got ''"),
        ("resizedcrop:1.1", "above 0 and at most 1 "),
        ("cutmix:-1", "above 0 and at most 10 .*got '-1'"),
        ("cutmx", "did you mean 'cutmix'"),
        ("altflip,flip", "flip and altflip exclude each other; give one of them"),
        ("trivialaugment,randaugment", "randaugment and trivialaugment exclude each other"),
        ("flip,none", "no augmentation is called 'none'; none stands alone"),
        ("nine", "did you mean 'none'"),
    ],
)
def test_what_cannot_be_read(text: str, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        parse_augmentation(text)


@pytest.mark.parametrize("augment", ["shift:1,rotate:5", "mixup"])
def test_training_with_it_is_the_same_for_any_workers(augment: str) -> None:
    data = rot180.load_data("digits").limit(200)

    def weights(workers: int) -> np.ndarray:
        model = rot180.network("8x8x1 > fc10")
        rot180.fit(model, data, epochs=2, augment=augment, workers=workers, seed=3, engine="numpy")
        return model.parameters["fc1.weight"]

    first = weights(0)
    np.testing.assert_array_equal(first, weights(1))
    np.testing.assert_array_equal(first, weights(4))
    plain = rot180.network("8x8x1 > fc10")
    rot180.fit(plain, data, epochs=2, seed=3, engine="numpy")
    assert (plain.parameters["fc1.weight"] != first).any()


def test_only_images_can_be_altered() -> None:
    with pytest.raises(ShapeError, match=r"augmentation needs images \(N, H, W, C\)"):
        rot180.fit(rot180.network("4 > fc2"), (np.zeros((4, 4)), np.zeros(4, int)), augment="flip")


LEVELED = ("randaugment", "trivialaugment")
"""Steps that work in 256 levels."""

STEPS_AND_BORDERS = [*STEPS, *(f"{name},border:reflect" for name in WITH_BORDER)]


@pytest.mark.parametrize(
    ("black", "white", "dtype"),
    [(0, 255, np.float32), (0, 16, np.uint8), (0, 4095, np.uint16), (-1, 1, np.float32), (-2.5, 3, float)],
)
@pytest.mark.parametrize("text", STEPS_AND_BORDERS)
def test_any_range_is_altered_alike(text: str, black: float, white: float, dtype: type) -> None:
    """What comes out in other units is what comes out of floats in 0 to 1, in those units."""
    images = IMAGES // 16 / 15 if white == 16 else IMAGES / 255
    expected, _ = altered(text, images)
    scaled = images * (white - black) + black
    scaled = np.rint(scaled) if np.issubdtype(dtype, np.integer) else scaled
    found, _ = altered(text, scaled.astype(dtype), limits=(black, white))
    difference = np.abs(found - (expected * (white - black) + black))
    whole = np.issubdtype(dtype, np.integer)
    if text.startswith(LEVELED):
        # They work in 256 levels: a rounding may fall to either side of a level that `posterize` tells apart.
        assert np.mean(difference > max((white - black) / 100, whole)) < (0.05 if white == 16 else 0.01)
    else:
        assert difference.max() <= (2 if whole else 2e-5 * (white - black))
    assert found.min() >= black
    assert found.max() <= white


@pytest.mark.parametrize("text", STEPS)
def test_floats_to_255_keep_their_range_without_being_told(text: str) -> None:
    found = altered(text, IMAGES.astype(np.float32))[0]
    assert found.max() > 200
    assert len(np.unique(found)) > 100


@pytest.mark.parametrize("name", WITH_BORDER)
def test_black_moves_in_unless_the_border_is_mirrored(name: str) -> None:
    white = np.full((24, 12, 10, 1), 255, np.uint8)
    strong = {"scale": "scale:0.5", "elastic": "elastic:4"}.get(name, name)
    assert (altered(strong, white)[0] < 128).any()
    mirrored = altered(f"{strong},border:reflect", white)[0]
    if name in LEVELED:  # which also darken and invert whole images
        assert (mirrored == mirrored[:, :1, :1]).all()
    else:
        assert (mirrored == 255).all()
    assert str(parse_augmentation(f"border:reflect,{name}")).endswith(",border:reflect")


def test_a_mirrored_shift_shows_the_mirror_image() -> None:
    images = np.arange(1, 11, dtype=np.uint8).reshape(1, 1, 10, 1).repeat(24, 0)
    rows = {tuple(row) for row in altered("shift:2,border:reflect", images)[0][:, 0, :, 0].tolist()}
    assert (2, 1, *range(1, 9)) in rows
    assert (*range(3, 11), 10, 9) in rows


def test_training_augments_in_the_range_of_the_data() -> None:
    data = rot180.load_data("digits").limit(300)

    def weights(images: np.ndarray) -> np.ndarray:
        model = rot180.network("8x8x1 > fc10")
        rot180.fit(model, (images, data.train_labels), augment="rotate:5,brightness", engine="numpy")
        return model.parameters["fc1.weight"]

    expected = weights(data.train_images / 255)
    np.testing.assert_allclose(weights(data.train_images.astype(float)), expected, atol=1e-5)
