"""MODEL-OR-RUN: a named model, a notation, or something trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rot180.nn import Sequential
    from rot180.ops.types import Array

HELP = "A run's folder or weights file; or a name from rot180 models, or a network in the notation, untrained."


def read_network(text: str, *, seed: int = 0) -> Sequential:
    """Return the network that a command's MODEL-OR-RUN stands for, built.

    What is there as a file or folder is a run; so is what can only be a path.
    """
    from rot180.nn import model
    from rot180.runs import load_run

    looks_like_a_path = ">" not in text and ("/" in text or "\\" in text or text.endswith(".safetensors"))
    if looks_like_a_path or Path(text).exists():
        return load_run(Path(text)).model
    return model(text).build(seed=seed)


def random_batch(network: Sequential, batch_size: int, seed: int) -> tuple[Array, Array]:
    """Return images of noise, in the network's input shape, and labels drawn for them."""
    import numpy as np

    generator = np.random.default_rng(seed)
    shape = (batch_size, *network.input_shape)
    # Images come as bytes. What is no image goes in as it is.
    is_image = len(network.input_shape) == 3
    inputs = generator.integers(256, size=shape, dtype=np.uint8) if is_image else generator.random(shape)
    return inputs, generator.integers(network.output_shape[-1], size=batch_size)
