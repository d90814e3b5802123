"""What docs/providers.md calls refused is refused by a real API server, or by the controller with a condition, before anything is made."""

from __future__ import annotations

import pytest

from e2e.core.controllers import Controller
from e2e.kube import Kube, KubeError, Object, until
from e2e.providers.table import FEATURES, canary_for, field_of, stated


def applied(kube: Kube, obj: Object) -> KubeError | None:
    """The API server's refusal; None when it took the object."""
    try:
        kube.apply(obj)
    except KubeError as error:
        return error
    return None


@pytest.mark.refuses
def test_what_a_provider_cannot_do_is_refused_by_name(kube: Kube, controller: Controller, namespace: str) -> None:
    """All at once: none of them costs more than a condition."""
    answers = {
        f"refused-{number}": (provider, feature, applied(kube, canary_for(provider, feature, namespace, f"refused-{number}")))
        for number, (provider, feature) in enumerate(stated("refused"))
    }
    for provider, feature, answer in answers.values():
        field = field_of(feature).removeprefix("spec.analysis.")
        assert answer is None or (answer.status == 422 and field in str(answer)), (provider, feature, answer)
    stalled = {name: (provider, feature) for name, (provider, feature, answer) in answers.items() if answer is None}
    assert stalled

    def told(name: str) -> Object | None:
        conditions = kube.get("Canary", name, namespace).get("status", {}).get("conditions") or ()
        return next((each for each in conditions if each["type"] == "Stalled" and each["status"] == "True"), None)

    for name, (provider, feature) in stalled.items():
        condition = until(lambda name=name: told(name), 40, f"the condition Stalled for {feature} of {provider}")  # type: ignore[misc]
        assert field_of(feature) in condition["message"], (provider, feature, condition)
    made = kube.ask("GET", kube.path("Service", namespace))["items"] + kube.ask("GET", kube.path("Deployment", namespace))["items"]
    assert made == []


@pytest.mark.refuses
def test_what_has_no_effect_is_told_by_an_event(kube: Kube, controller: Controller, namespace: str) -> None:
    """A Canary of each provider with all the fields that it can make nothing of."""
    expected: dict[str, list[str]] = {}
    for provider, feature in stated("warned"):
        expected.setdefault(provider, []).append(feature)
    assert expected
    names = {provider: f"warned-{number}" for number, provider in enumerate(expected)}
    for provider, features in expected.items():
        obj = canary_for(provider, "a whole release", namespace, names[provider])
        for feature in features:
            obj["spec"]["service"] |= FEATURES[feature]["service"]
        kube.apply(obj)

    def missing() -> list[tuple[str, str]]:
        texts = {provider: [event["message"] for event in kube.events(namespace, name)] for provider, name in names.items()}
        return [
            (provider, feature)
            for provider, features in expected.items()
            for feature in features
            if not any(text.startswith(f"{field_of(feature)}: has no effect") for text in texts[provider])
        ]

    until(lambda: not missing(), 40, "an event for each field", missing)
