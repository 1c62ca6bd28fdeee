"""Writing a figure to disk, the same bytes for the same figure."""

from __future__ import annotations

import warnings
from pathlib import Path

from matplotlib.figure import Figure

from rot180.pictures.style import style


def save_figure(figure: Figure, path: str | Path) -> tuple[Path, Path]:
    """Write `path` as PNG and as SVG, making its folder if need be.

    Neither file holds a date or a version, so a picture drawn again from the same numbers is the same file.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    path : str or Path
        Where to write, without a suffix: `pictures/curves` becomes `pictures/curves.png` and `pictures/curves.svg`.

    Returns
    -------
    (Path, Path)
        The PNG file and the SVG file.

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
    base.parent.mkdir(parents=True, exist_ok=True)
    # Not with_suffix: "conv1.weight" is a name that holds a dot.
    png, svg = base.parent / f"{base.name}.png", base.parent / f"{base.name}.svg"
    with style(), warnings.catch_warnings():
        # A class name in a script that no installed font has is drawn as boxes; that must not end a training run.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        # "tight": the layout engine does not see labels that stick out of axes with square pixels.
        figure.savefig(png, format="png", bbox_inches="tight", metadata={"Software": None})
        figure.savefig(svg, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
    return png, svg
