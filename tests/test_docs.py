"""The pages in docs/: their code runs, their links lead somewhere, and both languages say the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from pages import ROOT, blocks, links, outline

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
TRANSLATED = sorted(DOCS.glob("*.zh-CN.md"))
GUIDES = ("backpropagation", "journey", "write-a-layer", "data")


def test_every_guide_is_there_in_both_languages() -> None:
    assert {page.name.removesuffix(".zh-CN.md") for page in TRANSLATED} >= set(GUIDES)


@pytest.mark.parametrize("chinese", TRANSLATED, ids=lambda page: page.name)
def test_both_languages_have_the_same_structure_and_code(chinese: Path) -> None:
    assert outline(chinese) == outline(chinese.with_name(chinese.name.replace(".zh-CN.md", ".md")))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in links(page):
        assert target.startswith("https://") or (DOCS / target).exists(), target


def test_the_derivation_runs_and_agrees_with_the_operations() -> None:
    page = DOCS / "backpropagation.md"
    names: dict[str, object] = {}
    for block in blocks(page, "python"):
        exec(compile(block, str(page), "exec"), names)
