"""Runs of several processes, here threads."""

from __future__ import annotations

import pytest
from crew import Crew

from rot180.data.options import ImageOptions
from rot180.parallel import start
from rot180.runs.folder import RunFolder
from rot180.runs.follow import follow_run
from rot180.runs.resume import resume_run
from rot180.runs.train_run import RunSettings, train_run


@pytest.mark.parametrize("shards", [None, 2])
def test_a_run_that_continues_on_another_number_of_processes_tells_whether_that_matters(shards, tmp_path):
    settings = RunSettings(limit=60, epochs=1, model="8x8x1 > fc10", engine="numpy", shards=shards)

    def train(member):
        if member.rank:
            return follow_run(member)
        stopped = train_run(settings, out=tmp_path / "run", draw=False, communicator=member).history.stopped
        member.barrier()
        return stopped

    assert Crew(2).run(train) == ["finished", "finished"]
    assert RunFolder(tmp_path / "run").read_environment()["processes"] == 2
    told = []
    resume_run(tmp_path / "run", draw=False, tell=told.append)
    assert any("the number of processes was 2 when the run started and is now 1" in line for line in told) == (
        shards is None
    )


def test_images_are_decoded_on_as_many_threads_as_a_process_has_cores(monkeypatch):
    monkeypatch.setattr(start, "_share_of_cores", 1)
    assert ImageOptions().workers == 1
