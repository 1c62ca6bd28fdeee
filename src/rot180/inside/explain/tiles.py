"""What minimal filtering adds to a ledger: its number is the same sum, but was rounded differently."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rot180.inside.explain.ledger import Account
from rot180.nn.conv2d import Conv2d
from rot180.nn.conv_transpose2d import ConvTranspose2d
from rot180.ops import conv_winograd
from rot180.ops.conv_winograd import Part
from rot180.ops.geometry import Geometry
from rot180.ops.types import Array
from rot180.ops.winograd_rounding import rounding


def as_computed(
    account: Account, layer: Conv2d | ConvTranspose2d, part: Part, a: Array, b: Array, at: tuple[int, ...], g: Geometry
) -> Account:
    """Add the rounding of minimal filtering to the account of a number, if its layer is computed in this way.

    Parameters
    ----------
    account : Account
        The sum that the number stands for.
    layer : Conv2d or ConvTranspose2d
    part : {"forward", "data_gradient", "weight_gradient"}
    a, b : array
        The part of the pass's arguments that the number depends on: one image, or channel, or filter.
    at : tuple of int
        Where the number is in the result of this part.
    g : Geometry
    """
    if layer.algorithm != "winograd":
        return account
    unit = float(np.finfo(a.dtype).eps) / 2
    m, r = conv_winograd.OUTPUTS[g.kernel[0]], g.kernel[0]
    note = (
        f"computed by minimal filtering, tile by tile: {(m + r - 1) ** 2} multiplications instead of {(m * r) ** 2} "
        f"for {m} x {m} outputs, whose rounding is larger"
    )
    grain = unit * float(rounding(part, a, b, g)[at])
    return replace(account, notes=(*account.notes, note), grain=account.grain + grain)
