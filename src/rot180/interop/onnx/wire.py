"""The wire format of protocol buffers, read within bounds and without copying.

A message is a sequence of fields; each begins with a key, `number << 3 | kind`, a varint:

    kind 0    a varint: seven bits a byte, the lowest first, the high bit set in all but the last byte
    kind 1    eight bytes
    kind 2    a varint n and n bytes: a text, bytes, a message, or numbers one after the other
    kind 5    four bytes

ONNX files need nothing else. Whoever reads a message asks for the fields that he knows; the others are skipped. The
number of fields in a file is bounded, as each of them costs far more memory than its two bytes when it is kept.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

from rot180.errors import ModelError
from rot180.ops.types import Array

MAX_FIELDS = 400_000
"""The most fields and numbers of varying length in a file; DenseNet-121 has 12,000."""

Field = int | memoryview
"""A number, or the bytes of anything else."""

_SIGN = 1 << 63


class Message:
    """The bytes of a message.

    Parameters
    ----------
    data : memoryview
        Of bytes.
    path : str
        The file, for messages.
    left : list of int
        How many more fields may be read, shared by all messages of a file.

    Examples
    --------
    >>> message = Message(memoryview(bytes([0x08, 0x96, 0x01, 0x12, 0x02, 0x68, 0x69])), "model.onnx")
    >>> (one, number), (two, text) = message.fields()
    >>> one, number, two, message.text_of(text)
    (1, 150, 2, 'hi')
    """

    def __init__(self, data: memoryview, path: str, left: list[int] | None = None) -> None:
        self.data, self.path = data, path
        self._left = [MAX_FIELDS] if left is None else left

    def fields(self) -> Iterator[tuple[int, Field]]:
        """Yield the number and value of each field, in the order of the file.

        Raises
        ------
        ModelError
            The message is damaged, or the file has more than `MAX_FIELDS` fields.
        """
        data, at, end = self.data, 0, len(self.data)
        while at < end:
            self._spend()
            key, at = self._varint(at)
            number, kind = key >> 3, key & 7
            value: Field
            if kind == 0:
                value, at = self._varint(at)
            elif kind in (1, 2, 5):
                size = 8 if kind == 1 else 4
                if kind == 2:
                    size, at = self._varint(at)
                if size > end - at:
                    raise self.damaged("it ends in the middle of a field")
                value = data[at : at + size]
                at += size
            else:
                raise self.damaged(f"a field of kind {kind}")
            yield number, value

    def inner(self, value: Field) -> Message:
        """Return a field that is a message."""
        return Message(self.bytes_of(value), self.path, self._left)

    def bytes_of(self, value: Field) -> memoryview:
        """Return a field that is bytes."""
        if isinstance(value, int):
            raise self.damaged("a number in the place of bytes")
        return value

    def text_of(self, value: Field) -> str:
        """Return a field that is a text, of at most 10,000 bytes."""
        data = self.bytes_of(value)
        if len(data) > 10_000:
            raise self.damaged(f"a name of {len(data):,} bytes")
        try:
            return str(data, "utf-8")
        except UnicodeDecodeError:
            raise self.damaged("a text that is not UTF-8") from None

    def int_of(self, value: Field) -> int:
        """Return a field that is a whole number, which may be negative."""
        if not isinstance(value, int):
            raise self.damaged("bytes in the place of a number")
        return value - 2 * _SIGN if value >= _SIGN else value

    def float_of(self, value: Field) -> float:
        """Return a field that is a float of 32 bits."""
        data = self.bytes_of(value)
        if len(data) != 4:
            raise self.damaged("a float must have four bytes")
        (number,) = struct.unpack("<f", data)
        return float(number)

    def ints_of(self, value: Field) -> list[int]:
        """Return one or several whole numbers: a field is repeated, or holds them one after the other."""
        if isinstance(value, int):
            return [self.int_of(value)]
        packed = Message(value, self.path, self._left)
        numbers, at = [], 0
        while at < len(value):
            self._spend()
            number, at = packed._varint(at)
            numbers.append(self.int_of(number))
        return numbers

    def array_of(self, value: Field, dtype: str) -> Array:
        """Return numbers of fixed length, one after the other: a view of the file."""
        data = self.bytes_of(value)
        if len(data) % np.dtype(dtype).itemsize:
            raise self.damaged("numbers of fixed length that end in the middle of one")
        array: Array = np.frombuffer(data, dtype)
        return array

    def damaged(self, reason: str) -> ModelError:
        """Return the error for a file that is not what it should be."""
        return ModelError(f"{self.path}: not an ONNX file, or a damaged one ({reason}); use another copy")

    def _spend(self) -> None:
        self._left[0] -= 1
        if self._left[0] < 0:
            raise ModelError(f"{self.path}: an ONNX file may have at most {MAX_FIELDS:,} fields; this one has more")

    def _varint(self, at: int) -> tuple[int, int]:
        """Return the varint that begins at a place, and the place behind it."""
        data, number, shift = self.data, 0, 0
        while shift < 70:
            if at >= len(data):
                raise self.damaged("it ends in the middle of a number")
            byte = data[at]
            at += 1
            number |= (byte & 127) << shift
            if byte < 128:
                return number & (2 * _SIGN - 1), at
            shift += 7
        raise self.damaged("a number of more than ten bytes")
