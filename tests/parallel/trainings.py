"""Small trainings whose weights are compared between numbers of processes; also a program for MPI.

mpiexec -n 4 python trainings.py OUT.json
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np

import rot180
from rot180.parallel.communicator import ALONE

CHAIN = "8x8x1 > conv3x3:8:same relu maxpool2 > fc10"
RESIDUAL = "8x8x1 > conv3x3:4:same bn relu ( conv3x3:4:same bn + skip ) relu > gap > dropout0.2 > fc10"

CASES = {
    "chain": {"network": CHAIN},
    "residual": {"network": RESIDUAL, "ema": 0.9},
    "accumulated": {"network": CHAIN, "accumulate": 2, "clip_norm": 1.0, "optimizer": "sgd", "momentum": 0.9},
    "synchronized": {"network": RESIDUAL, "sync_batch_norm": True},
    "augmented": {"network": CHAIN, "augment": "shift:1,mixup:0.2", "label_smoothing": 0.1},
}
"""Arguments of `fit`, with shards."""


def digest(model):
    """Return a checksum of all parameters and statistics."""
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in model.state.values())).hexdigest()


def train(communicator, network, *, shards=8, dtype=np.float32, epochs=2, **options):
    """Return a trained model and its history."""
    data = rot180.load_data("digits").limit(75)  # the last batch of an epoch has fewer images than shards
    model = rot180.network(network).build(seed=0, dtype=dtype)
    history = rot180.fit(
        model,
        data,
        epochs=epochs,
        batch_size=23,
        validation=(data.test_images[:40], data.test_labels[:40]),
        communicator=communicator,
        shards=shards,
        **{"lr": 0.02, **options},
    )
    return model, history


def measure(communicator):
    """Return the checksum and the validation losses of each case."""
    found = {}
    for name, options in CASES.items():
        model, history = train(communicator, **options)
        found[name] = [digest(model), *(epoch.validation_loss for epoch in history.epochs)]
    model, _ = train(communicator, CHAIN, shards=None, dtype=np.float64, epochs=1)
    found["ordinary"] = [float(value) for array in model.state.values() for value in array.reshape(-1)]
    return found


if __name__ == "__main__":
    from rot180.parallel import connect
    from rot180.training import gradient_sum

    together = connect()
    assert together is not ALONE
    together.overlaps, gradient_sum.LEAST_PIECE = True, 256  # as over a network, and for larger networks
    results = measure(together)
    if together.rank == 0:
        Path(sys.argv[1]).write_text(json.dumps(results))
