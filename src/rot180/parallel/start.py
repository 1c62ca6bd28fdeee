"""Find out whether a launcher of MPI started this process, and connect to the others if it did."""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING

from rot180.errors import ArgumentError, ParallelError

if TYPE_CHECKING:
    from rot180.parallel.communicator import Communicator

RANKS = ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")
"""What launchers tell each process in its environment: MPICH, Intel MPI and Slurm; Slurm and Open MPI; MVAPICH."""

SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")

LAUNCHED = "ROT180_LAUNCHED"
"""An environment variable that `rot180 launch` sets: stdin of process 0 ends with it."""

TURN, MOST_TURNS = 1.0, 8
"""Seconds that a process waits for each one before it, and for how many, so that one error is shown once: enough for
the first to show it and end the others, on a busy machine, too."""

LOST = 71
"""The exit status of processes that have lost each other: EX_OSERR of sysexits.h."""

SECONDS_TO_FINISH = 60.0
"""How long the others leave to process 0 after an error of all of them, which it records."""

_connected: Communicator | None = None
_share_of_cores: int | None = None


def launched() -> tuple[int, int | None] | None:
    """Return this process's rank and the number of processes, None if unknown; None if no launcher started it."""
    rank = next((os.environ[name] for name in RANKS if os.environ.get(name, "").isdecimal()), None)
    if rank is None:
        return None
    size = next((os.environ[name] for name in SIZES if os.environ.get(name, "").isdecimal()), None)
    return int(rank), None if size is None else int(size)


def connect() -> Communicator:
    """Return the communicator of the processes that a launcher started with this one; `ALONE` if there are none.

    To be called before NumPy's and Numba's threads start: the cores of a machine are divided among its processes.

    Raises
    ------
    ArgumentError
        mpi4py or an MPI library is missing.
    ParallelError
        The launcher belongs to another MPI than the library.
    """
    from rot180.parallel.communicator import ALONE

    global _connected, _share_of_cores
    found = launched()
    if _connected is not None or found is None or found[1] == 1:
        return _connected or ALONE
    size = found[1]
    if find_spec("mpi4py") is None:
        raise ArgumentError(
            "an MPI launcher started several processes, which need mpi4py to train together; install it: "
            'pip install "rot180[mpi]"'
        )
    try:
        from rot180.parallel.mpi import MpiCommunicator
    except (ImportError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise ArgumentError(
            f"mpi4py cannot use an MPI library ({reason}); install the one of the launcher, or the package mpich"
        ) from None
    communicator = MpiCommunicator()
    if size is not None and communicator.size != size:
        raise ParallelError(
            f"the launcher started {size} processes, but MPI finds {communicator.size}: the launcher and the library "
            f"that mpi4py uses must be of the same MPI"
        )
    if communicator.size == 1:
        return ALONE
    _connected, _share_of_cores = communicator, communicator.cores
    os.environ.setdefault("NUMBA_NUM_THREADS", str(communicator.cores))
    sys.excepthook = _end_all
    threading.Thread(target=_watch_parent, args=(os.getppid(),), daemon=True).start()
    if communicator.rank == 0 and os.environ.get(LAUNCHED):
        threading.Thread(target=_watch_stdin, daemon=True).start()
    return communicator


def cores() -> int:
    """Return how many cores this process may use; of those that it shares with others of the training, its share."""
    if _share_of_cores is not None:
        return _share_of_cores
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def may_start_processes() -> bool:
    """Return whether this process may start others: not once MPI runs in it, whoever has started that."""
    return "mpi4py.MPI" not in sys.modules


def take_turns() -> None:
    """Wait before showing an error that the processes before this one may have as well: the first one ends all."""
    if _connected is not None and _connected.rank:
        together = _connected.failed_together
        time.sleep(SECONDS_TO_FINISH if together else TURN * min(_connected.rank, MOST_TURNS))


def end_all(status: int) -> None:
    """End the other processes too, if there are any: they would wait for this one forever."""
    if _connected is not None:
        _connected.abort(status)


def _watch_parent(parent: int) -> None:
    """End this process if its launcher was killed, which some launchers leave to us."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(LOST)


def _watch_stdin() -> None:
    """End all processes if `rot180 launch` was killed."""
    while os.read(0, 1):
        pass
    end_all(LOST)


def _end_all(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:
    take_turns()
    traceback.print_exception(kind, error, at)
    end_all(1)
