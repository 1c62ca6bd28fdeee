"""Which network the weights in a file are of."""

from __future__ import annotations

import re
from functools import cache

from rot180.errors import ModelError
from rot180.interop.fitting import Fit, best_fit, cleaned, likeness, names_of, require_complete
from rot180.interop.hub_config import HubConfig
from rot180.interop.stored import Weights
from rot180.interop.torch_names import TIMM
from rot180.nn import NAMED_MODELS, BatchNorm2d, Network, network
from rot180.nn import model as make_model
from rot180.nn.models import PHOTOGRAPHS, adapted_model
from rot180.nn.weighted import Weighted

OTHER_NAMES = {"mobilenetv2_100": "mobilenet_v2", "mobilenetv3_small_100": "mobilenet_v3_small"}
"""timm's names of networks that are called otherwise here."""

NORMALIZATION = re.compile(r"\bbn(:momentum=[\d.]+)?(:eps=[\d.]+)?")
"""A batch normalization in the notation."""


def recognized(weights: Weights, model: str | None, config: HubConfig, notes: list[str]) -> tuple[Fit, str]:
    """Return how the arrays of a file fit a network, and the name of the network or its notation.

    Parameters
    ----------
    weights : Weights
    model : str or None
        A named model, timm's name of one, or a notation; None to recognize a named model from names and shapes.
    config : HubConfig
        What is known of the file.
    notes : list of str
        What is assumed is appended.

    Raises
    ------
    ModelError
        No network that is known has these weights, or `model` has others.
    """
    fit, name = _likely(weights) if model is None else _asked(weights, model)
    if name in NAMED_MODELS:
        fit = _as_trained(fit, weights, model or config.architecture or weights.path.stem, notes)
        if config.input_shape is not None:
            fit = _refit(fit, weights, re.sub(r"^\S+", "x".join(map(str, config.input_shape)), fit.network.notation))
    require_complete(fit, weights, name if name in NAMED_MODELS else "this network")
    return fit, name


def _likely(weights: Weights) -> tuple[Fit, str]:
    """Return the fit of the named model that the file's names and shapes are those of."""
    if weights.network is not None:
        return best_fit(weights.network, weights), weights.network.notation
    if weights.keeps_layout and "rot180_format" not in weights.metadata:
        raise ModelError(f"{weights.path}: the file holds weights alone; give --model with the network in the notation")
    name, _ = _nearest(weights)
    fit = best_fit(_named(name, weights), weights)
    if not fit.is_complete:
        raise ModelError(
            f"{weights.path}: the weights are of no named model; the nearest is {name}; {fit.faults()}; give --model "
            f"with the network in the notation"
        )
    return fit, name


def _nearest(weights: Weights) -> tuple[str, float]:
    """Return the named model whose names are most like those of a file, and how like they are, from 0 to 1."""
    found = {
        name: max(likeness(names, stored) for names in namings for stored in cleaned(weights.arrays))
        for name, namings in _names_of_models().items()
    }
    name = max(found, key=lambda name: found[name])
    return name, found[name]


@cache
def _names_of_models() -> dict[str, list[frozenset[str]]]:
    """Return the names of the arrays of each named model, once for each way of naming."""
    return {name: names_of(network(NAMED_MODELS[name].notation)) for name in photograph_models()}


def photograph_models() -> list[str]:
    """Return the names of the models for photographs."""
    return [name for name, named in NAMED_MODELS.items() if named.input_shape == PHOTOGRAPHS[0]]


def _named(name: str, weights: Weights, shape: tuple[int, int, int] = PHOTOGRAPHS[0]) -> Network:
    """Return a named model with as many classes as the file has, if its names tell."""
    made = network(adapted_model(name, shape, NAMED_MODELS[name].classes))
    fit = best_fit(made, weights)
    last = [layer.name for layer in made.layers if isinstance(layer, Weighted)][-1]
    head = next((there for there, place in fit.places.items() if place.name == f"{last}.weight"), "")
    classes = fit.shapes.get(head, (0,))[0]
    if not 1 <= classes <= 100_000 or classes == NAMED_MODELS[name].classes:
        return made
    return network(adapted_model(name, shape, classes))


def _asked(weights: Weights, model: str) -> tuple[Fit, str]:
    """Return the fit of the network that the user names, with as many classes as the file has."""
    name = plain_name(model)
    if name in NAMED_MODELS:
        fit = best_fit(_named(name, weights, NAMED_MODELS[name].input_shape), weights)
    else:
        fit = best_fit(make_model(model), weights)
    require_complete(fit, weights, model[:80], hint(fit, weights))
    return fit, name


def plain_name(architecture: str) -> str:
    """Return the name here of a network that timm names.

    >>> plain_name("tf_efficientnet_lite0.in1k"), plain_name("mobilenetv2_100"), plain_name("resnet18.a1_in1k")
    ('efficientnet_lite0', 'mobilenet_v2', 'resnet18')
    """
    name = architecture if ">" in architecture else architecture.partition(".")[0].removeprefix("tf_")
    return OTHER_NAMES.get(name, name)


def hint(fit: Fit, weights: Weights) -> str:
    """Return the named model whose names are more like those of a file, as the end of a message."""
    if fit.is_complete:
        return ""
    name, like = _nearest(weights)
    return f"; the nearest named model is {name}" if like > max(fit.likeness, 0.1) else ""


def _as_trained(fit: Fit, weights: Weights, architecture: str, notes: list[str]) -> Fit:
    """Return the fit of a named model with the padding and the epsilon that its weights were trained with."""
    if fit.is_tf or (fit.naming == TIMM and architecture.startswith("tf_")):
        return _refit(fit, weights, for_tf(fit.network.notation))
    if fit.naming == TIMM:
        if any(isinstance(layer, BatchNorm2d) for layer in fit.network.layers) and ">" not in architecture:
            if plain_name(architecture) not in NAMED_MODELS:
                notes.append(
                    "the file does not say whether the weights come from TensorFlow, which pads differently; it is "
                    "assumed that they do not; if they do, give --model a name that begins with tf_"
                )
        return _refit(fit, weights, NORMALIZATION.sub("bn", fit.network.notation))
    return fit


def for_tf(notation: str) -> str:
    """Return the notation of a network with the padding and the normalization of its original in TensorFlow.

    >>> for_tf("8x8x3 > conv3x3:8:pad1:s2:nobias bn relu6")
    '8x8x3 > conv3x3:8:same:s2:nobias bn:momentum=0.01:eps=0.001 relu6'
    """
    padded = re.sub(r":pad\d+(x\d+)?\b", ":same", notation)
    return NORMALIZATION.sub("bn:momentum=0.01:eps=0.001", padded)


def _refit(fit: Fit, weights: Weights, notation: str) -> Fit:
    return fit if notation == fit.network.notation else best_fit(network(notation), weights)
