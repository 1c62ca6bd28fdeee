"""Progress while kernels are compiled, which happens once per machine and takes some seconds."""

from __future__ import annotations

import sys

from rot180.language import translate


def tell_compiling(done: int, count: int) -> None:
    """Print on stderr how many of the kernels have been compiled, one line in all.

    Silent if stderr is neither a terminal nor a notebook's.
    """
    if not (sys.stderr.isatty() or "ipykernel" in sys.modules):
        return
    text = translate(f"compiling kernels for this machine, once: {done} of {count}")
    print(f"\r{text}", end="\n" if done == count else "", file=sys.stderr, flush=True)
