"""The layers of published networks, written in the notation.

Each function returns everything between the size of the images and the end of the text; `classes` is the number of
outputs. Padding, epsilon and activations are those of the implementation named in its docstring, whose weights fit.
"""

from __future__ import annotations


def resnet(blocks: tuple[int, int, int, int], classes: int, *, bottleneck: bool) -> str:
    """Return a ResNet for photographs: `torchvision.models.resnet18`, `resnet34`, and with bottlenecks `resnet50`.

    He, Zhang, Ren and Sun (2016), arXiv:1512.03385. The stride of a bottleneck is at its 3 x 3 convolution.
    """
    stem = "conv7x7:64:pad3:s2:nobias bn relu maxpool3:pad1:s2"
    parts, channels = [stem], 64
    for stage, count in enumerate(blocks):
        width = 64 * 2**stage
        out = 4 * width if bottleneck else width
        for block in range(count):
            stride = ":s2" if stage and not block else ""
            if bottleneck:
                body = (
                    f"conv1x1:{width}:nobias bn relu conv3x3:{width}:pad1{stride}:nobias bn relu "
                    f"conv1x1:{out}:nobias bn"
                )
            else:
                body = f"conv3x3:{out}:pad1{stride}:nobias bn relu conv3x3:{out}:pad1:nobias bn"
            shortcut = f"conv1x1:{out}{stride}:nobias bn" if stride or channels != out else "skip"
            parts.append(f"( {body} + {shortcut} ) relu")
            channels = out
    return " > ".join([*parts, f"gap fc{classes}"])


def small_resnet(depth: int, classes: int) -> str:
    """Return a ResNet of 6n + 2 layers for small images, with 1 x 1 convolutions where the number of channels changes.

    He, Zhang, Ren and Sun (2016), section 4.2, with shortcuts of kind B.
    """
    parts = ["conv3x3:16:pad1:nobias bn relu"]
    for stage, width in enumerate((16, 32, 64)):
        for block in range((depth - 2) // 6):
            stride = ":s2" if stage and not block else ""
            shortcut = f"conv1x1:{width}{stride}:nobias bn" if stride else "skip"
            body = f"conv3x3:{width}:pad1{stride}:nobias bn relu conv3x3:{width}:pad1:nobias bn"
            parts.append(f"( {body} + {shortcut} ) relu")
    return " > ".join([*parts, f"gap fc{classes}"])


def _depthwise(size: int, channels: int, stride: int) -> str:
    return f"conv{size}x{size}:{channels}:pad{size // 2}{':s2' if stride == 2 else ''}:g{channels}:nobias"


def mobilenet_v2(classes: int) -> str:
    """Return MobileNetV2: `torchvision.models.mobilenet_v2`.

    Sandler, Howard, Zhu, Zhmoginov and Chen (2018), arXiv:1801.04381.
    """
    parts, channels = ["conv3x3:32:pad1:s2:nobias bn relu6"], 32
    for expansion, out, count, first_stride in (
        (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
    ):  # fmt: skip
        for block in range(count):
            stride = 1 if block else first_stride
            hidden = channels * expansion
            words = [f"conv1x1:{hidden}:nobias bn relu6"] if expansion > 1 else []
            words += [f"{_depthwise(3, hidden, stride)} bn relu6", f"conv1x1:{out}:nobias bn"]
            parts.append(_residual(" ".join(words), stride == 1 and channels == out))
            channels = out
    return " > ".join([*parts, "conv1x1:1280:nobias bn relu6", f"gap dropout0.2 fc{classes}"])


def mobilenet_v3_small(classes: int) -> str:
    """Return MobileNetV3 (small): `torchvision.models.mobilenet_v3_small`.

    Howard et al. (2019), arXiv:1905.02244.
    """
    bn = "bn:momentum=0.01:eps=0.001"
    parts, channels = [f"conv3x3:16:pad1:s2:nobias {bn} hardswish"], 16
    for size, hidden, out, squeezes, activation, stride in (
        (3, 16, 16, True, "relu", 2), (3, 72, 24, False, "relu", 2), (3, 88, 24, False, "relu", 1),
        (5, 96, 40, True, "hardswish", 2), (5, 240, 40, True, "hardswish", 1), (5, 240, 40, True, "hardswish", 1),
        (5, 120, 48, True, "hardswish", 1), (5, 144, 48, True, "hardswish", 1), (5, 288, 96, True, "hardswish", 2),
        (5, 576, 96, True, "hardswish", 1), (5, 576, 96, True, "hardswish", 1),
    ):  # fmt: skip
        words = [f"conv1x1:{hidden}:nobias {bn} {activation}"] if hidden != channels else []
        words.append(f"{_depthwise(size, hidden, stride)} {bn} {activation}")
        if squeezes:
            words.append(_gate(_divisible(hidden / 4), hidden, "relu", "hardsigmoid"))
        words.append(f"conv1x1:{out}:nobias {bn}")
        parts.append(_residual(" ".join(words), stride == 1 and channels == out))
        channels = out
    end = f"conv1x1:{6 * channels}:nobias {bn} hardswish"
    return " > ".join([*parts, end, f"gap fc1024 hardswish dropout0.2 fc{classes}"])


def efficientnet(classes: int, *, lite: bool) -> str:
    """Return EfficientNet-B0: `torchvision.models.efficientnet_b0`; its lite form is timm's `efficientnet_lite0`.

    Tan and Le (2019), arXiv:1905.11946. The lite form has no gates, ReLU6 for SiLU, and no dropped paths.
    """
    activation = "relu6" if lite else "silu"
    parts, channels, place = [f"conv3x3:32:pad1:s2:nobias bn {activation}"], 32, 0
    for expansion, size, first_stride, out, count in (
        (1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3), (6, 5, 1, 112, 3), (6, 5, 2, 192, 4),
        (6, 3, 1, 320, 1),
    ):  # fmt: skip
        for block in range(count):
            stride = 1 if block else first_stride
            hidden = channels * expansion
            words = [f"conv1x1:{hidden}:nobias bn {activation}"] if expansion > 1 else []
            words.append(f"{_depthwise(size, hidden, stride)} bn {activation}")
            if not lite:
                words.append(_gate(channels // 4, hidden, "silu", "sigmoid"))
            words.append(f"conv1x1:{out}:nobias bn")
            if block and not lite:
                words.append(f"droppath{0.2 * place / 16:g}")
            parts.append(_residual(" ".join(words), stride == 1 and channels == out))
            channels, place = out, place + 1
    return " > ".join([*parts, f"conv1x1:1280:nobias bn {activation}", f"gap dropout0.2 fc{classes}"])


def squeezenet1_1(classes: int) -> str:
    """Return SqueezeNet 1.1: `torchvision.models.squeezenet1_1`.

    Iandola et al. (2016), arXiv:1602.07360.
    """
    pool = "maxpool3:s2:ceil"

    def fire(squeezed: int, expanded: int) -> str:
        return f"conv1x1:{squeezed} relu ( conv1x1:{expanded} relu | conv3x3:{expanded}:pad1 relu )"

    return " > ".join(
        [
            f"conv3x3:64:s2 relu {pool}",
            f"{fire(16, 64)} > {fire(16, 64)} {pool}",
            f"{fire(32, 128)} > {fire(32, 128)} {pool}",
            *(fire(*sizes) for sizes in ((48, 192), (48, 192), (64, 256), (64, 256))),
            f"dropout0.5 conv1x1:{classes} relu gap",
        ]
    )


def densenet121(classes: int) -> str:
    """Return DenseNet-121: `torchvision.models.densenet121`.

    Huang, Liu, van der Maaten and Weinberger (2017), arXiv:1608.06993.
    """
    growth, channels = 32, 64
    layer = f"( skip | bn relu conv1x1:{4 * growth}:nobias bn relu conv3x3:{growth}:pad1:nobias )"
    parts = [f"conv7x7:{channels}:pad3:s2:nobias bn relu maxpool3:pad1:s2"]
    for block, count in enumerate((6, 12, 24, 16)):
        channels += count * growth
        parts.append(f"[{layer}]*{count}")
        if block < 3:
            channels //= 2
            parts.append(f"bn relu conv1x1:{channels}:nobias avgpool2")
    return " > ".join([*parts, f"bn relu gap fc{classes}"])


def vgg16(classes: int) -> str:
    """Return VGG-16: `torchvision.models.vgg16`.

    Simonyan and Zisserman (2015), arXiv:1409.1556.
    """
    parts = [
        f"[conv3x3:{width}:pad1 relu]*{count} maxpool2"
        for width, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
    ]
    return " > ".join([*parts, "adaptavg7x7", "fc4096 relu dropout", "fc4096 relu dropout", f"fc{classes}"])


def _residual(body: str, adds: bool) -> str:
    return f"( {body} + skip )" if adds else body


def _gate(squeezed: int, channels: int, activation: str, last: str) -> str:
    """Return squeeze and excitation (Hu, Shen and Sun, 2018, arXiv:1709.01507)."""
    return f"( skip * gap fc{squeezed} {activation} fc{channels} {last} )"


def _divisible(channels: float) -> int:
    """Round a number of channels as the MobileNets do: to a multiple of 8, not below nine tenths of it."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded
