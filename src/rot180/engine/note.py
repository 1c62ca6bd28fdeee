"""A note while the kernels are compiled, which happens once on a machine and takes some seconds."""

from __future__ import annotations

import sys

NOTE = "compiling the kernels for this machine, once: 10 to 20 seconds"

_listens = False


def note_compiling() -> None:
    """Say on stderr, once, when a kernel is compiled from now on; who finds all of them cached hears nothing.

    Silent where nobody reads along: stderr is neither a terminal nor a notebook's.
    """
    global _listens
    if _listens or not (sys.stderr.isatty() or "ipykernel" in sys.modules):
        return
    _listens = True
    from numba.core import event

    class Note(event.Listener):  # type: ignore[misc]  # Numba has no types
        told = False

        def on_start(self, event: event.Event) -> None:
            if not self.told and event.data["module"].startswith("rot180."):
                self.told = True
                print(NOTE, file=sys.stderr, flush=True)

        def on_end(self, event: event.Event) -> None:
            pass

    event.register("numba:run_pass", Note())
