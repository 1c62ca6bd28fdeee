"""Every text of the package that a person may be shown, found in its source.

    python tests/language/texts.py zh       # those without a translation

A text is a string literal with two words beside each other that is no docstring, or an f-string, whose gaps are
numbered. Docstrings count where they are the help of a command.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).resolve().parents[2] / "src" / "rot180"

ALONE = tuple(f"interop/standalone/{name}.py" for name in ("numpy_program", "c_source", "c_text"))
"""Files of programs that run without rot180, and without its catalogs."""

_WORDS = re.compile(r"[A-Za-z]{2,},? [A-Za-z]{2,}|; [a-z]{2,}")
_OURS = {"TypeError", "KeyError", "RuntimeError", "AttributeError", "NotImplementedError"}
"""Exceptions that tell a fault of the program, not the user's."""


def texts() -> dict[str, str]:
    """Return the file that each text stands in, by text."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        where = path.relative_to(SOURCE).as_posix()
        if where.startswith("kernels/") or where in ALONE:
            continue
        for text in _in_tree(ast.parse(path.read_text(encoding="utf-8"))):
            found.setdefault(text, where)
    for text in _help():
        found.setdefault(text, "cli, help")
    return found


def _in_tree(tree: ast.AST) -> Iterator[str]:
    passed_over = {id(node) for node in _not_said(tree)}

    def walk(node: ast.AST) -> Iterator[str]:
        if id(node) in passed_over:
            return
        if isinstance(node, ast.JoinedStr):
            yield from _said(_template(node))
            for value in node.values:
                if isinstance(value, ast.FormattedValue):
                    yield from walk(value.value)
            return
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from _said(node.value)
        for child in ast.iter_child_nodes(node):
            yield from walk(child)

    yield from walk(tree)


def _not_said(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield docstrings and other bare strings, the texts of our own faults, and patterns."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node
        elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            if getattr(node.exc.func, "id", "") in _OURS:
                yield node
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("compile", "fullmatch", "sub", "match"):
            yield node
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("Option", "Argument"):
            yield node  # their help is read from the commands


def _template(node: ast.JoinedStr) -> str:
    parts, gaps = [], 0
    for value in node.values:
        if isinstance(value, ast.Constant):
            parts.append(str(value.value))
        else:
            parts.append(f"{{{gaps}}}")
            gaps += 1
    return "".join(parts)


def _said(text: str) -> Iterator[str]:
    text = text.strip()
    if _WORDS.search(text) and "</" not in text and not text.startswith(("http", "font", ":root")):
        yield text


def _help() -> Iterator[str]:
    """Yield the paragraphs of all commands' help and the help of their parameters."""
    import typer.main

    from rot180.cli.app import app

    def walk(command: Any) -> Iterator[str]:
        for text in (command.help, *(getattr(parameter, "help", None) for parameter in command.params)):
            for paragraph in re.split(r"\n\s*\n", text or ""):
                if not paragraph.startswith("  "):
                    yield from _said(" ".join(paragraph.split()))
        for inner in getattr(command, "commands", {}).values():
            yield from walk(inner)

    yield from walk(typer.main.get_command(app))


if __name__ == "__main__":
    from rot180.language.catalog import Catalog

    catalog = Catalog.read(sys.argv[1])
    for text, where in texts().items():
        if not catalog.has(text):
            print(f"{where}\t{text!r}")
