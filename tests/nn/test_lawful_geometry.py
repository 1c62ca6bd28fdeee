"""What a layer may look like is decided where it enters a network; nothing compiled is called without that."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import rot180
from rot180.errors import ArgumentError, ModelError, ShapeError
from rot180.nn import network
from rot180.ops.geometry import geometry, pool_geometry

WHOLLY_OUTSIDE = (
    "pool1: every window must hold a pixel of the image, but padding .* puts a window of 2x2 entirely outside"
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("8x8x1 > maxpool2:pad0,0,0,9999999:s2x9999999 > fc10", WHOLLY_OUTSIDE),
        ("3x3x1 > maxpool2:s1:pad0,0,0,3 > fc2", WHOLLY_OUTSIDE),
        ("3x3x1 > maxpool2:s1:pad2,0,0,0 > fc2", WHOLLY_OUTSIDE),
        ("3x3x1 > avgpool2:s1:pad0,3,0,0 > fc2", WHOLLY_OUTSIDE),
        ("3x3x1 > avgpool2:s1:pad0,0,2,0:excludepad > fc2", WHOLLY_OUTSIDE),
        ("30000x30000x1 > maxpool30000 > fc2", "pool1: a window must hold at most 16,777,216 pixels; 30000x30000 are"),
        ("9x9x1 > maxpool5000:same:s1 > fc2", "pool1: a window must hold at most 16,777,216 pixels; 5000x5000 are"),
    ],
)
def test_an_unlawful_layer_is_refused_when_the_network_is_made(text: str, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        network(text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"padding": 2**32}, "padding: a padded image must be at most 2,147,483,647 pixels high; it is 8,589,934,593"),
        (
            {"padding": (2**30 - 1, 0)},
            "conv1: a padded image must be at most 2,147,483,647 pixels high; it is 2,147,483,655",
        ),
        ({"padding": "same", "dilation": 2**32}, "conv1: a padded image must be at most 2,147,483,647 pixels high"),
        ({"dilation": 2**63}, "conv1: the window is 18446744073709551617 pixels high but the padded image only 9"),
    ],
)
def test_numbers_beyond_the_kernels_integers_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        rot180.Sequential([rot180.Conv2d(2, 3, **options)], input_shape=(9, 9, 1))  # type: ignore[arg-type]


def test_a_file_with_an_unlawful_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    metadata = {"rot180_format": "1", "notation": "3x3x1 > maxpool2:s1:pad0,0,0,3"}
    save_file({}, path, metadata | {"preprocessing": "null", "class_names": "null"})
    with pytest.raises(ModelError, match=r"cannot be used .*every window must hold a pixel"):
        rot180.load_model(path)


@pytest.mark.parametrize("number", [2**31, 2**62, 2**63, 2**64, 10**30])
def test_numbers_on_which_nothing_depends_may_be_any(number: int) -> None:
    g = geometry(5, 5, (1, 5), stride=(1, number), dilation=(number, 1))
    assert (g.stride, g.dilation, g.out_height, g.out_width) == ((1, 5), (5, 1), 5, 1)
    assert pool_geometry(5, 5, 2, stride=number, padding=0).stride == (5, 5)
    layers = [
        rot180.Conv2d(3, (1, 5), stride=(1, number), dilation=(number, 1)),
        rot180.AvgPool2d((2, 1), stride=number),
        rot180.MaxPool2d((1, 1), stride=number),
        rot180.Flatten(),
    ]
    model = rot180.Sequential(layers, input_shape=(5, 5, 2)).build(seed=0)
    images = np.random.default_rng(0).random((3, 5, 5, 2), np.float32)
    ours, reference = (rot180.predict(model, images, engine=engine) for engine in ("compiled", "numpy"))
    np.testing.assert_allclose(ours, reference, rtol=1e-5)


@pytest.mark.parametrize(
    ("text", "index", "changes"),
    [
        ("8x8x1 > maxpool4 > flatten", 0, {"stride": (1, 1)}),
        ("8x8x1 > avgpool4 > flatten", 0, {"padding": 3}),
        ("8x8x1 > conv3x3:4 > flatten", 0, {"padding": 2}),
        ("8x8x1 > conv3x3:4 > flatten", 0, {"kernel_size": (1, 1)}),
        ("8x8x1 > conv3x3:4 > flatten", 0, {"out_channels": 9}),
        ("8x8x1 > fc4", 1, {"out_features": 40}),
    ],
)
def test_a_layer_changed_after_the_network_was_built_is_not_run(
    text: str, index: int, changes: dict[str, object]
) -> None:
    model = network(text).build()
    images = np.zeros((2, 8, 8, 1))
    rot180.predict(model, images)
    for name, value in changes.items():
        setattr(model.layers[index], name, value)
    with pytest.raises(ArgumentError, match=f"^{model.layers[index].name}: .* was changed after the network was built"):
        rot180.predict(model, images)


def test_a_parameter_of_another_shape_is_not_repeated_to_fit() -> None:
    model = network("8x8x1 > fc4").build()
    model.layers[1].parameters["bias"] = np.ones(1, np.float32)
    for engine in ("compiled", "numpy"):
        with pytest.raises(ShapeError, match=r"fc1.bias must be \(4,\) of floats; it is \(1,\)"):
            rot180.predict(model, np.zeros((2, 8, 8, 1)), engine=engine)
