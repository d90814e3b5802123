"""A person's commands to a release: which annotation they write, when they make sense, and how the controller's answer reads. Pure.

A command is an annotation on the Canary whose value is the revision that it is meant for, so that a late one never hits the next release;
the controller takes it off when it was carried out or refused. `pause` stands for as long as it holds; `resume` takes it off.
"""

from __future__ import annotations

from dataclasses import dataclass

from flaggerpy.api import names
from flaggerpy.cli.problems import Exit, Problem
from flaggerpy.cli.views import CanaryView, HistoryLine

ANY = "*"
PAUSE_SECONDS = 3.0
ANNOTATIONS: dict[str, str] = {
    "abort": names.COMMAND_ABORT,
    "retry": names.COMMAND_RETRY,
    "promote": names.COMMAND_PROMOTE,
    "pause": names.COMMAND_PAUSE,
    "resume": names.COMMAND_PAUSE,
}


@dataclass(frozen=True)
class Order:
    """The annotation to write; `value` None takes it off."""

    verb: str
    annotation: str
    value: str | None


def order(verb: str, view: CanaryView) -> Order:
    """What to write for this command. Raises Problem when it cannot be meant in this phase."""
    annotation = ANNOTATIONS[verb]
    if verb == "resume":
        if "pause" not in view.pending_commands:
            raise Problem(Exit.FAILED, f"{view.name} is not paused.")
        return Order(verb, annotation, None)
    if verb == "pause":
        return Order(verb, annotation, ANY if view.idle else view.revision or ANY)
    if verb == "retry":
        if view.phase != "Failed":
            raise Problem(Exit.FAILED, f"There is nothing to retry: {view.name} is {view.phase or 'not looked at yet'}, not Failed.")
        return Order(verb, annotation, view.revision or ANY)
    if view.idle:
        raise Problem(Exit.FAILED, f"There is nothing to {verb}: {view.name} is {view.phase}, no release is under way.")
    return Order(verb, annotation, view.revision or ANY)


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
        return view.idle or "paus" in view.waiting_for.lower() or "resume" in (view.waiting.advice if view.waiting else "").lower()
    return given.verb not in view.pending_commands


def outcome(given: Order, before: CanaryView, after: CanaryView) -> tuple[Exit, str]:
    """What happened, as exit code and sentence, once the command was acknowledged."""
    newest = after.history[0] if after.history else None
    ended = newest if newest and (not before.history or newest != before.history[0]) else None
    state = f"{after.name} is {after.phase}, canary weight {after.weight} %"
    waits = f"; waiting: {after.waiting_for}" if after.waiting_for else ""
    match given.verb:
        case "pause":
            if after.idle:
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
        case _:
            if after.phase in ("Promoting", "Finalising", "Succeeded"):
                return Exit.OK, f"Promoted by hand: {state}{waits}."
            return Exit.FAILED, f"Not promoted yet: {state}{waits}.{_said(before, after)}"


def _cause(ended: HistoryLine | None, view: CanaryView) -> str:
    cause = (ended.cause if ended else "") or view.verdict
    return f" ({cause})" if cause else ""


def _said(before: CanaryView, after: CanaryView) -> str:
    """The last words of the controller since the command, where events can be read."""
    new = [event for event in after.events if event not in before.events]
    return f' It said: "{new[-1].message}"' if new else ""
