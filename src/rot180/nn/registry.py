"""The closed registry of layers: the words of the notation, their options, and the layers they create.

A network is built only from these, so a text or a saved model cannot bring in code.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rot180.nn.activation import LeakyReLU, NoisyReLU, ReLU, Sigmoid, Softmax, Tanh
from rot180.nn.activation_piecewise import ELU, Hardsigmoid, Hardswish, PReLU, ReLU6
from rot180.nn.activation_smooth import GELU, SiLU
from rot180.nn.batch_norm import BatchNorm2d
from rot180.nn.channels import ChannelShuffle, ChannelSlice, LocalResponseNorm
from rot180.nn.conv2d import Conv2d
from rot180.nn.conv_transpose2d import ConvTranspose2d
from rot180.nn.dropout import Dropout, DropPath
from rot180.nn.flatten import Flatten
from rot180.nn.global_pooling import AdaptiveAvgPool2d, GlobalAvgPool2d, GlobalMaxPool2d
from rot180.nn.group_norm import GroupNorm, InstanceNorm2d, LayerNorm
from rot180.nn.joins import JOINS
from rot180.nn.layer import Layer
from rot180.nn.linear import Linear
from rot180.nn.pooling import AvgPool2d, MaxPool2d
from rot180.nn.upsample import Upsample

Read = Callable[[re.Match[str]], Any]

_INT = "([0-9]{1,7})"
_PAIR = f"{_INT}(?:x{_INT})?"
_FLOAT = r"([0-9]+(?:\.[0-9]*)?(?:e[+-]?[0-9]+)?|\.[0-9]+(?:e[+-]?[0-9]+)?)"


@dataclass(frozen=True)
class Option:
    """One form of an option: its syntax, and the argument of the layer that it sets."""

    example: str
    argument: str
    pattern: re.Pattern[str]
    read: Read


@dataclass(frozen=True)
class Word:
    """One word: its stem (`conv`), what may follow the stem, and its options."""

    example: str
    stem: str
    layer: type[Layer]
    size: Option | None = None
    """What directly follows the stem, as 5x5 in conv5x5."""
    options: tuple[Option, ...] = ()
    required: Option | None = None
    """A required option."""
    size_is_optional: bool = False

    @property
    def all_options(self) -> tuple[Option, ...]:
        """The options in the order in which they are suggested."""
        return (self.required, *self.options) if self.required else self.options


def _option(example: str, argument: str, pattern: str, read: Read) -> Option:
    return Option(example, argument, re.compile(pattern), read)


def _int(match: re.Match[str]) -> int:
    return int(match[1])


def _float(match: re.Match[str]) -> float:
    return float(match[1])


def _text(match: re.Match[str]) -> str:
    return match[1]


def _pair(match: re.Match[str]) -> tuple[int, int]:
    return int(match[1]), int(match[2] or match[1])


def _four_sides(match: re.Match[str]) -> tuple[tuple[int, int], tuple[int, int]]:
    top, bottom, left, right = (int(side) for side in match.groups())
    return (top, bottom), (left, right)


_NAME = _option("name=stem", "name", "name=([A-Za-z_][A-Za-z0-9_-]*)", _text)
_PADDING = (
    _option("same", "padding", "(same|valid)", _text),
    _option("pad2", "padding", f"pad{_PAIR}", _pair),
    _option("pad0,1,0,1", "padding", f"pad{','.join([_INT] * 4)}", _four_sides),
)
_STRIDE = _option("s2", "stride", f"s{_PAIR}", _pair)
_LR = _option("lr=0.5", "lr_factor", f"lr={_FLOAT}", _float)
_WEIGHTS = (
    _option("nobias", "bias", "nobias", lambda match: False),
    _option("init=he_normal", "initializer", "init=(.*)", _text),
    _LR,
    _NAME,
)
_CONVOLUTION = (
    _STRIDE,
    _option("d2", "dilation", f"d{_PAIR}", _pair),
    _option("g2", "groups", f"g{_INT}", _int),
    _option("algorithm=im2col", "algorithm", "algorithm=(.*)", _text),
    *_WEIGHTS,
)
_WINDOW = _option("5x5", "kernel_size", _PAIR, _pair)
_FILTERS = _option("32", "out_channels", _INT, _int)
_EPS = _option("eps=1e-5", "eps", f"eps={_FLOAT}", _float)
_NO_AFFINE = _option("noaffine", "affine", "noaffine", lambda match: False)
_POOL = (*_PADDING, _STRIDE, _option("ceil", "ceil_mode", "ceil", lambda match: True), _NAME)
_KERNEL = _option("2", "kernel_size", _PAIR, _pair)

WORDS: dict[str, Word] = {
    word.stem: word
    for word in (
        Word(
            "conv5x5:32",
            "conv",
            Conv2d,
            size=_WINDOW,
            required=_FILTERS,
            options=(*_PADDING, *_CONVOLUTION),
        ),
        Word(
            "convt2x2:32:s2",
            "convt",
            ConvTranspose2d,
            size=_WINDOW,
            required=_FILTERS,
            options=(
                _option("pad1", "padding", f"pad{_PAIR}", _pair),
                _option("outpad1", "output_padding", f"outpad{_PAIR}", _pair),
                *_CONVOLUTION,
            ),
        ),
        Word("maxpool2", "maxpool", MaxPool2d, size=_KERNEL, options=_POOL),
        Word(
            "avgpool2",
            "avgpool",
            AvgPool2d,
            size=_KERNEL,
            options=(*_POOL, _option("excludepad", "count_include_pad", "excludepad", lambda match: False)),
        ),
        Word("gap", "gap", GlobalAvgPool2d, options=(_NAME,)),
        Word("gmp", "gmp", GlobalMaxPool2d, options=(_NAME,)),
        Word(
            "adaptavg7x7",
            "adaptavg",
            AdaptiveAvgPool2d,
            size=_option("7x7", "output_size", _PAIR, _pair),
            options=(_NAME,),
        ),
        Word(
            "up2",
            "up",
            Upsample,
            size=_option("2", "scale_factor", _PAIR, _pair),
            options=(_option("bilinear", "mode", "(nearest|bilinear)", _text), _NAME),
        ),
        Word(
            "bn",
            "bn",
            BatchNorm2d,
            options=(
                _option("momentum=0.1", "momentum", f"momentum={_FLOAT}", _float),
                _option("frozen", "frozen", "frozen", lambda match: True),
                _EPS,
                _NO_AFFINE,
                _LR,
                _NAME,
            ),
        ),
        Word(
            "gn4",
            "gn",
            GroupNorm,
            size=_option("4", "num_groups", _INT, _int),
            options=(_EPS, _NO_AFFINE, _LR, _NAME),
        ),
        Word(
            "ln",
            "ln",
            LayerNorm,
            options=(_option("axes=3", "axes", f"axes={_INT}", _int), _EPS, _NO_AFFINE, _LR, _NAME),
        ),
        Word(
            "in",
            "in",
            InstanceNorm2d,
            options=(_option("affine", "affine", "affine", lambda match: True), _EPS, _LR, _NAME),
        ),
        Word(
            "lrn5",
            "lrn",
            LocalResponseNorm,
            size=_option("5", "size", _INT, _int),
            options=(
                _option("alpha=1e-4", "alpha", f"alpha={_FLOAT}", _float),
                _option("beta=0.75", "beta", f"beta={_FLOAT}", _float),
                _option("k=1", "k", f"k={_FLOAT}", _float),
                _NAME,
            ),
            size_is_optional=True,
        ),
        Word("shuffle2", "shuffle", ChannelShuffle, size=_option("2", "groups", _INT, _int), options=(_NAME,)),
        Word(
            "slice8",
            "slice",
            ChannelSlice,
            size=_option("8", "out_channels", _INT, _int),
            options=(_option("from8", "start", f"from{_INT}", _int), _NAME),
        ),
        Word("fc10", "fc", Linear, size=_option("10", "out_features", _INT, _int), options=_WEIGHTS),
        Word("flatten", "flatten", Flatten, options=(_NAME,)),
        Word("relu", "relu", ReLU, options=(_NAME,)),
        Word(
            "noisyrelu",
            "noisyrelu",
            NoisyReLU,
            options=(_option("sigma=0.1", "sigma", f"sigma={_FLOAT}", _float), _NAME),
        ),
        Word(
            "leakyrelu",
            "leakyrelu",
            LeakyReLU,
            options=(_option("slope=0.01", "slope", f"slope={_FLOAT}", _float), _NAME),
        ),
        Word("relu6", "relu6", ReLU6, options=(_NAME,)),
        Word(
            "prelu",
            "prelu",
            PReLU,
            options=(
                _option("init=0.25", "init", f"init={_FLOAT}", _float),
                _option("shared", "shared", "shared", lambda match: True),
                _LR,
                _NAME,
            ),
        ),
        Word("elu", "elu", ELU, options=(_option("alpha=1", "alpha", f"alpha={_FLOAT}", _float), _NAME)),
        Word("silu", "silu", SiLU, options=(_NAME,)),
        Word(
            "gelu",
            "gelu",
            GELU,
            options=(_option("tanh", "approximate", "(tanh|none)", _text), _NAME),
        ),
        Word("hardswish", "hardswish", Hardswish, options=(_NAME,)),
        Word("sigmoid", "sigmoid", Sigmoid, options=(_NAME,)),
        Word("hardsigmoid", "hardsigmoid", Hardsigmoid, options=(_NAME,)),
        Word("tanh", "tanh", Tanh, options=(_NAME,)),
        Word("softmax", "softmax", Softmax, options=(_NAME,)),
        Word(
            "dropout0.5",
            "dropout",
            Dropout,
            size=_option("0.5", "rate", _FLOAT, _float),
            options=(_NAME,),
            size_is_optional=True,
        ),
        Word(
            "droppath0.1",
            "droppath",
            DropPath,
            size=_option("0.1", "rate", _FLOAT, _float),
            options=(_NAME,),
        ),
    )
}
"""Every word of the notation, by its stem."""

LAYERS: dict[str, type[Layer]] = {layer.__name__: layer for layer in (*(word.layer for word in WORDS.values()), *JOINS)}
"""Every layer, by the name of its class."""
