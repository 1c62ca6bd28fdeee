"""Processes that train one network together: a small communicator, alone or on MPI, and sums in a fixed order.

Only `rot180.parallel.mpi` imports MPI, and only `connect` imports that, if a launcher has started several processes.
"""

from rot180.parallel.start import connect

__all__ = ["connect"]
