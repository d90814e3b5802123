"""What `flaggerpy lint` finds: a rule, a severity, a sentence, and the line where it stands; and the catalogue of rules."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum

from flaggerpy.cli.manifests import Document, Place


class Severity(IntEnum):
    """error: the release cannot work as it is written. warning: it works, and hardly as meant. note: worth knowing."""

    NOTE = 0
    WARNING = 1
    ERROR = 2

    @property
    def word(self) -> str:
        return self.name.lower()


@dataclass(frozen=True)
class LintRule:
    """A rule: its id (stable, for suppressions), its severity, and what it is about."""

    id: str
    severity: Severity
    about: str


def _rules(*rules: tuple[str, Severity, str]) -> dict[str, LintRule]:
    return {id: LintRule(id, severity, about) for id, severity, about in rules}


E, W, N = Severity.ERROR, Severity.WARNING, Severity.NOTE

RULES: dict[str, LintRule] = _rules(
    # one object
    ("invalid-field", E, "A field has a value that the API server or the controller refuses."),
    ("unknown-field", E, "A field that does not exist: the API server drops it, and kubectl refuses it."),
    ("duplicate-key", E, "A key that stands twice in one map: the second hides the first."),
    ("not-built", E, "A kind, provider or field that this controller does not serve yet; it refuses the Canary by name."),
    ("no-effect", W, "A field that works otherwise than it seems, does nothing, or is deprecated."),
    ("api-version", E, "A Canary of a version that is not served."),
    ("nothing-measured", W, "The analysis has neither metrics nor rollout checks: only failing pods can end a release."),
    ("never-passes", E, "A threshold that no measurement can meet."),
    ("step-above-max", W, "The first step is greater than maxWeight: the canary goes there at once."),
    ("slow-check", W, "A rollout check may take longer than the interval, so that the analysis falls behind."),
    ("same-hook-name", W, "Two webhooks of one type and name cannot be told apart in events."),
    ("short-window", W, "A metric looks at less time than Prometheus needs for two samples."),
    ("ready-threshold-zero", W, "A ready threshold that rounds down to no pod at all."),
    ("skipped-analysis", W, "The analysis is written and skipped."),
    # objects together
    ("target-not-in-files", N, "The target is not among the files, so nothing was compared with it."),
    ("target-unfit", E, "The target cannot be released as it is written."),
    ("target-taken", E, "Two Canaries release one target."),
    ("same-object", W, "Two Canaries of one name and namespace: the one that is applied last stays."),
    ("service-taken", E, "Two Canaries make Services of one name."),
    ("generated-name-taken", E, "An object has a name that the controller gives to one of its own."),
    ("port-mismatch", E, "service.targetPort names a port that the target's containers do not have."),
    ("port-not-declared", W, "No container of the target declares the port that the Services lead to."),
    ("service-takeover", N, "A Service of this name is taken over: its selector will lead to the primary."),
    ("service-port-missing", W, "The Service that is taken over has no such port; clients of its other ports keep them."),
    ("template-not-in-files", W, "A MetricTemplate that is referred to is not among the files."),
    ("template-namespace", E, "A MetricTemplate is in another namespace than the reference says."),
    ("template-unusable", E, "A metric cannot be asked: its template, query or provider is not usable."),
    ("provider-not-in-files", W, "An AlertProvider that is referred to is not among the files."),
    ("provider-namespace", E, "An AlertProvider is in another namespace than the reference says."),
    ("autoscaler-not-named", W, "An autoscaler acts on the target and is not named in autoscalerRef."),
    ("autoscaler-target", E, "autoscalerRef names an autoscaler of another workload."),
    ("autoscaler-not-in-files", N, "The autoscaler is not among the files."),
    ("ingress-without-path", E, "The Ingress of ingressRef leads to another Service than the Canary's."),
    ("ingress-not-in-files", N, "The Ingress of ingressRef is not among the files."),
    ("ingress-taken", E, "Two Canaries name one Ingress, and it takes one canary."),
    ("deadline-too-short", E, "progressDeadlineSeconds is over before any pod can be ready."),
    ("deadline-below-probes", W, "progressDeadlineSeconds is over before the startup probes give up."),
    ("no-replicas", W, "The target has no replicas; the controller gives it one for a release."),
    ("recreate-strategy", W, "Strategy Recreate stops all pods of the primary at the promotion."),
    # --for-flagger
    ("flagger-refuses", E, "Flagger 1.44 refuses this."),
    ("flagger-ignores", W, "Flagger 1.44 drops or ignores this."),
    ("flagger-differs", N, "Flagger 1.44 does this otherwise."),
)


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong. `field` is its path, "" for the whole object; `object` is `Kind name`."""

    rule: LintRule
    message: str
    place: Place
    object: str = ""
    field: str = ""

    @property
    def severity(self) -> Severity:
        return self.rule.severity


_FIELD = re.compile(r"^(spec[^\s:]*): (.*)$", re.DOTALL)
_NAMED = re.compile(r"^([A-Za-z]+)(?: is missing\b| must\b)")


def found(rule: str, document: Document, field: str, message: str) -> Finding:
    """A finding of a rule at a field of a document."""
    return Finding(RULES[rule], message, document.place(field), f"{document.kind} {document.name}".strip(), field)


def sentence(rule: str, document: Document, text: str) -> Finding:
    """A finding of a sentence of the house, which begins with its field: `spec.analysis.interval: must be ...`."""
    told = _FIELD.match(text)
    if told is None:
        return found(rule, document, "", text)
    field, words = told.groups()
    # where the sentence speaks of a field inside, that one is the place: `spec: match needs ...`
    inner = _NAMED.match(words)
    closer = f"{field}.{inner.group(1)}" if inner else field
    at = closer if closer in document.lines else field
    return Finding(RULES[rule], text, document.place(at), f"{document.kind} {document.name}".strip(), field)
