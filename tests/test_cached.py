"""Attributes that are computed once, in a process that was forked while another thread computed one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

FORKED = """
import os
from threading import Event, Thread
from rot180.cached import cached_property

class Slow:
    def __init__(self, *waits):
        self.waits = waits

    @cached_property
    def value(self):
        for begun, ended in self.waits:
            begun.set()
            ended.wait()
        return 7

begun, ended = Event(), Event()
slow = Slow((begun, ended))
thread = Thread(target=lambda: slow.value)
thread.start()
begun.wait()
child = os.fork()
if child == 0:
    os._exit(Slow().value)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
ended.set()
thread.join()
print(status, slow.value)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_does_not_wait_for_a_thread_that_it_does_not_have() -> None:
    command = [sys.executable, "-W", "ignore", "-c", FORKED]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.stdout.split(), done.returncode) == (["7", "7"], 0), done.stderr
