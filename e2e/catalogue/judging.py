"""What must be true of a row that was played: the verdict in its time, its words in every place, and nothing touched that served."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from e2e.catalogue.play import Case, Plays
from e2e.catalogue.row import Row, Verdict
from e2e.catalogue.watched import Watched, is_ready, pods_of, reports, reports_failure, stretches
from e2e.kube import until

EARLY = 25.0
"""Seconds from the first report: an end before that is one at once, a later one came after the grace of 30 s."""


BUSY_MACHINE = 5.0
"""Seconds that a row may take longer for each time that the machine's processors are wanted once more than twice, up to `BUSIEST`: of what
is not a grace each step is a request or two, and at a load of 15 a processor an end at once took 10.7 s where a quiet machine needs 5.5."""
BUSIEST = 15.0


def allowance(load: float, processors: int) -> float:
    """Seconds that the bounds, which are those of a quiet machine, are exceeded by on a busy one. `load`: runnable processes on average."""
    return min(BUSIEST, max(0.0, load / processors / 2 - 1) * BUSY_MACHINE)


@dataclass(frozen=True)
class Finding:
    """How a row ended, as a person is told it.

    `seconds`: from the kubelet's first report of the cause to the end; at the deadline, of being incomplete; where the fault ended, from
    then on."""

    verdict: Verdict
    seconds: float
    bound: float
    named: str
    """What was said of a fault that ended in time."""
    condition: str
    event: str
    alert: str
    describe: str


def judged(row: Row, plays: Plays) -> Finding:
    """Play the row, or take it where it was played; an AssertionError says what is not as it must be."""
    watched = plays.watched
    case = plays.case(row)
    finding = told_of(row, case, plays)
    assert finding.verdict is row.verdict, f"{finding.verdict.value}, not {row.verdict.value}: {finding.condition}"
    seconds, bound = finding.seconds, finding.bound
    print(f"{row.id}: {finding.verdict.value}, {seconds:.1f} s of {bound:g} s, {case.ended - case.released:.1f} s after the release")
    spare = allowance(os.getloadavg()[0], os.cpu_count() or 1)
    late = f"{seconds:.1f} s, which is more than {bound:g} s and {spare:.1f} s for a busy machine\n"
    assert seconds <= bound + spare, late + "\n".join(reports(case.pods(watched), case.released))
    if row.verdict is Verdict.PROMOTED:
        assert not case.stage.status().get("podFailures")
        return finding
    pods = case.pods(watched)
    if row.verdict is Verdict.DEADLINE:
        assert case.ended - case.released - stretches(pods, row.replicas) >= row.deadline, "before its deadline"
    assert not row.flaps or any(is_ready(item.obj) for item in pods), "no pod was ever Ready"
    _serving_as_before(row, case, watched)
    _says_why(row, case, plays)
    return finding


def told_of(row: Row, case: Case, plays: Plays) -> Finding:
    """What happened, without a judgement."""
    stage = case.stage
    status = stage.status()
    cause = next((entry.get("cause", "") for entry in status["history"] if entry["outcome"] == "Failed"), "")
    verdict, seconds, bound = _ended(row, case, plays.watched, status["phase"], cause)
    event, alert = (cause, cause) if cause else ("Promotion completed", "promotion finished")
    says(event, "an event", stage.texts)
    says(alert, "an alert", lambda: plays.alerts(stage))

    def last(words: str, texts: list[str]) -> str:
        return next(text for text in reversed(texts) if words in text)

    return Finding(
        verdict, seconds, bound, case.named, stage.condition("Ready")["message"], last(event, stage.texts()),
        last(alert, plays.alerts(stage)), case.describe,
    )  # fmt: skip


def _ended(row: Row, case: Case, watched: Watched, phase: str, cause: str) -> tuple[Verdict, float, float]:
    """The verdict as it was, the seconds it took and the most that it may take."""
    pods = case.pods(watched)
    if phase == "Succeeded":
        return Verdict.PROMOTED, case.ended - case.healed, row.bound
    if "progress deadline" in cause:
        runs = [(item.at, item.obj.get("status", {}).get("run") or {}) for item in watched.of("Canary", case.stage)]
        began = next(at for at, run in runs if at > case.released and run.get("deadline"))
        return Verdict.DEADLINE, case.ended - began - stretches(pods, row.replicas), row.deadline + row.bound
    first = next((item.at for item in pods if reports_failure(item.obj)), None)
    assert first is not None, f"the kubelet reported nothing, and yet: {cause}"
    seconds = case.ended - first
    early = Verdict.CRASHES if " crashed " in cause or "(crashed " in cause else Verdict.NOW
    return early if early is Verdict.CRASHES or seconds < EARLY else Verdict.GRACE, seconds, row.bound


def says(words: str, who: str, texts: Callable[[], list[str]]) -> None:
    """Events and alerts leave after the status, so they are waited for."""
    until(lambda: any(words in text for text in texts()), 10, f"{who} that says {words!r}", texts)


def _says_why(row: Row, case: Case, plays: Plays) -> None:
    """The words stand in the history, the conditions, an event, an alert and in what `describe` prints; each container is told of."""
    stage = case.stage
    status = stage.status()
    assert stage.condition("Ready")["status"] == "False"
    assert stage.condition("Stalled")["status"] == "True"
    assert stage.condition("Promoted")["status"] == "False"
    for words in row.cause:
        says(words, "the history", lambda: [entry["cause"] for entry in status["history"] if entry["outcome"] == "Failed"])
        says(words, "Ready", lambda: [stage.condition("Ready")["message"]])
        says(words, "Stalled", lambda: [stage.condition("Stalled")["message"]])
        says(words, "an event", stage.texts)
        says(words, "an alert", lambda: plays.alerts(stage))
        assert not plays.describes or words in " ".join(case.describe.split()), case.describe
    if not row.container:
        return
    failures = [failure for failure in status["podFailures"] if failure["container"] == row.container]
    assert {failure["pod"] for failure in failures} <= {item.name for item in case.pods(plays.watched)}
    told = [failure for failure in failures if failure["reason"] not in row.others]
    assert told, failures
    for failure in told:
        assert failure["reason"] in row.reasons, failure
        assert row.diagnosis in failure["diagnosis"], failure
        assert "Try: " in failure["diagnosis"]


def _serving_as_before(row: Row, case: Case, watched: Watched) -> None:
    """No weight for the canary (at any time, unless the fault came later), the primary as it was, the target at zero."""
    stage = case.stage
    route = watched.weights(stage)
    assert route, "no version of the route was seen"
    if row.moves:
        assert max(route)[1] == 0, "the last weight"
    else:
        assert {weight for _, weight in route} == {0}
        assert {item.obj.get("status", {}).get("canaryWeight", 0) for item in watched.of("Canary", stage)} == {0}
    primary = stage.kube.get("Deployment", f"{stage.name}-primary", stage.namespace)
    assert primary["metadata"]["generation"] == case.primary["metadata"]["generation"]
    assert primary["spec"] == case.primary["spec"]
    assert {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in pods_of(stage, f"{stage.name}-primary")} == case.primary_pods
    assert stage.replicas() == 0
