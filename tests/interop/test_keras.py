"""Files of Keras: its outputs, files that cannot be read, and models that no layers stand for."""

from __future__ import annotations

import io
import json
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

import rot180
from rot180.errors import ArgumentError, ModelError
from rot180.interop.keras import graph, hdf5
from rot180.interop.keras.container import KerasFile, snake_case
from rot180.interop.keras.graph import read_calls
from rot180.interop.keras.hdf5 import Hdf5
from rot180.interop.keras.lifting import lift
from rot180.interop.stored import StoredArray
from rot180.interop.weights import import_weights, load_weights
from rot180.runs.source import open_source

pytest.importorskip("pyfive")

ARCHIVE = Path(__file__).parent / "keras_files.npz"


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """A folder with files that Keras wrote."""
    folder = tmp_path_factory.mktemp("keras")
    with np.load(ARCHIVE) as stored:
        for name in stored:
            if name[-2:] not in (".x", ".y"):
                (folder / name).write_bytes(stored[name].tobytes())
    return folder


@pytest.mark.parametrize("name", ["chain.keras", "chain.h5", "graph.keras", "nested.keras", "nested.h5", "maps.keras"])
def test_outputs_are_those_of_keras(files, name):
    with np.load(ARCHIVE) as stored:
        pixels, expected = (stored[f"{name.partition('.')[0]}.{end}"] for end in "xy")
    found = import_weights(files / name, input_shape=(8, 8, 2) if name.startswith("maps") else None)
    assert found.naming == "Keras"
    scales = name.startswith(("chain", "nested"))  # the model's own preprocessing became ours
    x = found.model.preprocessing(pixels) if scales else pixels.astype(np.float32)
    np.testing.assert_allclose(found.model(x), expected, atol=2e-6)
    assert any("how images were preprocessed" in note for note in found.notes) != scales


def test_what_it_says_besides_the_weights(files):
    chain, nested = import_weights(files / "chain.keras"), import_weights(files / "nested.keras")
    assert chain.model.preprocessing.mean == (0.5,) * 3
    assert chain.model.notation.startswith(
        "9x8x3 > conv3x3:4:pad0,1,1,0:s2:nobias bn:eps=0.001 relu6 maxpool3:pad1:s1 > conv3x3:8:same:g4:nobias"
    )
    assert nested.notes == ("the layer 'random_flip' (RandomFlip) does something in training only, and is left out",)
    np.testing.assert_allclose(nested.model.preprocessing.mean, np.array([120, 110, 100]) / 255, rtol=1e-6)
    source = open_source(str(files / "chain.keras"))
    assert source.model.output_shape == (3,)
    assert len(source.sha256) == 64


@pytest.mark.parametrize("name", ["chain", "maps"])
@pytest.mark.parametrize("end", ["keras", "weights.h5"])
def test_into_a_network_of_ones_own(files, name, end):
    shape = (8, 8, 2) if name == "maps" else None
    there = import_weights(files / f"{name}.keras", input_shape=shape).model
    own = rot180.network(there.notation).build(seed=3)
    load_weights(own, files / f"{name}.{end}")
    for key, array in there.state.items():
        np.testing.assert_array_equal(own.state[key], array, err_msg=key)


def test_weights_alone_need_a_network(files):
    with pytest.raises(ModelError, match="the file holds weights alone; give --model with the network"):
        import_weights(files / "chain.weights.h5")
    notation = import_weights(files / "chain.keras").model.notation
    found = import_weights(files / "chain.weights.h5", notation)
    assert found.notes[0] == "the file tells neither padding nor epsilon; those of the given network are used"
    assert "the layers were matched in the order of the file" in found.notes[-1]
    with pytest.raises(ModelError, match=r"the weights are not those of .*missing"):
        import_weights(files / "chain.weights.h5", "9x8x3 > conv3x3:4 relu > fc3")
    with pytest.raises(
        ModelError, match="the weights are not those of"
    ):  # a gate of convolutions, which is linear here
        load_weights(import_weights(files / "graph.keras").model, files / "graph.weights.h5")


def test_the_size_of_images(files):
    with pytest.raises(ModelError, match="leaves the size of the images open; give it: --input 224x224x3"):
        import_weights(files / "maps.keras")
    with pytest.raises(ArgumentError, match="its network takes images of 9x8x3; leave out input_shape"):
        import_weights(files / "chain.keras", input_shape=(10, 10, 3))
    with pytest.raises(ArgumentError, match="input_shape is for files that hold a network; leave it out"):
        import_weights(files / "chain.weights.h5", input_shape=(9, 8, 3))


def test_without_pyfive(files, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyfive", None)
    with pytest.raises(ArgumentError, match=r"need pyfive; install it with: pip install rot180\[keras\]"):
        import_weights(files / "chain.h5")


def changed(path: Path, files: Path, change) -> Path:
    """Write `chain.keras` with another configuration."""
    target = path / "changed.keras"
    with zipfile.ZipFile(files / "chain.keras") as source, zipfile.ZipFile(target, "w") as archive:
        for name in source.namelist():
            content = source.read(name)
            archive.writestr(name, change(json.loads(content)) if name == "config.json" else content)
    return target


def set_layer(number: int, kind: str | None = None, **settings: object):
    def change(config):
        entry = config["config"]["layers"][number]
        entry["class_name"] = kind or entry["class_name"]
        entry["config"] |= settings
        return json.dumps(config)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_layer(5, "Lambda"), "the layer 're_lu' .Lambda.: it holds a function of Python, which is not run"),
        (set_layer(5, "os>system"), "no layer stands for this class"),
        (set_layer(5, "DepthwiseConv2D", kernel_size=[3, 3]), "the file has no kernel of it"),
        (set_layer(5, "Dense", units=10**6), "its arrays have the shapes .*, but the layer needs"),
        (set_layer(3, filters=5), r"its arrays have the shapes .*, but the layer needs"),
        (set_layer(3, filters=10**12), "filters must be a whole number"),
        (set_layer(3, data_format="channels_first"), "data_format='channels_first' is not supported"),
        (set_layer(3, activation="exponential"), "no layer stands for its activation 'exponential'"),
        (set_layer(3, activation={"class_name": "function", "config": "mish"}), "its activation 'mish'"),
        (set_layer(5, max_value=20), "max_value=20, negative_slope=0, threshold=0 is not supported"),
        (set_layer(4, axis=1), "axis=1 is not supported"),
        (set_layer(4, epsilon=float("nan")), "epsilon must be a number"),
        (set_layer(2, padding=[[0, 10**9], [0, 0]]), "is not supported"),
        (set_layer(0, batch_shape=[None, 10**6, 10**6, 3]), "values are supported"),
        (set_layer(0, batch_shape="x"), "the model must take images"),
        (set_layer(1, scale=-1.0), "only positive numbers are supported"),
        (set_layer(7, "AveragePooling2D", padding="same"), "padding='same' after added zeros"),
        (set_layer(5, "Reshape", target_shape=[2, -1]), "only vectors, and maps of one pixel made of vectors"),
        (lambda config: json.dumps({"class_name": "MyModel", "config": {}}), "a model of class 'MyModel'"),
        (lambda config: "[]", "the configuration must be a table"),
        (lambda config: "{", "the configuration is no JSON"),
        (lambda config: "[" * 100_000, "the configuration is no JSON"),
        (lambda config: "{}", "the configuration of the model cannot be read"),
    ],
)
def test_what_no_layers_stand_for(files, tmp_path, change, message):
    with pytest.raises(ModelError, match=message):
        import_weights(changed(tmp_path, files, change))


def test_files_that_are_damaged(files, tmp_path):
    content = (files / "chain.h5").read_bytes()
    path = tmp_path / "a.h5"
    path.write_bytes(content[:5000])
    with pytest.raises(ModelError, match=r"the HDF5 file is damaged|is cut off"):
        import_weights(path)
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(5000))
    with pytest.raises(ModelError, match="the HDF5 file is damaged"):
        import_weights(path)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("config.json", "{}")
        packed.writestr("model.weights.h5", bytes(10**6))
    path.write_bytes(archive.getvalue())
    with pytest.raises(ModelError, match="expected entries that are stored as they are"):
        import_weights(path)


def test_an_attribute_that_claims_more_values_than_it_has(files, tmp_path):
    content = bytearray((files / "chain.h5").read_bytes())
    names = content.index(b"layer_names\0")
    count = content.index((12).to_bytes(8, "little"), names)
    content[count : count + 8] = (1 << 27).to_bytes(8, "little")
    (tmp_path / "a.h5").write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(ModelError, match=r"the HDF5 file is damaged.*\(an attribute is cut off\)"):
            import_weights(tmp_path / "a.h5")
        assert tracemalloc.get_traced_memory()[1] < 32 * 1024**2
    finally:
        tracemalloc.stop()


def test_packed_arrays_are_refused(files):
    with pytest.raises(ModelError, match="is packed or in chunks; write the file again with: h5repack"):
        import_weights(files / "packed.h5")


def test_structures_without_end(monkeypatch, files):
    with pytest.raises(ModelError, match="more than 20,000 parts, or 12 levels"):
        import_weights(files / "loop.h5")
    monkeypatch.setattr(hdf5, "MAX_OBJECTS", 10)
    with pytest.raises(ModelError, match="more than 10 parts"):
        import_weights(files / "chain.h5")


def test_snake_case_is_that_of_keras():
    for name, expected in (("Conv2DTranspose", "conv2d_transpose"), ("PReLU", "p_re_lu"), ("Dense", "dense")):
        assert snake_case(name) == expected


# Models as Keras 2 wrote them: other words for the same.


def old(name: str, kind: str, *reads: str, **config: object) -> dict:
    return {
        "name": name,
        "class_name": kind,
        "config": {"name": name, **config},
        "inbound_nodes": [[[read, 0, 0, {}] for read in reads]] if reads else [],
    }


OLD = [
    old("in", "InputLayer", batch_input_shape=[None, 6, 6, 3]),
    old("a", "Conv2D", "in", filters=3, kernel_size=[3, 3], padding="same", activation="relu"),
    old("sum", "Add", "a", "in"),
    old("pool", "GlobalAveragePooling2D", "sum"),
    old("out", "Dense", "pool", units=2, use_bias=False, activation="softmax"),
]


def old_model(entries=OLD, **arrays: tuple[int, ...]) -> KerasFile:
    shapes = {"a/a_1/kernel:0": (3, 3, 3, 3), "a/a_1/bias:0": (3,), "out/out_1/kernel:0": (3, 2)} | arrays
    generator = np.random.default_rng(1)
    values = {name: generator.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    stored = {
        f"model_weights/{name}": StoredArray(array.shape, "F32", lambda array=array: array)
        for name, array in values.items()
    }
    groups = {"": hdf5.Group({}), "model_weights": hdf5.Group({"layer_names": ["in", "a", "sum", "pool", "out"]})}
    for layer in ("a", "out"):
        names = [name.partition("/")[2] for name in shapes if name.startswith(f"{layer}/")]
        groups[f"model_weights/{layer}"] = hdf5.Group({"weight_names": names})
    config = {
        "class_name": "Model",
        "config": {"layers": entries, "input_layers": [["in", 0, 0]], "output_layers": [["out", 0, 0]]},
    }
    return KerasFile(Path("old.h5"), config, 2, Hdf5(groups, stored), "model_weights/")


def test_the_words_of_keras_2():
    found = lift(old_model())
    assert found.network.notation == "6x6x3 > ( conv3x3:3:same relu + skip ) gap > fc2:nobias softmax"
    assert set(found.arrays) == {"conv1.weight", "conv1.bias", "fc1.weight"}
    assert [name for name, _, _ in old_model().layers()] == ["a/a_1", "out/out_1"]


def test_layers_inside_a_model_that_have_one_name():
    file = old_model()
    names = ["one/b/kernel:0", "two/b/kernel:0"]
    file.hdf5.groups["model_weights/base"] = hdf5.Group({"weight_names": names})
    file.hdf5.arrays.update({f"model_weights/base/{name}": StoredArray((1,), "F32", list) for name in names})
    with pytest.raises(ModelError, match="two layers inside 'base' have the name 'b'; save the model as"):
        file.variables(("base", "one", "b"), "", "Dense", {})
    file.hdf5.groups["model_weights"].attributes["layer_names"] = ["base"]
    with pytest.raises(
        ModelError, match="'base' is a model inside the model, and the order of its layers is not known"
    ):
        file.layers()


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (
            [*OLD[:2], old("sum", "Add", "a", "nowhere"), *OLD[3:]],
            "the layer 'sum' reads what no layer before it makes",
        ),
        ([OLD[0], OLD[1] | {"inbound_nodes": [[["in", 0, 0, {}]]] * 2}, *OLD[2:]], "layers that share weights"),
        ([*OLD[:1], *OLD[2:], old("a", "Conv2D", "out", filters=3)], "reads what no layer before it makes"),
        ([*OLD[:3], old("pool", "Subtract", "sum", "a"), OLD[4]], "Subtract.: no layer stands for this class"),
        (3, "the configuration of the model cannot be read"),
    ],
)
def test_graphs_that_are_none(entries, message):
    with pytest.raises(ModelError, match=message):
        lift(old_model(entries))


def test_the_hard_sigmoid_of_keras_2():
    entries = [*OLD[:4], old("out", "Dense", "pool", units=2, use_bias=False, activation="hard_sigmoid")]
    with pytest.raises(ModelError, match="the hard sigmoid of Keras 2"):
        lift(old_model(entries))


def test_models_inside_models_are_bounded():
    config: dict = {"class_name": "Sequential", "config": [{"class_name": "Dense", "config": {"name": "d"}}]}
    for _ in range(graph.MAX_DEPTH + 2):
        config = {"class_name": "Sequential", "config": [{**config, "build_config": {"input_shape": [None, 3]}}]}
    with pytest.raises(ModelError, match="models are inside models"):
        read_calls(Path("a.h5"), config)
