"""The help of all commands in the language in use."""

from __future__ import annotations

import re
from typing import Any

from rot180.language import language, translate
from rot180.language.width import WORD


def translate_help(command: Any) -> None:
    """Translate the help texts of a command and its subcommands, and keep their brackets, before they are framed.

    Parameters
    ----------
    command : click.Command
        Built from the typer application; changed in place.
    """
    if language() != "en":
        _translate_all(command)
    _keep_brackets(command)


def _keep_brackets(command: Any) -> None:
    """Let brackets behind a word, as in rot180[serve], not be taken for Rich's markup, which is not printed."""
    for part in (command, *command.params):
        for name in ("help", "short_help"):
            if text := getattr(part, name, None):
                setattr(part, name, re.sub(r"(?<=\w)\[(?=[a-z0-9]+\])", r"\\[", text))
    for inner in getattr(command, "commands", {}).values():
        _keep_brackets(inner)


def _translate_all(command: Any) -> None:
    from typer import rich_utils

    for name in dir(rich_utils):  # the titles of the frames are constants of the module
        if name.endswith("_PANEL_TITLE") or name in ("DEFAULT_STRING", "REQUIRED_LONG_STRING", "ENVVAR_STRING"):
            setattr(rich_utils, name, translate(getattr(rich_utils, name)))
    break_lines_between_characters()
    _translate(command)


def break_lines_between_characters() -> None:
    """Let Rich break lines between Chinese characters; it breaks only at spaces, and would cut text off in a table."""
    from rich import _wrap
    from rich.text import Text

    def rstrip_end(text: Text, size: int) -> None:
        if text.cell_len > size:  # Rich counts characters, and replaces a trailing space by an ellipsis
            text.rstrip()

    _wrap.re_word = WORD
    Text.rstrip_end = rstrip_end  # type: ignore[assignment, method-assign]


def _translate(command: Any) -> None:
    command.help = paragraphs(command.help)
    command.short_help = paragraphs(command.short_help)
    command.get_help_option = _translated(command.get_help_option)
    for parameter in command.params:
        if getattr(parameter, "help", None):
            parameter.help = paragraphs(parameter.help)
        if getattr(parameter, "rich_help_panel", None):
            parameter.rich_help_panel = translate(parameter.rich_help_panel)
    for inner in getattr(command, "commands", {}).values():
        _translate(inner)


def _translated(get_help_option: Any) -> Any:
    """Return the method that makes the option `--help`, which exists only once the help is printed, with its text."""

    def get(context: Any) -> Any:
        option = get_help_option(context)
        if option is not None and option.help:
            option.help = translate(option.help)
        return option

    return get


def paragraphs(text: str | None) -> str | None:
    """Translate a text paragraph by paragraph; examples, which have no catalog entry, stay as they are."""
    if text is None:
        return None
    parts = re.split(r"(\n\s*\n)", text)
    return "".join(part if at % 2 else translate(_joined(part)) for at, part in enumerate(parts))


def _joined(paragraph: str) -> str:
    """Return a wrapped paragraph as one line, as in the catalog; indented examples stay as they are."""
    return paragraph if paragraph.startswith("  ") else " ".join(paragraph.split())
