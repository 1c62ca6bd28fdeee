"""The pages in docs/: their code runs, their links lead somewhere, and both languages say the same."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from pages import ROOT, blocks, links, outline
from rot180.cli.app import app
from rot180.nn.initializer import INITIALIZERS
from rot180.nn.registry import WORDS

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
TRANSLATED = sorted(DOCS.glob("*.zh-CN.md"))
GUIDES = (
    "backpropagation",
    "journey",
    "notation",
    "write-a-layer",
    "write-an-optimizer",
    "data",
    "augmentation",
    "training",
    "weights",
    "export",
    "onnx",
    "scikit-learn",
    "explore",
    "tune",
    "serve",
    "many-machines",
)


def test_every_guide_is_there_in_both_languages() -> None:
    assert {page.name.removesuffix(".zh-CN.md") for page in TRANSLATED} >= set(GUIDES)


@pytest.mark.parametrize("chinese", TRANSLATED, ids=lambda page: page.name)
def test_both_languages_have_the_same_structure_and_code(chinese: Path) -> None:
    assert outline(chinese) == outline(chinese.with_name(chinese.name.replace(".zh-CN.md", ".md")))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_of_a_page_have_all_their_arguments(page: Path) -> None:
    for line in (line for block in blocks(page, "sh") for line in block.splitlines() if line.startswith("rot180 ")):
        command, (name, *arguments) = get_command(app), shlex.split(line, comments=True)[1:]
        while hasattr(command, "commands"):
            command = command.commands[name]
            if hasattr(command, "commands"):
                name, *arguments = arguments
        command.make_context(name, arguments)  # raises if one is missing or unknown


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in links(page):
        assert target.startswith("https://") or (DOCS / target).exists(), target


def test_the_derivation_runs_and_agrees_with_the_operations() -> None:
    page = DOCS / "backpropagation.md"
    names: dict[str, object] = {}
    for block in blocks(page, "python"):
        exec(compile(block, str(page), "exec"), names)


def test_the_reference_of_the_notation_is_complete_and_its_examples_run(capsys: pytest.CaptureFixture[str]) -> None:
    page = DOCS / "notation.md"
    text = page.read_text(encoding="utf-8")
    for word in WORDS.values():
        assert f"`{word.stem}" in text, word.stem
        for option in word.all_options:
            assert f"`{option.example}`" in text or option is word.required or option.argument == "groups", (
                option.example
            )
    for initializer in INITIALIZERS:
        assert f"`{initializer}`" in text
    names: dict[str, object] = {}
    for block in blocks(page, "python"):
        exec(compile(block, str(page), "exec"), names)
    assert capsys.readouterr().out.endswith(blocks(page, "text")[0])


def test_the_page_on_other_programs_runs() -> None:
    names: dict[str, object] = {}
    for block in blocks(DOCS / "export.md", "python"):
        exec(compile(block, "export.md", "exec"), names)


def test_the_page_on_searching_runs() -> None:
    pytest.importorskip("optuna", reason="optuna is not installed")
    for block in blocks(DOCS / "tune.md", "python"):
        exec(compile(block, "tune.md", "exec"), {})


def test_the_page_on_many_machines_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for block in blocks(DOCS / "many-machines.md", "python"):
        exec(compile(block, "many-machines.md", "exec"), {})
    assert (tmp_path / "digits.safetensors").is_file()


def test_the_page_on_scikit_learn_runs() -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    for block in blocks(DOCS / "scikit-learn.md", "python"):
        exec(compile(block, "scikit-learn.md", "exec"), {})


def test_the_page_on_training_runs(capsys: pytest.CaptureFixture[str]) -> None:
    page = DOCS / "training.md"
    for block in blocks(page, "python"):
        exec(compile(block, str(page), "exec"), {})
    clipped, accuracy = map(float, capsys.readouterr().out.split())
    assert 0 < clipped <= 1
    assert accuracy > 0.85


@pytest.mark.parametrize("page", ["training", "export"])
def test_the_options_that_a_page_names_exist(page: str) -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    known = {o for command in commands.values() for p in command.params for o in (*p.opts, *p.secondary_opts)}
    for option in re.findall(r"`[^`\n]*?(--[a-z-]+)", (DOCS / f"{page}.md").read_text(encoding="utf-8")):
        assert option in known, option


@pytest.mark.parametrize("page", [*TRANSLATED, ROOT / "README.zh-CN.md"], ids=lambda page: page.name)
def test_a_chinese_paragraph_is_one_line(page: Path) -> None:
    # A break inside a sentence is shown as a space, which Chinese does not have.
    prose = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    assert re.findall(r"^(?![-#|>\d]).+\n(?![-#|>\d]).+", prose, re.MULTILINE) == []
