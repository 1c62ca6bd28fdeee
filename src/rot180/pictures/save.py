"""Writing a figure to disk, with the same bytes for the same figure."""

from __future__ import annotations

import logging
import os
import warnings
from functools import cache
from itertools import chain, count
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.text import Text

from rot180.errors import ModelError
from rot180.files import atomic_files, make_folder
from rot180.pictures.style import style

_log = logging.getLogger("rot180.pictures")


def save_figure(
    figure: Figure, path: str | Path, *, replace: bool = True, beneath: str | Path | None = None
) -> tuple[Path, Path]:
    """Write a figure as PNG and SVG, creating the folder if needed.

    Neither file contains a date or a version, so a picture drawn again from the same numbers is the same file. The
    files get their names only when both have been written.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    path : str or Path
        Where to write, without a suffix: `pictures/curves` becomes `pictures/curves.png` and `pictures/curves.svg`.
    replace : bool, default True
        Replace existing files; if False, an existing file is an error.
    beneath : str or Path, optional
        A folder that contains the picture; no component of the path below it may be a link.

    Returns
    -------
    (Path, Path)
        The PNG file and the SVG file.

    Raises
    ------
    ModelError
        The files cannot be written; existing files are unchanged.

    Examples
    --------
    >>> import tempfile
    >>> from rot180.pictures import confusion_matrix
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     png, svg = save_figure(confusion_matrix([[9, 1], [0, 8]]), folder + "/confusion")
    ...     png.name, svg.name, png.stat().st_size > 1000
    ('confusion.png', 'confusion.svg', True)
    """
    base = Path(path)
    png, svg = picture_files(base)
    try:
        make_folder(base.parent, beneath=beneath)
    except OSError as error:
        raise ModelError(
            f"{base.parent}: the folder cannot be created ({error.strerror or error}); choose another"
        ) from None
    _check_letters(figure)
    with (
        style(),
        warnings.catch_warnings(),
        atomic_files(png, svg, beneath=beneath, replace=replace) as [png_file, svg_file],
    ):
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # reported by `_check_letters`
        # "tight": the layout engine ignores labels that extend beyond axes with square pixels.
        figure.savefig(png_file, format="png", bbox_inches="tight", metadata={"Software": None})
        figure.savefig(svg_file, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
    return png, svg


def _check_letters(figure: Figure) -> None:
    """Warn once if some characters are drawn as boxes, because no installed font has them."""
    with style():
        fonts = [get_font(findfont(family)) for family in mpl.rcParams["font.family"]]
    written = {letter for text in figure.findobj(Text) for letter in text.get_text() if letter.isprintable()}
    if any(all(font.get_char_index(ord(letter)) == 0 for font in fonts) for letter in written):
        _say_missing()


@cache
def _say_missing() -> None:
    """Log a warning; cached, so that it appears once."""
    _log.warning(
        "some characters in the pictures are in no installed font and are drawn as boxes; for Chinese, "
        "install Noto Sans CJK (Debian and Ubuntu: fonts-noto-cjk) and draw again with: rot180 show RUN"
    )


def picture_files(path: str | Path) -> tuple[Path, Path]:
    """Return the files that `save_figure` writes.

    >>> [file.name for file in picture_files("conv1.weight")]  # a name that holds a dot
    ['conv1.weight.png', 'conv1.weight.svg']
    """
    path = Path(path)
    return path.parent / f"{path.name}.png", path.parent / f"{path.name}.svg"


def free_path(path: str | Path) -> Path:
    """Return the path of a picture, with the first number appended for which no files exist yet.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "contact-sheet"
    >>> free_path(path).name
    'contact-sheet'
    >>> path.with_suffix(".svg").touch()
    >>> free_path(path).name
    'contact-sheet-2'
    """
    path = Path(path)
    names = chain([path], (path.parent / f"{path.name}-{number}" for number in count(2)))
    return next(name for name in names if not any(map(os.path.lexists, picture_files(name))))
