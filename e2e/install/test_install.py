"""The chart on a cluster: installed, tested, upgraded and taken away while a release is under way, and put in again."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from e2e.core import rights
from e2e.core.stage import Stage
from e2e.install import images
from e2e.install.helm import HelmError
from e2e.install.installation import NAMESPACE, RELEASE, Installation
from e2e.kube import Kube, until
from e2e.sandbox import Sandbox
from flaggerpy import __version__
from flaggerpy.controller.shards import owner

pytestmark = pytest.mark.alone
STEPS = {"interval": "4s", "threshold": 2, "stepWeight": 2, "maxWeight": 60}
"""Long enough for an upgrade, a rollback and an uninstall by Helm on a busy machine."""
Values = Mapping[str, Any]


def denied(sandbox: Sandbox) -> dict[rights.Right, int]:
    """What the account of the release was denied, by the audit log."""
    with sandbox.audit_log.open() as lines:
        return dict(rights.read(lines, f"system:serviceaccount:{NAMESPACE}:{RELEASE}").denied)


def through(kube: Kube, service: str, path: str) -> str:
    """What is served at a path behind a Service of the release's namespace."""
    address = kube.get("Service", service, NAMESPACE)["spec"]["clusterIP"]
    answer = until(lambda: httpx.get(f"http://{address}:8080{path}", timeout=5, trust_env=False), 30, f"an answer of {service}")
    assert answer.status_code == 200, answer.text
    return str(answer.text)


def checked(sandbox: Sandbox) -> tuple[int, str]:
    """Exit code and text of `flaggerpy version --check`."""
    done = sandbox.run(sys.executable, "-m", "flaggerpy.cli.main", "version", "--check", check=False)
    return done.returncode, done.stdout + done.stderr


def weight(stage: Stage) -> int:
    return int(stage.status().get("canaryWeight") or 0)


def test_a_release_goes_on_over_upgrade_and_uninstall(
    installation: Installation, kube: Kube, sandbox: Sandbox, namespace: str, values: Values, newer: Path
) -> None:
    known = denied(sandbox)
    said = installation.install({**values, "leaderElection": {"enabled": True, "replicaCount": 1}, "ui": {"enabled": True}, "speling": 1})
    assert "leaderElection.enabled has no effect" in said
    assert "Not known, and without effect, are these values: speling" in said
    assert "complete, and led" in installation.test()
    assert "<title>flaggerpy</title>" in through(kube, RELEASE, "/ui/")
    assert checked(sandbox)[0] == 0, checked(sandbox)
    stage = Stage(kube, sandbox, namespace).initialise(Stage(kube, sandbox, namespace).canary(analysis=STEPS))
    with stage.load() as load:
        stage.release("1.0.1")
        stage.until_status(lambda status: status.get("canaryWeight", 0) >= 5, 60, "the first traffic")
        run = stage.status()["run"]["revision"]

        before = weight(stage)
        installation.upgrade(values, newer)
        assert installation.deployment()["spec"]["template"]["spec"]["containers"][0]["image"].endswith(":0.9.9")
        assert weight(stage) >= before, "an upgrade takes no weight away"
        code, said = checked(sandbox)
        assert code == 1
        assert f"{NAMESPACE}/{RELEASE} is 0.9.9, and this program is {__version__}: update this program" in said

        before = weight(stage)
        installation.rollback()
        assert not installation.deployment()["spec"]["template"]["spec"]["containers"][0]["image"].endswith(":0.9.9")
        assert weight(stage) >= before, "nor does the way back"
        assert stage.status()["run"]["revision"] == run

        assert denied(sandbox) == known
        installation.uninstall()
        assert kube.find("Deployment", RELEASE, NAMESPACE) is None
        until(lambda: not installation.pods(), 30, "the controller's end")
        # Helm takes the roles away first: what the controller writes in its last second is refused, and the next one goes on from there
        known = denied(sandbox)
        left, status = weight(stage), stage.status()
        assert (status["phase"], status["run"]["revision"]) == ("Progressing", run)
        time.sleep(5)
        assert weight(stage) == left, "without a controller nothing moves"

        installation.install(values)
        stage.until_status(lambda status: status.get("canaryWeight", 0) > left, 60, "the release to go on")
        assert stage.status()["run"]["revision"] == run
        # what is left of it need not be slow
        kube.patch("Canary", stage.name, {"spec": {"analysis": {"interval": "1s"}}}, namespace)
        stage.phase("Succeeded", seconds=120)
    assert stage.primary_image() == stage.image("1.0.1")
    assert len([text for text in stage.texts() if text.startswith("New revision detected")]) == 1
    assert load.result["sent"] > 500
    assert load.result["lost"] == 0, load.result
    assert denied(sandbox) == known


def test_the_crds_are_brought_up_to_date_before_the_controller(
    installation: Installation, kube: Kube, sandbox: Sandbox, values: Values
) -> None:
    installation.install(values)
    installation.uninstall()
    name = "canaries.flagger.app"
    crd = kube.get("CustomResourceDefinition", name)
    del crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]["run"]
    kube.ask("PUT", kube.path("CustomResourceDefinition", "", name), crd)
    # Helm itself leaves it as it is, and the controller says why it does not lead
    installation.install({**values, "crd": {"upgrade": False}}, wait=False)
    until(lambda: "lacks status.run" in installation.story(), 90, "the controller to say what is missing", installation.story)
    installation.upgrade(values)
    assert "complete, and led" in installation.test()


def test_helm_test_fails_where_nobody_leads(installation: Installation, values: Values) -> None:
    installation.install({**values, "leaderElection": {"replicaCount": 0}})
    with pytest.raises(HelmError, match=r"nobody holds the Lease|was not renewed"):
        installation.test()


def test_in_some_namespaces_it_works_without_any_right_beyond_them(
    installation: Installation, kube: Kube, sandbox: Sandbox, namespace: str, values: Values
) -> None:
    other = f"{namespace}-other"
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": other}})
    both = {"namespace": [namespace, other], "rbac": {"clusterReads": False, "providers": ["gatewayapi:v1"]}}
    installation.install({**values, **both})
    assert not [obj for obj in kube.items("ClusterRole") if obj["metadata"]["name"] == RELEASE]
    assert "complete, and led" in installation.test()
    stages = [Stage(kube, sandbox, each) for each in (namespace, other)]
    for stage in stages:
        kube.apply(stage.deployment(replicas=1), stage.canary())
    for stage in stages:
        stage.phase("Initialized", seconds=60)
        stage.release("1.0.1")
    for stage in stages:
        stage.phase("Succeeded", seconds=90)
    kube.delete("Namespace", other)


def test_two_shards_are_installed_tested_and_release_and_one_follows_them(
    installation: Installation, kube: Kube, sandbox: Sandbox, namespace: str, values: Values
) -> None:
    known = denied(sandbox)
    count = 2
    names = [f"{RELEASE}-shard-{number}" for number in range(count)]
    said = installation.install({**values, "shards": count, "ui": {"enabled": True}, "podDisruptionBudget": {"enabled": True}})
    assert [name for name in names if f"rollout status deployment/{name}" in said] == names
    assert installation.test().count("complete, and led") == count
    stage = Stage(kube, sandbox, namespace).initialise(Stage(kube, sandbox, namespace).canary())
    stage.release("1.0.1")
    stage.phase("Succeeded", seconds=90)

    def tells(name: str) -> bool:
        lines = [line for line in through(kube, name, "/metrics").splitlines() if line.startswith("flagger_canary_status{")]
        return any(f'namespace="{namespace}"' in line for line in lines)

    assert [tells(name) for name in names] == [number == owner(namespace, count) for number in range(count)]
    for name in names:
        assert "<title>flaggerpy</title>" in through(kube, name, "/ui/")
        assert kube.find("PodDisruptionBudget", name, NAMESPACE)

    # who goes may still give its Lease back, though its name is not needed any more
    installation.upgrade(values)
    assert "complete, and led" in installation.test()
    until(lambda: len(installation.pods()) == 1, 60, "the shards' end", installation.pods)
    stage.release("1.0.2")
    until(lambda: stage.primary_image() == stage.image("1.0.2"), 90, "the promotion by the one", stage.story)
    assert denied(sandbox) == known


def test_the_charts_own_prometheus_scrapes_the_controller(
    installation: Installation, kube: Kube, sandbox: Sandbox, values: Values
) -> None:
    prometheus = {"install": True, "image": images.push_prometheus(sandbox), "securityContext": {"enabled": True}}
    installation.unrestricted()
    installation.install({**values, "prometheus": prometheus, "podDisruptionBudget": {"enabled": True}})
    [pod] = kube.items("Pod", NAMESPACE, "app.kubernetes.io/name=flagger-prometheus")
    url = f"http://{pod['status']['podIP']}:9090/api/v1/query"
    wanted = (
        'flagger_info{app_kubernetes_io_name="flagger", kubernetes_namespace="flagger-system"}',
        'up{job="kubernetes-cadvisor"} == 1',
    )

    def scraped() -> bool:
        answers = [httpx.get(url, params={"query": query}, timeout=5, trust_env=False).json() for query in wanted]
        return all(answer["data"]["result"] for answer in answers)

    until(scraped, 60, "Prometheus to have scraped pods and kubelet", lambda: httpx.get(f"{url[:-5]}targets", trust_env=False).text[:3000])


def test_the_plain_manifests_are_taken_by_the_api_server(installation: Installation, sandbox: Sandbox) -> None:
    file = Path(__file__).parents[2] / "deploy" / "install.yaml"
    told = sandbox.run(str(sandbox.kubectl), "apply", "--server-side", "--dry-run=server", "--force-conflicts", "-f", str(file)).stdout
    assert "deployment.apps/flagger serverside-applied (server dry run)" in told
