"""Both engines on numbers at the limits of their type: the same infinities and NaNs in the same places."""

from __future__ import annotations

import numpy as np
import pytest

from rot180.engine import make_engine
from rot180.nn import network
from rot180.nn.loss import CrossEntropyLoss, SquaredErrorLoss
from rot180.training import SGD

NETWORKS = (
    "6 > sigmoid",
    "6 > tanh",
    "6 > softmax",
    "6 > sigmoid softmax",
    "6 > relu",
    "6 > leakyrelu",
    "6 > tanh sigmoid",
    "6 > softmax softmax",
    "2x3x1 > sigmoid avgpool1x3 flatten",
    "2x3x1 > tanh avgpool2x1 flatten softmax",
    "2x3x1 > conv1x1:1:nobias sigmoid avgpool2x1 > flatten",
    "2x3x1 > conv1x1:1:nobias tanh avgpool1x3 > flatten",
    "2x3x1 > conv1x1:1:nobias relu maxpool2x1 > flatten sigmoid",
    "2x3x1 > maxpool1x3 flatten softmax",
    "6 > fc3:nobias sigmoid",
    "6 > fc3:nobias tanh",
    "6 > fc3:nobias relu > softmax",
)
FINITE = (0.0, -0.0, 1.0, -1.0, 20.0, -20.0, 87.0, -87.0, 88.5, -88.5, 100.0, -100.0, -101.0, -102.0, 104.0, -104.0)
SPECIAL = (np.inf, -np.inf, np.nan)


def extremes(dtype: type, rng: np.random.Generator, special: bool) -> np.ndarray:
    limits = np.finfo(dtype)
    tiny = (limits.smallest_subnormal, -limits.smallest_subnormal, limits.tiny, -limits.tiny, 1e-4, -1e-4)
    huge = (1e4, -1e4, 700.0, -700.0, 745.0, -745.0, limits.max / 8, limits.min / 8)
    values = np.array((*FINITE, *tiny, *huge, *(SPECIAL if special else ())), dtype)
    images = rng.choice(values, (200, 6))
    images[::3] = images[::3, :1]  # rows of one number, and nearly so
    images[1::6] = np.nextafter(images[::6], dtype(0))[: len(images[1::6])]
    return images


def parameters_of_one(text: str, dtype: type) -> object:
    model = network(text).build(dtype=dtype)
    for array in model.parameters.values():
        array[...] = np.eye(*array.shape[-2:])[: array.shape[-2]] if array.shape[-2] > 1 else 1
    return model


def assert_same(ours: np.ndarray, reference: np.ndarray, dtype: type) -> None:
    """NaN where the reference has it, the same infinities, and numbers that differ by some units in the last place.

    Kernels take what is below the normal numbers as zero.
    """
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(reference))
    limits = np.finfo(dtype)
    np.testing.assert_allclose(ours, reference, rtol=64 * limits.eps, atol=64 * limits.tiny)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("text", NETWORKS)
def test_outputs(text: str, dtype: type) -> None:
    model = parameters_of_one(text, dtype)
    images = extremes(dtype, np.random.default_rng(0), special=True).reshape(-1, *model.input_shape)  # type: ignore[attr-defined]
    for softmax in (False, True):
        with np.errstate(all="ignore"):
            reference, ours = (
                make_engine(name, model, SquaredErrorLoss()).forward(images, softmax=softmax)  # type: ignore[arg-type]
                for name in ("numpy", "compiled")
            )
        assert_same(ours, reference, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss", [CrossEntropyLoss(), CrossEntropyLoss(0.1), SquaredErrorLoss()])
@pytest.mark.parametrize("text", [text for text in NETWORKS if "fc" in text or "conv" in text])
def test_steps(text: str, loss: object, dtype: type) -> None:
    """Each image is a batch of its own: one that is not finite would hide the others."""
    rng = np.random.default_rng(1)
    for image in extremes(dtype, rng, special=False)[:12]:
        results, parameters = [], []
        for name in ("numpy", "compiled"):
            model = parameters_of_one(text, dtype)
            engine = make_engine(name, model, loss)  # type: ignore[arg-type]
            with np.errstate(all="ignore"):
                images = image.reshape(1, *model.input_shape)  # type: ignore[attr-defined]
                results.append(engine.train_step(images, np.array([1]), SGD(lr=1e-3)))
            parameters.append(model.parameters["conv1.weight" if "conv" in text else "fc1.weight"])  # type: ignore[attr-defined]
        reference, ours = results
        assert ours.finite == reference.finite
        np.testing.assert_allclose(ours.loss, reference.loss, rtol=1e-5 if dtype == np.float32 else 1e-12, atol=1e-30)
        if reference.finite:
            # y*(1 - y) has lost the digits of 1 - y where y is nearly 1, in both engines, each its own.
            room = 64 * np.finfo(dtype).eps * (1 + 1e-3 * float(np.abs(image).max()))
            np.testing.assert_allclose(parameters[1], parameters[0], rtol=1e-4, atol=room)


@pytest.mark.parametrize("engine", ["numpy", "compiled"])
def test_a_network_without_parameters_takes_steps(engine: str) -> None:
    model = network("6 > tanh softmax").build()
    result = make_engine(engine, model, CrossEntropyLoss()).train_step(np.ones((2, 6)), np.zeros(2, int), SGD(lr=1e-3))
    assert result.loss == pytest.approx(np.log(6))
