"""A convolutional network as a scikit-learn classifier."""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from rot180.errors import ArgumentError, ShapeError
from rot180.estimator.one_thread import one_thread_in_jobs
from rot180.estimator.samples import Samples, with_class_weights
from rot180.estimator.starting import Shape, new_network, recipe_of, shape_of, trained_before
from rot180.nn import Network, Preprocessing
from rot180.nn.validation import image_shape as checked_shape
from rot180.ops.types import Array
from rot180.training import History, Optimizer, fit, optimizer
from rot180.training.batches import Examples
from rot180.training.fit import hold_out
from rot180.training.predict import run_prediction
from rot180.training.progress_bar import ProgressBar
from rot180.training.recipe import Recipe
from rot180.training.sample_weights import read_sample_weights


class CNNClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A convolutional network as a scikit-learn classifier; needs `pip install "rot180[sklearn]"`.

    Works wherever a classifier of scikit-learn does: in pipelines, grid searches, cross-validation and calibration,
    cloned and pickled. Inside parallel jobs it uses one thread.

    Samples are images (n, H, W, C) or (n, H, W), or rows of numbers. Rows are images if `image_shape` says so, or if
    the model is made for images of as many numbers. Otherwise they are features without an order, over which a
    convolution means nothing: they are standardized, and the default model is fully connected.

    Parameters
    ----------
    model : str or Network, optional
        A named model (`rot180.MODELS`), which is adapted to the images and the classes; a network in the notation,
        with or without the size that it begins with; or a network. By default one that suits the images.
    image_shape : (H, W) or (H, W, C), optional
        The shape of images that are given as rows.
    weights : str, optional
        A run, a model file or weights of another program to start from, in place of `model`: its last layer is
        replaced and trained first, then all of it.
    epochs, batch_size, optimizer, lr, momentum, weight_decay, schedule, warmup, label_smoothing, ema, augment
        As in `rot180.fit`. By default those that suit the model, without augmentation.
    class_weight : dict, "balanced" or None
        As in scikit-learn's classifiers.
    early_stopping : int, optional
        Stop after this many epochs without a lower validation loss, and keep the best weights.
    validation_fraction : float
        With early stopping, the share of the samples that are held out for it.
    warm_start : bool
        Whether `fit` continues with the weights of the fit before.
    random_state : int, RandomState or None
        An integer gives the same bits again, with any number of threads.
    verbose : bool
        Whether to show the progress.

    Attributes
    ----------
    classes_ : (K,)
    n_features_in_ : int
        The numbers in a sample.
    model_ : Network
        The trained network, for everything else that rot180 does with one.
    image_shape_ : (H, W, C) or None
        None for features.
    mean_, scale_ : (n,) or None
        What features are standardized with.
    history_ : History
        The epochs of the last fit.

    Notes
    -----
    A sample of weight 2 gives the same bits as the sample twice, one of weight 0 as none; the order of the samples
    means nothing. For that, `fit` joins identical samples, and divides weights by their mean. With augmentation, each
    copy is altered by itself, and nothing is joined. `partial_fit` takes samples and weights as they are.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import train_test_split
    >>> x, y = load_digits(return_X_y=True)
    >>> x_train, x_test, y_train, y_test = train_test_split(x, y, random_state=0)
    >>> classifier = CNNClassifier(image_shape=(8, 8), epochs=5, random_state=0).fit(x_train, y_train)
    >>> bool(classifier.score(x_test, y_test) > 0.95)
    True
    """

    def __init__(
        self,
        model: str | Network | None = None,
        *,
        image_shape: tuple[int, ...] | None = None,
        weights: str | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        optimizer: str | Optimizer | None = None,
        lr: float | None = None,
        momentum: float | None = None,
        weight_decay: float | None = None,
        schedule: str | None = None,
        warmup: int | float | None = None,
        label_smoothing: float | None = None,
        ema: float | None = None,
        augment: str = "none",
        class_weight: Any = None,
        early_stopping: int | None = None,
        validation_fraction: float = 0.1,
        warm_start: bool = False,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.model = model
        self.image_shape = image_shape
        self.weights = weights
        self.epochs = epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.lr = lr
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.schedule = schedule
        self.warmup = warmup
        self.label_smoothing = label_smoothing
        self.ema = ema
        self.augment = augment
        self.class_weight = class_weight
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train a network.

        Parameters
        ----------
        X : (n, H, W, C), (n, H, W) or (n, n_features)
        y : (n,)
            Labels of any kind.
        sample_weight : (n,), optional
            How much each sample counts in the loss, at least 0.

        Returns
        -------
        CNNClassifier
            Itself.

        Raises
        ------
        ArgumentError, ShapeError, ModelError, NonFiniteError
            A parameter is invalid, samples and model do not match, or as from `rot180.fit`.
        """
        before = getattr(self, "classes_", None) if self.warm_start and hasattr(self, "model_") else None
        rows, y, weights, shape = self._read_samples(X, y, sample_weight, reset=before is None)
        if weights is not None:  # a weight of 0 is no sample
            rows, y, weights = rows[weights > 0], y[weights > 0], weights[weights > 0]
        classes, labels = np.unique(y, return_inverse=True)
        if before is not None and not np.array_equal(classes, before):
            raise ArgumentError(
                f"with warm_start, the classes must be those of the fit before, {before.tolist()}; they are "
                f"{classes.tolist()}; clone the classifier for others"
            )
        seed = self._seed()
        samples = with_class_weights(Samples(rows, labels.astype(np.int64), weights), self.class_weight, classes)
        samples = samples if self._augments else samples.joined
        samples = samples.evened
        held_out = None if self.early_stopping is None else self.validation_fraction
        if before is None:
            self._begin(samples, classes, shape, seed, held_out)
        chosen = recipe_of(self._name, self._shape, len(samples.labels), is_trained=self.weights is not None)
        with one_thread_in_jobs():
            self.history_: History = fit(
                self.model_,
                (self._inputs(samples.x), samples.labels),
                sample_weights=samples.weights,
                seed=seed,
                validation=held_out,
                early_stopping=self.early_stopping,
                subscribers=[ProgressBar()] if self.verbose else [],
                **self._settings(chosen),
            )
        self._optimizer: Optimizer | None = None
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Train on some samples for one epoch, at a constant learning rate.

        Preprocessing, and the mean and deviation of features, are those of the first call.

        Parameters
        ----------
        X, y
            As in `fit`.
        classes : (K,)
            All classes; needed in the first call.
        sample_weight : (n,), optional
            As in `fit`, but used as it is.

        Returns
        -------
        CNNClassifier
            Itself.
        """
        is_first = not hasattr(self, "model_")
        if is_first and classes is None:
            raise ArgumentError("the first call of partial_fit needs classes, the labels of all classes to come")
        rows, y, weights, shape = self._read_samples(X, y, sample_weight, reset=is_first)
        known = np.unique(classes) if is_first else self.classes_
        if not is_first and classes is not None and not np.array_equal(np.unique(classes), known):
            raise ArgumentError(f"classes must be those of the first call of partial_fit, {known.tolist()}")
        labels = np.searchsorted(known, y).clip(0, len(known) - 1)
        if (known[labels] != y).any():
            raise ArgumentError(
                f"y has the class {y[known[labels] != y].tolist()[0]!r}; the classes are {known.tolist()}"
            )
        samples = with_class_weights(Samples(rows, labels.astype(np.int64), weights), self.class_weight, known)
        if is_first:
            self._begin(samples, known, shape, self._seed())
        chosen = recipe_of(self._name, self._shape, len(labels), is_trained=self.weights is not None)
        settings = {**self._settings(chosen), "epochs": 1, "schedule": "constant", "warmup": 0}
        chosen_optimizer = getattr(self, "_optimizer", None) or _optimizer_of(settings)
        self._optimizer, self._calls = chosen_optimizer, getattr(self, "_calls", 0) + 1
        for name in ("optimizer", "lr", "momentum", "weight_decay", "decay_bias_and_norm"):
            settings.pop(name, None)
        with one_thread_in_jobs():
            self.history_ = fit(
                self.model_,
                (self._inputs(rows), samples.labels),
                sample_weights=samples.weights,
                seed=self._start + self._calls,
                optimizer=chosen_optimizer,
                lr=chosen_optimizer.lr,
                **settings,
            )
        return self

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class, (n, K), in the order of `classes_`."""
        check_is_fitted(self)
        X, shape = _as_rows(X)
        rows = validate_data(self, X, reset=False, dtype="numeric")
        self._require_shape(shape)
        inputs = self._inputs(rows)
        pixels = self.model_.preprocessing.pixels
        # Features may be anything; images must be in the range of the training images.
        white = pixels.white if self.image_shape_ is None and pixels is not None else None
        with one_thread_in_jobs():
            # A sample has the same bits in any set of samples.
            return run_prediction(self.model_, inputs, white=white, steady=True)

    def predict(self, X: Any) -> Array:
        """Return the most probable class of each sample, (n,)."""
        best = self.predict_proba(X).argmax(axis=1)
        found: Array = self.classes_[best]
        return found

    def __sklearn_is_fitted__(self) -> bool:
        """Return whether there is a network."""
        return hasattr(self, "model_")

    @property
    def _augments(self) -> bool:
        return self.augment not in (None, "none")

    def _seed(self) -> int:
        if isinstance(self.random_state, int | np.integer):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _settings(self, chosen: Recipe) -> dict[str, Any]:
        """Return the options of `rot180.fit`: those given, and for others those of the recipe."""
        own_optimizer = self.optimizer is not None
        settings: dict[str, Any] = {"augment": self.augment}
        for name in ("epochs", "batch_size", "schedule", "warmup", "label_smoothing", "ema"):
            given = getattr(self, name)
            settings[name] = getattr(chosen, name) if given is None else given
        settings["optimizer"] = self.optimizer if own_optimizer else chosen.optimizer
        for name in ("lr", "momentum", "weight_decay"):
            given = getattr(self, name)
            settings[name] = getattr(chosen, name) if given is None and not own_optimizer else given
        if not own_optimizer and settings["weight_decay"]:
            settings["decay_bias_and_norm"] = chosen.decay_bias_and_norm
        return settings

    def _read_samples(
        self, X: Any, y: Any, sample_weight: Any, *, reset: bool
    ) -> tuple[Array, Array, Array | None, Shape | None]:
        """Return checked rows, labels and weights, and the shape of X if it holds images."""
        X, shape = _as_rows(X)
        rows, y = validate_data(self, X, y, reset=reset, dtype="numeric")
        check_classification_targets(y)
        if not reset:
            self._require_shape(shape)
        weights = None if sample_weight is None else read_sample_weights(sample_weight, len(rows), self.augment)
        return rows, y, weights, shape

    def _require_shape(self, shape: Shape | None) -> None:
        if shape is not None and self.image_shape_ is not None and shape != self.image_shape_:
            raise ShapeError(f"the images must be {self.image_shape_}, like those of fit; they are {shape}")

    def _begin(
        self, samples: Samples, classes: Array, shape: Shape | None, seed: int, held_out: float | None = None
    ) -> None:
        """Decide what the rows are, and create the network; the samples that are held out train no part of it."""
        count = samples.x.shape[1]
        shape = shape or self._declared_shape(count)
        self.classes_, self.image_shape_, self._start = classes, shape, seed
        self._shape = (count,) if shape is None else shape
        self.mean_ = self.scale_ = None
        if shape is None:
            self.mean_ = samples.x.mean(axis=0, dtype=np.float64)
            scale = samples.x.std(axis=0, dtype=np.float64)
            self.scale_ = np.where(scale > 0, scale, 1.0)
        if self.weights is not None:
            if shape is None:
                raise ArgumentError("weights are of networks for images; give image_shape=(height, width, channels)")
            if self.model is not None:
                raise ArgumentError("weights bring their own network; leave out the model")
            self._name = ""
            some = Examples(self._inputs(samples.x), samples.labels, samples.weights)
            if held_out is not None:
                some, _ = hold_out(some, held_out, seed)
            self.model_ = trained_before(self.weights, some, len(classes), seed)
        else:
            self.model_, self._name = new_network(self.model, self._shape, len(classes))
            if shape is None:
                self.model_.preprocessing = Preprocessing("none")
            elif not isinstance(self.model, Network):
                normalize = recipe_of(self._name, shape, len(samples.labels), is_trained=False).normalize
                images = self._inputs(samples.x)
                self.model_.preprocessing = (
                    Preprocessing.of_dataset(images) if normalize == "dataset" else Preprocessing(normalize)
                )
        self.model_.class_names = tuple(map(str, classes.tolist()))

    def _declared_shape(self, count: int) -> Shape | None:
        """Return the shape of the images that rows are; None if they are features."""
        if self.image_shape is None:
            made_for = shape_of(self.model)
            fits = made_for is not None and len(made_for) == 3 and math.prod(made_for) == count
            return made_for if fits else None
        shape = tuple(self.image_shape)
        shape = checked_shape((*shape, 1) if len(shape) == 2 else shape)
        if math.prod(shape) != count:
            raise ShapeError(
                f"images of image_shape={shape} have {math.prod(shape)} numbers, but the samples have {count}"
            )
        return shape

    def _inputs(self, rows: Array) -> Array:
        """Return rows as the network takes them: images, or standardized features."""
        if self.image_shape_ is not None:
            return rows.reshape(len(rows), *self.image_shape_)
        standardized: Array = ((rows - self.mean_) / self.scale_).astype(np.float32)
        return standardized


def _as_rows(X: Any) -> tuple[Any, Shape | None]:
    """Return images as rows, and their shape; anything else unchanged."""
    if not isinstance(X, np.ndarray) or X.ndim not in (3, 4) or not len(X):
        return X, None
    shape = X.shape[1:] if X.ndim == 4 else (*X.shape[1:], 1)
    return X.reshape(len(X), -1), shape


def _optimizer_of(settings: dict[str, Any]) -> Optimizer:
    """Return the optimizer that settings describe, kept from one call of `partial_fit` to the next."""
    given = settings["optimizer"]
    if not isinstance(given, str):
        return given  # type: ignore[no-any-return]
    names = ("lr", "momentum", "weight_decay", "decay_bias_and_norm")
    return optimizer(given, **{name: settings[name] for name in names if settings.get(name) is not None})
