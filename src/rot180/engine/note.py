"""A note shown while the kernels are compiled, which happens once per machine and takes some seconds."""

from __future__ import annotations

import sys

NOTE = "compiling the kernels for this machine, once: 10 to 20 seconds"

_listens = False


def note_compiling() -> None:
    """Print a note on stderr the first time that a kernel is compiled; nothing if all of them are cached.

    Silent if stderr is neither a terminal nor a notebook's.
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
