"""Machine code in files: what one process has compiled, every later one loads without Numba.

A file holds the SHA-256 of what follows; a line with the name of a function, and those of all that it calls from
outside; and object code. Loading it takes LLVM alone, a fraction of a millisecond. Numba first imports all that it can
compile, NumPy's functions above all, which would take longer than everything else before a first step.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm

from rot180.errors import ModelError
from rot180.files.folder import make_folder
from rot180.files.writing import write_atomically

_DIGEST = sha256().digest_size
_engines: list[Any] = []
"""What keeps loaded code in memory: for as long as the process runs, since anybody may hold an address."""


def save(path: Path, name: str, outside: Iterable[str], code: bytes) -> None:
    """Write a function to a file; without it, as on a full disk, the function is compiled in the next process again."""
    content = " ".join([name, *outside]).encode() + b"\n" + code
    with suppress(ModelError, OSError):
        make_folder(path.parent)
        write_atomically(path, sha256(content).digest() + content)


def load(path: Path) -> int | None:
    """Return the address of the function in a file; None if there is none, if it is damaged, or calls what is not here.

    A file with machine code is trusted as much as the program itself: it is in a folder of the user.
    """
    try:
        found = path.read_bytes()
    except OSError:
        return None
    digest, content = found[:_DIGEST], found[_DIGEST:]
    if sha256(content).digest() != digest:
        return None
    first, code = content.split(b"\n", 1)
    name, *outside = first.decode().split(" ")
    # An engine of its own: code that was compiled in other processes may use the same names for other functions.
    triple = llvm.get_process_triple()
    engine = llvm.create_mcjit_compiler(
        llvm.parse_assembly(f'target triple = "{triple}"'), _target(triple).create_target_machine()
    )
    if not all(map(llvm.address_of_symbol, outside)):
        return None
    engine.add_object_file(llvm.object_file.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _engines.append(engine)
    return int(engine.get_function_address(name)) or None


@cache
def _target(triple: str) -> Any:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_triple(triple)
