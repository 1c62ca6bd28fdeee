"""Translations of the command line's output and of reports, looked up just before the text is shown.

All rooms write English. Code that shows a text to a person passes it through `translate`, which looks it up in the
catalog of the current language; a text without an entry stays English. Keys, names and numbers are never translated,
nor is output for programs (`--json`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache

from rot180.language.catalog import Catalog
from rot180.language.width import display_width, pad, wrap

__all__ = ["LANGUAGES", "display_width", "language", "pad", "preferred_language", "translate", "use_language", "wrap"]

LANGUAGES = {"en": "English", "zh": "中文"}
"""Available languages by the code that `--lang` takes."""

_VARIABLES = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")
"""Environment variables that select a language, in the order in which gettext reads them."""

_in_use = "en"


def use_language(code: str) -> None:
    """Set the current language to one of LANGUAGES.

    >>> use_language("zh"), translate("interrupted"), use_language("en"), translate("interrupted")
    (None, '已中断', None, 'interrupted')
    """
    global _in_use
    if code not in LANGUAGES:
        raise KeyError(code)
    _in_use = code


def language() -> str:
    """Return the code of the current language."""
    return _in_use


def preferred_language(environment: Mapping[str, str] = os.environ) -> str:
    """Return the first available language that the environment asks for, or English.

    >>> preferred_language({"LANG": "zh_CN.UTF-8"}), preferred_language({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"})
    ('zh', 'en')
    """
    for name in _VARIABLES:
        if value := environment.get(name):
            for wanted in value.split(":"):
                code = wanted.partition(".")[0].partition("_")[0].lower()
                if code in LANGUAGES:
                    return code
            if name != "LANGUAGE":  # a locale that is set decides, even if there is no catalog for it
                return "en"
    return "en"


def translate(text: str, code: str | None = None) -> str:
    """Return a text in a language, by default the current one, or the text itself if the catalog has no entry for it.

    >>> translate("interrupted", "zh")
    '已中断'
    """
    code = code or _in_use
    return text if code == "en" else _catalog(code).translate(text)


@cache
def _catalog(code: str) -> Catalog:
    return Catalog.read(code)
