"""A network as one page of HTML, which works from a file and without a network connection."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from rot180.errors import ArgumentError, TooLargeError
from rot180.files import write_atomically
from rot180.interop.standalone.examples import Examples
from rot180.interop.standalone.operation import Program, program_of
from rot180.interop.standalone.python_file import description
from rot180.interop.standalone.weights import check_weights, stored_as
from rot180.memory import require
from rot180.nn.keywords import answering_call
from rot180.nn.network import Network
from rot180.ops.types import Array

MAX_BYTES = 160_000_000
"""The largest weights in bytes that are written, with which a page opens in some seconds."""


@dataclass(frozen=True)
class Page:
    """What `export_page` has written.

    Attributes
    ----------
    path : str
    size, weights, operations, examples : int
        The numbers of bytes, weights, operations, and inputs that it holds with their outputs.
    """

    path: str
    size: int
    weights: int
    operations: int
    examples: int

    def to_dict(self) -> dict[str, Any]:
        """Return everything as numbers and texts, ready for JSON."""
        return asdict(self)


@answering_call
def export_page(model: Network, path: str | Path, *, weights: str = "float32") -> Page:
    """Write a network as one page of HTML: draw or drop a picture, and see the classes.

    The page works from a file, and its security policy lets it send or load nothing. It holds the weights, the
    preprocessing, the class names, and a few inputs with the outputs that it must give; a line on it says whether it
    does. It is in English and Chinese, and works from the keyboard.

    Parameters
    ----------
    model : Network
        Built, for gray or colored images.
    path : str or Path
        An existing file is replaced.
    weights : {"float32", "int8"}
        As in `export_c`.

    Returns
    -------
    Page

    Raises
    ------
    ArgumentError
        The model is not built, has a layer of a user's own, takes no pictures or does not return classes; or `weights`
        is unknown.
    NonFiniteError
        A weight is infinite, NaN or beyond float32.
    TooLargeError
        The weights exceed what such a page may hold, or the memory.
    ModelError
        The file cannot be written; an existing file is unchanged.

    Examples
    --------
    >>> import tempfile
    >>> from rot180.nn import network
    >>> path = Path(tempfile.mkdtemp()) / "page.html"
    >>> export_page(network("8x8x1 > conv3x3:4 relu > fc10").build(seed=0), path).operations
    3
    """
    check_weights(weights)
    program = program_of(model, "export_page")
    pixels = model.preprocessing.pixels
    if len(program.input_shape) != 3 or program.input_shape[2] not in (1, 3) or len(program.output_shape) != 1:
        raise ArgumentError(
            f"export_page: a page is for a network that tells the class of a gray or colored picture; this one takes "
            f"{program.input_shape} and returns {program.output_shape}; export it as ONNX, Python or C"
        )
    if pixels is not None and pixels.is_signed:
        raise ArgumentError(
            f"export_page: a page takes pictures, but this network was trained on {pixels.text}, normalized; train it "
            f"on the pictures themselves"
        )
    program, examples = stored_as(weights, program, model)
    arrays = [array for operation in program.operations for array in operation.arrays.values()]
    size = sum(array.nbytes for array in arrays)
    if size > MAX_BYTES:
        raise TooLargeError(
            f"export_page: a page holds at most {MAX_BYTES // 10**6} MB of weights, but the network has "
            f"{size / 1e6:.0f} MB; choose weights='int8', or export it as ONNX"
        )
    require(6 * size, "export_page: the page")
    data = page_text(program, examples, model, [*arrays, examples.small, examples.outputs]).encode("utf-8")
    write_atomically(path, data)
    return Page(str(path), len(data), program.weights, len(program.operations), len(examples.small))


def page_text(program: Program, examples: Examples, model: Network, arrays: list[Array]) -> str:
    """Return the text of the page."""
    pixels, seen = program.preprocessing.pixels, model.image_statistics
    described = description(program, examples, arrays)
    for operation in described["operations"]:
        operation["kind"] = operation["kind"].replace("convolution8", "convolution")
    described |= {
        "data": [("c" if array.dtype.itemsize == 1 else array.dtype.kind, array.size) for array in arrays],
        "white": program.white,
        "unit": 255.0 if pixels is None else pixels.high,
        "dark": program.input_shape[2] == 1 and (seen is None or sum(seen.background) < 1),
    }
    part = files("rot180.interop.standalone").joinpath("page")
    names = ("page.html", "page.css", "network.js", "page.js")
    parts = {name: part.joinpath(name).read_text(encoding="utf-8") for name in names}
    # in a script, only `<` could end it
    text = json.dumps(described, ensure_ascii=False).replace("<", "\\u003c")
    packed = base64.b64encode(b"".join(_bytes(array) for array in arrays)).decode("ascii")
    page = parts["page.html"].replace("@css@", parts["page.css"].rstrip())
    page = page.replace("@script@", parts["network.js"] + "\n" + parts["page.js"].rstrip())
    before, _, rest = page.partition("@program@")
    middle, _, after = rest.partition("@data@")
    return "".join((before, text, middle, packed, after))


def _bytes(array: Array) -> bytes:
    kind = "i1" if array.dtype.itemsize == 1 else "<i4" if array.dtype.kind == "i" else "<f4"
    data = np.ascontiguousarray(array, kind).tobytes()
    return data + bytes(-len(data) % 4)
