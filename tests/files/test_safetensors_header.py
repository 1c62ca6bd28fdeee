"""The header of a safetensors file: every promise is checked."""

from __future__ import annotations

import json
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rot180.errors import ModelError
from rot180.files.safetensors_header import ArrayEntry, read_header


def entry(shape=(2,), offsets=(0, 8), dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def write(tmp_path, header, values=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path = tmp_path / "file.safetensors"
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + values)
    return path


def test_a_good_header(tmp_path):
    header = {
        "__metadata__": {"key": "value"},
        "b": entry((1,), (8, 16), "F64"),
        "a": entry(),
        "none": entry((0, 3), (16, 16)),
    }
    found = read_header(write(tmp_path, header, bytes(16)))
    assert found.metadata == {"key": "value"}
    assert found.arrays == {
        "b": ArrayEntry("F64", (1,)), "a": ArrayEntry("F32", (2,)), "none": ArrayEntry("F32", (0, 3))
    }  # fmt: skip


@pytest.mark.parametrize(
    ("header", "values", "message"),
    [
        (b"{", b"", "the header is not JSON"),
        (b"\xff\xfe", b"", "the header is not JSON"),
        (b"[" * 100_000, b"", "the header is not JSON"),
        (b'{"a": 1, "a": 2}', b"", "a name occurs twice"),
        (b"[1]", b"", "expected a table of arrays"),
        ({"__metadata__": {"key": 1}}, b"", "expected strings by name"),
        ({"__metadata__": []}, b"", "expected strings by name"),
        ({"a": 1}, b"", "array 'a': expected dtype, shape and data_offsets"),
        ({"a": entry() | {"more": 1}}, bytes(8), "array 'a': expected dtype, shape and data_offsets"),
        (
            {"a": entry(dtype="I64", shape=(1,))},
            bytes(8),
            "expected one of F32, F64, F16, BF16, found 'I64'; convert",
        ),
        ({"a": entry(dtype=["F32"])}, bytes(8), "expected the name of a type"),
        ({"a": entry(shape=(-2,))}, bytes(8), "lists of whole numbers"),
        ({"a": entry(shape=(True, 2))}, bytes(8), "lists of whole numbers"),
        ({"a": entry(shape=(2.0,))}, bytes(8), "lists of whole numbers"),
        ({"a": entry(offsets=(0, 8, 16))}, bytes(8), "lists of whole numbers"),
        ({"a": entry(shape=(1,) * 9, offsets=(0, 4))}, bytes(4), "lists of whole numbers"),
        ({"a": entry(shape=(2**40, 2**40))}, bytes(8), "expected 4835703278458516698824704 bytes, found 8"),
        ({"a": entry(shape=(3,))}, bytes(8), r"expected 12 bytes, found 8 for the shape \(3,\)"),
        ({"a": entry(offsets=(8, 0))}, bytes(8), "expected 8 bytes, found -8"),
        ({"a": entry(), "b": entry()}, bytes(8), "expected an array at byte 8 of the values, found the next at 0"),
        ({"a": entry(), "b": entry(offsets=(12, 20))}, bytes(20), "expected an array at byte 8"),
        ({"a": entry()}, bytes(7), "expected 8 bytes of values, found 7"),
        ({"a": entry()}, bytes(9), "expected 8 bytes of values, found 9"),
        ({str(n): entry((0,), (0, 0)) for n in range(10_001)}, b"", "at most 10000 arrays, found 10001"),
        (b" " * 1_000_001, b"", "a header of at most 1000000 bytes, found 1000001"),
    ],
)
def test_promises_that_are_not_kept(tmp_path, header, values, message):
    path = write(tmp_path, header, values)
    with pytest.raises(ModelError, match=message) as caught:
        read_header(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_header_longer_than_the_file(tmp_path):
    with pytest.raises(ModelError, match="expected a header of 18446744073709551615 bytes, but only 2 bytes follow"):
        read_header(write(tmp_path, b"{}", length=2**64 - 1))
    (tmp_path / "short").write_bytes(b"1234")
    with pytest.raises(ModelError, match="0 bytes follow"):
        read_header(tmp_path / "short")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.sampled_from(["F32", "F64"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["dtype", "shape", "data_offsets", "__metadata__", "a"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(header=json_values, values=st.binary(max_size=16))
def test_any_json_is_a_header_or_a_model_error(tmp_path_factory, header, values):
    try:
        read_header(write(tmp_path_factory.getbasetemp(), header, values))
    except ModelError:
        pass
