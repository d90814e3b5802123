"""The alphabet of outside events: all that may befall a release, each as a small change of a scene that makes sense only sometimes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from flaggerpy.model.flagger import under_flagger
from flaggerpy.model.scene import GATES, Scene
from flaggerpy.model.workloads import GOOD, MISSING_IMAGE, NEVER_READY, Autoscaler, Behaviour, Side
from flaggerpy.rollout.facts import Giver, ImageAnswer, Split

CRASHING = Behaviour(crash_every=6.0, ready_after=1.0)
OUTAGE = 75.0
"""Seconds without a controller: longer than the progress deadline."""
MOST_DEATHS = 6


@dataclass(frozen=True)
class Event:
    """`apply` changes the scene, where `fits` says that it makes a difference; the controller has not looked yet."""

    name: str
    apply: Callable[[Scene], object]
    fits: Callable[[Scene], bool] = lambda scene: True


def _release(behaviour: Behaviour) -> Callable[[Scene], None]:
    def apply(scene: Scene) -> None:
        scene.revisions += 1
        template = f"v{scene.revisions}"
        if behaviour is MISSING_IMAGE:
            scene.images[template] = (ImageAnswer(f"r/app:{template}", "missing", cause="image-missing", container="app"),)
        scene.release(template, behaviour)

    return apply


def _back(scene: Scene) -> None:
    template = scene.kept.get(scene.typed.last_promoted_spec, "v1")
    scene.release(template, scene.behaviour.get(template, GOOD))


def _heal(scene: Scene) -> None:
    for side in (scene.target, scene.primary):
        for pod in side.pods if side else []:
            pod.lost = False


def _is_lost(scene: Scene) -> bool:
    return any(pod.lost for side in (scene.target, scene.primary) for pod in (side.pods if side else []))


def _pods(side: Side | None) -> bool:
    return side is not None and any(not pod.lost for pod in side.pods)


def _size(side: Side | None, else_: int = 0) -> int:
    return side.replicas if side is not None else else_


def _two(side: Side | None) -> bool:
    return side is not None and sum(not pod.lost for pod in side.pods) > 1


def _set(name: str, value: Any) -> Callable[[Scene], None]:
    return lambda scene: setattr(scene, name, value)


def _toggle(gate: str) -> Event:
    def apply(scene: Scene) -> None:
        scene.closed ^= {gate}

    return Event(f"{gate} turns", apply, lambda scene: any(hook["name"] == gate for hook in scene.spec["analysis"].get("webhooks", ())))


def _measures(kind: str) -> Event:
    def fits(scene: Scene) -> bool:
        return scene.metric != kind and bool(scene.spec["analysis"].get("metrics"))

    return Event(f"metric: {kind}", _set("metric", kind), fits)


def _command(name: str) -> Event:
    def apply(scene: Scene) -> None:
        scene.commands[name] = "*"
        scene.givers = {**scene.givers, name: Giver("kubectl-annotate", scene.now)}

    return Event(f"command {name}", apply, lambda scene: name not in scene.commands)


def _earlier(scene: Scene) -> str:
    """An earlier promoted revision that is still kept; "" when there is none."""
    earlier = (name for name in scene.typed.promoted_revisions if name in scene.kept and name != scene.wanted)
    return next(earlier, "")


def _roll_back(scene: Scene) -> None:
    scene.commands["rollback-to"] = _earlier(scene)
    scene.givers = {**scene.givers, "rollback-to": Giver("kubectl-annotate", scene.now)}


def _edit(name: str, **changes: Any) -> Event:
    """A change of the Canary's spec, taken back when it comes again."""

    def apply(scene: Scene) -> None:
        scene.generation += 1
        for field, value in changes.items():
            now = scene.spec.get(field)
            scene.spec = {**scene.spec, field: value if now != value else not value}

    return Event(name, apply, lambda scene: not scene.deleting)


def _steps(scene: Scene) -> None:
    scene.generation += 1
    analysis = scene.spec["analysis"]
    scene.spec = {**scene.spec, "analysis": {**analysis, "stepWeight": 20 if analysis["stepWeight"] == 30 else 30}}


def _blind(fact: str) -> Event:
    def apply(scene: Scene) -> None:
        scene.blind ^= {fact}

    there: dict[str, Callable[[Scene], bool]] = {"route": lambda scene: scene.weights, "scaler": lambda scene: scene.scaler is not None}
    return Event(f"{fact} cannot be read, or again", apply, there.get(fact, lambda scene: True))


def _sized(side: str, change: Callable[[int], int]) -> Callable[[Scene], None]:
    def apply(scene: Scene) -> None:
        workload: Side = getattr(scene, side)
        workload.replicas = change(workload.replicas)

    return apply


def _delete(scene: Scene) -> None:
    scene.deleting, scene.generation = True, scene.generation + 1
    scene.gone = scene.unheld = not scene.finalizers


def _restore(scene: Scene) -> None:
    scene.deleting, scene.generation = False, scene.generation + 1


def _drift(scene: Scene) -> None:
    scene.route, scene.route_at = Split(50), scene.now


def _edit_primary(scene: Scene) -> None:
    """Its pods roll, to what was not promoted."""
    assert scene.primary is not None
    scene.primary_stale = True
    for pod in scene.primary.pods:
        pod.revision = f"{pod.revision.rstrip('~')}~"


def _configs(scene: Scene) -> None:
    scene.configs = {"configmap/c": "2" if scene.configs == {"configmap/c": "1"} else "1"}


def _target_again(scene: Scene) -> None:
    scene.target = Side("app", 2, scene.primary.template if scene.primary else "v1")


def _unfit(scene: Scene) -> None:
    scene.unfit = scene.target.template if scene.target else ""


def _outage(scene: Scene) -> None:
    scene.forget()
    scene.now += OUTAGE


def _death(write: int) -> Event:
    def apply(scene: Scene) -> None:
        scene.advance()
        scene.dies_before(write)

    return Event(f"death before write {write}", apply)


def _scaler(**changes: Any) -> Callable[[Scene], None]:
    def apply(scene: Scene) -> None:
        assert scene.scaler is not None
        scene.scaler = replace(scene.scaler, **changes)

    return apply


def _scaler_is(check: Callable[[Autoscaler], bool]) -> Callable[[Scene], bool]:
    return lambda scene: scene.scaler is not None and check(scene.scaler)


def _turns_unfit(scene: Scene) -> None:
    assert scene.scaler is not None
    scene.scaler = replace(scene.scaler, problem="" if scene.scaler.problem else "spec.autoscalerRef: autoscaler app is not there")


def _bounds(scene: Scene) -> None:
    """Somebody gives the target's autoscaler other bounds: until the primary's gets them it does not follow."""
    assert scene.scaler is not None
    least, most = (2, 3) if scene.scaler.most != 3 else (1, 4)
    scene.scaler = replace(scene.scaler, least=least, most=most, follows=not scene.scaler.twin)


def _is_initialised(scene: Scene) -> bool:
    return not scene.deleting and bool(scene.typed.last_promoted_spec)


def _has(side: str) -> Callable[[Scene], bool]:
    return lambda scene: getattr(scene, side) is not None


EVENTS: tuple[Event, ...] = (
    Event("a good template", _release(GOOD), _has("target")),
    Event("a template without image", _release(MISSING_IMAGE), _has("target")),
    Event("a template that is never ready", _release(NEVER_READY), _has("target")),
    Event("a template that crashes", _release(CRASHING), _has("target")),
    Event("back to the promoted template", _back, lambda scene: scene.target is not None and bool(scene.kept)),
    Event("another ConfigMap", _configs, lambda scene: scene.primary is not None),
    Event("the canary loses a pod", lambda scene: scene.lose_pods(scene.target, 1), lambda scene: _two(scene.target)),
    Event("the canary loses all pods", lambda scene: scene.lose_pods(scene.target), lambda scene: _pods(scene.target)),
    Event("the primary loses a pod", lambda scene: scene.lose_pods(scene.primary, 1), lambda scene: _two(scene.primary)),
    Event("the primary loses all pods", lambda scene: scene.lose_pods(scene.primary), lambda scene: _pods(scene.primary)),
    Event("the template is unfit for the primary", _unfit, lambda scene: scene.target is not None and scene.unfit != scene.target.template),
    Event("pods heal", _heal, _is_lost),
    Event("the target is gone", _set("target", None), _has("target")),
    Event("the target is there again", _target_again, lambda scene: scene.target is None),
    Event("the primary is gone", _set("primary", None), _has("primary")),
    Event("the target is scaled up", _sized("target", lambda size: size + 1), lambda scene: 0 < _size(scene.target) < 4),
    Event("the target is scaled to zero", _sized("target", lambda size: 0), lambda scene: _size(scene.target) > 0),
    Event("the primary is scaled", _sized("primary", lambda size: 3 if size != 3 else 2), _has("primary")),
    Event("the primary is scaled to zero", _sized("primary", lambda size: 0), lambda scene: _size(scene.primary) > 0),
    Event("somebody edits the primary", _edit_primary, lambda scene: scene.primary is not None and not scene.primary_stale),
    Event("the demand grows", _scaler(demand=4), _scaler_is(lambda scaler: scaler.demand < 4)),
    Event("the demand falls", _scaler(demand=1), _scaler_is(lambda scaler: scaler.demand > 1)),
    Event("the primary's autoscaler is gone", _scaler(twin=False, floor=None), _scaler_is(lambda scaler: scaler.twin)),
    Event("the autoscaler's pause is gone", _scaler(paused=False), _scaler_is(lambda scaler: scaler.paused)),
    Event("somebody edits the route", _drift, lambda scene: scene.weights and scene.route is not None and scene.route != Split(50)),
    Event("the route is refused", _set("refused", True), lambda scene: scene.weights and not scene.refused),
    Event("the route is accepted", _set("refused", False), lambda scene: scene.refused),
    Event("the registry is silent", _set("registry_answers", False), lambda scene: scene.registry_answers),
    *(_measures(kind) for kind in ("value", "bad", "no-data", "unreachable")),
    *(_toggle(gate["name"]) for gate in GATES if gate["name"] != "post-rollout"),
    *(_command(name) for name in ("abort", "retry", "promote", "skip", "pause")),
    Event("command rollback-to", _roll_back, lambda scene: "rollback-to" not in scene.commands and bool(_earlier(scene))),
    Event("command resume", lambda scene: scene.commands.pop("pause"), lambda scene: "pause" in scene.commands),
    _edit("suspend turns", suspend=True),
    _edit("skipAnalysis turns", skipAnalysis=True),
    _edit("revertOnDeletion turns", revertOnDeletion=False),
    Event("other steps", _steps, lambda scene: "stepWeight" in scene.spec["analysis"]),
    Event("the spec cannot be honoured", _set("problems", ("spec.x: no",)), lambda scene: not scene.problems),
    Event("the spec is put right", _set("problems", ()), lambda scene: bool(scene.problems)),
    *(_blind(fact) for fact in ("target", "primary", "kept", "route", "scaler")),
    Event("the deployment controller lags", _set("lagging", True), lambda scene: not scene.lagging),
    Event("the deployment controller keeps up", _set("lagging", False), lambda scene: scene.lagging),
    Event("the Canary is deleted", _delete, lambda scene: not scene.deleting),
    Event("the Canary comes from a backup", _restore, lambda scene: scene.deleting and not scene.gone),
    Event("an outage of the controller", _outage),
    *(_death(write) for write in range(MOST_DEATHS)),
)
STRANGE: tuple[Event, ...] = (
    Event("Flagger had it until now", under_flagger, _is_initialised),
    Event("the autoscaler is gone, or there again", _turns_unfit, _scaler_is(lambda scaler: True)),
    Event("other bounds for the autoscaler", _bounds, _scaler_is(lambda scaler: True)),
    Event("somebody edits the primary's autoscaler", _scaler(sound=False), _scaler_is(lambda scaler: scaler.twin and scaler.sound)),
    Event("the target gets its first size again", _sized("target", lambda size: 2), lambda scene: _size(scene.target, 2) != 2),
    *(_blind(fact) for fact in ("configs", "found")),
)
"""What an exploration leaves out, as it would go on for hours with them: long tales have them as well."""
