"""Conditions of an AnalysisTemplate (`result[0] >= 0.95`) as the range in which a Canary's metric passes.

A condition is an expression over `result`. What can be read: comparisons of `result`, `result[0]` or `default(result, x)` with a number,
joined by `&&`; in a failure condition by `||`; and guards against an answer without data (`len(result) == 0 ||`, `!isNaN(result[0]) &&`),
which are dropped. (Argo Rollouts, docs/features/analysis.md: a measurement fails when the failure condition holds or, without one, when the
success condition does not.)
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_VALUE = r"(?:float\(\s*)?(?:result(?:\[\s*0\s*\])?|default\(\s*result(?:\[\s*0\s*\])?\s*,\s*[-+.\w]+\s*\))\s*\)?"
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_ONE_WAY = re.compile(rf"^{_VALUE}\s*(<=|>=|<|>)\s*({_NUMBER})$")
_OTHER_WAY = re.compile(rf"^({_NUMBER})\s*(<=|>=|<|>)\s*{_VALUE}$")
_GUARDS = re.compile(
    r"^(?:!?\s*\(?\s*(?:isNaN|isInf)\(\s*result(?:\[\s*0\s*\])?\s*\)\s*\)?|len\(\s*result\s*\)\s*(?:==|!=|>|<=|<)\s*\d+|result\s*(?:==|!=)\s*nil)$"
)
_TURNED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}


@dataclass(frozen=True)
class Range:
    """The values that pass, bounds included. `edge`: a bound that the condition excludes and a Canary's range includes.
    `guarded`: the condition also spoke of answers without data."""

    low: float | None = None
    high: float | None = None
    edge: bool = False
    guarded: bool = False


class Unclear(ValueError):
    """A condition that is no range of values; the text is the part that is not understood."""


def passing(success: str, failure: str) -> Range:
    """The range of both conditions, either of which may be empty. Raises Unclear."""
    found = Range()
    if success.strip():
        found = _meet(found, _read(success, "&&", failing=False))
    if failure.strip():
        found = _meet(found, _read(failure, "||", failing=True))
    if found.low is not None and found.high is not None and found.low > found.high:
        raise Unclear(f"{success or failure}: no value passes")
    return found


def _read(text: str, joint: str, *, failing: bool) -> Range:
    found = Range()
    for part in re.split(r"&&|\|\|", _bare(text)):
        if _GUARDS.match(_bare(part)):
            found = _meet(found, Range(guarded=True))
            continue
        # between comparisons only one joint leaves a range: a second would be "below 1 or above 5"
        found = _meet(found, _comparison(_bare(part), failing))
    wrong = "||" if joint == "&&" else "&&"
    bounds = [part for part in re.split(r"&&|\|\|", text) if not _GUARDS.match(_bare(part))]
    if wrong in text and len(bounds) > 1:
        raise Unclear(text.strip())
    if not bounds:
        raise Unclear(text.strip())
    return found


def _comparison(text: str, failing: bool) -> Range:
    found = _ONE_WAY.match(text)
    if found:
        sign, number = found[1], float(found[2])
    else:
        found = _OTHER_WAY.match(text)
        if not found:
            raise Unclear(text)
        sign, number = _TURNED[found[2]], float(found[1])
    if failing:
        # what fails below passes from there on
        return Range(low=number, edge=sign == "<=") if sign in ("<", "<=") else Range(high=number, edge=sign == ">=")
    return Range(low=number, edge=sign == ">") if sign in (">", ">=") else Range(high=number, edge=sign == "<")


def _meet(one: Range, other: Range) -> Range:
    lows = [each for each in (one.low, other.low) if each is not None]
    highs = [each for each in (one.high, other.high) if each is not None]
    return Range(
        max(lows) if lows else None, min(highs) if highs else None, one.edge or other.edge, one.guarded or other.guarded
    )


def _bare(text: str) -> str:
    """Without the brackets around the whole."""
    text = text.strip()
    while text.startswith("(") and text.endswith(")") and _closes(text) == len(text) - 1:
        text = text[1:-1].strip()
    return text


def _closes(text: str) -> int:
    """Where the bracket closes that opens the text."""
    depth = 0
    for index, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            return index
    return -1
