"""Models as files: what is saved comes back, and a wrong file is refused before anything is allocated."""

from __future__ import annotations

import json
import struct
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from rot180.errors import ArgumentError, ModelError
from rot180.files.safetensors_header import read_header
from rot180.nn.activation import ReLU
from rot180.nn.joins import Add
from rot180.nn.layer import Layer
from rot180.nn.linear import Linear
from rot180.nn.notation import network
from rot180.nn.preprocessing import Preprocessing
from rot180.nn.registry import WORDS
from rot180.nn.sequential import Sequential
from rot180.runs.model_file import load_model, save_model

NOTATION = "8x8x1 > conv3x3:4:same relu maxpool2 > fc10"


@pytest.fixture
def model():
    made = network(NOTATION).build(seed=3)
    made.preprocessing = Preprocessing("dataset", (0.3,), (0.4,))
    made.class_names = tuple("zero one two three four five six seven eight neun-ü".split())
    return made


@pytest.fixture
def path(tmp_path, model):
    save_model(tmp_path / "model.safetensors", model)
    return tmp_path / "model.safetensors"


def rewrite(path, *, arrays=None, **metadata):
    """Write the file again with other arrays or other metadata, without its checksum, as another program does."""
    header_length = struct.unpack("<Q", path.read_bytes()[:8])[0]
    old = json.loads(path.read_bytes()[8 : 8 + header_length])["__metadata__"]
    kept = {key: value for key, value in (old | {"crc32": None} | metadata).items() if value is not None}
    save_file(load_file(path) if arrays is None else arrays, path, kept)


def test_the_file_lists_the_hyper_parameters_of_each_layer(path, model):
    with safe_open(path, "numpy") as file:
        layers = json.loads(file.metadata()["layers"])
    assert layers == {layer.name: layer.hyperparameters for layer in model.layers}
    assert layers["pool1"] == {"kernel_size": [2, 2], "stride": [2, 2], "padding": "valid", "ceil_mode": False}


def test_every_layer_can_be_listed(tmp_path):
    for word in WORDS.values():
        text = word.example if word.layer is not Linear else "fc10"
        model = network(f"8x8x8 > {text}").build()
        save_model(tmp_path / "m", model)
        assert load_model(tmp_path / "m").layers[-1].hyperparameters == model.layers[-1].hyperparameters


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"conv1": {"stride": [2, 2]}},
            r"layers: conv1.stride is \[2, 2\], but the notation says \[1, 1\]; the file was",
        ),
        ({"fc1": {"bias": False}}, "layers: fc1.bias is False, but the notation says True"),
        (
            {"conv1": {"padding": {}}},
            r"layers.conv1.padding must be text, a number, true or false, null, or lists of them",
        ),
        ({"conv1": {"padding": [[[1]]]}}, "layers.conv1.padding must be text"),
        ({"conv1": 3}, "layers.conv1 must be a table; it is 3"),
        ([], "layers must be a table"),
    ],
)
def test_hyper_parameters_that_contradict_the_notation_are_refused(path, change, message):
    rewrite(path, layers=json.dumps(change))
    with pytest.raises(ModelError, match=message):
        load_model(path)


@pytest.mark.parametrize("layers", [None, "{}", '{"conv1": {"in_channels": 1, "unknown": 5}, "other": {}}'])
def test_hyper_parameters_that_are_missing_or_unknown_do_no_harm(path, layers):
    rewrite(path, layers=layers)
    assert str(load_model(path)) == NOTATION


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("text", ["4x4x1 > avgpool2 > flatten", "3 > softmax", "2x2x2 > relu flatten sigmoid"])
def test_the_type_of_a_model_without_parameters_comes_back(tmp_path, text, dtype):
    save_model(tmp_path / "m", network(text).build(dtype=dtype))
    assert load_model(tmp_path / "m").dtype == dtype


def test_a_type_that_no_model_has_is_refused(tmp_path):
    save_model(tmp_path / "m", network("3 > softmax").build())
    rewrite(tmp_path / "m", dtype="int8")
    with pytest.raises(ModelError, match="dtype must be float32 or float64; it is 'int8'"):
        load_model(tmp_path / "m")
    rewrite(tmp_path / "m", dtype=None)  # as written by earlier versions
    assert load_model(tmp_path / "m").dtype == np.float32


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_everything_comes_back(tmp_path, model, dtype):
    model.build(seed=5, dtype=dtype)
    save_model(tmp_path / "m", model)
    again = load_model(tmp_path / "m")
    assert again.notation == model.notation
    assert again.preprocessing == model.preprocessing
    assert again.class_names == model.class_names
    assert again.dtype == dtype
    for name, array in model.parameters.items():
        np.testing.assert_array_equal(again.parameters[name], array)
        assert again.parameters[name].dtype == dtype
    x = np.random.default_rng(0).random((3, 8, 8, 1)).astype(dtype)
    np.testing.assert_array_equal(again(x), model(x))


def test_a_loaded_model_can_be_built_anew_with_its_initializers(tmp_path):
    made = network("4x4x1 > conv3x3:2:init=he_normal relu > fc3").build(seed=0)
    save_model(tmp_path / "m", made)
    again = load_model(tmp_path / "m")
    assert again.notation == made.notation
    for name, w in again.build(seed=0).parameters.items():
        np.testing.assert_array_equal(w, made.parameters[name])


def test_a_model_without_class_names_or_weights(tmp_path):
    save_model(tmp_path / "plain", network("4x4x1 > maxpool2").build())
    again = load_model(tmp_path / "plain")
    assert again.class_names is None
    assert not again.parameters


def test_what_cannot_be_saved(tmp_path, model, path):
    before = path.read_bytes()
    with pytest.raises(ArgumentError, match="no parameters yet; call build"):
        save_model(path, network(NOTATION))

    class Strange(Layer):
        kind = "strange"

    class Doubled(Add):
        def forward(self, *inputs, **options):
            y, saved = super().forward(*inputs, **options)
            return 2 * y, saved

    with pytest.raises(ArgumentError, match="cannot be read back from its notation"):
        save_model(path, Sequential([Strange(), Linear(2)], input_shape=(3,)).build())
    with pytest.raises(ArgumentError, match=r"cannot be read back from its notation '3 > .* skip .*; use the layers"):
        save_model(path, Sequential([Doubled([ReLU()], []), Linear(2)], input_shape=(3,)).build())
    with pytest.raises(ArgumentError, match=r"relu r\.\.\.'; .* and at most 1,000 of them"):
        save_model(path, Sequential([ReLU() for _ in range(1001)], input_shape=(3,)).build())
    with pytest.raises(ModelError, match="cannot be written because its folder does not exist"):
        save_model(tmp_path / "nowhere" / "model", model)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"rot180_format": None}, "expected a model of rot180 in format 1, found none"),
        ({"rot180_format": "2"}, "format 1, found '2'"),
        ({"notation": None}, "description of the network cannot be used"),
        ({"notation": "8x8x1 > conv3x3:4:sam relu"}, "description of the network cannot be used"),
        ({"notation": "8x8x1 > conv3x3:8:same relu maxpool2 > fc10"}, "describes 1370 weights, the file holds 690"),
        ({"notation": "8x8x1 > fc1000000"}, "describes 65000000 weights, the file holds 690"),
        ({"notation": "8x8x1 > " + "relu " * 30_000}, "at most 100000 are read"),
        ({"notation": "689x1x1 > fc1"}, r"arrays must be those .*missing: none; unexpected: conv1"),
        ({"preprocessing": None}, "description of the network cannot be used .*preprocessing"),
        ({"preprocessing": "{"}, "preprocessing: expected JSON"),
        ({"preprocessing": '{"kind": "magic"}'}, "unknown preprocessing 'magic'"),
        ({"preprocessing": '{"kind": "dataset", "mean": [1]}'}, "needs std"),
        ({"class_names": '["one"]'}, "class_names: expected 10 names, found 1"),
        ({"class_names": '{"a": 1}'}, "class_names must be a list, or null; it is"),
        ({"class_names": "[" * 5000}, "class_names: expected JSON"),
    ],
)
def test_metadata_that_do_not_fit(path, metadata, message):
    rewrite(path, **metadata)
    tracemalloc.start()
    try:
        with pytest.raises(ModelError, match=message) as caught:
            load_model(path)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_arrays_that_do_not_fit(path):
    good = load_file(path)
    turned = {name: array.reshape(array.shape[::-1]) for name, array in good.items()}
    rewrite(path, arrays=turned)
    with pytest.raises(ModelError, match=r"array 'conv1\.weight': expected shape \(3, 3, 1, 4\), found \(4, 1, 3, 3\)"):
        load_model(path)
    mixed = good | {"fc1.bias": good["fc1.bias"].astype(np.float64)}
    rewrite(path, arrays=mixed)
    with pytest.raises(ModelError, match="must have one type; found F32 and F64"):
        load_model(path)
    rewrite(path, arrays=good | {"fc1.bias": np.zeros(10, np.int32)})
    with pytest.raises(ModelError, match=r"array 'fc1\.bias': expected one of F32, F64, F16, BF16, found 'I32'"):
        load_model(path)


def test_weights_that_are_not_finite(path):
    arrays = load_file(path)
    name = next(iter(arrays))
    arrays[name].flat[3] = np.nan
    rewrite(path, arrays=arrays)
    with pytest.raises(ModelError, match=rf"{name} contains non-finite numbers"):
        load_model(path)


def test_a_changed_byte_is_refused_or_changes_nothing(tmp_path):
    model = network("2x2x1 > fc3 relu > fc2").build(seed=1)
    model.preprocessing = Preprocessing("dataset", (0.25,), (0.5,))
    model.class_names = ("cat", "dog")
    path = tmp_path / "model.safetensors"
    save_model(path, model)
    content, refused = path.read_bytes(), 0
    for position in range(0, len(content), 3):
        damaged = bytearray(content)
        damaged[position] ^= 1
        path.write_bytes(damaged)
        try:
            again = load_model(path)
        except ModelError:
            refused += 1
            continue
        assert (again.notation, again.preprocessing) == (model.notation, model.preprocessing)
        assert again.class_names == model.class_names
        assert all((again.parameters[name] == w).all() for name, w in model.parameters.items())
    assert refused > 0.3 * len(content)


def test_a_plausible_weight_that_was_not_saved(path):
    content = bytearray(path.read_bytes())
    content[-4] ^= 1  # the last digit of a weight
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"does not have the checksum .* is damaged, use another copy"):
        load_model(path)


def test_the_checksum_does_not_depend_on_the_order_in_the_file(path, model):
    metadata = read_header(path).metadata
    save_file(dict(reversed(load_file(path).items())), path, dict(reversed(metadata.items())))
    assert load_model(path).notation == model.notation
    rewrite(path, class_names='["a"]', crc32=metadata["crc32"])
    with pytest.raises(ModelError, match="expected 10 names"):
        load_model(path)
    rewrite(path, class_names=json.dumps(list("abcdefghij")), crc32=metadata["crc32"])
    with pytest.raises(ModelError, match="must leave 'crc32' out of the metadata"):
        load_model(path)


def test_missing_and_foreign_files(tmp_path):
    with pytest.raises(ModelError, match="there is no such file"):
        load_model(tmp_path / "none")
    with pytest.raises(ModelError, match="cannot be read"):
        load_model(tmp_path)
    (tmp_path / "text").write_text("a text of more than eight letters")
    with pytest.raises(ModelError, match=r"offset 0: expected a header of .*, but only"):
        load_model(tmp_path / "text")
    save_file({"w": np.zeros(3, np.float32)}, tmp_path / "foreign")
    with pytest.raises(ModelError, match="was written by another program"):
        load_model(tmp_path / "foreign")


@settings(max_examples=150, deadline=None, derandomize=True)
@given(position=st.integers(0, 700), junk=st.binary(max_size=6), cut=st.integers(0, 60))
def test_damaged_files_are_read_or_refused(tmp_path_factory, position, junk, cut):
    path = tmp_path_factory.getbasetemp() / "drawn.safetensors"
    save_model(path, network("2x2x1 > fc3 relu > fc2").build())
    content = bytearray(path.read_bytes())
    content[position : position + len(junk)] = junk
    path.write_bytes(content[: len(content) - cut])
    try:
        load_model(path)
    except ModelError:
        pass


def test_threads_that_save_to_one_path_leave_a_whole_model(tmp_path):
    path = tmp_path / "model.safetensors"
    models = [network("8x8x1 > conv3x3:4 relu fc10").build(seed=seed) for seed in range(4)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda turn: save_model(path, models[turn % 4]), range(40)))
    loaded = load_model(path).parameters
    assert any(all((own[name] == loaded[name]).all() for name in own) for own in (one.parameters for one in models))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("dtype", ["F16", "BF16"])
def test_weights_of_16_bits_are_widened(tmp_path, dtype: str) -> None:
    model = network("4x4x1 > conv3x3:2 relu > fc3").build(seed=0)
    save_model(tmp_path / "whole.safetensors", model)
    whole = (tmp_path / "whole.safetensors").read_bytes()
    length = int.from_bytes(whole[:8], "little")
    header, places, halves, end = json.loads(whole[8 : 8 + length]), whole[8 + length :], [], 0
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, stop = entry["data_offsets"]
        values = np.frombuffer(places[begin:stop], np.float32)
        half = values.astype(np.float16) if dtype == "F16" else (values.view(np.uint32) >> 16).astype(np.uint16)
        header[name] = {"dtype": dtype, "shape": entry["shape"], "data_offsets": [end, end + half.nbytes]}
        end += half.nbytes
        halves.append(half.tobytes())
    del header["__metadata__"]["crc32"]
    text = json.dumps(header).encode()
    (tmp_path / "half.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + b"".join(halves))
    loaded = load_model(tmp_path / "half.safetensors")
    assert loaded.dtype == np.float32
    for name, w in model.parameters.items():
        np.testing.assert_allclose(loaded.parameters[name], w, rtol=1e-2, atol=1e-7)
        assert not np.array_equal(loaded.parameters[name], w) or not w.any()


def test_class_names_differ(tmp_path) -> None:
    model = network("4x4x1 > fc3").build(seed=0)
    model.class_names = ("cat", "dog", "cat")
    with pytest.raises(ArgumentError, match="class names must differ; 'cat' occurs more than once"):
        save_model(tmp_path / "model.safetensors", model)


@pytest.mark.parametrize("engine", ["auto", "numpy"])
def test_a_weight_of_another_shape_is_never_stretched(engine: str) -> None:
    from rot180.training import predict

    images = np.zeros((2, 4, 4, 1), np.uint8)
    model = network("4x4x1 > conv3x3:2 relu > fc3").build(seed=0)
    predict(model, images, engine=engine)
    with pytest.raises(ArgumentError, match=r"conv1.weight must be \(3, 3, 1, 2\) of floats; it is \(1, 1, 1, 1\)"):
        model.load_parameters({**model.parameters, "conv1.weight": np.ones((1, 1, 1, 1), np.float32)})
    model.layers[0].parameters["weight"] = np.ones((1, 1, 1, 1), np.float32)
    with pytest.raises(ArgumentError, match=r"conv1.weight must be \(3, 3, 1, 2\) of floats; it is \(1, 1, 1, 1\)"):
        predict(model, images, engine=engine)
