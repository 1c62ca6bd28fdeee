"""Reading pages of documentation: their code, and what must be equal in both languages."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def blocks(path: Path, language: str) -> list[str]:
    """Return the code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def links(path: Path) -> list[str]:
    """Return where the links and pictures of a page lead."""
    prose = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"\]\(([^)]*)\)", prose)


def outline(path: Path) -> list[str]:
    """Return what must be equal in both languages, in order: headings, lists, tables, code; then where links lead.

    A line of prose may break elsewhere in a translation, and its links may change places, so links are sorted. A link
    to a page that there is in both languages leads to the one in the reader's.
    """
    found, in_code = [], False
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            in_code = not in_code
        if in_code or line.startswith("```"):
            found.append(line)
        elif heading := re.match("#+", line):
            found.append(heading[0])
        elif line.startswith("- "):
            found.append("-")
        elif line.startswith("|"):
            found.append("|" * line.count("|"))
    return found + sorted(target.replace(".zh-CN.md", ".md") for target in links(path))
