"""Remedies for each finding of `health`: only those that the training has not used already.

What was used is read from the network itself, the history, and the settings of the training, which the caller passes as
stored in a run's configuration. A remedy for which `rot180 train` has an option names it, and can be used as printed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rot180.nn.activation import Sigmoid, Tanh
from rot180.nn.dropout import Dropout
from rot180.nn.joins import Multiply
from rot180.nn.network import Network
from rot180.training.history import History

__all__ = ["Adviser", "Remedy", "advice"]

DECAY = {"adamw": 0.1, "sgd": 1e-3}
"""A weight decay to try if there is none or the usual one; 1e-4 for the other optimizers."""


@dataclass(frozen=True)
class Remedy:
    """One remedy to try.

    Attributes
    ----------
    text : str
        A short description; the option itself if there is one.
    options : tuple of str
        Arguments to add to the training command, replacing those of the same name; empty if there is no such option.
    """

    text: str
    options: tuple[str, ...] = ()


FOUND_RATE = Remedy("the learning rate that rot180 find-lr suggests")

STRONG = ("randaugment", "trivialaugment", "mixup", "cutmix")
"""Augmentation after which nothing stronger is suggested."""


@dataclass(frozen=True)
class Adviser:
    """The known facts about a training, and the remedies that follow from them.

    Attributes
    ----------
    model : Network
    history : History or None
    settings : mapping
        As in a run's configuration: `optimizer`, `lr`, `augment`, `early_stopping`, ...; empty if unknown.
    """

    model: Network
    history: History | None
    settings: Mapping[str, Any]

    def overfitting(self) -> Iterable[Remedy]:
        """Against overfitting."""
        limit = self.settings.get("limit")
        yield Remedy(f"all training images instead of the first {limit:,}" if limit else "more images")
        augment = str(self.settings.get("augment"))
        if self._lacks("augment") and len(self.model.input_shape) == 3:
            yield _option("--augment", self._augmentation())
        elif self.model.input_shape[2:] == (3,) and not any(word in augment for word in STRONG):
            yield _option("--augment", f"{augment},randaugment")
        if not any(isinstance(layer, Dropout) for layer in self.model.layers):
            notation = self._with_dropout()
            yield _option("--model", notation, "dropout before the last layer") if notation else Remedy("dropout")
        if self._lacks("weight_decay"):
            yield self._weight_decay()
        if self._lacks("label_smoothing") and self.model.layers[-1].output_kind == "logits":
            yield _option("--label-smoothing", "0.1")
        stopped = self.history is not None and (self.history.stopped == "early_stopping" or self.history.restored_epoch)
        if self._lacks("early_stopping") and not stopped:
            validation = ("--validation", "0.1") if self._lacks("validation") and not self._validated() else ()
            options = ("--early-stopping", "3", *validation)
            yield Remedy(" ".join(options), options)
        yield Remedy("fewer parameters")

    def too_high(self) -> Iterable[Remedy]:
        """Against too high a learning rate."""
        yield self._rate(0.1)
        if self._lacks("warmup"):
            yield _option("--warmup", "0.05")
        yield from self._clipping()
        yield FOUND_RATE

    def too_low(self) -> Iterable[Remedy]:
        """Against too low a learning rate."""
        yield self._rate(10)
        epochs = self.settings.get("epochs")
        yield _option("--epochs", str(2 * epochs)) if isinstance(epochs, int) else Remedy("more epochs")
        yield FOUND_RATE

    def small_updates(self) -> Iterable[Remedy]:
        """Against updates that hardly change the weights."""
        yield self._rate(10)
        if self.settings.get("optimizer") == "sgd":
            yield _option("--optimizer", "adam")

    def dead(self) -> Iterable[Remedy]:
        """Against units that output zero for every image."""
        yield self._rate(0.1)
        if self._lacks("warmup"):
            yield _option("--warmup", "0.05")
        notation = re.sub(r"(?<![a-z])relu\b", "leakyrelu", self.model.notation)
        if notation != self.model.notation:
            yield _option("--model", notation, "leakyrelu")
        yield from self._around_zero()
        yield Remedy("fewer units")

    def without_scale(self) -> Iterable[Remedy]:
        """Against channels whose scale in a normalization is near zero."""
        if self.settings.get("decay_bias_and_norm") is not False and not self._lacks("weight_decay"):
            yield Remedy("--no-decay-bias-and-norm", ("--no-decay-bias-and-norm",))
        yield self._rate(0.1)
        yield Remedy("fewer channels")

    def saturated(self) -> Iterable[Remedy]:
        """Against saturated sigmoid and tanh units."""
        yield from self._relu()
        yield from self._around_zero()
        yield self._rate(0.1)

    def vanishing(self) -> Iterable[Remedy]:
        """Against deltas that vanish in the backward pass."""
        yield from self._relu()
        yield Remedy("fewer layers")
        if "init=he_normal" not in self.model.notation:
            yield Remedy("another initializer (init=he_normal)")

    def exploding(self) -> Iterable[Remedy]:
        """Against deltas that grow in the backward pass."""
        yield self._rate(0.1)
        yield from self._clipping()
        yield Remedy("smaller initial weights")

    def imbalance(self) -> Iterable[Remedy]:
        """Against classes with very different numbers of images."""
        if self._lacks("class_weights"):
            yield _option("--class-weights", "balanced")
        yield Remedy("more images of the rare class")
        yield Remedy("checking the confusion matrix")

    def _lacks(self, name: str) -> bool:
        return self.settings.get(name) in (None, 0, False, "", "none")

    def _validated(self) -> bool:
        return self.history is not None and any(epoch.validation_loss is not None for epoch in self.history.epochs)

    def _rate(self, times: float) -> Remedy:
        highest = max(self.history.learning_rates, default=0.0) if self.history else self.settings.get("lr") or 0.0
        if not highest:
            return Remedy("a lower learning rate" if times < 1 else "a higher learning rate")
        return _option("--lr", f"{highest * times:.1g}")

    def _augmentation(self) -> str:
        """Return the augmentation: flips for photographs, and shifts by 1/14 of the size for all."""
        height, width, channels = self.model.input_shape
        shift = f"shift:{max(1, min(height, width) // 14)}"
        return f"{shift},flip" if channels == 3 else shift

    def _with_dropout(self) -> str:
        """Return the notation with dropout before the last fully connected layer; empty if there is none."""
        match = re.search(r"(.*) (fc\d\S*)([^>]*)$", self.model.notation)
        if match is None or any(bracket in match[3] for bracket in ")]"):  # in a branch
            return ""
        before, last, after = match.groups()
        if before.endswith(">"):
            before = before.removesuffix(">").rstrip()
            # The layers below are those before the last `>`; after the input's size a section begins.
            return f"{before} {'> ' if '>' not in before else ''}dropout0.5 > {last}{after}"
        return f"{before} dropout0.5 {last}{after}"

    def _weight_decay(self) -> Remedy:
        optimizer = str(self.settings.get("optimizer") or "adam")
        if optimizer == "adam":  # which evens out its own decay
            return Remedy("--optimizer adamw --weight-decay 0.05", ("--optimizer", "adamw", "--weight-decay", "0.05"))
        return _option("--weight-decay", f"{DECAY.get(optimizer, 1e-4):g}")

    def _clipping(self) -> Iterable[Remedy]:
        if self._lacks("clip_norm"):
            yield _option("--clip-norm", "1")

    def _around_zero(self) -> Iterable[Remedy]:
        if self.settings.get("normalize") not in ("dataset", "image") and self.model.preprocessing.kind not in (
            "dataset",
            "image",
        ):
            yield _option("--normalize", "dataset", "inputs around zero: --normalize dataset")

    def _relu(self) -> Iterable[Remedy]:
        nodes = self.model.nodes
        gates = {node.reads[1] for node in nodes if isinstance(node.layer, Multiply)}
        squashing = {place for place, node in enumerate(nodes[:-1]) if isinstance(node.layer, (Sigmoid, Tanh))}
        if squashing & gates and squashing - gates:
            yield Remedy("relu")
        elif squashing - gates:
            head, _, rest = self.model.notation.rpartition(" ")
            notation = re.sub(r"\b(sigmoid|tanh)\b", "relu", f"{head} ") + rest
            yield _option("--model", notation, "relu")


def _option(name: str, value: str, text: str = "") -> Remedy:
    return Remedy(text or f"{name} {value}", (name, value))


def advice(remedies: Iterable[Remedy]) -> tuple[str, tuple[str, ...]]:
    """Return the remedies as one text, and the options of the first remedy that has any."""
    found = list(remedies)
    texts = [remedy.text for remedy in found]
    said = " or ".join(texts) if len(texts) < 3 else f"{', '.join(texts[:-1])}, or {texts[-1]}"
    return f"try {said}", next((remedy.options for remedy in found if remedy.options), ())
