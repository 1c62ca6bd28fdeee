"""What help says to type is printed as it is: Rich takes words in brackets for markup."""

from __future__ import annotations

import re

import pytest
import typer.main

from rot180.cli import main
from rot180.cli.app import app

COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
NAMED = {name: set(re.findall(r"rot180\[\w+\]", command.help or "")) for name, command in COMMANDS.items()}
WITH_EXTRAS = [name for name, extras in NAMED.items() if extras]


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("name", WITH_EXTRAS)
def test_the_help_names_the_extra_to_install(name: str, language: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help", "--lang", language]) == 0
    printed = re.sub(r"\s+", "", capsys.readouterr().out)
    assert all(extra in printed for extra in NAMED[name])


def test_some_commands_need_extras() -> None:
    assert {"explore", "export", "serve"} <= set(WITH_EXTRAS)
