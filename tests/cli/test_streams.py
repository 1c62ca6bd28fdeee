"""Output that goes to odd places, and Ctrl-C before the commands are there: no traceback, nothing lost."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

Call = Callable[..., Any]

COMMAND = [sys.executable, "-c", "import sys; from rot180.cli import main; sys.exit(main())"]


def test_names_outside_the_encoding_of_the_terminal(trained: Path, tmp_path: Path) -> None:
    image = tmp_path / "图.png"
    Image.new("L", (8, 8)).save(image)
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    for more in ([], ["--json"]):
        said = subprocess.run(
            [*COMMAND, "predict", str(trained), str(image), "--engine", "numpy", *more],
            capture_output=True,
            env=environment,
            text=True,
            timeout=60,
        )
        assert (said.returncode, said.stderr) == (0, "")
        assert "\\u56fe.png" in said.stdout
        if more:
            assert json.loads(said.stdout)["predictions"][0]["image"] == image.as_posix()


@pytest.mark.skipif(os.name != "posix", reason="closes a stream as a shell does")
def test_a_training_without_stderr(quick: list[str], tmp_path: Path) -> None:
    run = tmp_path / "run with a space"
    script = '"$@" 2>&-'
    said = subprocess.run(
        ["sh", "-c", script, "sh", *COMMAND, "train", *quick, "--no-pictures", "--engine", "numpy", "--out", str(run)],
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    assert said.returncode == 0
    assert f"run: {run}" in said.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_output_that_cannot_be_written() -> None:
    with Path("/dev/full").open("w") as full:
        said = subprocess.run(
            [*COMMAND, "models", "--json"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60
        )
    # Python itself finds out at its end where the text was short enough to wait in the buffer.
    assert said.returncode in (2, 120)
    assert "a bug in this program" not in said.stderr
    assert "No space left" in said.stderr


def test_a_batch_that_does_not_fit_is_no_fault_of_ours(
    rot180: Call, monkeypatch: pytest.MonkeyPatch, trained: Path
) -> None:
    def full(*arguments: object, **more: object) -> None:
        raise MemoryError("Unable to allocate 59.6 GiB")

    monkeypatch.setattr("rot180.training.evaluate", full)
    said = rot180("evaluate", trained)
    assert said.status == 2
    assert said.err == (
        "rot180: not enough memory: Unable to allocate 59.6 GiB; choose a smaller batch, image or network\n"
    )

    def no_space(*arguments: object, **more: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("rot180.training.evaluate", no_space)
    said = rot180("evaluate", trained)
    assert said.status == 2
    assert said.err == "rot180: cannot write the output (No space left on device); check its destination\n"


def test_a_group_of_commands_alone_shows_its_help_and_no_empty_message(rot180: Call) -> None:
    said = rot180("data")
    assert (said.status, said.err) == (2, "")
    assert "inspect" in said.out


@pytest.mark.parametrize("imported", ["rot180.cli.app", "rot180.nn.models"])  # before a command runs, and while it does
def test_ctrl_c_while_modules_are_imported(imported: str) -> None:
    code = (
        "import sys\n"
        "from rot180.cli import main\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, *more):\n"
        f"        if name == '{imported}':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        "sys.exit(main(['models']))\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (said.returncode, said.stderr) == (130, "rot180: interrupted\n")


def test_the_command_to_copy_is_quoted(rot180: Call, quick: list[str], tmp_path: Path) -> None:
    run = tmp_path / "two words"
    said = rot180("train", *quick, "--engine", "numpy", "--out", run)
    assert f"rot180 predict '{run}' IMAGE" in said.out
