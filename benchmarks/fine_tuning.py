"""Measure fine-tuning on photographs: features, the last layer alone, and all layers.

    python benchmarks/fine_tuning.py FLOWERS WEIGHTS [--parts features head tuned] [--threads 2] [--limit N]

FLOWERS is a data set with test images, WEIGHTS what `rot180 train --from` takes. Three parts, which print a table:

- `features`: what the last layer reads of each training image, computed by `rot180.features` and by ONNX Runtime from
  the same network, which takes the same bytes and normalizes them itself. Both are given the same decoded images, whose
  time is told apart.
- `head`: `rot180 train --freeze` and scikit-learn's logistic regression on ONNX Runtime's features, standardized, with
  the C that its own cross-validation chooses. Accuracy on the test images.
- `tuned`: `rot180 train` with its recipe; accuracy on the test images, and the seconds from reading the data to there.

Needs onnx, onnxruntime, and scikit-learn for `head`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

import rot180
from rot180.data import Dataset, load_data
from rot180.data.options import ImageOptions
from rot180.nn import Network
from rot180.ops.types import Array
from rot180.runs.source import open_source
from rot180.runs.train_run import RunSettings, train_run

PARTS = ("features", "head", "tuned")
BATCH = 16
CS = np.logspace(-4, 0, 9)

T = TypeVar("T")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("weights")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--limit", type=int, help="only so many training images, to see that everything works")
    asked = parser.parse_args()
    rot180.set_threads(asked.threads)
    print("| what | accuracy | seconds |\n|---|---|---|", flush=True)
    if "tuned" not in asked.parts or len(asked.parts) > 1:
        compare(asked)
    if "head" in asked.parts:
        train(asked, freeze=True)
    if "tuned" in asked.parts:
        train(asked, freeze=False)


def say(what: str, seconds: float, accuracy: float | None = None) -> None:
    """Print a row."""
    print(f"| {what} | {'' if accuracy is None else f'{accuracy:.2%}'} | {seconds:.1f} |", flush=True)


def timed(call: Callable[[], T]) -> tuple[T, float]:
    """Return what a function returns, and its seconds."""
    began = time.perf_counter()
    return call(), time.perf_counter() - began


def compare(asked: argparse.Namespace) -> None:
    """Measure the features of both, and scikit-learn's head on those of ONNX Runtime."""
    model = open_source(asked.weights).model
    height, width, channels = model.input_shape
    options = ImageOptions(
        size=(height, width), channels=channels, resize=model.preprocessing.resize, workers=asked.threads
    )
    data, seconds = timed(lambda: load_data(asked.data, options))
    if asked.limit is not None:
        data = data.limit(asked.limit)
    images = data.train_images
    say(f"decode and resize {len(data.train_images) + len(data.test_images):,} images", seconds)
    theirs = features_of_onnxruntime(model, asked.threads)
    for run in (rot180.features, lambda _, some: theirs(some)):  # compiles, fills caches
        run(model, images[: 2 * BATCH])
    mine, seconds = timed(lambda: rot180.features(model, images, batch_size=BATCH))
    say(f"features of {len(images):,} images: rot180", seconds)
    other, seconds = timed(lambda: theirs(images))
    say(f"features of {len(images):,} images: ONNX Runtime", seconds)
    difference = float(np.abs(mine - other).max() / np.abs(other).max())
    if difference > 1e-3:
        raise SystemExit(f"the features differ by {difference:.1e} of the largest")
    if "head" in asked.parts:
        accuracy, seconds = timed(lambda: accuracy_of_sklearn(other, theirs(data.test_images), data))
        say("scikit-learn's logistic regression on ONNX Runtime's features", seconds, accuracy)


def features_of_onnxruntime(model: Network, threads: int) -> Callable[[Array], Array]:
    """Return a function from images (N, H, W, C) to what the last layer reads, computed by ONNX Runtime."""
    import onnx
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        rot180.export_onnx(model, path, with_preprocessing=True, layout="nhwc", fold=True)
        graph = onnx.load(path)
    last = next(node for node in reversed(graph.graph.node) if node.op_type in ("Gemm", "MatMul"))
    graph.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info(last.input[0], onnx.TensorProto.FLOAT, None))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def compute(images: Array) -> Array:
        batches = (images[start : start + BATCH] for start in range(0, len(images), BATCH))
        return np.concatenate([session.run(None, {name: batch})[0].reshape(len(batch), -1) for batch in batches])

    return compute


def accuracy_of_sklearn(features: Array, test_features: Array, data: Dataset) -> float:
    """Return the accuracy on the test images of logistic regression with the C chosen by cross-validation."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    search = GridSearchCV(pipeline, {"logisticregression__C": CS}).fit(features, data.train_labels)
    return float(search.score(test_features, data.test_labels))


def train(asked: argparse.Namespace, *, freeze: bool) -> None:
    """Measure a training from the command's settings."""
    given = RunSettings(data=asked.data, source=asked.weights, freeze=freeze, limit=asked.limit)
    with tempfile.TemporaryDirectory() as folder:
        run, seconds = timed(lambda: train_run(given, out=Path(folder) / "run", draw=False, tell=lambda _: None))
    if run.test is None:
        raise SystemExit(f"{asked.data}: no test images; give data with a test part")
    what = "the last layer" if freeze else f"all layers, {run.settings.epochs} epochs of {run.settings.batch_size}"
    say(f"rot180 train{' --freeze' if freeze else ''}: {what}", seconds, run.test.accuracy)


if __name__ == "__main__":
    main()
