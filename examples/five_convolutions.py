"""Compute the same convolution and its gradients in five ways, and print how far they differ.

python examples/five_convolutions.py
"""

from __future__ import annotations

from time import perf_counter

import numpy as np

from rot180.ops import ALGORITHMS, conv2d, conv2d_backward

generator = np.random.default_rng(0)
x = generator.normal(size=(2, 14, 14, 8))  # images
w = generator.normal(size=(5, 5, 8, 16))  # filters
b = generator.normal(size=16)
geometry = {"stride": 1, "padding": "same"}  # winograd, the only one with fewer multiplications, is for stride 1

reference = None
for algorithm in ALGORITHMS:
    start = perf_counter()
    y = conv2d(x, w, b, algorithm=algorithm, **geometry)
    dy = np.cos(y)  # any delta will do
    results = (y, *conv2d_backward(dy, x, w, algorithm=algorithm, **geometry))
    milliseconds = 1000 * (perf_counter() - start)
    if reference is None:
        reference = results
    differences = [np.abs(a - b).max() / np.abs(b).max() for a, b in zip(results, reference, strict=True)]
    shown = "  ".join(f"{name} {value:.0e}" for name, value in zip(("y", "dx", "dw", "db"), differences, strict=True))
    print(f"{algorithm:8} {milliseconds:9.2f} ms   largest relative difference from {ALGORITHMS[0]}: {shown}")
    if max(differences) > 1e-12:
        raise SystemExit(f"{algorithm} disagrees")
