"""Releases of the model world, told line by line: all that a person, a cluster or the next look gets to see of each decision.

`stories/*.txt` hold what was told when it was last looked at by a person; `python -m tests.rollout.telling` writes them anew. A story is
not about one rule: it is where a change of words, order or times anywhere in the core shows, to be looked at in the diff.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

from flaggerpy.api.canary import PodHealth
from flaggerpy.api.status import CanaryStatus, FailureState, Phase, from_timestamp
from flaggerpy.model.begins import BEGINS, befall, go, reaches
from flaggerpy.model.events import EVENTS
from flaggerpy.model.scene import GATES, Scene
from flaggerpy.model.strategies import STEPS, STRATEGIES, WEIGHTED
from flaggerpy.model.world import World
from flaggerpy.rollout import effects as fx
from flaggerpy.rollout.causes.table import BY_ID
from flaggerpy.rollout.decision import Decision
from flaggerpy.rollout.diagnosis import Diagnosis, diagnose, refused_pod
from flaggerpy.rollout.facts import ContainerFacts, ImageAnswer
from flaggerpy.rollout.forecast import Circumstances, forecast
from flaggerpy.rollout.imagecheck import explained
from flaggerpy.rollout.podhealth import judge
from tests.rollout import kubelet
from tests.rollout.kubelet import waiting

STORIES = Path(__file__).parent / "stories"
UNTOLD = (fx.RecordEvent, fx.Deliver)
"""Told as the events and alerts that they are."""
RUN = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{8}(?=[0-9a-f]{4}\b)")
"""All but the last digits of a run's id."""
LONGEST = 40.0
"""Seconds after what befell at which a story that goes on is left."""


class Teller:
    """Listens to a scene's decisions. `lines` grow with each one that changes or does anything."""

    def __init__(self, scene: Scene) -> None:
        self.lines: list[str] = []
        self._began = scene.now
        self._did: tuple[str, ...] = ()
        self._wakes: float | None = None
        scene.checks = [self._listen]

    def say(self, text: str) -> None:
        self.lines.append(text)

    def _listen(self, world: World, decision: Decision) -> None:
        before, after = world.typed, decision.status
        told = (*_status(before, after, self._began), *_events(decision), *_owed(before, after), *self._doings(decision))
        for line in (*told, *self._wake(decision, after)):
            self.say(f"{f'+{world.now - self._began:g}s':>8}  {line}")

    def _wake(self, decision: Decision, after: CanaryStatus) -> Iterator[str]:
        """When it is looked again though nothing happens, where that is not when what is waited for is over."""
        wakes, until = decision.wake, after.progress.until if after.progress else None
        if wakes is not None and wakes != self._wakes and (until is None or abs(from_timestamp(until) - wakes) > 0.5):
            yield f"looks again {wakes - self._began:+.1f}s"
        self._wakes = wakes

    def _doings(self, decision: Decision) -> Iterator[str]:
        """What is done, where it is not what the last look did already."""
        doings = tuple(_effect(effect) for effect in decision.effects if not isinstance(effect, UNTOLD))
        if doings != self._did:
            yield from (f"does {doing}" for doing in doings if doing not in self._did)
        self._did = doings


def _effect(effect: fx.Effect) -> str:
    shown = [f"{field.name}={_value(getattr(effect, field.name))}" for field in fields(effect) if field.name != "idempotency_key"]
    return RUN.sub("RUN-", f"{type(effect).__name__} {' '.join(shown)}".rstrip())


def _value(value: Any) -> str:
    return str(getattr(value, "name", value))


def _status(before: CanaryStatus, after: CanaryStatus, began: float) -> Iterator[str]:
    if after.phase is not before.phase:
        yield f"phase {after.phase or 'none'}"
    for name in ("canary_weight", "iterations", "failed_checks", "last_applied_spec", "last_promoted_spec", "session_affinity_cookie",
                 "previous_session_affinity_cookie", "tracked_configs", "promoted_configs", "promoted_images", "applied_images",
                 "promoted_revisions", "reverting"):  # fmt: skip
        if getattr(before, name) != getattr(after, name):
            yield f"{name} {getattr(after, name)}"
    if after.last_transition_time != before.last_transition_time:
        yield f"changed {from_timestamp(after.last_transition_time or '') - began:+g}s"
    if after.progress != before.progress:
        yield f"waits {_progress(after, began)}"
    known = {(c.type, c.status, c.reason, c.message) for c in before.conditions}
    for c in after.conditions:
        repeats = after.progress is not None and c.message == after.progress.waiting_for
        if (c.type, c.status, c.reason, c.message) not in known and not repeats:
            yield f"condition {c.type}={c.status} {c.reason}: {c.message}"
    for failure in after.pod_failures:
        if failure not in before.pod_failures:
            yield f"failure {failure.model_dump(exclude_defaults=True)}"
    if after.history[:1] != before.history[:1]:
        entry = after.history[0]
        yield f"history {entry.outcome} {entry.revision} attempt {entry.attempt} {entry.images}: {entry.cause}{' (forced)' * entry.forced}"
        yield from (f"  order {order.model_dump(exclude_defaults=True)}" for order in entry.orders)
        if entry.measured is not None:
            yield f"  measured {entry.measured.model_dump(exclude_defaults=True)}"


def _progress(status: CanaryStatus, began: float) -> str:
    progress = status.progress
    if progress is None:
        return "for nothing"
    times = [f"{name} {from_timestamp(at) - began:+g}s" for name, at in (("since", progress.since), ("until", progress.until)) if at]
    then, advice = f", then {progress.then}" if progress.then else "", f"; {progress.advice}" if progress.advice else ""
    return f"for {progress.waiting_for} ({', '.join(times)}{then}{advice})"


def _events(decision: Decision) -> Iterator[str]:
    for effect in decision.effects:
        if isinstance(effect, fx.RecordEvent):
            yield f"event {effect.type} ({effect.phase}, {effect.reason}) {effect.message}"


def _owed(before: CanaryStatus, after: CanaryStatus) -> Iterator[str]:
    known = {item.id for item in before.outbox}
    for item in after.outbox:
        if item.id not in known:
            yield f"owes {item.kind} ({item.phase}, {item.severity}{', with facts' * item.with_facts}) {item.message}".rstrip()


def _weighted(scene: Scene) -> bool:
    return scene.phase is Phase.PROGRESSING and scene.typed.canary_weight > 0


def _is(*phases: Phase) -> Callable[[Scene], bool]:
    return lambda scene: scene.phase in phases


MOMENTS: dict[str, tuple[str, str, Callable[[Scene], bool]]] = {
    "in the bootstrap": ("weighted", "a new Canary", _is(Phase.INITIALIZING)),
    "as pods start": ("weighted", "a good release", _is(Phase.PROGRESSING)),
    "with weight": ("weighted", "a good release", _weighted),
    "at the first gate": ("gated", "a release at its first gate", _is(Phase.WAITING)),
    "at the last gate": ("gated", "a release held before its promotion", _is(Phase.WAITING_PROMOTION)),
    "in the promotion": ("back in steps", "a good release", _is(Phase.PROMOTING)),
    "after a success": ("weighted", "a good release", _is(Phase.SUCCEEDED)),
    "after a failure": ("weighted", "a release that failed", _is(Phase.FAILED)),
    "on the way back": ("weighted", "a promotion that is being undone", lambda scene: True),
    "with no way back": ("weighted", "a promotion that failed on both sides", lambda scene: True),
    "in the deletion": ("weighted", "a Canary that is being deleted", lambda scene: True),
    "with a mirror": ("mirrored", "a good release", lambda scene: _run_of(scene, "mirrored")),
    "with iterations": ("blue/green", "a good release", lambda scene: scene.typed.iterations == 1),
    "with all traffic": ("blue/green", "a good release", lambda scene: _run_of(scene, "routed_to_canary")),
    "with a match": ("A/B", "a good release", lambda scene: scene.typed.iterations == 1),
    "before the first traffic": ("gated", "a good release", _is(Phase.PROGRESSING)),
    "after the last gate": ("gated", "a good release", lambda scene: _run_of(scene, "promotion_gate_open")),
}
"""Strategy, beginning, and from when on something befalls."""
FEW = (
    "before the first traffic", "with a mirror", "with iterations", "with all traffic", "with a match", "after the last gate",
)  # fmt: skip
"""Moments at which only what befalls traffic and run is tried: the rest is told at others."""
BEFALLS = (
    "a good template", "back to the promoted template", "the canary loses a pod", "the canary loses all pods", "the primary loses all pods",
    "the primary is gone", "metric: bad", "metric: unreachable",
    "pre-rollout turns", "rollback turns", "command abort", "command promote", "command skip",
    "suspend turns", "the Canary is deleted",
)  # fmt: skip


def _run_of(scene: Scene, field: str) -> bool:
    return scene.typed.run is not None and bool(getattr(scene.typed.run, field))


ALL: dict[str, dict[str, Any]] = {
    **STRATEGIES,
    "mirrored blue/green": {"analysis": {**STEPS, "mirror": True}},
    "image check": {"analysis": WEIGHTED, "podHealth": {"imageCheck": "Fail"}},
    "by Services in weights": {"weights": False, "analysis": WEIGHTED},
    "of one pod": {"replicas": 1, "analysis": WEIGHTED},
    "sticky": {"analysis": {**WEIGHTED, "sessionAffinity": {"cookieName": "flagger-cookie"}}},
}


def of_strategy(strategy: str) -> str:
    """A first start and a good release."""
    scene = Scene(**ALL[strategy])
    teller = Teller(scene)
    teller.say("A new Canary")
    reaches(scene, lambda: scene.at_rest)
    teller.say("A good template")
    befall(scene, "a good template")
    reaches(scene, lambda: scene.at_rest)
    return "\n".join(teller.lines) + "\n"


Said = Literal["missing", "doubt", "unchecked"]
SAID: tuple[Said, ...] = get_args(Said)


def of_image_answers() -> str:
    """What a person reads of each answer of a registry."""
    lines: list[str] = []
    asked: list[tuple[Said, str, str]] = [("missing", cause, "app") for cause in BY_ID if cause.startswith(("image", "pull"))]
    for kind in SAID:
        asked += [(kind, cause, container) for cause in ("", "image-missing", "pull-unknown", "pull-dns") for container in ("app", "")]
    for kind, cause, container in dict.fromkeys(asked):
        answer = ImageAnswer("registry.example.com:5000/team/app:1.0.0", kind, cause, "what it said", container)
        lines += [f"{kind} {cause or 'for no cause'}{', of a container' if container else ''}", *_said(explained(answer, namespace="shop"))]
        first = replace(answer, role="init", detail="")
        lines += ["  of one that starts first, with nothing said, in no namespace", *_said(explained(first, namespace=""))]
    return "\n".join(lines) + "\n"


def of_health() -> str:
    """What is found of pods, look by look."""
    old = kubelet.running(restarts=5, last=1)
    missing, refused, busy = (waiting(row.reason, row.message) for row in kubelet.ROWS if row.case in ("tag missing", "403", "503"))
    series: dict[str, list[tuple[ContainerFacts, ...]]] = {
        "an image is missing": [(missing, missing)] * 3,
        "of one pod of two": [(missing, old)] * 3,
        "a registry is busy": [(busy, busy)] * 8,
        "a container crashes": [(kubelet.backed_off(restarts=n), kubelet.running()) for n in range(5)],
        "beside one that did before": [(kubelet.backed_off(restarts=n), old) for n in range(5)],
        "without a reason": [(kubelet.running(ready=False, restarts=n, last=1, last_reason=""), old) for n in range(5)],
        "and runs in between": [(kubelet.running(ready=n % 2 > 0, restarts=n, last=1), old) for n in range(5)],
        "it ends well again and again": [(kubelet.backed_off(0, restarts=n), old) for n in range(5)],
        "nothing is the matter": [(old, old)] * 2,
        "a pull secret turns out to be absent": [(refused, refused)] * 3,
        "pods start": [(kubelet.running(ready=False), kubelet.running(ready=True)), (kubelet.running(), kubelet.running())],
    }
    lines: list[str] = []
    for name, looks in series.items():
        memory: list[FailureState] = []
        before: set[str] = set()
        lines.append(name)
        for at, containers in enumerate(looks):
            known = NO_SECRET if "turns out" in name and at else ()
            pods = [kubelet.pod(each, name=f"podinfo-{number}", events=known) for number, each in enumerate(containers)]
            found = judge(pods, memory, PodHealth(), now=1000.0 + 6 * at, ready_threshold=100, desired=2)
            memory = found.failures
            told = [f"    {field}: {value}" for field, value in vars(found).items() if value and field != "failures"]
            told += [f"    remembers {state.model_dump(exclude_defaults=True)}" for state in memory]
            lines += [f"  +{6 * at}s", *(line for line in told if line not in before)]
            before = set(told)
    return "\n".join(lines) + "\n"


def of_beginning(name: str) -> str:
    """A beginning that goes its own way."""
    scene = Scene(**STRATEGIES["gated" if "gate" in name or "held" in name else "weighted"])
    BEGINS[name](scene)
    return "\n".join([name, *_after(scene)]) + "\n"


def of_moment(moment: str) -> str:
    """Each event that makes sense at the moment, with what comes of it that would not have come without."""
    strategy, begin, when = MOMENTS[moment]
    first = Scene(**STRATEGIES[strategy])
    BEGINS[begin](first)
    go(first, lambda: when(first))
    undisturbed = frozenset(_after(first.fork()))
    lines: list[str] = []
    for event in EVENTS:
        if event.fits(first) and not event.name.startswith("death") and (moment not in FEW or event.name in BEFALLS):
            scene = first.fork()
            scene.quiet = False
            event.apply(scene)
            lines += [event.name, *(line for line in _after(scene) if line not in undisturbed)]
    return "\n".join(lines) + "\n"


def _after(scene: Scene) -> list[str]:
    teller, end = Teller(scene), scene.now + LONGEST
    reaches(scene, lambda: scene.gone or scene.now >= end)
    return teller.lines


NO_SECRET = (("FailedToRetrieveImagePullSecret", "Unable to retrieve some image pull secrets (registry); attempting to pull"),)


def of_diagnoses() -> str:
    """What a person reads of each report of a kubelet, and of each way in which a container ends."""
    reports: list[tuple[str, ContainerFacts]] = [(row.case, waiting(row.reason, row.message)) for row in kubelet.ROWS + kubelet.OTHER_ROWS]
    for code in (0, 1, 2, 126, 127, 128, 130, 134, 137, 139, 143, 255):
        reports.append((f"ends with {code}", kubelet.backed_off(code)))
        reports.append((f"has ended with {code}", kubelet.ended(code, restarts=1)))
    for role in ("init", "sidecar"):
        reports.append((f"{role} ends", kubelet.backed_off(1, role=role)))
        reports.append((f"{role} waits", waiting("ErrImagePull", kubelet.ROWS[0].message, role=role)))
    reports.append(("memory", kubelet.backed_off(137, last_reason="OOMKilled")))
    reports += [(f"ends with {code} for no reason", kubelet.ended(code, reason="")) for code in (0, 1, 137)]
    reports.append(("runs", kubelet.running(ready=False)))
    reports.append(("runs again", kubelet.running(ready=False, restarts=2, last=1)))
    lines: list[str] = []
    for case, container in reports:
        found = diagnose(kubelet.pod(container), container, namespace="shop")
        bare = diagnose(kubelet.pod(container, node="", pull_secrets=()), container, namespace="shop")
        absent = diagnose(kubelet.pod(container, events=NO_SECRET), container, namespace="shop")
        probed = diagnose(kubelet.pod(container, probe_kills=frozenset({"podinfo"})), container, namespace="shop")
        lines += [case, *_said(found)]
        nowhere = diagnose(kubelet.pod(container), container)
        if nowhere and found and nowhere.command != found.command:
            lines.append(f"  in no namespace: {nowhere.command}")
        if bare != found:
            lines += [f"{case}, no pull secret, no node", *_said(bare)]
        if absent != found:
            lines += [f"{case}, its pull secret is absent", *_said(absent)]
        if probed != found:
            lines += [f"{case}, and its probe failed", *_said(probed)]
    for error in ("exceeded quota: pods", 'admission webhook "x" denied the request: no', "", "pods is forbidden: why"):
        lines.append(f"refused: {error}")
        lines += _said(refused_pod(error, namespace="shop"))
    return "\n".join(lines) + "\n"


def _said(found: Diagnosis | None) -> list[str]:
    return [f"  {name}: {value}" for name, value in vars(found).items()] if found else ["  nothing"]


def of_forecasts() -> str:
    """What `plan` foresees of each strategy, in each kind of circumstances."""
    lines: list[str] = []
    seen = (Circumstances(), Circumstances(start=3, judges=False), Circumstances(weights=False), Circumstances(mirror=True))
    plans = {
        "many failures forgiven": {**WEIGHTED, "threshold": 4},
        "quick": {**WEIGHTED, "interval": "5s"},
        "hooks alone": {**STEPS, "webhooks": [gate for gate in GATES if gate["type"] == "rollout"]},
        "back at once": {**WEIGHTED, "stepWeightPromotion": 100},
    }
    before = {**WEIGHTED, "threshold": 4, "metrics": [], "webhooks": [gate for gate in GATES if gate["type"] == "pre-rollout"]}
    strict: dict[str, dict[str, Any]] = {
        "nothing forgiven": {"analysis": {**WEIGHTED, "threshold": 1}, "podHealth": {"maxRestarts": 0}},
        "many crashes forgiven": {"analysis": before, "podHealth": {"maxRestarts": 9}},
        "skipped and back in steps": {"analysis": {**WEIGHTED, "stepWeightPromotion": 50}, "skipAnalysis": True},
        "by one percent": {"analysis": {**WEIGHTED, "stepWeight": 1, "maxWeight": 2, "stepWeightPromotion": 1}},
    }
    for strategy, spec in {**STRATEGIES, **{name: {"analysis": plan} for name, plan in plans.items()}, **strict}.items():
        for circumstances in seen:
            told = forecast(Scene(**spec).canary, circumstances)
            lines.append(f"{strategy}, {circumstances}: {told.best:g}s to {told.worst:g}s, back in {told.rollback}")
            lines += [f"  {each}" for each in (*told.parts, *told.failures)]
    return "\n".join(lines) + "\n"


def everything() -> dict[str, Callable[[], str]]:
    """All stories by the name of their file."""
    told: dict[str, Callable[[], str]] = {
        "diagnoses": of_diagnoses, "forecasts": of_forecasts, "image answers": of_image_answers, "health": of_health,
    }  # fmt: skip
    for strategy in ALL:
        told[f"strategy {strategy}"] = partial(of_strategy, strategy)
    for begin in BEGINS:
        told[f"beginning {begin}"] = partial(of_beginning, begin)
    for moment in MOMENTS:
        told[f"moment {moment}"] = partial(of_moment, moment)
    return {name.replace("/", "-").replace(" ", "-").lower(): tell for name, tell in told.items()}


def keep(path: Path, lines: Iterable[str], by: str) -> None:
    """Write what is told, with a first line that says who wrote it."""
    path.write_text("\n".join([f"# Generated by python -m {by}: not to be edited, its diff is to be looked at.", *lines]) + "\n")


def kept(path: Path) -> list[str]:
    """The lines that `keep` was given."""
    return path.read_text().splitlines()[1:]


def main() -> int:
    """Write all stories anew, and take away those that are not told any more."""
    STORIES.mkdir(exist_ok=True)
    stories = everything()
    for path in STORIES.glob("*.txt"):
        if path.stem not in stories:
            path.unlink()
    for name, tell in stories.items():
        keep(STORIES / f"{name}.txt", tell().splitlines(), "tests.rollout.telling")
    return 0


if __name__ == "__main__":
    sys.exit(main())
