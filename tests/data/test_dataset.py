"""The data set: what it accepts, what it refuses, and the split where a source has no test set."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rot180.data.dataset import Dataset
from rot180.data.digits import load_digits
from rot180.data.split import hold_out
from rot180.errors import ArgumentError, DataError


def tiny(**changes):
    images, labels = np.zeros((6, 4, 4, 1), np.uint8), np.array([0, 1, 0, 1, 0, 1], np.uint8)
    parts = {
        "name": "tiny",
        "train_images": images[:4],
        "train_labels": labels[:4],
        "test_images": images[4:],
        "test_labels": labels[4:],
        "class_names": ["cat", "dog"],
    }
    return Dataset(**(parts | changes))


def test_a_good_one_is_kept_as_given():
    data = tiny()
    assert data.class_names == ("cat", "dog")
    assert data.train_labels.dtype == np.int64
    assert data.image_shape == (4, 4, 1)


def test_limit_takes_the_first_training_images_and_leaves_the_test_set():
    data = load_digits()
    limited = data.limit(600)
    np.testing.assert_array_equal(limited.train_images, data.train_images[:600])
    np.testing.assert_array_equal(limited.train_labels, data.train_labels[:600])
    assert limited.test_images is data.test_images
    assert len(data.limit(10**9).train_images) == len(data.train_images)
    with pytest.raises(ArgumentError, match=r"limit: at least one training image.*got 0"):
        data.limit(0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_labels": np.zeros(3, np.int64)}, "train needs as many labels as images; got 4 images and 3 labels"),
        (
            {"test_images": np.zeros((2, 5, 4, 1), np.uint8)},
            r"the same shape \(H, W, C\); got \(4, 4, 1\) and \(5, 4, 1\)",
        ),
        ({"train_images": np.zeros((4, 4, 4), np.uint8)}, r"must be \(N, H, W, C\); got \(4, 4, 4\)"),
        ({"train_images": np.full((4, 4, 4, 1), -1)}, "tiny: train images must be integers from 0 to 255, or to"),
        ({"train_images": np.zeros((4, 4, 4, 1), "S1")}, r"tiny: train images must be numbers, an array"),
        (
            {"test_images": np.full((2, 4, 4, 1), np.nan)},
            "tiny: in the test images: .*; 2 of 2 images contain infinity or NaN",
        ),
        ({"train_labels": [0, [1]]}, "tiny: train labels must be a one-dimensional array of integers; got object"),
        ({"train_labels": None}, "tiny: train labels must be a one-dimensional array of integers; got object"),
        ({"test_labels": np.zeros(2)}, "labels must be a one-dimensional array of integers; got float64"),
        ({"train_labels": np.array([0, 1, 2, 0])}, "must be 0 to 1, .*; got 2 at position 2"),
        ({"train_labels": np.array([0, -1, 1, 0])}, "got -1 at position 1"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(DataError, match=message):
        tiny(**changes)


def test_a_data_set_needs_an_image():
    none = {f"{part}_{what}": getattr(tiny(), f"{part}_{what}")[:0] for part in ("train", "test")
            for what in ("images", "labels")}  # fmt: skip
    with pytest.raises(DataError, match="at least one image"):
        tiny(**none)


def test_every_image_is_there_once():
    data = tiny()
    images, labels = data.every_image()
    np.testing.assert_array_equal(images, np.concatenate([data.train_images, data.test_images]))
    np.testing.assert_array_equal(labels, [*data.train_labels, *data.test_labels])
    alone = replace(data, test_images=data.test_images[:0], test_labels=data.test_labels[:0])
    assert alone.every_image()[0] is data.train_images


def test_hold_out_takes_a_fifth_of_each_class_and_never_all_of_one():
    labels = np.random.default_rng(0).integers(0, 7, 1000)
    test = hold_out(labels)
    for label in range(7):
        of_class = labels == label
        assert (test & of_class).sum() == -(-(of_class.sum() - 1) // 5)
    np.testing.assert_array_equal(test, hold_out(labels))
    assert not hold_out(np.arange(5)).any()
    assert not hold_out(np.array([], int)).size


def test_the_digits_are_all_there_scaled_and_stratified():
    data = load_digits()
    assert data.train_images.dtype == np.uint8
    assert len(data.train_images) + len(data.test_images) == 1797
    assert set(np.unique(data.train_images)) <= {round(count * 255 / 16) for count in range(17)}
    assert data.train_images.max() == 255
    np.testing.assert_allclose(np.bincount(data.test_labels) / np.bincount(data.train_labels), 0.25, atol=0.01)
    # The first digit of the source is a 0 with 15/16 of ink in the tenth row of pixels that has any.
    assert data.train_labels[0] == 0
    assert data.train_images[0, 0, :, 0].tolist() == [0, 0, 80, 207, 143, 16, 0, 0]
