"""Import networks that PyTorch exports to ONNX, and compare outputs and gradients with PyTorch's.

    python benchmarks/onnx_exports.py export FOLDER [NAME ...]     needs torch and torchvision
    python benchmarks/onnx_exports.py compare FOLDER [NAME ...]    needs neither

The weights of torchvision's networks are random, the statistics of their normalizations, too. Each is exported twice:
as `torch.onnx.export` does it, which folds normalizations into convolutions, and unfolded. Compared are the outputs in
float32, and in float64, where no rounding decides which way a ReLU goes, the gradients of the images and, of the
unfolded networks, of all parameters: the largest difference relative to the largest value of its kind, at most 1e-4.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

NAMES = (
    "resnet18 resnet50 vgg11_bn squeezenet1_1 densenet121 mobilenet_v2 mobilenet_v3_small shufflenet_v2_x1_0 "
    "efficientnet_b0 googlenet convnext_tiny"
).split()
SIDE = {"vgg11_bn": 224}
"""Pixels of the images, 64 where nothing else is said: PyTorch exports no adaptive pooling to a larger size."""

LIMIT = 1e-4


def export(folder: Path, names: list[str]) -> None:
    """Write two ONNX files for each network, and a file with its outputs and gradients in float64."""
    import torch
    import torchvision

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        torch.manual_seed(0)
        options = {"init_weights": False, "aux_logits": False} if name == "googlenet" else {}
        model = getattr(torchvision.models, name)(weights=None, **options).eval()
        with torch.no_grad():
            randomize(model)
        x = torch.randn(2, 3, SIDE.get(name, 64), SIDE.get(name, 64))
        kept: dict[str, Any] = {"training": torch.onnx.TrainingMode.PRESERVE, "do_constant_folding": False}
        for form, more in (("folded", {}), ("kept", kept)):
            torch.onnx.export(
                model, (x,), str(folder / f"{name}_{form}.onnx"), dynamo=False, opset_version=17,
                input_names=["input"], output_names=["output"], dynamic_axes={"input": {0: "batch"}}, **more,
            )  # fmt: skip
        model, x = model.double(), x.double().requires_grad_()
        y = model(x)
        dy = torch.randn_like(y)
        y.backward(dy)
        arrays = {"x": x, "y": y, "dy": dy, "x.grad": x.grad}
        for key, parameter in model.named_parameters():
            arrays |= {f"weight {key}": parameter, f"grad {key}": parameter.grad}
        np.savez(folder / f"{name}.npz", **{key: array.detach().numpy() for key, array in arrays.items()})
        print(f"{name}: exported", flush=True)


def randomize(model: Any) -> None:
    """Draw what starts at zero or one."""
    for key, array in model.state_dict().items():
        if key.endswith(("running_mean", "bias")):
            array.normal_(0, 0.1)
        elif key.endswith("running_var") or (array.ndim == 1 and key.endswith("weight")):
            array.uniform_(0.5, 1.5)
        elif key.endswith("layer_scale"):
            array.uniform_(0.2, 0.5)


def compare(folder: Path, names: list[str]) -> int:
    """Print a line for each file and return how many differ by more than the limit."""
    from rot180 import network
    from rot180.interop.onnx.graph import read_graph
    from rot180.interop.onnx.lifting import lift

    worst = 0
    for name in names:
        with np.load(folder / f"{name}.npz") as stored:
            wanted = dict(stored)
        x, dy = wanted["x"].transpose(0, 2, 3, 1), wanted["dy"]
        for form in ("folded", "kept"):
            single = lift(read_graph(folder / f"{name}_{form}.onnx")).model
            model = network(single.notation).build(dtype=np.float64)
            model.load_parameters(single.state)
            differences = {"y": difference(single(x.astype(np.float32)), wanted["y"])}
            _, saved = model.forward(x)
            dx, gradients = model.backward(dy, saved, needs_dx=True)
            differences["dx"] = difference(dx, wanted["x.grad"].transpose(0, 2, 3, 1))
            if form == "kept":
                found, count = of_parameters(model.parameters, gradients, wanted)
                differences[f"{count} parameters"] = found
            worst += max(differences.values()) > LIMIT
            told = "  ".join(f"{what} {number:.1e}" for what, number in differences.items())
            print(f"{name:20} {form:7} {len(model.layers):4} layers  {told}", flush=True)
    return worst


def difference(found: Any, wanted: np.ndarray) -> float:
    """Return the largest difference relative to the largest value."""
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


def of_parameters(
    parameters: dict[str, np.ndarray], gradients: dict[str, np.ndarray], wanted: dict[str, np.ndarray]
) -> tuple[float, int]:
    """Return the largest difference of a gradient, and how many were compared: all of PyTorch's, found by weights."""
    own = {fingerprint(array): name for name, array in parameters.items()}
    worst, count = 0.0, 0
    for key in wanted:
        if key.startswith("weight "):
            name = own[fingerprint(wanted[key])]
            gradient = wanted[f"grad {key.removeprefix('weight ')}"]
            for arranged in layouts(gradient.shape):
                if np.array_equal(arranged(wanted[key]).reshape(-1), parameters[name].reshape(-1)):
                    found = np.abs(arranged(gradient).reshape(-1) - gradients[name].reshape(-1)).max()
                    worst = max(worst, float(found / (np.abs(gradient).max() or 1)))
                    count += 1
                    break
    return worst, count


def layouts(shape: tuple[int, ...]) -> list[Callable[[np.ndarray], np.ndarray]]:
    """Return the ways in which a parameter of PyTorch may be laid out here."""
    if len(shape) == 4:
        return [lambda array: array.transpose(2, 3, 1, 0)]
    if len(shape) == 2:
        return [lambda array: array.T, lambda array: array.reshape(len(array), -1, 7, 7).transpose(2, 3, 1, 0)]
    return [lambda array: array]


def fingerprint(array: np.ndarray) -> bytes:
    """Return what is the same in any layout: the values in order of size."""
    return np.sort(array.astype(np.float32), None).tobytes()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["export", "compare"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", default=NAMES)
    given = parser.parse_args()
    sys.exit(
        export(given.folder, given.names) if given.what == "export" else min(compare(given.folder, given.names), 1)
    )
