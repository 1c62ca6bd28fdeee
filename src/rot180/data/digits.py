"""The bundled data set: small handwritten digits, so that everything works offline."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files

import numpy as np

from rot180.data.compose import compose
from rot180.data.dataset import Dataset
from rot180.data.parts import Sources


def load_digits() -> Dataset:
    """Return the 1,797 digits of 8 x 8 pixels that come with the package: 1,435 to train on, 362 to test on.

    In the source they are in the order of writing, one person after another, without saying who wrote which. So every
    fifth digit of each class is held out: all thirteen writers appear in both sets, and the test measures how well
    digits by these writers are recognized, not those by others.

    Returns
    -------
    Dataset
        Images uint8 (N, 8, 8, 1), white ink (up to 255) on black; labels 0 to 9.

    References
    ----------
    Alpaydin and Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine Learning Repository,
    https://doi.org/10.24432/C50P49, CC BY 4.0; the license is next to the file, in digits.LICENSE.txt.

    Examples
    --------
    >>> load_digits()
    Dataset('digits', 1,435 training and 362 test images of 8x8x1, 10 classes)
    """
    with files("rot180.data").joinpath("digits.npz").open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        counts, labels = arrays["images"], arrays["labels"].astype(np.int64)
    # A value counts the inked pixels of a 4 x 4 block: 16 of 16 is white, 255.
    images = np.rint(counts[..., np.newaxis] * (255 / 16)).astype(np.uint8)
    digits = compose(
        "digits",
        {"train": (images, labels)},
        where="digits",
        description="UCI Optical Recognition of Handwritten Digits, CC BY 4.0",
        sources=Sources("the bundled digits"),
    )
    return replace(digits, divided=False)  # this test set comes with the package, whatever a run was trained on
