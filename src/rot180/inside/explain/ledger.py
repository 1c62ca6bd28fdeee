"""The ledger of one number: the entries of its sum, the cells they come from, and whether they add up."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Factor:
    """One number in a product.

    Attributes
    ----------
    value : float
    cell : str
        The cell it comes from, as a user writes it: `conv1.output[7,10,4]`; empty for a constant.
    name : str
        The name of a constant: `gate`, `1/4`, `mask`.
    """

    value: float
    cell: str = ""
    name: str = ""

    @property
    def label(self) -> str:
        """The cell, or the constant's name."""
        return self.cell or self.name


@dataclass(frozen=True)
class Term:
    """One entry: a product of factors, or a function of them where `amount` is given.

    Attributes
    ----------
    factors : tuple of Factor
    amount : float or None
        The entry's value, if it is not a plain product.
    formula : str
        How the amount is computed from the factors.
    slopes : tuple of float
        The amount's derivative with respect to each factor, if it is not a plain product.
    pinned : bool
        Whether to show the entry however small it is, and last, as a bias is.
    """

    factors: tuple[Factor, ...]
    amount: float | None = None
    formula: str = ""
    slopes: tuple[float, ...] = ()
    pinned: bool = False

    @property
    def value(self) -> float:
        """The amount that the entry adds, in float64; the product of two float32 factors is exact."""
        return math.prod(factor.value for factor in self.factors) if self.amount is None else self.amount

    def slope(self, cell: str) -> float:
        """Return the derivative of the entry with respect to a cell."""
        if self.slopes:
            return sum(slope for factor, slope in zip(self.factors, self.slopes, strict=True) if factor.cell == cell)
        total = 0.0
        for k, factor in enumerate(self.factors):
            if factor.cell == cell:
                total += math.prod(other.value for i, other in enumerate(self.factors) if i != k)
        return total


@dataclass(frozen=True)
class Step:
    """An intermediate result on the way to the entries, such as a moment of Adam."""

    name: str
    formula: str
    value: float


@dataclass(frozen=True)
class Account:
    """A layer's explanation of one of its numbers; together with the stored value it becomes a ledger.

    Attributes
    ----------
    rule : str
        The computation, in one line.
    terms : tuple of Term
    steps : tuple of Step
    notes : tuple of str
        Additional remarks: padding, rotation.
    roundings : int
        The number of roundings beyond one per entry.
    grain : float
        The additional error that rounding may cause, in the unit of the number.
    passage : (str, str) or None
        If the number is only passed on: why (`gate open`), and the cell it comes from (empty if it ends here).
    """

    rule: str
    terms: tuple[Term, ...]
    steps: tuple[Step, ...] = ()
    notes: tuple[str, ...] = ()
    roundings: int = 0
    grain: float = 0.0
    passage: tuple[str, str] | None = None


@dataclass(frozen=True)
class Ledger:
    """One number with the entries that it is the sum of.

    Attributes
    ----------
    cell : str
        The number explained.
    stored : float
        The number that the network computed, in its own float type.
    account : Account
        Its entries.
    epsilon : float
        The machine epsilon of the network's float type.
    ways : dict of str to tuple of str
        For some source cells, how their number got there, through gates and winners of pooling.
    """

    cell: str
    stored: float
    account: Account
    epsilon: float = float(np.finfo(np.float32).eps)

    @property
    def terms(self) -> tuple[Term, ...]:
        """The entries, in the order of the window."""
        return self.account.terms

    @property
    def total(self) -> float:
        """The sum of the entries, without intermediate rounding."""
        return math.fsum(term.value for term in self.terms)

    @property
    def difference(self) -> float:
        """The stored value minus the total: the effect of rounding in the network's float type."""
        return self.stored - self.total

    @property
    def allowed(self) -> float:
        """The largest difference that rounding can cause: n * epsilon * the sum of the entries' magnitudes."""
        size = math.fsum(abs(term.value) for term in self.terms)
        return self.epsilon * (len(self.terms) + self.account.roundings) * size + self.account.grain

    @property
    def adds_up(self) -> bool:
        """Whether the difference is no larger than rounding allows."""
        return abs(self.difference) <= self.allowed

    @property
    def sources(self) -> dict[str, float]:
        """The cells it was computed from, with their values."""
        return {factor.cell: factor.value for term in self.terms for factor in term.factors if factor.cell}

    def slope(self, cell: str) -> float:
        """Return the derivative of the number with respect to a source cell, all others held fixed."""
        return math.fsum(term.slope(cell) for term in self.terms)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as lists, numbers and strings, ready for JSON."""
        return {
            "cell": self.cell,
            "stored": self.stored,
            "total": self.total,
            "difference": self.difference,
            "allowed": self.allowed,
            "adds_up": self.adds_up,
            "rule": self.account.rule,
            "notes": list(self.account.notes),
            "steps": [{"name": s.name, "formula": s.formula, "value": s.value} for s in self.account.steps],
            "terms": [
                {
                    "value": term.value,
                    "formula": term.formula,
                    "factors": [{"cell": f.cell, "name": f.name, "value": f.value} for f in term.factors],
                }
                for term in self.terms
            ],
        }
