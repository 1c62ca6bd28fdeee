"""Compare the named models with torchvision's and timm's: outputs, statistics and all gradients, with the same weights.

    python benchmarks/reference_models.py [--models resnet18 vgg16] [--size 64] [--batch 8] [--as-drawn]

Both get the same random weights, biases, running means and variances. In inference and in training, with dropout
switched off, a random delta goes backward through both; differences are relative to the largest value of their kind.

Biases are shifted by at most a tenth of a standard deviation so that no input of an activation is within a rounding
error of a kink (`kinks.py`): there, rounding decides whether delta passes, in PyTorch as well. `--as-drawn` leaves
them, and prints how far the gradients of PyTorch in float32 are from its own in float64.

Needs torch, torchvision and timm.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

import rot180
from kinks import avoid_kinks
from reference_torch import reference, without_dropout
from rot180.nn import NAMED_MODELS, Dropout, DropPath, Network
from rot180.nn.models import adapted_model, default_network

CLASSES = 10
LIMITS = {"float32": 1e-4, "float64": 1e-9}
PUBLISHED = [name for name, named in NAMED_MODELS.items() if named.input_shape[-1] == 3]
"""The named models that follow a published network."""


class Exact(torch.nn.Module):
    """Hard sigmoid or hard swish as defined; torch's rounds 1/6 to float32 even for float64."""

    def __init__(self, swish: bool) -> None:
        super().__init__()
        self.swish = swish

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return min(max(x + 3, 0), 6) / 6, times x for the hard swish."""
        gate = torch.clamp(x + 3, 0, 6) / 6
        return x * gate if self.swish else gate


def make_exact(module: torch.nn.Module) -> None:
    """Replace torch's hard sigmoids and hard swishes."""
    for name, part in module.named_children():
        if isinstance(part, torch.nn.Hardswish | torch.nn.Hardsigmoid):
            setattr(module, name, Exact(isinstance(part, torch.nn.Hardswish)))
        else:
            make_exact(part)


def in_order(module: torch.nn.Module, x: torch.Tensor) -> list[torch.nn.Module]:
    """Return the modules with parameters in the order in which they run."""
    seen: list[torch.nn.Module] = []
    hooks = [
        part.register_forward_hook(lambda part, *_: seen.append(part))
        for part in module.modules()
        if list(part.parameters(recurse=False))
    ]
    with torch.no_grad():
        module.eval()(x)
    for hook in hooks:
        hook.remove()
    return seen


def ours(part: torch.nn.Module, name: str, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return an array of torch's in the layout used here."""
    if name == "weight" and array.ndim == 4 and len(shape) == 4:
        return array.transpose(2, 3, 1, 0)
    if name == "weight" and array.ndim > 1:
        array = array.reshape(len(array), -1)
        if array.shape[1] == 512 * 49:  # VGG flattens maps channel by channel
            array = array.reshape(-1, 512, 49).transpose(0, 2, 1).reshape(len(array), -1)
        return array.T
    return array


def randomize(module: torch.nn.Module, generator: np.random.Generator) -> None:
    """Give all statistics, scales, shifts and biases values that are not zero or one; switch dropout off."""
    without_dropout(module)
    for part in module.modules():
        for name, array in (*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)):
            if array.ndim == 1:
                noise = torch.from_numpy(generator.normal(size=tuple(array.shape))).to(array.dtype)
                is_scale = isinstance(part, torch.nn.BatchNorm2d) and name in ("weight", "running_var")
                array.data = 1 + 0.1 * noise.abs() if is_scale else 0.1 * noise


def same_networks(
    name: str, images: np.ndarray, classes: int = CLASSES, *, as_drawn: bool = False
) -> tuple[Network, torch.nn.Module, list[torch.nn.Module]]:
    """Return a named model and its reference with the same random weights, in float64, and the reference's modules.

    The modules are those with parameters, in the order of the model's layers with parameters.
    """
    torch.manual_seed(0)
    module = reference(name, classes)
    randomize(module, np.random.default_rng(0))
    make_exact(module)
    module = module.double()
    shape = images.shape[1:]
    text = default_network(shape, classes, width=2) if name == "photographs" else adapted_model(name, shape, classes)
    model = rot180.network(text).build(dtype=np.float64)
    for layer in model.layers:
        if isinstance(layer, Dropout | DropPath):
            layer.rate = 0.0
    parts = in_order(module, channels_first(images))
    layers = [layer for layer in model.layers if layer.parameters]
    if len(parts) != len(layers):
        raise SystemExit(f"{name}: {len(layers)} layers with parameters here, {len(parts)} there")
    for layer, part in zip(layers, parts, strict=True):
        for key, array in (*layer.parameters.items(), *layer.statistics.items()):
            np.copyto(array, ours(part, key, getattr(part, key).detach().numpy(), array.shape))
    if not as_drawn:
        avoid_kinks(model, images)
        for layer, part in zip(layers, parts, strict=True):
            if "bias" in layer.parameters:
                part.bias.data = torch.from_numpy(layer.parameters["bias"].copy())
    return model, module, parts


def channels_first(images: np.ndarray) -> torch.Tensor:
    """Return images as torch takes them."""
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


def compare(name: str, size: int, batch: int, dtype: str, *, as_drawn: bool = False) -> dict[str, float]:
    """Return the largest difference of each kind of array, relative to the largest value of that kind."""
    generator = np.random.default_rng(1)
    images = generator.normal(size=(batch, size, size, 3))
    exact, module, parts = same_networks(name, images, as_drawn=as_drawn)
    images = images.astype(dtype)
    model = rot180.network(exact.notation).build(dtype=dtype)
    model.load_parameters({key: array.astype(dtype) for key, array in exact.state.items()})
    for layer, copied in zip(model.layers, exact.layers, strict=True):
        if isinstance(layer, Dropout | DropPath):
            layer.rate = copied.rate
    module = module.to(getattr(torch, dtype))
    layers = [layer for layer in model.layers if layer.parameters]
    x = channels_first(images).requires_grad_()
    found: dict[str, tuple[float, float]] = {}

    def note(kind: str, mine: np.ndarray, theirs: np.ndarray) -> None:
        difference, largest = found.get(kind, (0.0, 0.0))
        found[kind] = (
            max(difference, float(np.abs(mine - theirs).max())),
            max(largest, float(np.abs(theirs).max())),
        )

    for training in (False, True):
        mode = "training" if training else "inference"
        module.zero_grad()
        x.grad = None
        y, saved = model.forward(images, training=training, generator=generator)
        there = module.train(training)(x)
        note(f"{mode}: outputs", y, there.detach().numpy())
        dy = generator.normal(size=y.shape).astype(dtype)
        there.backward(torch.from_numpy(dy))
        dx, gradients = model.backward(dy, saved, needs_dx=True)
        note(f"{mode}: gradient of the images", np.asarray(dx), x.grad.numpy().transpose(0, 2, 3, 1))
        for layer, part in zip(layers, parts, strict=True):
            for key in layer.parameters:
                mine = gradients[f"{layer.name}.{key}"]
                kind = "weights" if mine.ndim > 1 else "scales, shifts and biases"
                note(f"{mode}: gradients of {kind}", mine, ours(part, key, getattr(part, key).grad.numpy(), mine.shape))
    model.learn(saved)
    for layer, part in zip(layers, parts, strict=True):
        for key, array in layer.statistics.items():
            note("running statistics", array, getattr(part, key).numpy())
    return {kind: difference / largest for kind, (difference, largest) in found.items()}


def rounding(name: str, size: int, batch: int) -> float:
    """Return the largest relative difference of torch's gradients in training between float32 and float64."""
    images = np.random.default_rng(1).normal(size=(batch, size, size, 3))
    _, module, _ = same_networks(name, images, as_drawn=True)
    gradients = []
    for dtype in (torch.float64, torch.float32):
        module = module.to(dtype).train()
        module.zero_grad()
        y = module(channels_first(images).to(dtype))
        y.backward(torch.ones_like(y))
        gradients.append([part.grad.double().clone() for part in module.parameters()])
    differences = [float((a - b).abs().max()) for a, b in zip(*gradients, strict=True)]
    return max(differences) / max(float(a.abs().max()) for a in gradients[0])


def main() -> None:
    """Print a table, and exit with 1 if a difference is above its limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=PUBLISHED, choices=PUBLISHED)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--as-drawn", action="store_true", help="leave pre-activations near kinks")
    arguments = parser.parse_args()
    failed = False
    for name in arguments.models:
        for dtype, limit in LIMITS.items():
            found = compare(name, arguments.size, arguments.batch, dtype, as_drawn=arguments.as_drawn)
            bad = {kind for kind, difference in found.items() if not difference <= limit}
            failed |= bool(bad)
            verdict = "too far: " + ", ".join(sorted(bad)) if bad else "ok"
            print(f"{name:20} {dtype}  {max(found.values()):.1e}  {verdict}")
            for kind, difference in found.items():
                print(f"    {kind:44} {difference:.1e}", flush=True)
        if arguments.as_drawn:
            print(f"    {'PyTorch, float32 against float64':44} {rounding(name, arguments.size, arguments.batch):.1e}")
    raise SystemExit(failed)


if __name__ == "__main__":
    main()
