"""Preprocessing: each kind, constant images, what JSON holds."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest

from rot180.errors import ArgumentError, ShapeError
from rot180.nn import Preprocessing


def stored(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scale(dtype: Any) -> None:
    images = stored(3, 4, 5, 2)
    scaled = Preprocessing()(images, dtype)
    assert scaled.dtype == dtype
    np.testing.assert_array_equal(scaled, images.astype(dtype) / dtype(255))
    np.testing.assert_array_equal(Preprocessing()(images.astype(np.uint16) * 257, dtype), scaled)
    np.testing.assert_array_equal(Preprocessing()(images > 127, dtype), images > 127)


def test_floats_stay() -> None:
    images = np.full((1, 2, 2, 1), 7, np.float32)
    assert Preprocessing()(images) is images


def test_images_without_channels_get_one_and_rows_stay_rows() -> None:
    assert Preprocessing()(stored(3, 4, 5)).shape == (3, 4, 5, 1)
    assert Preprocessing("image")(stored(3, 20)).shape == (3, 20)


def test_none_only_converts() -> None:
    images = stored(2, 3, 3, 1)
    np.testing.assert_array_equal(Preprocessing("none")(images), images)
    assert Preprocessing("none")(images.astype(np.int64)).dtype == np.float32


def test_image_brings_each_to_mean_zero_and_deviation_one() -> None:
    normalized = Preprocessing("image")(stored(3, 6, 5, 2))
    assert normalized.dtype == np.float32
    np.testing.assert_allclose(normalized.mean((1, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(normalized.std((1, 2, 3)), 1, atol=1e-6)


@pytest.mark.parametrize("value", [0, 1, 77, 255])
def test_a_constant_image_becomes_zeros(value: int) -> None:
    images = stored(2, 28, 28, 1)
    images[0] = value
    normalized = Preprocessing("image")(images)
    assert not normalized[0].any()
    assert normalized[1].any()


def test_dataset_uses_the_training_images() -> None:
    images = stored(1500, 3, 2, 2)
    images[..., 1] = 9
    preprocessing = Preprocessing.of_dataset(images)
    scaled = images / 255
    np.testing.assert_allclose(preprocessing.mean, scaled.mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(preprocessing.std, [scaled[..., 0].std(), 1], rtol=1e-12)
    normalized = preprocessing(images, np.float64)
    np.testing.assert_allclose(normalized.mean((0, 1, 2)), 0, atol=1e-12)
    assert normalized[..., 0].std() == pytest.approx(1)
    assert not normalized[..., 1].any()


def test_it_survives_json() -> None:
    for preprocessing in (
        Preprocessing(), Preprocessing("image"), Preprocessing("none"), Preprocessing("dataset", (0.1, 0.2), (1, 0.5)),
    ):  # fmt: skip
        assert Preprocessing.from_dict(json.loads(json.dumps(preprocessing.to_dict()))) == preprocessing


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Preprocessing("scaled"), "unknown preprocessing 'scaled'; did you mean 'scale'?"),
        (lambda: Preprocessing("scale", mean=(1,)), "mean and std are only for the preprocessing 'dataset'"),
        (lambda: Preprocessing("dataset"), "the preprocessing 'dataset' needs mean, a finite number for each channel"),
        (lambda: Preprocessing("dataset", (float("inf"),), (1,)), "needs mean, a finite number"),
        (lambda: Preprocessing("dataset", (1, 2), (1,)), "one number per channel"),
        (lambda: Preprocessing("dataset", (1,), (0,)), "each std above 0"),
        (lambda: Preprocessing.of_dataset(stored(0, 2, 2, 1)), "needs at least one image"),
        (lambda: Preprocessing.from_dict(["scale"]), "a preprocessing must be a table with 'kind'"),
        (lambda: Preprocessing.from_dict({"knid": "scale"}), "a preprocessing has no 'knid'; did you mean 'kind'?"),
        (lambda: Preprocessing()(stored(1, 2, 2, 1), np.int32), "dtype must be float32 or float64"),
        (lambda: Preprocessing()(stored(1, 2, 2, 1), None), "dtype must be float32 or float64; it is None"),
        (lambda: Preprocessing()(stored(1, 2, 2, 1) - np.int64(256)), "images must be integers from 0 to 255"),
        (lambda: Preprocessing()(np.array([["a"]])), "images must be numbers, an array"),
    ],
)
def test_what_cannot_be_is_answered(make: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=re.escape(message)):
        make()


def test_shapes_that_are_no_batch_or_of_other_channels() -> None:
    with pytest.raises(ShapeError, match=r"images must be a batch .* they are \(5,\)"):
        Preprocessing()(stored(5))
    with pytest.raises(ShapeError, match=r"mean and std are for 3 channels; the images .* have 2"):
        Preprocessing("dataset", (0, 0, 0), (1, 1, 1))(stored(1, 4, 4, 2))
