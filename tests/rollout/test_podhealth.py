"""The verdict over pods: graces, crashes, how many pods, on how many nodes, what is remembered and what people see."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaggerpy.api.canary import PodHealth
from flaggerpy.api.status import FailureState
from flaggerpy.rollout.facts import ContainerFacts, PodFacts
from flaggerpy.rollout.podhealth import MEMORY, SHOWN, SHOWN_BYTES, Health, judge, judge_creation, storm
from tests.rollout import kubelet
from tests.rollout.kubelet import HOST, IMAGE, LONG_ID, ROWS, backed_off, ended, pod, running, waiting

MISSING = next(row for row in ROWS if row.case == "tag missing")
BACK_OFF = next(row for row in ROWS if row.case == "back-off of a cause that is not told")
BUSY = next(row for row in ROWS if row.case == "503")
MISSING_IMAGE = waiting(MISSING.reason, MISSING.message)
BACKED_OFF_PULL = waiting(BACK_OFF.reason, BACK_OFF.message)
BUSY_REGISTRY = waiting(BUSY.reason, BUSY.message)


@dataclass
class Watch:
    """Judges one look after the other, carrying the memory as the status does."""

    policy: PodHealth = field(default_factory=PodHealth)
    threshold: int = 100
    desired: int = 0
    now: float = 1000.0
    memory: list[FailureState] = field(default_factory=list)

    def look(self, *pods: PodFacts, after: float = 0.0) -> Health:
        self.now += after
        health = judge(
            pods,
            self.memory,
            self.policy,
            now=self.now,
            ready_threshold=self.threshold,
            desired=self.desired or len(pods),
        )
        stored = [FailureState.model_validate_json(state.model_dump_json(by_alias=True)) for state in health.failures]
        assert stored == health.failures
        self.memory = stored
        return health


def both(container: ContainerFacts) -> tuple[PodFacts, PodFacts]:
    return pod(container, name="podinfo-1"), pod(container, name="podinfo-2")


def test_a_missing_image_stands_after_five_seconds_with_image_and_pods_named() -> None:
    watch = Watch()
    first = watch.look(*both(MISSING_IMAGE))
    assert first.verdict is None
    assert first.wake == 1005
    assert watch.look(*both(MISSING_IMAGE), after=4.9).verdict is None
    health = watch.look(*both(MISSING_IMAGE), after=0.1)
    assert health.verdict == (
        f"image {IMAGE} of container podinfo does not exist (2 of 2 pods): "
        f"the registry {HOST} answered that it has no such repository or tag"
    )
    assert health.wake is None
    assert health.cause == "image-missing"
    assert health.advice.startswith("Push the image")


@pytest.mark.parametrize("row", [row for row in ROWS if row.cls == "certain"], ids=lambda row: row.case)
def test_every_certain_row_stands_after_five_seconds(row: object) -> None:
    of = pod(waiting(row.reason, row.message))  # type: ignore[attr-defined]
    watch = Watch()
    assert [watch.look(of, after=after).verdict is not None for after in (0, 4.9, 0.1)] == [False, False, True]


@pytest.mark.parametrize("row", [row for row in ROWS if row.cls == "doubtful"], ids=lambda row: row.case)
def test_every_doubtful_row_stands_after_thirty_seconds(row: object) -> None:
    of = pod(waiting(row.reason, row.message))  # type: ignore[attr-defined]
    watch = Watch()
    assert [watch.look(of, after=after).verdict is not None for after in (0, 5, 24.9, 0.1)] == [False, False, False, True]


@pytest.mark.parametrize(
    "of",
    [
        pod(waiting("ContainerCreating")),
        pod(waiting("ContainerCreating"), unschedulable="0/1 nodes are available"),
        pod(waiting("ContainerCreating"), events=(("FailedMount", 'configmap "x" not found'),)),
        pod(running(ready=False)),
        pod(running(ready=False), events=(("Unhealthy", "Readiness probe failed: 503"),)),
        pod(running(ready=False), events=(("Unhealthy", "Startup probe failed: 503"),)),
        pod(ended(137), phase="Failed", reason="Evicted"),
    ],
)
def test_what_waits_never_stands_but_is_named(of: PodFacts) -> None:
    watch = Watch(desired=1)
    for after in (0, 5, 30, 600, 3600):
        health = watch.look(of, after=after)
        assert health.verdict is None
        assert health.wake is None
        assert health.waiting


def test_a_certain_cause_is_not_weakened_by_a_later_back_off() -> None:
    watch = Watch()
    watch.look(*both(MISSING_IMAGE))
    health = watch.look(*both(BACKED_OFF_PULL), after=5)
    assert health.verdict is not None
    assert "does not exist" in health.verdict
    assert {failure.reason for failure in health.shown} == {"ErrImagePull"}


def test_the_verdict_counts_all_pods_that_fail_so_by_then_whatever_is_left_of_their_grace() -> None:
    watch = Watch(desired=3)
    late = pod(MISSING_IMAGE, name="podinfo-2")
    watch.look(pod(MISSING_IMAGE), pod(running(), name="podinfo-2"), pod(BUSY_REGISTRY, name="podinfo-3"))
    watch.look(pod(MISSING_IMAGE), late, pod(BUSY_REGISTRY, name="podinfo-3"), after=4)
    verdict = watch.look(pod(MISSING_IMAGE), late, pod(BUSY_REGISTRY, name="podinfo-3"), after=1).verdict
    assert verdict is not None
    assert "does not exist (2 of 3 pods)" in verdict
    assert "another cause" not in verdict  # the registry of the third may answer yet


def test_what_seemed_certain_until_the_pull_secret_was_known_to_be_missing_is_doubtful_from_its_first_report_on() -> None:
    refused = next(row for row in ROWS if row.case == "401")
    watch, told = Watch(), waiting(refused.reason, refused.message)
    absent = ("FailedToRetrieveImagePullSecret", "Unable to retrieve some image pull secrets (registry); attempting to pull")
    assert watch.look(pod(told)).wake == watch.now + 5
    assert watch.look(pod(told, events=(absent,)), after=1).wake == watch.now + 29
    for after in (5, 23.9):
        assert watch.look(pod(told, events=(absent,)), after=after).verdict is None
    verdict = watch.look(pod(told, events=(absent,)), after=0.1).verdict
    assert verdict
    assert verdict.startswith("pull secret registry of pod podinfo-1 does not exist")
    # at its next try the kubelet had the secret, and was refused all the same
    watch = Watch()
    watch.look(pod(told, events=(absent,)))
    assert watch.look(pod(told), after=13).wake == watch.now + 5
    verdict = watch.look(pod(told), after=5).verdict
    assert verdict
    assert "refuses the credentials" in verdict


def test_a_crash_loop_counts_the_pods_whose_container_runs_at_that_moment_too() -> None:
    watch = Watch(desired=3)
    well, other = pod(running(), name="podinfo-3"), "podinfo-2"
    watch.look(pod(running()), pod(running(), name=other), well)
    watch.look(pod(ended(1)), pod(ended(1), name=other), well, after=1)
    watch.look(pod(ended(1, restarts=1)), pod(ended(1, restarts=1), name=other), well, after=10)
    # the second pod's container runs again, and is ready, when the first one's crashes for the third time
    verdict = watch.look(pod(ended(1, restarts=2)), pod(running(restarts=2), name=other), well, after=10).verdict
    assert verdict is not None
    assert "(crashed 3 times, 2 of 3 pods)" in verdict


def test_the_grace_runs_through_the_alternation_of_pull_and_back_off() -> None:
    watch = Watch()
    for container in (BUSY_REGISTRY, BACKED_OFF_PULL, BUSY_REGISTRY):
        assert watch.look(pod(container), after=9).verdict is None
    health = watch.look(pod(BACKED_OFF_PULL), after=12)
    assert health.verdict is not None
    assert "503 Service Unavailable" in health.verdict


def test_a_back_off_gives_way_to_the_cause_when_it_is_told() -> None:
    watch = Watch()
    watch.look(pod(BACKED_OFF_PULL))
    health = watch.look(pod(BUSY_REGISTRY), after=30)
    assert health.verdict is not None
    assert "503" in health.verdict


def test_the_grace_ends_only_when_the_container_runs() -> None:
    watch = Watch()
    watch.look(pod(MISSING_IMAGE))
    watch.look(pod(waiting("ContainerCreating")), after=3)
    assert watch.look(pod(MISSING_IMAGE), after=2).verdict is not None
    watch = Watch()
    watch.look(pod(MISSING_IMAGE))
    watch.look(pod(running()), after=3)
    assert watch.look(pod(MISSING_IMAGE), after=2).verdict is None
    assert watch.look(pod(MISSING_IMAGE), after=5).verdict is not None


def test_the_grace_runs_for_each_pod_and_class_of_its_own() -> None:
    watch = Watch(threshold=50, desired=2)
    watch.look(pod(MISSING_IMAGE, name="a"), pod(running(), name="b"))
    assert watch.look(pod(MISSING_IMAGE, name="a"), pod(MISSING_IMAGE, name="b"), after=5).verdict is None
    assert watch.look(pod(MISSING_IMAGE, name="a"), pod(MISSING_IMAGE, name="b"), after=5).verdict is not None
    watch = Watch()
    watch.look(pod(BUSY_REGISTRY))
    assert watch.look(pod(MISSING_IMAGE), after=20).verdict is None
    assert watch.look(pod(MISSING_IMAGE), after=5).verdict is not None


def test_a_container_that_crashed_three_times_stands_at_once() -> None:
    watch = Watch()
    story = [running(), ended(1), running(restarts=1, last=1), ended(1, restarts=1, last=1), backed_off(restarts=1)]
    for container in story:
        assert watch.look(pod(container), after=1).verdict is None
    watch.look(pod(running(restarts=2, last=1)), after=12)
    health = watch.look(pod(ended(1, restarts=2, last=1)), after=0.2)
    assert health.verdict == (
        "container podinfo crashes with exit code 1 (crashed 3 times, 1 of 1 pod): the program itself ended with an error"
    )


def test_a_crash_loop_is_counted_though_single_states_were_missed() -> None:
    watch = Watch()
    watch.look(pod(running()))
    watch.look(pod(backed_off(restarts=1)), after=10)
    assert watch.look(pod(running(restarts=3, last=1)), after=20).verdict is not None


def test_a_sidecar_that_flaps_ready_while_the_main_container_is_well_stands_at_its_third_crash() -> None:
    def of(sidecar: ContainerFacts) -> PodFacts:
        return pod(running(), sidecar)

    watch = Watch()
    verdicts = []
    for restarts in range(3):
        last = 1 if restarts else None
        watch.look(of(running("flaky", restarts, last)), after=3)
        verdicts.append(watch.look(of(ended(1, "flaky", restarts, last)), after=1).verdict)
    assert verdicts[:2] == [None, None]
    assert verdicts[2] is not None
    assert verdicts[2].startswith("container flaky crashes with exit code 1 (crashed 3 times, 1 of 1 pod)")
    assert watch.look(of(running("flaky", 3, 1)), after=1).verdict is not None


def test_crashes_of_an_init_container_and_out_of_memory_are_counted_and_named() -> None:
    watch = Watch()
    for restarts in range(3):
        health = watch.look(pod(ended(1, "migrate", restarts, role="init"), waiting("PodInitializing")), after=1)
    assert health.verdict is not None
    assert "init container migrate crashes" in health.verdict
    watch = Watch()
    for restarts in range(3):
        health = watch.look(pod(ended(137, restarts=restarts, reason="OOMKilled")), after=1)
    assert health.verdict is not None
    assert "memory limit (OOMKilled)" in health.verdict


def test_a_container_that_crashed_and_runs_again_unready_is_told_by_its_crash() -> None:
    watch = Watch()
    watch.look(pod(ended(137, reason="OOMKilled")))
    health = watch.look(pod(running(restarts=1, last=137, ready=False, last_reason="OOMKilled")), after=1)
    assert health.verdict is None
    assert health.waiting == "container podinfo was killed for passing its memory limit (OOMKilled) (crashed 1 time of 3, 1 of 1 pod)"


def test_a_start_that_fails_again_and_again_for_an_unknown_reason_need_not_wait_for_its_grace() -> None:
    odd = next(row for row in ROWS if row.case == "unknown error of the runtime")
    watch = Watch()
    for restarts in range(3):
        failed = waiting(odd.reason, odd.message, restarts=restarts)
        failed = replace(failed, last_reason="StartError", last_message=odd.message, last_exit_code=128)
        verdict = watch.look(pod(failed), after=5).verdict
        assert (verdict is None) == (restarts < 2)


def test_a_clean_exit_that_is_seen_only_as_the_one_before_is_taken_off() -> None:
    watch = Watch(policy=PodHealth(max_restarts=0))
    watch.look(pod(running()))
    assert watch.look(pod(ended(0, restarts=1, last=0)), after=1).verdict is None
    assert watch.look(pod(ended(1, restarts=2, last=0)), after=1).verdict is not None


def test_restarts_before_the_first_look_do_not_count() -> None:
    watch = Watch()
    assert watch.look(pod(running(restarts=7, last=1))).verdict is None
    for restarts in (7, 8):
        assert watch.look(pod(ended(1, restarts=restarts, last=1)), after=1).verdict is None
    assert watch.look(pod(ended(1, restarts=9, last=1)), after=1).verdict is not None


def test_exits_with_0_are_taken_off() -> None:
    watch = Watch()
    for restarts in range(6):
        watch.look(pod(running(restarts=restarts, last=0 if restarts else None)), after=1)
        assert watch.look(pod(ended(0, restarts=restarts)), after=1).verdict is None
        assert watch.look(pod(backed_off(0, restarts=restarts)), after=1).verdict is None
    for restarts in (6, 7):
        assert watch.look(pod(ended(1, restarts=restarts, last=0 if restarts == 6 else 1)), after=1).verdict is None
    assert watch.look(pod(ended(1, restarts=8, last=1)), after=1).verdict is not None


def test_kills_by_probes_and_evictions_are_no_crashes() -> None:
    watch = Watch()
    for restarts in range(6):
        watch.look(pod(running(restarts=restarts, last=137 if restarts else None, ready=False)), after=1)
        killed = pod(ended(137, restarts=restarts), probe_kills=frozenset({"podinfo"}))
        assert watch.look(killed, after=1).verdict is None
    watch = Watch(policy=PodHealth(max_restarts=0))
    evicted = pod(ended(137), phase="Failed", reason="Evicted")
    assert watch.look(evicted).verdict is None
    assert watch.look(pod(ended(1), name="another")).verdict is not None


def test_the_event_of_a_probe_s_kill_may_come_after_the_status() -> None:
    watch = Watch()
    for restarts in range(5):
        watch.look(pod(ended(137, restarts=restarts)), after=1)
        told = pod(ended(137, restarts=restarts), probe_kills=frozenset({"podinfo"}))
        watch.look(told, after=1)
        assert watch.look(told, after=1).verdict is None


def test_crashes_count_together_only_within_ten_minutes() -> None:
    watch = Watch()
    watch.look(pod(ended(1)))
    watch.look(pod(ended(1, restarts=1, last=1)), after=300)
    assert watch.look(pod(ended(1, restarts=2, last=1)), after=301).verdict is None
    watch = Watch()
    watch.look(pod(ended(1)))
    watch.look(pod(ended(1, restarts=1, last=1)), after=300)
    assert watch.look(pod(ended(1, restarts=2, last=1)), after=300).verdict is not None
    watch = Watch()
    watch.look(pod(running()))
    watch.look(pod(ended(1)), after=3600)  # a long quiet time before the first crash takes nothing from the window
    watch.look(pod(ended(1, restarts=1, last=1)), after=300)
    assert watch.look(pod(ended(1, restarts=2, last=1)), after=299).verdict is not None


def test_max_restarts_is_the_user_s() -> None:
    watch = Watch(policy=PodHealth(max_restarts=0))
    assert watch.look(pod(ended(1))).verdict is not None
    watch = Watch(policy=PodHealth(max_restarts=4))
    assert [watch.look(pod(ended(1, restarts=r)), after=1).verdict is not None for r in range(5)] == [False] * 4 + [True]


def test_graces_are_the_user_s() -> None:
    watch = Watch(policy=PodHealth(certain_grace="1m", doubtful_grace="2m"))
    watch.look(pod(MISSING_IMAGE))
    assert watch.look(pod(MISSING_IMAGE), after=59).verdict is None
    assert watch.look(pod(MISSING_IMAGE), after=1).verdict is not None


def test_ignored_containers_and_pods_that_go_away_are_not_judged() -> None:
    watch = Watch(policy=PodHealth(ignored_containers=["flaky"]))
    of = pod(running(), waiting(MISSING.reason, MISSING.message, "flaky"))
    watch.look(of)
    health = watch.look(of, after=60)
    assert (health.verdict, health.shown) == (None, [])
    watch = Watch()
    going = pod(MISSING_IMAGE, terminating=True)
    watch.look(going)
    assert watch.look(going, after=60).verdict is None


def test_switched_off_there_is_no_verdict_and_no_memory_but_a_name() -> None:
    watch = Watch(policy=PodHealth(enabled=False))
    watch.look(pod(MISSING_IMAGE))
    health = watch.look(pod(MISSING_IMAGE), after=3600)
    assert (health.verdict, health.failures, health.wake) == (None, [], None)
    assert health.shown[0].reason == "ErrImagePull"
    assert "does not exist" in health.waiting


@pytest.mark.parametrize(
    ("threshold", "failing", "of", "stands"),
    [(100, 1, 4, True), (75, 1, 4, False), (75, 2, 4, True), (50, 2, 4, False), (50, 3, 4, True), (0, 4, 4, False), (1, 4, 4, True)],
)
def test_it_must_stand_on_more_pods_than_may_be_missing(threshold: int, failing: int, of: int, stands: bool) -> None:
    crashing = Watch(threshold=threshold, policy=PodHealth(max_restarts=0))
    pods = [pod(ended(1) if n < failing else running(), name=f"p{n}") for n in range(of)]
    assert (crashing.look(*pods).verdict is not None) is stands
    pulling = Watch(threshold=threshold)
    pods = [pod(MISSING_IMAGE if n < failing else running(), name=f"p{n}") for n in range(of)]
    pulling.look(*pods)
    assert (pulling.look(*pods, after=5).verdict is not None) is stands


def test_pods_not_made_yet_count_among_all() -> None:
    watch = Watch(threshold=50, desired=4)
    one = pod(MISSING_IMAGE)
    watch.look(one)
    assert watch.look(one, after=60).verdict is None


def test_it_must_stand_on_two_nodes_where_the_pods_are_on_more_than_one() -> None:
    watch = Watch()
    ill = pod(MISSING_IMAGE, name="a", node="n1"), pod(MISSING_IMAGE, name="b", node="n1")
    well = pod(running(), name="c", node="n2")
    watch.look(*ill, well)
    health = watch.look(*ill, well, after=60)
    assert health.verdict is None
    assert "(2 of 3 pods)" in health.waiting
    watch.look(*ill, replace(well, containers=(MISSING_IMAGE,)), after=1)
    assert watch.look(*ill, replace(well, containers=(MISSING_IMAGE,)), after=5).verdict is not None


def test_mixed_causes_are_told_by_the_worst_and_count_together() -> None:
    watch = Watch(threshold=50)
    pods = pod(MISSING_IMAGE, name="a"), pod(BUSY_REGISTRY, name="b"), pod(running(), name="c")
    watch.look(*pods)
    assert watch.look(*pods, after=5).verdict is None
    health = watch.look(*pods, after=25)
    assert health.verdict is not None
    assert "does not exist (1 of 3 pods)" in health.verdict
    assert health.verdict.endswith("; 1 more pod fails for another cause")


def test_what_is_waited_for_is_a_sentence() -> None:
    assert judge([], [], PodHealth(), now=1, ready_threshold=100, desired=2).waiting == "2 of 2 pods are not created yet"
    assert judge([], [], PodHealth(), now=1, ready_threshold=100, desired=1).waiting == "1 of 1 pod is not created yet"
    assert Watch().look(*both(running())).waiting == ""
    assert Watch().look(pod(running(), name="a"), pod(running(ready=False), name="b")).waiting == (
        "1 of 2 pods are ready: container podinfo runs and is not ready yet"
    )
    assert Watch().look(pod(ended(1))).waiting == "container podinfo crashes with exit code 1 (crashed 1 time of 3, 1 of 1 pod)"
    assert Watch().look(replace(pod(running()), ready=False)).waiting == "0 of 1 pods are ready"


@pytest.mark.fault("Q-7")
def test_why_no_pod_can_be_made_is_named_but_left_to_the_deadline() -> None:
    assert judge_creation("", namespace="shop") is None
    told = judge_creation('pods "x" is forbidden: exceeded quota: small, requested: pods=1', namespace="shop")
    assert told is not None
    assert told.class_ == "waiting"
    assert told.what == "no pod can be made: quota small is used up"


def test_the_same_failure_on_promoted_pods_is_a_storm() -> None:
    policy = PodHealth()
    assert storm([pod(BUSY_REGISTRY)], [pod(BUSY_REGISTRY, name="old")], policy).startswith(
        "pods of the last promoted revision fail the same way: the registry"
    )
    assert storm([pod(BUSY_REGISTRY)], [pod(running())], policy) == ""
    assert storm([pod(ended(1, "a"))], [pod(ended(1, "b"))], policy) == ""
    assert storm([pod(ended(1, "a"))], [pod(backed_off(1, "a"))], policy) != ""
    assert storm([pod(running(ready=False))], [pod(running(ready=False))], policy) == ""


def test_people_see_at_most_ten_pods_of_a_kilobyte_each() -> None:
    message = f"rpc error: {LONG_ID} " + "ÿ🔥" * 2000 + ": not found"
    pods = [pod(waiting("ErrImagePull", message, "c" * 63), name=f"{'p' * 245}-{n:02}") for n in range(30)]
    health = Watch().look(*pods)
    assert len(health.shown) == SHOWN
    for failure in health.shown:
        assert len(json.dumps(failure.model_dump(), ensure_ascii=False).encode()) <= SHOWN_BYTES
        assert failure.diagnosis
        assert len(failure.reason) <= 60
        assert len(failure.message) <= 120  # what is cut off of both is cut off of the kubelet's words first
    short = Watch().look(pod(MISSING_IMAGE)).shown[0]
    assert short.diagnosis.startswith(f"image {IMAGE} of container podinfo does not exist: the registry")
    assert "Push the image" in short.diagnosis


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.case)
def test_people_see_the_whole_diagnosis_of_every_row(row: object) -> None:
    shown = Watch().look(pod(waiting(row.reason, row.message))).shown[0]  # type: ignore[attr-defined]
    assert "…" not in shown.diagnosis
    assert " Try: " in shown.diagnosis


def test_what_keeps_the_whole_pod_back_is_shown_once() -> None:
    of = pod(waiting("ContainerCreating"), waiting("ContainerCreating", "", "b"), unschedulable="0/1 nodes are available")
    assert len(Watch().look(of).shown) == 1


def test_equal_facts_leave_equal_memory_though_the_texts_vary() -> None:
    watch = Watch()
    silent = next(row for row in ROWS if row.case == "name server silent")
    first = watch.look(pod(waiting(silent.reason, silent.message)))
    other = watch.look(pod(waiting(silent.reason, silent.message.replace("43021", "55555"))), after=12)
    assert (first.failures, first.shown) == (other.failures, other.shown)


def test_another_report_of_a_pull_without_credentials_is_the_same_failure() -> None:
    watch = Watch()
    refused, again = (next(row for row in ROWS if row.case == case) for case in ("401", "token refused"))
    first = watch.look(pod(waiting(refused.reason, refused.message), pull_secrets=()))
    other = watch.look(pod(waiting(again.reason, again.message), pull_secrets=()), after=1)
    assert other.failures == first.failures


def test_a_long_reason_is_shown_in_sixty_characters() -> None:
    shown = Watch().look(pod(waiting("R" * 61, "what it says"))).shown
    assert [len(failure.reason) for failure in shown] == [60]


def test_what_is_shown_of_the_longest_diagnosis_fills_its_room() -> None:
    message = f"rpc error: {LONG_ID} " + "ÿ🔥" * 2000 + ": not found"
    sizes = []
    for letters in range(200, 240):
        failure = Watch().look(pod(waiting("ErrImagePull", message, "c" * 63), name="p" * letters)).shown[0]
        sizes.append(len(json.dumps(failure.model_dump(by_alias=True), ensure_ascii=False).encode()))
    assert max(sizes) <= SHOWN_BYTES
    assert (sizes[0], sizes[-1]) == (981, 960)


def test_the_memory_is_bounded_and_a_big_failure_still_stands() -> None:
    watch = Watch(threshold=50)
    pods = [pod(MISSING_IMAGE, name=f"p{n:03}", node=f"n{n % 3}") for n in range(200)]
    assert watch.look(*pods).verdict is None
    assert len(watch.memory) == MEMORY
    assert watch.look(*pods, after=4.9).verdict is None
    health = watch.look(*pods, after=0.1)
    assert health.verdict is not None
    assert "(200 of 200 pods)" in health.verdict


@given(st.lists(st.sampled_from([0, 1, 137]), max_size=8), st.integers(0, 4))
def test_the_count_of_crashes_is_exact_when_every_state_is_seen(ends: Sequence[int], allowed: int) -> None:
    watch = Watch(policy=PodHealth(max_restarts=allowed))
    crashes = 0
    watch.look(pod(running()))
    for number, code in enumerate(ends):
        last = ends[number - 1] if number else None
        crashes += code != 0
        over = ended(code, restarts=number, last=last), backed_off(code, restarts=number)
        for container in (*over, running(restarts=number + 1, last=code)):
            assert (watch.look(pod(container), after=1).verdict is not None) == (crashes > allowed)


states = st.sampled_from(
    [running(), running(ready=False), MISSING_IMAGE, BACKED_OFF_PULL, BUSY_REGISTRY, waiting("ContainerCreating"), ended(0), ended(1)]
)


@given(st.lists(st.tuples(st.floats(0, 40), st.lists(states, min_size=1, max_size=3)), min_size=1, max_size=15), st.integers(0, 100))
def test_invariants_over_any_story(story: Sequence[tuple[float, Sequence[ContainerFacts]]], threshold: int) -> None:
    watch = Watch(threshold=threshold)
    for after, containers in story:
        pods = [pod(container, name=f"p{n}") for n, container in enumerate(containers)]
        health = watch.look(*pods, after=after)
        again = watch.look(*pods)
        assert (again.verdict, again.shown, again.failures) == (health.verdict, health.shown, health.failures)
        assert len(health.failures) <= MEMORY
        assert health.wake is None or health.wake > watch.now
        assert health.verdict is None or health.shown
        assert all(state.pod in {p.name for p in pods} for state in health.failures)
        if all(p.ready for p in pods):
            assert health.waiting == ""
        if threshold == 0:
            assert health.verdict is None


@given(states, st.integers(0, 29))
def test_no_verdict_comes_before_its_grace(container: ContainerFacts, after: int) -> None:
    watch = Watch()
    watch.look(pod(container))
    grace = {MISSING_IMAGE: 5.0}.get(container, 30.0)
    assert (watch.look(pod(container), after=after).verdict is None) or after >= grace


def test_what_befalls_a_whole_pod_is_told_of_its_main_container() -> None:
    setup = kubelet.container("setup", role="init")
    evicted = pod(setup, kubelet.container(), phase="Failed", reason="Evicted", message="The node was low on resource: memory")
    shown = judge([evicted], [], PodHealth(), now=0, ready_threshold=100, desired=1).shown
    assert [(failure.container, failure.reason) for failure in shown] == [("podinfo", "Evicted")]
    assert "low on resource: memory; a new pod takes its place" in shown[0].diagnosis


def test_switched_off_no_failure_is_judged_however_short_its_grace() -> None:
    watch = Watch(policy=PodHealth(enabled=False, certain_grace="0s"))
    assert watch.look(*both(MISSING_IMAGE)).verdict is None
    assert Watch(policy=PodHealth(certain_grace="0s")).look(*both(MISSING_IMAGE)).verdict is not None


def test_a_pod_that_has_ended_for_good_is_not_waited_for() -> None:
    gone = pod(running(ready=False), name="podinfo-3", phase="Failed")
    assert Watch(desired=3).look(*both(running()), gone).waiting == "1 of 3 pod is not created yet"
