"""What Argo CD and Flux make of a Canary in every state that the core writes, by their own code: docs/gitops.md. No cluster is needed."""

from __future__ import annotations

import copy

import pytest

from e2e.gitops.judges import Obj, Verdict, act, actions, health, kstatus, settings
from e2e.gitops.statuses import recorded
from flaggerpy.api.crds import canary_crd
from flaggerpy.api.status import IDLE, Phase
from flaggerpy.controller.patches import merge_diff

ALIKE = {"Healthy": {"Current"}, "Degraded": {"Failed"}, "Progressing": {"InProgress", "Terminating"}, "Suspended": {"InProgress"}}
ON_GOING = {Phase.PROGRESSING, Phase.WAITING, Phase.WAITING_PROMOTION}


@pytest.fixture(scope="module")
def canaries() -> list[Obj]:
    found = recorded()
    assert {Phase(each["status"].get("phase", "")) for each in found} >= set(Phase) - {Phase.NONE, Phase.TERMINATED}
    return found


def told(canary: Obj, type_: str) -> Obj:
    conditions: list[Obj] = canary["status"].get("conditions") or []
    return next((each for each in conditions if each["type"] == type_), {})


def held(canary: Obj) -> bool:
    """Whether a person holds a release: by suspending the Canary, or by a pause, for which it is too late once it is promoted."""
    phase = Phase(canary["status"].get("phase", ""))
    paused = "flagger.app/pause" in canary["metadata"]["annotations"] and phase in ON_GOING
    return paused or (canary["spec"].get("suspend", False) and phase not in IDLE)


def in_words(canary: Obj, *verdicts: Verdict) -> str:
    conditions = [(each["type"], each["status"]) for each in canary["status"].get("conditions", ())]
    return f"{canary['status'].get('phase')} {conditions} held={held(canary)}: {verdicts}"


def test_both_tools_judge_every_state_alike(canaries: list[Obj]) -> None:
    for canary, argo, flux in zip(canaries, health(canaries, settings()), kstatus(canaries), strict=True):
        assert flux.status in ALIKE[argo.status], in_words(canary, argo, flux)


def test_health_follows_the_release_and_says_why(canaries: list[Obj]) -> None:
    for canary, argo in zip(canaries, health(canaries, settings()), strict=True):
        phase, seen = Phase(canary["status"].get("phase", "")), in_words(canary, argo)
        if "deletionTimestamp" in canary["metadata"]:
            assert argo.status == "Progressing", seen
        elif told(canary, "Stalled"):
            assert argo.status == "Degraded", seen
            assert argo.message.startswith(told(canary, "Stalled")["message"]), seen
        elif phase in (Phase.WAITING, Phase.WAITING_PROMOTION) or held(canary):
            assert argo.status == "Suspended", seen
        elif told(canary, "Reconciling"):
            assert argo.status == "Progressing", seen
            assert argo.message.startswith(told(canary, "Reconciling")["message"]), seen
        else:
            assert (argo.status, phase in (Phase.INITIALIZED, Phase.SUCCEEDED)) == ("Healthy", True), seen
        if canary["status"].get("canaryWeight") and argo.status != "Healthy" and "deletionTimestamp" not in canary["metadata"]:
            assert argo.message.endswith(f"(canary weight {canary['status']['canaryWeight']} %)"), seen


def test_argo_cd_as_it_comes_understands_what_is_written_too(canaries: list[Obj]) -> None:
    """Without our settings it goes by the phase alone; what it must never do is fail, or call a failed release healthy."""
    for canary, argo in zip(canaries, health(canaries, {}), strict=True):
        if canary["status"].get("phase") == Phase.FAILED and "deletionTimestamp" not in canary["metadata"]:
            assert argo.status == "Degraded", in_words(canary, argo)


def test_without_ready_and_reconciling_only_what_needs_a_person_is_waited_for(canaries: list[Obj]) -> None:
    """-kstatus-conditions=false."""
    bare = copy.deepcopy([each for each in canaries if "deletionTimestamp" not in each["metadata"]])
    for canary in bare:
        canary["status"]["conditions"] = [each for each in canary["status"]["conditions"] if each["type"] not in ("Ready", "Reconciling")]
    for canary, argo, flux in zip(bare, health(bare, settings()), kstatus(bare), strict=True):
        seen = in_words(canary, argo, flux)
        assert flux.status == ("Failed" if told(canary, "Stalled") else "Current"), seen
        phase = Phase(canary["status"].get("phase", ""))
        if told(canary, "Stalled") or phase is Phase.FAILED:
            assert argo.status == "Degraded", seen
        elif phase in (Phase.INITIALIZED, Phase.SUCCEEDED):
            assert argo.status == "Healthy", seen
        else:
            assert argo.status in ("Progressing", "Suspended"), seen


def test_a_change_that_was_not_seen_yet_is_waited_for(canaries: list[Obj]) -> None:
    changed = copy.deepcopy([each for each in canaries if "deletionTimestamp" not in each["metadata"] and each["status"].get("phase")])
    for canary in changed:
        canary["metadata"]["generation"] += 1
    for canary, argo, flux in zip(changed, health(changed, settings()), kstatus(changed), strict=True):
        assert (argo.status, flux.status) == ("Progressing", "InProgress"), in_words(canary, argo, flux)


def test_a_new_canary_is_waited_for() -> None:
    new = {"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "metadata": {"name": "app", "generation": 1}, "spec": {}}
    assert health([new], settings()) == [Verdict("Progressing", "Waiting for flaggerpy")]
    new["status"] = canary_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["default"]
    assert health([new], settings()) == [Verdict("Progressing", "Waiting for flaggerpy")]
    assert kstatus([new])[0].status == "InProgress"
    refused = {"type": "Stalled", "status": "True", "reason": "Refused", "message": "spec.x: no"}
    new["status"] = {"observedGeneration": 1, "conditions": [refused]}
    assert health([new], settings()) == [Verdict("Degraded", "spec.x: no")]
    assert actions([new], settings()) == [dict.fromkeys(("promote", "abort", "skip", "retry", "pause", "resume"), False)]


def test_buttons_can_be_pressed_when_they_make_sense(canaries: list[Obj]) -> None:
    for canary, buttons in zip(canaries, actions(canaries, settings()), strict=True):
        phase, seen = Phase(canary["status"].get("phase", "")), f"{in_words(canary)} {buttons}"
        assert set(buttons) == {"promote", "abort", "skip", "retry", "pause", "resume"}, seen
        free = not canary["spec"].get("suspend")
        paused = "flagger.app/pause" in canary["metadata"]["annotations"]
        assert buttons["promote"] == buttons["abort"] == (phase in ON_GOING and free), seen
        assert buttons["skip"] == (phase in ON_GOING and free and not paused), seen
        assert buttons["retry"] == (phase is Phase.FAILED and free), seen
        assert buttons["resume"] == paused, seen
        assert buttons["pause"] == (not paused and phase not in (Phase.PROMOTING, Phase.FINALISING, Phase.TERMINATING)), seen


@pytest.mark.parametrize("verb", ["promote", "abort", "skip", "retry", "pause"])
def test_a_button_sets_one_annotation_and_nothing_else(canaries: list[Obj], verb: str) -> None:
    free = [canary for canary, buttons in zip(canaries, actions(canaries, settings()), strict=True) if buttons[verb]]
    assert free
    for canary, pressed in zip(free, act(verb, free, settings()), strict=True):
        run, status = canary["status"].get("run") or {}, canary["status"]
        revision = run.get("revision") or status.get("lastAppliedSpec") or "*"
        if verb == "skip":
            revision += f"@{status.get('iterations') or status.get('canaryWeight') or 0}"
        if verb == "pause" and status.get("phase") in ("Initialized", "Succeeded", "Failed"):
            revision = "*"
        change = merge_diff(canary, pressed)
        assert change == {"metadata": {"annotations": {f"flagger.app/{verb}": revision}}}, in_words(canary)


def test_resume_takes_the_pause_off_and_leaves_the_rest(canaries: list[Obj]) -> None:
    bare, other = copy.deepcopy(canaries[:2])
    bare["metadata"]["annotations"] = {"flagger.app/pause": "*"}
    other["metadata"]["annotations"] = {"flagger.app/pause": "*", "team": "shop"}
    changes = [merge_diff(before, after) for before, after in zip((bare, other), act("resume", (bare, other), settings()), strict=True)]
    assert changes == [{"metadata": {"annotations": None}}, {"metadata": {"annotations": {"flagger.app/pause": None}}}]
