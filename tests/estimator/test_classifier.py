"""CNNClassifier: what scikit-learn demands of a classifier, and what it promises besides.

`python tests/estimator/all_checks.py` runs all of scikit-learn's checks; here are those that a network could fail.
"""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

import joblib
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

import rot180
from rot180 import CNNClassifier
from rot180.engine.threads import chosen_threads
from rot180.errors import ArgumentError, NotationError, ShapeError
from rot180.estimator import classifier
from rot180.estimator.starting import trained_before
from rot180.training.batches import Examples
from rot180.training.fit import hold_out

X, NUMBERS = load_digits(n_class=3, return_X_y=True)
X, NUMBERS = X[:200], NUMBERS[:200]
Y = np.array(["zero", "one", "two"])[NUMBERS]
FAST = {"model": "fc16 relu > fc3", "epochs": 2, "random_state": 0}

RISKY = (
    "check_sample_weight_equivalence_on_dense_data",
    "check_classifiers_one_label_sample_weights",
    "check_methods_subset_invariance",
    "check_fit_idempotent",
    "check_fit2d_1feature",
    "check_estimators_nan_inf",
)


@pytest.mark.parametrize("name", RISKY)
def test_what_scikit_learn_demands(name):
    found = [
        (estimator, check)
        for estimator, check in estimator_checks_generator(CNNClassifier(), legacy=True, mark=None)
        if getattr(check, "func", check).__name__ == name
    ]
    assert found
    for estimator, check in found:
        check(estimator)


def test_images_and_rows_are_the_same():
    rows = CNNClassifier(image_shape=(8, 8), epochs=2, random_state=0).fit(X, Y)
    images = CNNClassifier(epochs=2, random_state=0).fit(X.reshape(-1, 8, 8, 1), Y)
    gray = CNNClassifier(epochs=2, random_state=0).fit(X.reshape(-1, 8, 8), Y)
    for other in (images, gray):
        assert np.array_equal(rows.predict_proba(X), other.predict_proba(X))
    assert np.array_equal(rows.predict_proba(X), images.predict_proba(X.reshape(-1, 8, 8, 1)))
    assert rows.n_features_in_ == images.n_features_in_ == 64
    assert rows.image_shape_ == (8, 8, 1)
    assert "conv3x3" in rows.model_.notation
    assert rows.score(X, Y) > 0.9
    assert list(rows.classes_) == ["one", "two", "zero"] == list(rows.model_.class_names)
    with pytest.raises(ShapeError, match=r"must be \(8, 8, 1\), like those of fit; they are \(4, 16, 1\)"):
        rows.predict(X.reshape(-1, 4, 16, 1))


def test_the_model_tells_what_rows_are():
    assert CNNClassifier("8x8x1 > conv3x3:4 relu > fc3", epochs=1).fit(X, Y).image_shape_ == (8, 8, 1)
    assert CNNClassifier("digits", epochs=1).fit(X, Y).model_.notation.startswith("8x8x1")
    features = CNNClassifier("fc8 relu > fc3", epochs=1).fit(X, Y)
    assert features.image_shape_ is None
    assert features.model_.notation == "64 > fc8 relu > fc3"
    network = rot180.network("8x8x1 > conv3x3:4 relu > fc3")
    found = CNNClassifier(network, epochs=1, random_state=0).fit(X, Y)
    assert not network.is_built
    assert found.model_.notation == network.notation


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"image_shape": (8, 9)}, ShapeError, r"image_shape=\(8, 9, 1\) have 72 numbers, but the samples have 64"),
        ({"model": "lenet6"}, ArgumentError, "did you mean 'lenet5'"),
        ({"model": "conv3x3:4 relux > fc3", "image_shape": (8, 8)}, NotationError, "8x8x1"),
        ({"model": "fc8 relu > fc4"}, ShapeError, "one output for each of the 3 classes; its output is 4 features"),
        ({"model": "9x9x1 > fc3"}, ShapeError, "the model takes 9x9x1, but the samples are 64 features"),
        ({"weights": "nothing.safetensors"}, ArgumentError, "weights are of networks for images"),
        ({"class_weight": {"four": 2}}, ArgumentError, "no class is called 'four'; they are 'one', 'two', 'zero'"),
        ({"class_weight": "even"}, ArgumentError, "None, 'balanced' or a dictionary by class; it is 'even'"),
        ({"class_weight": {"one": -1}}, ArgumentError, "finite numbers of at least 0"),
        ({"epochs": -1}, ArgumentError, "epochs must be"),
    ],
)
def test_mistakes(parameters, error, message):
    with pytest.raises(error, match=message):
        CNNClassifier(**parameters).fit(X, Y)


def test_weights_are_repetitions_and_the_order_means_nothing():
    weights = np.random.default_rng(0).integers(0, 4, len(X))
    order = np.random.default_rng(1).permutation(len(X))
    weighted = CNNClassifier(**FAST).fit(X[order], Y[order], sample_weight=weights[order])
    repeated = CNNClassifier(**FAST).fit(X.repeat(weights, axis=0), Y.repeat(weights))
    scaled = CNNClassifier(**FAST).fit(X, Y, sample_weight=8 * weights)
    for other in (repeated, scaled):
        assert np.array_equal(weighted.predict_proba(X), other.predict_proba(X))
    assert not np.array_equal(weighted.predict_proba(X), CNNClassifier(**FAST).fit(X, Y).predict_proba(X))
    with pytest.raises(ArgumentError, match="one finite number, at least 0, for each of the 200"):
        CNNClassifier(**FAST).fit(X, Y, sample_weight=weights[:-1])


def test_a_class_weight_is_a_sample_weight():
    by_class = CNNClassifier(**FAST, class_weight={"one": 3}).fit(X, Y)
    by_sample = CNNClassifier(**FAST).fit(X, Y, sample_weight=np.where(Y == "one", 3.0, 1.0))
    assert np.array_equal(by_class.predict_proba(X), by_sample.predict_proba(X))
    few = np.flatnonzero((Y != "two") | (np.arange(len(Y)) % 10 == 0))
    balanced = CNNClassifier(**FAST, class_weight="balanced").fit(X[few], Y[few])
    assert (
        balanced.predict_proba(X)[:, 1].mean() > CNNClassifier(**FAST).fit(X[few], Y[few]).predict_proba(X)[:, 1].mean()
    )


def test_a_warm_start_continues():
    warm = CNNClassifier(**FAST, warm_start=True).fit(X, Y)
    first, model = warm.history_.epochs[-1].train_loss, warm.model_
    warm.fit(X, Y)
    assert warm.model_ is model
    assert warm.history_.epochs[0].train_loss < first
    with pytest.raises(ArgumentError, match="with warm_start, the classes must be those of the fit before"):
        warm.fit(X, NUMBERS)


def test_partial_fit_learns_from_parts():
    model = CNNClassifier("fc16 relu > fc3", random_state=0, lr=0.01)
    with pytest.raises(ArgumentError, match="the first call of partial_fit needs classes"):
        model.partial_fit(X, Y)
    for _ in range(3):
        for part in np.array_split(np.arange(len(X)), 4):
            model.partial_fit(X[part], Y[part], classes=["zero", "one", "two"])
    assert model.score(X, Y) > 0.9
    with pytest.raises(ArgumentError, match="y has the class 'four'"):
        model.partial_fit(X[:2], np.array(["one", "four"]))
    with pytest.raises(ArgumentError, match="classes must be those of the first call"):
        model.partial_fit(X[:2], Y[:2], classes=["zero", "one"])


def test_early_stopping_holds_samples_out():
    found = CNNClassifier(**{**FAST, "epochs": 30}, early_stopping=2, validation_fraction=0.2, lr=0.02).fit(X, Y)
    assert found.history_.epochs[0].validation_loss is not None
    assert found.history_.stopped == "early_stopping" or len(found.history_.epochs) == 30


def test_it_is_cloned_and_stored(tmp_path):
    fitted = CNNClassifier(**FAST).fit(X, Y)
    joblib.dump(fitted, tmp_path / "classifier.joblib")
    again = joblib.load(tmp_path / "classifier.joblib")
    assert np.array_equal(again.predict_proba(X), fitted.predict_proba(X))
    again.partial_fit(X, Y)
    assert not hasattr(clone(fitted), "model_")
    rot180.save_model(tmp_path / "model.safetensors", fitted.model_)


def test_it_starts_from_a_network_that_was_trained_before(tmp_path, monkeypatch):
    images = X.reshape(-1, 8, 8, 1).astype(np.uint8)
    first = CNNClassifier(epochs=3, random_state=0).fit(images, NUMBERS)
    rot180.save_model(tmp_path / "model.safetensors", first.model_)
    found = CNNClassifier(weights=str(tmp_path / "model.safetensors"), epochs=0, random_state=0)
    assert found.fit(images[:100], Y[:100]).score(images, Y) > 0.9
    # Sample weights count in the last layer, too: they are repetitions, and those of 0 are left out.
    weights = np.random.default_rng(0).integers(0, 3, 100)
    plain, weighted, repeated = (
        clone(found).fit(*data).model_.state["fc2.weight"]
        for data in (
            (images[:100], Y[:100]),
            (images[:100], Y[:100], weights),
            (images[:100].repeat(weights, axis=0), Y[:100].repeat(weights)),
        )
    )
    np.testing.assert_array_equal(weighted, repeated)
    assert np.abs(weighted - plain).max() > 1e-4
    # What early stopping holds out trains no part of the network.
    given = []
    monkeypatch.setattr(classifier, "trained_before", lambda *what: given.append(what[1]) or trained_before(*what))
    validated = []
    monkeypatch.setattr(
        classifier,
        "fit",
        lambda model, data, **options: validated.append((data, options)) or rot180.fit(model, data, **options),
    )
    clone(found).set_params(early_stopping=1).fit(images[:100], Y[:100])
    (data, options), trained = validated[0], {image.tobytes() for image in given[0].images}
    _, held_out = hold_out(Examples(*data), options["validation"], options["seed"])
    assert len(held_out.images) == len(data[0]) - len(trained) == 10
    assert not trained & {image.tobytes() for image in held_out.images}
    with pytest.raises(ArgumentError, match="weights bring their own network"):
        clone(found).set_params(model="digits").fit(images, Y)


def test_in_pipelines_searches_and_calibration():
    pipeline = make_pipeline(StandardScaler(), CNNClassifier(**FAST))
    assert len(cross_val_predict(pipeline, X, Y, cv=2)) == len(X)
    calibrated = CalibratedClassifierCV(CNNClassifier(**FAST), cv=2, method="sigmoid").fit(X, Y)
    assert calibrated.predict_proba(X).shape == (200, 3)


def test_jobs_use_one_thread():
    """In threads of this process; `all_checks.py` searches in processes, too."""
    threads = []

    class Seeing(CNNClassifier):
        def _inputs(self, rows):
            threads.append(chosen_threads())
            return super()._inputs(rows)

    with joblib.parallel_config("threading"):
        search = GridSearchCV(Seeing(**FAST), {"lr": [1e-3, 3e-3]}, cv=2, n_jobs=2, refit=False).fit(X, Y)
    assert 1 in threads
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert chosen_threads() is None
    threads.clear()
    Seeing(**FAST).fit(X[:20], Y[:20])
    assert 1 not in threads


def test_without_scikit_learn_the_name_can_be_imported():
    code = (
        "import sys; sys.modules['sklearn'] = None\n"
        "from rot180 import CNNClassifier\n"
        "try: CNNClassifier()\n"
        "except ValueError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'rot180[sklearn]'" in done.stdout
