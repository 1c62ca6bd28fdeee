"""The ledger of one number: what was summed, from which cells, and whether it adds up."""

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
        Where it stands, as one can ask for it: `conv1.output[7,10,4]`; empty for a constant.
    name : str
        What a constant is: `gate`, `1/4`, `mask`.
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
        The entry's value where it is no plain product.
    formula : str
        How the amount comes from the factors.
    slopes : tuple of float
        The amount's derivative with respect to each factor, where it is no plain product.
    pinned : bool
        Shown however small it is, and last: a bias.
    """

    factors: tuple[Factor, ...]
    amount: float | None = None
    formula: str = ""
    slopes: tuple[float, ...] = ()
    pinned: bool = False

    @property
    def value(self) -> float:
        """What it adds, in float64: of float32 factors a product of two is exact."""
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
    """A number worked out on the way to the entries, such as a moment of Adam."""

    name: str
    formula: str
    value: float


@dataclass(frozen=True)
class Account:
    """What a layer says of one of its numbers; with the stored value it becomes a ledger.

    Attributes
    ----------
    rule : str
        What is done, in a line.
    terms : tuple of Term
    steps : tuple of Step
    notes : tuple of str
        What else to know: padding, rotation.
    roundings : int
        Roundings of float arithmetic beyond one per entry.
    grain : float
        What rounding may change besides, in the unit of the number.
    passage : (str, str) or None
        Where a number is only handed on: why (`gate open`), and the cell it comes from (empty where it ends).
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
    """One number, taken apart.

    Attributes
    ----------
    cell : str
        The number that was asked for.
    stored : float
        The number that the network computed, in its own float type.
    account : Account
        The entries that make it.
    epsilon : float
        Of the network's float type.
    ways : dict of str to tuple of str
        For some source cells, how the number in them came there: through gates and pool winners.
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
        """The entries added up again, without rounding on the way."""
        return math.fsum(term.value for term in self.terms)

    @property
    def difference(self) -> float:
        """Stored value less the total: what rounding in the network's float type made."""
        return self.stored - self.total

    @property
    def allowed(self) -> float:
        """The largest difference that rounding can make: n * epsilon * the sum of the entries' sizes."""
        size = math.fsum(abs(term.value) for term in self.terms)
        return self.epsilon * (len(self.terms) + self.account.roundings) * size + self.account.grain

    @property
    def adds_up(self) -> bool:
        """Whether the difference is rounding."""
        return abs(self.difference) <= self.allowed

    @property
    def sources(self) -> dict[str, float]:
        """The cells it was made of and their values."""
        return {factor.cell: factor.value for term in self.terms for factor in term.factors if factor.cell}

    def slope(self, cell: str) -> float:
        """Return by how much the number changes per unit of change of a source cell, all others held."""
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
