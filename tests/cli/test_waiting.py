"""The verdict of `wait`: every end, and the moments in which a hasty look would be wrong."""

from __future__ import annotations

from typing import Any

import pytest

from flaggerpy.cli.problems import Exit
from flaggerpy.cli.views import canary_view
from flaggerpy.cli.waiting import Ended, Pending, Target, Wanted, has_image, judge, target_of
from tests.cli.objects import NOW, Obj, at, canary, deployment, ended, replica_set, run

V1, V2, V3 = "reg/podinfo:1.0.1", "reg/podinfo:1.0.2", "reg/podinfo:1.0.3"
OLD = ended("r1", V1, "Succeeded", started=-5000, end=-4000)


def look(obj: Obj, wanted: Wanted, *, image: str = V2, revision: str = "r2", seen: bool = False, **more: Any) -> Pending | Ended:
    return judge(canary_view(obj, NOW), Target((image,), revision, **more), wanted, since=NOW, seen_before=seen)


def code(verdict: Pending | Ended) -> Exit | None:
    return verdict.code if isinstance(verdict, Ended) else None


def test_a_release_under_way_is_waited_for_with_its_own_sentence() -> None:
    obj = canary("Progressing", run=run("r2", V2), progress={"waitingFor": "the analysis of step 1"}, history=[OLD])
    assert look(obj, Wanted(image=V2)) == Pending("the analysis of step 1")


def test_promoted_is_0_and_names_revision_and_image() -> None:
    obj = canary("Succeeded", history=[OLD, ended("r2", V2, "Succeeded", started=-60, end=-1)])
    verdict = look(obj, Wanted(image=V2))
    assert verdict == Ended(Exit.OK, "podinfo revision r2 (podinfo:1.0.2) was promoted.")


@pytest.mark.parametrize("outcome", ["Failed", "Aborted"])
def test_failed_and_aborted_are_1_and_name_the_cause(outcome: str) -> None:
    obj = canary("Failed", history=[OLD, ended("r2", V2, outcome, started=-60, end=-1, cause="success rate 83 % < 99 %")])
    verdict = look(obj, Wanted(image=V2))
    assert code(verdict) == Exit.FAILED
    assert verdict.sentence == f"podinfo revision r2 (podinfo:1.0.2) ended {outcome}: success rate 83 % < 99 %"


def test_the_end_of_the_release_before_is_not_taken_for_ours() -> None:
    """The target has the new image, the controller has not looked yet, and the Canary still says Succeeded."""
    obj = canary("Succeeded", history=[OLD], lastPromotedSpec="r1")
    assert code(look(obj, Wanted(image=V2))) is None
    assert code(look(obj, Wanted(revision="r2"))) is None
    assert code(look(obj, Wanted())) is None


def test_the_same_image_with_another_template_is_another_release() -> None:
    """Only a variable was changed: image and history agree, the revision does not."""
    obj = canary("Succeeded", history=[ended("r2", V2, "Succeeded", started=-60, end=-1)], lastPromotedSpec="r2")
    assert code(look(obj, Wanted(image=V2), revision="r3")) is None


def test_a_failed_release_that_runs_again_is_not_failed_yet() -> None:
    history = [ended("r2", V2, "Failed", started=-60, end=-1, cause="crashed")]
    assert code(look(canary("Progressing", run=run("r2", V2, attempt=2), history=history), Wanted(image=V2))) is None


def test_a_rollback_under_way_is_said_but_not_the_end() -> None:
    obj = canary("Progressing", run=run("r2", V2, verdict="crashed three times"), progress={"waitingFor": "the drain"})
    assert look(obj, Wanted(image=V2)) == Pending("the drain (it is being rolled back: crashed three times)")


def test_while_another_revision_runs_ours_is_still_to_be_taken_up() -> None:
    obj = canary("Progressing", run=run("r1", V1))
    assert look(obj, Wanted(image=V2)) == Pending("the controller to take up image reg/podinfo:1.0.2; it is Progressing with podinfo:1.0.1")
    assert look(canary(""), Wanted(image=V2)) == Pending(
        "the controller to take up image reg/podinfo:1.0.2; none has looked at this Canary yet"
    )


def test_an_image_that_is_not_applied_yet_is_waited_for() -> None:
    verdict = look(canary("Succeeded", history=[OLD]), Wanted(image=V3))
    assert verdict == Pending("image reg/podinfo:1.0.3 to be applied: Deployment podinfo has podinfo:1.0.2")


def test_an_older_release_of_the_same_image_is_no_answer_before_it_is_applied_again() -> None:
    history = [ended("r3", V3, "Succeeded", started=-9000, end=-8000), ended("r2", V2, "Succeeded", started=-60, end=-10)]
    verdict = look(canary("Succeeded", history=history), Wanted(image=V3))
    assert verdict == Pending(
        "image reg/podinfo:1.0.3 to be applied: Deployment podinfo has podinfo:1.0.2 "
        "(image reg/podinfo:1.0.3 ended Succeeded before this wait began)"
    )


def test_a_target_that_moves_on_supersedes() -> None:
    assert code(look(canary("Progressing", run=run("r2", V2)), Wanted(image=V2), image=V3, revision="r3")) == Exit.SUPERSEDED
    assert code(look(canary("Succeeded"), Wanted(image=V2), image=V3, revision="r3", seen=True)) == Exit.SUPERSEDED
    history = [ended("r2", V2, "Superseded", started=-9, end=1)]
    next_one = canary("Progressing", run=run("r3", V3), history=history)
    assert code(look(next_one, Wanted(image=V2), image=V3, revision="r3")) == Exit.SUPERSEDED


def test_a_wait_that_begins_late_still_learns_that_it_was_overtaken() -> None:
    history = [ended("r2", V2, "Superseded", started=-9, end=-2), OLD]
    overtaking = canary("Progressing", run=run("r3", V3), history=history)
    assert code(look(overtaking, Wanted(image=V2), image=V3, revision="r3")) == Exit.SUPERSEDED
    long_ago = canary("Succeeded", history=[ended("r3", V3, "Succeeded", started=-2, end=-1), *history])
    assert code(look(long_ago, Wanted(image=V2), image=V3, revision="r3")) is None


def test_a_promotion_under_way_is_finished_though_the_target_moved() -> None:
    assert code(look(canary("Promoting", run=run("r2", V2)), Wanted(image=V2), image=V3, revision="r3")) is None


def test_a_verdict_reached_during_the_wait_stands_though_the_target_moved_since() -> None:
    history = [ended("r2", V2, "Failed", started=1, end=2, cause="crashed")]
    assert code(look(canary("Failed", history=history), Wanted(image=V2), image=V1, revision="r1")) == Exit.FAILED


def test_a_superseded_revision_that_is_put_back_runs_again() -> None:
    history = [ended("r2", V2, "Superseded", started=-9, end=-1)]
    assert code(look(canary("Failed", history=history), Wanted(image=V2))) is None


def test_putting_the_target_back_to_what_the_primary_runs_is_done_at_once() -> None:
    obj = canary("Failed", lastPromotedSpec="r1", history=[OLD, ended("r2", V2, "Failed", started=-60, end=-1)])
    verdict = look(obj, Wanted(image=V1), image=V1, revision="r1")
    assert verdict == Ended(Exit.OK, "The primary of podinfo already runs image reg/podinfo:1.0.1.")


def test_a_canary_taken_over_from_flagger_counts_by_images_and_times() -> None:
    obj = canary("Succeeded", lastPromotedSpec="5d8f8f6cd9", lastTransitionTime=at(-100))
    assert code(look(obj, Wanted(image=V2), revision_created=NOW - 500, primary_images=(V2,))) == Exit.OK
    assert code(look(obj, Wanted(image=V2), revision_created=NOW - 50, primary_images=(V2,))) is None
    assert code(look(obj, Wanted(image=V2), revision_created=NOW - 500, primary_images=(V1,))) is None


def test_another_goal_than_success() -> None:
    gate = canary("WaitingPromotion", run=run("r2", V2), progress={"waitingFor": "the gate ask-ops"})
    assert code(look(gate, Wanted(image=V2, phase="WaitingPromotion"))) == Exit.OK
    assert code(look(gate, Wanted(image=V2, phase="Promoting"))) is None
    failed = canary("Failed", history=[ended("r2", V2, "Failed", started=-60, end=-1, cause="x")])
    assert code(look(failed, Wanted(image=V2, phase="Failed"))) == Exit.OK
    assert code(look(failed, Wanted(image=V2, phase="Promoting"))) == Exit.FAILED
    done = canary("Succeeded", history=[ended("r2", V2, "Succeeded", started=-60, end=-1)])
    assert code(look(done, Wanted(image=V2, phase="WaitingPromotion"))) == Exit.FAILED


def test_the_first_release_is_a_success() -> None:
    obj = canary("Initialized", history=[ended("r2", V2, "Initialized", started=-60, end=-1)])
    assert code(look(obj, Wanted(image=V2))) == Exit.OK


def test_the_configs_part_of_a_revision_is_the_controllers_own() -> None:
    """A target with tracked ConfigMaps has revisions such as r2-1f3c9a07; a ReplicaSet only tells r2."""
    obj = canary("Succeeded", history=[ended("r2-1f3c9a07", V2, "Succeeded", started=-60, end=-1)], lastPromotedSpec="r2-1f3c9a07")
    for wanted in (Wanted(image=V2), Wanted(revision="r2"), Wanted(revision="r2-1f3c9a07"), Wanted()):
        assert code(look(obj, wanted)) == Exit.OK
    assert code(look(obj, Wanted(revision="r3"))) is None
    running = canary("Progressing", run=run("r2-1f3c9a07", V2), progress={"waitingFor": "step 1"})
    assert look(running, Wanted()) == Pending("step 1")


def test_images_match_by_their_end_at_a_border() -> None:
    assert has_image([V2], V2)
    assert has_image([V2], "podinfo:1.0.2")
    assert has_image([V2], ":1.0.2")
    assert not has_image([V2], "info:1.0.2")
    assert not has_image([V2], "1.0.2")
    assert not has_image([V2], "podinfo:1.0")


def test_the_revision_is_read_from_the_current_replica_set_of_the_target() -> None:
    sets = [replica_set("r1", number="1"), replica_set("r2", number="2", created=-30), replica_set("rx", number="2", owner="somebody")]
    target = target_of(deployment("podinfo", V2), sets, deployment("podinfo-primary", V1))
    assert target == Target((V2,), "r2", NOW - 30, (V1,))


def daemonset(image: str, *, observed: int = 3) -> Obj:
    return {**deployment("podinfo", image, observed=observed), "kind": "DaemonSet"}


def test_the_revision_of_a_daemonset_is_that_of_its_template_scaled_to_zero_or_not() -> None:
    of = daemonset(V2)
    scaled = daemonset(V2)
    scaled["spec"]["template"]["spec"]["nodeSelector"] = {"flagger.app/scale-to-zero": "true"}
    zero = scaled["spec"]["template"]
    held = [
        {
            "metadata": {"creationTimestamp": at(created), "ownerReferences": [{"uid": "d-podinfo", "controller": True}]},
            "data": {"spec": {"template": template}},
        }
        for created, template in ((-50, daemonset(V1)["spec"]["template"]), (-30, zero), (-20, of["spec"]["template"]))
    ]
    found = target_of(of, held)
    assert (found.images, found.revision_created) == ((V2,), NOW - 30)
    assert found.revision == target_of(scaled, held).revision != target_of(daemonset(V1), held).revision
    assert target_of(of).revision_created == float("inf")
    assert target_of(daemonset(V2, observed=2), held).revision == ""


def test_the_revision_is_unknown_until_the_deployment_controller_has_looked() -> None:
    assert target_of(deployment("podinfo", V2, generation=4, observed=3), [replica_set("r1")]).revision == ""
