"""Images are looked at before the first pod: a certain no under Fail ends the release with none made, a doubt never stops it."""

from __future__ import annotations

import pytest

from flaggerpy.api.images import ImageAnswer
from flaggerpy.api.status import Phase
from flaggerpy.model.workloads import MISSING_IMAGE, NEVER_READY
from flaggerpy.model.world import World
from flaggerpy.rollout import effects as fx
from flaggerpy.rollout.causes.table import TABLE
from flaggerpy.rollout.imagecheck import PATIENCE, explained

IMAGE = "r/app:v2"
MISSING = (ImageAnswer(IMAGE, "missing", "image-missing", "it answers 404 (MANIFEST_UNKNOWN)", "app"),)
DOUBT = (ImageAnswer(IMAGE, "doubt", "pull-server-error", "503", "app"),)
NOT_ASKED = (ImageAnswer(IMAGE, "unchecked", "image-denied", "the pull secrets may not be read", "app"),)
NEVER = (ImageAnswer(IMAGE, "unchecked", "", "imagePullPolicy Never: it is never pulled", "app"),)


def world(mode: str | None = None, answers: tuple[ImageAnswer, ...] | None = None) -> World:
    """An initialised Canary whose target has just been changed to v2."""
    made = World(podHealth={"imageCheck": mode} if mode else None).initialised()
    if answers is not None:
        made.images["v2"] = answers
    assert made.target is not None
    made.target.template = "v2"
    made.events.clear()
    made.alerts.clear()
    return made


def told(played: World, text: str) -> list[tuple[str, str]]:
    return [event for event in played.events if text in event[1]]


def test_a_certain_no_under_fail_ends_the_release_before_a_pod_is_made() -> None:
    played = world("Fail", MISSING)
    assert played.target is not None
    before = played.target.counter
    seconds = played.settle(lambda w: w.is_in(Phase.FAILED))
    assert played.target.counter == before
    assert seconds <= 2
    cause = f"image {IMAGE} of container app does not exist (it answers 404 (MANIFEST_UNKNOWN))"
    assert cause in played.typed.history[0].cause
    assert cause in next(each.message for each in played.typed.conditions if each.type == "Stalled")
    assert told(played, cause)
    assert any(severity == "error" and cause in message for severity, message in played.alerts)


def test_a_certain_no_by_default_is_told_and_the_kubelet_decides() -> None:
    played = world(None, MISSING)
    played.behaviour["v2"] = MISSING_IMAGE
    played.settle(lambda w: w.is_in(Phase.PROGRESSING))
    played.settle(lambda w: bool(told(w, "does not exist")))
    assert told(played, "Image check of app.test: image")[0][0] == "Warning"
    played.settle(lambda w: w.is_in(Phase.FAILED))
    assert "Image check" not in played.typed.history[0].cause


@pytest.mark.parametrize("mode", ["Off", "Warn", "Fail"])
@pytest.mark.parametrize("answers", [None, DOUBT, NOT_ASKED, NEVER, ()])
def test_nothing_but_a_certain_no_changes_the_release(mode: str, answers: tuple[ImageAnswer, ...] | None) -> None:
    played = world(mode, answers)
    played.settle(lambda w: w.is_in(Phase.SUCCEEDED))
    assert played.typed.history[0].outcome == "Succeeded"


@pytest.mark.parametrize(
    ("answers", "words"), [(DOUBT, "failed on image"), (NOT_ASKED, "was not checked (the pull secrets may not be read)")]
)
def test_who_asks_for_the_check_hears_that_it_could_not_be_made(answers: tuple[ImageAnswer, ...], words: str) -> None:
    played = world("Fail", answers)
    played.settle(lambda w: w.is_in(Phase.SUCCEEDED))
    assert [type for type, message in told(played, "Image check of app.test cannot tell") if words in message] == ["Normal"]


@pytest.mark.parametrize(("mode", "answers"), [("Warn", DOUBT), ("Warn", NOT_ASKED), ("Fail", NEVER), ("Fail", None), ("Off", MISSING)])
def test_what_is_no_news_is_not_told(mode: str, answers: tuple[ImageAnswer, ...] | None) -> None:
    played = world(mode, answers)
    played.settle(lambda w: w.is_in(Phase.SUCCEEDED))
    assert not told(played, "mage check")


@pytest.mark.parametrize("mode", ["Warn", "Off"])
def test_nothing_waits_for_an_answer_unless_it_may_fail(mode: str) -> None:
    played = world(mode)
    played.registry_answers = False
    decision = played.look()
    assert (fx.CheckImages in {type(effect) for effect in decision.effects}) is (mode == "Warn")
    assert any(isinstance(effect, fx.ScaleTarget) for effect in decision.effects)


def test_a_good_image_is_scaled_up_as_soon_as_it_is_known() -> None:
    played = world("Fail")
    first = played.look()
    assert not any(isinstance(effect, fx.ScaleTarget) for effect in first.effects)
    assert "podHealth.imageCheck" in first.status.progress.waiting_for if first.status.progress else False
    assert any(isinstance(effect, fx.ScaleTarget) for effect in played.look().effects)


def test_an_answer_that_never_comes_is_not_waited_for_longer_than_the_patience() -> None:
    played = world("Fail")
    played.registry_answers = False
    played.settle(lambda w: w.is_in(Phase.PROGRESSING))
    seconds = played.settle(lambda w: w.target is not None and w.target.replicas > 0)
    assert PATIENCE <= seconds <= PATIENCE + 1
    assert told(played, f"gave no answer within {PATIENCE:g}s")
    played.settle(lambda w: w.is_in(Phase.SUCCEEDED))


def test_a_run_is_asked_about_once_and_a_retry_anew() -> None:
    played = world("Fail", MISSING)
    played.settle(lambda w: w.is_in(Phase.FAILED))
    first = set(played.image_answers)
    assert len(first) == 1
    del played.images["v2"]
    played.commands["retry"] = "*"
    played.settle(lambda w: w.is_in(Phase.SUCCEEDED))
    assert len(played.image_answers) == 2


def test_a_controller_that_died_before_the_answer_asks_again_and_does_not_scale_up_without_it() -> None:
    played = world("Fail", MISSING)
    played.settle(lambda w: w.is_in(Phase.PROGRESSING))
    played.image_answers.clear()
    played.settle(lambda w: w.is_in(Phase.FAILED))
    assert "does not exist" in played.typed.history[0].cause


def test_a_check_that_is_switched_on_in_the_middle_of_a_run_asks_nothing_of_pods_that_ran() -> None:
    played = world("Off", MISSING)
    played.settle(lambda w: w.typed.canary_weight > 0)
    played.spec["podHealth"] = {"imageCheck": "Fail"}
    played.settle(lambda w: w.is_in(Phase.SUCCEEDED))
    assert not played.image_answers


def test_a_newer_revision_is_asked_about_for_itself() -> None:
    played = world("Fail", MISSING)
    played.registry_answers = False
    played.settle(lambda w: w.is_in(Phase.PROGRESSING))
    assert played.target is not None
    played.target.template = "v3"
    played.registry_answers = True
    played.settle(lambda w: w.is_in(Phase.SUCCEEDED))
    assert played.typed.history[1].outcome == "Superseded"


def test_a_promotion_by_force_does_not_waive_it() -> None:
    played = world("Fail", MISSING)
    played.commands["promote"] = "*"
    played.settle(lambda w: w.is_in(Phase.FAILED))


CAUSES = [cause.id for cause in TABLE if cause.id.startswith(("image-", "pull-")) and cause.id != "pull-secret-missing"]


@pytest.mark.parametrize("cause", CAUSES)
@pytest.mark.parametrize("container", ["app", ""])
def test_every_cause_reads_as_a_sentence_with_and_without_a_container(cause: str, container: str) -> None:
    said = explained(ImageAnswer(IMAGE, "doubt", cause, "what was said", container), namespace="shop")
    text = f"{said.text} {said.advice} {said.command}"
    assert "(what was said)" in said.what
    assert "  " not in text
    assert " ," not in text
    assert ("container app" in text) is bool(container)
    assert said.command == f"flaggerpy check-image {IMAGE} -n shop"


def test_a_registry_that_never_answers_is_given_up_in_time_whether_or_not_it_holds_the_canary() -> None:
    played = world()
    played.behaviour["v2"] = NEVER_READY
    played.registry_answers = False
    played.settle(lambda w: w.is_in(Phase.PROGRESSING) and w.typed.run is not None and w.typed.run.progressing_at is not None)
    run = played.typed.run
    assert run is not None
    assert played.look().wake == (run.progressing_at or 0.0) + PATIENCE
