"""Where a command puts a picture, so that nothing is written over."""

from __future__ import annotations

from pathlib import Path


def picture_path(out: Path | None, default: str) -> Path:
    """Return the path of a new picture, without a suffix.

    Parameters
    ----------
    out : Path, optional
        What the user asked for; `.png` and `.svg` at its end are left out.
    default : str
        A name otherwise; a number is put behind it where there is such a picture already.

    Raises
    ------
    ArgumentError
        There is a picture of the name that was asked for.
    """
    import os

    from rot180.errors import ArgumentError
    from rot180.pictures.save import free_path, picture_files

    if out is None:
        return free_path(default)
    if out.suffix.lower() in (".png", ".svg"):
        out = out.with_suffix("")
    for file in picture_files(out):
        if os.path.lexists(file):
            raise ArgumentError(f"{file} exists already; choose another --out or remove it")
    return out
