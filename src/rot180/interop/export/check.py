"""A written graph held against the specification, and its outputs against the network's."""

from __future__ import annotations

from typing import Any

import numpy as np

from rot180.errors import ModelError
from rot180.interop.export.form import Form
from rot180.interop.export.preprocessing import Pixels
from rot180.nn.network import Network
from rot180.ops.softmax import softmax
from rot180.ops.types import Array

TOLERANCE = 1e-3
"""The largest difference that rounding may explain, relative to the largest output."""

BATCH_SIZE = 2


def check_form(data: bytes) -> None:
    """Check a graph, with the shapes of all its values, as `onnx` specifies it.

    Raises
    ------
    ModelError
        It is not valid.
    """
    from onnx import checker, shape_inference

    try:
        checker.check_model(data, full_check=True)
    except (checker.ValidationError, shape_inference.InferenceError) as error:
        raise ModelError(f"export_onnx: the graph is not valid ({str(error).splitlines()[0]}); report this") from error


def runtime() -> Any:
    """Return the package `onnxruntime`, or None if it is not installed."""
    try:
        import onnxruntime
    except ImportError:
        return None
    return onnxruntime


def largest_difference(data: bytes, model: Network, form: Form) -> float:
    """Run a graph in ONNX Runtime on random images, and compare its outputs with those of the layers in NumPy.

    Returns
    -------
    float
        The largest difference, relative to the largest output.

    Raises
    ------
    ModelError
        It cannot be run, or the outputs differ by more than rounding.
    """
    images, x = _images(model)
    given = images if form.with_preprocessing else x
    with np.errstate(over="ignore", invalid="ignore"):
        expected = softmax(model(x)) if form.softmax else model(x)
    found = run(data, given if form.layout == "nhwc" or given.ndim != 4 else given.transpose(0, 3, 1, 2))
    if form.layout == "nchw" and found.ndim == 4:
        found = found.transpose(0, 2, 3, 1)
    with np.errstate(invalid="ignore"):
        apart = np.abs(found.astype(np.float64) - expected).max()
    difference = float(apart / max(float(np.abs(expected).max()), np.finfo(np.float32).tiny))
    if not difference <= TOLERANCE:
        raise ModelError(
            f"export_onnx: the outputs in ONNX Runtime differ from the network's by {difference:.1e} of the largest; "
            f"nothing is written; report this"
        )
    return difference


def run(data: bytes, images: Array) -> Array:
    """Return the outputs of a graph in ONNX Runtime; raise ModelError if it does not run."""
    onnxruntime = runtime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    version = onnxruntime.__version__
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        outputs: Array = session.run(None, {session.get_inputs()[0].name: np.ascontiguousarray(images)})[0]
    except Exception as error:  # ONNX Runtime's exceptions have no common class but this one
        raise ModelError(
            f"export_onnx: ONNX Runtime {version} does not run the graph ({str(error).splitlines()[0]}); "
            f"try a lower --opset"
        ) from None
    return outputs


def _images(model: Network) -> tuple[Array, Array]:
    """Return random images as integers, and as the first layer takes them."""
    generator, shape = np.random.default_rng(0), (BATCH_SIZE, *model.input_shape)
    preprocessing = model.preprocessing
    if preprocessing.pixels is not None and preprocessing.pixels.is_signed:
        x = generator.normal(size=shape).astype(np.float32)
        return x, x
    pixels = Pixels.of(preprocessing)
    images = generator.integers(pixels.white + 1, size=shape, dtype=pixels.dtype)
    return images, preprocessing(images, np.float32, white=pixels.white)
