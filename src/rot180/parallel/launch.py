"""Start processes that train together, watch them from outside, and start them again after a failure."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from rot180.errors import ArgumentError
from rot180.parallel.start import LAUNCHED, RANKS

FINAL = (0, 2, 75, 130)
"""Exit statuses after which there is nothing to start again: success, a user's mistake, an interruption."""

SECONDS_TO_END = 5.0
"""How long the launcher of MPI may remain after the last process of this machine: the network may be down."""

PAUSE = 0.1


def launcher_command(given: str | None) -> list[str]:
    """Return the launcher and its own options; by default the `mpiexec` beside this Python, or the first in the path.

    Raises
    ------
    ArgumentError
        It is not installed, or no command is given.
    """
    try:
        words = ["mpiexec"] if given is None else shlex.split(given)
    except ValueError:
        words = []
    if not words:
        raise ArgumentError(f"--launcher must be a command and its options, quoted as in a shell; it is {given!r}")
    beside = Path(sys.executable).with_name(words[0])
    found = str(beside) if beside.is_file() and os.sep not in words[0] else shutil.which(words[0])
    if found is None:
        raise ArgumentError(
            f"there is no {words[0]!r} to start several processes with; install an MPI, such as: "
            f'pip install "rot180[mpi]"'
        )
    return [found, *words[1:]]


def launch(
    launcher: list[str],
    processes: int,
    arguments: list[str],
    again: Callable[[], list[str]],
    *,
    restarts: int,
    tell: Callable[[str], None],
) -> int:
    """Run `rot180` with some arguments in several processes and return its exit status.

    Parameters
    ----------
    launcher : list of str
        As from `launcher_command`; gets `-n` and the number of processes.
    processes : int
    arguments : list of str
    again : callable
        Returns the arguments with which to continue after a failure.
    restarts : int
        After how many failures to continue.
    tell : callable
        Called with one line for each failure.
    """
    stopping: list[int] = []
    running: list[subprocess.Popen[bytes]] = []

    def forward(number: int, _: FrameType | None) -> None:
        stopping.append(number)
        for process in running:
            process.send_signal(number)

    signals = [signal.SIGINT, signal.SIGTERM]
    before = {one: signal.signal(one, forward) for one in signals}
    code = "import sys; from rot180.cli import main; sys.exit(main())"
    try:
        for failures in range(restarts + 1):
            command = [*launcher, "-n", str(processes), sys.executable, "-P", "-c", code, *arguments]
            status = _run(command, running)
            if status in FINAL or stopping or failures == restarts:
                break
            arguments = again()
            tell(
                f"the processes ended with status {status}; restart {failures + 1} of {restarts} from the last "
                f"checkpoint"
            )
        return status
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _run(command: list[str], running: list[subprocess.Popen[bytes]]) -> int:
    """Run a launcher to its end, or until it remains behind its processes; none of them survives."""
    # Processes end when their stdin does: this process may be killed. Ctrl-C is forwarded, so it must not arrive twice.
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, start_new_session=True, env={**os.environ, LAUNCHED: "1", **_terminal()}
    )
    running.append(process)
    seen, alone_since = False, time.monotonic()
    try:
        while process.poll() is None:
            time.sleep(PAUSE)
            if any(_ranks_below(process.pid)):
                seen, alone_since = True, time.monotonic()
            elif seen and time.monotonic() - alone_since > SECONDS_TO_END:
                process.kill()
    finally:
        running.remove(process)
        if process.poll() is None:
            process.kill()
        status = process.wait()
        if process.stdin is not None:
            process.stdin.close()
    return status if status >= 0 else 128 - status


def _terminal() -> dict[str, str]:
    """Return what lets the first process draw a progress bar on this terminal, to which the launcher writes for it."""
    if not sys.stderr.isatty():
        return {}
    columns, lines = shutil.get_terminal_size()
    return {"FORCE_COLOR": "1", "COLUMNS": str(columns), "LINES": str(lines)}


def _ranks_below(ancestor: int) -> Iterator[int]:
    """Yield the processes of MPI that a process of this machine has started; where /proc is missing, nothing."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name, in parentheses, may contain anything.
            parents[int(entry.parent.name)] = int(entry.read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            continue
    for one in parents:
        above = parents[one]
        while above in parents and above != ancestor:
            above = parents[above]
        if above != ancestor:
            continue
        try:
            environment = Path(f"/proc/{one}/environ").read_bytes()
        except OSError:
            continue
        if any(f"\0{name}=".encode() in b"\0" + environment for name in RANKS):
            yield one
