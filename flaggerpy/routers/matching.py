"""Who a rule is for: `service.match` and `analysis.match` as one list of plain matches, and what a provider cannot express of them.

A matcher that a provider cannot express is refused by name. Left out in silence it would turn "these visitors" into "everybody"
(Q-40), or one text into another (Q-43).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from flaggerpy.api.canary import AnalysisMatch, Canary, HTTPMatch, Service, StringMatch
from flaggerpy.routers.fields import analysis_path

Kind = Literal["exact", "prefix", "suffix", "regex"]

# What RE2 reads and Python does not, or otherwise: of these the route's controller is the judge.
_RE2_ONLY = re.compile(r"\\[pPzQEC]|\(\?|\[\[:")


@dataclass(frozen=True)
class Comparison:
    """How a text is compared, and with what."""

    kind: Kind
    value: str


Named = tuple[tuple[str, Comparison], ...]


@dataclass(frozen=True)
class Match:
    """One match: all of its parts must hold. `headers` and `query` are sorted by name."""

    path: Comparison | None = None
    method: str | None = None
    headers: Named = ()
    query: Named = ()


@dataclass(frozen=True)
class Capabilities:
    """What a provider can compare. `fields` are the further fields of a match that it has; their values are its own to judge.

    `presence`: a header or query parameter of `service.match` may be given without a value, and then only has to be there.
    """

    path: frozenset[Kind] = frozenset()
    headers: frozenset[Kind] = frozenset()
    query: frozenset[Kind] = frozenset()
    method: bool = False
    fields: frozenset[str] = frozenset()
    presence: bool = False


def service_matches(service: Service) -> list[Match]:
    """The requests that the route takes at all: one match that takes everything when the user gave none."""
    return [_of_service(match) for match in service.match] or [Match()]


def canary_matches(canary: Canary, service: Service) -> list[Match]:
    """The requests of `analysis.match` among those that the route takes: every pair of the two lists. [] without `analysis.match`."""
    return [
        Match(
            path=base.path,
            method=base.method,
            headers=_merged(base.headers, wanted.headers, fold=True),
            query=_merged(base.query, wanted.query, fold=False),
        )
        for wanted in map(_of_analysis, canary.spec.plan.match)
        for base in service_matches(service)
    ]


def with_header(match: Match, name: str, test: Comparison) -> Match:
    """The same match for requests that also carry this header."""
    return Match(match.path, match.method, _merged(match.headers, ((name, test),), fold=True), match.query)


def problems(canary: Canary, service: Service, can: Capabilities, provider: str) -> list[str]:
    """One sentence per matcher that this provider cannot express."""
    found: list[str] = []
    for index, match in enumerate(service.match):
        found += _service_problems(match, f"spec.service.match[{index}]", can, provider)
    for index, wanted in enumerate(canary.spec.plan.match):
        found += _analysis_problems(wanted, f"{analysis_path(canary)}.match[{index}]", can, provider)
    return found


def literal(text: str) -> str:
    """A regular expression (RE2, PCRE) that matches exactly this text (Q-38)."""
    return re.sub(r"[^A-Za-z0-9_]", lambda found: "\\" + found.group() if ord(found.group()) < 128 else found.group(), text)


def chosen(match: StringMatch) -> list[Comparison]:
    """The comparisons that are given; one is right, none and several are mistakes."""
    kinds: tuple[Kind, ...] = ("exact", "prefix", "suffix", "regex")
    return [Comparison(kind, value) for kind in kinds if (value := getattr(match, kind)) is not None]


def _one(match: StringMatch | None) -> Comparison | None:
    tests = chosen(match) if match else []
    return tests[0] if tests else None


def _tests(matches: Mapping[str, StringMatch]) -> Named:
    return tuple((name, test) for name in sorted(matches) if (test := _one(matches[name])) is not None)


def _of_service(match: HTTPMatch) -> Match:
    method = _one(match.method)
    return Match(_one(match.uri), method.value if method else None, _tests(match.headers), _tests(match.query_params))


def _of_analysis(match: AnalysisMatch) -> Match:
    return Match(headers=_tests(match.headers), query=_tests(match.query_params))


def _merged(base: Named, over: Named, *, fold: bool) -> Named:
    taken = {name.lower() if fold else name for name, _ in over}
    kept = [pair for pair in base if (pair[0].lower() if fold else pair[0]) not in taken]
    return tuple(sorted([*kept, *over], key=lambda pair: pair[0]))


def _service_problems(match: HTTPMatch, where: str, can: Capabilities, provider: str) -> list[str]:
    found = _unknown(
        where,
        provider,
        can,
        {
            "authority": match.authority,
            "scheme": match.scheme,
            "withoutHeaders": match.without_headers,
            "sourceLabels": match.source_labels,
            "sourceNamespace": match.source_namespace,
            "gateways": match.gateways,
            "ignoreUriCase": match.ignore_uri_case,
            "port": match.port,
        },
    )
    if match.uri is not None:
        found += comparison_problems(match.uri, f"{where}.uri", can.path, provider)
    if match.method is not None and "method" not in can.fields:
        found += comparison_problems(match.method, f"{where}.method", frozenset({"exact"} if can.method else ()), provider)
    headers, query = match.headers, match.query_params
    if can.presence:
        headers, query = ({name: test for name, test in tests.items() if chosen(test)} for tests in (headers, query))
    return found + _map_problems(headers, query, where, can, provider)


def _analysis_problems(match: AnalysisMatch, where: str, can: Capabilities, provider: str) -> list[str]:
    found = _unknown(where, provider, can, {"sourceLabels": match.source_labels})
    if not (match.headers or match.query_params or match.source_labels):
        found.append(f"{where}: names no header and no query parameter: it would take every request to the canary")
    return found + _map_problems(match.headers, match.query_params, where, can, provider)


def _map_problems(
    headers: Mapping[str, StringMatch], query: Mapping[str, StringMatch], where: str, can: Capabilities, provider: str
) -> list[str]:
    found: list[str] = []
    for name in sorted(headers):
        found += comparison_problems(headers[name], f"{where}.headers.{name}", can.headers, provider)
    for name in sorted(query):
        found += comparison_problems(query[name], f"{where}.queryParams.{name}", can.query, provider)
    return found


def _unknown(where: str, provider: str, can: Capabilities, fields: Mapping[str, object]) -> list[str]:
    return [
        f"{where}.{name}: cannot be matched by provider {provider}" for name, value in fields.items() if value and name not in can.fields
    ]


def comparison_problems(match: StringMatch, where: str, can: frozenset[Kind], provider: str) -> list[str]:
    """What is wrong with one comparison, at most one sentence."""
    tests = chosen(match)
    if len(tests) != 1:
        given = " and ".join(test.kind for test in tests) or "nothing"
        return [f"{where}: needs one of exact, prefix, suffix, regex, and has {given}"]
    test = tests[0]
    if not test.value:
        return [f"{where}.{test.kind}: is empty"]
    if test.kind in can:
        return _regex_problems(test, where)
    advice = ""
    if test.kind in ("prefix", "suffix") and "regex" in can:
        advice = f"; write regex: '{literal(test.value)}.*'" if test.kind == "prefix" else f"; write regex: '.*{literal(test.value)}'"
    return [f"{where}.{test.kind}: cannot be matched by provider {provider}{advice}"]


def _regex_problems(test: Comparison, where: str) -> list[str]:
    if test.kind != "regex":
        return []
    if _RE2_ONLY.search(test.value):
        return []
    try:
        re.compile(test.value)
    except re.error as error:
        return [f"{where}.regex: is no regular expression: {error}"]
    return []
