"""Write the small files of Keras that the tests read, with their outputs, into one archive.

    KERAS_BACKEND=torch python benchmarks/make_keras_files.py tests/interop/keras_files.npz

Keras, one of its backends, and h5py must be installed. Made with Keras 3.15.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np


def chain():
    """A sequential model: preprocessing, added zeros, activations inside layers."""
    from keras import Sequential, layers

    return Sequential(
        [
            layers.Input((9, 8, 3)),
            layers.Rescaling(1 / 127.5, offset=-1),
            layers.ZeroPadding2D(((0, 1), (1, 0))),
            layers.Conv2D(4, 3, strides=2, use_bias=False),
            layers.BatchNormalization(momentum=0.9),
            layers.ReLU(max_value=6),
            layers.ZeroPadding2D(1),
            layers.MaxPooling2D(3, strides=1),
            layers.SeparableConv2D(6, 3, padding="same", depth_multiplier=2, activation="relu"),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(5, activation="leaky_relu"),
            layers.Dense(3, activation="softmax"),
        ],
        name="chain",
    )


def graph():
    """A functional model: a block with a gate, a sum, branches of different kinds."""
    from keras import Input, Model, layers

    x = image = Input((12, 12, 3), name="photo")
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="stem")(x)
    x = layers.Activation("swish")(layers.BatchNormalization(scale=False)(x))
    y = layers.DepthwiseConv2D(3, padding="same")(x)
    y = layers.Activation("hard_swish")(layers.BatchNormalization(axis=-1)(y))
    gate = layers.Reshape((1, 1, 8))(layers.GlobalAveragePooling2D()(y))
    gate = layers.Conv2D(8, 1, activation="sigmoid")(layers.Conv2D(2, 1, activation="relu")(gate))
    x = layers.Add()([x, layers.Multiply()([y, gate])])
    x = layers.Concatenate()(
        [layers.Conv2D(4, 1, activation="gelu")(x), layers.AveragePooling2D(3, strides=1, padding="same")(x)]
    )
    x = layers.GlobalMaxPooling2D()(layers.LayerNormalization(epsilon=1e-6)(x))
    return Model(image, layers.Dense(4, name="head")(x), name="graph")


def nested():
    """A model inside a model, after preprocessing with its own statistics and augmentation."""
    from keras import Input, Model, layers

    whole = graph()
    body = Model(whole.input, whole.layers[-2].output, name="body")
    image = Input((12, 12, 3))
    x = layers.Normalization(mean=[120.0, 110.0, 100.0], variance=[3600.0, 3721.0, 3844.0])(image)
    x = layers.Dropout(0.2)(body(layers.RandomFlip("horizontal")(x)))
    return Model(image, layers.Dense(2, activation="softmax", name="out")(x), name="nested")


def maps():
    """A model of images of any size: transposed convolutions and the rarer layers."""
    from keras import Sequential, layers

    return Sequential(
        [
            layers.Input((None, None, 2)),
            layers.Conv2D(6, 3, dilation_rate=2, padding="same", groups=2),
            layers.GroupNormalization(3),
            layers.PReLU(shared_axes=[1, 2]),
            layers.UpSampling2D(2, interpolation="bilinear"),
            layers.Conv2DTranspose(5, 2, strides=2, use_bias=False),
            layers.ELU(0.5),
            layers.Conv2DTranspose(4, 4, strides=2, padding="same", activation="tanh"),
            layers.LeakyReLU(negative_slope=0.3),
            layers.Dense(3, activation="hard_sigmoid"),
        ],
        name="maps",
    )


WRITTEN = {
    chain: ("keras", "h5", "weights.h5"),
    graph: ("keras", "weights.h5"),
    nested: ("keras", "h5"),
    maps: ("keras", "weights.h5"),
}
"""In which forms each model is written."""


def randomize(model) -> None:
    """Give a model weights and statistics that differ from one another."""
    generator = np.random.default_rng(0)
    for variable in model.variables:
        if variable.dtype == "float32" and not variable.path.startswith("normalization"):
            drawn = generator.normal(size=variable.shape) * 0.3
            if "variance" in variable.path:
                drawn = 0.5 + generator.random(variable.shape)
            variable.assign(drawn + 1 if variable.path.endswith("gamma") else drawn)


def _packed(path: Path) -> np.ndarray:
    """Return a file with a compressed array, which Keras does not write."""
    import h5py

    with h5py.File(path, "w") as file:
        file.create_dataset("layers/dense/vars/0", data=np.zeros((50, 50), np.float32), compression="gzip")
    return np.frombuffer(path.read_bytes(), np.uint8)


def _loop(path: Path) -> np.ndarray:
    """Return a file with a group that is inside itself."""
    import h5py

    with h5py.File(path, "w") as file:
        file["layers"] = file["/"]
    return np.frombuffer(path.read_bytes(), np.uint8)


def main() -> int:
    """Write the archive that the command line names."""
    found: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as folder:
        for make, ends in WRITTEN.items():
            model, name = make(), make.__name__
            randomize(model)
            for end in ends:
                path = Path(folder) / f"{name}.{end}"
                (model.save_weights if end.startswith("weights") else model.save)(path)
                found[f"{name}.{end}"] = np.frombuffer(path.read_bytes(), np.uint8)
            shape = [8 if size is None else size for size in model.input_shape[1:]]
            x = np.random.default_rng(5).integers(0, 256, (2, *shape), dtype=np.uint8)
            found[f"{name}.x"] = x
            found[f"{name}.y"] = np.asarray(model.predict(x.astype(np.float32), verbose=0))
        found["packed.h5"] = _packed(Path(folder) / "packed.h5")
        found["loop.h5"] = _loop(Path(folder) / "loop.h5")
    np.savez_compressed(sys.argv[1], **found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
