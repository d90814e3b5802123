"""Where the traffic should go now, and the proof that it does.

The status holds the intent; the route read back is proof, never the source. Written once for every phase: what split is wanted,
whether the route carries it and its controller took it, whether a side has been drained (design: "Switch").
"""

from __future__ import annotations

from flaggerpy.api.status import Phase
from flaggerpy.rollout.draft import Draft
from flaggerpy.rollout.effects import AnnounceBackends, EnsureServices, SetSplit
from flaggerpy.rollout.facts import UNKNOWN, RouteFacts, Split, WorkloadFacts
from flaggerpy.rollout.phases import ANALYSING

DRAIN = 5.0
"""Seconds that a side which carried traffic keeps its pods after the route left it."""
UNTOLD = 5.0
"""Seconds after a write that count as accepted where a provider cannot tell."""
WARM = 2.0
"""Seconds that the proxies have to follow an accepted change of a route that is being taken over."""
REFUSED = 10.0
"""Seconds after which such a route that is not accepted goes on to its next step all the same: what it lacks may be the user's own
backend or another parent, which only the split of ours puts right."""


def ready_count(workload: WorkloadFacts | None) -> int:
    """Ready pods of the present revision, from the pods where they are watched: faster than the ReplicaSet's status."""
    if workload is None:
        return 0
    if workload.pods_known:
        return sum(pod.ready and not pod.terminating for pod in workload.pods)
    return workload.ready


def serving_count(workload: WorkloadFacts | None) -> int:
    """Pods that can take traffic, of whatever revision: a primary in the middle of its rolling update still serves."""
    if workload is None:
        return 0
    return ready_count(workload) if workload.serving is None else max(workload.serving, ready_count(workload))


def needed(replicas: int, threshold: int) -> int:
    """How many pods must be available for a ready threshold in percent (Flagger: rounded down)."""
    return replicas * threshold // 100


def complete(workload: WorkloadFacts | None, threshold: int) -> bool:
    """All pods of the present revision are made and enough of them available and still ready."""
    if workload is None or not workload.fresh or workload.replicas <= 0:
        return False
    enough = needed(workload.replicas, threshold)
    made = workload.updated >= workload.replicas or workload.created >= workload.replicas
    return made and workload.available >= enough and ready_count(workload) >= enough


def shortfall(workload: WorkloadFacts, threshold: int) -> str:
    """Why it is not complete, in Flagger's words."""
    if not workload.fresh:
        return f"waiting for rollout to finish: observed {workload.word} generation less than desired generation"
    if workload.created < workload.replicas:
        return f"waiting for rollout to finish: {workload.created} out of {workload.replicas} new replicas have been updated"
    available = min(workload.available, ready_count(workload))
    return (
        f"waiting for rollout to finish: {available} of {workload.replicas} (readyThreshold {threshold}%) updated replicas are available"
    )


def has_match(d: Draft) -> bool:
    """True while requests of `analysis.match` are led to the canary (A/B)."""
    return d.canary.spec.strategy == "ab-testing" and d.status.iterations > 0 and d.facts.supports_weights


def wanted(d: Draft) -> Split:
    """The split that the status asks for."""
    run, phase = d.status.run, d.status.phase
    weight = d.status.canary_weight
    if run is None or run.verdict is not None or phase not in ANALYSING | {Phase.PROMOTING}:
        return Split(canary=weight)
    if run.cut is not None:
        return Split(canary=run.cut)
    if has_match(d):
        return Split(canary=weight, match=True)
    if run.mirrored and weight == 0 and phase in ANALYSING:
        return Split(mirror=True)
    return Split(canary=weight)


def ensure_services(d: Draft, *, apex: bool = True) -> bool:
    """The generated Services are as they should be; True once they are."""
    ready = d.facts.services_ready and (d.facts.apex_ready or not apex)
    if not ready:
        d.do(EnsureServices(apex=apex))
    return ready


def ensure_route(d: Draft) -> None:
    """Ask for the wanted split wherever the route differs from it, or from the shape that the spec asks."""
    route = d.facts.route
    if not d.facts.supports_weights or not isinstance(route, RouteFacts):
        return
    split = wanted(d)
    d.effects = [effect for effect in d.effects if not isinstance(effect, SetSplit)]  # the last word of a decision is its only one
    if (route.split != split or not route.in_shape) and not _unserved(d, split, route.split):
        d.do(SetSplit(split, d.status.run.id if d.status.run else ""))


def _unserved(d: Draft, split: Split, present: Split | None) -> bool:
    """More for a canary of which no ready pod is known, while the primary may serve: no edit of a route is put right at that price."""
    if split.canary <= (present.canary if present is not None else 0) or ready_count(d.target) > 0:
        return False
    return d.facts.primary is UNKNOWN or serving_count(d.primary) > 0


def routed(d: Draft) -> bool:
    """True once the route carries the wanted split and its controller took it; else says what is missing."""
    if not d.facts.supports_weights:
        return True
    route = d.facts.route
    if not isinstance(route, RouteFacts):
        d.wait(f"the route of {d.canary.apex} cannot be read")
        return False
    ensure_route(d)
    if route.split != wanted(d) or route.foreign:
        # where there can be none, the router says what is in the way
        why = f": {route.refusal}" if route.split is None and route.refusal and not route.foreign else ""
        d.wait(f"the route of {d.canary.apex} to carry {wanted(d).canary}% for the canary{why}")
        return False
    if route.accepted is False:
        d.wait(
            f"the route of {d.canary.apex} is not accepted by its controller{': ' + route.refusal if route.refusal else ' yet'}",
            advice=f"look at the status of the route {d.canary.apex} and at the controller of its gateway",
        )
        return False
    if route.accepted is None:
        until = (route.written_at or 0.0) + UNTOLD
        if d.now < until:
            d.wait(f"the route of {d.canary.apex} to take effect", until=until)
            return False
    return True


def announced(d: Draft) -> bool:
    """True once a route of the user can become ours without a lost request; at once where there is no such route.

    A proxy learns of backends and of who is led to them by separate ways. A backend that it knows only since a moment, or has forgotten a
    moment too early, answers nobody (Envoy: 503 for a cluster without endpoints yet, or without a cluster). So the route names our backends
    first, then leads to the primary while it still names its own, and only then are those dropped; each step has its time to arrive.
    """
    route, apex = d.facts.route, d.canary.apex
    if not d.facts.supports_weights or not isinstance(route, RouteFacts) or not route.foreign:
        return True
    if not route.announced:
        return _announce(d, AnnounceBackends(), f"the route of {apex} to learn of the primary")
    if not followed(d, route):
        return False
    if route.leads:
        return True
    return _announce(d, AnnounceBackends(lead=True), f"the route of {apex} to lead to the primary")


def followed(d: Draft, route: RouteFacts) -> bool:
    """True once the proxies had their time to follow the last change of a route that is on its way to us, or back."""
    if route.accepted:
        since = d.run.announced_since if d.run.announced_since is not None else d.now
        d.set_run(announced_since=since)
        until = since + WARM
    else:
        until = (route.written_at or 0.0) + (UNTOLD if route.accepted is None else REFUSED)
    if d.now < until:
        d.wait(f"the gateway to follow the route of {d.canary.apex}", until=until)
        return False
    return True


def _announce(d: Draft, effect: AnnounceBackends, text: str) -> bool:
    d.do(effect)
    d.set_run(announced_since=None)
    d.wait(text)
    return False


def drained(d: Draft) -> bool:
    """True once the side that the route left had its time to finish requests; at once where it carried none in this run."""
    run = d.run
    if run.drained or not run.carried_weight:
        return True
    since = run.drain_since if run.drain_since is not None else d.now
    if d.now >= since + DRAIN:
        d.set_run(drained=True, drain_since=since)
        return True
    d.set_run(drain_since=since)
    d.wait("requests under way to end (drain)", until=since + DRAIN)
    return False
