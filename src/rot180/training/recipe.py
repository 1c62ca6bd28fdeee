"""What works well for the named models: the defaults of `rot180 train`, which anything said there overrides.

The figures beside each recipe are accuracies on the 10,000 MNIST test images, worst of the seeds given.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """How to train a model.

    Attributes
    ----------
    optimizer, lr, schedule, warmup, epochs, batch_size
        As in `fit`.
    normalize : str
        The kind of `rot180.nn.preprocessing.Preprocessing`.
    """

    optimizer: str = "adam"
    lr: float = 1e-3
    schedule: str = "constant"
    warmup: int | float = 0
    epochs: int = 5
    batch_size: int = 32
    normalize: str = "scale"


DEFAULT = Recipe()
"""For any network that has no recipe of its own."""

RECIPES: dict[str, Recipe] = {}
"""By the model's name."""


def recipe(name: str) -> Recipe:
    """Return the recipe of a named model; the default one for any other text.

    >>> recipe("28x28x1 > fc10").optimizer
    'adam'
    """
    return RECIPES.get(name, DEFAULT)
