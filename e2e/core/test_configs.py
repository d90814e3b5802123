"""ConfigMaps and Secrets of a release on a real cluster: each treated as it says, in versions that nobody can edit, and given back."""

from __future__ import annotations

import base64
import json

import pytest

from e2e.core.controllers import Controller
from e2e.core.stage import PORT, Stage
from e2e.kube import KubeError, Object, until

pytestmark = pytest.mark.slow

OLD, NEW = "correct-horse", "battery-staple"
TRACKING = "flagger.app/config-tracking"
BLUE_GREEN: Object = {"interval": "2s", "threshold": 2, "iterations": 1}


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def config(stage: Stage, name: str, colour: str) -> Object:
    metadata = {"name": name, "namespace": stage.namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"COLOUR": colour}, "binaryData": {"logo": "AAEC"}}


def secret(stage: Stage, password: str) -> Object:
    metadata = {"name": "password", "namespace": stage.namespace, "annotations": {TRACKING: "follow"}}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"PASSWORD": encoded(password)}}


def using(stage: Stage, *env: Object, tag: str = "1.0.0", **main: object) -> Object:
    deployment = stage.deployment(tag, replicas=1)
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    container |= {"envFrom": list(env), **main}
    return deployment


COLOUR: Object = {"configMapRef": {"name": "colour"}}
PASSWORD: Object = {"secretRef": {"name": "password"}}
IGNORED: Object = {"configMapRef": {"name": "ignored"}}


def used(stage: Stage) -> list[str]:
    """The configs that the primary names."""
    primary = stage.kube.get("Deployment", f"{stage.name}-primary", stage.namespace)
    env = primary["spec"]["template"]["spec"]["containers"][0].get("envFrom") or []
    return [source["name"] for entry in env for source in entry.values() if isinstance(source, dict)]


def copies(stage: Stage, kind: str) -> set[str]:
    found = (obj["metadata"]["name"] for obj in stage.kube.items(kind, stage.namespace))
    return {name for name in found if "-primary" in name}


def rolled_out(stage: Stage) -> bool:
    primary = stage.kube.get("Deployment", f"{stage.name}-primary", stage.namespace)
    status, wanted = primary.get("status") or {}, primary["spec"]["replicas"]
    seen = status.get("observedGeneration", 0) >= primary["metadata"]["generation"]
    return bool(seen and status.get("updatedReplicas") == status.get("availableReplicas") == status.get("replicas") == wanted)


def test_each_config_is_treated_as_it_says(stage: Stage, controller: Controller) -> None:
    ignored = config(stage, "ignored", "any")
    ignored["metadata"]["annotations"] = {TRACKING: "disabled"}
    stage.kube.apply(config(stage, "colour", "blue"), secret(stage, OLD), ignored)
    stage.initialise(stage.canary(provider="kubernetes", analysis=BLUE_GREEN), using(stage, COLOUR, PASSWORD, IGNORED))
    colour, password, plain = used(stage)
    assert plain == "ignored"
    copy = stage.kube.get("ConfigMap", colour, stage.namespace)
    assert (copy["data"], copy["binaryData"]) == ({"COLOUR": "blue"}, {"logo": "AAEC"})
    with pytest.raises(KubeError, match="immutable"):
        stage.kube.patch("ConfigMap", colour, {"data": {"COLOUR": "red"}}, stage.namespace)

    # a rotated password is in the primary's pods at once, without a release
    stage.kube.patch("Secret", "password", {"data": {"PASSWORD": encoded(NEW)}}, stage.namespace)
    until(lambda: used(stage)[1] != password, 20, "the primary to follow the Secret", stage.story)
    until(lambda: rolled_out(stage), 60, "the primary's pods", stage.story)
    assert stage.kube.get("Secret", used(stage)[1], stage.namespace)["data"] == {"PASSWORD": encoded(NEW)}
    assert (stage.status()["phase"], len(stage.status()["history"])) == ("Initialized", 1)
    stage.told("follows secret/password")

    # what is tracked is released, and what nobody needs any more goes
    stage.kube.apply(config(stage, "colour", "green"))
    stage.phase("Progressing", seconds=20)
    assert used(stage)[0] == colour
    stage.phase("Succeeded", seconds=60)
    until(lambda: copies(stage, "ConfigMap") == {used(stage)[0]} != {colour}, 20, "the old ConfigMap's copy to go", stage.story)
    until(lambda: copies(stage, "Secret") == {used(stage)[1]}, 20, "the old Secret's copy to go", stage.story)
    kept = stage.kube.items("ControllerRevision", stage.namespace, api_version="apps/v1")
    told = stage.story() + json.dumps(stage.get()) + json.dumps(kept) + controller.log.read_text()
    assert not [word for word in (OLD, NEW) if word in told or encoded(word) in told]


def test_a_promotion_that_fails_gives_the_former_config_back(stage: Stage) -> None:
    """The new template runs as canary and cannot start as primary, for only the primary's pods have that annotation."""
    stage.kube.apply(config(stage, "colour", "blue"))
    stage.initialise(stage.canary(provider="kubernetes", analysis=BLUE_GREEN), using(stage, COLOUR))
    [former] = used(stage)
    stage.kube.apply(config(stage, "colour", "green"))
    field = {"fieldRef": {"fieldPath": "metadata.annotations['flagger.app/revision']"}}
    env = [{"name": "PORT", "value": str(PORT)}, {"name": "PROMOTED", "valueFrom": field}]
    stage.kube.apply(using(stage, COLOUR, tag="1.0.1", command=["/toggle$(PROMOTED)"], env=env))
    until(lambda: used(stage) != [former], 60, "the primary to get the new config", stage.story)
    assert stage.kube.get("ConfigMap", former, stage.namespace)["data"] == {"COLOUR": "blue"}
    stage.phase("Failed", seconds=60)
    assert used(stage) == [former]
    assert stage.kube.get("ConfigMap", former, stage.namespace)["data"] == {"COLOUR": "blue"}
    until(lambda: rolled_out(stage), 60, "the primary's pods", stage.story)
