"""A network as one C99 header: no library but the standard one, no allocation, weights in constant memory."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rot180.errors import TooLargeError
from rot180.files import write_atomically
from rot180.interop.standalone.arena import places
from rot180.interop.standalone.c_text import Blob, c_text, call_of
from rot180.interop.standalone.operation import program_of
from rot180.interop.standalone.weights import check_weights, stored_as
from rot180.memory import require
from rot180.nn.keywords import answering_call
from rot180.nn.network import Network

MAX_BYTES = 160_000_000
"""The largest weights in bytes that are written, for which a compiler takes about a gigabyte."""


@dataclass(frozen=True)
class CHeader:
    """What `export_c` has written.

    Attributes
    ----------
    path : str
    prefix : str
        What the names in it begin with.
    size : int
        The bytes of the file.
    weight_bytes, arena_bytes : int
        The bytes of constant memory for the weights, and of memory that the caller provides.
    operations, examples : int
        The numbers of operations, and of inputs that it holds with their outputs.
    """

    path: str
    prefix: str
    size: int
    weight_bytes: int
    arena_bytes: int
    operations: int
    examples: int

    def to_dict(self) -> dict[str, Any]:
        """Return everything as numbers and texts, ready for JSON."""
        return asdict(self)


@answering_call
def export_c(model: Network, path: str | Path, *, weights: str = "float32") -> CHeader:
    """Write a network as one C99 header.

    It needs the standard library's `math.h` alone, allocates nothing, and keeps its weights in constant memory; the
    caller provides the memory for values. It holds the preprocessing, the class names and a few inputs with the outputs
    that it must give: compiled with `-DMODEL_TEST -x c model.h -lm`, it is a program that compares them.

    Parameters
    ----------
    model : Network
        Built.
    path : str or Path
        An existing file is replaced. The name of the file is the prefix of all names in it.
    weights : {"float32", "int8"}
        How the weights of convolutions and fully connected layers are stored: int8 takes a quarter of the memory, with
        one scale for each filter. Computations are in float32.

    Returns
    -------
    CHeader

    Raises
    ------
    ArgumentError
        The model is not built, has a layer of a user's own, or `weights` is unknown.
    NonFiniteError
        A weight is infinite, NaN or beyond float32.
    TooLargeError
        The weights exceed what such a file may hold, or the memory.
    ModelError
        The file cannot be written; an existing file is unchanged.

    Examples
    --------
    >>> import tempfile
    >>> from rot180.nn import network
    >>> path = Path(tempfile.mkdtemp()) / "model.h"
    >>> written = export_c(network("8x8x1 > conv3x3:4 bn relu > fc10").build(seed=0), path)
    >>> written.weight_bytes, written.arena_bytes, written.prefix
    (5960, 832, 'model')
    """
    check_weights(weights)
    program, examples = stored_as(weights, program_of(model, "export_c"), model)
    blob = Blob()
    calls = [call_of(operation, blob) for operation in program.operations]
    if len(blob) > MAX_BYTES:
        raise TooLargeError(
            f"export_c: a C header holds at most {MAX_BYTES // 10**6} MB of weights, but the network has "
            f"{len(blob) / 1e6:.0f} MB; choose weights='int8', or export it as ONNX"
        )
    require(8 * len(blob), "export_c: the file")
    prefix = re.sub(r"\W", "_", Path(path).stem, flags=re.ASCII)
    prefix = f"model_{prefix}" if not prefix[:1].isalpha() else prefix
    offsets, count = places(program)
    data = c_text(program, examples, prefix, calls, offsets, count, blob).encode("ascii")
    write_atomically(path, data)
    return CHeader(str(path), prefix, len(data), len(blob), 4 * count, len(program.operations), len(examples.small))
