"""What workers do becomes series: once, for the right Canary, and none that somebody may choose."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import ValidationError

from flaggerpy.api.canary import Canary, parse_canary
from flaggerpy.api.conditions import set_conditions
from flaggerpy.api.status import CanaryStatus, HistoryEntry, Phase, RunState, timestamp
from flaggerpy.cluster.errors import ApiError
from flaggerpy.controller.exporting import VERDICTS, Exporting
from flaggerpy.controller.inbox import Key
from flaggerpy.controller.look import RefusedError, StaleError
from flaggerpy.controller.settings import Settings
from flaggerpy.rollout.decision import Decision
from flaggerpy.rollout.phases import TABLE, Cause
from flaggerpy.telemetry.logs import about
from flaggerpy.telemetry.metrics import Metrics
from tests.controller.living import canary as manifest

KEY = Key("shop", "podinfo")
BEGAN = 1_700_000_000.0


@pytest.fixture
def exporting() -> Exporting:
    return Exporting(Settings(), Metrics(process=False))


def of(exporting: Exporting, series: str, /, **labels: str) -> float | None:
    found = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(exporting.metrics.render().decode())
        for sample in family.samples
    }
    return found.get((series, tuple(sorted(labels.items()))))


def a_canary(name: str = "podinfo", target: str = "podinfo") -> Canary:
    obj = manifest()
    obj["metadata"]["name"] = name
    obj["spec"]["targetRef"]["name"] = target
    return parse_canary(obj)


def in_phase(phase: Phase, at: float = BEGAN, before: CanaryStatus | None = None, **fields: Any) -> CanaryStatus:
    stalled = fields.pop("stalled", None)
    conditions = set_conditions(
        before.conditions if before else [], phase, "Deployment", now=at, generation=1, stalled=stalled, busy=not stalled, ready=False,
        reconciling_message="",
    )  # fmt: skip
    return CanaryStatus(phase=phase, conditions=conditions, **fields)


RUN = RunState(id="r", revision="1")


def test_who_leads_no_more_tells_of_no_canary(exporting: Exporting) -> None:
    exporting.decided(KEY, a_canary(), CanaryStatus(), Decision(in_phase(Phase.PROMOTING, run=RUN), ()))
    assert of(exporting, "flagger_canary_total", namespace="shop") == 1
    exporting.stand_down()
    told = exporting.metrics.render().decode()
    assert "flagger_canary_" not in told
    assert "flagger_info" in told
    exporting.decided(KEY, a_canary(), CanaryStatus(), Decision(in_phase(Phase.SUCCEEDED), ()))
    assert of(exporting, "flagger_canary_total", namespace="shop") == 1
    assert of(exporting, "flagger_canary_status", name="podinfo", namespace="shop") == 1
PROGRESSING = in_phase(Phase.PROGRESSING, run=RUN, canary_weight=20, failed_checks=1)


def test_a_stored_decision_is_what_is_exported(exporting: Exporting) -> None:
    exporting.decided(KEY, a_canary(), CanaryStatus(), Decision(PROGRESSING))
    own = {"name": "podinfo", "namespace": "shop"}
    assert of(exporting, "flagger_canary_status", **own) == 0
    assert of(exporting, "flagger_canary_total", namespace="shop") == 1
    assert of(exporting, "flagger_canary_weight", workload="podinfo", namespace="shop") == 20
    assert of(exporting, "flagger_canary_failed_checks", **own) == 1
    assert of(exporting, "flagger_canary_phase_start_time_seconds", phase="Progressing", **own) == BEGAN
    exporting.forget(KEY)
    assert of(exporting, "flagger_canary_status", **own) is None
    assert of(exporting, "flagger_canary_total", namespace="shop") is None


def test_time_in_a_phase_outlives_a_restart_of_the_controller(exporting: Exporting) -> None:
    """What it began is in the condition: a controller that has never seen it knows how long it lasted."""
    after = in_phase(Phase.PROMOTING, BEGAN + 40, PROGRESSING, run=RUN)
    exporting.decided(KEY, a_canary(), PROGRESSING, Decision(after))
    assert of(exporting, "flagger_phase_duration_seconds_sum", phase="Progressing") == 40
    exporting.decided(KEY, a_canary(), after, Decision(after))
    assert of(exporting, "flagger_phase_duration_seconds_count", phase="Progressing") == 1


def test_an_idle_phase_is_no_time_of_a_release(exporting: Exporting) -> None:
    idle = in_phase(Phase.SUCCEEDED)
    exporting.decided(KEY, a_canary(), idle, Decision(in_phase(Phase.PROGRESSING, BEGAN + 9_999, idle, run=RUN)))
    assert of(exporting, "flagger_phase_duration_seconds_count", phase="Succeeded") is None


def test_a_release_is_counted_when_its_entry_comes_into_the_history(exporting: Exporting) -> None:
    entry = HistoryEntry(revision="1", started=timestamp(BEGAN), ended=timestamp(BEGAN + 61), outcome="Aborted")
    after = in_phase(Phase.FAILED, BEGAN + 61, PROGRESSING, history=[entry])
    exporting.decided(KEY, a_canary(), PROGRESSING, Decision(after))
    exporting.decided(KEY, a_canary(), after, Decision(after))
    assert of(exporting, "flagger_releases_total", outcome="Aborted") == 1
    assert of(exporting, "flagger_release_duration_seconds_sum", outcome="Aborted") == 61


def test_verdicts_and_reactions_are_told_by_their_cause(exporting: Exporting) -> None:
    moved = Decision(PROGRESSING, moves=((Phase.PROGRESSING, Cause.PODS_FAILED, Phase.PROGRESSING),))
    assert of(exporting, "flagger_verdicts_total", reason="pods_failed") == 0
    exporting.decided(KEY, a_canary(), PROGRESSING, moved)
    exporting.carried_out(KEY, a_canary(), moved, 0.4)
    exporting.carried_out(KEY, a_canary(), Decision(PROGRESSING), 99.0)
    assert of(exporting, "flagger_verdicts_total", reason="pods_failed") == 1
    assert of(exporting, "flagger_reaction_seconds_sum", reaction="pods_failed") == 0.4
    assert of(exporting, "flagger_reaction_seconds_count", reaction="pods_failed") == 1


def test_every_turn_within_a_phase_is_a_verdict() -> None:
    turns = {move.cause for move in TABLE if move.before == move.after and move.before is not Phase.TERMINATING}
    assert turns <= set(VERDICTS)


def test_what_is_stalled_is_told_with_its_reason(exporting: Exporting) -> None:
    own = {"name": "podinfo", "namespace": "shop"}
    exporting.decided(KEY, a_canary(), CanaryStatus(), Decision(in_phase(Phase.INITIALIZING, stalled=("TargetMissing", "gone"))))
    assert of(exporting, "flagger_canary_stalled", reason="TargetMissing", **own) == 1
    exporting.blocked(KEY)
    exporting.blocked(Key("shop", "never-seen"))
    assert of(exporting, "flagger_canary_stalled", reason="Blocked", **own) == 1
    exporting.decided(KEY, a_canary(), CanaryStatus(), Decision(PROGRESSING))
    assert of(exporting, "flagger_canary_stalled", reason="Blocked", **own) is None


def test_a_second_canary_of_the_same_target_does_not_speak_for_it(exporting: Exporting) -> None:
    second = Key("shop", "second")
    exporting.decided(KEY, a_canary(), CanaryStatus(), Decision(PROGRESSING))
    exporting.decided(second, a_canary("second"), CanaryStatus(), Decision(in_phase(Phase.INITIALIZING)))
    assert of(exporting, "flagger_canary_weight", workload="podinfo", namespace="shop") == 20
    assert of(exporting, "flagger_canary_total", namespace="shop") == 2
    exporting.forget(second)
    assert of(exporting, "flagger_canary_weight", workload="podinfo", namespace="shop") == 20
    exporting.forget(KEY)
    exporting.decided(second, a_canary("second"), CanaryStatus(), Decision(in_phase(Phase.INITIALIZING)))
    assert of(exporting, "flagger_canary_weight", workload="podinfo", namespace="shop") == 0


def test_a_target_that_is_no_longer_named_has_no_series(exporting: Exporting) -> None:
    exporting.decided(KEY, a_canary(), CanaryStatus(), Decision(PROGRESSING))
    exporting.decided(KEY, a_canary(target="other"), CanaryStatus(), Decision(PROGRESSING))
    assert of(exporting, "flagger_canary_weight", workload="podinfo", namespace="shop") is None
    assert of(exporting, "flagger_canary_weight", workload="other", namespace="shop") == 20
    assert of(exporting, "flagger_canary_total", namespace="shop") == 1


def test_a_duration_is_in_seconds_and_a_metric_that_left_is_gone(exporting: Exporting) -> None:
    own = {"name": "podinfo", "namespace": "shop"}
    exporting.decided(KEY, a_canary(), CanaryStatus(), Decision(PROGRESSING))
    exporting.measured(a_canary(), "request-duration", 250.0, 0.01)
    exporting.measured(a_canary(), "old", 1.0, 0.01)
    assert of(exporting, "flagger_canary_metric_analysis", metric="request-duration", **own) == 0.25
    assert of(exporting, "flagger_canary_duration_seconds_count", **own) == 2
    exporting.decided(KEY, a_canary(), PROGRESSING, Decision(PROGRESSING))
    assert of(exporting, "flagger_canary_metric_analysis", metric="old", **own) is None


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ApiError("no"), "api"),
        (RefusedError("no"), "refused"),
        (StaleError("lag"), "refused"),
        (ValidationError.from_exception_data("x", []), "invalid"),
        (KeyError("bug"), "internal"),
    ],
)
def test_failures_are_of_few_kinds(exporting: Exporting, error: Exception, kind: str) -> None:
    exporting.failed(KEY, error)
    assert of(exporting, "flagger_worker_failures_total", kind=kind) == 1


def test_an_exemplar_names_the_canary_that_is_looked_at(exporting: Exporting) -> None:
    with about(canary="podinfo.shop", revision="never told"):
        exporting.waited(KEY, 0.2)
    text = exporting.metrics.render(openmetrics=True).decode()
    assert '# {canary="podinfo.shop"} 0.2' in text
    assert "never told" not in text


def test_a_fleet_of_hostile_canaries_adds_no_series_beyond_its_own(exporting: Exporting) -> None:
    for number in range(100):
        key = Key(f"n{number}", "podinfo")
        status = in_phase(Phase.PROGRESSING, run=replace_run(number))
        exporting.decided(key, a_canary(target=f'x"{number}'), CanaryStatus(), replace(Decision(status), moves=()))
        exporting.failed(key, RuntimeError(f"text {number}"))
    own = [line for line in exporting.metrics.render().decode().splitlines() if line.startswith("flagger_") and "_canary_" not in line]
    assert len(own) < 60


def replace_run(number: int) -> RunState:
    return RunState(id=f"r{number}", revision=f"revision {number}")
