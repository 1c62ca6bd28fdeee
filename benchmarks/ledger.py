"""The ledger: for each kind of machine, the newest measurement of everything.

`docs/benchmarks.json` holds the results, from which a section of `docs/benchmarks.md` is written for each kind. A run
takes the place of what it measures again, and of nothing else, so a section may consist of several runs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from report import TABLES, heading, tables
from rot180.files import write_atomically

DATA = Path(__file__).parents[1] / "docs" / "benchmarks.json"
PAGE = DATA.with_suffix(".md")
_DIGITS = 4
"""Significant digits of the times that are kept."""


def add(result: dict[str, Any]) -> None:
    """Add a run to the data, and write the section of its machine anew."""
    data = json.loads(DATA.read_text("utf-8")) if DATA.exists() else {}
    kind = kind_of(result["machine"])
    data[kind] = merged(data.get(kind, []), rounded(result))
    write_atomically(DATA, (json.dumps(data, indent=1) + "\n").encode())
    write_atomically(PAGE, replaced(PAGE.read_text("utf-8"), kind, data[kind]).encode())


def kind_of(machine: dict[str, Any]) -> str:
    """Return what machines of a kind have in common.

    >>> kind_of({"processor": "AMD EPYC (family 25, model 17)", "cores": 2, "system": "Linux x86_64"})
    'AMD EPYC (family 25, model 17), 2 cores, Linux x86_64'
    """
    return f"{machine['processor']}, {machine['cores']} cores, {machine['system']}"


def merged(runs: list[dict[str, Any]], latest: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the runs of a machine, the latest first, without what it measured again.

    >>> empty = {"works": [], "passes": [], "startup": {}, "launches": None, "memory": None, "peaks": None}
    >>> old = {**empty, "works": [{"name": "a"}, {"name": "b"}], "memory": {"growth": 0}}
    >>> new = {**empty, "works": [{"name": "b"}]}
    >>> [[work["name"] for work in run["works"]] for run in merged([old], new)]
    [['b'], ['a']]
    >>> merged([new], {**empty, "works": [{"name": "b"}]}) == [new]
    True
    """
    kept = []
    for run in runs:
        rest = dict(run)
        for part in ("works", "passes"):
            again = {found["name"] for found in latest[part]}
            rest[part] = [found for found in run[part] if found["name"] not in again]
        rest["startup"] = {name: found for name, found in run["startup"].items() if name not in latest["startup"]}
        for part in ("launches", "memory", "peaks"):
            rest[part] = None if latest[part] is not None else run[part]
        if any(rest[part] for part in ("works", "passes", "startup", "launches", "memory", "peaks")):
            kept.append(rest)
    return [latest, *kept]


def rounded(value: Any) -> Any:
    """Return results with as many digits as mean something.

    >>> rounded({"seconds": [0.123456, 2]})
    {'seconds': [0.1235, 2]}
    """
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    return [rounded(each) for each in value] if isinstance(value, list) else value


def section(kind: str, runs: list[dict[str, Any]]) -> str:
    """Return the section of a kind of machine."""
    lines = [f"## {kind}"]
    for run in runs:
        lines += ["", f"### {run['date']}, commit {run['commit']}", ""]
        lines += [f"- {line}" for line in heading(run).splitlines()]
        for name, rows in tables(run).items():
            columns = TABLES[name]
            lines += ["", "| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
            lines += ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "/").replace("\n", " ")


def replaced(page: str, kind: str, runs: list[dict[str, Any]]) -> str:
    """Put the section of a kind of machine in the place of the one it has, or before all others."""
    head, *sections = page.split("\n## ")
    made = section(kind, runs).removeprefix("## ").rstrip()
    places = [i for i, one in enumerate(sections) if one.partition("\n")[0] == kind]
    rest = [one.rstrip() for one in sections]
    if places:
        rest[places[0]] = made
    else:
        rest.insert(0, made)
    return "\n\n## ".join([head.rstrip(), *rest]) + "\n"
