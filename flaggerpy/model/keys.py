"""When two scenes are the same: one key for all that a release may become, blind to absolute times, names and tales.

Times become ages, cut off where nothing in the core looks any further; revisions, pods and run ids become numbers in the order in which
they are met. What is told to people only (history, conditions, progress, events) is left out. A field that this file does not know goes
in as it is: that may keep states apart that are one, but never takes two for one. `explore` proves the abstraction by samples: of two
scenes of one key the successors must have one key again.
"""

from __future__ import annotations

import hashlib
from typing import Any

from flaggerpy.api.status import CanaryStatus, DeadlineState, FailureState, Phase, RunState, from_timestamp, timestamp
from flaggerpy.model.invariants import last_left, raised_at, written_in_run
from flaggerpy.model.scene import MOST_CRASHES, Scene
from flaggerpy.model.workloads import GOOD, SYNC, Behaviour, Side
from flaggerpy.rollout.imagecheck import DONE, PATIENCE
from flaggerpy.rollout.podhealth import CRASH_WINDOW
from flaggerpy.rollout.revision import release_revision

LONG = 61.0
"""Seconds: the longest limit in a scene's spec (its deadline), and a second."""
_UNTOLD = frozenset({
    "history", "conditions", "progress", "last_transition_time", "observed_generation",
    "pod_failures", "promoted_images", "applied_images", "run", "outbox",
    "last_applied_spec", "last_promoted_spec", "session_affinity_cookie", "previous_session_affinity_cookie",
    "primary_session_affinity_cookie",
    "tracked_configs", "promoted_configs", "promoted_revisions", "reverting", "flagger_applied", "flagger_promoted",
    "floor_since",
})
_RUN_UNTOLD = frozenset({
    "id", "revision", "attempt", "images", "started_at",
    "progressing_at", "verdict", "verdict_severity", "primary_id", "asked_round",
    "deadline", "primary_deadline", "failures", "primary_failures", "settled_restarts",
    "orders", "measured", "gate_closed_at",
})
_RUN_AGES = {
    "analysed_at": 11.0,
    "announced_since": 3.0,
    "settled_since": 11.0,
    "primary_weight_step_at": 11.0,
    "drain_since": 6.0,
    "no_data_at": 11.0,
    "capacity_since": LONG,
    "unmeasured_since": LONG,
}
"""Where the core looks no further back: a second more than the interval, the settling, the drain, the deadline."""
_SCENE_UNTOLD = frozenset({
    "alerts", "posted", "events", "phases", "counted",
    "asked", "hooks", "metrics", "fault", "checks",
    "tally", "quiet", "decision", "now", "generation",
    "status", "behaviour", "target", "primary", "route_at",
    "announced_at", "leads_at", "route_writes", "kept", "answers",
    "measurements", "delivered", "revisions", "spec", "configs", "commands",
    "announcements", "back_at", "unfit", "givers", "images", "image_answers",
    "born", "copied", "quiet_since",
})


def key(scene: Scene) -> bytes:
    """16 bytes: equal for scenes that are the same."""
    return hashlib.blake2b(repr(_Names(scene).whole()).encode(), digest_size=16).digest()


class _Names:
    """The renaming of one scene."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.revisions: dict[str, int] = {}
        self.ids: dict[str, str] = {"": ""}
        self.pods: dict[str, int] = {}

    def whole(self) -> tuple[Any, ...]:
        scene, status = self.scene, self.scene.typed
        run = status.run
        if run is not None:
            self.ids[run.id] = "run"
            self.ids[f"{run.id}-undo"] = "undo"
            if run.primary_id:
                self.ids.setdefault(run.primary_id, "before")
        sides = (self.side(scene.target), self.side(scene.primary))
        applied = (self.revision(status.last_applied_spec), self.revision(status.last_promoted_spec))
        reverting = (self.revision(status.reverting.revision), self.revision(status.reverting.before)) if status.reverting else None
        configs = scene.configs if isinstance(scene.configs, dict) else None
        target = self.revision(release_revision(scene.target.template, configs)) if scene.target else 0
        told = (
            *sides,
            applied,
            target,
            tuple(self.revision(name) for name in status.promoted_revisions),
            reverting,
            self.commands(run),
            self.revision(scene.unfit),
            self.status(status),
            self.run(run, status.phase) if run is not None else None,
            tuple((item.kind, item.phase) for item in status.outbox),
            self.memory(run),
            (self.age(scene.route_at, 11.0), self.age(scene.announced_at, 3.0), self.age(scene.leads_at, 3.0)),
            self.age(scene.back_at, 6.0),
            self.witness(run),
            str(sorted(scene.spec.items())),
        )
        rest = sorted(name for name in scene.__dict__ if name[0] != "_" and name not in _SCENE_UNTOLD)
        others = tuple((name, self.plain(scene.__dict__[name])) for name in rest)
        kept = tuple(sorted(self.revisions[revision] for revision in scene.kept if revision in self.revisions))
        known = self.revisions.items()
        behaviours = tuple((index, scene.behaviour.get(revision, GOOD), revision in scene.images) for revision, index in known)
        return (*told, scene.quiet, others, kept, tuple(one for one in behaviours if one[1:] != (GOOD, False)))

    def age(self, at: float | None, limit: float) -> float | None:
        return None if at is None else min(round(self.scene.now - at, 2), limit)

    def revision(self, name: str) -> int:
        return self.revisions.setdefault(name, len(self.revisions) + 1) if name else 0

    def id(self, name: str) -> str:
        return self.ids.setdefault(name, f"id{len(self.ids)}")

    def plain(self, value: Any) -> Any:
        return tuple(sorted(map(str, value))) if isinstance(value, set | frozenset) else str(value)

    def side(self, side: Side | None) -> tuple[Any, ...] | None:
        if side is None:
            return None
        pods = []
        for pod in side.pods:
            self.pods[pod.name] = len(self.pods)
            behaviour = self.scene.behaviour.get(pod.revision, GOOD)
            pods.append((self.revision(pod.revision), self.id(pod.flagger_id), pod.lost, self.pod_age(pod.born, behaviour)))
        head = (side.replicas, self.revision(side.template), self.revision(side.source_revision), self.id(side.flagger_id))
        return (*head, self.age(side.missized, SYNC + 1), tuple(pods))

    def pod_age(self, born: float, behaviour: Behaviour) -> Any:
        age = round(self.scene.now - born, 2)
        if behaviour.crash_every is None:
            return min(age, behaviour.ready_after or 0.0)
        return min(age, MOST_CRASHES * behaviour.crash_every)

    def status(self, status: CanaryStatus) -> tuple[Any, ...]:
        cookies = (status.session_affinity_cookie is None, status.previous_session_affinity_cookie is None)
        told = ((name, str(value)) for name, value in status.__dict__.items() if name not in _UNTOLD)
        floored = from_timestamp(status.floor_since) if status.floor_since else None
        return (*told, cookies, self.age(floored, LONG))

    def run(self, run: RunState, phase: Phase) -> tuple[Any, ...]:
        fields: list[Any] = []
        for name, value in run.__dict__.items():
            if name in _RUN_AGES:
                fields.append(self.age(value, _RUN_AGES[name]))
            elif name == "gates_passed":
                fields.append(tuple(sorted(value)))
            elif name not in _RUN_UNTOLD:
                fields.append(value)
        return (
            *fields,
            self.revision(run.revision),
            run.attempt == 0,
            run.verdict is not None,
            self.id(run.primary_id),
            *((self.age(run.started_at, LONG), self.age(run.progressing_at, LONG)) if phase is Phase.TERMINATING else ()),
            self.deadline(run.deadline, 10.0),
            self.deadline(run.primary_deadline, 0.0),
            # they are remembered in the order of the pods' names, in which the tenth comes before the ninth
            tuple(sorted((self.failure(state) for state in run.failures), key=str)),
            tuple(sorted((self.failure(state) for state in run.primary_failures), key=str)),
            run.settled_restarts if not run.settled else 0,
            self.age(run.progressing_at, PATIENCE + 1) if DONE not in run.gates_passed and not run.settled else None,
        )

    def deadline(self, state: DeadlineState | None, settle: float) -> tuple[Any, ...] | None:
        """What is left of it: while complete the clock stands, and after `settle` of that it begins anew."""
        if state is None:
            return None
        tops = (state.max_available, state.max_desired)
        if state.complete_since is not None and self.scene.now - state.complete_since >= settle:
            return (*tops, "begins anew")
        until = state.paused_since if state.paused_since is not None else self.scene.now
        return (*tops, min(round(until - state.advanced_at - state.paused, 2), LONG), self.age(state.complete_since, settle))

    def failure(self, state: FailureState) -> tuple[Any, ...]:
        counting = state.kind != "crash" or state.seen_ends - state.base_restarts - state.clean_exits > 0
        limit = CRASH_WINDOW + 1 if state.kind == "crash" else LONG
        since = self.age(state.first_seen, limit) if counting else None
        pod = self.pods.get(state.pod, -1)
        return (pod, state.container, state.kind, state.reason, since, state.base_restarts, state.clean_exits, state.seen_ends)

    def memory(self, run: RunState | None) -> tuple[Any, ...]:
        """What the controller's memory holds that may still be asked for: of this run and of its present round."""
        if run is None:
            return ()
        prefix, now = f"{run.id}/", f"{run.asked_round}/"
        found: list[Any] = []
        for name, answer in self.scene.answers.items():
            about = name.removeprefix(prefix)
            if about is name or (about[0].isdigit() and not about.startswith(now)):
                continue
            pace = 2.0 if about.startswith("rollback") else 10.0 if about.startswith("confirm-rollout") else 0.0
            found.append((about.removeprefix(now), answer.ok, self.age(answer.at, pace)))
        for name, told in self.scene.measurements.items():
            if name.startswith(prefix + now):
                found.append((name.removeprefix(prefix + now), told.kind, bool(told.text)))
        found.append(tuple(answer.kind for answer in self.scene.image_answers.get(f"{prefix}images", ())))
        owed = {item.id for item in self.scene.typed.outbox}
        return (*sorted(found, key=str), len(owed & self.scene.delivered))

    def commands(self, run: RunState | None) -> tuple[Any, ...]:
        """Who gave an order matters only in that the same one is not taken up twice."""
        known = {(order.command, order.at) for order in run.orders} if run is not None else set()
        told = []
        for name, value in sorted(self.scene.commands.items()):
            giver = self.scene.givers.get(name)
            taken = giver is not None and (name, timestamp(giver.at)) in known
            told.append((name, self.revision(value) if name == "rollback-to" else value, taken))
        return tuple(told)

    def witness(self, run: RunState | None) -> tuple[Any, ...]:
        """What the invariants remember of the past."""
        if run is None:
            return ()
        written = written_in_run(self.scene, run.progressing_at or run.started_at)
        raised = raised_at(self.scene)
        return (
            max((split.canary for split in written), default=0),
            any(split.match for split in written),
            (self.age(raised[0], 11.0), raised[1], raised[0] >= (run.progressing_at or run.started_at)) if raised else None,
            self.age(last_left(self.scene), 6.0),
        )
