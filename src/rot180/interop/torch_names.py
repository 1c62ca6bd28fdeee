"""The names that PyTorch's model libraries give to a network's layers, worked out from the network's structure.

A network is written as one letter for each node in running order, and a library's way of naming is a regular expression
over these letters. So one function names all depths and widths of a family, and a network of one's own that is built
like it.

    c convolution   d depthwise   b normalization   f fully connected   r activation   p pooling   g to one position
    v flatten       o dropout     + sum             | concatenation     * product
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rot180.nn import (
    AdaptiveAvgPool2d,
    Add,
    AvgPool2d,
    BatchNorm2d,
    Concatenate,
    Conv2d,
    Dropout,
    DropPath,
    Flatten,
    GlobalAvgPool2d,
    GlobalMaxPool2d,
    Layer,
    Linear,
    MaxPool2d,
    Multiply,
    Network,
)

LETTERS: tuple[tuple[type[Layer] | tuple[type[Layer], ...], str], ...] = (
    (Conv2d, "c"),
    (BatchNorm2d, "b"),
    (Linear, "f"),
    ((MaxPool2d, AvgPool2d), "p"),
    ((GlobalAvgPool2d, GlobalMaxPool2d, AdaptiveAvgPool2d), "g"),
    (Flatten, "v"),
    ((Dropout, DropPath), "o"),
    (Add, "+"),
    (Concatenate, "|"),
    (Multiply, "*"),
)


def letters(network: Network) -> str:
    """Return the structure of a network as one letter for each node, "?" for layers without one.

    >>> from rot180.nn import model
    >>> letters(model("lenet5"))
    'crpcrpvfrfrf'
    """
    return "".join(map(_letter, network.layers))


def _letter(layer: Layer) -> str:
    if layer.is_activation:
        return "r"
    letter = next((letter for kinds, letter in LETTERS if isinstance(layer, kinds)), "?")
    return "d" if letter == "c" and layer.groups == layer.out_channels > 1 else letter  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Naming:
    """A library's way of naming.

    Attributes
    ----------
    library : str
    structure : str
        The structures that it names, as a regular expression.
    name : callable
        Yields the place and the name of each layer with weights, given the letters and the network.
    is_tf : bool
        Whether these names are used for weights from TensorFlow: "same" padding, and an epsilon of 0.001.
    """

    library: str
    structure: str
    name: Callable[[str, Network], Iterator[tuple[int, str]]]
    is_tf: bool = False

    def names(self, network: Network) -> dict[str, str] | None:
        """Return PyTorch's name of each layer with weights by its name here, or None if it is another structure."""
        text = letters(network)
        if re.fullmatch(self.structure, text) is None:
            return None
        return {network.layers[place].name: name for place, name in self.name(text, network)}


def _resnet(text: str, network: Network) -> Iterator[tuple[int, str]]:
    yield from ((0, "conv1"), (1, "bn1"), (len(text) - 1, "fc"))
    for stage, block, match in _blocks(re.compile(r"(cbr)+cb(cb)?\+"), text, network, at=4):
        body = match.end() - 1 if match[2] is None else match.start(2)
        for place in range(match.start(), match.end()):
            if text[place] in "cb":
                kind = 0 if text[place] == "c" else 1
                count = text.count(text[place], match.start(), place + 1)
                own = f"{('conv', 'bn')[kind]}{count}" if place < body else f"downsample.{kind}"
                yield place, f"layer{stage + 1}.{block}.{own}"


def _blocks(
    block: re.Pattern[str], text: str, network: Network, *, at: int
) -> Iterator[tuple[int, int, re.Match[str]]]:
    """Yield the stage of each block, its number in the stage, and its match; all of a stage have as many channels."""
    stage, number, before = -1, 0, None
    for match in block.finditer(text, at):
        last = max(match.start() + match[0].rfind("c"), match.start() + match[0].rfind("d"))
        channels = network.layers[last].out_channels  # type: ignore[attr-defined]
        stage, number = (stage, number + 1) if channels == before else (stage + 1, 0)
        before = channels
        yield stage, number, match


_INVERTED = r"(?P<expand>cbr)?(?P<depthwise>dbr)(?P<gate>gfrfr\*)?(?P<project>cb)o?\+?"
_PARTS = r"cbr(?:(?:cbr)?dbr(?:gfrfr\*)?cbo?\+?)+cbr"


def _mobile(
    convolution: Callable[[int, int, int, str, bool, bool], tuple[str, str]],
    gate: Callable[[int, int, int, bool], tuple[str, str]],
    ends: Callable[[int, int], dict[str, str]],
) -> Callable[[str, Network], Iterator[tuple[int, str]]]:
    """Return the names of a network of inverted residual blocks.

    `convolution` names a convolution of a block and its normalization, `gate` the layers of its gate, given the stage,
    the block's number in the stage and in the network; `ends` names the other layers, given the number of both.
    """

    def name(text: str, network: Network) -> Iterator[tuple[int, str]]:
        count = end = 0
        stage = -1
        for stage, number, match in _blocks(re.compile(_INVERTED), text, network, at=3):
            has_expand, has_gate = match["expand"] is not None, match["gate"] is not None
            for part in ("expand", "depthwise", "project"):
                if match[part] is not None:
                    own = convolution(stage, number, count, part, has_expand, has_gate)
                    yield from zip((match.start(part), match.start(part) + 1), own, strict=True)
            if has_gate:
                places = (match.start("gate") + 1, match.start("gate") + 3)
                yield from zip(places, gate(stage, number, count, has_expand), strict=True)
            count, end = count + 1, match.end()
        names = ends(stage + 1, count)
        linear = [place for place in range(end + 3, len(text)) if text[place] == "f"]
        yield from ((0, names["stem"]), (1, names["stem_bn"]), (end, names["head"]), (end + 1, names["head_bn"]))
        yield linear[-1], names["classifier"]
        if len(linear) > 1:
            yield linear[0], names["hidden"]

    return name


def _torchvision_v2(
    stage: int, number: int, count: int, part: str, has_expand: bool, has_gate: bool
) -> tuple[str, str]:
    at = ("expand", "depthwise", "project").index(part) - (not has_expand)
    prefix = f"features.{count + 1}.conv"
    if part == "project":
        return f"{prefix}.{at}", f"{prefix}.{at + 1}"
    return f"{prefix}.{at}.0", f"{prefix}.{at}.1"


def _torchvision_ends(last: Callable[[int, int], int], classifier: int) -> Callable[[int, int], dict[str, str]]:
    def ends(stages: int, blocks: int) -> dict[str, str]:
        head = f"features.{last(stages, blocks) + 1}"
        return {
            "stem": "features.0.0",
            "stem_bn": "features.0.1",
            "head": f"{head}.0",
            "head_bn": f"{head}.1",
            "hidden": "classifier.0",
            "classifier": f"classifier.{classifier}",
        }

    return ends


def _torchvision_block(
    block: Callable[[int, int, int], str],
) -> tuple[Callable[..., tuple[str, str]], Callable[..., tuple[str, str]]]:
    """Return the names of the convolutions and gates of torchvision's later networks."""

    def convolution(
        stage: int, number: int, count: int, part: str, has_expand: bool, has_gate: bool
    ) -> tuple[str, str]:
        at = {"expand": 0, "depthwise": int(has_expand), "project": has_expand + 1 + has_gate}[part]
        prefix = f"{block(stage, number, count)}.block.{at}"
        return f"{prefix}.0", f"{prefix}.1"

    def gate(stage: int, number: int, count: int, has_expand: bool) -> tuple[str, str]:
        prefix = f"{block(stage, number, count)}.block.{has_expand + 1}"
        return f"{prefix}.fc1", f"{prefix}.fc2"

    return convolution, gate


def _timm_block(stage: int, number: int, count: int, part: str, has_expand: bool, has_gate: bool) -> tuple[str, str]:
    parts = ("expand", "depthwise", "project") if has_expand else ("depthwise", "project")
    convolutions = ("conv_pw", "conv_dw", "conv_pwl") if has_expand else ("conv_dw", "conv_pw")
    at, prefix = parts.index(part), f"blocks.{stage}.{number}"
    return f"{prefix}.{convolutions[at]}", f"{prefix}.bn{at + 1}"


def _timm_gate(stage: int, number: int, count: int, has_expand: bool) -> tuple[str, str]:
    prefix = f"blocks.{stage}.{number}.se"
    return f"{prefix}.conv_reduce", f"{prefix}.conv_expand"


def _timm_ends(has_hidden: bool) -> Callable[[int, int], dict[str, str]]:
    def ends(stages: int, blocks: int) -> dict[str, str]:
        names = {"stem": "conv_stem", "stem_bn": "bn1", "classifier": "classifier", "hidden": "conv_head"}
        head = ("conv_head", "bn2") if not has_hidden else (f"blocks.{stages}.0.conv", f"blocks.{stages}.0.bn1")
        return names | dict(zip(("head", "head_bn"), head, strict=True))

    return ends


def _port_block(stage: int, number: int, count: int, part: str, has_expand: bool, has_gate: bool) -> tuple[str, str]:
    at = ("expand", "depthwise", "project").index(part)
    return f"_blocks.{count}._{part}_conv", f"_blocks.{count}._bn{at}"


def _port_gate(stage: int, number: int, count: int, has_expand: bool) -> tuple[str, str]:
    return f"_blocks.{count}._se_reduce", f"_blocks.{count}._se_expand"


def _port_ends(stages: int, blocks: int) -> dict[str, str]:
    names = {"stem": "_conv_stem", "stem_bn": "_bn0", "head": "_conv_head", "head_bn": "_bn1"}
    return names | {"classifier": "_fc"}


def _squeezenet(text: str, network: Network) -> Iterator[tuple[int, str]]:
    end = text.rindex("|") + 1
    for number, module in enumerate(re.finditer(r"crcrcr\||.", text[:end])):
        if len(module[0]) == 1:
            if module[0] == "c":
                yield module.start(), f"features.{number}"
            continue
        for step, own in enumerate(("squeeze", "expand1x1", "expand3x3")):
            yield module.start() + 2 * step, f"features.{number}.{own}"
    yield text.index("c", end), f"classifier.{text.index('c', end) - end}"


def _densenet(text: str, network: Network) -> Iterator[tuple[int, str]]:
    yield from ((0, "features.conv0"), (1, "features.norm0"), (len(text) - 1, "classifier"))
    number = 0
    for block in re.finditer(r"((?:brcbrc\|)+)(?:(brcp)|br)", text):
        number += 1
        for layer, match in enumerate(re.finditer(r"brcbrc\|", block[1])):
            prefix = f"features.denseblock{number}.denselayer{layer + 1}"
            for step, own in ((0, "norm1"), (2, "conv1"), (3, "norm2"), (5, "conv2")):
                yield block.start() + match.start() + step, f"{prefix}.{own}"
        if block[2]:
            yield block.start(2), f"features.transition{number}.norm"
            yield block.start(2) + 2, f"features.transition{number}.conv"
        else:
            yield block.end(1), f"features.norm{number + 1}"


def _vgg(classifier: tuple[str, ...] = ()) -> Callable[[str, Network], Iterator[tuple[int, str]]]:
    def name(text: str, network: Network) -> Iterator[tuple[int, str]]:
        start = text.index("g")
        yield from ((place, f"features.{place}") for place in range(start) if text[place] in "cb")
        linear = [place for place in range(start, len(text)) if text[place] == "f"]
        for number, place in enumerate(linear):
            yield place, classifier[number] if classifier else f"classifier.{place - linear[0]}"

    return name


def _in_a_row(text: str, network: Network) -> Iterator[tuple[int, str]]:
    return ((place, str(place)) for place, layer in enumerate(network.layers) if layer.has_parameters)


_V3 = _torchvision_block(lambda stage, number, count: f"features.{count + 1}")
_STAGED = _torchvision_block(lambda stage, number, count: f"features.{stage + 1}.{number}")
_MOBILE_NET, _MOBILE_NET_V3 = rf"{_PARTS}go?f", rf"{_PARTS}gfro?f"

TORCHVISION, TIMM, PORT = "torchvision", "timm", "efficientnet-pytorch"

NAMINGS = (
    Naming(TORCHVISION, r"cbrp(?:(?:cbr)+cb(?:cb)?\+r)+gv?f", _resnet),
    Naming(TORCHVISION, _MOBILE_NET, _mobile(_torchvision_v2, _V3[1], _torchvision_ends(lambda _, blocks: blocks, 1))),
    Naming(TORCHVISION, _MOBILE_NET, _mobile(*_STAGED, _torchvision_ends(lambda stages, _: stages, 1))),
    Naming(TORCHVISION, _MOBILE_NET_V3, _mobile(*_V3, _torchvision_ends(lambda _, blocks: blocks, 3))),
    Naming(TORCHVISION, r"(?:cr|p|crcrcr\|)+crcrcr\|o?crg", _squeezenet),
    Naming(TORCHVISION, r"cbrp(?:(?:brcbrc\|)+brcp)*(?:brcbrc\|)+brgv?f", _densenet),
    Naming(TORCHVISION, r"(?:cb?r|p)+gv(?:fro?)*f", _vgg()),
    Naming(TIMM, _MOBILE_NET, _mobile(_timm_block, _timm_gate, _timm_ends(False))),
    Naming(TIMM, _MOBILE_NET_V3, _mobile(_timm_block, _timm_gate, _timm_ends(True))),
    Naming(TIMM, r"(?:cb?r|p)+gvfro?fro?f", _vgg(("pre_logits.fc1", "pre_logits.fc2", "head.fc"))),
    Naming(PORT, _MOBILE_NET, _mobile(_port_block, _port_gate, _port_ends), is_tf=True),
    Naming("torch.nn.Sequential", r"[cdbfrpgvo]+", _in_a_row),
)
"""All ways of naming; torchvision's names of ResNet and DenseNet are timm's, too."""
