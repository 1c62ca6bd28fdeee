"""The networks of PyTorch, torchvision and timm that the named models follow. Needs torch, torchvision and timm."""

from __future__ import annotations

import torch
import torchvision
from torch import nn


def reference(name: str, classes: int) -> nn.Module:
    """Return the network that a named model follows, with random weights."""
    if name == "resnet20":
        return small_resnet(20, classes)
    if name == "photographs":
        return wide_network(classes)
    if name == "efficientnet_lite0":
        import timm  # only here: its memory is none of PyTorch's

        return timm.create_model(name, num_classes=classes)
    return getattr(torchvision.models, name)(num_classes=classes)


def without_dropout(module: nn.Module) -> nn.Module:
    """Switch off whatever is random, and return the module."""
    for part in module.modules():
        if isinstance(part, nn.Dropout | torchvision.ops.StochasticDepth):
            part.p = 0.0
    return module


class Block(nn.Module):
    """Two convolutions beside a shortcut, which is a 1 x 1 convolution where the size changes."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the sum after its ReLU."""
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + self.shortcut(x))


def small_resnet(depth: int, classes: int) -> nn.Module:
    """Return the ResNet of He et al. (2016), section 4.2, with shortcuts of kind B; torchvision and timm have none."""
    parts: list[nn.Module] = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    channels = 16
    for width in (16, 32, 64):
        for block in range((depth - 2) // 6):
            parts.append(Block(channels, width, 2 if width > 16 and not block else 1))
            channels = width
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


def wide_network(classes: int) -> nn.Module:
    """Return the network that `rot180 train --recipe fast` trains on photographs of 32x32 pixels."""
    parts: list[nn.Module] = [nn.Conv2d(3, 32, 3, bias=False), nn.BatchNorm2d(32), nn.GELU()]
    channels = 32
    for width in (64, 256, 256):
        for pools in (True, False):
            parts.append(nn.Conv2d(channels, width, 3, padding=1, bias=False))
            parts += [nn.MaxPool2d(2)] if pools else []
            parts += [nn.BatchNorm2d(width), nn.GELU()]
            channels = width
    return nn.Sequential(*parts, nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(channels, classes))
