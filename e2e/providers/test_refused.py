"""What docs/providers.md calls refused is refused by a real API server, or by the controller with a condition, before anything is made."""

from __future__ import annotations

import pytest

from e2e.core.controllers import Controller
from e2e.kube import Kube, KubeError, Object, until
from e2e.providers.table import canary_for, refusals, refused


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
        for number, (provider, feature) in enumerate(refused())
    }
    assert {answer.status for _, _, answer in answers.values() if answer is not None} <= {422}
    stalled = {name: (provider, feature) for name, (provider, feature, answer) in answers.items() if answer is None}
    assert stalled

    def told(name: str) -> Object | None:
        conditions = kube.get("Canary", name, namespace).get("status", {}).get("conditions") or ()
        return next((each for each in conditions if each["type"] == "Stalled" and each["status"] == "True"), None)

    for name, (provider, feature) in stalled.items():
        condition = until(lambda name=name: told(name), 40, f"the condition Stalled for {feature} of {provider}")  # type: ignore[misc]
        field = refusals(provider, feature)[0].partition(":")[0]
        assert field in condition["message"], (provider, feature, condition)
    made = kube.ask("GET", kube.path("Service", namespace))["items"] + kube.ask("GET", kube.path("Deployment", namespace))["items"]
    assert made == []
