"""Run folders: made once, never written over, read back whole."""

from __future__ import annotations

import errno
import os
from time import process_time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rot180.errors import ArgumentError, ModelError, TooLargeError
from rot180.files import write_atomically
from rot180.nn import Conv2d, Flatten, Linear, Sequential
from rot180.nn.notation import network
from rot180.runs import create_numbered_run, create_run, load_run, save_model
from rot180.runs.config import read_config, write_config
from rot180.runs.draw import draw_model, layer_outputs
from rot180.runs.train_run import RunSettings, train_run
from rot180.training import History


def test_an_existing_run_is_never_written_over(tmp_path):
    folder = create_run(tmp_path / "deep" / "run")
    folder.write_config({"data": "digits"})
    for path in (folder.path, folder.config_path):
        with pytest.raises(ArgumentError, match="already exists; choose another --out or remove it"):
            create_run(path)
    assert read_config(folder.config_path) == {"data": "digits"}


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="the run folder cannot be created"):
        create_run(tmp_path / "file" / "run")
    with pytest.raises(ModelError, match="the run folder cannot be created"):
        create_numbered_run("digits", "lenet5", tmp_path / "file")
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    with pytest.raises(ModelError, match="the run folder cannot be created"):
        create_numbered_run("digits", "lenet5", tmp_path / "dangling")


def test_numbered_names_are_plain(tmp_path):
    folder = create_numbered_run("My Images.csv", "8x8x1 > fc10", tmp_path)
    assert folder.path.name == "my-images-csv-8x8x1-fc10-001"
    assert create_numbered_run("../..", "", tmp_path).path == tmp_path / "unnamed-unnamed-001"


def test_a_run_comes_back(tmp_path):
    folder = create_run(tmp_path / "run")
    model = network("2x2x1 > fc2").build(seed=4)
    config = {
        "data": tmp_path,
        "training": {"lr": np.float32(0.5), "epochs": 2, "schedule": None, "betas": (0.9, 0.99)},
    }
    folder.write_config(config)
    folder.history_writer().write("step", epoch=1, batch=1, loss=0.5, accuracy=0.5, learning_rate=0.1, seconds=0.1)
    folder.save_model(model)
    run = load_run(str(folder.path))
    assert run.folder == folder
    assert run.config == {"data": str(tmp_path), "training": {"lr": 0.5, "epochs": 2, "betas": [0.9, 0.99]}}
    assert run.history.losses == [0.5]
    np.testing.assert_array_equal(run.model.parameters["fc1.weight"], model.parameters["fc1.weight"])


def test_a_lone_model_file_is_a_run(tmp_path):
    save_model(tmp_path / "lone.safetensors", network("2x2x1 > fc2").build())
    run = load_run(tmp_path / "lone.safetensors")
    assert run.folder is None
    assert run.config == {}
    assert run.model.notation == "2x2x1 > fc2"


def test_what_is_no_run(tmp_path):
    with pytest.raises(ModelError, match="no such run"):
        load_run(tmp_path / "none")
    with pytest.raises(ModelError, match=r"no config\.toml in it; not a run folder"):
        load_run(tmp_path)
    folder = create_run(tmp_path / "run")
    folder.write_config({})
    with pytest.raises(ModelError, match="no checkpoint found; start the training again"):
        load_run(folder.path)
    folder.save_model(network("2x2x1 > fc2").build())
    folder.config_path.unlink()
    with pytest.raises(ModelError, match=r"no config\.toml in it; not a run folder"):
        load_run(folder.path)
    with pytest.raises(ModelError, match=r"cannot be read|no such run"):
        load_run("nul\0byte")


def test_config_takes_plain_values_only(tmp_path):
    with pytest.raises(ArgumentError, match=r"config\.training\.model: expected text, a number"):
        write_config(tmp_path / "c.toml", {"training": {"model": object()}})
    assert not (tmp_path / "c.toml").exists()
    (tmp_path / "c.toml").write_text("a = 1\nb = \n")
    with pytest.raises(ModelError, match=r"c\.toml: expected TOML .*line 2"):
        read_config(tmp_path / "c.toml")
    (tmp_path / "c.toml").write_text("#" * 1_000_001)
    with pytest.raises(ModelError, match="at most 1000000 bytes"):
        read_config(tmp_path / "c.toml")


plain = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(config=st.dictionaries(st.text(max_size=5), plain, max_size=4))
def test_config_comes_back_as_it_was(tmp_path_factory, config):
    path = tmp_path_factory.getbasetemp() / "drawn.toml"
    write_config(path, config)
    assert read_config(path) == config


@settings(max_examples=100, deadline=None, derandomize=True)
@given(content=st.binary(max_size=60) | st.text("ab=[]{}\"'\n.1e+", max_size=60).map(str.encode))
def test_any_bytes_are_a_config_or_a_model_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "drawn-bytes.toml"
    path.write_bytes(content)
    try:
        read_config(path)
    except ModelError:
        pass


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, step):
    path = tmp_path / "model.safetensors"
    write_atomically(path, b"old")

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(*(("os.fsync", full) if step == "fsync" else ("os.replace", full)))
    with pytest.raises(ModelError, match=r"model\.safetensors: cannot be written \(No space left on device\)"):
        write_atomically(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_layers_that_differ_in_case_have_pictures_of_their_own(tmp_path):
    layers = [Conv2d(2, 2, name="a"), Conv2d(3, 2, name="A"), Flatten(), Linear(3)]
    (tmp_path / "run").mkdir()
    drawn = draw_model(tmp_path / "run" / "pictures", Sequential(layers, input_shape=(6, 6, 1)).build(), History())
    assert [path.name for path in drawn] == ["kernels-a.png", "kernels-A-2.png"]


def test_of_deep_networks_a_selection_is_drawn():
    model = network("8x8x3 > " + 30 * "conv3x3:4:same bn relu " + "> gap fc5").build(seed=0)
    outputs = layer_outputs(model, np.zeros((8, 8, 3), np.uint8))
    names = [name for name, _ in outputs]
    assert len(names) == 20
    assert names[:3] == ["relu1", "relu3", "relu4"]  # what stands before a normalization or an activation is left out
    assert names[-1] == "fc1"
    np.testing.assert_allclose(outputs[-1][1], model(model.preprocessing(np.zeros((1, 8, 8, 3), np.uint8)))[0])


@pytest.mark.parametrize(
    "text",
    [
        'a = ["""\n\' """, {KEY=\'1\'}]',
        'a = ["""x"""", {KEY="1"}]',
        "a = ['''x'''', {KEY='1'}]",
        'a = ["\'", {KEY="\'"}]',
        '# "\nKEY = "1"',
        'a = "#\\\\"\nKEY = 1',
    ],
)
def test_no_string_hides_a_long_key(tmp_path, text):
    path = tmp_path / "config.toml"
    path.write_text(text.replace("KEY", "b.c"))
    read_config(path)
    path.write_text(text.replace("KEY", ".".join("b" * 30)))
    with pytest.raises(ModelError, match="expected keys of at most 20 dots, found 29"):
        read_config(path)


@pytest.mark.parametrize("text", ['a = "' + '\\"' * 400_000, 'a = """' + '\\"' * 400_000, "'a" * 400_000])
def test_quotes_without_end_take_no_time(tmp_path, text):
    (tmp_path / "config.toml").write_text(text)
    before = process_time()
    with pytest.raises(ModelError, match="expected TOML"):
        read_config(tmp_path / "config.toml")
    assert process_time() - before < 5


@pytest.mark.parametrize("engine", ["numpy", "compiled"])
def test_a_training_without_the_memory_for_its_first_step_leaves_no_folder(tmp_path, monkeypatch, engine):
    monkeypatch.setattr("rot180.memory.available_memory", lambda: 10**8)
    settings = RunSettings(model="8x8x1 > conv1x1:16 up128 relu gap > fc10", limit=20, batch_size=10, engine=engine)
    with pytest.raises(
        TooLargeError, match=r"needs [\d.]+ GB of memory, but 0\.\d\d GB are available; choose a smaller"
    ):
        train_run(settings, out=tmp_path / "runs" / "run", draw=False)
    assert list((tmp_path / "runs").iterdir()) == []
