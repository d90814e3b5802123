"""Rules about objects together: a Canary, its target, the Services, autoscalers, MetricTemplates and AlertProviders of the same files.

What is not among the files may be in the cluster: that is a note or a warning, never an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flaggerpy.api.canary import Canary, CrossNamespaceRef
from flaggerpy.api.metrictemplate import MetricTemplate, parse_metric_template
from flaggerpy.api.names import primary_name
from flaggerpy.api.problems import metric_template_problems
from flaggerpy.cli.linting.findings import Finding, found
from flaggerpy.cli.linting.single import plan_path, typed
from flaggerpy.cli.manifests import Document, misshapen
from flaggerpy.controller.settings import Settings
from flaggerpy.metrics import evaluate
from flaggerpy.rollout.traffic import needed
from flaggerpy.routers.nginx import leads_to
from flaggerpy.routers.registry import known_providers
from flaggerpy.routers.services import main_port, service_names
from flaggerpy.targets.deployment import selector_of
from flaggerpy.targets.startup import startup

Obj = Mapping[str, Any]


class Files:
    """All objects of the files, found by kind, namespace and name. A namespace that is not written counts as `namespace`."""

    def __init__(self, documents: Sequence[Document], namespace: str = "") -> None:
        self.documents = documents
        self._namespace = namespace

    def home(self, document: Document) -> str:
        return document.namespace or self._namespace

    def find(self, kind: str, namespace: str, name: str) -> Document | None:
        return next((each for each in self.of(kind) if each.name == name and self.home(each) == namespace), None)

    def elsewhere(self, kind: str, name: str) -> Document | None:
        return next((each for each in self.of(kind) if each.name == name), None)

    def of(self, *kinds: str) -> list[Document]:
        return [each for each in self.documents if each.kind in kinds]


def lint(files: Files, provider: str) -> list[Finding]:
    """All findings about objects together."""
    findings: list[Finding] = []
    canaries = [(each, canary) for each in files.of("Canary") if (canary := typed(each, provider)) is not None]
    for document, canary in canaries:
        findings += _names(files, document, canary)
        findings += _target(files, document, canary)
        findings += _references(files, document, canary, provider)
        findings += _autoscaler(files, document, canary)
        findings += _ingress(files, document, canary)
    return findings + _rivals(files, canaries)


def _rivals(files: Files, canaries: Sequence[tuple[Document, Canary]]) -> list[Finding]:
    findings: list[Finding] = []
    targets: dict[tuple[str, str, str], Document] = {}
    services: dict[tuple[str, str], Document] = {}
    ingresses: dict[tuple[str, str], Document] = {}
    for document, canary in canaries:
        home = files.home(document)
        same = files.find("Canary", home, document.name)
        if same is not None and same is not document:
            text = f"Canary {document.name}: stands in {_where(same)} as well; that one was compared with the other files"
            findings.append(found("same-object", document, "metadata.name", text))
            continue
        first = targets.setdefault((home, canary.kind, canary.target), document)
        if first is not document:
            text = f"spec.targetRef: {canary.kind} {canary.target} is released by the Canary {first.name} already ({_where(first)})"
            findings.append(found("target-taken", document, "spec.targetRef.name", text))
            continue
        other = services.setdefault((home, canary.apex), document)
        if other is not document and canary.spec.service:
            text = f"spec.service.name: the Canary {other.name} makes the Service {canary.apex} already ({_where(other)})"
            findings.append(found("service-taken", document, "spec.service.name", text))
        if canary.spec.ingress_ref is not None:
            ingress = canary.spec.ingress_ref.name
            other = ingresses.setdefault((home, ingress), document)
            if other is not document:
                text = f"spec.ingressRef: Ingress {ingress} is that of the Canary {other.name} already ({_where(other)})"
                findings.append(found("ingress-taken", document, "spec.ingressRef.name", text))
    return findings


def _where(document: Document) -> str:
    place = document.place("metadata.name")
    return f"{place.file}:{place.line}"


def _names(files: Files, document: Document, canary: Canary) -> Iterator[Finding]:
    """Objects that stand where the controller puts its own, and the Service that it takes over."""
    home = files.home(document)
    generated = [("Deployment", primary_name(canary.target))]
    if canary.spec.service:
        generated += [("Service", name) for name in service_names(canary)[1:]]
    for kind, name in generated:
        taken = files.find(kind, home, name)
        if taken is not None:
            text = f"{kind} {name}: the Canary {canary.name} makes an object of this name; take it out of the files"
            yield found("generated-name-taken", taken, "metadata.name", text)
    apex = files.find("Service", home, canary.apex)
    if apex is None or canary.spec.service is None:
        return
    port = main_port(canary.spec.service)
    ports = (apex.obj.get("spec") or {}).get("ports") or []
    text = f"Service {canary.apex}: the Canary {canary.name} takes it over: its selector will lead to {primary_name(canary.target)}"
    yield found("service-takeover", apex, "spec.selector", text)
    if ports and port["port"] not in [each.get("port") for each in ports if isinstance(each, dict)]:
        have = ", ".join(str(each.get("port")) for each in ports if isinstance(each, dict))
        text = f"spec.service.port: Service {canary.apex} ({_where(apex)}) has no port {port['port']} but {have}"
        yield found("service-port-missing", document, "spec.service.port", text)


def _target(files: Files, document: Document, canary: Canary) -> Iterator[Finding]:
    if canary.kind != "Deployment":
        return
    target = files.find("Deployment", files.home(document), canary.target)
    if target is None:
        text = f"spec.targetRef: Deployment {canary.target} is not among the files, so nothing was compared with it"
        yield found("target-not-in-files", document, "spec.targetRef.name", text)
        return
    wrong = misshapen(target.obj)
    if wrong:
        yield found("target-unfit", target, wrong, f"{wrong}: is missing or cannot be read")
        return
    spec = _map(target.obj.get("spec"))
    label = selector_of(target.obj, Settings().selector_label_names)
    if isinstance(label, str):
        yield found("target-unfit", target, "spec.selector.matchLabels", label)
    if spec.get("paused"):
        text = f"deployment {canary.target} is paused (spec.paused), so no pods of a new template are made"
        yield found("target-unfit", target, "spec.paused", text)
    if spec.get("replicas") == 0:
        text = "spec.replicas: is 0: the controller gives the target the primary's size for a release; leave replicas out"
        yield found("no-replicas", target, "spec.replicas", text)
    if _map(spec.get("strategy")).get("type") == "Recreate":
        text = (
            f"spec.strategy: Recreate is the primary's strategy too: at the promotion all pods of {primary_name(canary.target)} stop "
            "before new ones start, while a part of the traffic is theirs; write RollingUpdate"
        )
        yield found("recreate-strategy", target, "spec.strategy", text)
    yield from _ports(document, canary, target)
    yield from _deadline(document, canary, target)
    replicas = int(spec["replicas"]) if isinstance(spec.get("replicas"), int) else 1
    plan = canary.spec.plan
    for name, threshold in (
        ("canaryReadyThreshold", plan.canary_ready_threshold), ("primaryReadyThreshold", plan.primary_ready_threshold),
    ):  # fmt: skip
        if replicas > 0 and threshold > 0 and needed(replicas, threshold) == 0:
            at = f"{plan_path(document)}.{name}"
            text = f"{at}: {threshold} % of {replicas} {'pod' if replicas == 1 else 'pods'} is rounded down to none: nothing need be ready"
            yield found("ready-threshold-zero", document, at, text)


def _ports(document: Document, canary: Canary, target: Document) -> Iterator[Finding]:
    if canary.spec.service is None:
        return
    wanted = main_port(canary.spec.service)["targetPort"]
    pod = _map(_map(_map(target.obj.get("spec")).get("template")).get("spec"))
    sidecars = [each for each in pod.get("initContainers") or () if _map(each).get("restartPolicy") == "Always"]
    ports = [
        port for each in [*(pod.get("containers") or ()), *sidecars] for port in _map(each).get("ports") or () if isinstance(port, dict)
    ]
    field = "spec.service.targetPort" if "spec.service.targetPort" in document.lines else "spec.service.port"
    if isinstance(wanted, str):
        names = sorted({str(port["name"]) for port in ports if port.get("name")})
        if wanted not in names:
            have = f"; there are {', '.join(names)}" if names else "; none of its ports has a name"
            text = f"{field}: no container of Deployment {canary.target} has a port named {wanted}{have}"
            yield found("port-mismatch", document, field, text)
    elif ports and wanted not in [port.get("containerPort") for port in ports]:
        have = ", ".join(str(port.get("containerPort")) for port in ports)
        text = f"{field}: no container of Deployment {canary.target} declares port {wanted}; they declare {have}"
        yield found("port-not-declared", document, field, text)


def _deadline(document: Document, canary: Canary, target: Document) -> Iterator[Finding]:
    limit, field = canary.spec.progress_deadline_seconds, "spec.progressDeadlineSeconds"
    told = startup(target.obj)
    least = told.least + told.min_ready
    if limit <= least:
        text = f"{field}: {limit}s are over before any pod of {canary.target} can be available, which takes {least:g}s by its probes"
        yield found("deadline-too-short", document, field, text)
    elif told.budget is not None and limit < told.budget:
        text = f"{field}: {limit}s are over before the startup probe of {canary.target} gives up, which takes {told.budget:g}s"
        yield found("deadline-below-probes", document, field, text)


def _references(files: Files, document: Document, canary: Canary, provider: str) -> Iterator[Finding]:
    at = plan_path(document)
    settings = evaluate.Settings(mesh_provider=provider or Settings().mesh_provider)
    for index, metric in enumerate(canary.spec.plan.metrics):
        field = f"{at}.metrics[{index}]"
        template: MetricTemplate | None = None
        if metric.template_ref is not None:
            known, finding = _referred(files, document, canary, metric.template_ref, "MetricTemplate", f"{field}.templateRef")
            if finding is not None:
                yield finding
            if known is None or metric_template_problems(known.obj):
                continue
            template = parse_metric_template(known.obj)
        if (canary.spec.provider or provider) not in known_providers() and metric.template_ref is None and not metric.query:
            continue
        for check in evaluate.checks(metric):
            planned = evaluate.plan(canary, metric, check, template, {}, settings)
            # an empty Secret stands in for one that only the cluster knows; what it lacks says nothing
            if isinstance(planned, evaluate.Problem) and not (template and template.spec.provider.secret_ref):
                yield found("template-unusable", document, field, f"{field}: {planned.text}")
    for index, alert in enumerate(canary.spec.plan.alerts):
        _, finding = _referred(files, document, canary, alert.provider_ref, "AlertProvider", f"{at}.alerts[{index}].providerRef")
        if finding is not None:
            yield finding


def _referred(
    files: Files, document: Document, canary: Canary, reference: CrossNamespaceRef, kind: str, field: str
) -> tuple[Document | None, Finding | None]:
    """The object that a reference leads to, or what is wrong with it."""
    short = "template" if kind == "MetricTemplate" else "provider"
    wanted = reference.namespace or files.home(document)
    here = files.find(kind, wanted, reference.name)
    if here is not None:
        return here, None
    there = files.elsewhere(kind, reference.name)
    if there is not None and there.namespace:
        text = f"{field}: {kind} {reference.name} is in namespace {files.home(there)} ({_where(there)}), not {wanted or 'here'}"
        return None, found(f"{short}-namespace", document, field, f"{text}; write namespace: {files.home(there)}")
    text = f"{field}: {kind} {reference.name}{f' of namespace {wanted}' if wanted else ''} is not among the files"
    return None, found(f"{short}-not-in-files", document, field, text)


def _autoscaler(files: Files, document: Document, canary: Canary) -> Iterator[Finding]:
    home, reference = files.home(document), canary.spec.autoscaler_ref
    if reference is not None:
        scaler = files.find(reference.kind, home, reference.name)
        field = "spec.autoscalerRef.name"
        if scaler is None:
            text = f"spec.autoscalerRef: {reference.kind} {reference.name} is not among the files"
            yield found("autoscaler-not-in-files", document, field, text)
        elif _scaled(scaler) != canary.target:
            text = f"spec.autoscalerRef: {reference.kind} {reference.name} ({_where(scaler)}) scales {_scaled(scaler)}, not {canary.target}"
            yield found("autoscaler-target", document, field, text)
        return
    for scaler in files.of("HorizontalPodAutoscaler", "ScaledObject"):
        if files.home(scaler) == home and _scaled(scaler) == canary.target:
            text = f"spec.targetRef: {scaler.kind} {scaler.name} ({_where(scaler)}) scales {canary.target}; autoscalerRef does not name it"
            yield found("autoscaler-not-named", document, "spec.targetRef.name", text)


def _ingress(files: Files, document: Document, canary: Canary) -> Iterator[Finding]:
    reference = canary.spec.ingress_ref
    if reference is None or canary.spec.service is None:
        return
    ingress, field = files.find("Ingress", files.home(document), reference.name), "spec.ingressRef.name"
    if ingress is None:
        yield found("ingress-not-in-files", document, field, f"spec.ingressRef: Ingress {reference.name} is not among the files")
    elif not leads_to(ingress.obj, canary.apex):
        text = f"spec.ingressRef: Ingress {reference.name} ({_where(ingress)}) has no path that leads to Service {canary.apex}"
        yield found("ingress-without-path", document, field, text)


def _scaled(scaler: Document) -> str:
    return str(_map(_map(scaler.obj.get("spec")).get("scaleTargetRef")).get("name") or "")


def _map(value: object) -> Obj:
    return value if isinstance(value, dict) else {}
