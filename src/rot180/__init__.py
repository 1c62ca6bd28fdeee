"""Convolutional networks you can see through, at the speed of the machine.

| what | names |
|---|---|
| networks | `network`, `model`, `MODELS`, `Sequential`, `Network`, `Preprocessing` |
| layers | `Conv2d`, `ConvTranspose2d`, `Linear`, `Flatten`, `Dropout`, `DropPath` |
| pooling and resizing | `MaxPool2d`, `AvgPool2d`, `AdaptiveAvgPool2d`, `GlobalAvgPool2d`, `GlobalMaxPool2d`, \
`Upsample` |
| normalization | `BatchNorm2d`, `GroupNorm`, `LayerNorm`, `InstanceNorm2d`, `LocalResponseNorm`, `ChannelShuffle`, \
`ChannelSlice` |
| activations | `ReLU`, `ReLU6`, `NoisyReLU`, `LeakyReLU`, `PReLU`, `ELU`, `SiLU`, `GELU`, `Hardswish`, `Sigmoid`, \
`Hardsigmoid`, `Tanh`, `Softmax` |
| joins | `Add`, `Concatenate`, `Multiply` |
| losses | `CrossEntropyLoss`, `SquaredErrorLoss` |
| training | `Trainer`, `fit`, `find_lr`, `evaluate`, `ProgressBar`, `SGD`, `Adam`, `AdamW`, `Muon`, `RMSprop` |
| using a model | `predict`, `features` |
| scikit-learn | `CNNClassifier` |
| speed | `set_threads`, `threads` |
| data | `load_data`, `Dataset` |
| saved models and runs | `save_model`, `load_model`, `load_run` |
| other programs | `import_onnx`, `import_weights`, `load_weights`, `save_weights`, `export_onnx`, \
`export_python`, `export_c`, `export_page` |
| errors | `Rot180Error`, `ArgumentError`, `ShapeError`, `NotationError`, `DataError`, `ModelError`, `NonFiniteError`, \
`PixelWarning` |

Names are imported when they are first used, so that `import rot180` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rot180.data import Dataset, load_data
    from rot180.engine.threads import set_threads, threads
    from rot180.errors import (
        ArgumentError,
        DataError,
        ModelError,
        NonFiniteError,
        NotationError,
        PixelWarning,
        Rot180Error,
        ShapeError,
    )
    from rot180.estimator import CNNClassifier
    from rot180.interop.export import export_onnx
    from rot180.interop.onnx.importing import import_onnx
    from rot180.interop.standalone import export_c, export_page, export_python
    from rot180.interop.weights import import_weights, load_weights, save_weights
    from rot180.nn import (
        ELU,
        GELU,
        MODELS,
        AdaptiveAvgPool2d,
        Add,
        AvgPool2d,
        BatchNorm2d,
        ChannelShuffle,
        ChannelSlice,
        Concatenate,
        Conv2d,
        ConvTranspose2d,
        CrossEntropyLoss,
        Dropout,
        DropPath,
        Flatten,
        GlobalAvgPool2d,
        GlobalMaxPool2d,
        GroupNorm,
        Hardsigmoid,
        Hardswish,
        InstanceNorm2d,
        LayerNorm,
        LeakyReLU,
        Linear,
        LocalResponseNorm,
        MaxPool2d,
        Multiply,
        Network,
        NoisyReLU,
        PReLU,
        Preprocessing,
        ReLU,
        ReLU6,
        Sequential,
        Sigmoid,
        SiLU,
        Softmax,
        SquaredErrorLoss,
        Tanh,
        Upsample,
        model,
        network,
    )
    from rot180.runs import load_model, load_run, save_model
    from rot180.training import SGD, Adam, AdamW, Muon, RMSprop, Trainer, evaluate, features, find_lr, fit, predict
    from rot180.training.progress_bar import ProgressBar

__version__ = "0.1.0"

__all__ = [
    "ELU",
    "GELU",
    "MODELS",
    "SGD",
    "Adam",
    "AdamW",
    "AdaptiveAvgPool2d",
    "Add",
    "ArgumentError",
    "AvgPool2d",
    "BatchNorm2d",
    "CNNClassifier",
    "ChannelShuffle",
    "ChannelSlice",
    "Concatenate",
    "Conv2d",
    "ConvTranspose2d",
    "CrossEntropyLoss",
    "DataError",
    "Dataset",
    "DropPath",
    "Dropout",
    "Flatten",
    "GlobalAvgPool2d",
    "GlobalMaxPool2d",
    "GroupNorm",
    "Hardsigmoid",
    "Hardswish",
    "InstanceNorm2d",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LocalResponseNorm",
    "MaxPool2d",
    "ModelError",
    "Multiply",
    "Muon",
    "Network",
    "NoisyReLU",
    "NonFiniteError",
    "NotationError",
    "PReLU",
    "PixelWarning",
    "Preprocessing",
    "ProgressBar",
    "RMSprop",
    "ReLU",
    "ReLU6",
    "Rot180Error",
    "Sequential",
    "ShapeError",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "SquaredErrorLoss",
    "Tanh",
    "Trainer",
    "Upsample",
    "__version__",
    "evaluate",
    "export_c",
    "export_onnx",
    "export_page",
    "export_python",
    "features",
    "find_lr",
    "fit",
    "import_onnx",
    "import_weights",
    "load_data",
    "load_model",
    "load_run",
    "load_weights",
    "model",
    "network",
    "predict",
    "save_model",
    "save_weights",
    "set_threads",
    "threads",
]

_HOMES = {
    "rot180.data": ("Dataset", "load_data"),
    "rot180.engine.threads": ("set_threads", "threads"),
    "rot180.errors": (
        "ArgumentError",
        "DataError",
        "ModelError",
        "NonFiniteError",
        "NotationError",
        "PixelWarning",
        "Rot180Error",
        "ShapeError",
    ),
    "rot180.estimator": ("CNNClassifier",),
    "rot180.interop.export": ("export_onnx",),
    "rot180.interop.onnx.importing": ("import_onnx",),
    "rot180.interop.standalone": ("export_c", "export_page", "export_python"),
    "rot180.interop.weights": ("import_weights", "load_weights", "save_weights"),
    "rot180.runs": ("load_model", "load_run", "save_model"),
    "rot180.training.progress_bar": ("ProgressBar",),
    "rot180.training": (
        "SGD",
        "Adam",
        "AdamW",
        "Muon",
        "RMSprop",
        "Trainer",
        "evaluate",
        "features",
        "find_lr",
        "fit",
        "predict",
    ),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name where it is first used; all that have no other home are of `rot180.nn`."""
    if name not in __all__:
        raise AttributeError(f"module 'rot180' has no attribute {name!r}")
    value = getattr(import_module(_HOME.get(name, "rot180.nn")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__
