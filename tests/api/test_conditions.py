"""The conditions: Flagger's Promoted to the letter, ours by the kstatus rules, and nothing is rewritten without a change."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaggerpy.api.conditions import promoted_condition, set_conditions
from flaggerpy.api.status import Condition, Phase, timestamp

KIND = "Deployment"


def follow(previous: list[Condition], phase: Phase, **changes: Any) -> list[Condition]:
    facts: dict[str, Any] = {
        "now": 1000.0,
        "generation": 3,
        "stalled": None,
        "busy": False,
        "ready": False,
        "reconciling_message": "Waits.",
    }
    return set_conditions(previous, phase, KIND, **facts | changes)


def by_type(conditions: list[Condition]) -> dict[str, Condition]:
    return {condition.type: condition for condition in conditions}


@pytest.mark.parametrize(
    ("phase", "status", "message"),
    [
        (Phase.INITIALIZING, "Unknown", "New Deployment detected, starting initialization."),
        (Phase.INITIALIZED, "True", "Deployment initialization completed."),
        (Phase.WAITING, "Unknown", "Waiting for approval."),
        (Phase.WAITING_PROMOTION, "Unknown", "Waiting for approval."),
        (Phase.PROGRESSING, "Unknown", "New revision detected, progressing canary analysis."),
        (Phase.PROMOTING, "Unknown", "Canary analysis completed, starting primary rolling update."),
        (Phase.FINALISING, "Unknown", "Canary analysis completed, routing all traffic to primary."),
        (Phase.SUCCEEDED, "True", "Canary analysis completed successfully, promotion finished."),
        (Phase.FAILED, "False", "Canary analysis failed, Deployment scaled to zero."),
        (Phase.TERMINATING, "Unknown", "New Deployment detected, starting initialization."),
    ],
)
def test_promoted_is_flaggers_to_the_letter(phase: Phase, status: str, message: str) -> None:
    assert promoted_condition(phase, KIND) == (status, phase.value, message)


@pytest.mark.fault("Q-56")
def test_a_canary_that_was_kept_up_is_not_said_to_be_scaled_down() -> None:
    assert promoted_condition(Phase.FAILED, KIND, canary_kept_up=True)[2] == "Canary analysis failed, Deployment kept up and serving."


def test_promoted_comes_first_and_has_no_generation() -> None:
    first = follow([], Phase.PROGRESSING, busy=True)[0]
    assert (first.type, first.observed_generation) == ("Promoted", None)


def test_promoted_is_untouched_while_status_and_reason_stand() -> None:
    before = follow([], Phase.PROGRESSING, busy=True)
    assert follow(before, Phase.PROGRESSING, busy=True, now=2000.0, reconciling_message="Else.")[0] == before[0]


def test_the_transition_time_stays_when_only_the_reason_changes() -> None:
    before = follow([], Phase.PROGRESSING, busy=True)
    after = follow(before, Phase.PROMOTING, busy=True, now=2000.0)
    assert (after[0].last_transition_time, after[0].last_update_time) == (timestamp(1000), timestamp(2000))
    done = follow(after, Phase.SUCCEEDED, ready=True, now=3000.0)
    assert done[0].last_transition_time == timestamp(3000)


def test_a_healthy_canary_is_ready_and_nothing_else() -> None:
    conditions = by_type(follow([], Phase.SUCCEEDED, ready=True))
    assert conditions.keys() == {"Promoted", "Ready"}
    assert (conditions["Ready"].status, conditions["Ready"].observed_generation) == ("True", 3)


def test_a_running_release_is_reconciling_and_not_ready() -> None:
    conditions = by_type(follow([], Phase.PROGRESSING, busy=True, ready=True, reconciling_message="Waits for 2 of 3 pods."))
    assert conditions.keys() == {"Promoted", "Ready", "Reconciling"}
    assert (conditions["Ready"].status, conditions["Ready"].message) == ("False", "Waits for 2 of 3 pods.")
    assert conditions["Reconciling"].status == "True"


@pytest.mark.fault("Q-56")
def test_a_failed_release_is_stalled_by_its_cause() -> None:
    conditions = by_type(follow([], Phase.FAILED, cause="Image web:2 is not there."))
    assert conditions.keys() == {"Promoted", "Ready", "Stalled"}
    assert (conditions["Stalled"].reason, conditions["Stalled"].message) == ("Failed", "Image web:2 is not there.")
    assert conditions["Ready"].message == "Image web:2 is not there."
    assert conditions["Promoted"].message == "Canary analysis failed, Deployment scaled to zero."


def test_a_retry_is_reconciling_and_no_longer_stalled() -> None:
    failed = follow([], Phase.FAILED, cause="Bad.")
    assert by_type(follow(failed, Phase.FAILED, busy=True, cause="Bad.")).keys() == {"Promoted", "Ready", "Reconciling"}


@pytest.mark.fault("Q-6")
def test_a_refused_spec_is_stalled_before_any_phase() -> None:
    conditions = by_type(follow([], Phase.NONE, stalled=("InvalidSpec", "spec.provider: kuma is not built yet"), busy=True))
    assert conditions.keys() == {"Ready", "Stalled"}
    assert conditions["Ready"].reason == conditions["Stalled"].reason == "InvalidSpec"


def test_ready_and_reconciling_can_be_switched_off_but_not_stalled() -> None:
    assert by_type(follow([], Phase.PROGRESSING, busy=True, kstatus=False)).keys() == {"Promoted"}
    assert by_type(follow([], Phase.FAILED, kstatus=False)).keys() == {"Promoted", "Stalled"}


def test_conditions_of_others_are_kept() -> None:
    other = Condition(type="Audited", status="True", reason="Yes")
    assert follow([other], Phase.SUCCEEDED, ready=True)[-1] == other


@given(
    phase=st.sampled_from(Phase),
    stalled=st.sampled_from([None, ("A", "a."), ("B", "b.")]),
    busy=st.booleans(),
    ready=st.booleans(),
    cause=st.sampled_from(["", "c."]),
    earlier=st.sampled_from(Phase),
)
def test_asking_twice_changes_nothing(
    phase: Phase, stalled: tuple[str, str] | None, busy: bool, ready: bool, cause: str, earlier: Phase
) -> None:
    before = follow(follow([], earlier), phase, stalled=stalled, busy=busy, ready=ready, cause=cause, now=2000.0)
    assert follow(before, phase, stalled=stalled, busy=busy, ready=ready, cause=cause, now=3000.0) == before
    found = by_type(before)
    assert not ("Reconciling" in found and "Stalled" in found)
    assert not (found["Ready"].status == "True" and len(found.keys() & {"Reconciling", "Stalled"}))
