"""Everything that the page shows of one Canary, as a dict for JSON. Pure.

Only what is named here leaves the controller: of a hook its name and type, never its URL, headers or metadata; of a metric its name and
bounds, never its query; no annotations but those of commands. What cannot be read is told in `problem`, and the rest is shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flaggerpy.api import commanding, names
from flaggerpy.api.canary import CanarySpec, Metric
from flaggerpy.api.lenient import read_spec, read_status
from flaggerpy.api.status import IDLE, CanaryStatus, HistoryEntry, Measured, Order, Phase
from flaggerpy.dashboard import verbs
from flaggerpy.dashboard.rows import row, seconds, short_image
from flaggerpy.dashboard.timeline import Timeline
from flaggerpy.rollout import weights

Obj = dict[str, Any]

GATES = ("confirm-rollout", "confirm-traffic-increase", "confirm-promotion")
LONGEST_TEXT = 2000


def detail(obj: Mapping[str, Any], *, timeline: Timeline | None = None, pods: Mapping[str, Obj] | None = None) -> Obj:
    """The view of a Canary object. `timeline`: of its run, or of the last one; `pods`: {"primary": counts, "canary": counts}."""
    raw_spec: Mapping[str, Any] = obj.get("spec") or {}
    annotations: Mapping[str, Any] = (obj.get("metadata") or {}).get("annotations") or {}
    spec, spec_problem = read_spec(raw_spec)
    status, status_problem = read_status(obj)
    run = status.run
    target = raw_spec.get("targetRef") or {}
    return {
        **row(obj),
        "kind": str(target.get("kind") or ""),
        "target": str(target.get("name") or ""),
        "provider": str(raw_spec.get("provider") or ""),
        "strategy": spec.strategy if spec else "",
        "problem": _cut(spec_problem or status_problem),
        "planned": status.canary_weight,
        "step": status.iterations or status.canary_weight,
        "iterations": {"done": status.iterations, "of": spec.plan.iterations or 0} if spec else None,
        "plan": list(weights.plan(spec.plan)) if spec and spec.strategy == "canary" else [],
        "limit": spec.plan.failure_limit if spec else 1,
        "interval": spec.plan.interval_seconds if spec else None,
        "revision": run.revision if run else status.last_applied_spec,
        "running": [short_image(image) for image in ((run.images if run else []) or status.applied_images)],
        "promotedRevision": status.last_promoted_spec,
        "promoted": [short_image(image) for image in status.promoted_images],
        "attempt": run.attempt if run else 1,
        "started": (run.started_at or None) if run else None,
        "verdict": _cut(run.verdict or "") if run else "",
        "forced": run is not None and run.forced,
        "pending": [verb for verb, annotation in names.COMMANDS.items() if annotation in annotations],
        "verbs": {verb: verbs.why_not(verb, status, raw_spec, annotations) for verb in verbs.VERBS},
        "waiting": _waiting(status),
        "failures": _failures(status),
        "metrics": [_metric(metric, run.measured if run else None) for metric in spec.plan.metrics] if spec else [],
        "measured": _measured(run.measured) if run else None,
        "gates": _gates(spec, status) if spec else [],
        "conditions": [
            {
                "type": each.type, "status": each.status, "reason": each.reason, "text": _cut(each.message),
                "at": seconds(each.last_transition_time),
            }
            for each in status.conditions
        ],
        "orders": [_order(each) for each in run.orders] if run else [],
        "history": [_entry(entry) for entry in _newest_first(status.history)],
        "pods": pods or {},
        "timeline": timeline.to_obj() if timeline else None,
    }  # fmt: skip


def ordered(verb: str, obj: Mapping[str, Any], revision: str, step: int) -> commanding.Order | str:
    """What a command writes, for the revision and step that the person saw; or why it makes no sense for this Canary now."""
    status = read_status(obj)[0]
    why = verbs.why_not(verb, status, obj.get("spec") or {}, (obj.get("metadata") or {}).get("annotations") or {})
    return why or commanding.order(verb, revision, step, status.phase)


def pod_counts(workload: Mapping[str, Any] | None) -> Obj | None:
    """Ready pods and wanted ones of a Deployment or DaemonSet, as its own status counts them."""
    if workload is None:
        return None
    spec, status = workload.get("spec") or {}, workload.get("status") or {}
    if "desiredNumberScheduled" in status:
        return {"ready": status.get("numberReady") or 0, "wanted": status.get("desiredNumberScheduled") or 0}
    replicas = spec.get("replicas")
    return {"ready": status.get("readyReplicas") or 0, "wanted": 1 if replicas is None else replicas}


def _waiting(status: CanaryStatus) -> Obj | None:
    progress = status.progress
    if progress is None or not progress.waiting_for:
        return None
    return {
        "text": _cut(progress.waiting_for),
        "since": seconds(progress.since),
        "until": seconds(progress.until),
        "then": _cut(progress.then or ""),
        "advice": _cut(progress.advice or ""),
    }


def _failures(status: CanaryStatus) -> list[Obj]:
    """One line per container and reason, with the number of pods."""
    found: dict[tuple[str, str], Obj] = {}
    for each in status.pod_failures:
        line = found.setdefault(
            (each.container, each.reason),
            {
                "pod": each.pod, "container": each.container, "reason": each.reason, "message": _cut(each.message),
                "diagnosis": _cut(each.diagnosis), "pods": 0,
            },
        )  # fmt: skip
        line["pods"] += 1
    return list(found.values())


def _metric(metric: Metric, measured: Measured | None) -> Obj:
    low, high = metric.bounds
    values = next((each.values for each in measured.metrics if each.name == metric.name), []) if measured else []
    value = values[-1] if values else None
    missed = value is not None and ((low is not None and value < low) or (high is not None and value > high))
    return {"name": metric.name, "low": low, "high": high, "over": metric.interval or "", "value": value, "missed": missed}


def _measured(measured: Measured | None) -> Obj | None:
    if measured is None:
        return None
    return {"steps": measured.steps, "metrics": [{"name": each.name, "values": each.values} for each in measured.metrics]}


def _gates(spec: CanarySpec, status: CanaryStatus) -> list[Obj]:
    waiting = status.progress.waiting_for if status.progress else ""
    found = []
    for hook in spec.plan.webhooks:
        if hook.role not in GATES:
            continue
        state = ""
        if status.phase not in IDLE and status.run is not None:
            late = status.phase in (Phase.PROMOTING, Phase.FINALISING)
            if f"gate {hook.name}" in waiting:
                state = "closed: waited for"
            elif hook.role == "confirm-traffic-increase":
                state = "asked before each step"
            elif hook.role == "confirm-rollout":
                state = "passed" if status.phase is not Phase.WAITING else "being asked"
            else:
                state = "passed" if late or status.run.promotion_gate_open else "asked before promotion"
        found.append({"name": hook.name, "role": hook.role, "state": state})
    return found


def _order(each: Order) -> Obj:
    return {"command": each.command, "by": each.by, "at": seconds(each.at), "detail": each.detail}


def _entry(entry: HistoryEntry) -> Obj:
    return {
        "revision": entry.revision,
        "attempt": entry.attempt,
        "images": [short_image(image) for image in entry.images],
        "started": seconds(entry.started),
        "ended": seconds(entry.ended),
        "outcome": entry.outcome,
        "cause": _cut(entry.cause),
        "forced": entry.forced,
        "orders": [_order(each) for each in entry.orders],
        "measured": _measured(entry.measured),
    }


def _newest_first(history: list[HistoryEntry]) -> list[HistoryEntry]:
    return sorted(history, key=lambda entry: (seconds(entry.ended) or 0.0, seconds(entry.started) or 0.0), reverse=True)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"
