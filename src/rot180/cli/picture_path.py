"""Where a command writes a picture, so that nothing is overwritten."""

from __future__ import annotations

from pathlib import Path


def picture_path(out: Path | None, default: str) -> Path:
    """Return the path of a new picture, without a suffix.

    Parameters
    ----------
    out : Path, optional
        The path the user gave; a suffix `.png` or `.svg` is removed.
    default : str
        The name to use otherwise; a number is appended if such a picture already exists.

    Raises
    ------
    ArgumentError
        A picture with the given name already exists.
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
            raise ArgumentError(f"{file} already exists; choose another --out or remove it")
    return out
