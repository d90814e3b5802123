"""The spans of a release, told by whoever leads when their end is known: from the status alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flaggerpy.api.canary import Canary, Webhook, parse_canary
from flaggerpy.api.status import CanaryStatus, HistoryEntry, OutboxItem, Phase, RunState, parse_status, timestamp
from flaggerpy.controller import spans
from flaggerpy.controller.inbox import Key
from flaggerpy.controller.spans import stamped, step_key, step_of
from flaggerpy.controller.tracing import LOST_SECONDS, Traced, TracedOutside
from flaggerpy.controller.worker import Witness
from flaggerpy.http import traceparent
from flaggerpy.rollout.decision import Decision
from flaggerpy.rollout.effects import AskHook, RecordEvent
from flaggerpy.rollout.facts import Answer
from flaggerpy.rollout.revision import run_id
from flaggerpy.telemetry.logs import fields
from flaggerpy.telemetry.tracing import ROOT, Span, trace_id
from flaggerpy.telemetry.tracing import traceparent as header_of
from tests.controller.living import canary as manifest

KEY = Key("shop", "podinfo")
CANARY: Canary = parse_canary({**manifest(), "metadata": {"name": "podinfo", "namespace": "shop", "uid": "u1"}})
RUN = RunState(id=run_id("u1", "6b8f", 1), revision="6b8f", started_at=100.0)
AT = 1_700_000_000.0


def status(phase: Phase = Phase.PROGRESSING, run: RunState | None = RUN, **changes: Any) -> CanaryStatus:
    return CanaryStatus(phase=phase, run=run, **changes)


@pytest.mark.parametrize(
    ("found", "step"),
    [
        (status(), "start pods"),
        (status(run=RUN.model_copy(update={"settled": True})), "check before traffic"),
        (status(canary_weight=20), "weight 20%"),
        (status(iterations=3), "iteration 3"),
        (status(run=RUN.model_copy(update={"mirrored": True})), "mirror"),
        (status(canary_weight=100, iterations=11, run=RUN.model_copy(update={"routed_to_canary": True})), "weight 100%"),
        (status(canary_weight=20, run=RUN.model_copy(update={"verdict": "pods"})), "roll back"),
        (status(Phase.WAITING), "wait for approval"),
        (status(Phase.PROMOTING), "promote"),
        (status(Phase.TERMINATING), "terminating"),
        (status(Phase.SUCCEEDED, None), ""),
    ],
)
def test_a_step_is_told_in_few_words(found: CanaryStatus, step: str) -> None:
    assert step_of(found) == step


def test_a_step_begins_once_and_its_beginning_is_in_the_status() -> None:
    first = stamped(CanaryStatus(), status(canary_weight=20), 110.0)
    assert first.run is not None
    assert (first.run.step, first.run.step_since) == ("weight 20%", 110.0)
    kept = parse_status({"status": first.to_obj()})
    assert stamped(first, kept, 115.0) == kept
    later = stamped(kept, kept.model_copy(update={"canary_weight": 40}), 120.0)
    assert later.run is not None
    assert (later.run.step, later.run.step_since) == ("weight 40%", 120.0)
    assert stamped(CanaryStatus(), status(Phase.SUCCEEDED, None), 1.0) == status(Phase.SUCCEEDED, None)


class Kept:
    def __init__(self) -> None:
        self.spans: list[Span] = []

    def emit(self, span: Span) -> None:
        self.spans.append(span)

    def close(self) -> None:
        return None


class Inner(Witness):
    def __init__(self) -> None:
        self.seen: list[str | None] = []

    def decided(self, key: Key, canary: Canary, before: CanaryStatus, decision: Decision) -> None:
        self.seen.append(fields().get("trace_id"))


def traced(now: float = AT, since: float = 0.0) -> tuple[Traced, Kept, Inner]:
    kept, inner = Kept(), Inner()
    return Traced(kept, inner, lambda: now, lambda: since), kept, inner


def walk(witness: Traced, *states: CanaryStatus, effects: tuple[Any, ...] = ()) -> list[CanaryStatus]:
    """Decisions one after the other, stored and read back each time, as a controller that is new each time sees them."""
    told = [states[0]]
    for number, state in enumerate(states[1:]):
        before = told[-1]
        if state.run is not None and before.run is not None and state.run.id == before.run.id:
            state = state.model_copy(
                update={"run": state.run.model_copy(update={"step": before.run.step, "step_since": before.run.step_since})}
            )
        after = witness.stamp(before, state, AT + number)
        witness.decided(KEY, CANARY, before, Decision(after, effects))
        told.append(parse_status({"status": after.to_obj()}))
    return told


def test_a_step_is_told_when_the_next_begins_and_the_run_when_it_ends() -> None:
    witness, kept, inner = traced()
    entry = HistoryEntry(revision="6b8f", attempt=1, started=timestamp(100), ended=timestamp(200), outcome="Succeeded")
    walk(
        witness, CanaryStatus(phase=Phase.INITIALIZED), status(), status(canary_weight=20), status(Phase.PROMOTING, canary_weight=20),
        status(Phase.SUCCEEDED, None, history=[entry]),
    )  # fmt: skip
    assert [span.name for span in kept.spans] == ["start pods", "weight 20%", "promote", "release"]
    assert [span.parent for span in kept.spans] == [ROOT, ROOT, ROOT, None]
    assert [span.start for span in kept.spans] == [AT, AT + 1, AT + 2, 100.0]
    assert {span.run for span in kept.spans} == {RUN.id}
    assert all(span.ok for span in kept.spans)
    assert kept.spans[-1].attributes["flagger.outcome"] == "Succeeded"
    assert set(inner.seen) == {trace_id(RUN.id)}
    assert witness.steps == {}


def test_another_controller_goes_on_with_the_same_trace() -> None:
    """All it knows is the status: the step that one began, the other ends, under the same id."""
    one, told_by_one, _ = traced()
    stored = walk(one, CanaryStatus(phase=Phase.INITIALIZED), status(), status(canary_weight=20))[-1]
    other, told_by_other, _ = traced()
    walk(other, stored, status(canary_weight=40))
    assert [span.name for span in told_by_one.spans] == ["start pods"]
    assert [(span.run, span.name, span.start) for span in told_by_other.spans] == [(RUN.id, "weight 20%", AT + 1)]
    assert stored.run is not None
    assert told_by_other.spans[0].key == step_key(stored.run)


def test_a_verdict_is_the_error_of_the_step_that_it_ends() -> None:
    witness, kept, _ = traced()
    failing = RUN.model_copy(update={"verdict": "image is not there"})
    entry = HistoryEntry(
        revision="6b8f", attempt=1, started=timestamp(100), ended=timestamp(200), outcome="Failed", cause="image is not there"
    )
    stories = (RecordEvent("Warning", "Rolling back podinfo.shop image is not there", "Progressing"),)
    walk(
        witness, status(canary_weight=0), status(canary_weight=20), status(run=failing), status(Phase.FAILED, None, history=[entry]),
        effects=stories,
    )  # fmt: skip
    step, back, root = kept.spans
    assert (step.name, step.ok, step.reason) == ("weight 20%", False, "image is not there")
    assert step.events == ("Rolling back podinfo.shop image is not there",)
    assert (back.name, back.ok) == ("roll back", True)
    assert (root.name, root.ok, root.reason) == ("release", False, "image is not there")


def test_a_run_that_is_replaced_has_an_end() -> None:
    witness, kept, _ = traced()
    after = RUN.model_copy(update={"id": "other", "revision": "77"})
    entry = HistoryEntry(revision="6b8f", attempt=1, started=timestamp(100), ended=timestamp(200), outcome="Superseded")
    walk(witness, CanaryStatus(), status(), status(run=after, history=[entry]))
    assert [(span.name, span.ok) for span in kept.spans] == [("start pods", False), ("release", False)]
    assert list(witness.steps) == ["other"]


def test_of_a_canary_that_is_gone_nothing_is_kept() -> None:
    witness, _, _ = traced()
    walk(witness, CanaryStatus(), status())
    assert list(witness.steps) == [RUN.id]
    witness.forget(KEY)
    assert witness.steps == {}


def test_a_run_that_another_leader_ended_is_not_kept() -> None:
    witness, _, _ = traced()
    walk(witness, CanaryStatus(), status())
    walk(witness, CanaryStatus(phase=Phase.SUCCEEDED), CanaryStatus(phase=Phase.SUCCEEDED))
    assert witness.steps == {}


@pytest.mark.parametrize(("ended_before", "again"), [(LOST_SECONDS - 1, True), (LOST_SECONDS + 1, False)])
def test_a_run_that_ended_as_its_leader_died_is_told_by_the_next(ended_before: float, again: bool) -> None:
    entry = HistoryEntry(
        revision="6b8f", attempt=1, started=timestamp(AT - 100), ended=timestamp(AT - ended_before), outcome="Succeeded"
    )
    idle = CanaryStatus(phase=Phase.SUCCEEDED, history=[entry])
    witness, kept, _ = traced(since=AT)
    for _ in range(2):
        witness.decided(KEY, CANARY, idle, Decision(idle))
    assert [(span.run, span.key, span.name) for span in kept.spans] == ([(RUN.id, ROOT, "release")] if again else [])


def test_the_spans_of_canaries_without_a_run_are_none() -> None:
    assert spans.ended(CANARY, CanaryStatus(), Decision(CanaryStatus()), 1.0) == []
    assert spans.root_again(CANARY, CanaryStatus(), 0.0) is None


class Elsewhere:
    """Answers as the test says, and notes the header that a request made meanwhile would carry."""

    def __init__(self) -> None:
        self.answers: list[Any] = []
        self.headers: list[str] = []

    async def ask(self, canary: Canary, status: CanaryStatus, effect: AskHook) -> Answer:
        self.headers.append(traceparent.get())
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, Answer)
        return answer

    async def deliver(self, canary: Canary, status: CanaryStatus, item: OutboxItem) -> None:
        self.headers.append(traceparent.get())
        if self.answers:
            raise self.answers.pop(0)


def outside() -> tuple[TracedOutside, Elsewhere, Kept]:
    elsewhere, kept = Elsewhere(), Kept()
    return TracedOutside(elsewhere, kept, {RUN.id: "step/x"}, lambda: AT), elsewhere, kept  # type: ignore[arg-type]


def ask(role: str = "rollout", every: float | None = None) -> AskHook:
    return AskHook(f"{RUN.id}/1/rollout/0-load", Webhook(name="load", url="http://h", type=role), "Progressing", "key", every)


async def test_a_hook_is_a_span_below_its_step_and_can_go_on_with_it() -> None:
    traced_outside, elsewhere, kept = outside()
    elsewhere.answers = [Answer(True)]
    await traced_outside.ask(CANARY, status(), ask())
    (span,) = kept.spans
    assert (span.name, span.parent, span.ok, span.outside) == ("hook load", "step/x", True, True)
    assert elsewhere.headers == [header_of(RUN.id, span.key)]
    assert traceparent.get() == ""


async def test_a_no_of_a_gate_is_no_error_and_that_of_a_check_is() -> None:
    for role, ok in (("rollout", False), ("confirm-promotion", None)):
        traced_outside, elsewhere, kept = outside()
        elsewhere.answers = [Answer(False, "closed")]
        await traced_outside.ask(CANARY, status(), ask(role))
        assert [(span.ok, span.reason) for span in kept.spans] == [(ok, "closed")]


async def test_a_question_that_is_repeated_is_told_when_the_answer_changes() -> None:
    traced_outside, elsewhere, kept = outside()
    elsewhere.answers = [Answer(False), Answer(False), Answer(False), Answer(True)]
    for _ in range(4):
        await traced_outside.ask(CANARY, status(), ask("rollback", every=2.0))
    assert [span.attributes["flagger.answer"] for span in kept.spans] == ["no", "yes"]
    assert len(elsewhere.headers) == 4


async def test_an_alert_after_the_end_is_in_the_trace_of_its_run_and_carries_no_header() -> None:
    traced_outside, elsewhere, kept = outside()
    entry = HistoryEntry(revision="6b8f", attempt=1, started=timestamp(100), ended=timestamp(200), outcome="Succeeded")
    over = status(Phase.SUCCEEDED, None, history=[entry])
    item = OutboxItem(id="i", kind="alert", phase="Succeeded", message="done")
    await traced_outside.deliver(CANARY, over, item)
    elsewhere.answers = [RuntimeError("slack said no")]
    with pytest.raises(RuntimeError):
        await traced_outside.deliver(CANARY, over, replace_item(item))
    assert [(span.run, span.parent, span.ok, span.reason) for span in kept.spans] == [
        (RUN.id, ROOT, True, ""), (RUN.id, ROOT, False, "slack said no"),
    ]  # fmt: skip
    assert elsewhere.headers == ["", ""]


def replace_item(item: OutboxItem) -> OutboxItem:
    return item.model_copy(update={"id": "j"})


def test_a_span_is_a_value() -> None:
    span = Span("r", "k", None, "n", 1.0, 2.0)
    assert replace(span) == span
