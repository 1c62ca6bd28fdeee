"""Files that are not what their names say, recognized by their first bytes: a saved web page, a git-lfs pointer, ..."""

from __future__ import annotations

import re

HEAD = 1024
"""Bytes at the beginning of a file that are examined."""

_SIGNS: tuple[tuple[bytes, str], ...] = (
    (rb"version https://git-lfs\.github\.com/spec", "a Git LFS pointer, not the file itself; run git lfs pull"),
    (rb"version https://hawser", "a Git LFS pointer, not the file itself; run git lfs pull"),
    (rb"(\.\./)*\.git/annex/objects|/annex/objects/", "a git-annex pointer, not the file itself; run git annex get"),
    (rb"\s*<(!doctype\s+html|html|head|body|script)\b", "a web page (HTML), not the file itself; download it again"),
    (rb"\s*<\?xml[^>]*>.{0,400}<(\w+:)?html\b", "a web page (HTML), not the file itself; download it again"),
    (rb"\s*<\?xml[^>]*>.{0,200}<Error>", "a server's error message (XML), not the file itself; download it again"),
    (rb"\s*(<\?xml.{0,600})?<svg\b", "a vector drawing (SVG), not a pixel image; export it as PNG"),
    (
        rb'\s*\{\s*"(error|message|detail)"',
        "a server's error message (JSON), not the file itself; download it again",
    ),
    (rb"L\x00\x00\x00\x01\x14\x02\x00", "a Windows shortcut (.lnk), not the file itself; put the file here"),
    (rb"\[InternetShortcut\]", "an Internet shortcut (.url), not the file itself; put the file here"),
    (rb"book\x00\x00\x00\x00mark", "a macOS alias, not the file itself; put the file here"),
    (rb"IntxLNK\x01", "a Cygwin or Interix symbolic link, not the file itself; put the file here"),
    (rb"XSym\n\d{4}\n", "a symbolic link from a network drive, not the file itself; put the file here"),
    (rb"\x00\x05\x16[\x00\x07]\x00\x02\x00\x00", "an AppleDouble file (._name) with macOS metadata; remove it"),
    (rb".{4}ftyp(heic|heix|hevc|heim|heis|mif1|msf1)", "a HEIC photo despite its name; export it as JPEG"),
    (rb".{4}ftypcrx ", "a raw photo (CR3); export it as JPEG"),
    (rb".{4}ftyp(isom|mp4|qt  |M4V|avc1|3gp)", "a video despite its name; extract its frames as images"),
    (rb".{4}ftypavi[fs]", "an AVIF image, which needs Pillow 11.3 or newer: pip install -U pillow"),
    (rb"%PDF-", "a PDF document; export its pictures as PNG"),
    (rb"8BPS", "a Photoshop document; export it as PNG"),
    (rb"Rar!\x1a\x07|7z\xbc\xaf\x27\x1c", "an archive; unpack it first"),
    (
        rb"\x28\xb5\x2f\xfd|\xfd7zXZ\x00|BZh[1-9]1AY&SY",
        "a file compressed with zstd, xz or bzip2; decompress it, or use gzip",
    ),
    (
        rb"\x80[\x02-\x05].{0,40}(\}|\]|c|\x8c|q)",
        "a Python pickle, which could run code and is never read; save it as .npz",
    ),
    (rb"\x89HDF\r\n\x1a\n", "an HDF5 file; save its arrays as .npz"),
    (rb"MATLAB 5\.0 MAT-file", "a MATLAB file; save its arrays as .npz"),
    (rb"SIMPLE  = +T", "a FITS file; save its images as PNG or .npz"),
    (rb"SQLite format 3\x00", "an SQLite database; export its table as CSV"),
)

_PATTERNS = tuple((re.compile(sign, re.DOTALL | re.IGNORECASE), what) for sign, what in _SIGNS)

_KINDS: tuple[tuple[bytes, str], ...] = (
    (rb"\x89PNG\r\n\x1a\n", "a PNG image"),
    (rb"\xff\xd8\xff", "a JPEG image"),
    (rb"GIF8[79]a", "a GIF image"),
    (rb"RIFF.{4}WEBP", "a WebP image"),
    (rb"PAR1", "a Parquet file"),
    (rb"\x93NUMPY", "a NumPy array (.npy)"),
    (rb"PK\x03\x04.{26,60}(\[Content_Types\]|xl/|_rels)", "an Excel workbook; save it as CSV"),
    (rb"PK\x03\x04", "a zip archive (.zip or .npz)"),
    (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel or Word document; save it as CSV"),
    (rb"\x1f\x8b", "a gzip file inside a gzip file; unpack it once"),
)
"""Formats that other readers read, for the message of a reader that is given one of them."""

_OTHERS = tuple((re.compile(sign, re.DOTALL), what) for sign, what in _KINDS)


def disguise(head: bytes, *, expected: str = "") -> str:
    """Return what a file really is, judged by its first bytes; empty if they are inconclusive.

    Parameters
    ----------
    head : bytes
        The first `HEAD` bytes, or the whole file if it is shorter.
    expected : str
        What the caller reads, such as "CSV"; files of other formats are then recognized, too. Empty for image files,
        whose decoder recognizes formats itself.

    Examples
    --------
    >>> disguise(b"<!DOCTYPE html><title>Sign in</title>")
    'a web page (HTML), not the file itself; download it again'
    >>> disguise(b"\\x89PNG\\r\\n\\x1a\\n", expected="CSV"), disguise(b"\\x89PNG\\r\\n\\x1a\\n")
    ('a PNG image', '')
    """
    if not head:
        return "an empty file (0 bytes); copy or download it again"
    if not head.strip(b"\0") and len(head) > 16:
        return "nothing but zero bytes; copy or download it again"
    for pattern, what in _PATTERNS + (_OTHERS if expected else ()):
        if pattern.match(head) and not (expected and expected in what):
            return what
    return ""
