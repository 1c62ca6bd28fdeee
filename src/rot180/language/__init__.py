"""Other languages than English: what is said on the command line and in reports, looked up where it leaves the program.

All rooms write English. Whoever shows a text to a person passes it through `translate`, which finds its entry in the
catalog of the language in use; a text without one stays English. Keys, names and numbers are never translated, nor is
anything that programs read (`--json`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache

from rot180.language.catalog import Catalog
from rot180.language.width import display_width, pad

__all__ = ["LANGUAGES", "display_width", "language", "pad", "preferred_language", "translate", "use_language"]

LANGUAGES = {"en": "English", "zh": "中文"}
"""The languages that there are, by the code that `--lang` takes."""

_VARIABLES = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")
"""Where systems say which language a person reads, in the order in which gettext asks."""

_in_use = "en"


def use_language(code: str) -> None:
    """Speak a language from now on: one of LANGUAGES.

    >>> use_language("zh"), translate("interrupted"), use_language("en"), translate("interrupted")
    (None, '已中断', None, 'interrupted')
    """
    global _in_use
    if code not in LANGUAGES:
        raise KeyError(code)
    _in_use = code


def language() -> str:
    """Return the code of the language in use."""
    return _in_use


def preferred_language(environment: Mapping[str, str] = os.environ) -> str:
    """Return the first language of the environment that there is, English otherwise.

    >>> preferred_language({"LANG": "zh_CN.UTF-8"}), preferred_language({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"})
    ('zh', 'en')
    """
    for name in _VARIABLES:
        if value := environment.get(name):
            for wanted in value.split(":"):
                code = wanted.partition(".")[0].partition("_")[0].lower()
                if code in LANGUAGES:
                    return code
            if name != "LANGUAGE":  # a locale that is set decides, also where there is no catalog for it
                return "en"
    return "en"


def translate(text: str) -> str:
    """Return a text in the language in use, the text itself where the catalog has no entry for it."""
    return text if _in_use == "en" else _catalog(_in_use).translate(text)


@cache
def _catalog(code: str) -> Catalog:
    return Catalog.read(code)
