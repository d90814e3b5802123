"""The status patch: only what differs, and what of it may be sent a moment later."""

from __future__ import annotations

from typing import Any

import pytest

from flaggerpy.api.status import CanaryStatus, Condition, DeadlineState, FailureState, Phase, Progress, RunState
from flaggerpy.controller.status import may_wait, status_patch

BEFORE = CanaryStatus(
    phase=Phase.PROGRESSING,
    canary_weight=10,
    progress=Progress(waiting_for="1 of 2 pods"),
    conditions=[
        Condition(type="Promoted", status="Unknown", reason="Progressing", message="New revision detected."),
        Condition(type="Reconciling", status="True", reason="Progressing", message="1 of 2 pods"),
    ],
)
Obj = dict[str, Any]
OBJ: Obj = {"metadata": {"name": "podinfo", "namespace": "shop", "resourceVersion": "7"}, "status": BEFORE.to_obj()}


def condition(type_: str, **fields: Any) -> CanaryStatus:
    """BEFORE with one condition changed, and other words about the wait."""
    told = [one.model_copy(update=fields) if one.type == type_ else one for one in BEFORE.conditions]
    return BEFORE.model_copy(update={"conditions": told, "progress": Progress(waiting_for="a gate")})


def later(status: CanaryStatus, before: CanaryStatus = BEFORE) -> bool:
    """Whether the change from `before` may wait."""
    obj = {**OBJ, "status": before.to_obj()}
    patch = status_patch(obj, status)
    assert patch is not None
    return may_wait(obj, patch)


def test_other_words_about_the_wait_may_wait() -> None:
    assert later(condition("Reconciling", message="a gate"))
    assert later(BEFORE.model_copy(update={"progress": None}))


@pytest.mark.parametrize(
    "status",
    [
        condition("Reconciling", status="False"),
        condition("Reconciling", reason="Initializing"),
        condition("Promoted", message="Canary failed"),
        condition("Reconciling", message="a gate").model_copy(update={"canary_weight": 20}),
        condition("Reconciling", message="a gate").model_copy(update={"conditions": []}),
    ],
)
def test_what_another_program_may_act_upon_is_written_at_once(status: CanaryStatus) -> None:
    assert not later(status)


def test_a_status_that_does_not_differ_is_no_change_at_all() -> None:
    assert status_patch(OBJ, BEFORE) is None


def test_a_canary_without_a_status_gets_one_at_once() -> None:
    assert not later(BEFORE, CanaryStatus())


RUN = RunState(id="7", revision="a1", started_at=1.0, deadline=DeadlineState(max_available=0, max_desired=2, advanced_at=1.0))
SOUND = FailureState(pod="podinfo-a1-1", container="app", kind="crash", reason="", first_seen=2.0)


OTHER = SOUND.model_copy(update={"pod": "podinfo-a1-2"})


def running(**fields: Any) -> CanaryStatus:
    return BEFORE.model_copy(update={"run": RUN.model_copy(update=fields)})


@pytest.mark.parametrize(
    "fields",
    [
        {"deadline": DeadlineState(max_available=1, max_desired=2, advanced_at=5.0)},
        {"failures": [SOUND], "deadline": None},
        {"failures": [SOUND], "primary_deadline": RUN.deadline},
    ],
)
def test_what_is_remembered_of_pods_that_do_not_fail_may_wait(fields: Obj) -> None:
    assert later(running(**fields), running(failures=[SOUND, OTHER]))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"drain_since": 5.0}),
        ({}, {"deadline": None, "settled": True}),
        ({}, {"failures": [SOUND]}),
        ({"failures": [SOUND]}, {"failures": [SOUND, OTHER]}),
        ({"failures": [SOUND]}, {"failures": [SOUND.model_copy(update={"reason": "Error"})]}),
        ({}, {"failures": [SOUND.model_copy(update={"kind": "certain", "reason": "ErrImagePull"})]}),
        ({"failures": [SOUND.model_copy(update={"kind": "certain", "reason": "ErrImagePull"})]}, {"failures": [SOUND]}),
    ],
)
def test_what_a_release_goes_by_is_written_at_once(before: Obj, after: Obj) -> None:
    assert not later(running(**after), running(**before))


def test_a_run_that_begins_or_ends_is_written_at_once() -> None:
    assert not later(running(), BEFORE)
    assert not later(BEFORE, running())
