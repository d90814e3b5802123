"""What must hold after any history: random events, in random order, with deaths of the controller between any two writes.

The checks run on every single decision; after the history everything is mended and the release must come to an end.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flaggerpy.api.status import Phase
from flaggerpy.model.workloads import GOOD, MISSING_IMAGE, NEVER_READY, Behaviour
from flaggerpy.model.world import ROUTE_LAG, Killed, World
from flaggerpy.rollout import effects as fx
from flaggerpy.rollout import imagecheck
from flaggerpy.rollout.decision import Decision
from flaggerpy.rollout.facts import Measurement, Split, WorkloadFacts
from flaggerpy.rollout.phases import IDLE
from flaggerpy.rollout.traffic import WARM, ready_count
from flaggerpy.rollout.weights import plan

WEIGHTED = {"interval": "10s", "threshold": 2, "stepWeight": 30, "maxWeight": 60, "metrics": [{"name": "m"}]}
GATES = [
    {"name": name, "type": name, "url": f"http://{name}/"}
    for name in ("confirm-rollout", "pre-rollout", "rollout", "confirm-traffic-increase", "confirm-promotion", "rollback", "post-rollout")
]
STRATEGIES: dict[str, dict[str, Any]] = {
    "weighted": {"analysis": WEIGHTED},
    "gated": {"analysis": {**WEIGHTED, "webhooks": GATES}},
    "back in steps": {"analysis": {**WEIGHTED, "stepWeightPromotion": 50}},
    "mirrored": {"analysis": {**WEIGHTED, "mirror": True}},
    "blue/green": {"analysis": {"interval": "10s", "threshold": 2, "iterations": 2, "webhooks": GATES}},
    "A/B": {"analysis": {"interval": "10s", "threshold": 2, "iterations": 2, "match": [{"headers": {"x": {"exact": "y"}}}]}},
    "by Services": {"analysis": {"interval": "10s", "threshold": 2, "iterations": 2}, "weights": False},
    "adopting": {"analysis": WEIGHTED, "foreign": True},
    "skipped": {"skipAnalysis": True, "analysis": WEIGHTED},
    "images checked": {"analysis": WEIGHTED, "podHealth": {"imageCheck": "Fail"}},
}

BEHAVIOURS = (GOOD, GOOD, GOOD, MISSING_IMAGE, NEVER_READY, Behaviour(crash_every=6.0, ready_after=1.0))


def carries(split: Split | None) -> bool:
    return split is not None and (split.canary > 0 or split.match)


def check_traffic_goes_only_to_ready_pods_of_the_run(world: World, decision: Decision) -> None:
    for effect in decision.effects:
        if isinstance(effect, fx.SetSplit) and effect.split.canary > (world.route.canary if world.route else 0):
            target = world.facts().target
            assert isinstance(target, WorkloadFacts)
            assert ready_count(target) > 0
            run = decision.status.run
            stays = run is None or run.verdict is not None or decision.status.canary_weight == 100
            assert stays or (run is not None and run.revision == target.revision)


def check_nothing_that_is_routed_to_is_scaled_down(world: World, decision: Decision) -> None:
    if fx.ScaleTarget(0) in decision.effects:
        assert not carries(world.route)
        assert world.apex


def check_a_route_of_the_user_is_taken_over_step_by_step(world: World, decision: Decision) -> None:
    for effect in decision.effects:
        if isinstance(effect, fx.SetSplit) and world.foreign:
            assert world.leads_at is not None
            assert world.now >= world.leads_at + ROUTE_LAG + WARM
        if effect == fx.AnnounceBackends(lead=True):
            assert world.announced_at is not None
            assert world.now >= world.announced_at + ROUTE_LAG + WARM
        if effect == fx.EnsureServices(apex=True) and world.apex_exists and not world.apex and world.weights:
            assert world.route is not None
            assert world.now >= world.route_at + ROUTE_LAG


def check_only_what_passed_is_promoted(world: World, decision: Decision) -> None:
    for effect in decision.effects:
        if not isinstance(effect, fx.EnsurePrimary) or effect.revision == world.typed.last_promoted_spec:
            continue
        assert decision.status.phase in (Phase.INITIALIZING, Phase.PROMOTING, Phase.FINALISING)
        run = decision.status.run
        assert run is not None
        assert effect.revision == run.revision
        if decision.status.phase is not Phase.INITIALIZING and not run.forced and not world.canary.spec.skips_analysis and world.weights:
            began = run.progressing_at or run.started_at
            stood = [split for at, split in world.route_writes if at < began - 1][-1:]
            written = stood + [split for at, split in world.route_writes if at >= began - 1]
            steps = plan(world.canary.spec.plan)
            if steps:
                assert max(split.canary for split in written) == steps[-1]
            else:
                assert any(split.match or split.canary == 100 for split in written)


def check_every_state_ends_or_says_what_it_waits_for(world: World, decision: Decision) -> None:
    if decision.status.phase not in IDLE:
        changed = decision.status.to_obj() != world.status
        assert changed or decision.status.progress is not None


def check_no_pod_is_made_before_its_images_were_looked_at(world: World, decision: Decision) -> None:
    run = decision.status.run
    if world.canary.spec.pod_health.image_check != "Fail" or run is None or decision.status.phase is not Phase.PROGRESSING:
        return
    if any(isinstance(effect, fx.ScaleTarget) and effect.replicas > 0 for effect in decision.effects):
        assert imagecheck.DONE in run.gates_passed or run.settled or run.pre_rollout_done
        assert not any(answer.kind == "missing" for answer in world.facts().images.get(f"{run.id}/images", ()))


CHECKS = (
    check_no_pod_is_made_before_its_images_were_looked_at,
    check_traffic_goes_only_to_ready_pods_of_the_run,
    check_nothing_that_is_routed_to_is_scaled_down,
    check_a_route_of_the_user_is_taken_over_step_by_step,
    check_only_what_passed_is_promoted,
    check_every_state_ends_or_says_what_it_waits_for,
)


class History:
    """A world with the switches that events flip."""

    def __init__(self, strategy: str) -> None:
        self.world = World(replicas=3, **STRATEGIES[strategy])
        self.world.checks = list(CHECKS)
        self.closed: set[str] = {"rollback"}
        self.metric = "value"
        self.revisions = 1
        for gate in GATES:
            self.world.hooks[gate["name"]] = self._hook(gate["name"])
        self.world.metrics["m"] = self._measure

    def _hook(self, name: str) -> Callable[[float], bool]:
        return lambda _: name not in self.closed

    def _measure(self, at: float) -> Measurement:
        if self.metric == "bad":
            return Measurement("value", 1.0, text="m is bad", at=at)
        return Measurement(self.metric, 100.0, text="" if self.metric == "value" else self.metric, at=at)  # type: ignore[arg-type]

    def apply(self, event: tuple[str, Any]) -> None:
        world, (name, value) = self.world, event
        if name == "release":
            self.revisions += 1
            world.release(f"v{self.revisions}", BEHAVIOURS[value])
        elif name == "registry":
            world.registry_answers = value
        elif name == "back":
            world.release(world.kept.get(world.typed.last_promoted_spec, "v1"))
        elif name == "lose":
            side = world.primary if value % 2 else world.target
            if side is not None:
                world.lose_pods(side, value)
        elif name == "heal":
            world.heal_pods(world.target)
            if world.primary is not None:
                world.heal_pods(world.primary)
        elif name == "gate":
            self.closed ^= {value}
        elif name == "metric":
            self.metric = value
        elif name == "route" and world.weights and world.route is not None:
            world.route, world.route_at = Split(value), world.now
        elif name == "suspend":
            world.spec["suspend"] = value
        elif name == "command":
            world.commands = {value: min(world.kept, default="*") if value == "rollback-to" else "*"}
        elif name == "refuse":
            world.problems = ("spec.x: no",) if value else ()
        elif name == "kill":
            self._kill_after(value)
        elif name == "time":
            world.run_for(value)

    def _kill_after(self, writes: int) -> None:
        left = [writes]

        def fault() -> None:
            left[0] -= 1
            if left[0] < 0:
                raise Killed

        self.world.fault = fault
        try:
            self.world.run_for(3)
        except Killed:
            # what was only in the dead controller's memory
            self.world.answers.clear()
            self.world.measurements.clear()
            self.world.image_answers.clear()
            self.world.delivered.clear()
        finally:
            self.world.fault = lambda: None

    def mend(self) -> None:
        self.closed = {"rollback"}
        self.metric = "value"
        self.world.registry_answers = True
        self.world.spec["suspend"] = False
        self.world.problems = ()
        self.world.commands = {}
        for revision in list(self.world.behaviour):
            if self.world.target is None or revision != self.world.target.template:
                self.world.behaviour[revision] = GOOD
        self.apply(("heal", None))


EVENTS = st.one_of(
    st.tuples(st.just("release"), st.integers(0, len(BEHAVIOURS) - 1)),
    st.tuples(st.just("back"), st.none()),
    st.tuples(st.just("lose"), st.integers(1, 3)),
    st.tuples(st.just("heal"), st.none()),
    st.tuples(st.just("gate"), st.sampled_from([gate["name"] for gate in GATES])),
    st.tuples(st.just("metric"), st.sampled_from(["value", "bad", "no-data", "unreachable"])),
    st.tuples(st.just("route"), st.integers(0, 100)),
    st.tuples(st.just("suspend"), st.booleans()),
    st.tuples(st.just("command"), st.sampled_from(["abort", "retry", "promote", "skip", "rollback-to", "pause"])),
    st.tuples(st.just("refuse"), st.booleans()),
    st.tuples(st.just("registry"), st.booleans()),
    st.tuples(st.just("kill"), st.integers(0, 6)),
    st.tuples(st.just("time"), st.sampled_from([1, 3, 6, 12, 25, 70])),
)


def play(strategy: str, events: list[tuple[str, Any]]) -> History:
    history = History(strategy)
    history.world.settle(lambda w: w.phase is Phase.INITIALIZED)
    for event in events:
        history.apply(event)
        history.world.look()
    history.mend()
    history.world.run_for(1)
    history.world.settle(at_rest, limit=900, pace=2.0)
    return history


def at_rest(world: World) -> bool:
    status, target = world.typed, world.target
    seen = target is not None and target.template in (status.last_applied_spec, status.last_promoted_spec)
    return status.phase in IDLE and status.progress is None and seen


def holds_at_the_end(history: History) -> None:
    world = history.world
    assert world.primary is not None
    assert not carries(world.route)
    assert world.typed.canary_weight == 0
    assert world.primary.source_revision == world.typed.last_promoted_spec
    for _ in range(2):
        world.look()  # a target that was put back is seen, and templates of runs that gave way are forgotten
    again = world.look()
    assert again.status.to_obj() == world.status
    assert not [effect for effect in again.effects if not isinstance(effect, fx.Deliver)]


@pytest.mark.parametrize("strategy", STRATEGIES)
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(events=st.lists(EVENTS, max_size=12))
def test_short_histories(strategy: str, events: list[tuple[str, Any]]) -> None:
    holds_at_the_end(play(strategy, events))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("strategy", STRATEGIES)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(events=st.lists(EVENTS, min_size=10, max_size=40))
def test_long_histories(strategy: str, events: list[tuple[str, Any]]) -> None:
    holds_at_the_end(play(strategy, events))


@pytest.mark.parametrize("strategy", ["weighted", "images checked"])
def test_death_before_some_writes_changes_nothing_about_the_end(strategy: str) -> None:
    dies_at(strategy, range(0, 60, 4 if strategy == "weighted" else 7))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_death_before_any_write_changes_nothing_about_the_end(strategy: str) -> None:
    dies_at(strategy, range(60))


def dies_at(strategy: str, deaths: Iterable[int]) -> None:
    """A release in which the controller dies before its n-th write, for each n, beside one in which it does not."""
    peace = History(strategy)
    peace.world.settle(lambda w: w.phase is Phase.INITIALIZED)
    peace.apply(("release", 0))
    peace.world.settle(lambda w: w.phase is Phase.SUCCEEDED)
    for writes in deaths:
        history = History(strategy)
        left = [writes]
        died = False

        def fault(left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise Killed

        history.world.fault = fault
        for stage in (Phase.INITIALIZED, Phase.SUCCEEDED):
            if stage is Phase.SUCCEEDED:
                history.apply(("release", 0))
            while history.world.phase is not stage:
                try:
                    history.world.settle(lambda w, stage=stage: w.phase is stage, pace=2.0)  # type: ignore[misc]
                except Killed:
                    died = True
                    history.world.fault = lambda: None
                    history.world.answers.clear()
                    history.world.measurements.clear()
                    history.world.image_answers.clear()
        world = history.world
        world.fault = lambda: None
        world.run_for(2)
        assert [split for _, split in world.route_writes] == [split for _, split in peace.world.route_writes]
        assert world.typed.history[0].outcome == "Succeeded"
        raised = [at for at, split in world.route_writes if split.canary]
        assert all(later - earlier >= 10 for earlier, later in itertools.pairwise(raised))
        if not died:
            break
