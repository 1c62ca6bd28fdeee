"""Where the values of a program stand in one stretch of memory: those that are never needed at once share it."""

from __future__ import annotations

import math

from rot180.interop.standalone.operation import Program, as_map

IN_PLACE = frozenset(
    "affine group_norm layer_norm prelu relu relu6 elu silu gelu gelu_tanh hardswish hardsigmoid sigmoid tanh softmax "
    "add multiply".split()
)
"""Operations that may write over their first input."""


def places(program: Program) -> tuple[list[int], int]:
    """Return the place of each value, and how many numbers the memory holds.

    Value 0 is the image, value k the output of the k-th operation.

    Examples
    --------
    >>> from rot180.interop.standalone.operation import program_of
    >>> from rot180.nn import network
    >>> places(program_of(network("4x4x1 > conv3x3:2 relu > fc3").build(), "places"))
    ([0, 16, 16, 0], 24)
    """
    sizes = [math.prod(as_map(program.input_shape)), *(math.prod(one.shape) for one in program.operations)]
    last = list(range(len(sizes)))  # value k is written by the k-th operation
    for number, operation in enumerate(program.operations, 1):
        for read in operation.reads:
            last[read] = number
    last[-1] = len(sizes)
    block = list(range(len(sizes)))
    for number, operation in enumerate(program.operations, 1):
        first, *others = operation.reads
        fits = operation.kind in IN_PLACE and sizes[first] == sizes[number] and first not in others
        if fits and last[first] == number:
            block[number] = block[first]
    begins = {own: own for own in block}
    ends = {own: max(last[value] for value, other in enumerate(block) if other == own) for own in begins}
    placed: dict[int, int] = {}
    for own in sorted(begins, key=lambda value: (-sizes[value], value)):
        taken = sorted(
            (placed[other], placed[other] + sizes[other])
            for other in placed
            if begins[other] <= ends[own] and begins[own] <= ends[other]
        )
        at = 0
        for start, end in taken:
            if at + sizes[own] <= start:
                break
            at = max(at, end)
        placed[own] = at
    return [placed[own] for own in block], max(placed[own] + sizes[own] for own in placed)
