"""A service moves from Argo Rollouts by docs/from-argo-rollouts.md: `flaggerpy convert`, then the page's own commands, under real requests.

It begins as `kubectl delete rollout --cascade=orphan` leaves it: a ReplicaSet without an owner, whose pods the Service selects by hash.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import yaml

from e2e.core.commands import flaggerpy
from e2e.core.stage import GATEWAY, PORT, Stage
from e2e.core.test_releases import is_served
from e2e.kube import Object, until
from e2e.sandbox import Sandbox

PAGE = Path(__file__).parents[2] / "docs" / "from-argo-rollouts.md"
HASH = "rollouts-pod-template-hash"
DONE_BEFORE = "kubectl delete rollout"


def commands(stage: Stage, folder: Path) -> list[str]:
    """The page's commands, with the names of the test."""
    [block] = [block for block in re.findall(r"```\n(.*?)```", PAGE.read_text(), re.DOTALL) if DONE_BEFORE in block]
    lines = [line.split("#")[0].strip() for line in block.splitlines() if "if any" not in line]
    named = [re.sub(r"\bshop\b", stage.name, line).replace("converted-", f"{folder}/converted-") for line in lines]
    return [f"{line} -n {stage.namespace}" for line in named if not line.startswith(DONE_BEFORE)]


def orphaned(stage: Stage) -> Object:
    """The ReplicaSet of a Rollout that is gone."""
    deployment = stage.deployment()
    template = deployment["spec"]["template"]
    template["metadata"]["labels"][HASH] = "abc12"
    labels = {"app": stage.name, HASH: "abc12"}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": f"{stage.name}-abc12", "namespace": stage.namespace, "labels": labels},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": template},
    }


def around(stage: Stage) -> tuple[Object, Object, Object]:
    """The Rollout, its stable Service and its route, as their user has them."""
    where: dict[str, Any] = {"name": stage.name, "namespace": stage.namespace}
    deployment = stage.deployment()
    steps: list[Object] = [{"setWeight": 20}, {"pause": {"duration": "2s"}}, {"setWeight": 40}]
    routing = {"plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": stage.name, "namespace": stage.namespace}}}
    canary = {"stableService": stage.name, "trafficRouting": routing, "steps": steps}
    spec = {**deployment["spec"], "strategy": {"canary": canary}}
    rollout = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": where, "spec": spec}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": where,
        "spec": {"selector": {"app": stage.name, HASH: "abc12"}, "ports": [{"name": "http", "port": PORT, "targetPort": PORT}]},
    }
    rule = {"backendRefs": [{"name": stage.name, "port": PORT}]}
    route = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": where,
        "spec": {"parentRefs": GATEWAY, "hostnames": [stage.host], "rules": [rule]},
    }
    return rollout, service, route


def test_a_service_moves_without_a_lost_request(stage: Stage, sandbox: Sandbox, tmp_path: Path) -> None:
    rollout, service, route = around(stage)
    given = tmp_path / "shop.yaml"
    given.write_text(yaml.safe_dump_all([rollout, service, route]))
    converted = flaggerpy(sandbox, "convert", "--strict", "-f", str(given))
    assert converted.returncode == 0, converted.stderr
    made = {each["kind"]: each for each in yaml.safe_load_all(converted.stdout) if each}
    assert set(made) == {"Deployment", "Canary"}
    made["Canary"]["spec"]["podHealth"] = {"settle": "2s"}
    for kind, obj in made.items():
        (tmp_path / f"converted-{kind.lower()}.yaml").write_text(yaml.safe_dump(obj))

    stage.kube.apply(orphaned(stage), service, route)
    is_served(stage, sandbox.gateway_url, "1.0.0")
    with stage.load(rate=50) as load:
        for command in commands(stage, tmp_path):
            program, *words = shlex.split(command)
            if program == "flaggerpy":
                done = flaggerpy(sandbox, *words)
            else:
                kubectl = [str(sandbox.kubectl), f"--kubeconfig={sandbox.kubeconfig}"]
                done = subprocess.run([*kubectl, *words], capture_output=True, text=True, timeout=120, check=False)
            assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        until(lambda: stage.replicas() == 0, 20, "the target to be at zero")
        until(lambda: not old_pods(stage), 30, "the pods of the Rollout to end")
    assert load.result["sent"] > 100
    assert load.result["lost"] == 0, load.result
    assert stage.weights()[f"{stage.name}-primary"] == 100


def old_pods(stage: Stage) -> list[Object]:
    return stage.kube.items("Pod", stage.namespace, f"{HASH}=abc12")
