"""Git applied again and again through every phase of a release, in each way in which tools apply: it must change nothing that matters."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import yaml

from e2e.core.daemonsets import DaemonStage
from e2e.core.receiver import Receiver
from e2e.core.stage import PORT, Stage
from e2e.gitops import page
from e2e.gitops.judges import differences
from e2e.gitops.watching import Watching
from e2e.kube import Object, until
from flaggerpy.api.names import COPY_TO_PRIMARY

WAYS = {
    "client-side": ["apply"],
    "server-side": ["apply", "--server-side", "--field-manager=git"],
    "server-side by force": ["apply", "--server-side", "--force-conflicts", "--field-manager=git"],
}
PHASES = {"Initializing", "Initialized", "Waiting", "Progressing", "WaitingPromotion", "Promoting", "Finalising", "Succeeded"}


class Git:
    """The user's manifests, as docs/gitops.md says to keep them, and a tool that applies them."""

    def __init__(self, stage: Stage, canary: Object) -> None:
        self.stage, self.canary, self.tag = stage, canary, "1.0.0"
        self.applied: list[str] = []
        """The phase at each time that they were applied."""
        self.refused: list[str] = []
        """What the API server said against it."""

    def objects(self) -> list[Object]:
        stage = self.stage
        metadata: Object = {"namespace": stage.namespace, "labels": {"team": "shop"}}
        reads = [{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "password"}}]
        target = stage.daemonset(self.tag) if isinstance(stage, DaemonStage) else stage.deployment(self.tag)
        target["spec"].pop("replicas", None)
        target["spec"]["template"]["spec"]["containers"][0]["envFrom"] = reads
        config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", **metadata}, "data": {"COLOUR": "blue"}}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "password", **metadata}, "stringData": {"PASSWORD": "x"}}
        copied = {**metadata, "name": stage.name, "labels": {**metadata["labels"], COPY_TO_PRIMARY: "true"}}
        budget = {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": copied,
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": stage.name}}},
        }
        scaler = {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": stage.name, **metadata},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": stage.name},
                "minReplicas": 1,
                "maxReplicas": 2,
                "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}],
            },
        }
        # nothing sizes a DaemonSet
        scalers = [] if isinstance(stage, DaemonStage) else [scaler]
        return [config, secret, budget, *scalers, target, self.canary]

    def apply(self, way: str) -> None:
        phase = (self.stage.kube.find("Canary", self.stage.name, self.stage.namespace) or {}).get("status", {}).get("phase", "")
        text = yaml.safe_dump_all(self.objects())
        done = self.stage.sandbox.run("kubectl", *WAYS[way], "-f", "-", stdin=text, check=False)
        self.refused += [done.stderr] if done.returncode else []
        self.applied.append(phase)

    @contextmanager
    def again_and_again(self, way: str) -> Iterator[None]:
        """Applied all the time, in this way."""
        over = threading.Event()

        def insist() -> None:
            while not over.is_set():
                self.apply(way)

        tool = threading.Thread(target=insist)
        tool.start()
        try:
            yield
        finally:
            over.set()
            tool.join()

    def differs(self) -> dict[str, tuple[str, ...]]:
        """What Argo CD would call out of sync."""
        kube, found = self.stage.kube, self.objects()
        lives = [kube.get(each["kind"], each["metadata"]["name"], self.stage.namespace, each["apiVersion"]) for each in found]
        compared = zip(found, differences(list(zip(found, lives, strict=True))), strict=True)
        return {each["kind"]: difference.changed for each, difference in compared if difference.modified}


@pytest.mark.parametrize(("kind", "way"), [*(("Deployment", way) for way in WAYS), ("DaemonSet", "client-side")])
def test_git_that_is_applied_in_every_phase_changes_nothing(stage: Stage, receiver: Receiver, kind: str, way: str) -> None:
    gates = ("confirm-rollout", "confirm-promotion")
    hooks = [{"name": gate, "type": gate, "url": f"{receiver.url}/{gate}"} for gate in gates]
    # in steps, as promoting is else over before it is seen
    analysis: Object = {"interval": "2s", "threshold": 2, "stepWeight": 20, "maxWeight": 60, "stepWeightPromotion": 30, "webhooks": hooks}
    reference = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": stage.name}
    if kind == "DaemonSet":
        stage = DaemonStage(stage.kube, stage.sandbox, stage.namespace)
    git = Git(stage, stage.canary(analysis=analysis, autoscalerRef=None if kind == "DaemonSet" else reference))
    git.apply(way)
    stage.phase("Initializing", seconds=60)
    git.apply(way)
    # and not again: what we set wrongly at the end would be put right before it is looked at
    stage.phase("Initialized", seconds=60)
    assert git.differs() == {}
    for gate in gates:
        receiver.answers[f"/{gate}"] = 403
    git.tag = "1.0.1"
    with stage.load() as load, Watching(stage) as watching, git.again_and_again(way):
        for phase, gate in (("Waiting", "confirm-rollout"), ("WaitingPromotion", "confirm-promotion")):
            stage.phase(phase, seconds=60)
            seen = len(git.applied)
            until(lambda seen=seen: len(git.applied) >= seen + 2, 60, f"two applications in {phase}")  # type: ignore[misc]
            assert stage.status()["phase"] == phase
            assert git.differs() == {}
            receiver.answers[f"/{gate}"] = 200
        stage.phase("Succeeded", seconds=60)
        seen = len(git.applied)
        until(lambda: len(git.applied) >= seen + 2, 60, "two applications in Succeeded")
    assert load.result["lost"] == 0, load.result
    assert git.refused == [], git.refused[:1]
    watching.one_run_without_a_jump(0, 20, 40, 60, 30, 0)
    assert watching.selectors == [{"app": f"{stage.name}-primary"}]
    assert watching.templates == [stage.image("1.0.0"), stage.image("1.0.1")]
    assert set(git.applied) >= PHASES, git.applied
    assert git.differs() == {}
    budget = stage.kube.get("PodDisruptionBudget", f"{stage.name}-primary", stage.namespace)
    assert budget["spec"]["selector"]["matchLabels"] == {"app": f"{stage.name}-primary"}
    assert stage.condition("Conflict") == {}
    assert len(stage.status()["history"]) == 2


def test_a_failed_release_is_neither_out_of_sync_nor_tried_again(stage: Stage) -> None:
    git = Git(stage, stage.canary())
    git.apply("client-side")
    stage.phase("Initialized", seconds=60)
    git.tag = "9.9.9"
    git.apply("client-side")
    stage.phase("Failed", seconds=60)
    with Watching(stage) as watching:
        for way in ("client-side", "server-side by force"):
            git.apply(way)
        assert watching.writes(5) <= 4, "what kubectl writes itself"
    assert watching.runs == []
    assert (stage.status()["phase"], git.differs()) == ("Failed", {})


def test_each_rule_for_argo_cd_is_needed_and_together_they_are_enough(stage: Stage) -> None:
    """For who keeps the size and the Service in Git: the rules of docs/gitops.md, on Argo CD's own comparison."""
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": stage.name, "namespace": stage.namespace},
        "spec": {"selector": {"app": stage.name}, "ports": [{"name": "http", "port": PORT, "targetPort": PORT}]},
    }
    canary = stage.canary(provider="kubernetes", analysis={"interval": "2s", "threshold": 2, "iterations": 2})
    git = [service, stage.deployment(replicas=2), canary]
    text = yaml.safe_dump_all(git)
    stage.sandbox.run("kubectl", "apply", "-f", "-", stdin=text)
    stage.phase("Initialized", seconds=60)
    until(lambda: stage.replicas() == 0, 30, "the target at rest", stage.story)
    lives = [stage.kube.get(each["kind"], stage.name, stage.namespace) for each in git]
    pairs = list(zip(git, lives, strict=True))

    def out_of_sync(rules: list[Object]) -> dict[str, tuple[str, ...]]:
        found = zip(git, differences(pairs, rules), strict=True)
        return {each["kind"]: difference.changed for each, difference in found if difference.modified}

    assert out_of_sync([]) == {"Service": ("spec.selector.app",), "Deployment": ("spec.replicas",)}
    application = page.of("argoproj.io/v1alpha1")["spec"]
    rules: list[Object] = [{**rule, "name": stage.name} for rule in application["ignoreDifferences"]]
    assert "RespectIgnoreDifferences=true" in application["syncPolicy"]["syncOptions"]
    assert out_of_sync(rules) == {}
    for rule in rules:
        assert len(rule["jsonPointers"]) == 1
        assert out_of_sync([each for each in rules if each is not rule]) != {}, f"{rule} is needed for nothing"
