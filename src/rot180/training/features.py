"""What a network makes of images before it decides on a class: the numbers that its last layer reads."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from rot180.data.lazy import Images, as_images
from rot180.errors import ArgumentError, did_you_mean
from rot180.memory import require
from rot180.nn.beginning import beginning
from rot180.nn.graph import INPUT
from rot180.nn.keywords import answering_call
from rot180.nn.linear import Linear
from rot180.nn.network import Network
from rot180.ops.types import Array
from rot180.training.inference import inference_engine
from rot180.training.predict import BATCH_SIZE, check_built, each_view, tell_unlike


@answering_call
def features(
    model: Network,
    images: Images,
    *,
    layer: str | None = None,
    batch_size: int = BATCH_SIZE,
    engine: str = "auto",
) -> Array:
    """Return the numbers that enter a network's last fully connected layer, for each image.

    They describe an image well enough for other tasks: a linear classifier, a search for similar images, a map.

    Parameters
    ----------
    model : Network
        Built.
    images : (N, H, W, C) or (N, H, W)
        Raw, as they come from the data; the model's preprocessing is applied.
    layer : str, optional
        The name of a layer whose output is returned instead. Feature maps become one row, (H, W, C) in this order.
    batch_size, engine
        As in `evaluate`.

    Returns
    -------
    (N, n) float

    Raises
    ------
    ArgumentError
        The model has no such layer, or no fully connected one that reads another layer; or as from `predict`.
    ShapeError, NonFiniteError
        As from `predict`.
    TooLargeError
        The features need more memory than is available.

    Examples
    --------
    >>> import rot180
    >>> model = rot180.network("4x4x1 > conv3x3:2 relu > fc10").build(seed=0)
    >>> features(model, np.zeros((3, 4, 4, 1))).shape, features(model, np.zeros((3, 4, 4, 1)), layer="conv1").shape
    ((3, 8), (3, 8))
    """
    found = FeatureExtractor(model, layer, batch_size=batch_size, engine=engine)(images)
    tell_unlike(model, as_images(images))
    return found


class FeatureExtractor:
    """The beginning of a network, up to the features.

    Parameters
    ----------
    model, layer, batch_size, engine
        As in `features`. The weights are copied.

    Attributes
    ----------
    layer : str
        The name of the layer whose output the features are.
    width : int
        The number of features.
    """

    def __init__(
        self, model: Network, layer: str | None = None, *, batch_size: int = BATCH_SIZE, engine: str = "auto"
    ) -> None:
        check_built(model)
        place = _before_last_linear(model) if layer is None else _place_of(model, layer)
        self.layer = model.layers[place].name
        self._model = beginning(model, place)
        self.width = math.prod(self._model.output_shape)
        self._batch_size = batch_size
        self._engine = inference_engine(engine, self._model)

    def __call__(
        self,
        images: Images,
        *,
        mirrored: bool = False,
        white: float | None = None,
        out: Array | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> Array:
        """Return the features (N, n) of images; with those of their mirror images behind them, (2*N, n).

        Parameters
        ----------
        images
            As in `features`.
        mirrored : bool
            Whether to add the features of the mirror images.
        white : float, optional
            As in `Preprocessing`.
        out : (N, n) or (2*N, n) float, optional
            Where to put them.
        progress : callable, optional
            Called after each batch with the number of images done.
        """
        images = as_images(images)
        count, start = len(images), 0
        found = self.empty((1 + mirrored) * count) if out is None else out
        for outputs in each_view(
            self._engine, images, self._batch_size, tta="flip" if mirrored else "none", white=white
        ):
            size = len(outputs[0])
            for side, rows in enumerate(outputs):
                found[side * count + start :][:size] = rows.reshape(size, -1)
            start += size
            if progress is not None:
                progress(start)
        return found

    def empty(self, count: int) -> Array:
        """Return an array for the features of so many images; raise TooLargeError if it does not fit in memory."""
        dtype = self._model.dtype
        require(count * self.width * dtype.itemsize, f"the features of {count:,} images")
        return np.empty((count, self.width), dtype)


def _place_of(model: Network, name: str) -> int:
    names = [layer.name for layer in model.layers]
    if name not in names:
        raise ArgumentError(f"the network has no layer {name!r}{did_you_mean(str(name), names)}")
    return names.index(name)


def _before_last_linear(model: Network) -> int:
    """Return the place of the node that the last fully connected layer reads."""
    for layer, reads in reversed(model.nodes):
        if isinstance(layer, Linear):
            if reads[0] == INPUT:
                raise ArgumentError(
                    f"the last fully connected layer, {layer.name}, reads the images themselves, so there are no "
                    f"features before it; choose a layer"
                )
            return reads[0]
    last = ", ".join(layer.name for layer in model.layers[-5:])
    raise ArgumentError(f"the network has no fully connected layer; choose a layer, such as one of the last: {last}")
