"""The lexer of Go's text/template: a template text becomes literal texts and the tokens of its actions.

Delimiters, trim markers (`{{- ` and ` -}}`), comments and literals follow the documentation of Go's package text/template.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import Literal

OPEN, CLOSE = "{{", "}}"
BLANKS = " \t\r\n"
KEYWORDS = frozenset({"if", "else", "end", "range", "with", "break", "continue", "define", "template", "block"})

TokenKind = Literal["name", "keyword", "field", "variable", "dot", "string", "number", "bool", "nil", "sign"]


class TemplateError(ValueError):
    """A template that cannot be read or carried out. `line` and `column` count from 1 and point at the cause."""

    def __init__(self, reason: str, line: int, column: int) -> None:
        super().__init__(f"line {line}, column {column}: {reason}")
        self.reason, self.line, self.column = reason, line, column


class Source:
    """The text of a template; turns offsets into lines and columns."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def error(self, offset: int, reason: str) -> TemplateError:
        """The error to raise for what stands at that offset."""
        line = bisect_right(self._starts, offset)
        return TemplateError(reason, line, offset - self._starts[line - 1] + 1)


@dataclass(frozen=True)
class Token:
    """A word of an action. `value` is the literal's value or the word; `spaced` tells whether blanks stand before it."""

    kind: TokenKind
    value: str | int | float | bool | None
    at: int
    spaced: bool = False


@dataclass(frozen=True)
class Text:
    """What stands outside of actions, blanks already trimmed."""

    value: str


@dataclass(frozen=True)
class Action:
    """What stands between the delimiters; `at` is the offset of the opening one."""

    tokens: tuple[Token, ...]
    at: int


_WORD = re.compile(r"\w+")
_FIELD = re.compile(r"\.\w+")
_VARIABLE = re.compile(r"\$\w*")
_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_RAW = re.compile(r"`[^`]*`")
_CHAR = re.compile(r"'(?:[^'\\\n]|\\[^\n][^'\n]*)'")
_NUMBER = re.compile(r"[+-]?(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+|(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?)")
_SIGNS = ("|", "(", ")", ":=", "=", ",")
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|.)", re.DOTALL)
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"', "'": "'"}


def split(source: Source) -> list[Text | Action]:
    """The parts of a template in order. Raises TemplateError where an action does not end or holds what is no token."""
    text, parts, at, trim = source.text, list[Text | Action](), 0, False
    while True:
        start = text.find(OPEN, at)
        literal = text[at:] if start < 0 else text[at:start]
        if trim:
            literal = literal.lstrip(BLANKS)
        if start < 0:
            return [*parts, Text(literal)] if literal else parts
        inside = start + len(OPEN)
        if text[inside : inside + 1] == "-" and text[inside + 1 : inside + 2] in (*BLANKS,):
            literal, inside = literal.rstrip(BLANKS), inside + 2
        if literal:
            parts.append(Text(literal))
        if text.startswith("/*", inside):
            at, trim = _comment_end(source, inside)
            continue
        tokens, at, trim = _tokens(source, start, inside)
        parts.append(Action(tuple(tokens), start))


def _comment_end(source: Source, at: int) -> tuple[int, bool]:
    end = source.text.find("*/", at)
    if end < 0:
        raise source.error(at, "a comment is not closed by */")
    closing = _closing(source.text, end + 2)
    if closing is None:
        raise source.error(end, "a comment must end right before }}")
    return closing


def _closing(text: str, at: int) -> tuple[int, bool] | None:
    """Where the text goes on after a closing delimiter at that place, and whether it trims; None where there is none."""
    if text.startswith(CLOSE, at):
        return at + 2, False
    if text[at : at + 1] in (*BLANKS,) and text.startswith("-" + CLOSE, at + 1):
        return at + 4, True
    return None


def _tokens(source: Source, start: int, at: int) -> tuple[list[Token], int, bool]:
    tokens, spaced, text = list[Token](), False, source.text
    while at < len(text):
        if closing := _closing(text, at):
            return tokens, *closing
        if text[at] in BLANKS:
            at, spaced = at + 1, True
            continue
        token, at = _token(source, at, spaced)
        tokens.append(token)
        spaced = False
    raise source.error(start, "an action {{ is not closed by }}")


def _token(source: Source, at: int, spaced: bool) -> tuple[Token, int]:
    text = source.text
    char = text[at]
    number = _NUMBER.match(text, at)
    if number and (char.isdigit() or len(number.group()) > 1):
        return Token("number", _number(source, at, number.group()), at, spaced), _boundary(source, number.end(), at)
    if match := _FIELD.match(text, at):
        return Token("field", match.group()[1:], at, spaced), _boundary(source, match.end(), at)
    if char == ".":
        return Token("dot", ".", at, spaced), at + 1
    if match := _VARIABLE.match(text, at):
        return Token("variable", match.group(), at, spaced), _boundary(source, match.end(), at)
    if char == "_" or char.isalpha():
        return _word(source, at, spaced)
    if char in "\"'`":
        return _quoted(source, at, spaced)
    for sign in _SIGNS:
        if text.startswith(sign, at):
            return Token("sign", sign, at, spaced), at + len(sign)
    hint = '; a key with such a character is read by {{ index variables "the-key" }}' if char == "-" else ""
    raise source.error(at, f"unexpected {char!r} in an action{hint}")


def _word(source: Source, at: int, spaced: bool) -> tuple[Token, int]:
    match = _WORD.match(source.text, at)
    assert match  # the caller saw its first letter
    word, end = match.group(), _boundary(source, match.end(), at)
    if word in KEYWORDS:
        return Token("keyword", word, at, spaced), end
    if word in ("true", "false"):
        return Token("bool", word == "true", at, spaced), end
    return Token("nil" if word == "nil" else "name", word, at, spaced), end


def _boundary(source: Source, end: int, at: int) -> int:
    """The end of a word, which must be followed by something that ends it."""
    following = source.text[end : end + 1]
    if following in ("", *BLANKS, ".", ",", "|", ":", "=", "(", ")") or source.text.startswith(CLOSE, end):
        return end
    word = source.text[at:end]
    hint = '; a key with such a character is read by {{ index variables "the-key" }}' if following == "-" else ""
    raise source.error(end, f"unexpected {following!r} after {word!r}{hint}")


def _number(source: Source, at: int, text: str) -> int | float:
    digits = text.replace("_", "")
    try:
        if re.search(r"[.eE]", digits) and not re.match(r"[+-]?0[xX]", digits):
            return float(digits)
        octal = re.match(r"([+-]?)0(\d+)$", digits)
        return int(octal.group(1) + octal.group(2), 8) if octal else int(digits, 0)
    except ValueError:
        raise source.error(at, f"bad number {text!r}") from None


def _quoted(source: Source, at: int, spaced: bool) -> tuple[Token, int]:
    quote = source.text[at]
    match = {'"': _STRING, "'": _CHAR, "`": _RAW}[quote].match(source.text, at)
    if not match:
        raise source.error(at, f"a literal that begins with {quote} is not closed")
    inner = match.group()[1:-1]
    if quote == "`":
        return Token("string", inner, at, spaced), match.end()
    value = _ESCAPE.sub(lambda escape: _unescape(source, at, escape.group(1)), inner)
    if quote == '"':
        return Token("string", value, at, spaced), match.end()
    if len(value) != 1:
        raise source.error(at, "a literal in ' holds exactly one character")
    return Token("number", ord(value), at, spaced), match.end()


def _unescape(source: Source, at: int, escape: str) -> str:
    if escape in _ESCAPES:
        return _ESCAPES[escape]
    try:
        if escape[0] in "xuU":
            return chr(int(escape[1:], 16))
        return chr(int(escape, 8))
    except (ValueError, OverflowError):
        raise source.error(at, f"unknown escape \\{escape} in a literal") from None
