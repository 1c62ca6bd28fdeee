"""Draw the README's picture again: a digit on its way through a network trained on the bundled digits."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from rot180.runs.draw import draw_images
from rot180.runs.train_run import RunSettings, train_run

IMAGE = 3
"""A three, which everyone can read at 8 x 8 pixels."""


def main() -> None:
    """Train, draw and put the picture where the README looks for it."""
    with tempfile.TemporaryDirectory() as scratch:
        run = train_run(RunSettings(), out=Path(scratch) / "run", draw=False)
        data = run.dataset
        draw_images(Path(scratch), run.model, data.test_images, data.test_labels, data.class_names, [IMAGE])
        target = Path(__file__).parent / "images" / "feature-maps.png"
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(Path(scratch) / f"feature-maps-{IMAGE}.png", target)
        print(target)


if __name__ == "__main__":
    main()
