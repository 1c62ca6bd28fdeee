"""PyTorch on the CPU in the settings that its users know: both layouts, compiled or not; always with fused Adam."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from torch import nn

from deep import DeepWorkload
from workloads import LEARNING_RATE, ConvPass, Layer, Workload

LAST = torch.channels_last
VERSIONS = {"torch": torch.__version__}
_PLAIN = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "flatten": nn.Flatten}


def network(layers: list[Layer], weights: dict[str, np.ndarray]) -> nn.Sequential:
    """Build the network with our weights, in PyTorch's order of axes."""
    modules: list[nn.Module] = []
    flattened: tuple[int, ...] = ()
    for layer in layers:
        if layer.kind == "flatten":
            flattened = layer.input_shape
        if layer.kind == "conv":
            module = nn.Conv2d(layer.input_shape[-1], layer.output_shape[-1], layer.size, padding=layer.pad)
            _fill(module, weights[f"{layer.name}.weight"].transpose(3, 2, 0, 1), weights[f"{layer.name}.bias"])
        elif layer.kind == "fc":
            module = nn.Linear(layer.input_shape[0], layer.output_shape[0])
            weight = weights[f"{layer.name}.weight"]
            if flattened:  # ours are flattened (H, W, C), theirs (C, H, W)
                weight = weight.reshape(*flattened, -1).transpose(2, 0, 1, 3).reshape(weight.shape)
                flattened = ()
            _fill(module, weight.T, weights[f"{layer.name}.bias"])
        elif layer.kind == "maxpool":
            module = nn.MaxPool2d(layer.size)
        elif layer.kind == "avgpool":
            module = nn.AvgPool2d(layer.size)
        else:
            module = _PLAIN[layer.kind]()
        modules.append(module)
    return nn.Sequential(*modules)


def model_of(workload: Workload | DeepWorkload) -> nn.Module:
    """Return the network of a workload with its weights."""
    if isinstance(workload, Workload):
        return network(workload.layers, workload.weights())
    from reference_torch import reference, without_dropout

    module = without_dropout(reference(workload.model, workload.classes))
    module.load_state_dict(torch.load(workload.file(".pt"), weights_only=True, mmap=True))
    return module


def _fill(module: nn.Module, weight: np.ndarray, bias: np.ndarray) -> None:
    with torch.no_grad():
        module.weight.copy_(torch.from_numpy(np.ascontiguousarray(weight)))
        module.bias.copy_(torch.from_numpy(bias))


class Muon:
    """PyTorch's Muon for the weights of convolutions, to which they are matrices, and AdamW for all others."""

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, *, fused: bool) -> None:
        given = list(parameters)
        self._kernels = [w for w in given if w.ndim == 4]
        self._matrices = [nn.Parameter(self._matrix(w.detach())) for w in self._kernels]
        self._others = torch.optim.AdamW([w for w in given if w.ndim != 4], lr, weight_decay=0.05, fused=fused)
        self._muon = torch.optim.Muon(
            self._matrices, lr, weight_decay=0.05, momentum=0.9, adjust_lr_fn="match_rms_adamw"
        )

    @staticmethod
    def _matrix(w: torch.Tensor) -> torch.Tensor:
        """Return a view with a row for each output, whose numbers are in the order of the memory."""
        return (w if w.is_contiguous() else w.permute(0, 2, 3, 1)).flatten(1)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Those of both optimizers."""
        return [*self._others.param_groups, *self._muon.param_groups]

    def zero_grad(self, set_to_none: bool) -> None:
        """Forget the gradients."""
        self._others.zero_grad(set_to_none)
        for w in self._kernels:
            w.grad = None

    def step(self) -> None:
        """Update all parameters."""
        self._others.step()
        for w, matrix in zip(self._kernels, self._matrices, strict=True):
            matrix.grad = self._matrix(w.grad if w.is_contiguous() else w.grad.contiguous(memory_format=LAST))
        self._muon.step()


class Contender:
    """A training step or a prediction, in one setting."""

    def __init__(self, workload: Workload | DeepWorkload, threads: int, *, channels_last: bool, compiled: bool) -> None:
        torch.set_num_threads(threads)
        self.layout = LAST if channels_last else torch.contiguous_format
        self.model = model_of(workload).to(memory_format=self.layout)
        self.predict = self.model
        if workload.task == "infer":
            self.model.eval()
            self.step = self._infer
        else:
            if isinstance(workload, DeepWorkload) and workload.frozen:
                for module in self.model.modules():
                    if isinstance(module, nn.BatchNorm2d):
                        module.eval()
            kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD, "muon": Muon}
            self.optimizer = kinds[workload.optimizer](self.model.parameters(), LEARNING_RATE, fused=True)
            self.loss = self._loss
            self.step = self._train
        if compiled:
            # mode="max-autotune", compiling the model without the loss, and layout_optimization=False were tried on
            # an AVX-512 processor: none was faster, and all were slower than eager.
            if workload.task == "infer":
                self.predict = torch.compile(self.model)
            else:
                self.loss = torch.compile(self._loss)

    def prepare(self, images: np.ndarray, labels: np.ndarray) -> tuple[Any, Any]:
        """Convert a batch; not part of the measured time."""
        x = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(memory_format=self.layout)
        return x, torch.from_numpy(labels)

    def set_learning_rate(self, rate: float) -> None:
        """Change the optimizer's learning rate."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def _loss(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(self.model(x), y)

    def _train(self, x: torch.Tensor, y: torch.Tensor) -> float:
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(x, y)
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def _infer(self, x: torch.Tensor, y: torch.Tensor) -> np.ndarray:
        with torch.inference_mode():
            return torch.softmax(self.predict(x), 1).numpy()


def conv_pass(job: ConvPass, threads: int) -> Callable[[], object]:
    """Return a function that runs one pass of one convolution (channels_last, PyTorch's fastest layout here)."""
    torch.set_num_threads(threads)
    x, w, dy = job.arrays()
    xt, dyt = (torch.from_numpy(a).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last) for a in (x, dy))
    wt = torch.from_numpy(w).permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)
    pad = [job.size // 2] * 2
    if job.which == "forward":

        def forward() -> object:
            with torch.inference_mode():
                return functional.conv2d(xt, wt, padding=pad)

        return forward
    mask = [job.which == "data", job.which == "weights", False]

    def backward() -> object:
        return torch.ops.aten.convolution_backward(dyt, xt, wt, None, [1, 1], pad, [1, 1], False, [0, 0], 1, mask)

    return backward
