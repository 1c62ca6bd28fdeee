"""The scripts in examples/ run and say what they promise."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.main import get_command

from rot180.cli.app import app

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_train_digits(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["train_digits.py", "1"])
    runpy.run_path(str(EXAMPLES / "train_digits.py"), run_name="__main__")
    out = capsys.readouterr().out
    assert "epoch 1: " in out
    assert "the saved network says" in out


def test_unet(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["unet.py", "12", str(tmp_path)])
    names = runpy.run_path(str(EXAMPLES / "unet.py"), run_name="__main__")
    (last,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("step")]
    assert float(last.split("pixels ")[1].split("%")[0]) > 50  # chance is 25
    with Image.open(tmp_path / "unet.png") as picture:
        assert picture.width > 500
    images, truth = names["draw"](np.random.default_rng(0), 50)
    assert set(np.unique(truth)) == {0, 1, 2, 3}
    assert images[truth > 0].mean() > images[truth == 0].mean() + 50
    np.testing.assert_array_equal(names["intersection_over_union"](truth, truth), 1)
    wrong = np.where(truth == 1, 2, truth)
    np.testing.assert_allclose(names["intersection_over_union"](wrong, truth)[[0, 1, 3]], [1, 0, 1])


def test_five_convolutions_agree(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / "five_convolutions.py"), run_name="__main__")
    assert len(capsys.readouterr().out.splitlines()) == 5


def test_the_servers_of_the_examples_are_started_with_options_that_exist() -> None:
    command = get_command(app).commands["serve"]  # type: ignore[attr-defined]
    known = {option for parameter in command.params for option in parameter.opts}
    image = (EXAMPLES / "serve" / "Dockerfile").read_text(encoding="utf-8")
    unit = (EXAMPLES / "serve" / "rot180-serve.service").read_text(encoding="utf-8")
    started = re.findall(r"^(?:ENTRYPOINT|ExecStart=).*", image + unit, re.MULTILINE)
    assert len(started) == 2
    for line in started:
        assert "rot180" in line
        assert set(re.findall(r"--[a-z-]+", line)) <= known
    assert re.search(r"^USER (?!root)\w+$", image, re.MULTILINE)
    assert "/v2/health/ready" in re.search(r"HEALTHCHECK.*\n.*", image)[0]  # type: ignore[index]
    assert "NoNewPrivileges=yes" in unit
