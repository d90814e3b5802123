"""Flagger 1.44's hash of a pod template, which stands in lastAppliedSpec and lastPromotedSpec: the way back needs it.

It is FNV-1a (32 bits) over Go's printed form of the typed template (go-spew, `%#v`, sorted keys), its decimal digits mapped by Kubernetes'
safe alphabet. The printed form names every field of every type, those that are not set too, so it hangs on the version of Kubernetes' API
that Flagger was built with (0.36.2): `flagger_types.json` holds these types, written by e2e/takeover/hashes, and a test there holds the
sums to Flagger's own. Fields that those types lack do not count, as Flagger does not see them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_QUANTITY = re.compile(r"^([+-]?)0*(\d*)(?:\.(\d*))?(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?\d+)?$")
_DECIMAL = {"": 0, "n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_SMALLEST_SCALE, _MOST_DIGITS, _GREATEST = -9, 18, 2**63 - 1
_NO_TIME = "{Time:(time.Time){wall:(uint64)0 ext:(int64)0 loc:(*time.Location)<nil>}}"


def flagger_hash(template: Mapping[str, Any]) -> str:
    """Flagger's hash of a pod template as the API server gives it. Raises ValueError for one that cannot be put into its words."""
    total = 0x811C9DC5
    for byte in go_words(template).encode():
        total = ((total ^ byte) * 0x01000193) & 0xFFFFFFFF
    return "".join(_ALPHABET[ord(digit) % len(_ALPHABET)] for digit in str(total))


def go_words(template: Mapping[str, Any]) -> str:
    """The template as go-spew prints it with `%#v`."""
    return "".join(("(v1.PodTemplateSpec)", *_value("v1.PodTemplateSpec", template)))


@cache
def _types() -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(resources.files("flaggerpy.targets").joinpath("flagger_types.json").read_text())
    return found


def _value(kind: str, value: Any) -> Iterator[str]:
    """The words of a value of that Go type, without the type."""
    kind = _types()["named"].get(kind, kind)
    if kind.startswith("*"):
        yield from ("<nil>",) if value is None else _value(kind[1:], value)
    elif kind.startswith("[]"):
        yield from _list(kind[2:], value)
    elif kind.startswith("map["):
        yield from _map(kind[4:].partition("]")[2], value)
    elif kind == "resource.Quantity":
        yield _quantity(value)
    elif kind == "intstr.IntOrString":
        yield _int_or_string(value)
    elif kind == "v1.Time":
        if value is not None:
            raise ValueError("a time in a pod template")
        yield _NO_TIME
    elif kind in _types()["structs"]:
        yield from _struct(_types()["structs"][kind], value or {})
    else:
        yield _plain(kind, value)


def _plain(kind: str, value: Any) -> str:
    if kind == "bool":
        return "true" if value else "false"
    if kind == "string":
        return str(value or "")
    if kind.startswith(("int", "uint")):
        return str(int(value or 0))
    raise ValueError(f"a value of type {kind}")


def _struct(fields: list[list[str]], value: Mapping[str, Any]) -> Iterator[str]:
    yield "{"
    for index, (name, key, kind) in enumerate(fields):
        inner = value.get(key) if key else value
        empty_pointer = kind.startswith("*") and inner is None
        yield f"{' ' if index else ''}{name}:({kind}){'<nil>' if empty_pointer else ''}"
        if not empty_pointer:
            yield from _value(kind, inner)
    yield "}"


def _list(kind: str, value: Any) -> Iterator[str]:
    if value is None:
        yield "<nil>"
        return
    yield "["
    for index, item in enumerate(value):
        yield " " if index else ""
        yield from _value(kind, item)
    yield "]"


def _map(kind: str, value: Any) -> Iterator[str]:
    if value is None:
        yield "<nil>"
        return
    yield "map["
    for index, key in enumerate(sorted(value)):
        yield f"{' ' if index else ''}{key}:"
        yield from _value(kind, value[key])
    yield "]"


def _int_or_string(value: Any) -> str:
    if isinstance(value, str):
        return f"{{Type:(intstr.Type)1 IntVal:(int32)0 StrVal:(string){value}}}"
    return f"{{Type:(intstr.Type)0 IntVal:(int32){int(value or 0)} StrVal:(string)}}"


def _quantity(value: Any) -> str:
    """A quantity as Kubernetes holds it: an integer and a scale, and its text where that is canonical."""
    if value is None:
        return _amount(0, 0, "", "")
    text = str(value)
    if text == "0":
        return _amount(0, 0, "0", "DecimalSI")
    told = _QUANTITY.match(text)
    if told is None:
        raise ValueError(f"{text!r} is no quantity")
    sign, whole, part, suffix = told.group(1), told.group(2) or "0", told.group(3) or "", told.group(4) or ""
    digits, scale, times, form, rest = whole + part, -len(part), 1, "DecimalSI", _MOST_DIGITS - len(whole + part)
    if suffix in _BINARY:
        form, times = "BinarySI", 1 << _BINARY[suffix]
        rest = -1 if part else 15 - len(whole) - int(_BINARY[suffix] * 3 / 10) - 1
    elif suffix in _DECIMAL:
        scale += _DECIMAL[suffix]
    else:
        form, scale = "DecimalExponent", scale + int(suffix[1:])
    amount = int(digits) * times
    if rest < 0 or scale < _SMALLEST_SCALE or amount > _GREATEST:
        raise ValueError(f"the quantity {text}, which is too great or too fine")
    if form == "BinarySI":
        canonical = _BINARY[suffix] % 10 == 0 and int(digits) & 7 != 0
    else:
        canonical = scale % 3 == 0 and not digits.endswith("000") and not digits.startswith("0")
    return _amount(-amount if sign == "-" else amount, scale, text if canonical else "", form)


def _amount(value: int, scale: int, text: str, form: str) -> str:
    return (
        f"{{i:(resource.int64Amount){{value:(int64){value} scale:(resource.Scale){scale}}} "
        f"d:(resource.infDecAmount){{Dec:(*inf.Dec)<nil>}} s:(string){text} Format:(resource.Format){form}}}"
    )
