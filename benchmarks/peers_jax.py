"""JAX on the CPU: the network written by hand in NHWC, with one jitted function per step and donated buffers."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from workloads import LEARNING_RATE, Layer, Workload

VERSIONS = {"jax": jax.__version__}
_ACTIVATIONS = {"relu": jax.nn.relu, "tanh": jnp.tanh, "sigmoid": jax.nn.sigmoid}
_BETA1, _BETA2, _EPS = 0.9, 0.999, 1e-8


def _pool(x: jax.Array, layer: Layer) -> jax.Array:
    # A reshape and a maximum: with reduce_window, whose backward pass is slow on the CPU, a step takes twice as long.
    k = layer.size
    height, width, channels = layer.output_shape
    windows = x[:, : height * k, : width * k].reshape(-1, height, k, width, k, channels)
    return windows.max((2, 4)) if layer.kind == "maxpool" else windows.mean((2, 4))


def _logits(parameters: dict[str, jax.Array], x: jax.Array, layers: list[Layer]) -> jax.Array:
    for layer in layers:
        if layer.kind == "conv":
            pad = [(layer.pad, layer.pad)] * 2
            weight = parameters[f"{layer.name}.weight"]
            x = lax.conv_general_dilated(x, weight, (1, 1), pad, dimension_numbers=("NHWC", "HWIO", "NHWC"))
            x = x + parameters[f"{layer.name}.bias"]
        elif layer.kind == "fc":
            x = x @ parameters[f"{layer.name}.weight"] + parameters[f"{layer.name}.bias"]
        elif layer.kind in ("maxpool", "avgpool"):
            x = _pool(x, layer)
        elif layer.kind == "flatten":
            x = x.reshape(x.shape[0], -1)
        else:
            x = _ACTIVATIONS[layer.kind](x)
    return x


class Contender:
    """A training step or a prediction. XLA takes the number of threads from the environment, at import."""

    def __init__(self, workload: Workload, threads: int) -> None:
        layers = workload.layers
        self.parameters = jax.tree.map(jnp.asarray, workload.weights())
        self.rate = LEARNING_RATE
        if workload.task == "infer":
            self._predict = jax.jit(lambda parameters, x: jax.nn.softmax(_logits(parameters, x, layers)))
            self.step = self._infer
            return
        self.state = (
            jax.tree.map(jnp.zeros_like, self.parameters),
            jax.tree.map(jnp.zeros_like, self.parameters),
            jnp.zeros(()),
        )

        def loss_of(parameters: Any, x: jax.Array, y: jax.Array) -> jax.Array:
            scores = jax.nn.log_softmax(_logits(parameters, x, layers))
            return -jnp.take_along_axis(scores, y[:, None], 1).mean()

        def update(parameters: Any, state: Any, rate: jax.Array, x: jax.Array, y: jax.Array) -> Any:
            loss, gradients = jax.value_and_grad(loss_of)(parameters, x, y)
            m, v, count = state
            count = count + 1
            m = jax.tree.map(lambda a, g: _BETA1 * a + (1 - _BETA1) * g, m, gradients)
            v = jax.tree.map(lambda a, g: _BETA2 * a + (1 - _BETA2) * g * g, v, gradients)
            first, second = 1 - _BETA1**count, 1 - _BETA2**count
            parameters = jax.tree.map(
                lambda w, a, b: w - rate * (a / first) / (jnp.sqrt(b / second) + _EPS), parameters, m, v
            )
            return parameters, (m, v, count), loss

        self._update = jax.jit(update, donate_argnums=(0, 1))
        self.step = self._train

    def prepare(self, images: np.ndarray, labels: np.ndarray) -> tuple[Any, Any]:
        """Convert a batch; not part of the measured time."""
        return jnp.asarray(images), jnp.asarray(labels.astype(np.int32))

    def set_learning_rate(self, rate: float) -> None:
        """Change the learning rate, an argument of the compiled function."""
        self.rate = rate

    def _train(self, x: jax.Array, y: jax.Array) -> float:
        self.parameters, self.state, loss = self._update(self.parameters, self.state, self.rate, x, y)
        jax.block_until_ready(self.parameters)
        return float(loss)

    def _infer(self, x: jax.Array, y: jax.Array) -> np.ndarray:
        return np.asarray(self._predict(self.parameters, x))
