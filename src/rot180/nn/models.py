"""Named networks."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from rot180.errors import ArgumentError, did_you_mean
from rot180.nn.architectures import (
    densenet121,
    efficientnet,
    mobilenet_v2,
    mobilenet_v3_small,
    resnet,
    small_resnet,
    squeezenet1_1,
    vgg16,
)
from rot180.nn.keywords import answering_call
from rot180.nn.network import Network
from rot180.nn.notation import network


@dataclass(frozen=True)
class NamedModel:
    """A network and its purpose in one line.

    Attributes
    ----------
    input_shape : (H, W, C)
        The images that it was made for.
    classes : int
        The number of classes that it was made for.
    body : callable
        Returns everything after the input in the notation, given the number of classes.
    description : str
    """

    input_shape: tuple[int, int, int]
    classes: int
    body: Callable[[int], str]
    description: str

    @property
    def notation(self) -> str:
        """The network in the notation."""
        return self.adapted(self.input_shape, self.classes)

    def adapted(self, shape: tuple[int, int, int], classes: int) -> str:
        """Return the notation for images of another size and another number of classes."""
        return f"{'x'.join(map(str, shape))} > {self.body(classes)}"


def _ends_in_fc(text: str) -> Callable[[int], str]:
    return lambda classes: f"{text} > fc{classes}"


DIGITS, PHOTOGRAPHS = ((28, 28, 1), 10), ((224, 224, 3), 1000)
"""The images and the number of classes of MNIST, and of ImageNet."""

NAMED_MODELS: dict[str, NamedModel] = {
    "cnn-16-32-128": NamedModel(
        *DIGITS,
        _ends_in_fc("conv5x5:16 relu maxpool2 > conv5x5:32 relu maxpool2 > fc128 relu"),
        "two convolutions and a hidden layer, 80 thousand parameters; over 99% on MNIST within seconds",
    ),
    "cnn-32-64-512": NamedModel(
        *DIGITS,
        _ends_in_fc("conv5x5:32:same relu maxpool2 > conv5x5:64:same relu maxpool2 > fc512 relu"),
        "two wide convolutions and a hidden layer, 1.7 million parameters; over 98.5% on MNIST after one epoch",
    ),
    "vgg6": NamedModel(
        *DIGITS,
        _ends_in_fc(
            "conv3x3:32:nobias bn gelu > conv3x3:32:nobias maxpool2 bn gelu dropout0.2 "
            "> conv3x3:64:same:nobias bn gelu > conv3x3:64:same:nobias maxpool2 bn gelu dropout0.3 "
            "> conv3x3:128:same:nobias bn gelu > conv3x3:128:same:nobias bn gelu gmp dropout0.4"
        ),
        "six convolutions with normalization and dropout, 288 thousand parameters; the most accurate on MNIST",
    ),
    "lenet5": NamedModel(
        *DIGITS,
        _ends_in_fc("conv5x5:6:same tanh avgpool2 > conv5x5:16 tanh avgpool2 > fc120 tanh > fc84 tanh"),
        "LeNet-5 of 1998 with plain tanh and softmax, 62 thousand parameters; trains on any machine",
    ),
    "cnn-8-16": NamedModel(
        *DIGITS,
        _ends_in_fc("conv5x5:8 relu maxpool2 > conv5x5:16 relu maxpool2"),
        "two small convolutions, 6 thousand parameters; learns from a few hundred images, one at a time",
    ),
    "digits": NamedModel(
        (8, 8, 1),
        10,
        _ends_in_fc("conv3x3:16:same relu > conv3x3:32:same relu maxpool2 > fc64 relu"),
        "for the bundled 8x8 digits; over 98% on unseen ones within seconds",
    ),
    "resnet20": NamedModel(
        (32, 32, 3),
        10,
        partial(small_resnet, 20),
        "20 layers with shortcuts for images of 32x32 pixels, 272 thousand parameters",
    ),
    "resnet18": NamedModel(
        *PHOTOGRAPHS,
        partial(resnet, (2, 2, 2, 2), bottleneck=False),
        "18 layers with shortcuts, 11.7 million parameters; a good first choice for photographs",
    ),
    "resnet34": NamedModel(
        *PHOTOGRAPHS,
        partial(resnet, (3, 4, 6, 3), bottleneck=False),
        "34 layers with shortcuts, 21.8 million parameters",
    ),
    "resnet50": NamedModel(
        *PHOTOGRAPHS,
        partial(resnet, (3, 4, 6, 3), bottleneck=True),
        "50 layers with shortcuts and bottlenecks, 25.6 million parameters; the standard of comparison",
    ),
    "mobilenet_v2": NamedModel(
        *PHOTOGRAPHS,
        mobilenet_v2,
        "depthwise convolutions, 3.5 million parameters; quick on small devices",
    ),
    "mobilenet_v3_small": NamedModel(
        *PHOTOGRAPHS,
        mobilenet_v3_small,
        "depthwise convolutions and gates, 2.5 million parameters; the fastest for photographs",
    ),
    "efficientnet_lite0": NamedModel(
        *PHOTOGRAPHS,
        partial(efficientnet, lite=True),
        "EfficientNet without gates, 4.7 million parameters; made for small devices",
    ),
    "efficientnet_b0": NamedModel(
        *PHOTOGRAPHS,
        partial(efficientnet, lite=False),
        "depthwise convolutions and gates, 5.3 million parameters; accurate for its size",
    ),
    "squeezenet1_1": NamedModel(
        *PHOTOGRAPHS,
        squeezenet1_1,
        "narrow and wide convolutions by turns, 1.2 million parameters; the smallest for photographs",
    ),
    "densenet121": NamedModel(
        *PHOTOGRAPHS,
        densenet121,
        "every layer reads all before it in its block, 8.0 million parameters",
    ),
    "vgg16": NamedModel(
        *PHOTOGRAPHS,
        vgg16,
        "16 layers without shortcuts, 138 million parameters; large and slow, known from style transfer",
    ),
}
"""The named models with their purposes."""

MODELS: dict[str, str] = {name: named.notation for name, named in NAMED_MODELS.items()}
"""The named models' notations; `rot180.model(name)` creates one."""


@answering_call
def model(name_or_notation: str) -> Network:
    """Return a named model, or the network described by a notation, not built yet.

    Raises
    ------
    ArgumentError
        The name is unknown.
    NotationError
        The notation is invalid.

    Examples
    --------
    >>> model("lenet5").summary().parameters
    61706
    """
    if name_or_notation in MODELS:
        return network(MODELS[name_or_notation])
    if isinstance(name_or_notation, str) and re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]*", name_or_notation):
        raise ArgumentError(
            f"unknown model {name_or_notation!r}{did_you_mean(name_or_notation, MODELS)}; or write a network such "
            f"as '28x28x1 > conv5x5:8 relu maxpool2 > fc10'"
        )
    return network(name_or_notation)


def default_network(shape: tuple[int, int, int], classes: int, *, width: int = 1) -> str:
    """Return the notation of a network for images of any shape.

    Stages of two convolutions of 3 x 3 with batch normalization halve the sides until none is longer than 6 pixels;
    then the maximum of each channel. Images of less than 12 pixels get a small network with a hidden layer.

    Parameters
    ----------
    shape : (H, W, C)
    classes : int
    width : int
        Multiplies the channels.

    Examples
    --------
    >>> default_network((8, 8, 1), 3)
    '8x8x1 > conv3x3:32:same relu maxpool2 > fc128 relu > fc3'
    >>> default_network((32, 32, 3), 10).split(" > ")[-3:]
    ['conv3x3:128:same:nobias maxpool2 bn gelu', 'conv3x3:128:same:nobias bn gelu gmp', 'fc10']

    References
    ----------
    Jordan (2024), arXiv:2404.00498, whose networks for CIFAR-10 have this form.
    """
    shortest, longest = min(shape[:2]), max(shape[:2])
    size = "x".join(map(str, shape))
    if shortest < 12:
        pool = " maxpool2" if shortest >= 2 else ""
        return " > ".join([size, f"conv3x3:32:same relu{pool}", "fc128 relu", f"fc{classes}"])
    stages = 2
    while (longest - 2) >> stages > 6 and (shortest - 2) >> stages >= 2 and stages < 6:
        stages += 1
    channels = [32, *([64] * (stages - 3)), 128, 128][-stages:] if stages > 2 else [64, 128]
    blocks = ["conv3x3:32:nobias bn gelu"]
    for count in channels:
        filters = count * width
        blocks += [f"conv3x3:{filters}:same:nobias maxpool2 bn gelu", f"conv3x3:{filters}:same:nobias bn gelu"]
    blocks[-1] += " gmp"
    return " > ".join([size, *blocks, f"fc{classes}"])


def adapted_model(name: str, shape: tuple[int, int, int], classes: int) -> str:
    """Return the notation of a named model with another input shape and another number of classes.

    >>> adapted_model("cnn-8-16", (32, 32, 3), 4)
    '32x32x3 > conv5x5:8 relu maxpool2 > conv5x5:16 relu maxpool2 > fc4'
    """
    return NAMED_MODELS[name].adapted(shape, classes)
