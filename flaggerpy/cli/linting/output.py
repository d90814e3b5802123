"""Findings as text (one line each, as compilers write them), JSON and SARIF 2.1.0."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from flaggerpy import __version__
from flaggerpy.cli.linting.findings import RULES, Finding, Severity

SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def as_text(findings: Sequence[Finding]) -> str:
    """One line each: `file:line:column: severity: sentence [rule]`."""
    return "".join(
        f"{each.place.file}:{each.place.line}:{each.place.column}: {each.severity.word}: {each.message} [{each.rule.id}]\n"
        for each in findings
    )


def summary(findings: Sequence[Finding], objects: int) -> str:
    """How much was found: `2 errors, 1 warning in 5 objects`."""
    counts = Counter(each.severity for each in findings)
    parts = [_count(counts[severity], severity.word) for severity in sorted(Severity, reverse=True) if counts[severity]]
    return f"{', '.join(parts) or 'nothing wrong'} in {_count(objects, 'object')}"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def as_json(findings: Sequence[Finding]) -> str:
    """A list of findings as objects."""
    return json.dumps([_plain(each) for each in findings], indent=2, ensure_ascii=False)


def _plain(finding: Finding) -> dict[str, Any]:
    return {
        "file": finding.place.file,
        "line": finding.place.line,
        "column": finding.place.column,
        "severity": finding.severity.word,
        "rule": finding.rule.id,
        "object": finding.object,
        "field": finding.field,
        "message": finding.message,
    }


def as_sarif(findings: Sequence[Finding]) -> str:
    """A SARIF 2.1.0 log with one run; its rules are the whole catalogue, so that a clean run tells what was looked for."""
    ids = list(RULES)
    rules = [
        {"id": rule.id, "shortDescription": {"text": rule.about}, "defaultConfiguration": {"level": rule.severity.word}}
        for rule in RULES.values()
    ]
    driver = {"name": "flaggerpy lint", "semanticVersion": __version__, "rules": rules}
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": [_result(each, ids) for each in findings]}
    return json.dumps({"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False)


def _result(finding: Finding, ids: Sequence[str]) -> dict[str, Any]:
    location: dict[str, Any] = {
        "physicalLocation": {
            "artifactLocation": {"uri": _uri(finding.place.file)},
            "region": {"startLine": finding.place.line, "startColumn": finding.place.column},
        }
    }
    if finding.object:
        location["logicalLocations"] = [{"fullyQualifiedName": f"{finding.object} {finding.field}".strip(), "kind": "object"}]
    return {
        "ruleId": finding.rule.id,
        "ruleIndex": ids.index(finding.rule.id),
        "level": finding.severity.word,
        "message": {"text": finding.message},
        "locations": [location],
    }


def _uri(file: str) -> str:
    """A relative path stays relative, as code hosts want it; an absolute one is a file URI."""
    path = PurePath(file)
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())
