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


def test_help_in_chinese_is_complete_however_wide_the_terminal_is() -> None:
    # In a process of its own: Rich is told how to break lines once, for the whole process.
    program = (
        "import os, rot180.cli as c\n"
        "for columns in '80', '97':\n"
        "    os.environ['COLUMNS'] = columns\n"
        "    c.main(['train', '--help', '--lang', 'zh'])\n"
        "    print('\\f')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONUTF8": "1"},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    narrow, wide, _ = done.stdout.split("\f")
    assert max(map(display_width, narrow.splitlines())) == 80
    assert max(map(display_width, wide.splitlines())) == 97
    for page in (narrow, wide):
        shown = re.sub(r"[\s│]", "", page)
        for option in get_command(app).commands["train"].params:  # type: ignore[attr-defined]
            text = Catalog.read("zh").texts[" ".join(option.help.split())]  # type: ignore[attr-defined]
            assert re.sub(r"\s", "", text) in shown, option.name


RUN, IMAGE, OUT = "<run>", "<image>", "<out>"
NETWORK = "8x8x1 > conv3x3:2 relu > fc10"
TINY = ["--limit", "60", "--model", NETWORK, "--no-pictures"]

COMMANDS = [
    ["train", *TINY, "--epochs", "2", "--validation", "0.2", "--early-stopping", "1", "--lr", "0.1", "--out", OUT],
    ["train", "--resume", RUN, "--seed", "1"],
    ["train", *TINY, "--lr", "1e30", "--optimizer", "sgd", "--out", OUT],
    ["evaluate", RUN],
    ["evaluate", RUN, "digits", "more"],
    ["predict", RUN, IMAGE],
    ["predict", RUN, "nowhere.png"],
    ["show", RUN, "--image", "9999"],
    ["health", RUN],
    ["explain", RUN, "0", "--at", "loss", "--at", "conv1.output[0,0,0]", "--at", "conv1.weight.update[0,0,0,0]"],
    ["explain", RUN, "0", "--at", "nothing"],
    ["journey", NETWORK, "--batch-size", "2"],
    ["journey", NETWORK, "--batch-size", "2", "--layer", "conv1"],
    ["check", "4x4x1 > fc3"],
    ["check", "--optimizer", "sgd"],
    ["check"],
    ["cost", "4x4x1 > fc3", "--engine", "numpy", "--batch-size", "2"],
    ["plan", NETWORK],
    ["compare", NETWORK, "--batch-size", "2"],
    ["models"],
    ["models", "digits"],
    ["models", "lenet6"],
    ["models", "8x8x1 > konv3x3:4"],
    ["runs", RUN],
    ["runs", "nowhere"],
    ["data", "inspect", "--no-picture"],
    ["data", "inspect", "nowhere"],
    ["--nothing"],
    ["nothing"],
    ["train", "--epochs", "many"],
    ["evaluate"],
]

NOT_PROSE = re.compile(r"rot180 [a-z].*|\S+ > .*|UCI Optical.*|SGD\(.*|[^\x00-\x7f]*`[^`]*`|--\S+|\S*[/_.=\[(]\S*")
"""Commands, networks, the name of a data set, code, options and paths."""

ENGLISH = re.compile(r"[A-Za-z]{2,}(?: [A-Za-z]{2,}){3}")


def english_lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if ENGLISH.search(NOT_PROSE.sub("|", line))]


@pytest.mark.usefixtures("brief_comparisons")
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[:2]))
def test_all_that_a_command_says_is_chinese(
    command: list[str], trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(np.full((8, 8), 200, np.uint8)).save(tmp_path / "image.png")
    filled = {RUN: str(trained), IMAGE: str(tmp_path / "image.png"), OUT: str(tmp_path / "run")}
    main(["--lang", "zh", *(filled.get(argument, argument) for argument in command)])
    said = capsys.readouterr()
    assert re.search("[\u4e00-\u9fff]", said.out + said.err) or command[0] == "predict"
    assert english_lines(said.out + said.err) == []


def test_the_help_of_every_command_is_chinese() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    program = f"import rot180.cli as c\nfor name in {[*commands]}: c.main([name, '--help', '--lang', 'zh'])"
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONUTF8": "1"}, capture_output=True, encoding="utf-8"
    )
    assert done.stdout.count("\u7528\u6cd5") == len(commands)
    assert english_lines(done.stdout) == []


@pytest.mark.parametrize(
    "command",
    [
        ["models"],
        ["runs", RUN],
        ["plan", NETWORK],
        ["evaluate", RUN],
        ["health", RUN],
        ["check", "4x4x1 > fc3"],
        ["data", "inspect", "--no-picture"],
        ["explain", RUN, "0", "--at", "loss"],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_what_programs_read_is_the_same_in_every_language(
    command: list[str], trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(trained) if argument == RUN else argument for argument in command]
    said = []
    for code in ("en", "zh"):
        assert main(["--lang", code, *arguments, "--json"]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]


@pytest.mark.parametrize("command", [["models", "digits"], ["plan", NETWORK], ["health", RUN]])
def test_heads_in_chinese_stand_above_their_numbers(
    command: list[str], trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(trained) if argument == RUN else argument for argument in command]
    assert main(["--lang", "zh", *arguments]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if re.search(r"\S  +\S", line)]
    rows = [line for line in lines if re.search(r"\d$", line)]
    assert display_width(lines[0]) == max(map(display_width, rows))


def test_a_report_in_chinese_has_no_english_heading(tmp_path: Path) -> None:
    command = ["train", *TINY, "--epochs", "1", "--validation", "0.2", "--out", str(tmp_path / "run")]
    assert main(["--lang", "zh", *command]) == 0
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    heads = re.findall(r"<(?:h2|dt|th scope=\"col\"[^>]*)>([^<]+)<", page)
    assert len(heads) > 15
    assert [head for head in heads if not re.search("[\u4e00-\u9fff]", head)] == []
    prose = re.sub(r"<code>.*?</code>|<style>.*?</style>|<table>.*?</table>|<[^>]+>", "\n", page, flags=re.DOTALL)
    assert english_lines(prose) == []
