"""Weights of other programs, into a network and out of one."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np

from rot180.data.options import Progress, _silent
from rot180.errors import ArgumentError, ModelError, did_you_mean
from rot180.files import write_atomically
from rot180.files.safetensors_file import serialize
from rot180.interop.fitting import IN_ORDER, OWN, Fit, best_fit, places_of, require_complete
from rot180.interop.hub_config import HubConfig, read_hub_config
from rot180.interop.origin import find_weights
from rot180.interop.published import IMAGENET, LITE, known_config
from rot180.interop.recognition import for_tf, hint, photograph_models, recognized
from rot180.interop.stored import Weights
from rot180.interop.torch_layout import from_torch, to_torch
from rot180.interop.torch_names import NAMINGS, PORT, TIMM, TORCHVISION
from rot180.interop.weight_file import open_weights
from rot180.memory import require
from rot180.nn import Network
from rot180.nn.keywords import answering_call
from rot180.nn.validation import image_shape
from rot180.nn.weighted import build_with_zeros


@dataclass(frozen=True)
class Imported:
    """A network made from a file of weights.

    Attributes
    ----------
    model : Network
        Built, with the weights, preprocessing and class names.
    path : Path
        The file of weights.
    origin : str
        What finds the same weights again: the path, the name of published weights, or `owner/name@revision`.
    architecture : str
        The named model, or the notation.
    naming : str
        Whose names the file uses.
    notes : tuple of str
        What the file does not say, and what was assumed.
    class_note : str or None
        Likewise, about the names of the classes.
    license : str or None
        As the `config.json` beside the file says, or whoever published it.
    """

    model: Network
    path: Path
    origin: str
    architecture: str
    naming: str
    notes: tuple[str, ...]
    class_note: str | None
    license: str | None


@answering_call
def import_weights(
    path: str | Path,
    model: str | None = None,
    *,
    input_shape: Iterable[int] | None = None,
    progress: Progress | None = None,
) -> Imported:
    """Make a network from a file of weights that another program wrote.

    Parameters
    ----------
    path : str or Path
        A PyTorch checkpoint (`.pth`, `.pt`); a `.safetensors` file with the names of torchvision, of timm, of the
        networks here, or of a `torch.nn.Sequential`; or a file of Keras (`.keras`, `.h5`), whose network is read, too,
        if it is there. A `config.json` beside it, as model hubs keep it, tells how images
        are prepared and the names of the classes. If there is no such file: the name of published weights, such as
        "resnet18", or a repository "owner/name" of a model hub, at its newest revision or at "owner/name@revision";
        they are downloaded once, and then read from the cache folder.
    model : str, optional
        A named model, timm's name of one, or a notation; recognized from names and shapes by default.
    input_shape : (H, W, C), optional
        The shape of one image, where a file of Keras leaves it open.
    progress : callable, optional
        Called with the progress of a download.

    Returns
    -------
    Imported

    Raises
    ------
    ModelError
        The file cannot be read or is damaged; or it holds the weights of no network that is known, or of another one
        than `model`: the message lists what is missing, unexpected and of another shape.
    ArgumentError, NotationError
        `model` is no name and no notation.
    TooLargeError
        The network needs more memory than is available.
    """
    origin = find_weights(path, progress or _silent)
    shape = None if input_shape is None else image_shape(input_shape)
    with open_weights(origin.path, shape) as weights:
        if shape is not None and weights.network is None:
            raise ArgumentError(f"{origin.path}: input_shape is for files that hold a network; leave it out")
        if shape is not None and weights.network is not None and weights.network.input_shape != shape:
            fixed = "x".join(map(str, weights.network.input_shape))
            raise ArgumentError(f"{origin.path}: its network takes images of {fixed}; leave out input_shape")
        if not weights.arrays:
            raise ModelError(f"{origin.path}: expected weights, found no array of floats")
        config = _config(weights.path)
        notes = [*filter(None, [origin.note]), *weights.notes]
        fit, name = recognized(weights, model, config, notes)
        network_ = fit.network
        _load(network_, fit, weights, build=True)
    config = config if config.preprocessing else replace(config, preprocessing=weights.preprocessing)
    _describe(network_, fit, name, config, notes)
    class_note = _name_classes(network_, name, config)
    return Imported(
        network_,
        origin.path,
        origin.text,
        name,
        fit.naming if weights.network is None else "Keras",
        tuple(notes),
        class_note,
        config.license or origin.license,
    )


def _config(path: Path) -> HubConfig:
    """Return what the `config.json` beside a file of weights says, or what is known of published weights."""
    return read_hub_config(path.parent) or known_config(path) or HubConfig()


@answering_call
def load_weights(model: Network, path: str | Path) -> None:
    """Copy the weights in a file of another program into a model.

    The model's preprocessing becomes that of a `config.json` beside the file, if there is one; otherwise it stays.

    Parameters
    ----------
    model : Network
        Built for its input shape if it is not built yet; all its weights and statistics are replaced.
    path : str or Path
        As in `import_weights`: a file, a name of published weights, or a repository of a model hub.

    Raises
    ------
    ModelError
        The file cannot be read, is damaged, or does not hold the weights of this network. Nothing was changed.
    ArgumentError
        The names are those of weights that need another padding or epsilon.

    Examples
    --------
    >>> import tempfile
    >>> from rot180.nn import model
    >>> path = Path(tempfile.mkdtemp()) / "lenet5.safetensors"
    >>> save_weights(model("lenet5").build(seed=1), path)
    >>> other = model("lenet5").build(seed=2)
    >>> load_weights(other, path)
    >>> np.array_equal(other.state["fc1.weight"], model("lenet5").build(seed=1).state["fc1.weight"])
    True
    """
    if not model.is_built:
        model.build()
    with open_weights(find_weights(path).path, model.input_shape) as weights:
        config = _config(weights.path)
        fit = best_fit(model, weights)
        require_complete(fit, weights, "this network", hint(fit, weights))
        if fit.is_tf and for_tf(model.notation) != model.notation:
            raise ArgumentError(
                f"{path}: these weights need the padding 'same' and an epsilon of 0.001, which this network does not "
                f"have; let rot180.import_weights make the network"
            )
        _load(model, fit, weights)
    if config.preprocessing is not None:
        model.preprocessing = config.preprocessing


@answering_call
def save_weights(model: Network, path: str | Path, names: str = "auto") -> None:
    """Write the weights of a model to a safetensors file as PyTorch has them, for `load_state_dict`.

    Parameters
    ----------
    model : Network
        Built.
    path : str or Path
        Usually `weights.safetensors`; an existing file is replaced.
    names : {"auto", "torchvision", "timm", "torch.nn.Sequential", "rot180"}
        Whose names the layers get; "rot180" means those of the layers, such as `conv1`. By default torchvision's if
        the network has the structure of one of its families, otherwise those of the layers.

    Raises
    ------
    ArgumentError
        The model is not built, or its structure has no names of this library.
    ModelError
        The file cannot be written; an existing file is unchanged.
    """
    if not model.is_built:
        raise ArgumentError("save_weights: the model has no parameters yet; call build(seed=0) first")
    own = {layer.name: layer.name for layer in model.layers}
    known = {naming.library: found for naming in NAMINGS[::-1] if (found := naming.names(model)) is not None}
    if TORCHVISION in known:  # whose names of these are timm's, too
        known.setdefault(TIMM, known[TORCHVISION])
    known.pop(PORT, None)
    known |= {OWN: own, "auto": known.get(TORCHVISION, own)}
    if names not in known:
        raise ArgumentError(f"save_weights: this network has no names of {names!r}{did_you_mean(names, known)}")
    state = model.state
    full = {layer.name: known[names].get(layer.name, "") for layer in model.layers}
    arrays = {there: to_torch(state[place.name], place.flattened) for there, place in places_of(model, full).items()}
    write_atomically(path, serialize(arrays, {"format": "pt"}))


def _load(model: Network, fit: Fit, weights: Weights, *, build: bool = False) -> None:
    """Read the arrays into a model, all of them before the first is changed."""
    largest = max(math.prod(place.shape) for place in fit.places.values())
    total = sum(math.prod(place.shape) for place in fit.places.values())
    is_double = all(array.dtype == "F64" for array in weights.arrays.values())
    require((total + 2 * largest) * (8 if is_double else 4), "the network of these weights")
    arrays = {}
    for name, place in fit.places.items():
        array = weights.arrays[fit.stored[name]].read()
        if not np.isfinite(array).all():
            raise ModelError(f"{weights.path}: {name} contains non-finite numbers; use another copy")
        if name.endswith("running_var") and array.size and array.min() < 0:
            raise ModelError(f"{weights.path}: {name} contains a negative variance; use another copy")
        if place.shape != fit.shapes[name] or len(place.shapes) > 1 or len(place.shape) > 1:
            keeps = weights.keeps_layout
            array = array.reshape(place.shape) if keeps else from_torch(array, place.shape, place.flattened)
        arrays[place.name] = array
    if build:
        build_with_zeros(model, np.float64 if is_double else np.float32)
    model.load_parameters(arrays)


def _describe(model: Network, fit: Fit, name: str, config: HubConfig, notes: list[str]) -> None:
    """Set the preprocessing, and note what was assumed."""
    if config.preprocessing is not None:
        model.preprocessing = config.preprocessing
    elif name in photograph_models():
        is_lite = fit.naming == PORT and name == "efficientnet_lite0"
        model.preprocessing = LITE if is_lite else IMAGENET
        what = "(x - 127) / 128" if is_lite else "ImageNet's mean and standard deviation"
        notes.append(
            f"the file does not say how images were preprocessed; {what} assumed; a config.json next to it "
            "can specify it"
        )
    else:
        notes.append("the file does not say how images were preprocessed; pixels are scaled to 0 ... 1")
    if fit.naming == IN_ORDER:
        notes.append("the names are unknown; the layers were matched in the order of the file, and all shapes agree")


def _name_classes(model: Network, name: str, config: HubConfig) -> str | None:
    """Set the names of the classes if they are known; return what was assumed."""
    outputs = model.output_shape
    if len(outputs) != 1:
        return None
    if config.class_names is not None and len(config.class_names) == outputs[0]:
        model.class_names = config.class_names
    elif name in photograph_models() and outputs[0] == 1000:
        model.class_names = imagenet_classes()
        return "the file does not name its 1,000 classes; ImageNet's are assumed"
    return None


@cache
def imagenet_classes() -> tuple[str, ...]:
    """Return the names of ImageNet's 1,000 classes in their usual order.

    >>> imagenet_classes()[985]
    'daisy'
    """
    text = files("rot180.interop").joinpath("imagenet_classes.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())
