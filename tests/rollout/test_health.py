"""Pods and deadline of a side together: what is kept while nothing is known, and what is named."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from flaggerpy.api.canary import parse_canary
from flaggerpy.api.status import CanaryStatus, DeadlineState, FailureState, Phase, PodFailure, RunState
from flaggerpy.rollout.draft import Draft
from flaggerpy.rollout.facts import ContainerFacts, Facts, PodFacts, WorkloadFacts
from flaggerpy.rollout.health import judge_canary, judge_primary
from tests.rollout.kubelet import ROWS, pod, waiting

MISSING = next(row for row in ROWS if row.case == "tag missing")
ILL = pod(waiting(MISSING.reason, MISSING.message))
MEMORY = FailureState(pod=ILL.name, container="podinfo", kind="certain", reason=MISSING.reason, message=MISSING.message, first_seen=90.0)
SHOWN = PodFailure(pod=ILL.name, container="podinfo", reason=MISSING.reason)


def draft(*pods: PodFacts, now: float = 100.0, **changes: object) -> Draft:
    side = replace(WorkloadFacts("podinfo", 1, "abc", True, created=1, updated=1, pods=pods), **changes)  # type: ignore[arg-type]
    canary = parse_canary(
        {
            "metadata": {"name": "podinfo", "namespace": "shop"},
            "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"}},
        }
    )
    run = RunState(id="run", revision="abc", failures=[MEMORY], primary_failures=[MEMORY])
    status = CanaryStatus(phase=Phase.PROGRESSING, run=run, pod_failures=[SHOWN])
    return Draft(canary, status, Facts(target=side, primary=side), now)


def test_a_failure_whose_grace_is_over_ends_either_side() -> None:
    for judge in (partial(judge_canary, stopped=False), judge_primary):
        d = draft(ILL)
        # the same failure on both sides would be a storm
        d.facts = replace(d.facts, target=None) if judge is judge_primary else replace(d.facts, primary=None)
        verdict = judge(d)
        assert verdict.cause is not None
        assert "does not exist (1 of 1 pod)" in verdict.cause


def test_while_the_pods_are_not_known_nothing_is_judged_and_nothing_forgotten() -> None:
    for judge in (partial(judge_canary, stopped=False), judge_primary):
        d = draft(pods_known=False)
        verdict = judge(d)
        assert verdict.cause is None
        assert verdict.waiting == "waiting for rollout to finish: 0 of 1 (readyThreshold 100%) updated replicas are available"
        assert d.run.failures == d.run.primary_failures == [MEMORY]
        assert d.status.pod_failures == [SHOWN]


def test_commands_for_people_name_the_namespace() -> None:
    d = draft(ILL)
    judge_canary(d, stopped=False)
    assert "kubectl -n shop get pod" in d.status.pod_failures[0].diagnosis


def test_a_deadline_that_runs_out_says_what_the_failure_means() -> None:
    lost = PodFacts(name="podinfo-2", containers=(ContainerFacts("podinfo"),), unschedulable="0/3 nodes are available: 3 Insufficient cpu.")
    d = draft(lost, now=700.0)
    d.set_run(deadline=DeadlineState(max_available=0, max_desired=1, advanced_at=100.0))
    verdict = judge_canary(d, stopped=False)
    assert verdict.waiting == "no node takes pod podinfo-2 (1 of 1 pod)"
    assert verdict.cause == f"progress deadline of 600s exceeded: {verdict.waiting}: 0/3 nodes are available: 3 Insufficient cpu"


def test_why_no_pod_can_be_made_is_told_in_words() -> None:
    verdict = judge_canary(draft(pod_creation_error='pods "x" is forbidden: exceeded quota: small, requested: pods=1'), stopped=False)
    assert verdict.cause is None
    assert verdict.waiting.startswith("no pod can be made: quota small is used up: ")
