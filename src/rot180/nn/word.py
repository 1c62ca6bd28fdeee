"""Write values as in the notation; the parser reads them with `registry`.

They are here because each layer writes its own word, and layers must not depend on the parser.
"""

from __future__ import annotations

from rot180.ops.types import Padding

JOIN_SIGNS = {"add": "+", "concat": "|", "multiply": "*"}
"""The sign between the branches of each join, by its kind."""

SKIP = "skip"
"""A branch without layers, which passes its input on."""

MAX_DEPTH = 50
"""How deep brackets and parentheses may be nested."""


def number(value: float) -> str:
    """Write a float so that parsing it gives the same bits.

    >>> number(2.0), number(0.5), number(1e-5)
    ('2', '0.5', '1e-05')
    """
    return repr(float(value)).removesuffix(".0")


def size(pair: tuple[int, int]) -> str:
    """Write a pair, or one number if both are equal.

    >>> size((2, 2)), size((3, 2))
    ('2', '3x2')
    """
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]}x{pair[1]}"


def padding_option(padding: Padding) -> str:
    """Write a padding in its simplest form; empty for "valid".

    >>> padding_option("same"), padding_option(2), padding_option((1, 2)), padding_option(((1, 2), (0, 1)))
    ('same', 'pad2', 'pad1x2', 'pad1,2,0,1')
    """
    if isinstance(padding, str):
        return "" if padding == "valid" else padding
    if isinstance(padding, int):
        return f"pad{padding}"
    rows, columns = padding
    if isinstance(rows, int):
        return f"pad{rows}x{columns}"
    top_bottom, left_right = padding
    return f"pad{','.join(str(p) for p in (*_both(top_bottom), *_both(left_right)))}"


def _both(side: int | tuple[int, int]) -> tuple[int, int]:
    return (side, side) if isinstance(side, int) else side


def join(head: str, *options: str) -> str:
    """Assemble a word, leaving out empty options.

    >>> join("conv5x5:32", "same", "", "s2")
    'conv5x5:32:same:s2'
    """
    return ":".join([head, *(option for option in options if option)])
