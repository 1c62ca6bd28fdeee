"""Where the windows of convolution and pooling lie: strides, dilations and padding of a node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from rot180.interop.onnx.call import Call

AUTO_PADS = ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")
MAX_PAD = 2**24
"""The most rows or columns added on a side."""


class Windows(NamedTuple):
    """The windows along each axis of an image."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    auto_pad: str

    @property
    def reach(self) -> tuple[int, ...]:
        """How many pixels a window covers."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilations, strict=True))

    @property
    def pads(self) -> tuple[tuple[int, int], ...]:
        """The padding before and after, for each axis."""
        return tuple(zip(self.before, self.after, strict=True))


def windows_of(call: Call[Any], spatial: Sequence[int], kernel: Sequence[int] | None = None) -> Windows:
    """Return the windows of a convolution or pooling.

    Parameters
    ----------
    call : Call
    spatial : sequence of int
        The sizes of the image.
    kernel : sequence of int, optional
        The sizes of the window; by default those of the attribute kernel_shape.
    """
    rank = len(spatial)
    given = call.get_ints("kernel_shape", kernel)
    if kernel is not None and given != tuple(kernel):
        raise call.error(f"kernel_shape is {list(given)}, but the weights are for {list(kernel)}")
    strides, dilations = call.get_ints("strides", (1,) * rank), call.get_ints("dilations", (1,) * rank)
    auto_pad = call.choice("auto_pad", "NOTSET", AUTO_PADS)
    pads = call.get_ints("pads", (0,) * 2 * rank)
    if len(pads) != 2 * rank or any(len(sizes) != rank for sizes in (given, strides, dilations)):
        raise call.error(f"kernel_shape, strides, dilations and pads must be for {rank} axes")
    if min((*given, *strides, *dilations)) < 1 or min(pads) < 0:
        raise call.error("kernel_shape, strides and dilations must be at least 1, and pads at least 0")
    if max((*given, *strides, *dilations, *pads)) > MAX_PAD:
        raise call.error(f"kernel_shape, strides, dilations and pads may be at most {MAX_PAD:,}")
    before, after = tuple(pads[:rank]), tuple(pads[rank:])
    found = Windows(given, strides, dilations, before, after, auto_pad)
    if auto_pad == "NOTSET":
        return found
    if auto_pad == "VALID":
        return found._replace(before=(0,) * rank, after=(0,) * rank)
    totals = tuple(
        max((-(-n // s) - 1) * s + reach - n, 0) for n, s, reach in zip(spatial, strides, found.reach, strict=True)
    )
    less, more = tuple(total // 2 for total in totals), tuple(total - total // 2 for total in totals)
    before, after = (less, more) if auto_pad == "SAME_UPPER" else (more, less)
    return found._replace(before=before, after=after)
