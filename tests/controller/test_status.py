"""The status patch: only what differs, and what of it are mere words."""

from __future__ import annotations

from typing import Any

import pytest

from flaggerpy.api.status import CanaryStatus, Condition, Phase, Progress
from flaggerpy.controller.status import only_words, status_patch

BEFORE = CanaryStatus(
    phase=Phase.PROGRESSING,
    canary_weight=10,
    progress=Progress(waiting_for="1 of 2 pods"),
    conditions=[
        Condition(type="Promoted", status="Unknown", reason="Progressing", message="New revision detected."),
        Condition(type="Reconciling", status="True", reason="Progressing", message="1 of 2 pods"),
    ],
)
OBJ: dict[str, Any] = {"metadata": {"name": "podinfo", "namespace": "shop", "resourceVersion": "7"}, "status": BEFORE.to_obj()}


def condition(type_: str, **fields: Any) -> CanaryStatus:
    """BEFORE with one condition changed, and other words about the wait."""
    told = [one.model_copy(update=fields) if one.type == type_ else one for one in BEFORE.conditions]
    return BEFORE.model_copy(update={"conditions": told, "progress": Progress(waiting_for="a gate")})


def test_other_words_about_the_wait_are_only_words() -> None:
    assert only_words(OBJ, condition("Reconciling", message="a gate"))
    assert only_words(OBJ, BEFORE.model_copy(update={"progress": None}))


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
def test_what_another_program_may_act_upon_is_more_than_words(status: CanaryStatus) -> None:
    assert not only_words(OBJ, status)


def test_a_status_that_does_not_differ_is_no_change_at_all() -> None:
    assert status_patch(OBJ, BEFORE) is None
    assert not only_words(OBJ, BEFORE)


def test_a_canary_without_a_status_gets_one_at_once() -> None:
    assert not only_words({"metadata": OBJ["metadata"]}, BEFORE)
