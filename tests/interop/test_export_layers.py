"""Every layer as ONNX nodes: valid for the checker, and in ONNX Runtime the outputs of the layer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from drawn_graphs import graphs
from rot180 import import_onnx
from rot180.errors import NotationError
from rot180.interop.export import OnnxFile, export_onnx
from rot180.interop.export.layers import WRITERS
from rot180.nn import Network, network
from rot180.nn.registry import LAYERS

Draw = Callable[[st.DrawFn], str]

SMALL = st.integers(1, 4)


def drawn(model: Network, seed: int) -> Network:
    """Return the model with weights that let nothing cancel: no zeros, no ones, variances of their own."""
    generator = np.random.default_rng(seed)
    for name, array in model.state.items():
        array[...] = generator.uniform(0.5, 1.5, array.shape) if "var" in name else generator.normal(size=array.shape)
    return model


def written(model: Network, path: Path, **options: object) -> OnnxFile:
    """Export a model, which checks the graph, and hold the difference against the promise."""
    found = export_onnx(model, path, **options)  # type: ignore[arg-type]
    assert found.difference is not None
    assert found.difference <= 1e-5
    return found


def window(draw: st.DrawFn) -> str:
    """A kernel's sides."""
    return f"{draw(SMALL)}x{draw(SMALL)}"


def options(draw: st.DrawFn, *kinds: str) -> str:
    """Some of these options of the notation."""
    numbers = st.integers(0, 2)
    found = {
        "padding": draw(
            st.sampled_from(["", ":same", f":pad{draw(numbers)}x{draw(numbers)}"])
            | st.tuples(numbers, numbers, numbers, numbers).map(lambda four: f":pad{','.join(map(str, four))}")
        ),
        "stride": draw(st.sampled_from(["", ":s2", ":s3x1", ":s1x5"])),
        "dilation": draw(st.sampled_from(["", ":d2", ":d1x3"])),
        "groups": draw(st.sampled_from(["", ":g2", ":g4"])),
        "bias": draw(st.sampled_from(["", ":nobias"])),
        "ceil": draw(st.sampled_from(["", ":ceil"])),
        "affine": draw(st.sampled_from(["", ":noaffine"])),
        "eps": draw(st.sampled_from(["", ":eps=0.01"])),
    }
    return "".join(found[kind] for kind in kinds)


WORDS: dict[str, Draw] = {
    "Conv2d": lambda draw: f"conv{window(draw)}:8{options(draw, 'padding', 'stride', 'dilation', 'groups', 'bias')}",
    "ConvTranspose2d": lambda draw: (
        draw(
            st.sampled_from(
                ["convt2x2:4:s2", "convt3x2:8:s2:pad1x0:outpad1", "convt3x3:4:s3:outpad2x1:d2:g4", "convt1x4:4:g2"]
            )
        )
        + options(draw, "bias")
    ),
    "Linear": lambda draw: f"fc5{options(draw, 'bias')}",
    "Flatten": lambda draw: draw(
        st.sampled_from(["flatten", "flatten relu", "flatten > fc3", "flatten tanh > fc3 bn"])
    ),
    "MaxPool2d": lambda draw: f"maxpool{window(draw)}{options(draw, 'padding', 'stride', 'ceil')}",
    "AvgPool2d": lambda draw: (
        f"avgpool{window(draw)}{options(draw, 'padding', 'stride', 'ceil')}"
        + draw(st.sampled_from(["", ":excludepad"]))
    ),
    "GlobalAvgPool2d": lambda draw: draw(st.sampled_from(["gap", "gap > fc3"])),
    "GlobalMaxPool2d": lambda draw: draw(st.sampled_from(["gmp", "gmp > fc3"])),
    "AdaptiveAvgPool2d": lambda draw: f"adaptavg{draw(st.integers(1, 9))}x{draw(st.integers(1, 9))}",
    "Upsample": lambda draw: f"up{draw(SMALL)}x{draw(SMALL)}{draw(st.sampled_from(['', ':bilinear']))}",
    "BatchNorm2d": lambda draw: (
        draw(st.sampled_from(["", "conv3x3:4 ", "flatten ", "fc8 ", "convt2x2:4:g2 "]))
        + f"bn{options(draw, 'eps', 'affine')}"
    ),
    "GroupNorm": lambda draw: (
        f"{draw(st.sampled_from(['', 'flatten ']))}gn{draw(st.sampled_from([1, 2, 4]))}"
        + options(draw, "eps", "affine")
    ),
    "LayerNorm": lambda draw: (
        draw(st.sampled_from(["ln", "ln:axes=2", "ln:axes=3", "flatten ln"])) + options(draw, "eps", "affine")
    ),
    "InstanceNorm2d": lambda draw: f"in{draw(st.sampled_from(['', ':affine']))}{options(draw, 'eps')}",
    "LocalResponseNorm": lambda draw: (
        f"{draw(st.sampled_from(['', 'flatten ']))}lrn{draw(st.integers(1, 6))}"
        + draw(st.sampled_from(["", ":k=2", ":alpha=0.5:beta=0.6", ":alpha=0", ":beta=0"]))
    ),
    "ChannelShuffle": lambda draw: (
        f"{draw(st.sampled_from(['', 'flatten ']))}shuffle{draw(st.sampled_from([1, 2, 4]))}"
    ),
    "ChannelSlice": lambda draw: draw(st.sampled_from(["slice2", "slice3:from1", "flatten slice50:from7"])),
    "ReLU": lambda draw: "relu",
    "NoisyReLU": lambda draw: "noisyrelu:sigma=2",
    "LeakyReLU": lambda draw: f"leakyrelu:slope={draw(st.sampled_from([0, 0.01, 2]))}",
    "ReLU6": lambda draw: "relu6",
    "PReLU": lambda draw: f"{draw(st.sampled_from(['', 'flatten ']))}prelu{draw(st.sampled_from(['', ':shared']))}",
    "ELU": lambda draw: f"elu:alpha={draw(st.sampled_from([0.3, 1, 2]))}",
    "SiLU": lambda draw: "silu",
    "GELU": lambda draw: draw(st.sampled_from(["gelu", "gelu:tanh"])),
    "Hardswish": lambda draw: "hardswish",
    "Hardsigmoid": lambda draw: "hardsigmoid",
    "Sigmoid": lambda draw: "sigmoid",
    "Tanh": lambda draw: "tanh",
    "Softmax": lambda draw: draw(st.sampled_from(["softmax", "flatten softmax"])),
    "Dropout": lambda draw: "dropout0.5",
    "DropPath": lambda draw: "( relu droppath0.5 + skip )",
    "Add": lambda draw: draw(
        st.sampled_from(["( tanh + skip )", "( tanh + skip + relu )", "( flatten + fc140 + flatten tanh ) > fc3"])
    ),
    "Concatenate": lambda draw: draw(
        st.sampled_from(["( tanh | skip )", "( flatten | fc3 | flatten tanh ) > fc3", "( fc3 | fc2 )"])
    ),
    "Multiply": lambda draw: draw(
        st.sampled_from(
            [
                "( skip * gap fc4 sigmoid )",
                "( tanh * skip )",
                "( flatten * fc140 ) > fc3",
                "( fc4 * conv7x5:4 flatten )",
            ]
        )
    ),
}


def test_every_layer_can_be_written_and_is_drawn() -> None:
    assert set(WRITERS) == set(LAYERS.values())
    assert set(WORDS) == set(LAYERS)


@pytest.mark.parametrize("layer", WORDS)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_layer_in_onnx_runtime(layer: str, data: st.DataObject, tmp_path: Path) -> None:
    text = data.draw(st.composite(lambda draw: WORDS[layer](draw))())
    try:
        model = network(f"7x5x4 > {text}").build()
    except NotationError:  # no window fits
        assume(False)
    written(
        drawn(model, 1),
        tmp_path / "model.onnx",
        opset=data.draw(st.sampled_from([13, 14, 17, 18, 20, 21, 24, 25])),
        layout=data.draw(st.sampled_from(["nchw", "nhwc"])),
        fold=data.draw(st.booleans()),
    )


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=graphs(), layout=st.sampled_from(["nchw", "nhwc"]), fold=st.booleans())
def test_graphs_in_onnx_runtime(text: str, layout: str, fold: bool, tmp_path: Path) -> None:
    written(network(text).build(seed=1), tmp_path / "model.onnx", layout=layout, fold=fold)


@pytest.mark.parametrize("text", ["12 > bn gn3 lrn3 shuffle2 ln > fc3 sigmoid", "3 > dropout"])
def test_a_network_of_rows_of_numbers(text: str, tmp_path: Path) -> None:
    for opset in (13, 25):
        found = written(drawn(network(text).build(), 0), tmp_path / "model.onnx", opset=opset)
        assert found.input.name == "input"


@pytest.mark.parametrize(
    ("text", "opset"),
    [
        ("conv3x2:8:same:s2:g2 bn relu > fc3:nobias", 17),
        ("conv3x2:8:pad1,0,2,1:d2:nobias bn:eps=0.01", 17),
        ("convt3x3:4:s3:outpad2x1:d2:g4", 13),
        ("flatten tanh > fc3 bn", 17),
        ("maxpool3x2:same:s2:ceil", 17),
        ("avgpool3x2:pad1:s2:ceil", 17),
        ("avgpool3x2:pad1:s2:excludepad", 17),
        ("adaptavg7x1 gmp > fc3", 17),
        ("up3:bilinear up2x3", 17),
        ("gn2 ln:axes=3 in:affine", 21),
        ("gn2 ln ln:axes=3 in:affine", 17),
        ("lrn5 shuffle2 slice3:from1", 17),
        ("prelu leakyrelu relu6 prelu:shared elu:alpha=0.7", 17),
        ("gelu gelu:tanh silu hardswish", 17),
        ("gelu gelu:tanh silu hardswish", 25),
        ("hardsigmoid sigmoid tanh softmax", 17),
        ("( tanh + skip + relu ) ( conv1x1:4 | skip ) ( skip * gap fc8 sigmoid ) ( tanh * skip )", 17),
    ],
)
def test_what_is_written_is_read_with_equal_weights(text: str, opset: int, tmp_path: Path) -> None:
    model = drawn(network(f"7x5x4 > {text}").build(), 3)
    written(model, tmp_path / "model.onnx", opset=opset)
    again = import_onnx(tmp_path / "model.onnx")
    x = np.random.default_rng(7).normal(size=(2, 7, 5, 4)).astype(np.float32)
    np.testing.assert_allclose(again(x), model(x), rtol=1e-5, atol=1e-5)
    arrays = sorted(again.state.values(), key=lambda array: array.tobytes())
    for found, array in zip(arrays, sorted(model.state.values(), key=lambda array: array.tobytes()), strict=True):
        np.testing.assert_array_equal(found, array)
