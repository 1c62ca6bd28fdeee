"""The tutorials on layers and optimizers of one's own: their code runs, and the checker says what the pages say."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from rot180.cli import main

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.filterwarnings("ignore:.* has no compiled kernel")
@pytest.mark.parametrize(
    ("name", "module"), [("write-a-layer.md", "my_layers"), ("write-an-optimizer.md", "my_optimizers")]
)
def test_the_tutorial_runs(
    name: str, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    page = DOCS / name
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    names: dict[str, object] = {"__name__": module}
    first = True
    said = ""
    for language, code in blocks:
        if language == "python":
            if first:
                Path(f"{module}.py").write_text(code, encoding="utf-8")
                first = False
            exec(compile(code, str(page), "exec"), names)
            said = capsys.readouterr().out
        elif language == "sh":
            assert main(shlex.split(code)[1:]) == 0
            said = capsys.readouterr().out
        else:
            got = [plain(line) for line in said.splitlines()]
            assert [line for line in map(plain, code.splitlines()) if line not in got] == []


def plain(line: str) -> str:
    """Return a line without what rounding decides, machine by machine: errors, and the worst place."""
    return " ".join(re.sub(r"\d\.\de-\d\d|\[[\d,]+\]|a direction", "#", line).split())
