"""`export`: the file, what is said about it, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from safetensors.numpy import load_file

import rot180 as package

Call = Callable[..., Any]


def test_a_run_as_a_file_that_takes_images(rot180: Call, trained: Path, tmp_path: Path) -> None:
    path = tmp_path / "digits.onnx"
    said = rot180("export", trained, "--to", path, "--with-preprocessing", "--input", "nhwc", "--softmax")
    assert (said.status, said.err) == (0, "")
    lines = said.out.splitlines()
    assert lines[0].startswith(f"{path}: opset 17, IR version 8, ")
    assert lines[1:3] == [
        "input images: uint8 (N, 8, 8, 1), pixels from 0 to 255",
        "output probabilities: float32 (N, 10)",
    ]
    assert lines[3].startswith("the outputs of ONNX Runtime ")
    images = package.load_data("digits").test_images[:5]
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = session.run(None, {"images": images})[0]
    expected = package.predict(package.load_run(trained).model, images)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_json(rot180: Call, trained: Path, tmp_path: Path) -> None:
    said = rot180("export", trained, "--to", tmp_path / "a.onnx", "--opset", 13, "--json").json
    assert (said["opset"], said["ir_version"], said["expects"]) == (13, 7, "pixels / 255")
    assert said["input"] == {"name": "images", "type": "float32", "shape": ["N", 1, 8, 8]}
    assert said["difference"] <= 1e-5


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("there.onnx", (), "there.onnx already exists; choose another --to or remove it"),
        ("model.pb", (), "--to names a file that ends in .onnx, .py, .h, .html or .safetensors; it is "),
        ("nowhere/model.onnx", (), "cannot be written because its folder does not exist; choose an existing one"),
        ("model.onnx", ("--opset", 9), "opset must be"),
        ("model.onnx", ("--input", "hwc"), "unknown layout 'hwc'"),
        ("model.onnx", ("--names", "timm"), "--names is for a file that ends in .safetensors; leave it out"),
        ("a.safetensors", ("--fold",), "--fold is for a file that ends in .onnx; leave it out, or choose another --to"),
        ("a.safetensors", ("--opset", 18), "--opset is for a file that ends in .onnx"),
        ("a.safetensors", ("--names", "timn"), "this network has no names of 'timn'"),
    ],
)
def test_what_is_refused(rot180: Call, trained: Path, tmp_path: Path, name: str, options: Any, message: str) -> None:
    (tmp_path / "there.onnx").write_bytes(b"mine")
    said = rot180("export", trained, "--to", tmp_path / name, *options)
    assert said.status == 2
    assert message in said.err
    assert len(said.err.splitlines()) == 1
    assert [entry.read_bytes() for entry in tmp_path.iterdir()] == [b"mine"]


def test_weights_for_pytorch(rot180: Call, trained: Path, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    said = rot180("export", trained, "--to", path, "--names", "rot180")
    assert said.out == f"{path}: 410 weights, as load_state_dict of PyTorch takes them\n"
    model = package.load_run(trained).model
    arrays = load_file(path)
    np.testing.assert_array_equal(arrays["conv1.weight"], model.parameters["conv1.weight"].transpose(3, 2, 0, 1))
    again = package.network(model.notation).build(seed=9)
    package.load_weights(again, path)
    assert all(np.array_equal(array, model.parameters[name]) for name, array in again.parameters.items())
