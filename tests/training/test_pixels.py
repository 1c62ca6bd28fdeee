"""Pixels of other ranges, and pixels, weights and outputs that are not finite, in fit, evaluate and predict."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest

import rot180
from rot180 import ArgumentError, DataError, Dataset, NonFiniteError, Sequential
from rot180.nn.pixel_range import PixelRange

DIGITS = rot180.load_data("digits")
ENGINES = ("auto", "numpy")


def train(images: np.ndarray, engine: str = "numpy", **options) -> Sequential:
    model = rot180.network("8x8x1 > conv3x3:4 relu maxpool2 > fc10")
    options = {"lr": 0.02, **options}
    rot180.fit(model, (images, DIGITS.train_labels), epochs=2, batch_size=16, engine=engine, **options)
    return model


@pytest.fixture(scope="module")
def model() -> Sequential:
    return train(DIGITS.train_images)


def accuracy(model: Sequential, images: np.ndarray) -> float:
    return rot180.evaluate(model, images, DIGITS.test_labels, engine="numpy").accuracy


def test_the_same_digits_in_other_units_are_read_alike(model: Sequential) -> None:
    test = DIGITS.test_images
    expected = rot180.predict(model, test, engine="numpy")
    assert accuracy(model, test) > 0.85
    for same in (test.astype(np.uint16), test.astype(np.uint16) * 257, test.astype(np.int64), test.astype(np.float32),
                 test / 255, (test / 255).astype(np.float32)):  # fmt: skip
        np.testing.assert_allclose(rot180.predict(model, same, engine="numpy"), expected, atol=2e-6)


@pytest.mark.parametrize("scale", [1 / 255, 16 / 255])
def test_digits_that_are_nearly_black_are_refused(model: Sequential, scale: float) -> None:
    dark = np.rint(DIGITS.test_images * scale).astype(np.uint8)
    with pytest.raises(ArgumentError, match=r"trained on integers from 0 to 255; these are uint8 from 0 to"):
        accuracy(model, dark)
    with pytest.raises(ArgumentError, match=r"trained on integers from 0 to 255; these are uint8 from 0 to"):
        rot180.fit(model, (dark, DIGITS.test_labels))


@pytest.mark.parametrize(
    ("high", "dtype"),
    [(16, np.uint8), (16, np.int64), (1, np.uint8), (4095, np.uint16), (255, np.float32), (16, float)],
)
def test_training_in_any_range_works_as_well(model: Sequential, high: int, dtype: type) -> None:
    other = train(np.rint(DIGITS.train_images / 255 * high).astype(dtype))
    assert other.preprocessing.pixels is not None
    assert other.preprocessing.pixels.high == high
    assert accuracy(other, np.rint(DIGITS.test_images / 255 * high).astype(dtype)) > 0.8


def test_ordinary_images_keep_their_bits() -> None:
    """uint8 and floats in 0 to 1 are what they were before ranges were kept: images / 255, and untouched."""
    kept = train(DIGITS.train_images)
    scaled = train(DIGITS.train_images.astype(np.float32) / np.float32(255))
    by_hand = rot180.network("8x8x1 > conv3x3:4 relu maxpool2 > fc10")
    by_hand.preprocessing = rot180.Preprocessing("none")
    images = DIGITS.train_images.astype(np.float32) / np.float32(255)
    rot180.fit(by_hand, (images, DIGITS.train_labels), epochs=2, batch_size=16, lr=0.02, engine="numpy")
    for name, w in kept.parameters.items():
        assert w.tobytes() == scaled.parameters[name].tobytes() == by_hand.parameters[name].tobytes()


def test_floats_to_255_for_a_model_of_floats_to_1() -> None:
    model = train((DIGITS.train_images / 255).astype(np.float32))
    with pytest.raises(ArgumentError, match=r"floats from 0 to 1; .* float32 from 0 to 255; divide them by 255"):
        accuracy(model, DIGITS.test_images.astype(np.float32))
    validation = DIGITS.test_images.astype(np.float32), DIGITS.test_labels
    with pytest.raises(ArgumentError, match="divide them by 255"):
        rot180.fit(model, (DIGITS.train_images, DIGITS.train_labels), validation=validation)


def test_both_parts_of_a_data_set_are_in_one_range() -> None:
    def dataset(test: np.ndarray) -> Dataset:
        return Dataset("both", DIGITS.train_images, DIGITS.train_labels, test, DIGITS.test_labels, DIGITS.class_names)

    assert dataset(DIGITS.test_images / 255)
    with pytest.raises(
        DataError, match=r"both: in the test images: .*the training images are integers from 0 to 255; these"
    ):
        dataset(DIGITS.test_images // 16)


def test_a_range_is_saved_and_a_file_without_one_goes_by_the_type(model: Sequential, tmp_path) -> None:
    rot180.save_model(tmp_path / "a.safetensors", model)
    loaded = rot180.load_model(tmp_path / "a.safetensors")
    assert loaded.preprocessing == model.preprocessing
    assert loaded.preprocessing.pixels == PixelRange(0, 255, floats=False)
    loaded.preprocessing = rot180.Preprocessing()
    rot180.save_model(tmp_path / "old.safetensors", loaded)
    old = rot180.load_model(tmp_path / "old.safetensors")
    assert old.preprocessing.pixels is None
    assert accuracy(old, DIGITS.test_images) == accuracy(model, DIGITS.test_images)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_pixel_that_is_not_finite(model: Sequential, engine: str, value: float) -> None:
    images = (DIGITS.test_images / 255).astype(np.float32)
    images[7:107] = value
    message = "100 of 362 images contain infinity or NaN, the first is image 7"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for ask in (
            lambda: rot180.evaluate(model, images, DIGITS.test_labels, engine=engine),
            lambda: rot180.predict(model, images, engine=engine),
            lambda: rot180.fit(model, (images, DIGITS.test_labels), engine=engine),
            lambda: rot180.fit(
                model, (DIGITS.train_images, DIGITS.train_labels), validation=(images, DIGITS.test_labels)
            ),
        ):
            with pytest.raises(NonFiniteError, match=message):
                ask()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "fc1.weight",
            np.nan,
            r"image 0: the outputs are not finite: 1 of \d+ values of fc1.weight are infinite or NaN",
        ),
        ("conv1.bias", np.inf, r"image 0: the outputs are not finite: 1 of 4 values of conv1.bias"),
        (
            "fc1.weight",
            3e38,
            r"image \d: the outputs are not finite; the first .* the output of fc1, whose input reaches",
        ),
    ],
)
def test_weights_and_outputs_that_are_not_finite(
    model: Sequential, engine: str, name: str, value: float, message: str, tmp_path
) -> None:
    rot180.save_model(tmp_path / "model.safetensors", model)
    broken = rot180.load_model(tmp_path / "model.safetensors")
    broken.parameters[name][..., 0] = 0
    broken.parameters[name].reshape(-1)[0] = value
    if np.isfinite(value):
        broken.parameters["fc1.weight"][:] = value
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for ask in (
            lambda: rot180.evaluate(broken, DIGITS.test_images, DIGITS.test_labels, engine=engine),
            lambda: rot180.predict(broken, DIGITS.test_images, engine=engine),
        ):
            with pytest.raises(NonFiniteError, match=message) as caught:
                ask()
            assert caught.value.layer == name.partition(".")[0]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("validation", [None, 0.2])
def test_a_training_that_ends_in_infinities_says_so(engine: str, validation: float | None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(NonFiniteError, match=r"epoch 1.*lower .*--lr"):
            train(DIGITS.train_images, engine, optimizer="sgd", lr=1e30, validation=validation)
        model = rot180.network("8x8x1 > fc10")
        images, labels = DIGITS.train_images[:16], DIGITS.train_labels[:16]
        with pytest.raises(NonFiniteError, match=r"epoch 1"):  # a single step, whose update nothing follows
            rot180.fit(model, (images, labels), batch_size=16, optimizer="sgd", lr=3e38, engine=engine,
                       validation=(images, labels))  # fmt: skip


def test_a_model_that_is_not_finite_is_not_saved(tmp_path) -> None:
    model = rot180.network("2x2x1 > fc2").build()
    model.parameters["fc1.bias"][1] = np.nan
    with pytest.raises(NonFiniteError, match=re.escape("save_model") + r".*1 of 2 values of fc1.bias"):
        rot180.save_model(tmp_path / "model.safetensors", model)
    assert not list(tmp_path.iterdir())


def test_validation_images_unlike_the_training_images_are_told() -> None:
    train = DIGITS.train_images[:200], DIGITS.train_labels[:200]
    validation, labels = DIGITS.test_images[:50], DIGITS.test_labels[:50]
    for images, told in ((validation, 0), (255 - validation, 1)):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            rot180.fit(rot180.network("8x8x1 > fc10"), train, epochs=1, validation=(images, labels))
        found = [str(some.message) for some in said if "unlike" in str(some.message)]
        assert len(found) == told, found
        assert all(text.startswith("most validation images are unlike the training images: the back") for text in found)
