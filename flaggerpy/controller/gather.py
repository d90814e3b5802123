"""From what the caches hold to the facts of one Canary. `facts_of` is pure; `Snapshot` is all that it looks at.

Unknown is never taken for changed or absent: what has not been read yet, or could not be read, is UNKNOWN.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from flaggerpy.api import names
from flaggerpy.api.canary import Canary
from flaggerpy.api.status import CanaryStatus, from_timestamp
from flaggerpy.controller.background import Answers
from flaggerpy.controller.memo import Memo
from flaggerpy.controller.patches import covers, digest
from flaggerpy.rollout.facts import UNKNOWN, Facts, Found, Giver, RouteFacts, ScalerFacts, Split, Unknown, WorkloadFacts
from flaggerpy.routers import manifest, services, wayback
from flaggerpy.routers.base import Observed, Router, RouteSplit
from flaggerpy.routers.base import Settings as RouterSettings
from flaggerpy.targets import budgets, scalers
from flaggerpy.targets.configs import followed_by
from flaggerpy.targets.metadata import other_labels
from flaggerpy.targets.registry import target_for

Obj = dict[str, Any]


@dataclass
class Workload:
    """A target or primary with what belongs to it. `obj` None: it is not there. `known` False: its kind is not followed yet."""

    obj: Obj | None = None
    history: Sequence[Obj] = ()
    pods: Sequence[Obj] | None = None
    events: Sequence[Obj] = ()
    problem: str = ""
    known: bool = True


@dataclass
class Snapshot:
    """The objects around one Canary, as the caches hold them at one moment.

    `routes` None: their kind is not followed yet. `configs` are checksums by `configmap/x` or `secret/x`.
    """

    canary: Canary
    status: CanaryStatus
    router: Router | None
    router_settings: RouterSettings
    target: Workload = field(default_factory=Workload)
    primary: Workload = field(default_factory=Workload)
    selector: tuple[str, str] | None = None
    """Label name and value of the target's pods."""
    services: Mapping[str, Obj | None] = field(default_factory=dict)
    routes: Sequence[Obj] | None = ()
    route_written_at: float | None = None
    scalers: tuple[Obj | None, Obj | None] | Unknown = UNKNOWN
    """The autoscaler that autoscalerRef names and the primary's, None for one that is not there; UNKNOWN while they are not followed."""
    kept: frozenset[str] = frozenset()
    configs: Mapping[str, str] | Unknown | None = None
    config_problem: str = ""
    found: Found | Unknown | None = None
    quiet_since: float = 0.0
    followed: Mapping[str, str] = field(default_factory=dict)
    """Checksums, now, of the followed configs that the primary was given last; what cannot be told is left out."""
    primary_edited: bool = False
    """Somebody changed the primary, and it is time to put it right."""
    budgets: Sequence[Obj] = ()
    """The PodDisruptionBudgets of the namespace that ask for a copy, and the copies."""
    conflicts: tuple[str, ...] = ()
    """Who fights us over which field, and the rule that ends it (condition Conflict)."""
    answers: Answers = field(default_factory=Answers)
    givers: Mapping[str, Giver] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    notified: bool = True
    """Whether the controller has a notifier of its own, for Canaries that name none."""
    memo: Memo = field(default_factory=Memo)
    """What the last look at this Canary worked out."""

    def objects(self) -> list[Obj]:
        """Every object around the Canary that another controller might write."""
        every = (self.target.obj, self.primary.obj, *self.services.values(), *(self.routes or ()))
        return [obj for obj in every if obj is not None]


def facts_of(snapshot: Snapshot) -> Facts:
    """What a decision may look at."""
    canary, router = snapshot.canary, snapshot.router
    observed = observed_route(snapshot)
    standing = (snapshot.target.obj, *(snapshot.selector or ()), *snapshot.services.values())
    services_ready, apex_ready = snapshot.memo.of("services", (canary, *standing), lambda: services_in_shape(snapshot))
    target = Workload() if canary.deleting and ends(snapshot.target.obj) else snapshot.target
    return Facts(
        target=_workload(snapshot, "target", target),
        primary=_primary(snapshot),
        scaler=_scaler(snapshot),
        configs=snapshot.configs,
        config_problem=snapshot.config_problem,
        primary_stale=_stale(snapshot),
        services_ready=services_ready,
        apex_ready=apex_ready,
        apex_exists=snapshot.services.get(canary.apex) is not None,
        apex_back=not canary.deleting or apex_back(snapshot) is None,
        route=_route(snapshot, observed),
        route_back=wayback.next_step(router, canary, list(snapshot.routes)) if canary.deleting and router and snapshot.routes else "",
        kept=snapshot.kept,
        found=snapshot.found,
        quiet_since=snapshot.quiet_since,
        answers=dict(snapshot.answers.hooks),
        measurements=dict(snapshot.answers.measurements),
        images=dict(snapshot.answers.images),
        delivered=frozenset(snapshot.answers.delivered),
        commands=commands(canary),
        givers=dict(snapshot.givers),
        providers=snapshot.answers.providers,
        problems=snapshot.problems,
        warnings=snapshot.warnings,
        alerts_wanted=snapshot.notified or bool(canary.spec.plan.alerts),
        supports_weights=router.supports.weights if router else True,
        supports_mirror=router.supports.mirror if router else False,
    )


def _stale(snapshot: Snapshot) -> bool:
    primary = snapshot.primary.obj
    if primary is None:
        return False
    follows = snapshot.followed.items() <= followed_by(primary).items()
    return snapshot.primary_edited or not follows or not budgets_in_shape(snapshot)


def commands(canary: Canary) -> dict[str, str]:
    """A person's wishes: command name to value."""
    return {name: canary.annotations[annotation] for name, annotation in names.COMMANDS.items() if annotation in canary.annotations}


def _workload(snapshot: Snapshot, role: str, workload: Workload) -> WorkloadFacts | Unknown | None:
    if not workload.known:
        return UNKNOWN
    obj = workload.obj
    if obj is None:
        return None

    def facts() -> WorkloadFacts:
        about: dict[str, list[Obj]] = {}
        for event in workload.events:
            about.setdefault(str((event.get("involvedObject") or {}).get("name")), []).append(event)
        found = target_for(snapshot.canary.kind).facts(obj, workload.history, workload.pods, about)
        return replace(found, problem=workload.problem or found.problem)

    pods = ("unknown",) if workload.pods is None else ("pods", *workload.pods)
    given = (snapshot.canary.kind, obj, workload.problem, *workload.history, *pods, "events", *workload.events)
    return snapshot.memo.of(role, given, facts)


def _primary(snapshot: Snapshot) -> WorkloadFacts | Unknown | None:
    facts, obj = _workload(snapshot, "primary", snapshot.primary), snapshot.primary.obj
    if not isinstance(facts, WorkloadFacts) or obj is None:
        return facts
    owners = obj["metadata"].get("ownerReferences") or ()
    return replace(facts, owned=any(owner.get("uid") == snapshot.canary.uid for owner in owners))


def _scaler(snapshot: Snapshot) -> ScalerFacts | Unknown | None:
    ref = snapshot.canary.spec.autoscaler_ref
    if ref is None:
        return None
    return UNKNOWN if isinstance(snapshot.scalers, Unknown) else scalers.facts(snapshot.canary, ref, *snapshot.scalers)


def observed_route(snapshot: Snapshot) -> Observed | None:
    """The route read back; None while it is not known."""
    router, canary, routes = snapshot.router, snapshot.canary, snapshot.routes
    if router is None or routes is None:
        return None
    return snapshot.memo.of("route", (canary, *routes), lambda: router.observed(canary, list(routes), snapshot.router_settings))


def _route(snapshot: Snapshot, observed: Observed | None) -> RouteFacts | Unknown:
    if observed is None or snapshot.router is None:
        return UNKNOWN
    found, routes, router = observed.split, list(snapshot.routes or ()), snapshot.router
    return RouteFacts(
        split=Split(canary=found.canary, match=found.match, mirror=found.mirror) if found else None,
        # where a provider judges routes, not judged yet is not accepted
        accepted=bool(observed.accepted) if observed.judges else None,
        refusal=observed.refusal,
        in_shape=observed.in_shape and (found is None or same_cookies(snapshot.canary, found, _with_cookies(snapshot, found))),
        written_at=snapshot.route_written_at,
        foreign=observed.foreign,
        announced=not (observed.foreign and router.announce(snapshot.canary, routes, snapshot.router_settings)),
        leads=not (observed.foreign and router.announce(snapshot.canary, routes, snapshot.router_settings, lead=True)),
    )


def last_write(objects: Sequence[Obj]) -> float | None:
    """When we last changed one of these objects, by the API server's own notes (epoch seconds)."""
    times = [
        from_timestamp(entry["time"])
        for obj in objects
        for entry in (obj.get("metadata") or {}).get("managedFields") or ()
        if entry.get("manager") == names.FIELD_MANAGER and entry.get("time")
    ]
    return max(times, default=None)


def desired_services(snapshot: Snapshot, *, with_apex: bool) -> list[Obj]:
    """The Services that the spec asks for; none while the target's label is not known."""
    canary = snapshot.canary
    if canary.spec.service is None or snapshot.selector is None or snapshot.target.obj is None:
        return []
    label, value = snapshot.selector
    others = other_labels(snapshot.target.obj, label)
    wanted = services.desired_services(
        canary,
        selector_label=label,
        label_value=value,
        ports=services.discovered_ports(snapshot.target.obj["spec"].get("template") or {}, canary.spec.service),
        current=snapshot.services,
        with_apex=with_apex,
    )
    for service in wanted:
        service["spec"]["selector"] = others | service["spec"]["selector"]
    return wanted


def budget_copies(snapshot: Snapshot) -> list[Obj]:
    """The PodDisruptionBudgets that the primary should have."""
    if snapshot.selector is None:
        return []
    return budgets.copies(snapshot.budgets, snapshot.canary, *snapshot.selector)


def budgets_in_shape(snapshot: Snapshot) -> bool:
    """Whether the primary has exactly those; without the target nothing can be said against them."""
    if snapshot.selector is None:
        return True
    wanted, standing = budget_copies(snapshot), {obj["metadata"]["name"]: obj for obj in snapshot.budgets}
    shaped = all(covers(standing.get(obj["metadata"]["name"]), obj) for obj in wanted)
    return shaped and not budgets.orphans(snapshot.budgets, snapshot.canary, wanted)


def services_in_shape(snapshot: Snapshot) -> tuple[bool, bool]:
    """Whether the two generated Services stand as wanted, and whether the apex does."""
    wanted = desired_services(snapshot, with_apex=True)
    if not wanted:
        # without its target nothing can be said against the shape of Services that stand
        there = snapshot.canary.spec.service is None or all(snapshot.services.get(name) for name in services.service_names(snapshot.canary))
        return there, there
    fine = {obj["metadata"]["name"]: services.in_shape(obj, snapshot.services.get(obj["metadata"]["name"])) for obj in wanted}
    apex = fine.pop(snapshot.canary.apex)
    return all(fine.values()), apex


def ends(obj: Obj | None) -> bool:
    """True for a workload that is being deleted: it makes no pods any more."""
    return obj is not None and bool(obj["metadata"].get("deletionTimestamp"))


def apex_back(snapshot: Snapshot, standing: Obj | None = None) -> Obj | None:
    """The manifest that leads the apex Service back to the target when the Canary goes; None when nothing is left to do.

    `standing` is the Service as it was read live, if it was: caches leave out kubectl's copy of it.
    """
    canary = snapshot.canary
    apex = standing or snapshot.services.get(canary.apex)
    if canary.spec.service is None or apex is None:
        return None
    label, value = snapshot.selector or (None, "")
    if not manifest.is_ours(apex, canary):
        return services.restored_apex(canary, selector_label=label, label_value=value, current=apex)
    if label is None or snapshot.target.obj is None or ends(snapshot.target.obj):
        return None  # it goes with the Canary
    wanted = next(obj for obj in desired_services(snapshot, with_apex=True) if obj["metadata"]["name"] == canary.apex)
    led = services.led_to_target(wanted, selector_label=label, label_value=value)
    return None if (apex.get("spec") or {}).get("selector") == led["spec"]["selector"] else led


def cookie_value(run_id: str) -> str:
    """The value of the affinity cookie of a run: the same whenever it is derived again."""
    return digest(f"cookie/{run_id}")


def route_split(split: Split, run_id: str, status: CanaryStatus) -> RouteSplit:
    """A split as routers take it, with the cookies that pin visitors in this run and the one to expire."""
    current = _value(status.session_affinity_cookie) or (cookie_value(run_id) if run_id else "")
    return RouteSplit(
        canary=split.canary,
        match=split.match,
        mirror=split.mirror,
        cookie=current,
        primary_cookie=_value(status.primary_session_affinity_cookie) or (cookie_value(f"primary/{run_id}") if run_id else ""),
        previous_cookie=_value(status.previous_session_affinity_cookie),
    )


def same_cookies(canary: Canary, have: RouteSplit, want: RouteSplit) -> bool:
    """Whether a route pins visitors by the cookies that it should, and takes the old one back: what became of a run moves it there."""
    affinity = canary.spec.plan.session_affinity
    if affinity is None or canary.spec.strategy == "ab-testing":
        return True
    if want.canary == 0:
        return have.previous_cookie == want.previous_cookie
    return have.cookie == want.cookie and (not affinity.primary_cookie_name or have.primary_cookie == want.primary_cookie)


def _with_cookies(snapshot: Snapshot, split: RouteSplit) -> RouteSplit:
    run, plain = snapshot.status.run, Split(canary=split.canary, match=split.match, mirror=split.mirror)
    return route_split(plain, run.id if run else "", snapshot.status)


def _value(cookie: str | None) -> str:
    """The value of a cookie that the status holds as `name=value`, as Flagger does."""
    return (cookie or "").partition("=")[2]
