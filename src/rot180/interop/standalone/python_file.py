"""A network as one Python file that needs NumPy alone."""

from __future__ import annotations

import base64
import json
import pprint
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from rot180.errors import ModelError, TooLargeError
from rot180.files import write_atomically
from rot180.interop.standalone.examples import Examples, examples_of
from rot180.interop.standalone.operation import Program, program_of
from rot180.memory import require
from rot180.nn.keywords import answering_call
from rot180.nn.network import Network
from rot180.nn.preprocessing import read_resizing
from rot180.ops.types import Array

MAX_WEIGHTS = 200_000_000
"""The most weights that are written: a file of about 1 GB."""

LINE = 4096
"""Characters of a line of weights."""

Progress = Callable[[str, int, int], None]
"""Called with what is being done, and how much of how much is done."""


@dataclass(frozen=True)
class PythonFile:
    """What `export_python` has written.

    Attributes
    ----------
    path : str
    size, weights, operations : int
        The numbers of bytes, of weights and of operations.
    examples : int
        How many inputs it holds with their outputs.
    difference : float
        The largest difference between its outputs for them and those of `rot180.predict`.
    tolerance : float
        How large that may be.
    """

    path: str
    size: int
    weights: int
    operations: int
    examples: int
    difference: float
    tolerance: float

    def to_dict(self) -> dict[str, Any]:
        """Return everything as numbers and texts, ready for JSON."""
        return asdict(self)


@answering_call
def export_python(model: Network, path: str | Path, *, progress: Progress | None = None) -> PythonFile:
    """Write a network as one Python file that needs NumPy alone.

    It holds the weights, the preprocessing, the class names, and a few inputs with the outputs that it must give. It
    has run, and given them, before it gets its name. `python predict.py --verify` shows that again anywhere;
    `python predict.py image.png` classifies an image, and `from predict import predict` takes arrays.

    Parameters
    ----------
    model : Network
        Built.
    path : str or Path
        An existing file is replaced.
    progress : callable, optional
        Called before each part of the work with what is being done, and how many parts of how many are done.

    Returns
    -------
    PythonFile

    Raises
    ------
    ArgumentError
        The model is not built, or has a layer of a user's own.
    NonFiniteError
        A weight is infinite, NaN or beyond float32.
    TooLargeError
        The weights exceed what such a file may hold, or the memory.
    ModelError
        The file cannot be written, or does not compute what the network does; an existing file is unchanged.

    Examples
    --------
    >>> from rot180.nn import network
    >>> path = Path(tempfile.mkdtemp()) / "predict.py"
    >>> written = export_python(network("8x8x1 > conv3x3:4 bn relu > fc10").build(seed=0), path)
    >>> written.operations, written.difference <= written.tolerance
    (3, True)
    """
    tell = progress or (lambda what, done, total: None)
    program = program_of(model, "export_python")
    if program.weights > MAX_WEIGHTS:
        raise TooLargeError(
            f"export_python: a Python file holds at most {MAX_WEIGHTS:,} weights, but the network has "
            f"{program.weights:,}; export it as ONNX, or save it as safetensors"
        )
    require(20 * program.weights, "export_python: the file")
    tell("writing the program", 0, 2)
    examples = examples_of(model)
    data = python_text(program, examples).encode("ascii")
    tell("running the program", 1, 2)
    difference = _largest_difference(data, examples.tolerance)
    write_atomically(path, data)
    tell("running the program", 2, 2)
    return PythonFile(
        str(path),
        len(data),
        program.weights,
        len(program.operations),
        len(examples.small),
        difference,
        examples.tolerance,
    )


def python_text(program: Program, examples: Examples) -> str:
    """Return the text of the file, which is ASCII."""
    arrays = [array for operation in program.operations for array in operation.arrays.values()]
    arrays += [examples.small, examples.outputs]
    source = files("rot180.interop.standalone").joinpath("numpy_program.py").read_text(encoding="utf-8")
    body = source[source.index('"""', 3) + 4 :]
    described = pprint.pformat(description(program, examples, arrays), width=116, compact=True, sort_dicts=False)
    # repr may hold any letters of class names and notations
    described = described.encode("ascii", "backslashreplace").decode("ascii")
    body = body.replace("PROGRAM: dict = {}", f"PROGRAM = {described}")
    data = zlib.compress(b"".join(_bytes(array) for array in arrays), 6)
    packed = base64.b85encode(data).decode("ascii")
    lines = "\n".join(f"# {packed[at : at + LINE]}" for at in range(0, len(packed), LINE))
    return f"{_head(program)}{body}\n\n# rot180 weights\n# {len(packed)} characters, base85 of zlib\n{lines}\n"


def description(program: Program, examples: Examples, arrays: list[Array]) -> dict[str, Any]:
    """Return everything but the numbers as texts, numbers, lists and tuples."""
    pixels = program.preprocessing.pixels
    return {
        "notation": program.notation,
        "input_shape": program.input_shape,
        "output_shape": program.output_shape,
        "class_names": None if program.class_names is None else list(program.class_names),
        "preprocessing": program.preprocessing.kind,
        "mean": program.preprocessing.mean,
        "std": program.preprocessing.std,
        "pixels": None if pixels is None else {**pixels.to_dict(), "white": pixels.white},
        "resize": tuple(read_resizing(program.preprocessing.resize)),
        "finish": program.finish,
        "examples": examples.small.shape,
        "example_type": examples.dtype,
        "tolerance": examples.tolerance,
        "data": [("i" if array.dtype.kind == "i" else "f", array.size) for array in arrays],
        "operations": [
            {
                "kind": operation.kind,
                "name": operation.name,
                "reads": operation.reads,
                "takes": operation.takes,
                "shape": operation.shape,
                "numbers": dict(operation.numbers),
                "arrays": {name: array.shape for name, array in operation.arrays.items()},
            }
            for operation in program.operations
        ],
    }


def _head(program: Program) -> str:
    return (
        '"""A network of rot180 that needs NumPy alone.\n\n'
        "python predict.py image.png     classify an image (image files need Pillow; arrays, .npy, do not)\n"
        "python predict.py --verify      compare the results for the examples inside with those of rot180\n"
        "from predict import predict     probabilities for images (N, H, W, C)\n"
        '"""\n\n# ruff: noqa\n'
    )


def _bytes(array: Array) -> bytes:
    return np.ascontiguousarray(array, "<i4" if array.dtype.kind == "i" else "<f4").tobytes()


def _largest_difference(data: bytes, tolerance: float) -> float:
    """Run the file as a program of its own, and return what `verify` does there.

    Raises
    ------
    ModelError
        It does not run, or its outputs differ by more than rounding.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "predict.py"
        write_atomically(path, data)
        command = [sys.executable, "-I", str(path), "--verify", "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        difference = float(json.loads(done.stdout)["difference"])
    except ValueError:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ModelError(f"export_python: the file does not run ({reason}); nothing is written; report this") from None
    if not difference <= tolerance:
        raise ModelError(
            f"export_python: the outputs of the file differ from the network's by {difference:.1e}; nothing is "
            f"written; report this"
        )
    return difference
