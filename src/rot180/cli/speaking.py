"""The language of the command line, and streams that translate what is printed, line by line."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO, cast

from rot180.errors import ArgumentError, did_you_mean
from rot180.language import LANGUAGES, language, preferred_language, translate, use_language

_OPTION = "--lang"
_CODES = re.compile(r"(\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07)")
"""Terminal codes for colors and cursor movement; never translated."""


def take_language(arguments: Sequence[str]) -> tuple[list[str], str]:
    """Return the arguments without `--lang`, which may appear anywhere, and the language to use.

    Raises
    ------
    ArgumentError
        The language is unknown.

    Examples
    --------
    >>> take_language(["train", "--lang", "zh", "--epochs", "1"])
    (['train', '--epochs', '1'], 'zh')
    """
    left: list[str] = []
    asked = None
    given = iter(arguments)
    for argument in given:
        name, equals, value = argument.partition("=")
        if argument == "--":
            left += [argument, *given]
        elif name == _OPTION:
            asked = value if equals else next(given, "")
        else:
            left.append(argument)
    if asked is not None and asked not in LANGUAGES:
        raise ArgumentError(f"--lang: no language is called {asked!r}{did_you_mean(asked, LANGUAGES)}")
    return left, asked or _readable(preferred_language())


def _readable(code: str) -> str:
    """Return the language if the terminal can show it, English otherwise."""
    try:
        LANGUAGES[code].encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return "en"
    return code


@contextmanager
def speaking(code: str, *, translate_output: bool = True) -> Iterator[None]:
    """Use a language inside this block; stdout is translated only if people read it."""
    before, streams = language(), (sys.stdout, sys.stderr)
    use_language(code)
    try:
        if code != "en":
            sys.stderr = cast(TextIO, TranslatedStream(sys.stderr))
            if translate_output:
                sys.stdout = cast(TextIO, TranslatedStream(sys.stdout))
        yield
    finally:
        for stream in {sys.stdout, sys.stderr} - set(streams):
            stream.flush()
        sys.stdout, sys.stderr = streams
        use_language(before)


class TranslatedStream:
    """A text stream that translates each complete line and otherwise behaves like the stream it wraps.

    Parameters
    ----------
    stream : text stream
        The stream that receives the lines.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._begun = ""

    def write(self, text: str) -> int:
        """Accept some text; complete lines are passed on at once."""
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._stream.write(_translated(line) + "\n")
        return len(text)

    def flush(self) -> None:
        """Pass on an incomplete line: a progress bar has no line ends."""
        if self._begun:
            self._stream.write(_translated(self._begun))
            self._begun = ""
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _translated(line: str) -> str:
    return "".join(part if at % 2 else translate(part) for at, part in enumerate(_CODES.split(line)))
