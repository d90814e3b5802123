"""What Flagger 1.44 would refuse, drop, or do otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.broken_specs import GOOD, patched
from tests.cli.linting.test_single import findings


@pytest.mark.parametrize(
    ("patch", "rule", "words"),
    [
        ({"podHealth": {"settle": "5s"}}, "flagger-ignores", "spec.podHealth: is dropped by Flagger's CRD"),
        ({"analysis": {"interval": "1h"}}, "flagger-refuses", "1h does not fit Flagger's pattern"),
        ({"analysis": {"interval": "1.5m"}}, "flagger-refuses", "1.5m does not fit"),
        ({"analysis": {"interval": "3s"}}, "flagger-differs", "Flagger takes 3s as 10s"),
        ({"analysis": {"interval": "500ms"}}, "flagger-differs", "Flagger takes 500ms as 10s"),
        ({"analysis": None, "skipAnalysis": True}, "flagger-refuses", "analysis is missing"),
        ({"analysis": None, "canaryAnalysis": {"interval": "1m", "threshold": 1, "stepWeight": 5}}, "flagger-refuses", "write analysis"),
        ({"service": {"match": [{"uri": {"suffix": ".html"}}]}}, "flagger-ignores", "spec.service.match[0].uri.suffix"),
        (
            {"analysis": {"alerts": [{"name": "x", "severity": "", "providerRef": {"name": "x"}}]}},
            "flagger-ignores",
            "never sends this alert",
        ),
        ({"analysis": {"mirror": True}}, "flagger-refuses", "starts its analysis over and over"),
        ({"analysis": {"webhooks": [{"name": "x", "type": "rollback", "url": "http://x.test"}]}}, "flagger-differs", "rollback hooks"),
    ],
)
def test_a_difference_is_told_only_when_asked_for(patch: dict[str, Any], rule: str, words: str) -> None:
    obj = patched(GOOD, patch)
    told = [each for each in findings(obj, for_flagger=True) if each.rule.id == rule]
    assert told
    assert words in told[0].message
    assert not any(each.rule.id.startswith("flagger-") for each in findings(obj))


def test_a_plain_canary_is_flaggers_as_well() -> None:
    assert not any(each.rule.id.startswith("flagger-") for each in findings(GOOD, for_flagger=True))


def test_an_alert_provider_with_both_is_refused_there() -> None:
    spec = {"type": "slack", "address": "http://s.test", "secretRef": {"name": "s"}}
    obj = {"apiVersion": "flagger.app/v1beta1", "kind": "AlertProvider", "metadata": {"name": "a"}, "spec": spec}
    assert [each.rule.id for each in findings(obj, for_flagger=True)] == ["flagger-refuses"]
