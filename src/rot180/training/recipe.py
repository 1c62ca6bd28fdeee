"""Settings that work well: recipes by name, and for the named models. Options of `rot180 train` override them.

The figures are accuracies on test images, the worst over the given seeds. Rates and schedules were compared on the same
images (for MNIST with seeds 0 to 4), so the figures are slightly better than fresh images would give. Those of networks
with normalization were compared on 5,000 of CIFAR-10's training images that were held out, never on its test images.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from rot180.errors import ArgumentError, did_you_mean
from rot180.nn.models import MODELS

FEW = 4_000
"""With fewer training images, recipes that are not made for one model have more epochs and smaller batches."""


@dataclass(frozen=True)
class Recipe:
    """How to train a model.

    Attributes
    ----------
    optimizer, lr, momentum, nesterov, weight_decay, decay_bias_and_norm, clip_norm, schedule, warmup, epochs, \
batch_size, label_smoothing, ema, tta
        As in `fit`.
    normalize : str
        The kind of `rot180.nn.preprocessing.Preprocessing`.
    augment : str
        As in `fit`; "none" for no augmentation.
    subject : str
        What `augment` and `tta` suit, "photographs" or "digits"; `rot180 train` leaves them out for anything else.
    """

    optimizer: str = "adam"
    lr: float = 1e-3
    momentum: float | None = None
    nesterov: bool | None = None
    weight_decay: float | None = None
    decay_bias_and_norm: bool = True
    clip_norm: float = 0.0
    schedule: str = "constant"
    warmup: int | float = 0
    label_smoothing: float = 0.0
    ema: float = 0.0
    tta: str = "none"
    epochs: int = 5
    batch_size: int = 32
    normalize: str = "scale"
    augment: str = "none"
    subject: str = "photographs"


DEFAULT = Recipe(schedule="cosine", warmup=0.05, epochs=5)
"""For any network without its own recipe."""

FAST = Recipe(lr=3e-3, schedule="cosine", warmup=0.05, epochs=3, batch_size=64)
"""Few large steps at a high rate. MNIST with cnn-16-32-128, seeds 0 to 4: 99.20% (after two epochs 99.12%; with
batches of 32 at 2e-3 99.21%, in half as much time again)."""

NORMALIZED = Recipe(
    optimizer="adamw",
    lr=5e-3,
    weight_decay=0.05,
    decay_bias_and_norm=False,
    schedule="cosine",
    warmup=0.1,
    label_smoothing=0.1,
    epochs=15,
    batch_size=128,
    normalize="dataset",
    augment="crop:4,border:reflect,altflip",
)
"""For any network with batch normalization, which bears higher rates. Without the augmentation, CIFAR-10's default
network overfits within four epochs. Of 5,000 training images that were held out, it knows 86.1% after five epochs, and
85.5% with ReLU in place of GELU."""

FAST_NORMALIZED = replace(
    NORMALIZED,
    optimizer="muon",
    lr=0.014,
    epochs=8,
    batch_size=256,
    augment="crop:2,border:reflect,altflip",
    tta="flip",
)
"""For a wider network, which learns more in an epoch; mirror images count in testing, too. Of 5,000 of CIFAR-10's
training images that were held out, the default network knows 87.6% after five epochs with Muon (87.3% in batches of 128
at 0.01), 86.1% with AdamW at 0.01, and 86.2% with SGD and what goes with it in Jordan's networks: labels smoothed by
0.2, whitened patches, and convolutions that begin as the identity. The wide network knew 90.2% of the test images after
these eight epochs, which took 15 minutes on two Zen 4 cores (883 and 924 s; seed 0)."""

BEST_NORMALIZED = replace(FAST_NORMALIZED, epochs=24, augment="crop:4,border:reflect,altflip,cutout:8", ema=0.998)
"""For more epochs of the wider network."""


FINE_TUNING = Recipe(
    optimizer="adamw",
    lr=3e-4,
    weight_decay=0.01,
    decay_bias_and_norm=False,
    schedule="cosine",
    warmup=0.1,
    label_smoothing=0.1,
    epochs=3,
    batch_size=16,
    augment="resizedcrop:0.5,flip",
)
"""For a network that was trained before, whose last layer has been trained on the new images.

EfficientNet-Lite0 with 128x128 images, 691 of 3,453 photographs of flowers held out from training, never test images,
seed 0: 74.5% with the last layer alone, and 75.0%, 78.0% and 79.5% after each of three epochs. At 1e-3, with a tenth of
it instead of a hundredth for the first layer, the accuracy fell to 71.3% in the first epoch."""

FROZEN = replace(FINE_TUNING, epochs=0, augment="none")
"""For a network of which only the last layer is trained, before the first epoch."""


def fine_tuning(images: int, *, freeze: bool) -> Recipe:
    """Return the recipe for a network that was trained before, given the number of training images.

    With few there are more than 3 epochs, up to 20, so that about 20,000 images are seen if possible.

    >>> [fine_tuning(images, freeze=False).epochs for images in (6000, 3453, 9)], fine_tuning(9, freeze=True).epochs
    ([3, 6, 20], 0)
    """
    if freeze:
        return FROZEN
    return replace(FINE_TUNING, epochs=min(max(FINE_TUNING.epochs, round(20_000 / max(images, 1))), 20))


@dataclass(frozen=True)
class NamedRecipe:
    """A choice of `--recipe`: settings, the model that goes with them, and a one-line description.

    Attributes
    ----------
    recipe, normalized : Recipe or None
        For networks without and with batch normalization; None means the model's own recipe.
    model : str or None
        Used for images of its size if no model is named.
    width : int
        Multiplies the channels of the network that other images get if no model is named.
    description : str
    """

    recipe: Recipe | None
    normalized: Recipe | None
    model: str | None
    width: int
    description: str


NAMED_RECIPES: dict[str, NamedRecipe] = {
    "default": NamedRecipe(None, None, None, 1, "settings suited to the network, such as 3 epochs for cnn-32-64-512"),
    "fast": NamedRecipe(
        FAST,
        FAST_NORMALIZED,
        "cnn-16-32-128",
        2,
        "few epochs at a high rate; cnn-16-32-128 for 28x28x1 images, 99% on MNIST; for photographs, a wide network "
        "and mirrored images",
    ),
    "best": NamedRecipe(
        None,
        BEST_NORMALIZED,
        "vgg6",
        2,
        "many epochs, altered images and an average of the weights: vgg6 for 28x28x1 images, and a wide network for "
        "photographs; for other images the same as default",
    ),
}
"""The recipes that can be chosen by name."""

RECIPES: dict[str, Recipe] = {
    # MNIST, one epoch, seed 0: 99.20%
    "cnn-16-32-128": FAST,
    "cnn-32-64-512": Recipe(schedule="cosine", warmup=0.05, epochs=3),
    # Compared on 10,000 of MNIST's training images that were held out, seed 0: 99.64%; with AdamW at 5e-3 99.57%;
    # with AdamW, without dropout, but with images distorted elastically, 99.51% after 16 epochs. After eight epochs
    # with Muon, 99.58% of these images, and 99.61% if shifted ones count in testing, too.
    # Trained on all 60,000, seeds 0 to 2: 99.75, 99.72, 99.71% of the test images, in 16 minutes on one Zen 4 core.
    "vgg6": Recipe(
        optimizer="muon",
        lr=0.014,
        weight_decay=0.05,
        decay_bias_and_norm=False,
        schedule="cosine",
        warmup=0.1,
        label_smoothing=0.05,
        ema=0.999,
        epochs=20,
        batch_size=128,
        normalize="dataset",
        augment="rotate:10,scale:0.1,shift:2",
        tta="shift",
        subject="digits",
    ),
    # MNIST, five epochs, seeds 0 to 2: 98.94%. Tanh and mean-pooling learn slowly at the start: images around zero and
    # a high rate in the middle help; 1e-3, 3e-3 and cosine all end a little lower.
    "lenet5": Recipe(lr=2e-3, schedule="one-cycle", epochs=5, normalize="dataset"),
    # 600 images of MNIST, each seen once and alone, seeds 0 to 7: 84.4%. Adam's step does not grow with the gradient,
    # so the rate should suit larger batches too.
    "cnn-8-16": Recipe(lr=4e-3, schedule="cosine", warmup=0.05, epochs=3),
    # the bundled digits, 20 epochs, seeds 0 to 7: 98.6%
    "digits": Recipe(lr=2e-3, schedule="cosine", warmup=0.05, epochs=20),
}
"""By the model's name."""


def recipe(name: str, images: int | None = None, kind: str = "default") -> Recipe:
    """Return the recipe for a model's name or notation.

    Parameters
    ----------
    name : str
        A named model has its own recipe; any other text gets the default one.
    images : int, optional
        The number of training images. With fewer than 4,000, a recipe not made for one model has more epochs, up to
        20, so that 20,000 images are seen if possible; networks with batch normalization have batches of 32.
    kind : str
        A name from `NAMED_RECIPES`.

    Raises
    ------
    ArgumentError
        No recipe has this name.

    Examples
    --------
    >>> recipe("28x28x1 > fc10").optimizer
    'adam'
    >>> recipe("28x28x1 > fc10", 1500).epochs
    13
    >>> recipe("lenet5", kind="fast").epochs
    3
    """
    if kind not in NAMED_RECIPES:
        raise ArgumentError(f"unknown recipe {kind!r}{did_you_mean(kind, NAMED_RECIPES)}")
    named = NAMED_RECIPES[kind]
    is_normalized = "bn" in (word.partition(":")[0] for word in MODELS.get(name, name).split())
    chosen = None if name == named.model else named.normalized if is_normalized else named.recipe
    if chosen is None:
        if name in RECIPES:
            return RECIPES[name]
        chosen = NORMALIZED if is_normalized else DEFAULT
    if images is None or images >= FEW:
        return chosen
    # 960 drawn photographs of four classes, seed 0: 74% of unseen ones after 5 epochs, 91% after 20.
    more = replace(chosen, epochs=min(max(chosen.epochs, 20_000 // max(images, 1)), 20))
    if not is_normalized:
        return more
    # Batches of 32, so that there are as many updates; the rate falls with the root of the batch.
    return replace(more, batch_size=32, lr=chosen.lr * (32 / chosen.batch_size) ** 0.5)
