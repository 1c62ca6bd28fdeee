"""The layers of deep networks: what they start with, what they compute, and what they refuse."""

from __future__ import annotations

import copy
import pickle  # noqa: TID251
import re
from typing import Any

import numpy as np
import pytest

from rot180 import ops
from rot180.errors import ArgumentError, NotationError, ShapeError
from rot180.nn import (
    ELU,
    GELU,
    AdaptiveAvgPool2d,
    ChannelShuffle,
    ChannelSlice,
    Conv2d,
    ConvTranspose2d,
    DropPath,
    GlobalAvgPool2d,
    GroupNorm,
    InstanceNorm2d,
    Layer,
    LayerNorm,
    Linear,
    LocalResponseNorm,
    PReLU,
    Upsample,
    network,
)
from rot180.nn.initializer import RECTIFIERS
from rot180.runs.model_file import load_model, save_model

X = np.random.default_rng(2).normal(size=(3, 4, 6, 8))


def built(layer: Layer, shape: tuple[int, ...] = X.shape[1:]) -> Layer:
    layer.build(shape, np.random.default_rng(0), dtype=np.float64)
    return layer


@pytest.mark.parametrize(
    ("layer", "axes"),
    [
        (GroupNorm(1), (1, 2, 3)),
        (GroupNorm(8), (1, 2)),
        (InstanceNorm2d(), (1, 2)),
        (InstanceNorm2d(affine=True), (1, 2)),
        (LayerNorm(), (3,)),
        (LayerNorm(2), (2, 3)),
        (LayerNorm(3, affine=False), (1, 2, 3)),
    ],
)
def test_a_new_normalization_gives_mean_zero_and_variance_one(layer: Layer, axes: tuple[int, ...]) -> None:
    y, _ = built(layer).forward(5 * X + 3)
    np.testing.assert_allclose(y.mean(axis=axes), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(axis=axes), 1, rtol=1e-4)
    assert layer.has_parameters == bool(layer.parameters) == bool(layer.parameter_shapes(X.shape[1:]))


def test_a_normalization_scales_and_shifts_what_it_normalized() -> None:
    layer = built(GroupNorm(2))
    plain = layer.forward(X)[0]
    layer.parameters["weight"][:], layer.parameters["bias"][:] = np.arange(8), -np.arange(8)
    np.testing.assert_allclose(layer.forward(X)[0], np.arange(8) * plain - np.arange(8))


def test_prelu_starts_as_a_leaky_relu() -> None:
    np.testing.assert_array_equal(built(PReLU()).forward(X)[0], ops.leaky_relu(X, 0.25))
    assert built(PReLU(shared=True, init=0.5)).parameters["weight"].tolist() == [0.5]


def test_drop_path_drops_whole_images_in_training_alone() -> None:
    layer, x = DropPath(0.5), np.ones((64, 2, 2, 3))
    y, saved = layer.forward(x, training=True, generator=np.random.default_rng(0))
    kept = {tuple(np.unique(image)) for image in y}
    assert kept == {(0.0,), (2.0,)}
    np.testing.assert_array_equal(layer.backward(x, saved)[0], y)
    assert layer.forward(x)[0] is x
    with pytest.raises(ArgumentError, match="dropout in training draws random numbers; pass a generator to forward"):
        layer.forward(x, training=True)


def test_global_pooling_is_followed_by_a_fully_connected_layer() -> None:
    model = network("8x8x3 > conv3x3:4:same relu gap fc10")
    assert [layer.name for layer in model.layers] == ["conv1", "relu1", "pool1", "fc1"]
    assert model.layer_shapes[2] == (((8, 8, 4),), (4,))
    geometry = GlobalAvgPool2d().geometry((5, 7, 3))
    assert (geometry.kernel, geometry.out_height, geometry.out_width) == ((5, 7), 1, 1)


def test_a_transposed_convolution_undoes_the_size_of_its_convolution() -> None:
    for conv, back in (
        (Conv2d(4, 3, stride=2, padding=1), ConvTranspose2d(8, 3, stride=2, padding=1, output_padding=1)),
        (Conv2d(4, (3, 2), dilation=(1, 2)), ConvTranspose2d(8, (3, 2), dilation=(1, 2))),
    ):
        assert back.output_shape(conv.output_shape((6, 6, 8))) == (6, 6, 8)
        assert back.weight_shape(conv.output_shape((6, 6, 8))) == conv.weight_shape((6, 6, 8))
        assert back.multiply_adds(conv.output_shape((6, 6, 8))) == conv.multiply_adds((6, 6, 8))


def test_fans_of_a_transposed_convolution() -> None:
    assert ConvTranspose2d(8, 4, stride=2, groups=2).fans((5, 5, 6)) == (16 * 3 // 4, 16 * 4)
    x = np.random.default_rng(0).normal(size=(8, 16, 16, 32))
    layer = built(ConvTranspose2d(16, 4, stride=2, padding=1, initializer="lecun_normal"), x.shape[1:])
    assert layer.forward(x)[0][:, 1:-1, 1:-1].var() == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize(
    "word", ["relu", "relu6", "leakyrelu", "prelu", "elu", "silu", "gelu", "hardswish", "tanh", "hardsigmoid"]
)
def test_auto_is_he_before_what_is_like_a_relu(word: str) -> None:
    model = network(f"9 > fc20 {word}").build(seed=0)
    chosen = "he_uniform" if model.layers[1].kind in RECTIFIERS else "glorot_uniform"
    assert (chosen == "he_uniform") == (word not in ("tanh", "hardsigmoid"))
    same = network(f"9 > fc20:init={chosen} {word}").build(seed=0)
    np.testing.assert_array_equal(model.parameters["fc1.weight"], same.parameters["fc1.weight"])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GroupNorm(0), "GroupNorm: num_groups must be an int, at least 1; it is 0"),
        (lambda: GroupNorm(2, eps=0), "GroupNorm: eps must be a number above 0 and finite; it is 0"),
        (lambda: LayerNorm(eps=float("nan")), "LayerNorm: eps must be a number, at least 0 and finite; it is nan"),
        (lambda: LayerNorm(normalized_shape=8), "LayerNorm has no argument 'normalized_shape'; did you mean 'axes'?"),
        (lambda: LayerNorm(elementwise_affine=False), "did you mean 'affine'?"),
        (lambda: GroupNorm(groups=4), "GroupNorm has no argument 'groups'; did you mean 'num_groups'?"),
        (lambda: LocalResponseNorm(k=0), "LocalResponseNorm: k must be a number above 0 and finite; it is 0"),
        (lambda: LocalResponseNorm(size=0), "LocalResponseNorm: size must be an int, at least 1; it is 0"),
        (lambda: Upsample(2, mode="bicubic"), "Upsample: unknown mode 'bicubic'"),
        (lambda: Upsample(0), "Upsample: scale_factor must be an int or a pair of ints, each at least 1; it is 0"),
        (lambda: GELU("tan"), "GELU: unknown approximation 'tan'; did you mean 'tanh'?"),
        (lambda: ELU(-1), "ELU: alpha must be a number, at least 0 and finite; it is -1"),
        (lambda: DropPath(1), "DropPath: rate must be a number, at least 0 and below 1; it is 1"),
        (lambda: DropPath(), "DropPath: missing a required argument: 'rate'"),
        (lambda: AdaptiveAvgPool2d((7, 0)), "AdaptiveAvgPool2d: output_size must be an int or a pair of ints"),
        (lambda: ConvTranspose2d(4, 3, padding="same"), "ConvTranspose2d: padding must be an int or a pair of ints"),
        (
            lambda: ConvTranspose2d(4, 3, stride=(2, 1), output_padding=1),
            "ConvTranspose2d: output_padding must be below the stride; it is 1, stride (2, 1)",
        ),
        (lambda: ConvTranspose2d(4, 3, groups=3), "ConvTranspose2d: groups must divide in_channels and out_channels"),
    ],
)
def test_an_argument_that_cannot_be_used_is_answered(make: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=re.escape(message)):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (GroupNorm(3), (4, 4, 8), "num_groups must divide the input's channels; it is 3, the input (4, 4"),
        (GroupNorm(8), (1, 1, 8), "GroupNorm: a single value has no variance; the input (1, 1, 8) gives"),
        (InstanceNorm2d(), (1, 1, 8), "InstanceNorm2d: a single value has no variance"),
        (InstanceNorm2d(), (8,), "instance normalization takes (height, width, channels); it got (8,)"),
        (LayerNorm(), (4, 4, 1), "LayerNorm: a single value has no variance"),
        (LayerNorm(3), (8,), "LayerNorm: axes must be at most 1 for (8,); it is 3"),
        (ChannelShuffle(3), (4, 4, 8), "groups must divide the input's channels; groups is 3"),
        (ChannelSlice(3, start=6), (4, 4, 8), "the slice must lie inside the input's channels; it is 6 to 9"),
        (GlobalAvgPool2d(), (8,), "pooling takes (height, width, channels); it got (8,)"),
        (AdaptiveAvgPool2d(2), (8,), "pooling takes (height, width, channels); it got (8,)"),
        (Upsample(2), (8,), "resizing takes (height, width, channels); it got (8,)"),
        (Upsample(2**30), (4, 4, 1), "Upsample: a padded image must be at most 2,147,483,647 pixels high"),
        (ConvTranspose2d(4, 3), (8,), "a transposed convolution takes (height, width, channels)"),
        (ConvTranspose2d(4, 3, in_channels=3), (4, 4, 8), "has 8 channels but in_channels is 3"),
        (ConvTranspose2d(4, 3, groups=2), (4, 4, 3), "groups must divide the channels of x; x has 3"),
        (ConvTranspose2d(4, 3, padding=3), (2, 2, 3), "padding (3, 3) leaves nothing of the output"),
    ],
)
def test_an_input_that_does_not_fit_is_named(layer: Layer, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ShapeError, match=re.escape(message)):
        layer.output_shape(shape)


@pytest.mark.parametrize(
    "layer", [GroupNorm(2), LayerNorm(), InstanceNorm2d(affine=True), PReLU(), ConvTranspose2d(2, 2)]
)
def test_a_layer_without_parameters_says_what_to_call(layer: Layer) -> None:
    with pytest.raises(ArgumentError, match=r"has no parameters yet; call build\(input_shape\) first"):
        layer.forward(X)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("8x8x4 > gn", "gn needs its number of groups, as in gn4; it is 'gn'"),
        ("8x8x4 > relu7", "relu takes no size; it is 'relu7'"),
        ("8x8x4 > up", "up needs its factor, as in up2; it is 'up'"),
        ("8x8x4 > adaptavg", "adaptavg needs the size of its output, as in adaptavg7x7"),
        ("8x8x4 > convt2x2", "convt2x2 needs its number of filters, as in convt2x2:32:s2"),
        ("8x8x4 > droppath", "droppath needs a rate, as in droppath0.1"),
        ("8x8x4 > gn3", "num_groups must divide the input's channels"),
        ("8x8x4 > convt2x2:4:same", "convt2x2 has no option 'same'"),
    ],
)
def test_a_mistake_in_the_notation_is_marked(text: str, message: str) -> None:
    with pytest.raises(NotationError, match=re.escape(message)):
        network(text)


EVERY = (
    "8x8x4 > convt2x2:4:s2 gn2 silu shuffle2 ln:axes=3 lrn in:affine prelu > conv3:4 up2:bilinear elu droppath0.1 "
    "adaptavg3 hardswish > conv1:4:same relu6 gap gelu fc5 hardsigmoid"
)


def test_copies_and_files_hold_the_same_model(tmp_path: Any) -> None:
    model = network(EVERY).build(seed=1)
    for array in model.parameters.values():
        array += np.float32(0.1)
    save_model(tmp_path / "m", model)
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 4)).astype(np.float32)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), load_model(tmp_path / "m")):  # noqa: S301
        assert str(other) == str(model)
        np.testing.assert_array_equal(other.forward(x)[0], model.forward(x)[0])


def test_a_model_counts_what_it_holds() -> None:
    model = network(EVERY).build()
    assert model.summary().parameters == sum(array.size for array in model.parameters.values())
    assert model.parameters["ln1.weight"].shape == (16, 16, 4)
    assert Linear(5).multiply_adds((4,)) == model.summary().rows[-2].multiply_adds == 20
