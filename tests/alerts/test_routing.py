"""Who is told: severities, providers, the global notifier, and the facts of a release."""

from __future__ import annotations

from typing import Any

import pytest

from flaggerpy.alerts import Destination, alert, destination, global_destination, provider_key, recipients
from flaggerpy.alerts.payloads import Severity
from flaggerpy.alerts.routing import traffic_routing
from flaggerpy.api.alertprovider import AlertProvider, parse_alert_provider
from tests.metrics.canaries import canary


def told(severity: str | None, event: Severity) -> bool:
    ref: dict[str, Any] = {"name": "a", "providerRef": {"name": "slack"}} | ({} if severity is None else {"severity": severity})
    return bool(recipients(canary(analysis={"alerts": [ref]}), event))


@pytest.mark.parametrize(
    ("wanted", "events"),
    [
        (None, ("info", "warn", "error")),
        ("", ("info", "warn", "error")),
        ("info", ("info", "warn", "error")),
        ("warn", ("warn", "error")),
        ("error", ("error",)),
    ],
)
@pytest.mark.fault("Q-14")
def test_severities(wanted: str | None, events: tuple[Severity, ...]) -> None:
    every: tuple[Severity, ...] = ("info", "warn", "error")
    assert tuple(event for event in every if told(wanted, event)) == events


def test_without_a_list_the_global_notifier_is_meant() -> None:
    assert recipients(canary(), "info") is None


def test_the_provider_is_in_the_canarys_namespace_unless_another_is_named() -> None:
    refs = [{"name": "a", "providerRef": {"name": "slack"}}, {"name": "b", "providerRef": {"name": "slack", "namespace": "ops"}}]
    subject = canary(analysis={"alerts": refs})
    assert [provider_key(subject, ref) for ref in subject.spec.plan.alerts] == [("test", "slack"), ("ops", "slack")]


def provider(**spec: Any) -> AlertProvider:
    return parse_alert_provider({"metadata": {"name": "on-call", "namespace": "ops"}, "spec": {"type": "slack"} | spec})


def test_a_destination_has_flaggers_defaults() -> None:
    assert destination(provider(address="https://hooks.example/x"), None) == Destination(
        "slack", "https://hooks.example/x", username="flagger", channel="general"
    )


@pytest.mark.fault("Q-53")
def test_the_secret_gives_address_and_token_and_wins() -> None:
    spec = provider(address="https://spec.example", secretRef={"name": "keys"}, channel="c", username="u", proxy="http://proxy:3128")
    assert destination(spec, {"address": "https://secret.example\n", "token": "t\n"}) == Destination(
        "slack", "https://secret.example", username="u", channel="c", token="t", proxy="http://proxy:3128"
    )
    assert destination(spec, {"token": "t"}) == Destination("slack", "https://spec.example", "u", "c", "t", "http://proxy:3128")


@pytest.mark.parametrize(
    ("spec", "secret", "reason"),
    [
        ({"secretRef": {"name": "keys"}}, None, "names the secret keys, which does not exist"),
        ({"secretRef": {"name": "keys"}}, {"token": "t"}, "no address, and neither has its secret keys"),
        ({}, None, "no usable address"),
        ({"address": "hooks.example"}, None, "no usable address"),
    ],
)
def test_a_provider_that_leads_nowhere_is_named(spec: dict[str, Any], secret: dict[str, str] | None, reason: str) -> None:
    said = destination(provider(**spec), secret)
    assert isinstance(said, str)
    assert said.startswith("alert provider on-call.ops ")
    assert reason in said


def test_the_global_notifier() -> None:
    assert global_destination() is None
    slack = {"slack_url": "https://slack.example", "slack_channel": "c", "slack_token": "t", "slack_proxy_url": "http://p"}
    assert global_destination(**slack) == Destination("slack", "https://slack.example", "flagger", "c", "t", "http://p", trusted=True)
    assert global_destination(**slack, msteams_url="https://teams.example") == Destination("msteams", "https://teams.example", trusted=True)
    assert global_destination(slack_url="https://slack.example") == "-slack-url needs -slack-channel and -slack-user"
    assert "no usable address" in str(global_destination(msteams_url="teams"))


def test_facts_go_with_an_alert_when_they_are_asked_for() -> None:
    subject = canary(analysis={"interval": "10s", "threshold": 5, "stepWeight": 10, "maxWeight": 50}, progressDeadlineSeconds=60)
    assert alert(subject, "m", "info").fields == ()
    assert alert(subject, "m", "info", cluster="eu-1").fields == (("Cluster", "eu-1"),)
    assert alert(subject, "m", "info", with_facts=True, cluster="eu-1").fields == (
        ("Cluster", "eu-1"),
        ("Target", "Deployment/podinfo.test"),
        ("Failed checks threshold", "5"),
        ("Progress deadline", "60s"),
        ("Traffic routing", "Weight step: 10 max: 50"),
    )


@pytest.mark.parametrize(
    ("analysis", "text"),
    [
        ({"stepWeight": 10}, "Weight step: 10 max: 100"),
        ({"stepWeights": [1, 2, 3]}, "Weight steps: 1,2,3 max: 3"),
        ({"iterations": 10}, "Blue/Green"),
        ({"iterations": 10, "match": [{"headers": {"x": {"exact": "y"}}}]}, "A/B Testing"),
    ],
)
def test_how_traffic_moves_is_told_in_flaggers_words(analysis: dict[str, Any], text: str) -> None:
    assert traffic_routing(canary(analysis=analysis)) == text
