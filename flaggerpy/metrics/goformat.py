"""Values as Go prints them: `%v` of numbers, texts, maps and lists, and the verbs of `fmt.Sprintf` that templates use.

Needed because rendered queries, thresholds in event texts and cache keys must read as Flagger's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

_VERB = re.compile(r"%([+\-# 0]*)(\*|\d+)?(?:\.(\*|\d*))?(.)?", re.DOTALL)
_WIDEST = 1000


def format_float(value: float) -> str:
    """A float as Go's `%v` prints it: the shortest digits that read back, `99` and not `99.0`, exponents below 1e-4 and from 1e6."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value == 0:
        return "-0" if math.copysign(1, value) < 0 else "0"
    digits, exponent = _shortest(abs(value))
    sign = "-" if value < 0 else ""
    if exponent < -4 or exponent >= 6:
        mantissa = digits[0] + (f".{digits[1:]}" if len(digits) > 1 else "")
        return f"{sign}{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
    whole = digits[: exponent + 1].ljust(exponent + 1, "0")
    fraction = digits[exponent + 1 :]
    return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"


def _shortest(value: float) -> tuple[str, int]:
    """Significant digits and decimal exponent of a positive float."""
    mantissa, _, exponent = f"{value!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    leading = len(whole + fraction) - len((whole + fraction).lstrip("0"))
    return digits.rstrip("0"), len(whole) - 1 - leading + int(exponent or 0)


def type_name(value: Any) -> str:
    """Go's name of a value's type."""
    if value is None:
        return "<nil>"
    if isinstance(value, Mapping):
        return "map[string]string"
    return {bool: "bool", int: "int", float: "float64", str: "string"}.get(type(value), "[]interface {}")


def go_text(value: Any) -> str:
    """A value as `%v` prints it."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return format_float(value)
    if isinstance(value, Mapping):
        return f"map[{' '.join(f'{go_text(key)}:{go_text(value[key])}' for key in sorted(value))}]"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{' '.join(go_text(item) for item in value)}]"
    return str(value)


def sprint(values: Sequence[Any]) -> str:
    """`fmt.Sprint`: a blank between two neighbours of which neither is a text."""
    parts = list[str]()
    for index, value in enumerate(values):
        if index and not isinstance(value, str) and not isinstance(values[index - 1], str):
            parts.append(" ")
        parts.append(go_text(value))
    return "".join(parts)


def sprintf(layout: str, values: Sequence[Any]) -> str:
    """`fmt.Sprintf`; mistakes appear in the text as Go shows them (`%!d(string=x)`). Widths are cut at 1000."""
    parts, at, used = list[str](), 0, 0
    for match in _VERB.finditer(layout):
        parts.append(layout[at : match.start()])
        at = match.end()
        flags, width, precision, verb = match.groups()
        sizes = list[int | None]()
        for size in (width, precision):
            if size == "*":
                star = values[used] if used < len(values) else None
                used += 1
                sizes.append(star if type(star) is int else None)
            else:
                sizes.append(int(size) if size else (0 if size == "" else None))
        if verb is None:
            parts.append("%!(NOVERB)")
        elif verb == "%":
            parts.append("%")
        elif used >= len(values):
            parts.append(f"%!{verb}(MISSING)")
        else:
            parts.append(_verb(flags, sizes[0], sizes[1], verb, values[used]))
            used += 1
    parts.append(layout[at:])
    if used < len(values):
        extra = ", ".join(f"{type_name(value)}={go_text(value)}" if value is not None else "<nil>" for value in values[used:])
        parts.append(f"%!(EXTRA {extra})")
    return "".join(parts)


def _verb(flags: str, width: int | None, precision: int | None, verb: str, value: Any) -> str:
    text = _body(flags, None if precision is None else min(precision, _WIDEST), verb, value)
    if text is None:
        shown = f"{type_name(value)}={go_text(value)}" if value is not None else "<nil>"
        return f"%!{verb}({shown})"
    size = min(abs(width or 0), _WIDEST)
    if "-" in flags or (width or 0) < 0:
        return text.ljust(size)
    if "0" in flags and not isinstance(value, str) and len(text) < size:
        sign = text[0] if text[:1] in ("+", "-", " ") and len(text) > 1 else ""
        return sign + text[len(sign) :].rjust(size - len(sign), "0")
    return text.rjust(size)


def _body(flags: str, precision: int | None, verb: str, value: Any) -> str | None:
    """The text of one verb without its width, or None when the verb does not fit the value."""
    if verb == "T":
        return type_name(value)
    if verb == "v":
        if isinstance(value, float) and precision is not None:
            return _signed(flags, value, _general(value, precision))
        return _signed(flags, value, go_text(value))
    if isinstance(value, bool):
        return go_text(value) if verb == "t" else None
    if isinstance(value, str):
        return _string(flags, precision, verb, value)
    if isinstance(value, int):
        return _integer(flags, precision, verb, value)
    if isinstance(value, float):
        return _float(flags, precision, verb, value)
    if verb in "sdq" and isinstance(value, Mapping):
        return f"map[{' '.join(f'{key}:{_verb(flags, None, None, verb, value[key])}' for key in sorted(value))}]"
    return None


def _string(flags: str, precision: int | None, verb: str, value: str) -> str | None:
    cut = value if precision is None else value[:precision]
    if verb == "s":
        return cut
    if verb == "q":
        return f"`{cut}`" if "#" in flags and "`" not in cut else quote(cut)
    if verb in "xX":
        digits = cut.encode().hex(" " if " " in flags else "") if " " in flags else cut.encode().hex()
        return digits.upper() if verb == "X" else digits
    return None


def quote(text: str) -> str:
    """A text as a Go string literal."""
    special = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\", '"': '\\"'}

    def one(char: str) -> str:
        if char in special:
            return special[char]
        if char.isprintable():
            return char
        code = ord(char)
        return f"\\x{code:02x}" if code < 0x80 else (f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")

    return f'"{"".join(map(one, text))}"'


def _integer(flags: str, precision: int | None, verb: str, value: int) -> str | None:
    if verb == "c":
        return chr(value) if 0 <= value < 0x110000 else "\ufffd"
    if verb == "q":
        return f"'{chr(value)}'" if 0 <= value < 0x110000 else None
    if verb == "U":
        return f"U+{value:04X}"
    kinds = {"d": "d", "x": "x", "X": "X", "o": "o", "b": "b", "O": "o"}
    if verb not in kinds:
        return None
    digits = format(abs(value), kinds[verb]).rjust(precision or 0, "0")
    prefix = {"x": "0x", "X": "0X", "o": "0", "b": "0b"}.get(verb, "") if "#" in flags else ("0o" if verb == "O" else "")
    return ("-" if value < 0 else _plus(flags)) + prefix + digits


def _float(flags: str, precision: int | None, verb: str, value: float) -> str | None:
    if verb not in "feEgGF":
        return None
    if math.isnan(value) or math.isinf(value):
        return format_float(value)
    if verb in "gG":
        text = format_float(value) if precision is None else _general(value, precision)
        return _signed(flags, value, text if verb == "g" else text.upper())
    return _signed(flags, value, format(value, f".{6 if precision is None else precision}{verb}"))


def _general(value: float, precision: int) -> str:
    return format(value, f".{max(precision, 1)}g")


def _signed(flags: str, value: Any, text: str) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return _plus(flags) + text if number and text[:1] not in ("-", "+") else text


def _plus(flags: str) -> str:
    return "+" if "+" in flags else (" " if " " in flags else "")
