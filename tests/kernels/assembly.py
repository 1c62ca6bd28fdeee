"""Reads assembly of x86-64 and of 64-bit ARM: what a loop multiplies, and what it keeps on the stack."""

from __future__ import annotations

import re
from collections.abc import Iterator

_LABEL = re.compile(r"(\.?LBB\w+):")
_JUMP = re.compile(r"\s+(?:j\w+|b\.\w+|b|cbn?z\s+\w+,|tbn?z\s+\w+, #\w+,)\s+(\.?LBB\w+)")
_PRODUCT = re.compile(r"\s+(?:v?mulp[sd]|vf[n]?m(?:add|sub)\w+p[sd]|fml[as]\b|fmul\b)")
_STACK = re.compile(r"\(%rsp\)|\(%rsp,|\[sp\b")
_VECTOR = re.compile(r"%[xyz]mm|\b[qvds]\d+\b")


def inner_loops(code: str) -> Iterator[list[str]]:
    """Yield the instructions of every loop without branches inside that multiplies vectors."""
    block: list[str] = []
    label = ""
    for line in code.splitlines():
        if start := _LABEL.match(line):
            block, label = [], start[1]
        block.append(line)
        jump = _JUMP.match(line)
        if jump and jump[1] == label and products(block):
            yield list(block)


def products(block: list[str]) -> int:
    """Return how many vectors are multiplied."""
    return sum(bool(_PRODUCT.match(line)) for line in block)


def stack_visits(block: list[str]) -> list[str]:
    """Return the instructions that read vectors from the stack, or write them to it."""
    return [line for line in block if _STACK.search(line) and _VECTOR.search(line)]
