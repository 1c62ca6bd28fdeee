"""Images on their way into a plan: copied by all threads that run it, and found finite or not as they pass.

A caller's array is a different one for each batch, but the calls of a plan are prepared once. So the kernel is given
the place of two words: the address of the images, and whether one of them is infinite or NaN. Copied by the calling
thread alone, all images would be in its cache, and half of them read by others.
"""

from __future__ import annotations

import numpy as np

from rot180.kernels.call import Call, packed
from rot180.kernels.compiling import kernel
from rot180.kernels.deferred import intrinsic, types
from rot180.kernels.elementwise import UNIT
from rot180.kernels.feature_map import FeatureMap
from rot180.kernels.parts import read, write
from rot180.kernels.simd import advance, lanes, pointer, splat, total
from rot180.kernels.team import load_word, split, store_word
from rot180.ops.types import Array

_IMAGES, _NOT_FINITE = 0, 1
"""Places of the words."""


class Incoming:
    """Copies images into a plan's buffer when its `call` is made between `offer` and `withdraw`; else it does nothing.

    >>> x = FeatureMap(np.zeros((2, 4, 3, 1)), 1, 1, 3, 2)
    >>> incoming = Incoming(x)
    >>> incoming.offer(np.arange(12.0).reshape(2, 3, 2, 1))
    >>> incoming.call()
    >>> x.array[1, :, :, 0].tolist()
    [[0.0, 0.0, 0.0], [0.0, 6.0, 7.0], [0.0, 8.0, 9.0], [0.0, 10.0, 11.0]]
    >>> incoming.withdraw()
    >>> incoming.is_finite
    True
    """

    def __init__(self, x: FeatureMap) -> None:
        self._words = np.zeros(2, np.int64)
        self._offered: Array | None = None
        self.call = Call(take_images, (self._words.ctypes.data, x.array, packed((*x.place, x.height, x.width))))
        """To be made by a team."""

    def offer(self, images: Array) -> None:
        """Let the next call copy these images, of the plan's shape and type."""
        flags = images.flags
        self._offered = images if flags.c_contiguous and flags.aligned else images.copy()
        self._words[:] = self._offered.ctypes.data, 0

    def withdraw(self) -> None:
        """Let go of the images."""
        self._words[_IMAGES] = 0
        self._offered = None

    @property
    def is_finite(self) -> bool:
        """Whether all images that were offered last are finite."""
        return not self._words[_NOT_FINITE]


@intrinsic
def pointer_to(typingctx, address, array):
    """The first element of what has the type of an array and is at an address."""
    signature = types.CPointer(array.dtype)(types.int64, array)

    def codegen(context, builder, sig, args):
        return builder.inttoptr(args[0], context.get_value_type(sig.return_type))

    return signature, codegen


@kernel
def take_images(team, words, x, sizes):
    """Copy contiguous images into x (N, Hp, Wp, C); `sizes` (4,): top, left, height, width.

    x - x is 0 for every finite number and NaN for the others.
    """
    top, left, H, W = sizes[0], sizes[1], sizes[2], sizes[3]
    N, Hp, Wp, C = x.shape
    address = load_word(words, _IMAGES)
    length, rows = W * C, 0 if address == 0 else N * H
    run = max(1, UNIT // max(1, length))
    L = lanes(x)
    for unit in split(team, (rows + run - 1) // run):
        p = pointer_to(address, x)
        summed = splat(p, 0.0)
        for row in range(unit * run, min((unit + 1) * run, rows)):
            n, h = row // H, row % H
            source = advance(p, row * length)
            target = pointer(x, ((n * Hp + top + h) * Wp + left) * C)
            for i in range(0, length, L):
                part = min(L, length - i)
                value = read(source, i, part)
                write(target, i, value, part)
                summed = summed + (value - value)
        if total(summed) != 0.0:
            store_word(words, _NOT_FINITE, 1)
