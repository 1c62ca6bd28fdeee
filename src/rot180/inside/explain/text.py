"""A ledger as text of 80 columns, or as Markdown. The printed numbers add up digit by digit."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rot180.inside.explain.account import way
from rot180.inside.explain.ledger import Ledger, Term
from rot180.inside.explain.trace import Trace
from rot180.language import translate
from rot180.language.width import wrap

SHOWN = 8
"""The number of entries shown of a long ledger, the largest ones."""

WIDTH = 80


@dataclass(frozen=True)
class Line:
    """One line of the sum: an amount in units of the last printed digit, and its description."""

    units: int
    says: str
    way: str = ""


@dataclass(frozen=True)
class Layout:
    """The lines of a ledger and the number of decimals they are printed with."""

    decimals: int
    lines: tuple[Line, ...]
    total: int
    stored: int

    def amount(self, units: int) -> str:
        """Format an amount."""
        return f"{units / 10**self.decimals:+.{self.decimals}f}" if self.decimals < 16 else f"{units}e-{self.decimals}"


def lay_out(ledger: Ledger, trace: Trace | None = None, *, shown: int | None = SHOWN) -> Layout:
    """Choose the entries to show, and round so that the printed lines sum to the printed total.

    The entries not shown become one line, which also absorbs the rounding of those shown.

    Parameters
    ----------
    ledger : Ledger
    trace : Trace, optional
        If given, each source shown says how its number got there.
    shown : int or None
        How many of the largest entries to show; None for all, in the order of the window.
    """
    largest = max((abs(term.value) for term in ledger.terms), default=0.0) or abs(ledger.stored) or 1.0
    decimals = min(max(8 - math.floor(math.log10(largest)) - 1, 0), 60)
    scale = 10**decimals
    total, stored = round(ledger.total * scale), round(ledger.stored * scale)
    pinned = [term for term in ledger.terms if term.pinned]
    entries = [term for term in ledger.terms if not term.pinned]
    if shown is None or len(entries) <= shown + 1:
        chosen = entries
    else:
        chosen = sorted(entries, key=lambda term: -abs(term.value))[:shown]
    lines = [Line(round(term.value * scale), _says(term), _ways(term, trace)) for term in chosen]
    more = len(entries) - len(chosen)
    last = [Line(round(term.value * scale), _says(term)) for term in pinned]
    rest = total - sum(line.units for line in (*lines, *last))
    if more:
        lines.append(Line(rest, f"{more:,} more, together"))
    elif rest:
        last.append(Line(rest, "digits not printed"))
    return Layout(decimals, (*lines, *last), total, stored)


def text(ledger: Ledger, trace: Trace | None = None, *, shown: int | None = SHOWN) -> str:
    """Return the ledger as text.

    Parameters
    ----------
    ledger, trace, shown
        As in `lay_out`.

    Examples
    --------
    >>> import numpy as np, rot180
    >>> from rot180.inside.explain import explain
    >>> model = rot180.network("1x2x1 > fc2:nobias").build(seed=0)
    >>> model.parameters["fc1.weight"][:] = [[0.5, 1], [0.25, 2]]
    >>> print(text(explain(model, np.array([[1.0, 2.0]]), "fc1.output[0]")))
    fc1.output[0] = 1
    fully connected: input times weight, 2 products
    <BLANKLINE>
      +0.50000000  1 flatten1.output[0] * 0.5 fc1.weight[0,0]
      +0.50000000  2 flatten1.output[1] * 0.25 fc1.weight[1,0]
      ===========
      +1.00000000  sum
      +1.00000000  stored by the network
      +0.0e+00     difference; rounding explains up to 2.4e-07
    """
    layout = lay_out(ledger, trace, shown=shown)
    account = ledger.account
    parts = [f"{ledger.cell} = {ledger.stored + 0.0:.9g}", *_wrap(account.rule)]
    for note in account.notes:
        parts += _wrap(note, "  ", "- ")
    parts.append("")
    steps = account.steps
    if steps:
        wide = max(len(f"{step.value + 0.0:.7g}") for step in steps)
        for step in steps:
            parts += _entry(
                f"{step.value + 0.0:.7g}".rjust(wide),
                " ".join(filter(None, (translate(step.name), _equals(translate(step.formula))))),
            )
        parts.append("")
    amounts = [layout.amount(line.units) for line in layout.lines]
    total, stored = layout.amount(layout.total), layout.amount(layout.stored)
    wide = max(len(amount) for amount in (*amounts, total, stored))
    for amount, line in zip(amounts, layout.lines, strict=True):
        parts += _entry(amount.rjust(wide), line.says)
        if line.way:
            parts += _wrap(line.way, " " * (wide + 6), " " * (wide + 4))
    parts.append("  " + "=" * wide)
    parts += _entry(total.rjust(wide), "sum")
    parts += _entry(stored.rjust(wide), "stored by the network")
    parts += _entry(f"{ledger.difference + 0.0:+.1e}".ljust(wide), _verdict(ledger))
    return "\n".join(line.rstrip() for line in parts)


def markdown(ledger: Ledger, trace: Trace | None = None, *, shown: int | None = SHOWN) -> str:
    """Return the ledger as Markdown: a heading, the steps and the sum as tables."""
    layout = lay_out(ledger, trace, shown=shown)
    account = ledger.account
    parts = [f"### `{ledger.cell}` = {ledger.stored + 0.0:.9g}", "", translate(account.rule) + translate("."), ""]
    parts += [f"- {translate(note)}" for note in account.notes] + ([""] if account.notes else [])
    if account.steps:
        parts += [_row("step", "value", "how"), "|---|---:|---|"]
        parts += [_row(step.name, f"{step.value:.7g}", step.formula) for step in account.steps] + [""]
    parts += [_row("amount", "from", "on the way"), "|---:|---|---|"]
    parts += [_row(layout.amount(line.units), line.says, line.way) for line in layout.lines]
    parts += [
        f"| **{layout.amount(layout.total)}** | **{translate('sum')}** | |",
        _row(layout.amount(layout.stored), "stored by the network", ""),
        _row(f"{ledger.difference + 0.0:+.1e}", _verdict(ledger), ""),
    ]
    return "\n".join(parts)


def _row(*cells: str) -> str:
    return f"| {' | '.join(map(translate, cells))} |"


def _verdict(ledger: Ledger) -> str:
    """Return whether rounding explains the difference between the stored value and the sum."""
    excess = "" if ledger.adds_up else "; MORE THAN ROUNDING"
    return f"difference; rounding explains up to {ledger.allowed:.1e}{excess}"


def _says(term: Term) -> str:
    """Return an entry's factors as text."""
    if term.formula:
        return term.formula
    return " * ".join(
        factor.label if factor.name and not factor.cell and factor.name == f"{factor.value:g}" else
        f"{factor.value + 0.0:.7g} {factor.label}" for factor in term.factors
    )  # fmt: skip


def _ways(term: Term, trace: Trace | None) -> str:
    """Return how the numbers of an entry got into their cells."""
    if trace is None or term.formula:
        return ""
    found = []
    for factor in term.factors:
        if factor.cell:
            chain = [
                f"{translate(reason)}: {cell}" if cell else translate(reason)
                for reason, cell in way(trace, factor.cell)
            ]
            if chain:
                found.append(" < ".join(["< " + chain[0], *chain[1:]]))
    return "; ".join(found)


def _equals(formula: str) -> str:
    return f"= {formula}" if formula else ""


def _entry(amount: str, says: str) -> list[str]:
    return _wrap(says, " " * (len(amount) + 6), f"  {amount}  ")


def _wrap(line: str, indent: str = "  ", first: str = "") -> list[str]:
    return wrap(translate(line), WIDTH, first=first, indent=indent)
