"""Losses on a batch: loss, delta and correctness of each image in one pass; the formulas of `rot180.ops.loss`.

All take `count`, the number of images that the mean is taken over: if a batch is processed in parts, the count of all.
`losses` (N,) float64 receives each image's loss, not yet divided; `hits` (N,) int64 receives 1 if the largest output is
at the label, or at the first of the target's largest, else 0. `sum_up` adds them in order. Delta may overwrite the
outputs.
"""

from __future__ import annotations

import math

from rot180.kernels.compiling import kernel, subroutine
from rot180.kernels.softmax_rows import exponentials, largest
from rot180.kernels.team import split


@kernel
def cross_entropy_of_labels(team, logits, labels, smoothing, count, dlogits, losses, hits):
    """dlogits = (softmax(logits) - t) / count, where t is larger at the label by 1 - smoothing."""
    N, K = logits.shape
    for n in split(team, N):
        at, label = largest(logits, n), labels[n]
        shift = logits[n, at]
        hits[n] = 1 if at == label else 0
        chosen = float(logits[n, label] - shift)
        spread = 0.0
        if smoothing != 0.0:
            for k in range(K):
                spread += float(logits[n, k] - shift)
        total = exponentials(logits, dlogits, n, shift)
        losses[n] = (1 - smoothing) * (math.log(total) - chosen)
        if smoothing != 0.0:
            losses[n] += smoothing * (math.log(total) - spread / K)
        for k in range(K):
            # Rounded once: near the right answer, p - t suffers from cancellation.
            wanted = smoothing / K + (1 - smoothing if k == label else 0.0)
            dlogits[n, k] = (dlogits[n, k] / total - wanted) / count


@kernel
def cross_entropy_of_probabilities(team, logits, target, smoothing, count, dlogits, losses, hits):
    """dlogits = (softmax(logits) - t) / count, t = (1 - smoothing) * target + smoothing / K."""
    N, K = logits.shape
    for n in split(team, N):
        at = largest(logits, n)
        shift = logits[n, at]
        hits[n] = 1 if at == largest(target, n) else 0
        chosen = spread = weight = 0.0
        for k in range(K):
            chosen += target[n, k] * float(logits[n, k] - shift)
            weight += target[n, k]
            if smoothing != 0.0:
                spread += float(logits[n, k] - shift)
        total = exponentials(logits, dlogits, n, shift)
        losses[n] = (1 - smoothing) * (weight * math.log(total) - chosen)
        if smoothing != 0.0:
            losses[n] += smoothing * (math.log(total) - spread / K)
        for k in range(K):
            wanted = (1 - smoothing) * target[n, k] + smoothing / K
            dlogits[n, k] = (dlogits[n, k] / total - wanted) / count


@kernel
def delta_of_probabilities(team, probabilities, target, smoothing, dlogits):
    """dlogits = (p - t) / N, t = (1 - smoothing) * target + smoothing / K, for given probabilities."""
    N, K = probabilities.shape
    for n in split(team, N):
        for k in range(K):
            wanted = (1 - smoothing) * target[n, k] + smoothing / K
            dlogits[n, k] = (probabilities[n, k] - wanted) / N


@kernel
def squared_error_of_labels(team, y, labels, count, dy, losses, hits):
    """dy = (y - t) / count, where t has a one at the label and zeros elsewhere."""
    N, K = y.shape
    for n in split(team, N):
        hits[n] = 1 if largest(y, n) == labels[n] else 0
        losses[n] = 0.0
        for k in range(K):
            _square(y[n, k] - (1 if k == labels[n] else 0), n, k, count, dy, losses)


@kernel
def squared_error_of_values(team, y, target, count, dy, losses, hits):
    """dy = (y - target) / count."""
    N, K = y.shape
    for n in split(team, N):
        hits[n] = 1 if largest(y, n) == largest(target, n) else 0
        losses[n] = 0.0
        for k in range(K):
            _square(y[n, k] - target[n, k], n, k, count, dy, losses)


@subroutine
def _square(difference, n, k, count, dy, losses):
    losses[n] += 0.5 * float(difference) * float(difference)
    dy[n, k] = difference / count


@kernel
def sum_up(team, losses, hits, sums):
    """Write the sums of the losses and the hits to `sums` (2,) float64."""
    for _ in split(team, 1):
        sums[0] = sums[1] = 0.0
        for n in range(losses.shape[0]):
            sums[0] += losses[n]
            sums[1] += hits[n]
