"""The argument MODEL-OR-RUN: a named model, a notation, or a trained run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rot180.nn import Network
    from rot180.ops.types import Array

HELP = "A run folder or weights file; or an untrained network: a name from rot180 models, or a notation."


def read_network(text: str, *, seed: int = 0) -> Network:
    """Return the built network that a command's MODEL-OR-RUN names.

    An existing file or folder is a run; so is anything that can only be a path.
    """
    from rot180.nn import model
    from rot180.runs import load_run
    from rot180.runs.folder import names_a_run

    if names_a_run(text):
        return load_run(Path(text)).model
    return model(text).build(seed=seed)


def random_batch(network: Network, batch_size: int, seed: int) -> tuple[Array, Array]:
    """Return noise images in the network's input shape, and random labels; values if its output is feature maps."""
    import numpy as np

    generator = np.random.default_rng(seed)
    shape = (batch_size, *network.input_shape)
    # Images are bytes; other inputs are floats.
    is_image = len(network.input_shape) == 3
    inputs = generator.integers(256, size=shape, dtype=np.uint8) if is_image else generator.random(shape)
    if len(network.output_shape) > 1:
        return inputs, generator.random((batch_size, *network.output_shape))
    return inputs, generator.integers(network.output_shape[-1], size=batch_size)
