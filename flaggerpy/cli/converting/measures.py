"""AnalysisTemplates of Argo Rollouts as MetricTemplates and the metrics of an analysis."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flaggerpy.api.durations import parse_duration
from flaggerpy.cli.converting.conditions import Unclear, passing
from flaggerpy.cli.converting.source import Obj, Report, Source

TEMPLATES = ("AnalysisTemplate", "ClusterAnalysisTemplate")
_ARGUMENT = re.compile(r"\{\{\s*args\.([\w.-]+)\s*\}\}")


@dataclass
class Measures:
    """What an analysis becomes: `metrics` of the Canary, MetricTemplates beside it, and the bounds that Argo keeps per metric."""

    metrics: list[Obj] = field(default_factory=list)
    templates: list[Obj] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)
    """`failureLimit` of each metric: so many failed measurements are borne."""
    intervals: list[float] = field(default_factory=list)
    """Seconds between two measurements, where a metric says them."""
    counts: list[int] = field(default_factory=list)
    """How often a metric is measured, where it says so."""

    def add(self, other: Measures) -> None:
        known = {each["name"] for each in self.metrics}
        self.metrics += [each for each in other.metrics if each["name"] not in known]
        made = {each["metadata"]["name"] for each in self.templates}
        self.templates += [each for each in other.templates if each["metadata"]["name"] not in made]
        self.failures += other.failures
        self.intervals += other.intervals
        self.counts += other.counts


@dataclass(frozen=True)
class Around:
    """What an analysis may speak of: the `templates` by kind and name, the pods' `labels`, and `renamed`: Services of Argo's that have
    another name under a Canary."""

    templates: Mapping[tuple[str, str], Source]
    namespace: str
    labels: Mapping[str, str]
    renamed: Mapping[str, str]

    def service(self, value: str) -> str:
        """The value with the names that Services have under a Canary."""
        for old, new in self.renamed.items():
            value = re.sub(rf"(?<![\w-]){re.escape(old)}(?![\w-])", new, value)
        return value


def of_analysis(analysis: Source, around: Around, report: Report) -> Measures:
    """The measures of one `analysis` (of the strategy, of a step, before or after a promotion)."""
    arguments = _arguments(analysis, around, report)
    found = Measures()
    for reference in analysis.each("templates"):
        name = str(reference.take("templateName", ""))
        kind = TEMPLATES[bool(reference.take("clusterScope", False))]
        template = around.templates.get((kind, name))
        if template is None:
            report.lost(reference, "templateName", f"the {kind} {name} is not among the files: give it too, and it is converted")
            continue
        found.add(_of_template(template, arguments, around, report))
    for key, why in _ELSEWHERE.items():
        if key in analysis:
            analysis.take(key)
            report.lost(analysis, key, why)
    return found


_ELSEWHERE = {
    "dryRun": "there is no dry run of a metric: leave it out, or give it a range that always holds",
    "measurementRetention": "what was measured in each step stays in the Canary's history",
    "analysisRunMetadata": "there is no AnalysisRun",
}


def _arguments(analysis: Source, around: Around, report: Report) -> dict[str, str]:
    """The values of the arguments that can be told beforehand."""
    found: dict[str, str] = {}
    for each in analysis.each("args"):
        name = str(each.take("name", ""))
        if "value" in each:
            value = str(each.take("value"))
            found[name] = around.service(value)
            if found[name] != value:
                report.changed(each, "value", f"the canary's Service has another name now: {value} became {found[name]}")
            continue
        source = each.inner("valueFrom")
        if "fieldRef" in source:
            path = str(source.inner("fieldRef").take("fieldPath", ""))
            label = re.fullmatch(r"metadata\.labels\['([^']+)'\]", path)
            if label and label[1] in around.labels:
                found[name] = around.labels[label[1]]
            elif path in ("metadata.name", "metadata.namespace"):
                found[name] = "{{ target }}" if path == "metadata.name" else "{{ namespace }}"
            else:
                report.lost(each, "valueFrom.fieldRef", f"the value of {path} is not known here: write it into the query")
        elif "podTemplateHashValue" in source:
            source.take("podTemplateHashValue")
            report.lost(
                each,
                "valueFrom.podTemplateHashValue",
                "a query cannot tell pods by hash: the canary's are those of the Deployment ({{ target }}), the primary's those of"
                " {{ target }}-primary",
            )
        else:
            report.lost(each, "valueFrom", f"the argument {name} has no value that is known here")
    return found


def _of_template(template: Source, given: Mapping[str, str], around: Around, report: Report) -> Measures:
    spec = template.inner("spec")
    arguments = dict(given)
    for each in spec.each("args"):
        name = str(each.take("name", ""))
        if "value" in each:
            arguments.setdefault(name, str(each.take("value")))
        elif "valueFrom" in each:
            each.take("valueFrom")
            report.lost(each, "valueFrom", f"{name} comes from a Secret, which a MetricTemplate names in provider.secretRef")
    found = Measures()
    for metric in spec.each("metrics"):
        found.add(_of_metric(metric, template, arguments, around.namespace, report))
    for key, why in _ELSEWHERE.items():
        if key in spec:
            spec.take(key)
            report.lost(spec, key, why)
    return found


def _of_metric(metric: Source, template: Source, arguments: Mapping[str, str], namespace: str, report: Report) -> Measures:
    name = str(metric.take("name", ""))
    success, failure = str(metric.take("successCondition", "")), str(metric.take("failureCondition", ""))
    found = Measures(failures=[_whole(metric.take("failureLimit", 0))])
    for key, sink in (("interval", found.intervals), ("initialDelay", None)):
        if key in metric:
            seconds = _seconds(metric, key, report)
            if sink is not None and seconds is not None:
                sink.append(seconds)
            elif key == "initialDelay":
                report.changed(metric, key, "a Canary is measured at the end of each step's interval, never at its start")
    if "count" in metric:
        found.counts.append(_whole(metric.take("count")))
    if _whole(metric.take("inconclusiveLimit", 0)):
        report.lost(metric, "inconclusiveLimit", "a measurement passes or fails: there is no third verdict that pauses")
    if "consecutiveErrorLimit" in metric:
        metric.take("consecutiveErrorLimit")
        report.changed(
            metric,
            "consecutiveErrorLimit",
            "a metrics server that cannot be reached holds the release, and after progressDeadlineSeconds takes the weight off",
        )
    if "consecutiveSuccessLimit" in metric:
        metric.take("consecutiveSuccessLimit")
        report.lost(metric, "consecutiveSuccessLimit", "each step needs one good measurement")
    provider = metric.inner("provider")
    kind = next(iter(provider.names()), "")
    if kind != "prometheus":
        if kind:
            provider.take(kind)
        report.lost(
            metric,
            f"provider.{kind}" if kind else "provider",
            _OTHERS.get(kind, "there is no such provider; a webhook of type `rollout` can ask anything and answer 200 or not"),
        )
        return Measures(failures=[])
    condition = "successCondition" if success else "failureCondition"
    try:
        span = passing(success, failure)
    except Unclear as unclear:
        report.lost(metric, "successCondition" if success else "failureCondition", f"`{unclear}` is no range: set thresholdRange by hand")
        span = None
    if span is not None and span.edge:
        report.changed(metric, condition, "the bound itself passes: a range includes its bounds")
    if span is not None and span.guarded:
        report.changed(metric, condition, "an answer without data is a failed check")
    prometheus = provider.inner("prometheus")
    query, missing = _substituted(str(prometheus.take("query", "")), arguments)
    for argument in missing:
        report.lost(prometheus, "query", f"the argument {argument} has no value, and stands in the query still")
    reference = f"{template.look('metadata', {}).get('name', '')}-{name}".lower().replace("_", "-")
    made: Obj = {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "MetricTemplate",
        "metadata": {"name": reference, **({"namespace": namespace} if namespace else {})},
        "spec": {"provider": _provider(prometheus, report), "query": query},
    }
    limits = {} if span is None else {key: value for key, value in (("min", span.low), ("max", span.high)) if value is not None}
    metrics: Obj = {"name": name, "templateRef": {"name": reference}}
    if limits:
        metrics["thresholdRange"] = {key: int(value) if value == int(value) else value for key, value in limits.items()}
    found.templates, found.metrics = [made], [metrics]
    return found


_OTHERS = {
    "job": "there are no Jobs as measurements: let a webhook of type `rollout` start it and answer with its outcome",
    "web": "a webhook of type `rollout` asks an address and passes with any 2xx answer",
    "kayenta": "there is no judge that compares baseline and canary",
    "plugin": "a provider of your own is a Python class with an entry point (flaggerpy.metrics)",
    **{
        kind: f"the provider {name} is not built yet; a webhook of type `rollout` can stand in for it"
        for kind, name in {
            "datadog": "Datadog",
            "newRelic": "New Relic",
            "cloudWatch": "CloudWatch",
            "graphite": "Graphite",
            "influxdb": "InfluxDB",
            "wavefront": "Wavefront",
            "skywalking": "SkyWalking",
        }.items()
    },
}


def _provider(prometheus: Source, report: Report) -> Obj:
    found: Obj = {"type": "prometheus", "address": str(prometheus.take("address", "")) or "http://prometheus:9090"}
    if not prometheus.look("address"):
        report.todo(prometheus, "address", "Argo Rollouts takes it from its own environment: set the address of your Prometheus")
    if prometheus.take("insecure", False):
        found["insecureSkipVerify"] = True
    for key in ("headers", "authentication"):
        if key in prometheus:
            prometheus.take(key)
            report.todo(prometheus, key, "put user name and password, or the token, into a Secret and name it in provider.secretRef")
    if "timeout" in prometheus:
        prometheus.take("timeout")
        report.changed(prometheus, "timeout", "a query is answered within 5 s")
    return found


def _substituted(query: str, arguments: Mapping[str, str]) -> tuple[str, list[str]]:
    """The query with the values of its arguments, and the arguments that have none."""
    missing: list[str] = []

    def value(match: re.Match[str]) -> str:
        if match[1] in arguments:
            return arguments[match[1]]
        if match[1] not in missing:
            missing.append(match[1])
        return match[0]

    return _ARGUMENT.sub(value, query), missing


def _whole(value: Any) -> int:
    """A number of Argo's int-or-string fields; 0 for what is none."""
    try:
        return int(str(value))
    except ValueError:
        return 0


def _seconds(source: Source, key: str, report: Report) -> float | None:
    try:
        return parse_duration(str(source.take(key)))
    except ValueError as error:
        report.lost(source, key, str(error))
        return None
