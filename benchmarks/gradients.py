"""Check the gradients of the named models, at their full widths, against central differences in float64.

    python benchmarks/gradients.py [--models resnet18 vgg16] [--size 32] [--entries 60]

For a random delta at the outputs, in training with dropout switched off, entries drawn from parameters and from the
images, from as many arrays as possible, are compared with slopes (`rot180.inside.gradient_check`). Biases are shifted
a little so that values keep away from kinks (`kinks.py`); an entry is skipped if a ReLU or a pooling window switches
even within the shortest step.
"""

from __future__ import annotations

import argparse
import sys
from time import perf_counter

import numpy as np

from kinks import avoid_kinks
from rot180.inside.gradient_check import GradientCheck, check_gradients
from rot180.nn import NAMED_MODELS, Dropout, DropPath, Network, network
from rot180.nn.models import adapted_model

CLASSES = 3
LIMIT = 1e-6


def check(text: str, *, batch: int = 8, entries: int = 60, seed: int = 1) -> GradientCheck:
    """Compare drawn entries of the gradients of a network with differences.

    Parameters
    ----------
    text : str
        The network in the notation.
    batch : int
        The number of images.
    entries : int
        How many entries are drawn.
    seed : int
        Of the weights, the images, delta and the draws.
    """
    model: Network = network(text).build(seed=seed, dtype=np.float64)
    for layer in model.layers:
        if isinstance(layer, Dropout | DropPath):
            layer.rate = 0.0
    generator = np.random.default_rng(seed)
    for array in model.parameters.values():
        if array.ndim == 1:  # scales, shifts and biases start at one and zero, where some mistakes do not show
            array += 0.1 * generator.normal(size=array.shape)
    x = generator.normal(size=(batch, *model.input_shape))
    avoid_kinks(model, x)
    dy = generator.normal(size=(batch, *model.output_shape))
    dx, gradients = model.backward(dy, model.forward(x, training=True)[1], needs_dx=True)
    arrays, gradients = {**model.parameters, "x": x}, {**gradients, "x": np.asarray(dx)}
    names = [*generator.permutation(list(model.parameters)), "x"]
    each = -(-entries // len(names))
    drawn = {
        name: generator.choice(arrays[name].size, min(each, arrays[name].size), replace=False)
        for name in names[-(entries // each) :]
    }
    start = {name: arrays[name].flat[places].copy() for name, places in drawn.items()}

    def value(moved: dict[str, np.ndarray]) -> float:
        for name, entry in moved.items():
            arrays[name].flat[drawn[name]] = entry
        return float((dy * model.forward(x, training=True)[0]).sum())

    claimed = {name: gradients[name].flat[places] for name, places in drawn.items()}
    return check_gradients(value, start, claimed, tolerance=LIMIT, coordinates=each, directions=0, seed=seed)


def main() -> int:
    """Print a line for each model, and exit with 1 if a gradient is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(NAMED_MODELS), choices=list(NAMED_MODELS))
    parser.add_argument("--size", type=int, default=32, help="rows and columns of the images (default: 32)")
    parser.add_argument("--batch", type=int, default=8, help="images (default: 8)")
    parser.add_argument("--entries", type=int, default=60, help="entries drawn (default: 60)")
    given = parser.parse_args()
    failed = False
    for name in given.models:
        began = perf_counter()
        shape = (given.size, given.size, NAMED_MODELS[name].input_shape[-1])
        result = check(adapted_model(name, shape, CLASSES), batch=given.batch, entries=given.entries)
        right = bool(result.checked) and result.max_error <= LIMIT
        failed |= not right
        print(
            f"{name:20} {'right' if right else 'WRONG'}: largest relative error {result.max_error:.1e} at "
            f"{result.worst_name}, {result.checked} entries checked, {result.skipped} skipped at kinks, "
            f"{perf_counter() - began:.0f} s",
            flush=True,
        )
    return failed


if __name__ == "__main__":
    sys.exit(main())
