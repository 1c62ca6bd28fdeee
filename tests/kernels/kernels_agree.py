"""Compares a few kernels with the reference on the processor that this runs on, and prints which it was compiled for.

Convolutions, depthwise ones, their gradients and pools for the register blocks; tanh and the sigmoid, which subtract
ln 2 in another way where there are no fused multiply-adds. With --brief, one convolution and its gradients.
"""

from __future__ import annotations

import sys

import numpy as np

from rot180 import kernels, ops
from rot180.kernels.processor import HAS_FMA, VECTOR_BYTES


def close(ours, reference):
    np.testing.assert_allclose(ours, reference, rtol=0, atol=1e-5 * np.abs(reference).max())


def compare(x, w, **how):
    """Compare both passes of a convolution, and return its outputs."""
    y = ops.conv2d(x, w, padding="same", **how)
    close(kernels.conv2d(x, w, padding="same", **how), y)
    ours, reference = (room.conv2d_backward(y, x, w, padding="same", **how) for room in (kernels, ops))
    for one, other in zip(ours, reference, strict=True):
        close(one, other)
    return y


rng = np.random.default_rng(0)
x, w, deep = (rng.normal(size=s).astype(np.float32) for s in ((2, 11, 13, 3), (3, 3, 3, 21), (3, 3, 1, 21)))
y = compare(x, w)
if "--brief" not in sys.argv:
    compare(y, deep, groups=21)
    few = rng.normal(size=(3, 3, 16, 16)).astype(np.float32)
    compare(y[..., :16].copy(), few, algorithm="winograd")
    for ours, reference in zip(kernels.max_pool2d(y, 2), ops.max_pool2d(y, 2), strict=True):
        np.testing.assert_array_equal(ours, reference)
    for dtype in (np.float32, np.float64):
        values = np.linspace(-85, 85, 4001, dtype=dtype)
        for ours, reference in ((kernels.tanh, ops.tanh), (kernels.sigmoid, ops.sigmoid)):
            np.testing.assert_allclose(ours(values), reference(values), rtol=8 * np.finfo(dtype).eps)
print(f"kernels agree with the reference; registers of {VECTOR_BYTES} bytes, {'with' if HAS_FMA else 'without'} FMA")
