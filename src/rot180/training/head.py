"""The last layer of a network, trained alone on what the layers before it make of the images.

The features of an image are computed once and kept, for the image and for its mirror image. What remains is a convex
problem, multinomial logistic regression,

    minimize  mean over images of cross-entropy(features @ weight + bias, label) + decay/2 * sum(weight^2),

which L-BFGS solves to the end. Features are standardized for it; afterwards, mean and deviation are put into weight and
bias. `decay` is the one with which the fewest images are misclassified in a fifth of the training images, which are
held out for that. With weights, an image counts as much as its own and that of its class, in the mean and in choosing.

References
----------
Nocedal and Wright (2006), Numerical Optimization, algorithm 7.4. Kumar et al. (2022), arXiv:2202.10054: training the
last layer first keeps fine-tuning from destroying what the others have learned.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from rot180 import kernels, ops
from rot180.data.lazy import Images
from rot180.data.options import Progress
from rot180.errors import ArgumentError
from rot180.memory import require
from rot180.nn import Linear, Network
from rot180.nn.graph import INPUT
from rot180.ops.types import Array
from rot180.training.features import FeatureExtractor
from rot180.training.streams import stream

DECAYS = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
"""The values of `decay` that are tried, each starting from the solution of the one before."""

HELD_OUT = 0.2

AT_ONCE = 16
"""Images in a batch of which features are computed."""

MEMORY, ITERATIONS, TOLERANCE = 10, 200, 1e-4
"""Steps that L-BFGS remembers, its most iterations, and the norm of the gradient at which it ends."""


class Head(NamedTuple):
    """A trained last layer, the decay that was chosen, and the accuracy of the images held out for that.

    With weights, the accuracy is weighted, too.
    """

    weight: Array
    bias: Array
    decay: float
    accuracy: float


def compute_features(
    model: Network, images: Images, *, mirrored: bool, engine: str = "auto", progress: Progress | None = None
) -> Array:
    """Return what reaches a network's last layer, one row for each image, and then for each mirror image.

    Parameters
    ----------
    model : Network
        Built; it ends in a fully connected layer.
    images : (N, H, W, C)
        Raw images.
    mirrored : bool
        Whether to add the features of the mirror images.
    engine : str
        As in `Trainer`.
    progress : callable, optional
        Called with the number of images done.

    Returns
    -------
    (N, n_in) or (2*N, n_in)

    Raises
    ------
    ArgumentError
        The network does not end in a fully connected layer.
    TooLargeError
        The features need more memory than is available.
    NonFiniteError
        A feature is infinite or NaN; the message names the image.
    """
    last = model.nodes[-1]
    if not isinstance(last.layer, Linear) or last.reads[0] == INPUT:
        raise ArgumentError(f"the network must end in a fully connected layer; it ends in {last.layer!r}")
    extract = FeatureExtractor(model, batch_size=AT_ONCE, engine=engine)
    count, sides = len(images), 1 + mirrored
    # Training the layer needs as much again, for the standardized features.
    require(2 * sides * count * extract.width * model.dtype.itemsize, "the features of the images")

    def tell(done: int) -> None:
        if progress is not None:
            progress("computing features", done, count)

    white = model.preprocessing.for_training_on(images).white_of(images)
    return extract(images, mirrored=mirrored, white=white, progress=tell)


def fit_head(
    features: Array,
    labels: Array,
    classes: int,
    *,
    class_weights: Array | None = None,
    sample_weights: Array | None = None,
    seed: int = 0,
    engine: str = "auto",
    progress: Progress | None = None,
) -> Head:
    """Return the weights of a last layer that separate the classes best.

    Parameters
    ----------
    features : (N, n_in) or (2*N, n_in)
        From `compute_features`.
    labels : (N,)
    classes : int
    class_weights : (classes,), optional
        How much an image of each class counts; by default 1.
    sample_weights : (N,), optional
        How much each image counts, relative to their mean; one of weight 0 is left out. By default all alike.
    seed : int
        Determines the images that are held out to choose the decay.
    engine : str
        "numpy" computes with the plain mathematics, anything else with the compiled kernels.
    progress : callable, optional
        Called with the number of values of the decay that were tried.

    Examples
    --------
    >>> generator = np.random.default_rng(0)
    >>> labels = np.arange(200) % 2
    >>> features = (generator.normal(size=(200, 3)) + 2 * labels[:, None]).astype(np.float32)
    >>> head = fit_head(features, labels, 2, engine="numpy")
    >>> bool(((features @ head.weight + head.bias).argmax(1) == labels).mean() > 0.95)
    True
    """
    sides = len(features) // len(labels)
    counts = np.ones(len(labels)) if class_weights is None else np.asarray(class_weights)[labels]
    if sample_weights is not None:
        some = np.flatnonzero(sample_weights)
        features = features.reshape(sides, len(labels), -1)[:, some].reshape(sides * len(some), -1)
        counts = counts[some] * (sample_weights[some] / sample_weights[some].mean())
        labels = labels[some]
    order = stream(seed, "head").permutation(len(labels))
    held = np.sort(order[: max(1, round(HELD_OUT * len(labels)))]) if len(labels) > 1 else order[:1]
    kept = np.setdiff1d(order, held) if len(labels) > 1 else order
    rows = np.concatenate([kept + side * len(labels) for side in range(sides)])
    problem = _Problem(features[rows], np.tile(labels[kept], sides), np.tile(counts[kept], sides), classes, engine)
    point, best = problem.start(), (-1.0, DECAYS[0])
    for done, decay in enumerate(DECAYS, 1):
        point = problem.solve(point, decay)
        weight, bias = problem.weights(point)
        correct = problem.outputs(features[held], weight, bias).argmax(1) == labels[held]
        accuracy = float((correct * counts[held]).sum() / max(counts[held].sum(), 1e-30))
        best = max(best, (accuracy, decay), key=lambda found: (round(found[0], 9), found[1]))
        if progress is not None:
            progress("training the head", done, len(DECAYS) + 1)
    whole = _Problem(features, np.tile(labels, sides), np.tile(counts, sides), classes, engine)
    weight, bias = whole.weights(whole.solve(whole.start(), best[1]))
    if progress is not None:
        progress("training the head", len(DECAYS) + 1, len(DECAYS) + 1)
    return Head(weight, bias, best[1], best[0])


class _Problem:
    """Logistic regression on standardized features; a point is weight and bias, one row below the other."""

    def __init__(self, features: Array, labels: Array, counts: Array, classes: int, engine: str) -> None:
        operations: Any = ops if engine == "numpy" else kernels
        self._linear, self._backward = operations.linear, operations.linear_backward
        self._mean = features.mean(0, dtype=np.float64).astype(features.dtype)
        deviation = features.std(0, dtype=np.float64)
        self._deviation = np.where(deviation > 1e-6 * max(deviation.max(), 1e-30), deviation, 1).astype(features.dtype)
        self._x = (features - self._mean) / self._deviation
        self._labels, self._classes = labels, classes
        self._shares = counts / len(labels)

    def start(self) -> Array:
        return np.zeros((self._x.shape[1] + 1, self._classes))

    def weights(self, point: Array) -> tuple[Array, Array]:
        """Return weight and bias for features that are not standardized."""
        weight = point[:-1] / self._deviation[:, None]
        bias = point[-1] - (self._mean[:, None] * weight).sum(0)  # not a product of BLAS, whose bits depend on threads
        return weight.astype(self._x.dtype), bias.astype(self._x.dtype)

    def outputs(self, features: Array, weight: Array, bias: Array) -> Array:
        """Return the outputs of the layer for features that are not standardized."""
        found: Array = self._linear(features, weight, bias)
        return found

    def _value(self, point: Array, decay: float) -> tuple[float, Array]:
        """Return the loss and its gradient."""
        weight, bias = point[:-1].astype(self._x.dtype), point[-1].astype(self._x.dtype)
        z = self._linear(self._x, weight, bias).astype(np.float64)
        z -= z.max(1, keepdims=True)
        p = np.exp(z)
        total = p.sum(1, keepdims=True)
        rows: Array = np.arange(len(z))
        losses = np.log(total[:, 0]) - z[rows, self._labels]
        loss = float((self._shares * losses).sum()) + decay / 2 * float((point[:-1] ** 2).sum())
        p /= total
        p[rows, self._labels] -= 1
        p *= self._shares[:, None]
        _, dw, db = self._backward(p.astype(self._x.dtype), self._x, weight, needs=("w", "b"))
        gradient = np.concatenate(
            [np.asarray(dw, np.float64) + decay * point[:-1], np.asarray(db, np.float64)[np.newaxis]]
        )
        return loss, gradient

    def solve(self, point: Array, decay: float) -> Array:
        """Return the minimum, by L-BFGS from a point."""
        value, gradient = self._value(point, decay)
        steps: list[tuple[Array, Array]] = []
        for _ in range(ITERATIONS):
            if np.linalg.norm(gradient) < TOLERANCE:
                break
            direction = _direction(gradient, steps)
            slope, length = float((direction * gradient).sum()), 1.0
            while True:
                there, new = self._value(point + length * direction, decay)
                if there <= value + 1e-4 * length * slope or length < 1e-6:
                    break
                length /= 2
            if not there < value:  # rounding decides from here on
                break
            steps = [*steps[-MEMORY + 1 :], (length * direction, new - gradient)]
            point, value, gradient = point + length * direction, there, new
        return point


def _direction(gradient: Array, steps: list[tuple[Array, Array]]) -> Array:
    """Return the direction of L-BFGS: minus the gradient times the curvature that the last steps have shown."""
    q = gradient.copy()
    shares = []
    for step, change in reversed(steps):
        share = (step * q).sum() / (step * change).sum()
        shares.append(share)
        q -= share * change
    if steps:
        step, change = steps[-1]
        q *= (step * change).sum() / (change * change).sum()
    else:
        q /= max(1.0, float(np.linalg.norm(gradient)))
    for (step, change), share in zip(steps, reversed(shares), strict=True):
        q += (share - (change * q).sum() / (step * change).sum()) * step
    return -q
