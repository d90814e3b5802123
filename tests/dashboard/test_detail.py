"""The page of one Canary as data: complete, and without anything that is nobody's business."""

from __future__ import annotations

import json
from typing import Any

from flaggerpy.api.commanding import Order
from flaggerpy.api.names import COMMAND_PAUSE
from flaggerpy.api.status import timestamp
from flaggerpy.dashboard.detail import detail, ordered, pod_counts
from flaggerpy.dashboard.timeline import Timeline
from tests.dashboard.scene import NOW, canary, measured, run

SECRET = "planted-secret-4711"


def test_a_run_is_told_with_its_plan_metrics_and_values() -> None:
    found = detail(canary(**run(40, measured=measured(("20%", 100.0), ("40%", 98.5)))), pods={"canary": {"ready": 1, "wanted": 2}})
    assert (found["weight"], found["plan"], found["interval"], found["limit"]) == (40, [20, 40, 60], 10.0, 3)
    rate, duration = found["metrics"]
    assert rate == {"name": "request-success-rate", "low": 99.0, "high": None, "over": "1m", "value": 98.5, "missed": True}
    assert (duration["low"], duration["high"], duration["value"], duration["missed"]) == (None, 500.0, None, False)
    assert found["measured"] == {"steps": ["20%", "40%"], "metrics": [{"name": "request-success-rate", "values": [100.0, 98.5]}]}
    assert found["waiting"]["until"] == NOW + 7
    assert found["pods"]["canary"] == {"ready": 1, "wanted": 2}


def test_the_history_is_the_newest_first() -> None:
    old, new = (
        {"revision": name, "started": timestamp(at - 60), "ended": timestamp(at), "outcome": "Failed", "cause": f"cause of {name}"}
        for name, at in (("v1", NOW - 900), ("v2", NOW - 300))
    )
    found = detail(canary(history=[old, new]))
    assert [entry["revision"] for entry in found["history"]] == ["v2", "v1"]
    assert found["history"][0]["cause"] == "cause of v2"


def test_pods_that_fail_alike_are_one_line() -> None:
    failures = [{"pod": f"app-{i}", "container": "app", "reason": "ErrImagePull", "message": "no", "diagnosis": "why"} for i in range(3)]
    (line,) = detail(canary(podFailures=failures))["failures"]
    assert (line["pods"], line["diagnosis"]) == (3, "why")


def test_a_spec_and_a_status_that_cannot_be_read_are_told_and_the_rest_is_shown() -> None:
    broken = canary(spec={"analysis": {"threshold": "many"}})
    assert detail(broken)["problem"].startswith("spec.analysis.threshold cannot be read")
    assert detail(broken)["promoted"] == ["app:1.0.0"]
    assert "status." in detail(canary(history="x"))["problem"]
    assert detail(canary(history="x"))["phase"] == "Succeeded"


def test_nothing_of_hooks_queries_headers_and_foreign_annotations_leaves() -> None:
    def hook(type_: str) -> dict[str, Any]:
        return {"name": type_, "type": type_, "url": f"http://user:{SECRET}@hook/?t={SECRET}", "metadata": {"token": SECRET}}

    obj = canary(
        annotations={"kubectl.kubernetes.io/last-applied-configuration": SECRET, "team/note": SECRET},
        spec={
            "analysis": {
                "webhooks": [hook("confirm-rollout"), hook("confirm-promotion"), hook("rollout"), hook("event")],
                "metrics": [{"name": "m", "query": SECRET, "templateVariables": {"a": SECRET}, "thresholdRange": {"min": 1}}],
                "alerts": [{"name": SECRET, "providerRef": {"name": SECRET}}],
                "sessionAffinity": {"cookieName": SECRET},
            },
            "metricsServer": f"http://user:{SECRET}@prometheus",
            "service": {"port": 80, "headers": {"request": {"add": {"Authorization": SECRET}}}},
        },
        sessionAffinityCookie=SECRET,
        outbox=[{"id": "1", "kind": "alert", "phase": "Failed", "message": SECRET}],
        trackedConfigs={"secret/x": SECRET},
        **run(20, closedGate=SECRET),
    )
    found = detail(obj, timeline=Timeline(obj["status"]["run"], NOW))
    assert SECRET not in json.dumps(found)
    assert [gate["name"] for gate in found["gates"]] == ["confirm-rollout", "confirm-promotion"]


def test_a_gate_that_is_waited_for_says_so() -> None:
    spec = {"analysis": {"stepWeight": 50, "webhooks": [{"name": "approve", "type": "confirm-promotion", "url": "http://gate"}]}}
    progress = {"waitingFor": "the confirm-promotion gate approve to open"}
    found = detail(canary(spec=spec, **{**run(50), "phase": "WaitingPromotion", "progress": progress}))
    assert found["gates"] == [{"name": "approve", "role": "confirm-promotion", "state": "closed: waited for"}]


def test_commands_that_make_no_sense_say_why() -> None:
    assert detail(canary())["verbs"] == {
        "promote": "No release is under way.",
        "skip": "No release is under way.",
        "pause": "",
        "resume": "It is not paused.",
        "retry": "There is nothing to retry: the last release did not fail.",
        "abort": "No release is under way.",
    }
    assert ordered("skip", canary(annotations={COMMAND_PAUSE: "*"}, **run(20)), "v2", 20) == "It is paused: resume it first."


def test_an_order_is_for_the_revision_and_step_that_the_person_saw() -> None:
    seen = canary(**run(40))
    assert ordered("abort", seen, "v2", 20) == Order("abort", "flagger.app/abort", "v2")
    assert ordered("skip", seen, "v2", 20) == Order("skip", "flagger.app/skip", "v2@20")
    assert ordered("pause", seen, "v2", 20) == Order("pause", "flagger.app/pause", "v2")
    assert ordered("resume", canary(annotations={COMMAND_PAUSE: "v2"}, **run(40)), "v2", 20) == Order("resume", "flagger.app/pause", None)


def test_a_pause_between_releases_holds_the_next_one_whichever_it_is() -> None:
    assert ordered("pause", canary(), "v1", 0) == Order("pause", "flagger.app/pause", "*")


def test_pods_are_counted_by_the_workloads_own_status() -> None:
    assert pod_counts({"spec": {"replicas": 3}, "status": {"readyReplicas": 2}}) == {"ready": 2, "wanted": 3}
    assert pod_counts({"spec": {}, "status": {}}) == {"ready": 0, "wanted": 1}
    assert pod_counts({"spec": {}, "status": {"desiredNumberScheduled": 4, "numberReady": 1}}) == {"ready": 1, "wanted": 4}
    assert pod_counts(None) is None
