"""`rot180 launch`, before it starts anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from rot180.cli import main
from rot180.cli.launch import _read
from rot180.errors import ArgumentError
from rot180.parallel.launch import launcher_command


@pytest.mark.parametrize(
    ("words", "resumed"),
    [
        ("train --out a", "train --resume a"),
        ("train photos --lr 0.1 -o a --shards 8 --watchdog 5", "train --resume a --watchdog 5.0"),
        ("train --no-pictures -o a --json --checkpoint-every 3", "train --resume a --checkpoint-every 3 --no-pictures"),
        ("train --epochs 3 --out a", "train --resume a"),
        ("train moved --resume a --epochs 9", "train moved --resume a --epochs 9"),
    ],
)
def test_a_failed_training_is_resumed_with_its_own_settings(words, resumed):
    folder, again = _read(words.split())
    assert folder == Path("a")
    assert sorted(again) == sorted([*resumed.split(), *(["--json"] if "--json" in words else [])])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["evaluate", "a"],
            "as in: rot180 launch -n 2 -- train --out runs/a; the command given is 'evaluate'",
        ),
        (["train"], "launch needs the run's folder, to find it again after a failure; add --out"),
    ],
)
def test_commands_that_cannot_be_continued_are_refused(words, message, capsys):
    assert main(["launch", "-n", "2", "--launcher", "true", "--", *words]) == 2
    assert message in capsys.readouterr().err


def test_a_missing_launcher_is_named():
    with pytest.raises(ArgumentError, match=r"there is no 'no-such-mpiexec' to start several processes with"):
        launcher_command("no-such-mpiexec -hosts a,b")


@pytest.mark.parametrize("given", ["", " ", "'mpiexec"])
def test_a_launcher_that_is_no_command_is_refused(given):
    with pytest.raises(ArgumentError, match="--launcher must be a command and its options"):
        launcher_command(given)


def test_the_command_needs_no_dashes_before_it(capsys):
    assert main(["launch", "-n", "2", "--launcher", "true", "train", "--out", "a", "--lr", "0.1"]) == 0


def test_a_launcher_brings_its_own_options():
    assert launcher_command("env -u 'A B'")[1:] == ["-u", "A B"]


@pytest.mark.parametrize(("status", "runs"), [(0, 1), (2, 1), (75, 1), (9, 3)])
def test_what_is_started_again(status, runs, tmp_path, capsys):
    log = tmp_path / "log"
    launcher = f"""sh -c 'echo run >> {log}; exit {status}'"""
    arguments = ["launch", "-n", "2", "--max-restarts", "2", "--launcher", launcher, "--", "train", "--out", "a"]
    assert main(arguments) == status
    assert log.read_text().count("run") == runs
    assert capsys.readouterr().err.count(" of 2 from the last checkpoint") == runs - 1
