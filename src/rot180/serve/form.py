"""Files in a form, as browsers and `curl -F` send them: multipart/form-data."""

from __future__ import annotations

import re

from rot180.errors import ArgumentError

MOST_FILES = 256
"""Files in a form."""

MOST_HEAD = 4096
"""Bytes of headers before a file."""

_BOUNDARY = re.compile(
    r'multipart/form-data\s*;(?:[^"]*;)?\s*boundary=("?)([\w\'()+,./:=? -]{1,70})\1\s*(?:;.*)?', re.I
)
_FILE_NAME = re.compile(rb'content-disposition:[^\r\n]*;\s*filename="([^"\r\n]*)"', re.I)


def is_form(content_type: str) -> bool:
    """Return whether a body is a form with files.

    >>> is_form("multipart/form-data; boundary=x"), is_form("image/png")
    (True, False)
    """
    return content_type.partition(";")[0].strip().lower() == "multipart/form-data"


def read_form(body: bytes, content_type: str) -> list[tuple[str, bytes]]:
    r"""Return the name and the contents of each file in a form; its other fields are passed over.

    Raises
    ------
    ArgumentError
        It is not a form, or has no file, or too many.

    Examples
    --------
    >>> body = b'--x\r\nContent-Disposition: form-data; name="f"; filename="a.png"\r\n\r\nPNG\r\n--x--\r\n'
    >>> read_form(body, "multipart/form-data; boundary=x")
    [('a.png', b'PNG')]
    """
    found = _BOUNDARY.fullmatch(content_type.strip())
    if found is None:
        raise ArgumentError("a form must name its boundary, as multipart/form-data; boundary=... does")
    mark = b"--" + found[2].rstrip().encode()
    files: list[tuple[str, bytes]] = []
    if not body.startswith(mark):
        raise ArgumentError("the form does not begin with its boundary")
    start = len(mark)
    mark = b"\r\n" + mark
    while body[start : start + 2] != b"--":
        end_of_head = body.find(b"\r\n\r\n", start, start + MOST_HEAD)
        end = body.find(mark, end_of_head + 2)
        if end_of_head < 0 or end < 0:
            raise ArgumentError("the form ends in the middle of a field, or a field has no end to its headers")
        name = _FILE_NAME.search(body, start, end_of_head)
        if name is not None:
            files.append((name[1].decode("utf-8", "replace"), body[end_of_head + 4 : end]))
        if len(files) > MOST_FILES:
            raise ArgumentError(f"a form may have {MOST_FILES} files; send the others in another request")
        start = end + len(mark)
    if not files:
        raise ArgumentError("the form has no file; send one as a field with a filename")
    return files
