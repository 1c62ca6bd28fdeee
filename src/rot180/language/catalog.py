"""A catalog: English texts with numbered gaps, and their translations.

    [text]
    "expected {0} images, found {1}" = "应有 {0} 张图像，实有 {1} 张"

    [columns]
    "layer" = "层"

A text composed by the program is recognized by the literal parts between its gaps; if several entries match, the one
with the most literal characters is used. What fills a gap is data and stays as it is. A gap that holds another sentence
is marked in the translation, `{1:text}`, and is looked up as well; `{1:texts}` marks a list of them, separated by
semicolons or commas, whose own entries are `"; "` and `", "`. `{1:names}` marks a list of data, of which only the
entry `"{0} and {1} more"` for a shortened list is looked up. `[columns]` holds the headings of tables, which are
translated if a line consists of nothing else, and kept in their columns; `[rows]` holds headings of rows of numbers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files

from rot180.cached import cached_property
from rot180.language.width import display_width, pad

_GAP = re.compile(r"\{(\d+)(:texts?|:names)?\}")
_SHORTENED = re.compile(r".* and [\d,]+ more", re.DOTALL)
"""A list of names that ends in the number of the others."""

_MARKS = ";,:( "
"""Characters that begin a sentence appended to another."""

_CELL = re.compile(r"\S+(?: \S+)*")
_INDENT = re.compile(r"\s*")
_QUANTITY = re.compile(r"[-+−]?[\d.,]+(?:e[-+]?\d+)?\s?\S{0,4}|-+")


@dataclass(frozen=True)
class _Entry:
    """An English text with gaps and its translation."""

    english: str
    translation: str
    endings: str
    """A pattern for the sentences that may directly follow another gap, such as a suggestion."""

    @cached_property
    def literals(self) -> list[str]:
        """The literal parts between the gaps, the longest first."""
        return sorted((part for part in _GAP.split(self.english)[::3] if part), key=len, reverse=True)

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """A pattern that matches the texts of this entry."""
        parts: list[str] = []
        seen: set[str] = set()
        between = _GAP.split(self.english)  # text, number, mark, text, number, ...
        for literal, number in zip(between[::3], [*between[1::3], None], strict=True):
            parts.append(re.escape(literal))
            if number in seen:
                parts.append(f"(?P=g{number})")
            elif number is not None:
                behind_a_gap = bool(seen) and not literal and f"{{{number}:text}}" in self.translation
                parts.append(f"(?P<g{number}>{self.endings if behind_a_gap else '.*?'})")
                seen.add(number)
        return re.compile("".join(parts), re.DOTALL)


class Catalog:
    """The texts of one language.

    Parameters
    ----------
    texts, columns, rows : dict
        Translations by English text.

    Examples
    --------
    >>> texts = {"found {0}{1}": "找到 {0}{1:text}", "; try {0}": "；请试 {0}"}
    >>> catalog = Catalog(texts, {"layer": "层", "loss": "损失"})
    >>> catalog.translate("found 3 cats; try more"), catalog.translate("layer    loss")
    ('找到 3 cats；请试 more', '层       损失')
    """

    def __init__(self, texts: dict[str, str], columns: dict[str, str], rows: dict[str, str] | None = None) -> None:
        self.texts = texts
        self._whole = {english: one for english, one in texts.items() if not _GAP.search(english)}
        self._columns, self._rows = columns, rows or {}
        ends = [".*?".join(map(re.escape, _GAP.split(text)[::3])) for text in texts if text[:1] in _MARKS]
        entries = (
            _Entry(english, one, "|".join(["", *ends])) for english, one in texts.items() if _GAP.search(english)
        )
        ordered = sorted(entries, key=lambda entry: -sum(map(len, entry.literals)))
        self._entries = [("".join(entry.literals[:1]), entry) for entry in ordered]

    @classmethod
    def read(cls, code: str) -> Catalog:
        """Read a catalog that is part of the package: the files in the folder named after the language's code."""
        import tomllib

        merged: dict[str, dict[str, str]] = {"text": {}, "columns": {}, "rows": {}}
        for file in sorted((files(__package__) / code).iterdir(), key=lambda file: file.name):
            for table, entries in tomllib.loads(file.read_text(encoding="utf-8")).items():
                merged[table] |= entries
        return cls(merged["text"], merged["columns"], merged["rows"])

    def has(self, english: str) -> bool:
        """Return whether there is an entry for a text, which may have gaps."""
        return english in self.texts

    def translate(self, text: str) -> str:
        """Return the translation of a text or of a line of a table, or the text itself if there is none."""
        indent, core = _divide(text)
        found = self._heads(core)
        if found is None:
            found = self.sentence(core)
        return text if found is None else indent + found + text[len(indent) + len(core) :]

    def sentence(self, text: str) -> str | None:
        """Return the translation of a text; None if no entry matches."""
        if (whole := self._whole.get(text)) is not None:
            return whole
        for longest, entry in self._entries:
            # Looking for the literal parts first is what makes searching two thousand entries fast.
            if longest not in text or not all(part in text for part in entry.literals):
                continue
            if match := entry.pattern.fullmatch(text):
                return _GAP.sub(lambda gap, match=match: self._filled(gap, match), entry.translation)  # type: ignore[misc]
        return None

    def _filled(self, gap: re.Match[str], match: re.Match[str]) -> str:
        value = match[f"g{gap[1]}"]
        if gap[2] == ":texts":
            return self._list(value)
        if gap[2] == ":names":
            return self.translate(value) if _SHORTENED.fullmatch(value) else value
        return self.translate(value) if gap[2] else value

    def _list(self, text: str) -> str:
        """Return the translation of a text, or of each item of a list of texts."""
        separator = "; " if "; " in text else ", "
        if separator not in text or (separator == ", " and self.sentence(text) is not None):
            return self.translate(text)
        return self.texts.get(separator, separator).join(self._list(item) for item in text.split(separator))

    def _heads(self, line: str) -> str | None:
        """Translate the headings of a table, each within its columns; None if the line is not such a line."""
        cells = list(_CELL.finditer(line))
        if len(cells) < 2:
            return None
        heads = [self._columns.get(cell[0]) for cell in cells]
        if not all(heads):
            if cells[0][0] not in self._rows or not all(_QUANTITY.fullmatch(cell[0]) for cell in cells[1:]):
                return None
            heads = [self._rows[cells[0][0]], *(cell[0] for cell in cells[1:])]
        written = ""
        for at, (cell, head) in enumerate(zip(cells, heads, strict=True)):
            # The first column is left-aligned; the others are assumed to be numbers, right-aligned.
            start = cell.start() if at == 0 else cell.end() - display_width(head or "")
            written = pad(written, max(start, display_width(written) + 2 * (at > 0))) + (head or "")
        return written


def _divide(text: str) -> tuple[str, str]:
    """Return a text's indentation, and the text without surrounding whitespace."""
    match = _INDENT.match(text)
    indent = match[0] if match else ""
    return indent, text[len(indent) :].rstrip()
