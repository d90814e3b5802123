"""`flaggerpy simulate`: a release played by the real core in the model world, shown as `watch` shows a real one. No cluster.

The whole play is computed first, which takes less than a second; what a terminal then shows is a film of it, at a speed for eyes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from rich.console import Console
from rich.live import Live

from flaggerpy.api.canary import parse_canary
from flaggerpy.api.status import Phase, timestamp
from flaggerpy.cli import screens
from flaggerpy.cli.changes import print_changes
from flaggerpy.cli.live import LiveView, Traffic
from flaggerpy.cli.problems import Exit, Problem
from flaggerpy.cli.simulated import CALM_MS, ERRORS, SLOWNESS, about_time, cast_of, default_provider, measuring, refusals
from flaggerpy.cli.views import CanaryView, age, canary_view
from flaggerpy.cli.waiting import Ended, Target, Wanted, judge
from flaggerpy.model.faults import Fault
from flaggerpy.model.scenario import Stage
from flaggerpy.model.workloads import Side

Obj = dict[str, Any]

FRAMES_PER_SECOND = 10
FILM_SECONDS = 20.0
"""How long the film of a release is at most, unless a speed is asked for."""
LONGEST_GAP = 2.5
"""Seconds that the film spends at most between two changes."""
LOG_LINES = 8


@dataclass(frozen=True)
class Frame:
    """The release at one moment; `lines` are the events and alerts so far."""

    view: CanaryView
    traffic: Traffic
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Play:
    """A release from its beginning to its end. `seconds` is how long it would take; `notes` what a person should know about the play."""

    frames: tuple[Frame, ...]
    ended: Ended
    seconds: float
    notes: tuple[str, ...]
    told: tuple[tuple[float, str, str], ...]
    """Seconds since the change of the image, kind and text of every event and alert."""

    @property
    def last(self) -> CanaryView:
        return self.frames[-1].view


def play(
    canary: Mapping[str, Any],
    workload: Mapping[str, Any] | None,
    *,
    faults: Sequence[Fault] = (),
    seed: int = 0,
    image: str = "",
    provider: str = "",
    limit: float = 86400.0,
) -> Play:
    """Play a release. `provider` stands for the controller's -mesh-provider; `limit` in seconds of the release.

    Raises Problem when the controller would refuse the Canary, or a fault is about a container that is not there.
    """
    provider = provider or default_provider(canary)
    problems = refusals(canary, provider)
    if problems:
        raise Problem(Exit.FAILED, "The controller would refuse this Canary:\n" + "\n".join(f"  {problem}" for problem in problems))
    typed = parse_canary(canary)
    cast = cast_of(typed, provider, workload, image)
    for fault in faults:
        if fault.container and fault.container not in (actor.name for actor in cast.actors):
            have = ", ".join(actor.name for actor in cast.actors)
            raise Problem(Exit.USAGE, f"--fault {fault.text}: there is no container {fault.container}; there are: {have}")
    stage = Stage(canary, cast, measure=measuring(typed, provider), faults=faults, seed=seed)
    shown_provider = typed.spec.provider or provider
    if not stage.prepare():
        frame = _frame(stage, shown_provider)
        cause = frame.view.history[0].cause if frame.view.history else ""
        return Play((frame,), Ended(Exit.FAILED, f"{typed.name} cannot be initialised: {cause}"), 0.0, (), _told(stage))
    frames = [_frame(each, shown_provider) for each in stage.play(limit=limit)]
    frames.append(_frame(stage, shown_provider))
    seconds = stage.now - stage.released_at
    return Play(tuple(frames), _verdict(stage, frames[-1].view, seconds), seconds, tuple(_notes(stage)), _told(stage))


def _frame(stage: Stage, provider: str) -> Frame:
    target, primary = stage.target, stage.primary
    obj: Obj = {
        "metadata": {"name": stage.name, "namespace": stage.namespace},
        "spec": {**stage.spec, "provider": provider},
        "status": stage.status,
    }
    events = [{"type": told.kind, "message": told.message, "lastTimestamp": timestamp(told.at)} for told in stage.told]
    view = canary_view(
        obj, stage.now, primary_pods=_pods(stage, primary), canary_pods=_pods(stage, target),
        events=[event for event in events if not event["type"].startswith("alert")],
    )  # fmt: skip
    lines = tuple(f"  +{age(told.at - stage.released_at):<6}{_mark(told.kind)}{told.message}" for told in stage.told)
    return Frame(view, _traffic(stage, view), lines)


def _mark(kind: str) -> str:
    return "" if kind == "Normal" else f"{kind}: "


def _told(stage: Stage) -> tuple[tuple[float, str, str], ...]:
    return tuple((told.at - stage.released_at, told.kind, told.message) for told in stage.told)


def _pods(stage: Stage, side: Side | None) -> list[Obj]:
    if side is None:
        return []
    mine = [pod for pod in side.pods if pod.revision == side.template or stage.is_ready(pod)]
    return [{"status": {"conditions": [{"type": "Ready", "status": "True" if stage.is_ready(pod) else "False"}]}} for pod in mine]


def _traffic(stage: Stage, view: CanaryView) -> Traffic:
    """What users would see: only where weights say which share of them the canary has."""
    if not stage.cast.weights or view.strategy == "ab-testing":
        return Traffic()
    share, trouble = view.weight, stage.trouble()
    slow = trouble == "latency" and share > 0
    return Traffic(
        success_rate=100.0 - (ERRORS * share / 100 if trouble == "errors" else 0.0), p99_ms=CALM_MS * (10 * SLOWNESS if slow else 1)
    )  # fmt: skip


def _verdict(stage: Stage, view: CanaryView, seconds: float) -> Ended:
    if not stage.ended:
        waits = view.waiting_for or f"phase {view.phase}"
        return Ended(Exit.TIMED_OUT, f"Not over after {age(seconds)}, and nothing more happens by itself; waiting: {waits}")
    assert stage.target is not None
    target = Target(images=view.images, revision=stage.target.template, revision_created=stage.released_at)
    said = judge(view, target, Wanted(revision=stage.new), since=stage.released_at, seen_before=True)
    return said if isinstance(said, Ended) else Ended(Exit.TIMED_OUT, said.sentence)


def _notes(stage: Stage) -> list[str]:
    """What a person should know: faults that did not come about, and those that nobody noticed."""
    found = [f"--fault {fault.text} did not come about: the release ended before." for fault in stage.unseen_faults()]
    plan = stage.canary.spec.plan
    succeeded = stage.phase is Phase.SUCCEEDED
    for name, sees in (("errors-at", lambda m: not about_time(m)), ("latency-at", about_time)):
        if stage.faults.find(name) and succeeded and name in stage.faults.began and not any(sees(metric) for metric in plan.metrics):
            found.append(f"No metric of this analysis notices {name.removesuffix('-at')}: the release was promoted with it.")
    roles = {hook.role for hook in plan.webhooks}
    if stage.faults.find("gate-closed") and not any(role.startswith("confirm-") for role in roles):
        found.append("This analysis has no gate (a webhook of type confirm-*) that could be closed.")
    for name, role in (("check-fails", "pre-rollout"), ("rollback-asked-at", "rollback")):
        if stage.faults.find(name) and role not in roles:
            found.append(f"This analysis has no webhook of type {role}: --fault {name} has no effect.")
    if not stage.cast.weights and stage.faults.find("route-refused"):
        found.append("This provider has no route: --fault route-refused has no effect.")
    return found


# --- showing it ---------------------------------------------------------------------------------------------------------------------


def print_lines(shown: Play, out: Console) -> None:
    """The lines that `watch` would print without a terminal."""
    said: dict[str, tuple[object, ...]] = {}
    for frame in shown.frames:
        print_changes([frame.view], said, out)


def film(shown: Play, out: Console, headline: str, speed: float | None, sleep: Callable[[float], None] = time.sleep) -> None:
    """The live view, moving; `speed` in seconds of the release per second, None: as fast as pleases the eye, 0: the end at once."""
    pace = max(1.0, shown.seconds / FILM_SECONDS) if speed is None else speed
    with Live(console=out, auto_refresh=False) as live:

        def show(frame: Frame, now: float) -> None:
            view = LiveView([replace(frame.view, now=now)], [frame.traffic], headline, frame.lines[-LOG_LINES:])
            live.update(view, refresh=True)

        for frame, following in pairwise(shown.frames) if pace > 0 else ():
            length = following.view.now - frame.view.now
            pictures = max(1, round(min(length / pace, LONGEST_GAP) * FRAMES_PER_SECOND)) if length else 1
            for number in range(pictures):
                show(frame, frame.view.now + length * number / pictures)
                sleep(1 / FRAMES_PER_SECOND)
        show(shown.frames[-1], shown.last.now)


def print_end(shown: Play, out: Console) -> None:
    """The page of `describe`, the verdict as `wait` words it, and the notes."""
    out.print()
    out.print(screens.describe(shown.last), end="", markup=False)
    out.print()
    for note in shown.notes:
        out.print(f"Note: {note}", markup=False)
    out.print(f"{shown.ended.sentence} (simulated: {age(shown.seconds)})", markup=False)


def as_data(shown: Play) -> Obj:
    """The play for programs: what `-o json` prints. Times in seconds since the image was changed."""
    start = shown.frames[0].view.now
    steps: list[Obj] = []
    for frame in shown.frames:
        view = frame.view
        step = {"phase": view.phase, "canaryWeight": view.weight, "waitingFor": view.waiting_for}
        if not steps or {key: steps[-1][key] for key in step} != step:
            steps.append({"at": round(view.now - start, 1), **step})
    newest = shown.last.history[0] if shown.last.history else None
    finished = newest is not None and shown.ended.code is not Exit.TIMED_OUT
    return {
        "canary": shown.last.name,
        "namespace": shown.last.namespace,
        "exitCode": int(shown.ended.code),
        "verdict": shown.ended.sentence,
        "outcome": newest.outcome if newest and finished else "",
        "cause": newest.cause if newest and finished else "",
        "seconds": round(shown.seconds, 1),
        "notes": list(shown.notes),
        "steps": steps,
        "events": [{"at": round(at, 1), "type": kind, "message": message} for at, kind, message in shown.told],
    }
