"""The generated CRDs match the models, and have Flagger's shape."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from flaggerpy.api import crds

CANARY = crds.canary_crd()
SCHEMA = CANARY["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


@pytest.mark.parametrize("folder", crds.FOLDERS)
@pytest.mark.parametrize("name", crds.files())
def test_the_committed_files_are_the_generated_ones(name: str, folder: str) -> None:
    assert (crds.ROOT / folder / name).read_text() == crds.files()[name], "run python -m flaggerpy.api.crds"


def test_check_tells_which_file_drifted(tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(crds, "ROOT", tmp_path)
    assert crds.main([]) == 0
    assert crds.main(["--check"]) == 0
    (tmp_path / "crds" / "canary.yaml").write_text("")
    assert crds.main(["--check"]) == 1
    assert "crds/canary.yaml differs" in capsys.readouterr().out


@pytest.mark.parametrize("name", crds.files())
def test_names_category_and_policy_are_flaggers(name: str) -> None:
    crd = yaml.safe_load(crds.files()[name])
    assert crd["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert crd["spec"]["names"]["categories"] == ["all"]
    assert "shortNames" not in crd["spec"]["names"]
    assert crd["spec"]["versions"][0]["subresources"] == {"status": {}}


def test_the_columns_are_flaggers() -> None:
    columns = CANARY["spec"]["versions"][0]["additionalPrinterColumns"]
    assert [column["name"] for column in columns if "priority" not in column] == ["Status", "Weight", "LastTransitionTime"]
    assert [column["name"] for column in columns if "priority" in column] == [
        "Suspended", "FailedChecks", "Interval", "Mirror", "StepWeight", "StepWeights", "MaxWeight",
    ]  # fmt: skip


def nodes(node: dict[str, Any], at: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield at, node
    for key, child in node.get("properties", {}).items():
        yield from nodes(child, f"{at}.{key}")
    for key in ("items", "additionalProperties"):
        if key in node:
            yield from nodes(node[key], f"{at}[]")


@pytest.mark.parametrize(
    "crd", [crds.canary_crd(), crds.metric_template_crd(), crds.alert_provider_crd()], ids=lambda crd: crd["metadata"]["name"]
)
def test_every_field_is_described(crd: dict[str, Any]) -> None:
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    missing = [at for at, node in nodes(schema) if not at.endswith("[]") and at != ".metadata" and not node.get("description")]
    assert missing == []


@pytest.mark.fault("Q-5")
def test_whole_numbers_are_integers() -> None:
    numbers = {at for at, node in nodes(SCHEMA) if node.get("type") == "number"}
    assert numbers == {
        f".spec.{analysis}.metrics[].{field}"
        for analysis in ("analysis", "canaryAnalysis")
        for field in ("threshold", "thresholdRange.min", "thresholdRange.max")
    } | {".status.history[].measured.metrics[].values[]"}


def test_only_flaggers_defaults_are_filled_in_and_that_nobody_has_looked() -> None:
    filled = {at: node["default"] for at, node in nodes(SCHEMA) if "default" in node}
    assert filled == {
        ".spec.analysis.sessionAffinity.maxAge": 86400,
        ".spec.canaryAnalysis.sessionAffinity.maxAge": 86400,
        ".spec.service.gatewayRefs[].group": "gateway.networking.k8s.io",
        ".spec.service.gatewayRefs[].kind": "Gateway",
        ".status": {"observedGeneration": -1},
        ".spec.service.mirror[].backendRef.group": "",
        ".spec.service.mirror[].backendRef.kind": "Service",
    }


def test_the_status_keeps_what_we_write() -> None:
    status = SCHEMA["properties"]["status"]
    assert status["properties"]["run"]["x-kubernetes-preserve-unknown-fields"] is True
    assert "required" not in status
    assert status["default"] == {"observedGeneration": -1}, "by kstatus a Canary that nobody has looked at is not Current"
    assert status["properties"]["phase"]["enum"][0] == ""
    assert status["properties"]["conditions"]["items"]["required"] == ["type", "status", "reason"]
    assert status["properties"]["history"]["maxItems"] == 10
