"""The command line in other languages, and texts of scripts whose letters are wide."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.main import get_command

from rot180.cli import main
from rot180.cli.app import app
from rot180.language import display_width, language
from rot180.language.catalog import Catalog


def test_the_option_may_stand_anywhere_and_is_forgotten_afterwards(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--lang", "zh", "runs", "nowhere"], ["runs", "nowhere", "--lang=zh"]):
        assert main(arguments) == 2
        assert re.search("[\u4e00-\u9fff]", capsys.readouterr().err)
        assert language() == "en"


def test_an_unknown_language_is_answered_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--lang", "fr"]) == 2
    assert capsys.readouterr().err == "rot180: --lang: no language is called 'fr'; known: en, zh\n"


def test_the_language_of_the_system_is_spoken(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LANGUAGE")
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert main(["runs", "nowhere"]) == 2
    assert re.search("[\u4e00-\u9fff]", capsys.readouterr().err)


def test_columns_of_chinese_names_are_aligned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("\u732b", "\u91d1\u6bdb\u730e\u72ac", "dog"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(10):
            pixels = np.full((8, 8), 20 * number, np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / name / f"{number}.png")
    assert main(["data", "inspect", str(tmp_path / "data"), "--no-picture"]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if re.match(r"    \S+ +[\d,]+ training", line)]
    assert len(rows) == 3
    assert len({display_width(row[: row.index(" training")]) for row in rows}) == 1


@pytest.mark.parametrize("columns", [80, 97])
def test_help_in_chinese_is_complete_however_wide_the_terminal_is(columns: int) -> None:
    # In a process of its own: Rich is told how to break lines once, for the whole process.
    done = subprocess.run(
        [sys.executable, "-c", "import rot180.cli as c; c.main(['train', '--help', '--lang', 'zh'])"],
        env={**os.environ, "COLUMNS": str(columns), "PYTHONUTF8": "1"},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    shown = re.sub(r"[\s│]", "", done.stdout)
    for option in get_command(app).commands["train"].params:  # type: ignore[attr-defined]
        text = Catalog.read("zh").texts[" ".join(option.help.split())]  # type: ignore[attr-defined]
        assert re.sub(r"\s", "", text) in shown, option.name
