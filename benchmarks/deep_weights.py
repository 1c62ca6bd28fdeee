"""Write the weights of deep workloads for every contender: `python deep_weights.py NAME...`, called by `deep.py`.

For each network: its notation and multiply-adds (.json), our arrays (.npz), PyTorch's (.pt), and the network as PyTorch
exports it for ONNX Runtime, with probabilities as its output (.onnx). Dropout, which takes no time to speak of, is left
out, so that losses can be compared.
"""

from __future__ import annotations

import json
import re
import sys

import numpy as np
import torch

from deep import DEEP, MEMORY, DeepWorkload
from reference_models import channels_first, same_networks


def write(work: DeepWorkload) -> None:
    """Write the files of one workload's network."""
    images = np.zeros((2, work.size, work.size, 3))
    model, module, _ = same_networks(work.model, images, work.classes, as_drawn=True)
    rows = [row.multiply_adds for row in model.summary().rows]
    text = re.sub(r" dropout[0-9.]*", "", model.notation)
    facts = {"notation": text, "forward": sum(rows), "first": next(filter(None, rows))}
    np.savez(work.file(".npz"), **{name: array.astype(np.float32) for name, array in model.state.items()})
    module = module.float().eval()
    torch.save(module.state_dict(), work.file(".pt"))
    torch.onnx.export(
        torch.nn.Sequential(module, torch.nn.Softmax(1)),
        (channels_first(images).float(),),
        str(work.file(".onnx")),
        dynamo=False,
        input_names=["images"],
        dynamic_axes={"images": {0: "n"}},
    )
    work.file(".json").write_text(json.dumps(facts))


if __name__ == "__main__":
    for work in {work.stem: work for work in (*DEEP, MEMORY) if work.name in sys.argv[1:]}.values():
        write(work)
