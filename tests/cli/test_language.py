"""The command line in other languages, and texts of scripts whose letters are wide."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rot180.cli import main
from rot180.language import display_width, language


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
