"""The notation: what it reads, and that reading what was printed gives the same model."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rot180.errors import ArgumentError
from rot180.nn import (
    ELU,
    GELU,
    AdaptiveAvgPool2d,
    AvgPool2d,
    ChannelShuffle,
    ChannelSlice,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    DropPath,
    Flatten,
    GlobalAvgPool2d,
    GlobalMaxPool2d,
    GroupNorm,
    Hardsigmoid,
    Hardswish,
    InstanceNorm2d,
    Layer,
    LayerNorm,
    LeakyReLU,
    Linear,
    LocalResponseNorm,
    MaxPool2d,
    NoisyReLU,
    PReLU,
    ReLU,
    ReLU6,
    Sequential,
    Sigmoid,
    SiLU,
    Softmax,
    Tanh,
    Upsample,
    network,
)
from rot180.nn.initializer import INITIALIZERS, zeros
from rot180.nn.notation_items import MAX_LAYERS
from rot180.nn.notation_parser import MAX_CHARACTERS


def described(model: Sequential) -> list[str]:
    """Every argument of every layer, the names included."""
    return [str(model.input_shape), *map(repr, model.layers)]


@pytest.mark.parametrize(
    ("word", "layer"),
    [
        ("conv5x3:32", Conv2d(32, (5, 3))),
        ("conv3:64:same", Conv2d(64, 3, padding="same")),
        ("conv3:same:64", Conv2d(64, 3, padding="same")),
        ("conv3:4:valid", Conv2d(4, 3)),
        ("conv3:4:pad0", Conv2d(4, 3)),
        ("conv3:4:pad2", Conv2d(4, 3, padding=2)),
        ("conv3:4:pad1x2", Conv2d(4, 3, padding=(1, 2))),
        ("conv3:4:pad1,2,0,3", Conv2d(4, 3, padding=((1, 2), (0, 3)))),
        ("conv3:4:s2:d3:g2", Conv2d(4, 3, stride=2, dilation=3, groups=2)),
        ("conv3:4:s2x1:d1x2", Conv2d(4, 3, stride=(2, 1), dilation=(1, 2))),
        ("conv3:4:nobias:init=zeros:lr=.5", Conv2d(4, 3, bias=False, initializer="zeros", lr_factor=0.5)),
        ("conv3:4:algorithm=im2col:name=stem", Conv2d(4, 3, algorithm="im2col", name="stem")),
        ("maxpool2", MaxPool2d(2)),
        ("maxpool3x2:s2:same", MaxPool2d((3, 2), stride=2, padding="same")),
        ("maxpool3:s2:ceil", MaxPool2d(3, stride=2, ceil_mode=True)),
        ("avgpool2", AvgPool2d(2)),
        ("avgpool2:pad1:excludepad", AvgPool2d(2, padding=1, count_include_pad=False)),
        ("gap", GlobalAvgPool2d()),
        ("gmp:name=last", GlobalMaxPool2d(name="last")),
        ("adaptavg7", AdaptiveAvgPool2d(7)),
        ("adaptavg7x5", AdaptiveAvgPool2d((7, 5))),
        ("convt2:8:s2", ConvTranspose2d(8, 2, stride=2)),
        (
            "convt3x2:8:s2x1:pad1x0:outpad1x0:d1x2:g2:algorithm=im2col:nobias:init=zeros:lr=2",
            ConvTranspose2d(
                8,
                (3, 2),
                stride=(2, 1),
                padding=(1, 0),
                output_padding=(1, 0),
                dilation=(1, 2),
                groups=2,
                algorithm="im2col",
                bias=False,
                initializer="zeros",
                lr_factor=2,
            ),
        ),
        ("up2", Upsample(2)),
        ("up2x3:bilinear", Upsample((2, 3), mode="bilinear")),
        ("up2:nearest", Upsample(2)),
        ("gn4", GroupNorm(4)),
        ("gn2:eps=1e-3:noaffine", GroupNorm(2, eps=1e-3, affine=False)),
        ("ln", LayerNorm()),
        ("ln:axes=3:eps=1e-6:lr=0", LayerNorm(3, eps=1e-6, lr_factor=0)),
        ("in", InstanceNorm2d()),
        ("in:affine", InstanceNorm2d(affine=True)),
        ("lrn", LocalResponseNorm()),
        ("lrn3:alpha=1e-2:beta=0.5:k=2", LocalResponseNorm(3, alpha=1e-2, beta=0.5, k=2)),
        ("shuffle2", ChannelShuffle(2)),
        ("slice1", ChannelSlice(1)),
        ("slice1:from1", ChannelSlice(1, start=1)),
        ("relu6", ReLU6()),
        ("prelu", PReLU()),
        ("prelu:init=0:shared:lr=0.1", PReLU(init=0, shared=True, lr_factor=0.1)),
        ("elu", ELU()),
        ("elu:alpha=0.5", ELU(0.5)),
        ("silu", SiLU()),
        ("gelu", GELU()),
        ("gelu:tanh", GELU("tanh")),
        ("hardswish", Hardswish()),
        ("hardsigmoid:name=gate", Hardsigmoid(name="gate")),
        ("droppath0.1", DropPath(0.1)),
        ("fc7:nobias:lr=1e-3", Linear(7, bias=False, lr_factor=1e-3)),
        ("flatten", Flatten()),
        ("relu", ReLU()),
        ("relu:name=gate", ReLU(name="gate")),
        ("noisyrelu", NoisyReLU()),
        ("noisyrelu:sigma=2", NoisyReLU(2.0)),
        ("leakyrelu:slope=1e+1", LeakyReLU(10.0)),
        ("sigmoid", Sigmoid()),
        ("tanh", Tanh()),
        ("softmax", Softmax()),
        ("dropout", Dropout(0.5)),
        ("dropout0.25", Dropout(0.25)),
    ],
)
def test_a_word_is_a_layer(word: str, layer: Layer) -> None:
    model = network(f"16x16x4 > {word}")
    alone = Sequential([layer])
    assert repr(model.layers[-1]) == repr(alone.layers[0])
    assert described(network(str(model))) == described(model)


def test_separators_mean_the_same() -> None:
    texts = (
        "8x8x1 > conv3:2 relu > fc3",
        "8x8x1 conv3:2 relu fc3",
        "8x8x1>conv3:2>relu>fc3",
        "8x8x1 -> conv3:2 -> relu->fc3",
        " \n8x8x1\tconv3:2\n  relu >\n fc3 > ",
    )
    assert {str(network(text)) for text in texts} == {"8x8x1 > conv3x3:2 relu > fc3"}


def test_repetitions_nest() -> None:
    model = network("16x16x1 > [[conv3:4:same relu]*2 maxpool2]*3 > [fc5 tanh] * 2 > fc3")
    assert str(model) == (
        "16x16x1" + " > conv3x3:4:same relu > conv3x3:4:same relu maxpool2" * 3 + " > fc5 tanh" * 2 + " > fc3"
    )
    assert len({id(layer) for layer in model.layers}) == len(model.layers)


def test_flatten_is_put_in_and_left_out_where_it_is_understood() -> None:
    assert [type(layer) for layer in network("4x4x2 fc3 fc2").layers] == [Flatten, Linear, Linear]
    assert str(network("4x4x2 flatten fc3")) == "4x4x2 > fc3"
    assert str(network("4x4x2 flatten relu fc3")) == "4x4x2 > flatten relu > fc3"
    assert str(network("4x4x2 flatten:name=rows fc3")) == "4x4x2 > flatten:name=rows > fc3"
    assert str(network("9 flatten fc3")) == "9 > flatten > fc3"
    assert str(network("4x4x2 relu flatten")) == "4x4x2 > relu flatten"


def test_what_has_no_word_is_left_out() -> None:
    model = Sequential(
        [Linear(3, in_features=4, initializer=lambda *given: zeros(*given)), Linear(2, initializer=zeros)],
        input_shape=(4,),
    )
    assert str(model) == "4 > fc3 > fc2:init=zeros"


def test_a_long_network_can_be_printed_and_read() -> None:
    model = network(f"4x4x1 > [conv3x3:2:same]*{MAX_LAYERS}")
    assert len(str(model)) < MAX_CHARACTERS
    assert described(network(str(model))) == described(model)
    assert str(network("4 > " + "[" * 50 + "relu" + "]*1" * 50)) == "4 > relu"


pairs = st.one_of(st.integers(1, 3), st.tuples(st.integers(1, 3), st.integers(1, 3)))
sides = st.integers(0, 3)
paddings = st.one_of(
    st.sampled_from(["same", "valid"]), sides, st.tuples(sides, sides), st.tuples(*[st.tuples(sides, sides)] * 2)
)
floats = st.floats(0, 1e9, allow_nan=False)
names = st.dictionaries(st.just("name"), st.from_regex(r"[A-Z][A-Za-z0-9_-]{0,8}", fullmatch=True))
weights = {
    "bias": st.booleans(),
    "initializer": st.sampled_from(["auto", *INITIALIZERS]),
    "lr_factor": st.one_of(st.just(1.0), floats),
}

affine = {"affine": st.booleans(), "eps": floats.filter(bool), "lr_factor": floats}


def layers(make: Any, *required: st.SearchStrategy[Any], **optional: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draw a recipe of a layer: its class, and which arguments it is given."""
    return st.tuples(
        st.just(make), st.tuples(*required), st.fixed_dictionaries({}, optional=optional), names
    )  # fmt: skip


spatial = st.one_of(
    layers(
        Conv2d, st.sampled_from([2, 4, 6]), pairs, stride=pairs, padding=paddings, dilation=pairs,
        groups=st.sampled_from([1, 2]), algorithm=st.sampled_from(["auto", "im2col", "offsets"]), **weights,
    ),
    layers(MaxPool2d, pairs, stride=pairs, padding=paddings, ceil_mode=st.booleans()),
    layers(
        AvgPool2d, pairs, stride=pairs, padding=paddings, ceil_mode=st.booleans(), count_include_pad=st.booleans()
    ),
    layers(
        ConvTranspose2d, st.sampled_from([2, 4, 6]), pairs, stride=pairs,
        padding=st.one_of(sides, st.tuples(sides, sides)), output_padding=st.integers(0, 2), dilation=pairs,
        groups=st.sampled_from([1, 2]), **weights,
    ),
    *(layers(kind) for kind in (GlobalAvgPool2d, GlobalMaxPool2d)),
    layers(AdaptiveAvgPool2d, pairs),
    layers(Upsample, pairs, mode=st.sampled_from(["nearest", "bilinear"])),
    layers(InstanceNorm2d, **affine),
)  # fmt: skip
anywhere = st.one_of(
    *(layers(kind) for kind in (ReLU, Sigmoid, Tanh, Softmax, Flatten)),
    layers(NoisyReLU, floats),
    layers(LeakyReLU, floats),
    layers(Dropout, st.floats(0, 1, exclude_max=True)),
    layers(DropPath, st.floats(0, 1, exclude_max=True)),
    *(layers(kind) for kind in (ReLU6, SiLU, Hardswish, Hardsigmoid)),
    layers(GELU, st.sampled_from(["none", "tanh"])),
    layers(ELU, floats),
    layers(PReLU, init=floats, shared=st.booleans(), lr_factor=floats),
    layers(GroupNorm, st.sampled_from([1, 2]), **affine),
    layers(LayerNorm, st.sampled_from([1, 3]), **affine),
    layers(LocalResponseNorm, st.integers(1, 9), alpha=floats, beta=floats, k=floats.filter(bool)),
    layers(ChannelShuffle, st.sampled_from([1, 2])),
    layers(ChannelSlice, st.just(1), start=st.integers(0, 1)),
    layers(Linear, st.integers(1, 9), **weights),
)


@st.composite
def drawn_models(draw: Any) -> Sequential:
    """Draw layers, and keep those that fit."""
    input_shape = draw(st.one_of(st.tuples(st.integers(1, 20), st.integers(1, 20), st.just(4)), st.tuples(sides)))
    input_shape = tuple(max(n, 1) for n in input_shape)
    shape, chosen, taken = input_shape, [], set()
    for make, required, optional, name in draw(st.lists(st.one_of(spatial, anywhere), min_size=1, max_size=8)):
        if make is Linear and len(shape) == 3:
            chosen.append(Flatten())
            shape = chosen[-1].output_shape(shape)
        try:
            layer = make(*required, **optional, **({} if name.get("name") in taken else name))
            shape = layer.output_shape(shape)
        except ArgumentError:
            continue
        taken.add(layer.name)
        chosen.append(layer)
    return Sequential(chosen or [ReLU()], input_shape=input_shape)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(drawn_models())
def test_reading_what_was_printed_gives_the_same_model(model: Sequential) -> None:
    again = network(model.notation)
    assert described(again) == described(model)
    assert again.layer_shapes == model.layer_shapes
    assert str(again) == str(model)


trees = st.recursive(
    st.sampled_from(["relu", "conv3x3:4:same", "tanh", "maxpool1", "dropout0.5"]).map(lambda word: [word]),
    lambda inner: st.tuples(st.lists(inner, min_size=1, max_size=3), st.integers(1, 3)),
    max_leaves=6,
)


def written(tree: Any) -> str:
    return tree[0] if isinstance(tree, list) else f"[{' '.join(map(written, tree[0]))}]*{tree[1]}"


def spread(tree: Any) -> list[str]:
    return tree if isinstance(tree, list) else [word for inner in tree[0] for word in spread(inner)] * tree[1]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(trees.filter(lambda tree: len(spread(tree)) <= 200))
def test_repetitions_stand_for_what_they_repeat(tree: Any) -> None:
    model = network(f"8x8x4 > {written(tree)}")
    assert [layer.to_notation() for layer in model.layers] == spread(tree)
    assert described(network(str(model))) == described(model)
