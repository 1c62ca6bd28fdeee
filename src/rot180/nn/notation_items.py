"""The structure of the notation: repetitions in brackets, branches in parentheses."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from rot180.nn.joins import JOINS, Join
from rot180.nn.notation_error import at
from rot180.nn.notation_tokens import Token
from rot180.nn.notation_words import EXAMPLES, Item, read_word
from rot180.nn.word import JOIN_SIGNS, MAX_DEPTH, SKIP

MAX_LAYERS = 1_000

_JOINS = {JOIN_SIGNS[join.kind]: join for join in JOINS}
_NAME = re.compile(":name=([A-Za-z_][A-Za-z0-9_-]*)")


@dataclass(frozen=True)
class Group:
    """Branches and the join at their end."""

    token: Token
    join: type[Join]
    branches: list[list[Item | Group]]
    name: str


Items = list[Item | Group]


@dataclass
class Open:
    """A bracket or parenthesis that is not closed yet, and what is around and in it."""

    token: Token
    outer: Items
    branches: list[Items] = field(default_factory=list)
    sign: str = ""


def items_of(text: str, tokens: list[Token]) -> Items:
    """Parse words and branches and expand repetitions; what is open is kept on a stack, so depth needs no recursion."""
    stack: list[Open] = []
    items: Items = []
    position = 0
    while position < len(tokens):
        token = tokens[position]
        position += 1
        if token.kind == "word" and token.text == SKIP:
            _check_skip(text, tokens, position - 1, stack)
        elif token.kind == "word":
            items.append(read_word(text, token))
            _limit(text, token, _count(items))
        elif token.kind == "open":
            if len(stack) == MAX_DEPTH:
                raise at(text, token.start, f"brackets must be nested at most {MAX_DEPTH} deep", ["a layer"])
            stack.append(Open(token, items))
            items = []
        elif token.kind == "times":
            raise at(text, token.start, "a repetition count must follow a bracket", ["[relu]*2"], len(token.text))
        elif token.kind == "sign":
            _next_branch(text, token, stack, items, tokens[position - 2])
            items = []
        else:
            closed = _closed(text, token, stack)
            if token.text == "]":
                if not items:
                    raise at(text, token.start, "there is no layer between the brackets", EXAMPLES)
                times = _times(text, token, tokens[position : position + 1])
                position += 1
                _limit(text, token, _count(items) * times)
                items = closed.outer + items * times
            else:
                _close_branch(text, token, closed, items, tokens[position - 2])
                name, used = _group_name(text, token, tokens[position : position + 1])
                position += used
                items = [*closed.outer, Group(closed.token, _JOINS[closed.sign], closed.branches, name)]
            _limit(text, closed.token, _count(items))
    if stack:
        opened = stack[-1].token
        example = "[conv3x3:32 relu]*2" if opened.text == "[" else "( conv3x3:32:same + skip )"
        raise at(text, opened.start, "this bracket is never closed", [example])
    if not items:
        raise at(text, len(text.rstrip()), "a network needs at least one layer", EXAMPLES)
    return items


def _check_skip(text: str, tokens: list[Token], position: int, stack: list[Open]) -> None:
    """Check that `skip` is alone on a branch."""
    token = tokens[position]
    before, after = tokens[position - 1 : position], tokens[position + 1 : position + 2]
    is_alone = bool(before) and before[0].text in ("(", *_JOINS) and (not after or after[0].kind in ("close", "sign"))
    if not (stack and stack[-1].token.text == "(" and is_alone):
        reason = "skip is a branch without layers, and stands alone between its signs or parentheses"
        raise at(text, token.start, reason, ["( conv3x3:32:same + skip )"], len(token.text))


def _next_branch(text: str, sign: Token, stack: list[Open], items: Items, before: Token) -> None:
    """Begin the next branch at a sign."""
    if not stack or stack[-1].token.text != "(":
        reason = f"{sign.text!r} joins branches, which are in parentheses"
        raise at(text, sign.start, reason, [f"( conv3x3:32:same {sign.text} skip )"])
    opened = stack[-1]
    if opened.sign not in ("", sign.text):
        reason = f"the branches in a pair of parentheses have one kind of sign; here {opened.sign!r} and {sign.text!r}"
        raise at(text, sign.start, reason, [opened.sign])
    opened.sign = sign.text
    _end_branch(text, sign, opened, items, before)


def _close_branch(text: str, close: Token, opened: Open, items: Items, before: Token) -> None:
    if not opened.sign:
        reason = "parentheses hold two branches or more, with + (sum), | (concatenation) or * (gate) between them"
        raise at(text, close.start, reason, ["( conv3x3:32:same + skip )"])
    _end_branch(text, close, opened, items, before)


def _end_branch(text: str, end: Token, opened: Open, items: Items, before: Token) -> None:
    if not items and before.text != SKIP:
        raise at(text, end.start, "there is no layer on this branch; write skip for the value itself", [SKIP])
    opened.branches.append(items)


def _closed(text: str, close: Token, stack: list[Open]) -> Open:
    """Return the bracket that a token closes."""
    if not stack:
        raise at(text, close.start, "this bracket was never opened", EXAMPLES)
    wanted = "]" if stack[-1].token.text == "[" else ")"
    if close.text != wanted:
        reason = f"{close.text!r} cannot close the {stack[-1].token.text!r} at character {stack[-1].token.start + 1}"
        raise at(text, close.start, reason, [wanted])
    return stack.pop()


def _times(text: str, close: Token, following: list[Token]) -> int:
    reason, expected = "a bracket must be followed by the number of repetitions", ["*2"]
    if not following or following[0].text[:1] != "*":
        raise at(text, close.start + 1, reason, expected)
    token = following[0]
    digits = token.text[1:].strip()
    if not digits or len(digits) > 7 or int(digits) == 0:
        raise at(text, token.start, f"{reason}, a number from 1 to {MAX_LAYERS:,}", expected, len(token.text))
    return int(digits)


def _group_name(text: str, close: Token, following: list[Token]) -> tuple[str, int]:
    """Return the name written after a parenthesis, as in `( conv3x3:8 + skip ):name=sum`, and how many tokens it is."""
    if not following or following[0].start != close.start + 1 or following[0].text[0] != ":":
        return "", 0
    match = _NAME.fullmatch(following[0].text)
    if match is None:
        reason = f"a join takes only a name; it is {following[0].text!r}"
        raise at(text, following[0].start, reason, [":name=stem"], len(following[0].text))
    return match[1], 1


def _count(items: Items) -> int:
    """Return the number of layers."""
    return sum(1 + sum(map(_count, item.branches)) if isinstance(item, Group) else 1 for item in items)


def _limit(text: str, token: Token, count: int) -> None:
    if count > MAX_LAYERS:
        raise at(text, token.start, f"a network has at most {MAX_LAYERS:,} layers, repetitions counted", ["fewer"])
