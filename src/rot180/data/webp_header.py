"""The size of a WebP image from its header: Pillow allocates the whole image when it opens one."""

from __future__ import annotations

HEADER = 30
"""Bytes that hold the size in every form of the format."""


def webp_size(head: bytes) -> tuple[int, int] | None:
    """Return width and height that a WebP file claims; None if it is no such file, or damaged.

    Parameters
    ----------
    head : bytes
        The first `HEADER` bytes of the file, or more.

    References
    ----------
    RFC 9649, sections 2.5 to 2.7 and 3.4.

    Examples
    --------
    >>> from io import BytesIO
    >>> from PIL import Image
    >>> file = BytesIO()
    >>> Image.new("RGB", (20, 10)).save(file, "WEBP")
    >>> webp_size(file.getvalue()), webp_size(b"P6 20 10 255 ")
    ((20, 10), None)
    """
    if len(head) < HEADER or head[:4] != b"RIFF" or head[8:12] != b"WEBP":
        return None
    form = head[12:16]
    if form == b"VP8X":  # extended: the canvas minus one, 24 bits each
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    if form == b"VP8L" and head[20] == 0x2F:  # lossless: minus one, 14 bits each, one after the other
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if form == b"VP8 " and head[23:26] == b"\x9d\x01\x2a":  # lossy: 14 bits each, above them a scale
        return int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF
    return None
