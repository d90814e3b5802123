"""Commands of a person, played against the model world: what they do, what they never do, and that repeating them does nothing more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import chain, repeat
from typing import Any

import pytest

from flaggerpy.api.commanding import REPEATED, unfit
from flaggerpy.api.status import Phase
from flaggerpy.model.workloads import GOOD, MISSING_IMAGE, Behaviour
from flaggerpy.model.world import START, Killed, World, ended, in_phase, weights_of
from flaggerpy.rollout import effects as fx
from flaggerpy.rollout.decide import decide
from flaggerpy.rollout.decision import Decision
from flaggerpy.rollout.facts import UNKNOWN, Giver, Measurement, Split, WorkloadFacts

METRIC = {"name": "m", "thresholdRange": {"min": 99}}


def analysis(**more: Any) -> dict[str, Any]:
    return {"interval": "60s", "threshold": 2, "stepWeight": 20, "maxWeight": 60, "metrics": [METRIC], **more}


def hook(name: str, kind: str) -> dict[str, Any]:
    return {"name": name, "type": kind, "url": f"http://{name}/"}


def world(**spec: Any) -> World:
    return World(**{"analysis": analysis(), **spec}).initialised()


def at_weight(weight: int, **spec: Any) -> World:
    made = world(**spec)
    made.release("v2")
    made.settle(lambda w: w.route == Split(weight) and w.typed.run is not None and w.typed.run.analysed_at is not None)
    return made


def give(w: World, command: str, value: str = "*", by: str = "kubectl-annotate", at: float | None = None) -> None:
    w.commands[command] = value
    w.givers[command] = Giver(by, w.now if at is None else at)


def said(w: World, part: str) -> int:
    return sum(part in text for text in w.texts())


def orders_of(w: World) -> list[tuple[str, str, str]]:
    return [(order.command, order.by, order.detail) for order in w.typed.history[0].orders]


# --- skip ------------------------------------------------------------------------------------------------------------------------------


def test_a_skip_takes_the_next_step_at_once_but_not_without_its_checks() -> None:
    w = at_weight(20)
    measured: list[float] = []

    def measure(at: float) -> Measurement:
        measured.append(at)
        return Measurement("value", 100.0, at=at)

    w.metrics["m"] = measure
    give(w, "skip", "v2@20")
    assert w.settle(lambda w: w.route == Split(40)) <= 1
    assert len(measured) == 1
    assert w.commands == {}
    # only this one step: the next has its whole interval again
    assert w.settle(lambda w: w.route == Split(60)) >= 60
    w.settle(ended)
    assert orders_of(w) == [("skip", "kubectl-annotate", "at step 20")]
    assert said(w, "Skipped by a person (kubectl-annotate at ") == 1


def test_a_skip_into_a_failed_check_counts_it_and_waits_as_ever() -> None:
    w = at_weight(20)
    w.metrics["m"] = lambda at: Measurement("value", 50.0, text="Halt app.test advancement m 50.00 < 99", at=at)
    give(w, "skip")
    w.run_for(30)
    assert w.route == Split(20)
    assert w.typed.failed_checks == 1


def test_a_skip_is_meant_for_one_step() -> None:
    w = at_weight(40)
    give(w, "skip", "v2@20")
    w.run_for(5)
    assert w.route == Split(40)
    assert said(w, "Refused to skip a step of app.test: asked for step 20, it is at 40") == 1


def test_a_skip_whose_annotation_could_not_be_taken_off_skips_no_second_step() -> None:
    w = at_weight(20)
    give(w, "skip")
    given = dict(w.commands)
    w.look()  # taken up, and the annotation taken off
    w.commands = given  # which did not reach the API server
    w.run_for(5)
    assert w.route == Split(40)
    w.commands = dict(given)
    w.run_for(30)
    assert w.route == Split(40)
    assert said(w, "Skipped by") == 1


def test_a_skip_of_nobody_knows_whom_takes_effect_when_its_annotation_is_off() -> None:
    w = at_weight(20)
    for _ in range(5):
        w.commands = {"skip": "*"}
        w.look()
    assert w.route == Split(20)
    w.run_for(30)
    assert w.route == Split(40)
    assert said(w, "Skipped by a person: the wait at step 20") == 1


@pytest.mark.parametrize("gate", ["confirm-traffic-increase", "confirm-promotion"])
def test_a_skip_passes_a_closed_gate_once(gate: str) -> None:
    w = world(analysis=analysis(interval="10s", webhooks=[hook("gate", gate)]))
    w.hooks["gate"] = lambda _: False
    w.release("v2")
    w.settle(lambda w: any("waiting for" in text for text in w.texts()))
    weight = w.typed.canary_weight
    w.run_for(30)
    assert w.typed.canary_weight == weight
    give(w, "skip")
    if gate == "confirm-promotion":
        w.settle(in_phase(Phase.SUCCEEDED), limit=30)
    else:
        w.settle(lambda w: w.route == Split(weight + 20), limit=3)
        w.run_for(60)
        assert w.route == Split(weight + 20)


def test_a_skip_passes_the_gate_before_the_release() -> None:
    w = world(analysis=analysis(webhooks=[hook("gate", "confirm-rollout")]))
    w.hooks["gate"] = lambda _: False
    w.release("v2")
    w.settle(in_phase(Phase.WAITING))
    give(w, "skip")
    w.settle(lambda w: w.route == Split(20), limit=30)


def test_readiness_and_settling_are_never_skipped() -> None:
    w = world()
    w.release("v2")
    w.settle(in_phase(Phase.PROGRESSING))
    give(w, "skip")
    w.look()
    assert said(w, "pods are not ready and settled, and that is never skipped") == 1
    assert w.route == Split(0)


def test_pods_that_are_ready_and_not_settled_skip_nothing_either() -> None:
    w = world()
    w.release("v2")
    w.settle(lambda w: w.typed.progress is not None and "podHealth.settle" in w.typed.progress.waiting_for)
    give(w, "skip")
    w.look()
    assert said(w, "pods are not ready and settled, and that is never skipped") == 1
    assert w.route == Split(0)


def test_a_paused_run_is_not_skipped() -> None:
    w = at_weight(20)
    w.commands["pause"] = "*"
    give(w, "skip")
    w.run_for(90)
    assert w.route == Split(20)
    assert said(w, "it is paused, first: flaggerpy resume app -n test") == 1


def test_iterations_are_skipped_one_by_one() -> None:
    w = world(analysis={"interval": "60s", "threshold": 2, "iterations": 3})
    w.release("v2")
    w.settle(lambda w: w.typed.iterations == 1)
    give(w, "skip", "v2@1")
    w.settle(lambda w: w.typed.iterations == 2, limit=2)
    w.run_for(30)
    assert w.typed.iterations == 2


# --- rollback-to -----------------------------------------------------------------------------------------------------------------------


def released(*revisions: str, **spec: Any) -> World:
    made = World(**{"analysis": analysis(interval="10s"), **spec}).initialised()
    for revision in revisions:
        made.release(revision)
        made.settle(lambda w, r=revision: w.phase is Phase.SUCCEEDED and w.typed.last_promoted_spec == r)  # type: ignore[misc]
    return made


def test_an_earlier_template_is_released_again_through_an_analysis_of_its_own() -> None:
    w = released("v2", "v3")
    del w.route_writes[:]
    give(w, "rollback-to", "v1", by="flaggerpy-cli as ann")
    w.settle(lambda w: w.phase is Phase.PROGRESSING, limit=5)
    assert w.target is not None
    assert w.target.template == "v1"
    w.settle(ended)
    assert weights_of(w.route_writes) == [20, 40, 60, 0]
    assert (w.typed.last_promoted_spec, w.typed.history[0].outcome) == ("v1", "Succeeded")
    assert orders_of(w) == [("rollback-to", "flaggerpy-cli as ann", "from v3 to v1")]
    assert said(w, "Rolling app.test back from revision v3 to v1, asked by a person (flaggerpy-cli as ann at ") == 1
    assert said(w, "what keeps the target in Git will put its own template back") == 1
    assert w.typed.reverting is None
    assert w.commands == {}


def test_the_last_five_promoted_templates_are_kept() -> None:
    w = released("v2", "v3", "v4", "v5", "v6")
    assert w.typed.promoted_revisions == ["v6", "v5", "v4", "v3", "v2"]
    assert set(w.kept) == {"v6", "v5", "v4", "v3", "v2"}
    give(w, "rollback-to", "v1")
    w.run_for(3)
    assert w.is_in(Phase.SUCCEEDED)
    assert said(w, "Refused to roll app.test back to v1: its template is not kept; there are v5, v4, v3, v2") == 1
    w.release("v7", MISSING_IMAGE)
    w.settle(in_phase(Phase.FAILED))
    assert set(w.kept) == {"v7", "v6", "v5", "v4", "v3", "v2"}


def test_a_release_under_way_gives_way_to_the_earlier_template() -> None:
    w = released("v2")
    w.release("v3")
    w.settle(lambda w: w.route == Split(20))
    give(w, "rollback-to", "v1")
    w.settle(lambda w: w.typed.run is not None and w.typed.run.revision == "v1", limit=5)
    assert w.route == Split(0)
    w.settle(ended)
    assert [entry.outcome for entry in w.typed.history[:2]] == ["Succeeded", "Superseded"]


def test_a_failed_target_gets_the_promoted_template_back_without_a_release() -> None:
    w = released("v2")
    w.release("v3", MISSING_IMAGE)
    w.settle(in_phase(Phase.FAILED))
    give(w, "rollback-to", "v2")
    w.run_for(5)
    assert w.target is not None
    assert (w.target.template, w.phase) == ("v2", Phase.FAILED)
    assert w.typed.reverting is None
    assert w.typed.run is None


def test_a_push_that_comes_in_between_wins_over_the_order() -> None:
    w = released("v2", "v3")
    give(w, "rollback-to", "v1")
    given = dict(w.commands)
    w.look_and_die()
    w.commands = given
    w.release("v4")
    w.settle(ended)
    w.settle(lambda w: w.typed.last_promoted_spec == "v4", limit=120)
    assert said(w, "Refused to roll app.test back to v1: the target was changed to v4 meanwhile") == 1
    assert w.typed.history[0].orders == []


def test_an_order_that_a_dead_controller_left_is_carried_out_once() -> None:
    w = released("v2", "v3")
    give(w, "rollback-to", "v1")
    w.look_and_die()
    assert w.typed.reverting is not None
    w.settle(lambda w: w.typed.last_promoted_spec == "v1", limit=120)
    assert w.commands == {}
    assert len([entry for entry in w.typed.history if entry.revision == "v1"]) == 2


def test_an_order_outlives_a_death_between_its_two_writes() -> None:
    w = released("v2", "v3")
    give(w, "rollback-to", "v1")

    def dies() -> None:
        if w.typed.reverting is not None:
            raise Killed

    w.fault = dies
    with pytest.raises(Killed):
        w.look()
    w.fault = lambda: None
    w.settle(lambda w: w.typed.last_promoted_spec == "v1", limit=120)


def test_an_order_that_was_taken_back_before_it_was_carried_out_is_forgotten() -> None:
    w = released("v2")
    w.release("v3", MISSING_IMAGE)
    w.settle(in_phase(Phase.FAILED))
    give(w, "rollback-to", "v1")
    w.look_and_die()
    w.commands = {}
    w.run_for(5)
    assert w.typed.reverting is None
    assert w.target is not None
    assert w.target.template == "v3"


def test_an_order_that_is_carried_out_already_is_taken_off_and_the_run_begins_at_once() -> None:
    w = released("v2", "v3")
    give(w, "rollback-to", "v1")
    w.look_and_die()
    w.release("v1")  # what the order asks for came about, and its annotation was not taken off
    decision = w.look()
    assert fx.ClearCommand("rollback-to") in decision.effects
    assert decision.status.phase is Phase.PROGRESSING


def test_what_is_not_kept_is_refused_though_nothing_else_is_there() -> None:
    w = world()
    give(w, "rollback-to", "v9")
    w.run_for(3)
    assert said(w, "Refused to roll app.test back to v9: its template is not kept") == 1
    assert said(w, "not kept;") == 0


@pytest.mark.parametrize(
    ("value", "why"),
    [("v3", "the target has this revision"), ("v9", "its template is not kept; there are v2, v1")],
)
def test_there_is_no_way_back_to_what_is_there_or_not_kept(value: str, why: str) -> None:
    w = released("v2", "v3")
    give(w, "rollback-to", value)
    w.run_for(3)
    assert w.texts().count(f"Refused to roll app.test back to {value}: {why}") == 1
    assert (w.commands, w.phase) == ({}, Phase.SUCCEEDED)


def test_a_release_that_is_being_promoted_is_not_rolled_back_over() -> None:
    w = released("v2", "v3")
    w.release("v4")
    w.settle(in_phase(Phase.PROMOTING))
    give(w, "rollback-to", "v1")
    w.settle(ended)
    assert w.typed.last_promoted_spec == "v4"
    assert said(w, "it is Promoting; ask again when that has ended") == 1


# --- all -------------------------------------------------------------------------------------------------------------------------------


def test_who_aborts_is_told_and_recorded() -> None:
    w = at_weight(20)
    give(w, "abort", by="kubectl-annotate", at=START)
    w.settle(in_phase(Phase.FAILED))
    assert w.typed.history[0].cause.startswith("aborted by a person (kubectl-annotate at ")
    assert w.typed.history[0].outcome == "Aborted"
    (order,) = w.typed.history[0].orders
    assert (order.command, order.by, order.at, order.detail) == ("abort", "kubectl-annotate", "2027-01-15T08:00:00Z", "at step 20")


def test_without_a_trace_of_who_it_was_it_is_a_person_now() -> None:
    w = at_weight(20)
    w.commands["promote"] = "*"
    w.settle(ended)
    assert said(w, "Promotion of app.test forced by a person: the analysis is waived") == 1
    (order,) = w.typed.history[0].orders
    assert (order.command, order.by) == ("promote", "")


def test_a_pause_and_its_end_are_told_once_and_recorded() -> None:
    w = at_weight(20)
    give(w, "pause", "v2")
    w.run_for(120)
    assert w.route == Split(20)
    assert said(w, "Advancement of app.test paused by a person (kubectl-annotate at ") == 1
    w.commands = {}
    w.settle(ended)
    assert said(w, "Advancement of app.test resumed") == 1
    assert [order.command for order in w.typed.history[0].orders] == ["pause", "resume"]


def test_a_pause_of_another_revision_holds_nothing() -> None:
    w = at_weight(20)
    w.commands["pause"] = "v1"
    w.settle(lambda w: w.route == Split(40), limit=70)
    assert w.commands == {}
    assert said(w, "Refused to pause app.test: asked for revision v1, this one is v2") == 1
    assert said(w, "paused by") == 0


@pytest.mark.parametrize("command", ["abort", "promote", "skip", "retry", "rollback-to"])
def test_while_suspended_every_command_is_refused_with_the_reason(command: str) -> None:
    w = at_weight(20)
    w.spec["suspend"] = True
    give(w, command)
    w.run_for(90)
    assert w.route == Split(20)
    assert w.commands == {}
    assert said(w, f"Refused to {command} app.test: spec.suspend is true: set it to false first") == 1
    w.spec["suspend"] = False
    w.settle(ended)
    assert w.is_in(Phase.SUCCEEDED)


@pytest.mark.parametrize("command", ["abort", "promote", "retry"])
def test_a_command_that_could_not_be_taken_off_is_told_once(command: str) -> None:
    w = at_weight(20)
    if command == "retry":
        w.release("v3", MISSING_IMAGE)
        w.settle(in_phase(Phase.FAILED))
    give(w, command)
    given = dict(w.commands)
    w.look()
    told = len([text for text in w.texts() if "person" in text])
    for _ in range(3):
        w.commands = dict(given)
        w.look()
    assert len([text for text in w.texts() if "person" in text]) == told
    assert said(w, "Refused") == said(w, f"Nothing to {command}") == 0


def test_a_promotion_that_waits_for_pods_is_told_once() -> None:
    w = world()
    w.release("v2")
    w.settle(in_phase(Phase.PROGRESSING))
    for _ in range(3):
        w.commands = {"promote": "*"}
        w.look()
    w.commands = {}
    w.settle(ended)
    assert said(w, "Promotion of app.test forced by a person") == 1
    assert orders_of(w) == [("promote", "", "at step 0")]


def test_a_retry_asks_the_gates_again_and_waits_for_their_answer() -> None:
    w = world(analysis=analysis(webhooks=[hook("gate", "confirm-rollout")]))
    w.release("v2", MISSING_IMAGE)
    w.settle(in_phase(Phase.FAILED))
    w.behaviour["v2"] = type(MISSING_IMAGE)()
    give(w, "retry", "v2")
    w.settle(in_phase(Phase.PROGRESSING), limit=10)
    assert w.typed.run is not None
    assert w.typed.run.attempt == 2
    w.settle(ended)
    assert orders_of(w) == [("retry", "kubectl-annotate", "")]
    assert said(w, "Revision v2 of app.test is tried again, asked by a person (kubectl-annotate at ") == 1


def test_a_retry_whose_annotation_does_not_go_off_still_gets_on_when_its_gate_opens() -> None:
    w = world(analysis=analysis(webhooks=[hook("gate", "confirm-rollout")]))
    w.release("v2", MISSING_IMAGE)
    w.settle(in_phase(Phase.FAILED))
    opened = {"at": False}
    w.hooks["gate"] = lambda _: opened["at"]
    for _ in range(90):
        if w.is_in(Phase.PROGRESSING):
            break
        give(w, "retry", "v2", at=START)
        w.look()
        w.now += 1
        opened["at"] = w.is_in(Phase.WAITING)
    assert w.is_in(Phase.PROGRESSING)
    assert said(w, "is tried again") == 1


def test_a_pause_and_its_end_are_remembered_with_the_step() -> None:
    w = at_weight(20)
    give(w, "pause")
    w.run_for(5)
    del w.commands["pause"]
    w.settle(ended)
    assert orders_of(w) == [("pause", "kubectl-annotate", "at step 20"), ("resume", "", "")]


def test_an_order_needs_no_more_than_its_annotation_and_the_status() -> None:
    """No effect of a command is asked for a second time once the command is gone."""
    w = at_weight(20)
    give(w, "skip")
    w.run_for(1)
    again = w.look()
    assert not [effect for effect in again.effects if isinstance(effect, (fx.ClearCommand, fx.RestoreTarget))]


def test_a_pause_stands_while_the_canary_is_suspended() -> None:
    w = at_weight(20)
    w.spec["suspend"] = True
    give(w, "pause")
    w.run_for(5)
    assert "pause" in w.commands


def test_there_is_nothing_to_abort_of_a_canary_that_is_new() -> None:
    w = World()
    give(w, "abort")
    w.look()
    assert said(w, "Nothing to abort: app.test is new") == 1


def test_a_way_back_waits_while_what_is_kept_or_what_the_target_has_cannot_be_told() -> None:
    w = released("v2", "v3")
    give(w, "rollback-to", "v1")
    facts = w.facts()
    assert isinstance(facts.target, WorkloadFacts)
    for unknown in (replace(facts, kept=UNKNOWN), replace(facts, target=replace(facts.target, fresh=False))):
        decision = decide(w.canary, w.typed, unknown, w.now)
        assert not [effect for effect in decision.effects if isinstance(effect, fx.ClearCommand | fx.RestoreTarget)]
        assert decision.status.reverting is None
    w.settle(lambda w: w.typed.last_promoted_spec == "v1", limit=120)


def closed_once() -> Callable[[float], bool]:
    answers = chain([False], repeat(True))
    return lambda at: next(answers)


def refusals(w: World, command: str) -> list[str]:
    """What the controller would say against it now, without doing it."""
    decision = decide(w.canary, w.typed, replace(w.facts(), commands={**w.facts().commands, command: "*"}, givers={}), w.now)
    told = [effect.message for effect in decision.effects if isinstance(effect, fx.RecordEvent)]
    return [text for text in told if text.startswith((f"Nothing to {command}", f"Refused to {command}"))]


@pytest.mark.parametrize("suspended", [False, True])
@pytest.mark.parametrize("behaviour", [GOOD, MISSING_IMAGE], ids=["good", "bad"])
def test_what_makes_no_sense_is_what_the_controller_refuses(behaviour: Behaviour, suspended: bool) -> None:
    """Who gives a command is told before it is written: at every moment of a release as the controller would tell it afterwards."""
    seen = set()

    def compare(w: World, decision: Decision) -> None:
        seen.add((w.phase, w.typed.run is not None and w.typed.run.verdict is not None))
        for command in ("abort", "retry", "promote", "skip"):
            w.spec["suspend"] = suspended
            refused = [text for text in refusals(w, command) if "not ready and settled" not in text]
            w.spec["suspend"] = False
            why = unfit(command, w.typed, suspended=suspended, paused=False)
            assert bool(refused) == (why is not None and why not in REPEATED), (w.phase, command, why, refused)

    w = World(analysis=analysis(webhooks=[hook("rollout", "confirm-rollout"), hook("promotion", "confirm-promotion")]))
    for gate in ("rollout", "promotion"):
        w.hooks[gate] = closed_once()
    w.checks.append(compare)
    w.initialised()
    w.release("v2", behaviour)
    w.settle(ended)
    w.run_for(1)
    rest = {(Phase.FAILED, False), (Phase.PROGRESSING, True)}
    if behaviour is GOOD:
        rest = {(phase, False) for phase in (Phase.WAITING_PROMOTION, Phase.PROMOTING, Phase.FINALISING, Phase.SUCCEEDED)}
    assert seen >= {(phase, False) for phase in (Phase.INITIALIZING, Phase.INITIALIZED, Phase.WAITING, Phase.PROGRESSING)} | rest
