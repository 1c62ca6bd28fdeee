"""The results of a check, gradient by gradient, and how they are printed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rot180.inside.gradient_check import GradientCheck
from rot180.inside.mistakes import Mistake
from rot180.language import display_width, pad, translate
from rot180.language.width import wrap

__all__ = ["UNDECIDED", "WRONG", "ArrayCheck", "CheckReport", "PartCheck"]

RIGHT, WRONG, UNDECIDED = "right", "WRONG", "undecided"
WIDTH = 80


@dataclass(frozen=True)
class ArrayCheck:
    """One gradient of one part.

    Attributes
    ----------
    name : str
        `x` for the part's input, else the parameter.
    result : GradientCheck or None
        None if nothing could be compared.
    problem : str
        The reason: a wrong shape, an exception.
    mistake : Mistake or None
        The known mistake that a wrong gradient looks like.
    """

    name: str
    result: GradientCheck | None
    problem: str = ""
    mistake: Mistake | None = None

    @property
    def verdict(self) -> str:
        """`right`, `WRONG`, or `undecided` if every point was at a kink."""
        if self.problem:
            return WRONG
        if self.result is None or not self.result.checked:
            return UNDECIDED
        return RIGHT if self.result.max_error <= self.result.tolerance else WRONG


@dataclass(frozen=True)
class PartCheck:
    """A layer, the loss, or the whole network.

    Attributes
    ----------
    name : str
        `conv1`, `loss`, `network`.
    layer : str
        Its description.
    arrays : tuple of ArrayCheck
    """

    name: str
    layer: str
    arrays: tuple[ArrayCheck, ...]

    @property
    def passed(self) -> bool:
        """Whether none of its gradients is wrong."""
        return all(array.verdict != WRONG for array in self.arrays)


@dataclass(frozen=True)
class CheckReport:
    """The results of checking a network.

    Attributes
    ----------
    subject : str
        What was checked.
    parts : tuple of PartCheck
    """

    subject: str
    parts: tuple[PartCheck, ...]

    @property
    def passed(self) -> bool:
        """Whether no gradient is wrong."""
        return all(part.passed for part in self.parts)

    @property
    def blamed(self) -> tuple[str, ...]:
        """The layers with a wrong gradient, and the loss; the network as a whole only if none of its parts is wrong."""
        wrong = [part.name for part in self.parts if not part.passed]
        return tuple(name for name in wrong if name != "network") or tuple(wrong)

    @property
    def mistakes(self) -> dict[str, str]:
        """The mistake that each wrong gradient looks like, by `conv1.x` or `conv1.weight`; empty if unknown."""
        return {
            f"{part.name}.{array.name}": str(array.mistake) if array.mistake else array.problem
            for part in self.parts
            for array in part.arrays
            if array.verdict == WRONG and part.name in self.blamed
        }

    def to_dict(self) -> dict[str, Any]:
        """Return everything as lists, numbers and strings, ready for JSON."""
        return {
            "subject": self.subject,
            "passed": self.passed,
            "blamed": list(self.blamed),
            "parts": [
                {
                    "name": part.name,
                    "layer": part.layer,
                    "gradients": [_values(array) for array in part.arrays],
                }
                for part in self.parts
            ],
        }

    def __str__(self) -> str:
        """Return the table of all gradients, followed by what is wrong."""
        heads = ("part", "gradient", "largest error", "at", "checked", "left out", "")
        rows: list[tuple[str, ...]] = [tuple(map(translate, heads))]
        for part in self.parts:
            name = part.name
            for array in part.arrays:
                rows.append((name, *_row(array)))
                name = ""
        widths = [max(display_width(row[column]) for row in rows) for column in range(7)]
        right_aligned = (2, 4, 5)
        lines = [
            "  ".join(
                pad(cell, width, right=column in right_aligned)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
        return "\n".join([*lines, "", *self._verdict()])

    def _verdict(self) -> Iterator[str]:
        arrays = [array for part in self.parts for array in part.arrays]
        left_out = sum(array.result.skipped for array in arrays if array.result)
        if self.passed:
            kinks = f"; {left_out} points left out at kinks" if left_out else ""
            yield f"every gradient is right, in float64{kinks}"
            undecided = [f"{p.name}.{a.name}" for p in self.parts for a in p.arrays if a.verdict == UNDECIDED]
            if undecided:
                yield f"undecided, all at kinks: {', '.join(undecided)}"
            return
        for part in self.parts:
            if part.name not in self.blamed:
                continue
            for array in part.arrays:
                if array.verdict == WRONG:
                    wrong = f"{part.name}: the gradient of {array.name} is wrong ({_evidence(array)})"
                    yield from wrap(translate(wrong), WIDTH, indent="  ")
                    if array.mistake or not array.problem:
                        says = "it looks like no known mistake"
                        if array.mistake:
                            says = f"it looks like: {array.mistake.name}; {array.mistake.advice}"
                        yield from wrap(translate(says), WIDTH, first="  ", indent="    ")
                    if array.mistake and array.mistake.where:
                        where = f"in the formula: {array.mistake.where}"
                        yield from wrap(translate(where), WIDTH, first="  ", indent="    ")
        if self.blamed == ("network",):
            yield "  each layer and the loss are right individually; check how they are connected"


def _values(array: ArrayCheck) -> dict[str, Any]:
    result = array.result
    values: dict[str, Any] = {"name": array.name, "verdict": array.verdict, "problem": array.problem}
    values["mistake"] = array.mistake.name if array.mistake else None
    values["advice"] = array.mistake.advice if array.mistake else None
    values["where"] = array.mistake.where or None if array.mistake else None
    if result is not None:
        values |= {
            "max_error": result.max_error,
            "tolerance": result.tolerance,
            "worst_index": result.worst_index,
            "claimed": result.claimed,
            "measured": result.measured,
            "checked": result.checked,
            "left_out": result.skipped,
        }
    return values


def _row(array: ArrayCheck) -> tuple[str, ...]:
    result, verdict = array.result, translate(array.verdict)
    if result is None:
        return array.name, "-", "", "0", "0", verdict
    if not result.checked:
        return array.name, "-", "", "0", str(result.skipped), verdict
    at = translate("a direction") if result.worst_index is None else f"[{','.join(map(str, result.worst_index))}]"
    return array.name, f"{result.max_error:.1e}", at, str(result.checked), str(result.skipped), verdict


def _evidence(array: ArrayCheck) -> str:
    if array.problem or array.result is None:
        return array.problem
    at = "along a direction" if array.result.worst_index is None else f"at {list(array.result.worst_index)}"
    return f"{at}: claimed {array.result.claimed:.6g}, measured {array.result.measured:.6g}"
