"""The array type of the reference mathematics."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
"""A NumPy array; float32 or float64 for values, integers for labels and positions."""

Pair = int | tuple[int, int]
"""One number for both rows and columns, or (rows, columns)."""

Padding = int | tuple[int, int] | tuple[tuple[int, int], tuple[int, int]] | str
"""An int, (rows, columns), ((top, bottom), (left, right)), "valid" or "same"."""

FLOATS = (np.float32, np.float64)
