"""The one entrance of the core: what a Canary needs now, from what is true now.

`decide` is total: every phase has a handler, and every handler either moves on or names what it waits for. It is called after
every event; asked twice in the same state it gives the same answer, with no effect that would change anything again.
"""

from __future__ import annotations

from collections.abc import Callable

from flaggerpy.api.canary import Canary
from flaggerpy.api.status import CanaryStatus, Phase
from flaggerpy.rollout import adopting, health, orders, safety
from flaggerpy.rollout.commands import carry_out
from flaggerpy.rollout.decision import Decision
from flaggerpy.rollout.deleting import deleting, finalizer
from flaggerpy.rollout.draft import Draft
from flaggerpy.rollout.facts import Facts
from flaggerpy.rollout.idle import idle, waiting
from flaggerpy.rollout.initialising import initialising
from flaggerpy.rollout.phases import ACTIVE, ANALYSING, Cause
from flaggerpy.rollout.promoting import finalising, promoting
from flaggerpy.rollout.rollback import roll_back
from flaggerpy.rollout.running import running
from flaggerpy.rollout.traffic import ensure_route

PROBLEMS_TOLD = 20
"""Of a spec's problems the status names so many: each of a thousand steps may be one."""

def decide(canary: Canary, status: CanaryStatus, facts: Facts, now: float) -> Decision:
    """The status to store, what to do, and when to look again. `now` in epoch seconds of the API server's clock."""
    d = Draft(canary, status, facts, now)
    if canary.deleting:
        deleting(d)
        return d.finish()
    finalizer(d)
    d.flaggers = adopting.is_flaggers(status) and not adopting.adopt(d)
    if facts.problems:
        orders.refuse_all(d, f"its spec is refused ({facts.problems[0]}): correct it first")
        _refuse(d)
    elif d.flaggers:
        return d.finish()
    elif canary.spec.suspend:
        orders.refuse_all(d, "spec.suspend is true: set it to false first")
        _suspended(d)
    elif not carry_out(d):
        _warn(d)
        HANDLERS[status.phase](d)
    return d.finish()


def _unfinished(d: Draft) -> None:
    """Promoting or Finalising, going on with a rollback if one was decided."""
    if d.run.verdict is not None:
        roll_back(d)
    elif d.status.phase is Phase.PROMOTING:
        promoting(d)
    else:
        finalising(d)


def _ended(d: Draft) -> None:
    """Terminating without a deletion cannot be: the phase of a Canary that was restored from a backup. It starts anew."""
    d.enter(Phase.NONE, Cause.RESTORED)
    d.set(run=None, canary_weight=0, iterations=0, failed_checks=0)
    initialising(d)


HANDLERS: dict[Phase, Callable[[Draft], None]] = {
    Phase.NONE: initialising,
    Phase.INITIALIZING: initialising,
    Phase.INITIALIZED: idle,
    Phase.SUCCEEDED: idle,
    Phase.FAILED: idle,
    Phase.WAITING: waiting,
    Phase.PROGRESSING: running,
    Phase.WAITING_PROMOTION: running,
    Phase.PROMOTING: _unfinished,
    Phase.FINALISING: _unfinished,
    Phase.TERMINATING: _ended,
    Phase.TERMINATED: _ended,
}


def _refuse(d: Draft) -> None:
    """A spec that cannot be honoured: nothing moves, but traffic still leaves pods that are lost."""
    if d.status.phase is Phase.NONE:
        d.enter(Phase.INITIALIZING, Cause.REFUSED)
    told, more = d.facts.problems[:PROBLEMS_TOLD], len(d.facts.problems) - PROBLEMS_TOLD
    d.stall("InvalidSpec", "; ".join((*told, f"and {more} more: flaggerpy lint tells them") if more > 0 else told))
    _hold(d)


def _suspended(d: Draft) -> None:
    d.wait("a person: spec.suspend is true", advice="set spec.suspend to false")
    _hold(d)


def _hold(d: Draft) -> None:
    """What goes on while a run is held: the deadline while pods are not complete, and the safety of the traffic."""
    if d.status.run is None or d.status.phase not in ACTIVE:
        return
    if d.run.verdict is None and d.status.phase in ANALYSING:
        health.judge_canary(d, stopped=True)
        safety.guard(d)
    elif d.run.verdict is None and d.status.phase is Phase.PROMOTING:
        safety.leave_unfit(d)
    ensure_route(d)


def _warn(d: Draft) -> None:
    """Legacy forms are told once a generation."""
    if d.before.observed_generation != d.canary.generation:
        for warning in d.facts.warnings:
            d.event("Warning", warning)
