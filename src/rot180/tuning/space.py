"""What a study searches: a range for each number, a list for each choice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from rot180.data import Dataset
from rot180.errors import ArgumentError, did_you_mean
from rot180.nn.models import model as make_model
from rot180.nn.width import widened
from rot180.runs.prepare import Prepared, subject
from rot180.runs.settings import RunSettings, optimizer_of

SEARCHED = {"lr": "lr", "weight-decay": "weight_decay", "width": "width", "augment": "augment"}
"""What can be searched: the option of `rot180 train`, or `width`, and the name of the choice."""

CALLED = {"lr": "learning rate", "weight_decay": "weight decay", "width": "width", "augment": "augmentation"}
"""The names of the choices in words."""

WIDTHS = (0.5, 1.0, 2.0)
"""Factors of the number of channels."""

LOWEST_DECAY = 1e-6
"""Where the range of the weight decay begins if the recipe has none: as good as none."""

Choice = dict[str, Any]
"""What a trial tries, by name."""


@dataclass(frozen=True)
class Space:
    """What is searched; None for what is not.

    Attributes
    ----------
    lr, weight_decay : (lowest, highest) or None
        Searched on a logarithmic scale.
    width : tuple of float or None
        Factors of the number of channels.
    augment : tuple of str or None
        As in `fit`.
    """

    lr: tuple[float, float] | None = None
    weight_decay: tuple[float, float] | None = None
    width: tuple[float, ...] | None = None
    augment: tuple[str, ...] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of what is searched."""
        return tuple(name for name, values in asdict(self).items() if values is not None)


def searched(given: RunSettings, search: Iterable[str] | None) -> tuple[str, ...]:
    """Return the names of what is searched: what is asked for, by default everything that is not given.

    Raises
    ------
    ArgumentError
        A name is unknown, a setting is both given and to be searched, or nothing is left.

    Examples
    --------
    >>> searched(RunSettings(lr=0.1), None), searched(RunSettings(), ["lr", "width"])
    (('weight_decay', 'width', 'augment'), ('lr', 'width'))
    """
    asked = list(SEARCHED) if search is None else list(search)
    for name in asked:
        if name not in SEARCHED:
            raise ArgumentError(f"cannot search {name!r}{did_you_mean(name, SEARCHED)}")
    chosen = {SEARCHED[name]: name for name in SEARCHED if name in asked}
    held = [name for name in chosen if getattr(given, name, None) is not None]
    if held and search is not None:
        option = chosen[held[0]]
        raise ArgumentError(f"{option} is both given and to be searched; leave out --{option}, or search the others")
    names = tuple(name for name in chosen if name not in held)
    if not names:
        raise ArgumentError("nothing is left to search; leave out --lr, --weight-decay or --augment")
    return names


def space_around(prepared: Prepared, names: Iterable[str]) -> Space:
    """Return what is searched around the settings of a recipe.

    Parameters
    ----------
    prepared : Prepared
        With the recipe's settings.
    names : iterable of str
        From `searched`.
    """
    names, settings = set(names), prepared.settings
    lr, augment = settings.lr or 1e-3, settings.augment or "none"
    chosen = optimizer_of(asdict(settings))
    decay = getattr(chosen, "weight_decay", 0.0)  # the optimizer's own, if the recipe has none
    if "width" in names:
        for factor in WIDTHS:
            widened(prepared.model, factor)  # or the error says why not
    return Space(
        lr=(_plain(lr / 10), _plain(lr * 10)) if "lr" in names else None,
        weight_decay=(_plain(decay / 100 or LOWEST_DECAY), _plain(decay * 10 or 0.01))
        if "weight_decay" in names
        else None,
        width=WIDTHS if "width" in names else None,
        augment=tuple(dict.fromkeys((augment, *augmentations(prepared.dataset)))) if "augment" in names else None,
    )


def augmentations(dataset: Dataset) -> tuple[str, ...]:
    """Return augmentations that suit what the images show, from none to strong; pixels grow with the images.

    >>> from rot180.data import load_data
    >>> augmentations(load_data("digits"))
    ('none', 'shift:1', 'rotate:10,scale:0.1,shift:1')
    """
    side = min(dataset.image_shape[:2])
    shift, crop = max(1, round(side / 14)), max(1, round(side / 8))
    if subject(dataset) == "digits":
        return "none", f"shift:{shift}", f"rotate:10,scale:0.1,shift:{shift}"
    if subject(dataset) == "photographs":
        flipped = f"crop:{crop},border:reflect,flip"
        return "none", "flip", flipped, f"{flipped},cutout:{2 * crop}", f"{flipped},randaugment"
    return "none", f"shift:{shift}", f"crop:{crop},border:reflect"


def own_choice(settings: RunSettings, space: Space) -> Choice:
    """Return the choice that stands for the recipe's own settings, moved into the ranges."""
    found: Choice = {}
    for name in ("lr", "weight_decay"):
        if (limits := getattr(space, name)) is not None:
            found[name] = min(max(getattr(settings, name) or 0.0, limits[0]), limits[1])
    if space.width is not None:
        found["width"] = 1.0 if 1.0 in space.width else space.width[0]
    if space.augment is not None:
        found["augment"] = settings.augment if settings.augment in space.augment else space.augment[0]
    return found


def suggested(trial: Any, space: Space) -> Choice:
    """Return what Optuna suggests for a trial; numbers are rounded, so that they can be typed again."""
    found: Choice = {}
    for name in ("lr", "weight_decay"):
        if (limits := getattr(space, name)) is not None:
            found[name] = _plain(trial.suggest_float(name, *limits, log=True))
    for name in ("width", "augment"):
        if (values := getattr(space, name)) is not None:
            found[name] = trial.suggest_categorical(name, list(values))
    return found


def applied(settings: RunSettings, choice: Mapping[str, Any], network: str) -> RunSettings:
    """Return the settings of a trial.

    Parameters
    ----------
    settings : RunSettings
        Complete settings.
    choice : mapping
    network : str
        The notation of the network of width 1.
    """
    values = dict(choice)
    width = values.pop("width", 1.0)
    if width != 1:
        values["model"] = widened(make_model(network), width).notation
    return replace(settings, **values)


def _plain(value: float) -> float:
    """Return a number with three digits.

    >>> _plain(0.00123456)
    0.00123
    """
    return float(f"{value:.3g}")
