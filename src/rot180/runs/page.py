"""The report page: one file that loads and runs nothing, and suits phones and screen readers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files

from rot180.language import language, translate

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""What the page, which may be untrusted, may do in a browser: show its own pictures and colors."""


def page(title: str, body: Iterable[str]) -> bytes:
    """Return the whole page, in the language in use."""
    style = (files(__package__) / "report.css").read_text(encoding="utf-8")
    code = {"zh": "zh-CN"}.get(language(), language())
    text = (
        f'<!DOCTYPE html><html lang="{code}"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}"><style>{style}</style></head>'
        f"<body><main>{''.join(body)}</main></body></html>\n"
    )
    return text.encode("utf-8", "replace")


def heading(text: str) -> str:
    """Return the heading of a section."""
    return f"<h2>{escape(translate(text))}</h2>"


def paragraph(text: str, kind: str = "") -> str:
    """Return a paragraph of plain text."""
    return f"<p{_kind(kind)}>{escape(translate(text))}</p>"


def code(text: str) -> str:
    """Return a paragraph of code, such as a network or a command."""
    return f"<p><code>{escape(text)}</code></p>"


def tiles(values: Iterable[tuple[str, str, str]]) -> str:
    """Return the most important numbers, each with its name, value and remark."""
    cells = (
        f"<div><dt>{escape(translate(name))}</dt><dd>{escape(value)}</dd>"
        + (f"<dd>{escape(translate(remark))}</dd>" if remark else "")
        + "</div>"
        for name, value, remark in values
    )
    return f'<dl class="tiles">{"".join(cells)}</dl>'


def figure(source: str, description: str) -> str:
    """Return a picture.

    Parameters
    ----------
    source : str
        The PNG, in base64.
    description : str
        The alternative text.
    """
    return f'<figure><img alt="{escape(description)}" src="data:image/png;base64,{source}"></figure>'


def table(label: str, heads: Sequence[str], rows: Iterable[Sequence[str]], *, numbers_from: int) -> str:
    """Return a table; the first cell of each row is its head, and the columns from `numbers_from` on contain numbers.

    Parameters
    ----------
    label : str
        The name of the table. A wide table scrolls horizontally, by keyboard as well; the label names that region.
    heads : sequence of str
        Heads of the columns; none for a table of names and values.
    """

    def cells(values: Sequence[str], tag: str, scope: str) -> str:
        written = ""
        for at, value in enumerate(values):
            name = tag if at else "th"
            mark = f' scope="{scope}"' if name == "th" else ""
            written += f"<{name}{mark}{_kind('n' if at >= numbers_from else '')}>{escape(value)}</{name}>"
        return f"<tr>{written}</tr>"

    head = f"<thead>{cells([translate(name) for name in heads], 'th', 'col')}</thead>" if heads else ""
    body = "".join(cells(row, "td", "row") for row in rows)
    name = escape(translate(label))
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{name}">'
        f"<table>{head}<tbody>{body}</tbody></table></div>"
    )


def bullets(items: Iterable[str]) -> str:
    """Return a list."""
    return f"<ul>{''.join(f'<li>{escape(translate(item))}</li>' for item in items)}</ul>"


def _kind(kind: str) -> str:
    return f' class="{kind}"' if kind else ""
