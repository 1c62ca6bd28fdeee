"""ONNX files: named models, preprocessing, metadata, versions, and what is refused."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import rot180
from rot180.interop.export import export, layers
from rot180.nn import ReLU, Sequential, network
from rot180.nn.models import NAMED_MODELS
from rot180.nn.pixel_range import PixelRange


def thin(text: str) -> str:
    """Return the notation of a network with an eighth of the channels."""
    return re.sub(r"(conv\d+x\d+:|:g|fc)(\d+)", lambda found: f"{found[1]}{max(1, int(found[2]) // 8)}", text)


def run(path: Path, images: Any) -> Any:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: images})[0]


def operators(path: Path) -> list[str]:
    return [node.op_type for node in onnx.load(path).graph.node]


@pytest.mark.parametrize("name", NAMED_MODELS)
def test_a_named_model_in_onnx_runtime(name: str, tmp_path: Path) -> None:
    named = NAMED_MODELS[name]
    side = 224 if name == "vgg16" else min(named.input_shape[0], 64)  # whose adaptive pooling then does nothing
    model = network(thin(named.adapted((side, side, named.input_shape[2]), 80))).build(seed=0)
    generator = np.random.default_rng(0)
    for key, array in model.statistics.items():
        array[...] = generator.uniform(0.5, 1.5, array.shape) if "var" in key else generator.normal(0, 0.1, array.shape)
    path = tmp_path / "model.onnx"
    for fold in (False, True):
        found = rot180.export_onnx(model, path, fold=fold)
        assert found.difference is not None
        assert found.difference <= 1e-5
        assert "Transpose" not in operators(path)
        again = rot180.import_onnx(path)
        if not fold:
            assert all(np.array_equal(array, again.state[key]) for key, array in model.state.items())
    # a normalization that reads a sum, a concatenation or a pooling stays
    assert ("BatchNormalization" in operators(path)) == (name in ("densenet121", "vgg6"))


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize(
    "preprocessing",
    [
        rot180.Preprocessing("scale"),
        rot180.Preprocessing("none", pixels=PixelRange(0, 255, floats=False)),
        rot180.Preprocessing("scale", pixels=PixelRange(0, 16, floats=False)),
        rot180.Preprocessing("scale", pixels=PixelRange(0, 65535, floats=False)),
        rot180.Preprocessing("dataset", (0.5, 0.4, 0.3), (0.2, 0.3, 0.4), pixels=PixelRange(0, 1, floats=True)),
        rot180.Preprocessing("none", pixels=PixelRange(0, 1, floats=True)),
        rot180.Preprocessing("image"),
    ],
)
def test_a_graph_that_takes_images(preprocessing: rot180.Preprocessing, layout: str, tmp_path: Path) -> None:
    model = network("6x5x3 > conv3x3:4:same relu > fc3").build(seed=0)
    model.preprocessing = preprocessing
    known = preprocessing.pixels
    white = 255 if known is None or known.high == 1 else int(known.high)
    images = (
        np.random.default_rng(0).integers(white + 1, size=(3, 6, 5, 3)).astype(np.uint16 if white > 255 else np.uint8)
    )
    images[1] = white // 2  # a constant image
    expected = model(preprocessing(images, white=white))
    path = tmp_path / "model.onnx"
    for opset in (13, 18):
        found = rot180.export_onnx(model, path, with_preprocessing=True, layout=layout, opset=opset)
        assert (found.input.type, found.expects) == (images.dtype.name, f"pixels from 0 to {white}")
        given = images if layout == "nhwc" else images.transpose(0, 3, 1, 2)
        np.testing.assert_allclose(run(path, np.ascontiguousarray(given)), expected, rtol=1e-5, atol=1e-5)


def test_the_metadata_hold_what_a_program_must_know(tmp_path: Path) -> None:
    model = network("6x5x3 > conv3x3:4 relu > fc2").build(seed=0)
    model.preprocessing = rot180.Preprocessing("dataset", (0.5, 0.4, 0.3), (0.2, 0.3, 0.4), resize="crop")
    model.class_names = ("cat", "狗")
    found = rot180.export_onnx(model, tmp_path / "model.onnx")
    proto = onnx.load(tmp_path / "model.onnx")
    known = {entry.key: entry.value for entry in proto.metadata_props}
    assert json.loads(known["mean"]) == [0.5, 0.4, 0.3]
    assert json.loads(known["std"]) == [0.2, 0.3, 0.4]
    assert json.loads(known["class_names"]) == ["cat", "狗"]
    assert rot180.Preprocessing.from_dict(json.loads(known["preprocessing"])) == model.preprocessing
    plain = ("white", "resize", "layout", "channels", "preprocessing_in_graph")
    assert [known[key] for key in plain] == ["255", "crop", "NCHW", "RGB", "false"]
    assert known["input"] == found.expects == "(pixels / 255 - mean) / std, see the metadata"
    assert (found.input, found.output) == (
        export.Port("images", "float32", ("N", 3, 6, 5)),
        export.Port("logits", "float32", ("N", 2)),
    )
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.onnx"]
    assert {value.name for value in proto.graph.value_info} == {"conv1", "relu1", "flatten1"}


@pytest.mark.parametrize(("opset", "version"), [(13, 7), (17, 8), (19, 9), (21, 10), (25, 13)])
def test_the_version_of_the_format_follows_the_operators(opset: int, version: int, tmp_path: Path) -> None:
    found = rot180.export_onnx(network("4 > fc2").build(), tmp_path / "model.onnx", opset=opset)
    proto = onnx.load(tmp_path / "model.onnx")
    assert found.ir_version == proto.ir_version == version
    assert [(entry.domain, entry.version) for entry in proto.opset_import] == [("", opset)]


def test_what_the_outputs_are(tmp_path: Path) -> None:
    for text, softmax, name, said in (
        ("4 > fc2", False, "logits", "logits: their softmax is the probabilities"),
        ("4 > fc2", True, "probabilities", "probabilities"),
        ("4 > fc2 softmax", False, "probabilities", "probabilities"),
        ("4 > fc2 sigmoid", False, "sigmoids", "sigmoids: probabilities by themselves"),
        ("4x4x1 > relu", False, "maps", "feature maps"),
    ):
        found = rot180.export_onnx(network(text).build(), tmp_path / "model.onnx", softmax=softmax)
        known = {entry.key: entry.value for entry in onnx.load(tmp_path / "model.onnx").metadata_props}
        assert (found.output.name, known["output"]) == (name, said)


def test_any_number_of_images(tmp_path: Path) -> None:
    model = network("6x5x3 > ( skip * gap fc3 sigmoid ) gn3 shuffle3 > fc2").build(seed=0)
    rot180.export_onnx(model, tmp_path / "model.onnx")
    for count in (1, 2, 7):
        x = np.random.default_rng(count).normal(size=(count, 6, 5, 3)).astype(np.float32)
        found = run(tmp_path / "model.onnx", np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
        np.testing.assert_allclose(found, model(x), rtol=1e-4, atol=1e-5)


def test_a_layer_named_like_the_input_or_the_output(tmp_path: Path) -> None:
    model = network("6x5x3 > conv3x3:4:name=images relu:name=logits > fc2").build(seed=0)
    found = rot180.export_onnx(model, tmp_path / "model.onnx")
    assert (found.input.name, found.output.name) == ("images_", "logits_")


def test_float64_is_rounded_and_told(tmp_path: Path) -> None:
    model = network("6x5x3 > conv3x3:4 relu > fc2").build(seed=0, dtype=np.float64)
    found = rot180.export_onnx(model, tmp_path / "model.onnx")
    assert found.notes == ("the weights were rounded from float64 to float32, the type that ONNX programs compute in",)
    model.parameters["conv1.weight"][0] = 1e39
    with pytest.raises(rot180.NonFiniteError, match=r"conv1.weight has numbers beyond the range of float32"):
        rot180.export_onnx(model, tmp_path / "model.onnx")


class Own(ReLU):
    """A layer of one's own."""


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (network("4x4x1 > fc2"), {}, r"the model has no parameters yet; train it"),
        (
            Sequential([Own()], input_shape=(4, 4, 1)).build(),
            {},
            r"layer1|relu1 is a layer of your own, Own, which ONNX",
        ),
        (network("4 > fc2").build(), {"opset": 12}, r"opset must be .*13"),
        (network("4 > fc2").build(), {"opset": 26}, r"opset must be from 13 to 25 with onnx .*; it is 26"),
        (network("4 > fc2").build(), {"layout": "nwhc"}, r"unknown layout 'nwhc'; did you mean 'nhwc'\?"),
        (network("4 > fc2").build(), {"sopset": 1}, r"sopset"),
        (
            network("4 > fc2 softmax").build(),
            {"softmax": True},
            r"softmax turns logits into probabilities, but this network returns probabilities; leave it out",
        ),
        (network("4x4x1 > relu").build(), {"softmax": True}, r"but this network returns feature maps; leave it out"),
    ],
)
def test_what_cannot_be_written_is_refused(model: Any, options: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(rot180.ArgumentError, match=message):
        rot180.export_onnx(model, tmp_path / "model.onnx", **options)
    assert not list(tmp_path.iterdir())


def test_normalized_floats_cannot_be_made_of_images(tmp_path: Path) -> None:
    model = network("4x4x1 > fc2").build()
    model.preprocessing = rot180.Preprocessing("none", pixels=PixelRange(-2, 2, floats=True))
    assert rot180.export_onnx(model, tmp_path / "model.onnx").expects == "normalized like the training images"
    with pytest.raises(rot180.ArgumentError, match=r"trained on floats from -2 to 2, normalized; leave it out"):
        rot180.export_onnx(model, tmp_path / "images.onnx", with_preprocessing=True)


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    model = network("4 > fc2").build()
    model.parameters["fc1.bias"][0] = np.nan
    with pytest.raises(rot180.NonFiniteError, match=r"only a model with finite weights is written: 1 of 2 values"):
        rot180.export_onnx(model, tmp_path / "model.onnx")


def test_a_file_holds_less_than_2_gb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "MAX_BYTES", 39)
    with pytest.raises(rot180.ArgumentError, match=r"an ONNX file holds less than 2 GB, but the weights are"):
        rot180.export_onnx(network("4 > fc2").build(), tmp_path / "model.onnx")


def test_a_graph_that_computes_something_else_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted bug in a layer's nodes is found, and the previous file stays."""
    path = tmp_path / "model.onnx"
    model = network("6x5x3 > conv3x3:4 relu > fc2").build(seed=0)
    rot180.export_onnx(model, path)
    before = path.read_bytes()
    monkeypatch.setitem(layers.WRITERS, ReLU, layers.WRITERS[rot180.Tanh])
    with pytest.raises(rot180.ModelError, match=r"differ from the network's by .* of the largest; nothing is written"):
        rot180.export_onnx(model, path)
    monkeypatch.setitem(
        layers.WRITERS, ReLU, lambda graph, layer, x: x._replace(name=graph.node("Relu", layer.name, ["nowhere"]))
    )
    with pytest.raises(rot180.ModelError, match=r"the graph is not valid"):
        rot180.export_onnx(model, path)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_without_the_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = network("4 > fc2").build()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    found = rot180.export_onnx(model, tmp_path / "model.onnx")
    assert (found.difference, found.compared_with) == (None, "")
    assert found.notes == ("not compared with ONNX Runtime, which is not installed: pip install onnxruntime",)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(rot180.ArgumentError, match=r"not installed; install it with: pip install 'rot180\[onnx\]'"):
        rot180.export_onnx(model, tmp_path / "model.onnx")


def test_nothing_is_imported_before_it_is_needed() -> None:
    code = "import sys, rot180; rot180.export_onnx; print([name for name in sys.modules if name.startswith('onnx')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
