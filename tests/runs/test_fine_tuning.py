"""Fine-tuning: the last layer first, on features that are kept; then all layers, with statistics that stay."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from scipy.optimize import minimize

import rot180
from rot180.errors import ArgumentError, ModelError, ShapeError
from rot180.runs import load_run
from rot180.runs.resume import resume_run
from rot180.runs.source import open_source, with_new_head
from rot180.runs.train_run import RunSettings, train_run
from rot180.training import StepDone
from rot180.training.batches import Examples
from rot180.training.fit import hold_out
from rot180.training.head import _Problem, compute_features, fit_head

NETWORK = "12x12x3 > conv3x3:6:pad1:nobias bn relu maxpool2 > conv3x3:8:pad1:nobias bn relu > gap dropout0.2 fc4"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of photographs of three kinds."""
    folder = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(0)
    for part, count in (("train", 12), ("test", 6)):
        for channel, name in enumerate(("red", "green", "blue")):
            (folder / part / name).mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(0, 140, (14, 18, 3))
                pixels[..., channel] += 40
                Image.fromarray(pixels.astype(np.uint8)).save(folder / part / name / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A model file: statistics and weights as after a training, for four other classes."""
    model = rot180.network(NETWORK).build(seed=3)
    generator = np.random.default_rng(3)
    for name, array in model.statistics.items():
        array[...] = 0.5 + generator.random(array.shape) if name.endswith("var") else generator.normal(size=array.shape)
    model.preprocessing = rot180.Preprocessing("dataset", (0.4, 0.5, 0.6), (0.2, 0.3, 0.2), resize="crop:0.9:bicubic")
    model.class_names = ("a", "b", "c", "d")
    path = tmp_path_factory.mktemp("source") / "source.safetensors"
    rot180.save_model(path, model)
    return path


def train(photos, source, out, **settings):
    said, subscribers = [], settings.pop("subscribers", ())
    given = RunSettings(data=str(photos), source=str(source), engine="numpy", **settings)
    run = train_run(given, out=out, draw=False, tell=said.append, subscribers=subscribers)
    return run, said


def test_a_frozen_body(photos, source, tmp_path):
    run, said = train(photos, source, tmp_path / "run", freeze=True)
    model, before = load_run(tmp_path / "run").model, rot180.load_model(source)
    assert "the last layer was trained on the features of 36 images" in said[-1]
    for name, array in before.state.items():
        if not name.startswith("fc"):
            np.testing.assert_array_equal(model.state[name], array, err_msg=name)
    assert model.state["fc1.weight"].shape == (8, 3)
    assert model.class_names == ("blue", "green", "red")
    assert model.preprocessing.mean == (0.4, 0.5, 0.6)
    assert model.preprocessing.resize == "crop:0.9:bicubic"
    assert model.input_shape == (12, 12, 3)
    assert run.history.epochs == []
    with pytest.raises(ArgumentError, match="the run was started with --freeze"):
        resume_run(tmp_path / "run", epochs=3, draw=False, tell=str)
    assert run.test.accuracy > 0.8
    report = (tmp_path / "run" / "report.html").read_text()
    assert "<dt>accuracy of the last layer alone</dt>" in report
    assert "on a fifth of 36 images, held out to choose its weight decay" in report
    assert "<dt>epochs</dt>" not in report
    environment = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert environment["source_sha256"] == open_source(str(source)).sha256
    assert f'source = "{source}"' in (tmp_path / "run" / "config.toml").read_text()


def test_all_layers_learn_the_more_the_further_from_the_image(photos, source, tmp_path):
    train(photos, source, tmp_path / "run", epochs=2, optimizer="sgd", lr=0.5)
    model, before = load_run(tmp_path / "run").model, rot180.load_model(source)
    assert [layer.lr_factor for layer in model.layers if layer.has_parameters] == [0.01, 0.0316, 0.1, 0.316, 1.0]
    for name, array in before.statistics.items():
        np.testing.assert_array_equal(model.statistics[name], array)
    for name in ("conv1.weight", "conv2.weight", "bn2.bias"):
        assert not np.array_equal(model.state[name], before.state[name])


@pytest.mark.parametrize("phase", ["features", "head", "steps"])
def test_what_was_interrupted_ends_with_the_same_bits(photos, source, tmp_path, phase):
    class Killed(BaseException):
        pass

    expected = load_run(train(photos, source, tmp_path / "whole", epochs=2)[0].folder.path).model.state

    def progress(what, done, total):
        if what == {"features": "computing features", "head": "training the head"}.get(phase):
            raise Killed

    steps = []

    def kill(event):
        steps.append(isinstance(event, StepDone))
        if phase == "steps" and sum(steps) == 4:
            raise Killed

    given = RunSettings(data=str(photos), source=str(source), engine="numpy", epochs=2)
    with pytest.raises(Killed):
        train_run(given, out=tmp_path / "run", draw=False, tell=str, subscribers=[kill], progress=progress)
    resume_run(tmp_path / "run", draw=False, tell=str)
    found = load_run(tmp_path / "run").model.state
    assert all(np.array_equal(array, found[name]) for name, array in expected.items())


def test_a_source_that_has_changed(photos, source, tmp_path):
    other = tmp_path / "other.safetensors"
    other.write_bytes(source.read_bytes())

    def progress(what, done, total):
        if what == "computing features":
            raise KeyboardInterrupt

    given, said = RunSettings(data=str(photos), source=str(other), engine="numpy", freeze=True), []
    with pytest.raises(KeyboardInterrupt):
        train_run(given, out=tmp_path / "run", draw=False, tell=said.append, progress=progress)
    assert said[-1].startswith("interrupted while the last layer was trained; start again with: rot180 train --resume")
    model = rot180.load_model(source)
    model.state["conv1.weight"][...] *= 2
    rot180.save_model(other, model)
    with pytest.raises(ModelError, match="it has changed since the run started from it"):
        resume_run(tmp_path / "run", draw=False, tell=str)


def test_a_run_is_a_source_and_other_sizes_are_taken(photos, source, tmp_path):
    train(photos, source, tmp_path / "one", freeze=True)
    run, _ = train(photos, tmp_path / "one", tmp_path / "two", freeze=True, resize="16")
    assert run.model.input_shape == (16, 16, 3)
    assert run.model.preprocessing.resize == "crop:0.9:bicubic"
    assert run.model.notation.count("frozen") == 2


def test_features_are_those_of_the_image_and_of_its_mirror_image(source):
    model = rot180.load_model(source)
    images = np.random.default_rng(0).integers(0, 256, (5, 12, 12, 3), dtype=np.uint8)
    found = compute_features(model, images, mirrored=True, engine="numpy")
    *_, last = model.walk(model.preprocessing(images))
    np.testing.assert_allclose(found[:5], last.x, rtol=1e-5, atol=1e-6)
    *_, last = model.walk(model.preprocessing(images[:, :, ::-1]))
    np.testing.assert_allclose(found[5:], last.x, rtol=1e-5, atol=1e-6)


def test_the_head_is_the_minimum_of_its_loss():
    generator = np.random.default_rng(1)
    labels = generator.integers(0, 3, 60)
    features = (generator.normal(size=(60, 4)) * [1, 2, 0.1, 1] + labels[:, None] * [1, 0, 0.05, 0] + 3).astype(float)
    features[:, 3] = 7  # a feature that is always the same
    head = fit_head(features, labels, 3, engine="numpy")
    x = (features - features.mean(0)) / np.where(features.std(0) > 1e-9, features.std(0), 1)

    def loss(flat):
        point = flat.reshape(5, 3)
        z = x @ point[:-1] + point[-1]
        return (np.log(np.exp(z).sum(1)) - z[np.arange(60), labels]).mean() + head.decay / 2 * (point[:-1] ** 2).sum()

    best = minimize(loss, np.zeros(15), tol=1e-12).x.reshape(5, 3)
    z, expected = features @ head.weight + head.bias, x @ best[:-1] + best[-1]
    np.testing.assert_allclose(z - z.mean(1, keepdims=True), expected - expected.mean(1, keepdims=True), atol=2e-3)


def test_images_that_are_held_out_are_not_trained_on_in_either_phase(photos, source, tmp_path):
    run, said = train(photos, source, tmp_path / "run", epochs=1, validation=0.25)
    assert run.history.epochs[0].validation_accuracy is not None
    assert "the features of 27 images" in said[-1]  # 3 * 12 without a quarter
    (images, labels, _), _ = hold_out(Examples(run.dataset.train_images, run.dataset.train_labels), 0.25, seed=0)
    frozen = train(photos, source, tmp_path / "frozen", freeze=True, validation=0.25)[0].model
    features = compute_features(frozen, images, mirrored=True, engine="numpy")
    expected = fit_head(features, labels, 3, engine="numpy")
    np.testing.assert_array_equal(frozen.state["fc1.weight"], expected.weight)


def test_class_weights_count_images_as_often_as_they_say():
    generator = np.random.default_rng(1)
    labels = generator.integers(0, 2, 40)
    features = generator.normal(size=(40, 3)) + labels[:, None]
    shares = np.array([1.0, 3.0])
    problem = _Problem(features, labels, shares[labels], 2, "numpy")
    often = np.repeat(np.arange(40), shares[labels].astype(int))
    point = generator.normal(size=(4, 2))
    loss, gradient = problem._value(point, 0.0)
    # The same standardization, and each image as often as it counts.
    problem._x, problem._labels, problem._shares = problem._x[often], labels[often], np.full(len(often), 1 / 40)
    expected, expected_gradient = problem._value(point, 0.0)
    np.testing.assert_allclose(loss, expected)
    np.testing.assert_allclose(gradient, expected_gradient)
    # A class that counts much more is preferred.
    plain, weighted = (fit_head(features, labels, 2, class_weights=w, engine="numpy") for w in (None, [1.0, 50.0]))
    counts = [((features @ head.weight + head.bias).argmax(1) == 1).sum() for head in (plain, weighted)]
    assert counts[1] > counts[0]


def test_sample_weights_count_each_image_on_both_sides():
    generator = np.random.default_rng(1)
    labels = generator.integers(0, 2, 40)
    features = generator.normal(size=(80, 3)) + np.tile(labels, 2)[:, None]  # of the images and their mirror images
    weights = generator.integers(0, 3, 40).astype(float)

    def head(labels=labels, features=features, **options):
        return fit_head(features, labels, 2, engine="numpy", **options)

    found = head(sample_weights=weights)
    some = np.flatnonzero(weights)
    left_out = head(labels[some], features[np.concatenate([some, some + 40])], sample_weights=weights[some])
    for other in (left_out, head(sample_weights=8 * weights)):
        np.testing.assert_array_equal(found.weight, other.weight)
    np.testing.assert_array_equal(head(sample_weights=np.ones(40)).weight, head().weight)
    # A weight by class is a class weight, apart from the mean.
    of_class = np.array([1.0, 3.0])[labels]
    twice = head(class_weights=[1.0, 3.0] / of_class.mean())
    np.testing.assert_allclose(head(sample_weights=of_class).weight, twice.weight, rtol=1e-6)
    # Images that count much more are classified as they are labeled.
    wrong = labels.copy()
    wrong[:5] = 1 - wrong[:5]
    heavy = head(wrong, sample_weights=np.where(np.arange(40) < 5, 1000.0, 1.0))
    assert ((features[:5] @ heavy.weight + heavy.bias).argmax(1) == wrong[:5]).all()


def test_a_head_that_is_a_convolution():
    model = rot180.network("8x8x3 > conv3x3:4 relu dropout > conv1x1:10 relu gap").build(seed=1)
    made = with_new_head(model, (9, 9, 3), 2)
    assert made.notation == "9x9x3 > conv3x3:4:lr=0.01 relu dropout0.5 gap > fc2"
    np.testing.assert_array_equal(made.state["conv1.weight"], model.state["conv1.weight"])


def test_what_cannot_be_fine_tuned(photos, source, tmp_path):
    with pytest.raises(ModelError, match="nothing: there is no such file or folder, and no weights are published"):
        open_source("nothing")
    with pytest.raises(ArgumentError, match="--freeze needs --from"):
        train_run(RunSettings(freeze=True), out=tmp_path / "run")
    for setting in (
        *({"model": "lenet5"}, {"normalize": "image"}, {"recipe": "fast"}),
        *({"epochs": 3, "freeze": True}, {"augment": "flip", "freeze": True}, {"optimizer": "sgd", "freeze": True}),
    ):
        with pytest.raises(ArgumentError, match=f"leave out --{next(iter(setting))}"):
            train(photos, source, tmp_path / "run", **setting)
    with pytest.raises(ArgumentError, match="without epochs; leave out --learning-rate"):
        train(photos, source, tmp_path / "run", lr=0.1, freeze=True)
    with pytest.raises(ShapeError, match="--from: the network takes images of 12x12x3, but digits has 8x8x1"):
        train("digits", source, tmp_path / "run")
    with pytest.raises(ArgumentError, match="epochs must be an int, at least 1"):
        train(photos, source, tmp_path / "run", epochs=0)
    with pytest.raises(ArgumentError, match="needs a network that ends in a layer with weights, and has one before it"):
        with_new_head(rot180.network("8x8x1 > fc3").build(), (8, 8, 1), 2)
    with pytest.raises(ShapeError, match=r"--from: fc1\.weight has the shape \(36, 5\), and images of this size need"):
        with_new_head(rot180.network("8x8x1 > conv3x3:1 flatten fc5 relu fc3").build(), (9, 9, 1), 2)
    assert not (tmp_path / "run").exists()


def test_an_onnx_file_is_a_source(photos, source, tmp_path):
    pytest.importorskip("onnx")
    model = rot180.load_model(source)
    rot180.export_onnx(model, tmp_path / "model.onnx")
    run, _ = train(photos, tmp_path / "model.onnx", tmp_path / "run", freeze=True)
    np.testing.assert_allclose(run.model.state["conv1.weight"], model.state["conv1.weight"])
    assert run.model.preprocessing.mean == pytest.approx((0.4, 0.5, 0.6))
