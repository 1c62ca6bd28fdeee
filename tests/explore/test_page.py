"""The files of the page: small, without the network, and with equal texts in both languages."""

from __future__ import annotations

import json
import re
from pathlib import Path

from rot180.explore.app import PAGE
from rot180.language import LANGUAGES
from rot180.web.page import kind_of, page_files

FILES = page_files(PAGE)
SCRIPTS = {name: data.decode() for name, data in FILES.items() if name.endswith(".js")}


def _catalog(code: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(FILES[f"{code}.json"])
    return found


def test_all_files_together_are_small_and_of_known_kinds() -> None:
    assert all(kind_of(file.name) for file in Path(str(PAGE)).iterdir())
    assert sum(map(len, FILES.values())) < 300_000


def test_nothing_is_fetched_from_elsewhere_and_no_text_becomes_html_or_code() -> None:
    for name, data in FILES.items():
        text = data.decode().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://", text), name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text), (
            name
        )
    assert not re.search(r"<script(?![^>]*\bsrc=)|\bon\w+=|style=", FILES["index.html"].decode())


def test_the_catalogs_have_equal_keys_and_gaps_and_nothing_is_left_in_english() -> None:
    english = _catalog("en")
    for code in LANGUAGES:
        other = _catalog(code)
        assert list(other) == list(english)
        for key, text in english.items():
            assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", other[key])), key
            assert other[key].strip()
    same = {key for key, text in english.items() if _catalog("zh")[key] == text}
    assert same <= {"term.grad-cam"}  # a name


def test_every_text_that_a_script_asks_for_exists_and_every_text_is_asked_for() -> None:
    english = _catalog("en")
    asked: set[str] = set()
    beginnings: set[str] = set()
    endings: set[str] = set()
    for name, text in SCRIPTS.items():
        # Keys are literal, or begin so: t("a"), t(b ? "a" : "c"), t(`mode.${mode}`), term("delta"), sum("stored", ...).
        asked |= {key for key in re.findall(r'"([a-z][\w.-]*)"', text) if key in english}
        beginnings |= set(re.findall(r"`([a-z-]+\.)\$\{", text))
        endings |= set(re.findall(r"`\$\{\w+\}(\.[a-z]+)`", text))
        for call in re.findall(r'\bt\("([^"]+)"', text):
            assert call in english, f"{name}: {call}"
        for term in re.findall(r'\bterm\("([^"]+)"', text):
            assert {f"term.{term}", f"explain.{term}"} <= english.keys(), f"{name}: {term}"
    made = [key for key in english if key.startswith(tuple(beginnings)) or key.endswith(tuple(endings))]
    assert english.keys() - asked - set(made) == set()
