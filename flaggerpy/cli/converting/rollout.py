"""One Rollout, with what stands around it, as a Deployment and a Canary (Argo Rollouts, argoproj.io/v1alpha1).

What becomes of it is the nearest that a Canary can do. Every field that was not carried over, or that works differently, is in the report;
a field that nobody knows is one that was not carried over.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from flaggerpy.cli.converting import measures, steps, traffic
from flaggerpy.cli.converting.measures import TEMPLATES, Around, Measures
from flaggerpy.cli.converting.source import Obj, Remark, Report, Source

GROUP = "argoproj.io"
HASH = "rollouts-pod-template-hash"
DEADLINE = 600
"""Seconds of Argo's `progressDeadlineSeconds` where it is not set; a Canary has the same."""
FOREIGN = ("rollout.argoproj.io/", "kubectl.kubernetes.io/last-applied-configuration")


@dataclass
class Conversion:
    """What a file of Rollouts became."""

    objects: list[Obj] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    rollouts: int = 0


def convert(objects: Iterable[Obj]) -> Conversion:
    """All Rollouts among the objects. HorizontalPodAutoscalers that scale one are changed too; everything else is only looked at."""
    listed = list(objects)
    known = {(str(obj.get("kind")), _name(obj)): obj for obj in listed}
    found = Conversion()
    for obj in listed:
        if obj.get("kind") == "Rollout" and str(obj.get("apiVersion", "")).startswith(f"{GROUP}/"):
            report = Report()
            made = _Rollout(obj, known, report).convert()
            found.objects += [each for each in made if each not in found.objects]
            found.remarks += report.remarks
            found.rollouts += 1
    return found


class _Rollout:
    def __init__(self, obj: Obj, known: dict[tuple[str, str], Obj], report: Report) -> None:
        self._name = _name(obj)
        self._metadata: Obj = obj.get("metadata") or {}
        self._namespace = str(self._metadata.get("namespace") or "")
        self._known = known
        self._report = report
        self._about = f"Rollout {self._name}"
        self._spec = Source(obj.get("spec"), self._about, "spec")
        self._templates = {
            (kind, name): Source(each, f"{kind} {name}") for (kind, name), each in known.items() if kind in TEMPLATES
        }
        self._labels: dict[str, str] = {}
        self._template = Source({}, self._about)
        self._deadline = DEADLINE
        self._target = self._name
        self._measures = Measures()
        self._renamed: dict[str, str] = {}

    def convert(self) -> list[Obj]:
        spec = self._spec
        workload = self._workload()
        strategy = spec.inner("strategy")
        canary = self._head()
        if "blueGreen" in strategy:
            self._blue_green(strategy.inner("blueGreen"), canary)
        else:
            self._canary(strategy.inner("canary"), canary)
        self._analysed(canary)
        scalers = self._scalers(canary)
        for key, why in _ELSEWHERE.items():
            if key in spec:
                spec.take(key)
                self._report.lost(spec, key, why)
        if spec.take("paused", False):
            self._report.changed(spec, "paused", "the Canary starts unpaused: `flaggerpy pause` holds a release, spec.suspend the Canary")
        self._report.unread(spec)
        for template in self._templates.values():
            for key in ("apiVersion", "kind", "metadata", "status"):
                template.take(key)
            if "spec" in template and template.read("spec"):
                self._report.unread(template)
        return [*workload, *self._measures.templates, canary, *scalers]

    # --- the workload ----------------------------------------------------------------------------------------------------------------

    def _workload(self) -> list[Obj]:
        spec, report = self._spec, self._report
        self._deadline = int(spec.number("progressDeadlineSeconds", DEADLINE, report))
        if "progressDeadlineAbort" in spec and not spec.take("progressDeadlineAbort"):
            report.changed(spec, "progressDeadlineAbort", "a release whose deadline expires is always rolled back")
        self._target = self._name
        if "workloadRef" in spec:
            reference = spec.inner("workloadRef")
            kind = reference.take("kind", "Deployment")
            reference.take("apiVersion")
            self._target = str(reference.take("name", self._name))
            if kind != "Deployment":
                report.lost(reference, "kind", f"a {kind} cannot be a target: Deployments and DaemonSets can")
            if "scaleDown" in reference:
                reference.take("scaleDown")
                report.changed(reference, "scaleDown", "the target is at 0 between releases, the primary serves")
            for key in ("replicas", "selector", "minReadySeconds", "revisionHistoryLimit"):
                if key in spec:
                    report.changed(spec, key, f"the Deployment's own counts: set {key} = {spec.take(key)} there if it differs")
            report.todo(reference, "name", f"the Deployment {self._target} stays as it is: give it its replicas before the Canary comes")
            deployment = self._known.get(("Deployment", self._target))
            if deployment:
                self._labels = (((deployment.get("spec") or {}).get("template") or {}).get("metadata") or {}).get("labels") or {}
                self._template = Source((deployment.get("spec") or {}).get("template"), self._about)
            return []
        template = copy.deepcopy(spec.take("template", {}))
        self._labels = dict((template.get("metadata") or {}).get("labels") or {})
        self._template = Source(template, self._about, "spec.template")
        wanted: Obj = {"selector": copy.deepcopy(spec.take("selector", {})), "template": template}
        for key in ("replicas", "minReadySeconds", "revisionHistoryLimit"):
            if key in spec:
                wanted[key] = spec.take(key)
        rolling = self._rolling()
        if rolling:
            wanted["strategy"] = {"type": "RollingUpdate", "rollingUpdate": rolling}
        labels, annotations = self._metadata.get("labels") or {}, self._metadata.get("annotations") or {}
        kept = {key: value for key, value in annotations.items() if not key.startswith(FOREIGN)}
        metadata: Obj = {"name": self._name}
        for key, value in (("namespace", self._namespace), ("labels", labels), ("annotations", kept)):
            if value:
                metadata[key] = value
        return [{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": wanted}]

    def _rolling(self) -> Obj:
        strategy = self._spec.look("strategy") or {}
        canary = strategy.get("canary") or {}
        return {key: canary[key] for key in ("maxSurge", "maxUnavailable") if canary.get(key) is not None}

    def _head(self) -> Obj:
        metadata: Obj = {"name": self._name}
        if self._namespace:
            metadata["namespace"] = self._namespace
        target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": self._target}
        spec: Obj = {"targetRef": target, "progressDeadlineSeconds": self._deadline}
        return {"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "metadata": metadata, "spec": spec}

    # --- strategies ------------------------------------------------------------------------------------------------------------------

    def _canary(self, strategy: Source, canary: Obj) -> None:
        report = self._report
        for key in ("maxSurge", "maxUnavailable"):
            strategy.take(key)
        routed = traffic.of(strategy.inner("trafficRouting"), self._known, report)
        stable = str(strategy.take("stableService", ""))
        self._service(canary, strategy, stable, "stableService", routed)
        if "canaryService" in strategy:
            name = str(strategy.take("canaryService"))
            self._renamed[name] = f"{stable or self._name}-canary"
            report.todo(strategy, "canaryService", f"the canary's Service is made and called {self._renamed[name]}: {name} can go")
        plan = steps.of(strategy.each("steps"), self._measure, report)
        if "analysis" in strategy:
            analysis = strategy.inner("analysis")
            if "startingStep" in analysis:
                analysis.take("startingStep")
                report.changed(analysis, "startingStep", "metrics are measured in every step, the first included")
            self._measure(analysis)
        spec = canary["spec"]
        wanted = plan.analysis(min(self._measures.intervals, default=steps.DEFAULT_INTERVAL))
        if plan.matches:
            wanted = {"interval": wanted["interval"], "iterations": max(len(plan.weights), 1), "match": plan.matches}
        elif not routed.weighted:
            rounds = max(len(plan.weights), 1)
            wanted = {"interval": wanted["interval"], "iterations": rounds}
            report.changed(
                strategy,
                "trafficRouting",
                "without a router Argo splits by the number of pods; a Canary of the provider kubernetes is tested beside the primary"
                f" ({rounds} rounds), and gets traffic only when it is promoted: name a provider to split by weight",
            )
        elif not plan.weights:
            wanted["stepWeights"] = [50]
            report.changed(strategy, "steps", "without steps Argo rolls at once; one step of 50 % was written: choose your own")
        if plan.mirror is not None and routed.provider in ("istio", "gatewayapi:v1"):
            wanted |= {"mirror": True, "mirrorWeight": plan.mirror}
        spec["analysis"] = wanted
        if plan.gate:
            report.todo(strategy, "steps", f"a person ends the last pause: {_GATE}")
        if "abortScaleDownDelaySeconds" in strategy:
            strategy.take("abortScaleDownDelaySeconds")
            report.changed(strategy, "abortScaleDownDelaySeconds", "a canary that failed goes to 0 after it was drained")
        for key, why in _CANARY.items():
            if key in strategy:
                strategy.take(key)
                report.lost(strategy, key, why)

    def _blue_green(self, strategy: Source, canary: Obj) -> None:
        report = self._report
        self._service(canary, strategy, str(strategy.take("activeService", "")), "activeService", traffic.Traffic())
        if "previewService" in strategy:
            name = str(strategy.take("previewService"))
            self._renamed[name] = f"{canary['spec']['service']['name']}-canary"
            report.todo(strategy, "previewService", f"the preview's Service is made and called {self._renamed[name]}: {name} can go")
        if "prePromotionAnalysis" in strategy:
            self._measure(strategy.inner("prePromotionAnalysis"))
        if "postPromotionAnalysis" in strategy:
            strategy.take("postPromotionAnalysis")
            told = "nothing is measured after a promotion: the new pods of the primary must get ready, or are rolled back"
            report.lost(strategy, "postPromotionAnalysis", told)
        interval = min(self._measures.intervals, default=steps.DEFAULT_INTERVAL)
        rounds = max([*self._measures.counts, 1])
        if not strategy.take("autoPromotionEnabled", True):
            report.todo(strategy, "autoPromotionEnabled", f"a person promotes: {_GATE}")
        if "autoPromotionSeconds" in strategy:
            seconds = strategy.number("autoPromotionSeconds", interval, report)
            rounds = max(rounds, round(seconds / interval))
            report.changed(strategy, "autoPromotionSeconds", f"became {rounds} iterations of {interval:g} s")
        canary["spec"]["analysis"] = {"interval": steps.written(interval), "iterations": rounds}
        for key, why in _BLUE_GREEN.items():
            if key in strategy:
                strategy.take(key)
                report.lost(strategy, key, why)

    def _service(self, canary: Obj, strategy: Source, name: str, key: str, routed: traffic.Traffic) -> None:
        spec, report = canary["spec"], self._report
        spec["provider"] = routed.provider
        spec |= routed.spec
        port, target = self._port(name)
        service: Obj = {"name": name or self._name, "port": port}
        if target is not None and target != port:
            service["targetPort"] = target
        spec["service"] = service | routed.service
        if not name:
            report.todo(strategy, key, f"no Service is named: one called {self._name} is made, to the port {port}")
        elif ("Service", name) not in self._known:
            report.todo(strategy, key, f"the Service {name} is not among the files: see that service.port {port} is its port")
        if name:
            told = f"the Service {name} becomes the Canary's: its selector must not name {HASH} any more (docs/from-argo-rollouts.md)"
            report.todo(strategy, key, told)

    def _port(self, service: str) -> tuple[int, int | str | None]:
        """Port and target port of the Service that is there, or of the first container."""
        ports = ((self._known.get(("Service", service)) or {}).get("spec") or {}).get("ports") or []
        if ports:
            return int(ports[0].get("port", 80)), ports[0].get("targetPort")
        containers = (self._template.look("spec") or {}).get("containers") or []
        open_ports = [each.get("containerPort") for container in containers for each in container.get("ports") or ()]
        return (int(open_ports[0]), None) if open_ports else (80, None)

    # --- measurements and scalers ----------------------------------------------------------------------------------------------------

    def _measure(self, analysis: Source) -> None:
        around = Around(self._templates, self._namespace, self._labels, self._renamed)
        self._measures.add(measures.of_analysis(analysis, around, self._report))

    def _analysed(self, canary: Obj) -> None:
        """The metrics, and the failed checks that are borne: Argo fails with one more than `failureLimit`, a Canary with `threshold`."""
        analysis = canary["spec"]["analysis"]
        limits = self._measures.failures
        analysis["threshold"] = (max(limits) if limits else 0) + 1
        if len(set(limits)) > 1:
            told = f"failureLimit differs between metrics; the threshold {analysis['threshold']} counts the failed checks of all"
            self._report.changed(self._spec, "strategy", told)
        if self._measures.metrics:
            analysis["metrics"] = self._measures.metrics

    def _scalers(self, canary: Obj) -> list[Obj]:
        found = []
        for (kind, name), obj in self._known.items():
            if kind not in ("HorizontalPodAutoscaler", "ScaledObject"):
                continue
            reference = (obj.get("spec") or {}).get("scaleTargetRef") or {}
            if reference.get("kind") != "Rollout" or reference.get("name") != self._name:
                continue
            changed: Obj = copy.deepcopy(obj)
            changed["spec"]["scaleTargetRef"] = {"apiVersion": "apps/v1", "kind": "Deployment", "name": self._target}
            changed.pop("status", None)
            canary["spec"]["autoscalerRef"] = {"apiVersion": obj.get("apiVersion"), "kind": kind, "name": name}
            found.append(changed)
        return found


_GATE = "add a webhook of type `confirm-promotion`, or `flaggerpy pause` and `flaggerpy resume`"

_ELSEWHERE = {
    "rollbackWindow": "a release to an earlier revision is a release like any other; `flaggerpy rollback-to` names one",
    "restartAt": "`kubectl rollout restart` of the Deployment is a release like any other",
    "analysis": "the last ten releases stay in the Canary's status",
}
_CANARY = {
    "canaryMetadata": "labels of a Service of one side stand in service.canary, those of pods in the template",
    "stableMetadata": "labels of a Service of one side stand in service.primary, those of pods in the template",
    "scaleDownDelaySeconds": "the canary is drained for 5 s, then goes to 0",
    "scaleDownDelayRevisionLimit": "no old revision keeps its pods",
    "minPodsPerReplicaSet": "both sides have the target's size",
    "dynamicStableScale": "the primary keeps its size in a release, and its room to take all traffic back",
    "pingPong": "primary and canary keep their names",
    "antiAffinity": "affinity stands in the pod template, which both sides share",
}
_BLUE_GREEN = {
    "scaleDownDelaySeconds": "the canary is drained for 5 s after the promotion, then goes to 0",
    "scaleDownDelayRevisionLimit": "no old revision keeps its pods",
    "previewReplicaCount": "the canary always has the size of its target: what is analysed is what is promoted",
    "abortScaleDownDelaySeconds": "a canary that failed goes to 0 after it was drained",
    "antiAffinity": "affinity stands in the pod template, which both sides share",
    "activeMetadata": "labels of a Service of one side stand in service.primary, those of pods in the template",
    "previewMetadata": "labels of a Service of one side stand in service.canary, those of pods in the template",
    "maxUnavailable": "the Deployment's own strategy counts",
}


def _name(obj: Obj) -> str:
    metadata: Any = obj.get("metadata")
    return str(metadata.get("name") or "") if isinstance(metadata, dict) else ""
