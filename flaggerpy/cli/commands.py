"""A person's commands to a release: how it is told that they make no sense now, and how the controller's answer reads. Pure.

The controller takes an annotation off when it was carried out or refused. `pause` stands for as long as it holds; `resume` takes it off.
"""

from __future__ import annotations

from flaggerpy.api import commanding
from flaggerpy.api.commanding import REPEATED, Order, Unfit
from flaggerpy.cli.problems import Exit, Problem
from flaggerpy.cli.views import CanaryView, HistoryLine

PAUSE_SECONDS = 3.0


def order(verb: str, view: CanaryView, to: str = "") -> Order:
    """What to write for this command. Raises Problem when it cannot be meant in this phase. `to` is what `rollback-to` goes back to."""
    why = view.unfit.get(verb)
    # a pipeline that runs again must not fail where all is as it wants
    if why and why not in REPEATED:
        raise Problem(Exit.FAILED, _refusal(verb, why, view))
    return commanding.order(verb, earlier(view, to) if verb == "rollback-to" else view.revision, view.step, view.phase)


def _refusal(verb: str, why: Unfit, view: CanaryView) -> str:
    phase = view.phase or "not looked at yet"
    match why:
        case Unfit.SUSPENDED:
            return f"{view.name} is suspended (spec.suspend): nothing moves, and no command is taken up, until it is not."
        case Unfit.NOT_PAUSED:
            return f"{view.name} is not paused."
        case Unfit.TOO_LATE:
            return f"It is too late to {verb}: {view.name} is {phase}, the primary has the revision already."
        case Unfit.ROLLING_BACK:
            return f"It is too late to {verb}: {view.name} is being rolled back: {view.verdict}."
        case Unfit.NOT_FAILED:
            return f"There is nothing to retry: {view.name} is {phase}, not Failed."
        case Unfit.PAUSED:
            return f"{view.name} is paused. First: flaggerpy resume {view.name} -n {view.namespace}"
        case _:
            return f"There is nothing to {verb}: {view.name} is {phase}, no release is under way."


def earlier(view: CanaryView, to: str) -> str:
    """The revision that `rollback-to` means: a number of the history, or a revision (its configs' part may be left out).

    Raises Problem when there is none, or its template is not kept any more.
    """
    kept = list(dict.fromkeys([*view.promoted_revisions, view.revision]))
    if to.isdigit() and len(to) < 3:
        if not 0 < int(to) <= len(view.history):
            raise Problem(Exit.FAILED, f"The history of {view.name} has {len(view.history)} entries, there is no number {to}.")
        found = [view.history[int(to) - 1].revision]
    else:
        found = [each for each in kept if each == to] or [each for each in kept if each.partition("-")[0] == to] or [to]
    if len(found) > 1:
        raise Problem(Exit.FAILED, f"{to} is the template of several revisions: {', '.join(found)}. Name one of them.")
    if found[0] not in kept:
        there = ", ".join(view.promoted_revisions) or "none"
        raise Problem(Exit.FAILED, f"The template of {found[0]} is not kept any more. Kept are those of: {there}.")
    return found[0]


def unanswered(given: Order, view: CanaryView, seconds: float) -> tuple[Exit, str]:
    """What to say when the annotation is written and no answer came within `seconds`."""
    if given.verb == "pause":
        if view.verdict:
            return Exit.FAILED, f"Pause is written, but {view.name} is being rolled back already: {view.verdict}."
        waits = view.waiting_for or f"phase {view.phase}"
        return Exit.OK, f"Pause is written: {view.name} holds as soon as it is through with {waits}."
    return (
        Exit.TIMED_OUT,
        f"Written ({given.annotation}: {given.value}), but no controller has taken it up within {seconds:g} s. "
        "Is flaggerpy running, and does it watch this namespace?",
    )


def patience(given: Order, seconds: float) -> float:
    """How long to wait for the answer: a pause that comes into a wait for pods has none before these are ready."""
    return min(seconds, PAUSE_SECONDS) if given.verb == "pause" else seconds


def acknowledged(given: Order, view: CanaryView) -> bool:
    """True when the controller has answered: it took the annotation off, or (pause) it says that it holds."""
    if given.verb == "resume":
        return True
    if given.verb == "pause":
        advice = view.waiting.advice if view.waiting else ""
        return commanding.between(view.phase) or view.paused or "paus" in view.waiting_for.lower() or "resume" in advice.lower()
    return given.verb not in view.pending_commands


def outcome(given: Order, before: CanaryView, after: CanaryView) -> tuple[Exit, str]:
    """What happened, as exit code and sentence, once the command was acknowledged."""
    newest = after.history[0] if after.history else None
    ended = newest if newest and (not before.history or newest != before.history[0]) else None
    state = f"{after.name} is {after.phase}, canary weight {after.weight} %"
    waits = f"; waiting: {after.waiting_for}" if after.waiting_for else ""
    match given.verb:
        case "pause":
            if commanding.between(after.phase):
                return Exit.OK, f"Paused: {after.name} is {after.phase}; the next release will hold before its first step."
            return Exit.OK, f"Paused: {state}. Go on with: flaggerpy resume {after.name} -n {after.namespace}"
        case "resume":
            return Exit.OK, f"Resumed: {state}{waits}."
        case "abort":
            if after.idle or after.verdict:
                return Exit.OK, f"Aborted: {state}{_cause(ended, after)}."
            return Exit.FAILED, f"The controller did not abort: {state}{waits}.{_said(before, after)}"
        case "retry":
            if after.phase != "Failed":
                return Exit.OK, f"Retrying revision {after.revision}: {state}{waits}."
            return Exit.FAILED, f"The controller did not retry: {state}{waits}.{_said(before, after)}"
        case "skip":
            known = sum(order.command == "skip" for order in before.orders)
            taken = sum(order.command == "skip" for order in after.orders) > known or after.skip or after.revision != before.revision
            if taken or (after.phase, after.step) != (before.phase, before.step):
                return Exit.OK, f"Skipped: {state}{waits}."
            return Exit.FAILED, f"Not skipped: {state}{waits}.{_said(before, after)}"
        case "rollback-to":
            if given.value in (after.reverting, after.revision) and given.value != before.revision:
                return Exit.OK, f"Rolling back to revision {given.value}: {state}{waits}."
            return Exit.FAILED, f"Not rolled back to {given.value}: {state}{waits}.{_said(before, after)}"
        case _:
            if after.forced or after.phase in ("Promoting", "Finalising", "Succeeded"):
                return Exit.OK, f"Promoted by hand: {state}{waits}."
            return Exit.FAILED, f"Not promoted yet: {state}{waits}.{_said(before, after)}"


def _cause(ended: HistoryLine | None, view: CanaryView) -> str:
    cause = (ended.cause if ended else "") or view.verdict
    return f" ({cause})" if cause else ""


def _said(before: CanaryView, after: CanaryView) -> str:
    """The last words of the controller since the command, where events can be read."""
    new = [event for event in after.events if event not in before.events]
    return f' It said: "{new[-1].message}"' if new else ""
