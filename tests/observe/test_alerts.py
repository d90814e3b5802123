"""Alert rules speak of metrics that are exported, and of labels that these have. What they fire on, promtool tests (e2e/observe)."""

from __future__ import annotations

import re

import pytest

from flaggerpy.observe.alerts import ALERTS, Alert, rules
from flaggerpy.telemetry.metrics import CATALOGUE

LABELS = {each.name: set(each.labels) for each in CATALOGUE}
SUFFIXES = ("", "_bucket", "_sum", "_count")


def names_in(expr: str) -> set[str]:
    return set(re.findall(r"\bflagger_\w+", expr))


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alert_speaks_of_what_is_exported(alert: Alert) -> None:
    for name in names_in(alert.expr):
        stem = next((name.removesuffix(end) for end in SUFFIXES if name.removesuffix(end) in LABELS), None)
        assert stem, f"{name} is not exported"
        for matchers in re.findall(name + r"\{([^}]*)\}", alert.expr):
            assert set(re.findall(r"(\w+)[=!]~?\"", matchers)) <= LABELS[stem]


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alert_says_what_it_means_and_what_to_do(alert: Alert) -> None:
    assert alert.meaning.endswith(".")
    assert alert.runbook
    assert not alert.runbook.endswith(".")
    used = set(re.findall(r"\$labels\.(\w+)", alert.summary + alert.runbook)) - {"exported_namespace"}
    known = set().union(*(LABELS.get(name, LABELS.get(re.sub("_(bucket|sum|count)$", "", name), set())) for name in names_in(alert.expr)))
    assert used <= known


def test_all_are_in_the_rule_file() -> None:
    (group,) = rules()["groups"]
    assert [rule["alert"] for rule in group["rules"]] == [alert.name for alert in ALERTS]
    assert len({alert.name for alert in ALERTS}) == len(ALERTS)
