"""The tensors of the Open Inference Protocol, in JSON and in binary, in requests and answers.

In binary, the JSON of a request is followed by the tensors' numbers: `Inference-Header-Content-Length` tells how long
it is, and `binary_data_size` of a tensor how many bytes are its own. Answers likewise, where they are asked for so.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rot180.errors import ArgumentError, did_you_mean, short
from rot180.ops.types import Array
from rot180.serve.served import DATATYPES, VERSION, Served, datatype_of

LENGTH_HEADER = "inference-header-content-length"

MOST_AXES = 8


@dataclass(frozen=True)
class Asked:
    """A request for tensors.

    Attributes
    ----------
    images : (N, ...)
        As they came.
    id : str or None
        Returned with the answer.
    in_binary : bool
        Whether the answer's numbers are wanted in binary.
    """

    images: Array
    id: str | None
    in_binary: bool


def read_request(body: bytes, header_length: str | None, served: Served) -> Asked:
    """Read a request.

    Parameters
    ----------
    body : bytes
    header_length : str or None
        The value of `Inference-Header-Content-Length`, if there is one.
    served : Served
        The network that it is for.

    Raises
    ------
    ArgumentError
        It is not a request of the protocol, or not one for this network.
    """
    head, tail = _parted(body, header_length)
    try:
        asked = json.loads(head)
    except (ValueError, RecursionError):
        asked = None
    if not isinstance(asked, dict):
        raise ArgumentError("a request is one JSON object with 'inputs'")
    identity = asked.get("id")
    if identity is not None and not (isinstance(identity, str) and len(identity) <= 1000):
        raise ArgumentError(f"id must be a text; it is {short(identity)}")
    inputs = asked.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise ArgumentError(f"inputs must be a list of one tensor, {served.input_name!r}; got {short(inputs)}")
    return Asked(_tensor(inputs[0], tail, served), identity, _wants_binary(asked, served))


def _parted(body: bytes, header_length: str | None) -> tuple[bytes, memoryview]:
    """Return the JSON of a request, and what follows it."""
    if header_length is None:
        return body, memoryview(b"")
    if not (header_length.isascii() and header_length.isdigit()) or int(header_length[:15]) > len(body):
        raise ArgumentError(
            f"Inference-Header-Content-Length must be the bytes of the JSON, at most the {len(body)} of the body; it "
            f"is {short(header_length)}"
        )
    length = int(header_length[:15])
    return body[:length], memoryview(body)[length:]


def _wants_binary(asked: Mapping[str, Any], served: Served) -> bool:
    wanted = parameters_of(asked).get("binary_data_output", False)
    outputs = asked.get("outputs", [])
    if not isinstance(outputs, list) or not all(isinstance(output, dict) for output in outputs):
        raise ArgumentError(f"outputs must be a list of objects with a name; it is {short(outputs)}")
    for output in outputs:
        name = output.get("name")
        if name != served.output_name:
            raise ArgumentError(f"{served.name} has no output {short(name)}; its output is {served.output_name!r}")
        wanted = parameters_of(output).get("binary_data", wanted)
    if not isinstance(wanted, bool):
        raise ArgumentError(f"binary_data must be true or false; it is {short(wanted)}")
    return wanted


def parameters_of(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a request or tensor; those that mean nothing here are passed over."""
    found = asked.get("parameters", {})
    if not isinstance(found, dict):
        raise ArgumentError(f"parameters must be an object; it is {short(found)}")
    return found


def _tensor(given: Mapping[str, Any], tail: memoryview, served: Served) -> Array:
    name, datatype, shape = given.get("name"), given.get("datatype"), given.get("shape")
    if name != served.input_name:
        raise ArgumentError(f"{served.name} has no input {short(name)}; its input is {served.input_name!r}")
    if not isinstance(datatype, str) or datatype not in DATATYPES:
        raise ArgumentError(f"unknown datatype {short(datatype)}{did_you_mean(str(datatype)[:20], DATATYPES)}")
    if (
        not isinstance(shape, list)
        or len(shape) > MOST_AXES
        or not all(isinstance(size, int) and not isinstance(size, bool) and 0 < size < 1 << 40 for size in shape)
    ):
        raise ArgumentError(f"shape must be a list of whole numbers above 0; it is {short(shape)}")
    served.model.refuse_shape(tuple(shape))
    size = math.prod(shape)
    parameters = parameters_of(given)
    if "binary_data_size" in parameters:
        values = _from_binary(parameters["binary_data_size"], tail, DATATYPES[datatype], size)
    else:
        if len(tail):
            raise ArgumentError("numbers follow the JSON, but its tensor has no binary_data_size")
        values = _from_json(given.get("data"), DATATYPES[datatype], size)
    return values.reshape(shape)


def _from_binary(given: object, tail: memoryview, dtype: np.dtype[Any], size: int) -> Array:
    needed = size * dtype.itemsize
    if given != needed or isinstance(given, bool) or len(tail) != needed:
        raise ArgumentError(
            f"binary_data_size must be {needed}, the bytes of the tensor, and as many must follow the JSON; it is "
            f"{short(given)}, and {len(tail)} follow"
        )
    found = np.frombuffer(tail, np.uint8 if dtype.kind == "b" else dtype)
    if dtype.kind == "b":  # any byte other than 0 is true
        return np.asarray(found != 0)
    return found.astype(dtype.newbyteorder("="), copy=False)


def _from_json(data: object, dtype: np.dtype[Any], size: int) -> Array:
    if not isinstance(data, list):
        raise ArgumentError(f"data must be a list of numbers; it is {short(data)}")
    try:
        values = np.array(data)
    except (ValueError, OverflowError, RecursionError):
        values = np.array(None)
    if values.dtype.kind not in "biuf":
        raise ArgumentError("data must be numbers, in one list or nested like the shape")
    if values.size != size:
        raise ArgumentError(f"data must be the {size:,} numbers of the shape; it is {values.size:,}")
    native = dtype.newbyteorder("=")
    if dtype.kind == "f":
        with np.errstate(over="ignore"):  # infinities are refused later, as those that were sent
            return values.astype(native)
    if dtype.kind == "b":
        fits = values.dtype.kind == "b" or bool(np.isin(values, (0, 1)).all())
    else:
        limits = np.iinfo(native)
        fits = values.dtype.kind != "f" and int(values.min()) >= limits.min and int(values.max()) <= limits.max
    if not fits:
        raise ArgumentError(f"data has values that are not {native.name}")
    return values.astype(native)


def write_answer(answers: Array, asked: Asked, served: Served) -> tuple[bytes, dict[str, str]]:
    """Return the body and the headers of an answer.

    Numbers in JSON have as many digits as it takes to read the same bits again.
    """
    output: dict[str, Any] = {
        "name": served.output_name,
        "datatype": datatype_of(answers),
        "shape": list(answers.shape),
    }
    told: dict[str, Any] = {"model_name": served.name, "model_version": VERSION, "outputs": [output]}
    if asked.id is not None:
        told["id"] = asked.id
    if not asked.in_binary:
        output["data"] = answers.ravel().tolist()
        return json.dumps(told).encode(), {"content-type": "application/json"}
    data = answers.astype(answers.dtype.newbyteorder("<"), copy=False).tobytes()
    output["parameters"] = {"binary_data_size": len(data)}
    head = json.dumps(told).encode()
    return head + data, {"content-type": "application/octet-stream", LENGTH_HEADER: str(len(head))}
