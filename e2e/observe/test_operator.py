"""What the chart makes for Prometheus Operator and Grafana, taken by an API server that has the operator's own CRDs."""

from __future__ import annotations

import json
from functools import partial

import pytest

from e2e.install.helm import Helm
from e2e.kube import Kube, Object, until
from e2e.sandbox.build import part_dir, part_named
from flaggerpy.observe.alerts import rules
from flaggerpy.observe.dashboard import dashboard

VALUES: Object = {
    "serviceMonitor": {"enabled": True, "honorLabels": True, "labels": {"release": "prometheus"}},
    "podMonitor": {"enabled": True, "honorLabels": True, "additionalLabels": {"release": "prometheus"}},
    "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
    "dashboard": {"enabled": True, "annotations": {"grafana_folder": "Releases"}},
}
MADE = ("ServiceMonitor", "PodMonitor", "PrometheusRule", "ConfigMap")


@pytest.fixture(scope="module")
def rendered() -> dict[str, Object]:
    found = Helm().template(VALUES)
    return {obj["kind"]: obj for obj in found if obj["kind"] in MADE}


def test_an_api_server_takes_them_as_they_are(kube: Kube, namespace: str, rendered: dict[str, Object]) -> None:
    for file in sorted((part_dir(part_named("prometheus-operator")) / "crds").glob("*.yaml")):
        kube.apply_yaml(file.read_text())
    for kind in MADE:
        obj = rendered[kind]
        obj["metadata"]["namespace"] = namespace
        # strict: a field that the CRD does not know is an error, and not dropped in silence
        made = until(partial(_create, kube, obj, namespace), 20, f"{kind} to be taken")
        assert made["metadata"]["name"]
        if kind != "ConfigMap":
            assert made["spec"] == obj["spec"]


def _create(kube: Kube, obj: Object, namespace: str) -> Object:
    path = kube.path(obj["kind"], namespace, "", obj["apiVersion"])
    made: Object = kube.ask("POST", path, obj, fieldValidation="Strict")
    return made


def test_they_carry_what_is_generated_and_the_labels_that_others_choose_by(rendered: dict[str, Object]) -> None:
    assert rendered["PrometheusRule"]["spec"] == rules()
    assert json.loads(rendered["ConfigMap"]["data"]["flaggerpy.json"]) == dashboard()
    assert rendered["ConfigMap"]["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert rendered["ConfigMap"]["metadata"]["annotations"] == {"grafana_folder": "Releases"}
    for kind in ("ServiceMonitor", "PodMonitor", "PrometheusRule"):
        assert rendered[kind]["metadata"]["labels"]["release"] == "prometheus"


def test_without_being_asked_for_there_is_none_of_them() -> None:
    kinds = {obj["kind"] for obj in Helm().template({})}
    assert not kinds & {"ServiceMonitor", "PodMonitor", "PrometheusRule"}
