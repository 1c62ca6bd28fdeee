"""Published networks as workloads: the named models beside PyTorch's, torchvision's and timm's.

Like `workloads`, this module imports no library but NumPy. What contenders need, the same random weights in each one's
format, is written once by `deep_weights.py` into a folder that an environment variable names.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = "ROT180_BENCH_WEIGHTS"
"""The environment variable with the folder of weights."""


@dataclass(frozen=True)
class DeepWorkload:
    """One comparison of a published network; the attributes are those of `workloads.Workload`."""

    name: str
    task: str
    model: str
    batch: int
    size: int
    """Rows and columns of the images."""
    targets: tuple[float, float] = (1.0, 1.0)
    optimizer: str = "adam"
    frozen: bool = False
    """Whether normalizations keep their running statistics, as in fine-tuning."""
    threads: int = 2
    batches: int = 2
    compared_steps: int = 1
    """Later losses differ more and more between any two implementations: the first updates of Adam are signs."""

    @property
    def classes(self) -> int:
        return 10 if self.size == 32 else 1000

    @property
    def stem(self) -> str:
        """The common part of the names of the files."""
        return f"{self.model}-{self.size}"

    def file(self, suffix: str) -> Path:
        """Return one of the files that `deep_weights.py` writes."""
        return Path(os.environ[FOLDER]) / f"{self.stem}{suffix}"

    @property
    def notation(self) -> str:
        return str(self._facts["notation"])

    def weights(self) -> Any:
        """Return the arrays by name, read as they are asked for."""
        return np.load(self.file(".npz"))

    def data(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return the batches: images (N, H, W, C) float32 in [0, 1) and labels (N,) int64."""
        generator = np.random.default_rng(180)
        return [
            (
                generator.random((self.batch, self.size, self.size, 3), np.float32),
                generator.integers(0, self.classes, self.batch),
            )
            for _ in range(self.batches)
        ]

    def multiply_adds(self) -> int:
        """Return the dense multiply-adds of one step: forward and, in training, backward except for the first dx."""
        forward, first = self._facts["forward"], self._facts["first"]
        return self.batch * (forward if self.task == "infer" else 3 * forward - first)

    @property
    def _facts(self) -> dict[str, Any]:
        return dict(json.loads(self.file(".json").read_text()))


DEEP = (
    DeepWorkload("deep-train-resnet20-b128", "train", "resnet20", 128, 32, targets=(2.0, 2.0)),
    DeepWorkload("deep-train-photographs-b256", "train", "photographs", 256, 32, targets=(1.5, 1.5), optimizer="muon"),
    DeepWorkload("deep-train-resnet18-b16", "train", "resnet18", 16, 224, targets=(2.0, 2.0)),
    DeepWorkload("deep-train-mobilenet_v2-b16", "train", "mobilenet_v2", 16, 224, targets=(1.3, 1.3)),
    *(
        DeepWorkload(
            f"deep-tune-{model}-b16", "train", model, 16, 224, targets=(1.3, 1.3), optimizer="adamw", frozen=True
        )
        for model in ("resnet18", "efficientnet_lite0")
    ),
    *(
        DeepWorkload(f"deep-infer-{model}-b{batch}", "infer", model, batch, 224, targets=(target, target))
        for model, batch, target in (
            ("resnet18", 1, 1.3),
            ("resnet18", 16, 1.8),
            ("vgg16", 1, 1.8),
            ("mobilenet_v2", 1, 1.1),
            ("mobilenet_v2", 16, 1.1),
            ("efficientnet_lite0", 1, 1.1),
            ("efficientnet_lite0", 16, 1.1),
        )
    ),
)
MEMORY = DeepWorkload("deep-memory-resnet18-b32", "train", "resnet18", 32, 224, optimizer="sgd", batches=1)
"""The training step whose peak of memory is compared."""


def write_weights(folder: Path, works: list[DeepWorkload]) -> None:
    """Write what the contenders of these workloads need, and name the folder to them."""
    os.environ[FOLDER] = str(folder)
    script = Path(__file__).with_name("deep_weights.py")
    subprocess.run([sys.executable, str(script), *{work.name for work in works}], check=True, stdout=subprocess.DEVNULL)
