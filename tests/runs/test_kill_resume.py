"""`kill -9` and SIGTERM at random moments; `kill_resume.py` does the same with any count."""

from __future__ import annotations

import os
from pathlib import Path

import kill_resume
import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has neither signal")


@pytest.fixture(autouse=True)
def preload() -> None:
    kill_resume.PROCESSES.set_forkserver_preload(
        ["kill_resume", "rot180.runs.resume", "rot180.inside.health", "rot180.cli.app", "pydantic"]
    )


def test_nothing_is_lost_when_the_process_is_killed(tmp_path: Path) -> None:
    tally = kill_resume.kill(5, tmp_path, seed=1)
    assert (tally.interruptions, tally.inside_a_write) == (5, 1)
    assert tally.is_right, tally


def test_chains_of_interruptions_end_in_the_same_bits_and_never_use_old_weights(tmp_path: Path) -> None:
    tally = kill_resume.chain(4, tmp_path, seed=1)
    assert tally.interruptions >= 4
    assert tally.is_right, tally


def test_fine_tuning_that_is_killed_in_either_phase_ends_in_the_same_bits(tmp_path: Path) -> None:
    tally = kill_resume.fine_tune(5, tmp_path, seed=1)
    assert 0 < tally.before_a_checkpoint < tally.interruptions == 5
    assert tally.is_right, tally


def test_it_saves_and_ends_when_it_is_asked_to(tmp_path: Path) -> None:
    tally = kill_resume.terminate(2, tmp_path, seed=1)
    assert tally.interruptions == 2
    assert tally.is_right, tally
