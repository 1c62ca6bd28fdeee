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


DEFAULT = Recipe(schedule="cosine", warmup=0.05, epochs=5)
"""For any network that has no recipe of its own."""

RECIPES: dict[str, Recipe] = {
    "cnn-32-64-512": Recipe(schedule="cosine", warmup=0.05, epochs=3),
    # Tanh and mean-pooling learn slowly at the start: images around zero and a high rate in the middle help.
    "lenet5": Recipe(lr=2e-3, schedule="one-cycle", epochs=5, normalize="dataset"),
    # Found for 600 images seen once, one at a time; Adam's step does not grow with the batch, so it also suits 32.
    "cnn-8-16": Recipe(lr=4e-3, schedule="cosine", warmup=0.05, epochs=3),
    "digits": Recipe(lr=2e-3, schedule="cosine", warmup=0.05, epochs=20),
}
"""By the model's name."""


def recipe(name: str) -> Recipe:
    """Return the recipe of a named model; the default one for any other text.

    >>> recipe("28x28x1 > fc10").optimizer
    'adam'
    """
    return RECIPES.get(name, DEFAULT)
