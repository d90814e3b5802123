"""A Canary with `revertOnDeletion` goes: in whatever order, whoever dies meanwhile, and whatever goes with it.

An onlooker asks after every change of the cluster in memory where a visitor's request would end: at the route, through the Service that has
the weight, at a ready pod. As long as nobody took away what it goes through, it must end at one.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from e2e.disorder.dying import When
from flaggerpy.api.names import FINALIZER, LEFT_BY
from flaggerpy.cluster import kinds
from flaggerpy.controller import farewell
from tests.cluster.fake_apiserver import FakeApiServer, eventually
from tests.controller.dying import GATEWAY, NAME, SHOP, WEIGHTS, Life, Stage, Strategy
from tests.controller.living import canary, deployment
from tests.controller.test_release import controller, events

Obj = dict[str, Any]
pytestmark = pytest.mark.usefixtures("short_drains")

STRATEGY = Strategy("deletion", 30, {}, "podinfo:1", "Initialized", initialised=False)
KINDS = {"Canary": kinds.CANARY, "Deployment": kinds.DEPLOYMENT, "Service": kinds.SERVICE, "HTTPRoute": kinds.HTTP_ROUTE}
WITHIN = 60.0
"""Seconds that a Canary has to go, on a machine that is busy with other things."""
OURS = ("podinfo-primary", "podinfo-canary")


def service() -> Obj:
    """A Service as a user may have it: another selector, several ports, named ones, words of others on it."""
    return {
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": NAME, "namespace": SHOP, "labels": {"app": NAME, "team": "a"},
            "annotations": {"meta.helm.sh/release-name": "shop", "prometheus.io/scrape": "true"},
        },
        "spec": {
            "type": "ClusterIP", "clusterIP": "None", "selector": {"tier": "web"}, "publishNotReadyAddresses": False,
            "ports": [
                {"name": "web", "port": 9898, "protocol": "TCP", "targetPort": "http"},
                {"name": "grpc", "port": 9999, "protocol": "TCP", "targetPort": "http"},
                {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53},
            ],
        },
    }  # fmt: skip


def route() -> Obj:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": NAME, "namespace": SHOP, "annotations": {"team": "a"}},
        "spec": {
            "parentRefs": [{"name": "gw", "namespace": "infra"}], "hostnames": ["shop.example.com"],
            "rules": [{"matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "backendRefs": [{"name": NAME, "port": 9898}]}],
        },
    }  # fmt: skip


def target(replicas: int = 2) -> Obj:
    made = deployment(replicas=replicas)
    made["spec"]["template"]["metadata"]["labels"]["tier"] = "web"
    return made


class Onlooker:
    """Where a request through the route ends, after every change; `lost` are the moments at which it ends nowhere."""

    def __init__(self, server: FakeApiServer) -> None:
        self.server = server
        self.lost: list[str] = []
        self.watches = True
        server.reactors.append(self._seen)

    def _seen(self, type_: str, obj: Obj) -> None:
        if self.watches and obj["kind"] in ("HTTPRoute", "Service", "Pod"):
            found = self.server.get(kinds.HTTP_ROUTE, SHOP, NAME)
            self.lost += [
                f"{ref['name']} after {type_} {obj['kind']} {obj['metadata']['name']}"
                for rule in (found or {"spec": {"rules": []}})["spec"]["rules"]
                for ref in rule["backendRefs"]
                if ref.get("weight", 1) and not self._ends_at_a_pod(ref["name"])
            ]

    def _ends_at_a_pod(self, name: str) -> bool:
        there = self.server.get(kinds.SERVICE, SHOP, name)
        if there is None:
            return False
        wanted = there["spec"]["selector"].items()
        pods = self.server.objects.get(("", "pods"), {}).values()
        return any(wanted <= pod["metadata"]["labels"].items() and pod["status"]["phase"] == "Running" for pod in pods)


_begun: dict[tuple[bool, str], Any] = {}


async def begun(server: FakeApiServer, *, users: bool = True, provider: str = "gatewayapi:v1", **spec: Any) -> Stage:
    """An initialised Canary over a target; with `users` Service and route were there before. Played once in a process."""
    release = canary(provider=provider, service=GATEWAY, analysis=WEIGHTS, revertOnDeletion=True, **spec)
    if (users, provider) not in _begun:
        async with FakeApiServer() as other:
            stage = Stage(other, STRATEGY)
            for obj in (target(), *((service(), route()) if users else ())):
                other.add(obj)
            other.add(release)
            life = Life(stage)
            await stage.rested()
            await life.ended()
            _begun[users, provider] = other.saved()
    server.restore(_begun[users, provider])
    return Stage(server, STRATEGY)


def delete(server: FakeApiServer, kind: str, name: str = NAME) -> None:
    """As kubectl does."""
    found = server.objects[(KINDS[kind].group, KINDS[kind].plural)].get((SHOP, name))
    if found is not None:
        server._delete(KINDS[kind], found, {})


def gone(server: FakeApiServer) -> bool:
    return server.get(kinds.CANARY, SHOP, NAME) is None


def is_held(server: FakeApiServer) -> bool:
    """The Canary has our finalizer."""
    found = server.get(kinds.CANARY, SHOP, NAME)
    return found is not None and FINALIZER in (found["metadata"].get("finalizers") or ())


def owned(server: FakeApiServer) -> list[str]:
    """What is left of what we made."""
    return [
        f"{obj['kind']} {name}"
        for shelf in server.objects.values()
        for (namespace, name), obj in shelf.items()
        if namespace == SHOP and (name in OURS or any(ref["kind"] == "Canary" for ref in obj["metadata"].get("ownerReferences") or ()))
        and obj["kind"] not in ("Event", "Pod", "ReplicaSet")
    ]  # fmt: skip


def as_it_was(have: Obj | None, before: Obj) -> None:
    """To the letter, but for what the server writes."""
    assert have is not None
    seen = copy.deepcopy(have)
    for field in ("uid", "creationTimestamp", "resourceVersion", "generation"):
        seen["metadata"].pop(field, None)
    managers = [entry["manager"] for entry in seen["metadata"].pop("managedFields", [])]
    assert "flaggerpy" not in managers
    seen.pop("status", None)
    assert seen == before


async def check_given_back(server: FakeApiServer, onlooker: Onlooker) -> None:
    assert onlooker.lost == []
    as_it_was(server.get(kinds.SERVICE, SHOP, NAME), service())
    as_it_was(server.get(kinds.HTTP_ROUTE, SHOP, NAME), route())
    found = server.get(kinds.DEPLOYMENT, SHOP, NAME)
    assert found is not None
    assert found["spec"] == target()["spec"]
    assert owned(server) == []


@pytest.fixture
def quick_farewell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(farewell, "GRACE", 0.2)


@pytest.mark.fault("Q-61", "Q-49")
async def test_what_the_user_owns_is_as_it_was_and_no_request_is_lost(server: FakeApiServer) -> None:
    stage = await begun(server)
    onlooker = Onlooker(server)
    assert stage.get(kinds.SERVICE)["spec"]["selector"] == {"app": "podinfo-primary"}
    assert stage.get(kinds.SERVICE)["spec"]["clusterIP"] == "None"
    ports = {(port["port"], port["protocol"]): port["name"] for port in stage.get(kinds.SERVICE)["spec"]["ports"]}
    assert ports == {(9898, "TCP"): "web", (9999, "TCP"): "grpc", (53, "UDP"): "dns"}
    life = Life(stage)
    delete(server, "Canary")
    await eventually(lambda: gone(server), WITHIN)
    await life.ended()
    await check_given_back(server, onlooker)


@pytest.mark.fault("Q-61")
async def test_the_service_and_the_route_that_we_made_stay_and_lead_to_the_target(server: FakeApiServer) -> None:
    stage = await begun(server, users=False)
    onlooker = Onlooker(server)
    life = Life(stage)
    delete(server, "Canary")
    await eventually(lambda: gone(server), WITHIN)
    await life.ended()
    assert onlooker.lost == []
    apex, led = stage.get(kinds.SERVICE), stage.get(kinds.HTTP_ROUTE)
    assert apex["spec"]["selector"] == {"app": "podinfo"}
    assert [(ref["name"], ref["weight"]) for ref in led["spec"]["rules"][0]["backendRefs"]] == [("podinfo", 100)]
    for left in (apex, led):
        assert not left["metadata"].get("ownerReferences")
        assert not left["metadata"].get("annotations")
        assert not left["metadata"].get("managedFields")
    assert owned(server) == []


@pytest.mark.fault("Q-61", "Q-28")
async def test_a_target_that_fails_leaves_the_primary_with_all_it_needs_and_a_new_canary_has_it_again(server: FakeApiServer) -> None:
    stage = await begun(server)
    onlooker = Onlooker(server)
    container = {"name": "app", "image": "podinfo:missing", "ports": [{"containerPort": 9898, "name": "http"}]}
    server.patch(kinds.DEPLOYMENT, SHOP, NAME, {"spec": {"template": {"spec": {"containers": [container]}}}})
    life = Life(stage)
    delete(server, "Canary")
    await eventually(lambda: gone(server), WITHIN)
    await life.ended()
    assert onlooker.lost == []
    primary = stage.get(kinds.DEPLOYMENT, "podinfo-primary")
    assert not primary["metadata"].get("ownerReferences")
    assert primary["spec"]["replicas"] == 2
    assert stage.get(kinds.SERVICE)["spec"]["selector"] == {"app": "podinfo-primary"}
    assert stage.get(kinds.SERVICE, "podinfo-primary")["metadata"]["annotations"][LEFT_BY] == NAME
    assert any("podinfo-primary goes on serving, and stays" in event["message"] for event in events(server) if event["type"] == "Warning")
    container = {**container, "image": "podinfo:1"}
    server.patch(kinds.DEPLOYMENT, SHOP, NAME, {"spec": {"template": {"spec": {"containers": [container]}}}})
    server.add(canary(provider="gatewayapi:v1", service=GATEWAY, analysis=WEIGHTS, revertOnDeletion=True))
    life = Life(stage)
    await stage.rested()
    assert onlooker.lost == []
    assert sorted(owned(server)) == [f"ControllerRevision {next(iter(_kept(server)))}", *sorted(_made())]
    delete(server, "Canary")
    await eventually(lambda: gone(server), WITHIN)
    await life.ended()
    await check_given_back(server, onlooker)


def _kept(server: FakeApiServer) -> list[str]:
    return [name for _, name in server.objects.get(("apps", "controllerrevisions"), {})]


def _made() -> list[str]:
    return ["Deployment podinfo-primary", "Service podinfo-canary", "Service podinfo-primary"]


ORDERS = [
    pytest.param(order, marks=() if number % 8 == 3 else pytest.mark.slow) for number, order in enumerate(itertools.permutations(KINDS))
]


@pytest.mark.fault("Q-28")
@pytest.mark.parametrize("up", [True, False])
@pytest.mark.parametrize("order", ORDERS)
async def test_everything_may_go_in_any_order(server: FakeApiServer, order: tuple[str, ...], up: bool) -> None:
    """`up` False: the controller is down meanwhile, and comes back. Nothing hangs, and nothing of ours is left."""
    stage = await begun(server)
    life = Life(stage)
    if up:
        await life.leads()
    else:
        await life.ended()
    for kind in order:
        delete(server, kind)
        await asyncio.sleep(0.05)
    if not up:
        life = Life(stage)
    await eventually(lambda: gone(server), WITHIN)
    await eventually(lambda: owned(server) == [])
    await life.ended()
    assert [kind for kind in KINDS if stage.get(KINDS[kind])] == []


@pytest.mark.slow
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_whatever_goes_with_the_canary_what_is_left_is_as_it_was(short_drains: None, data: st.DataObject) -> None:
    """A subset goes, in any order, with pauses; the controller is down for a part of it. What stays of the user's is as it was."""
    going = data.draw(st.permutations([*data.draw(st.sets(st.sampled_from(["Deployment", "Service", "HTTPRoute"]))), "Canary"]))
    pauses = data.draw(st.lists(st.sampled_from([0.0, 0.05, 0.4]), min_size=len(going), max_size=len(going)))
    down = data.draw(st.integers(-1, len(going) - 1))

    async def play() -> None:
        async with FakeApiServer() as server:
            stage = await begun(server)
            onlooker = Onlooker(server)
            life = Life(stage)
            await life.leads()
            for number, (kind, pause) in enumerate(zip(going, pauses, strict=True)):
                if number == down:
                    await life.ended()
                onlooker.watches &= kind == "Canary"
                delete(server, kind)
                await asyncio.sleep(pause)
            if down >= 0:
                life = Life(stage)
            await eventually(lambda: gone(server), WITHIN)
            await life.ended()
            assert onlooker.lost == []
            assert owned(server) == []
            for kind, before in (("Service", service()), ("HTTPRoute", route())):
                if kind not in going:
                    as_it_was(stage.get(KINDS[kind]), before)

    asyncio.run(play())


POINTS = [
    pytest.param(write, when, marks=() if (write, when) in ((3, "before"), (6, "after")) else pytest.mark.slow)
    for write in range(1, 15)
    for when in ("before", "after")
]


@pytest.mark.fault("Q-61")
@pytest.mark.parametrize(("write", "when"), POINTS)
async def test_a_death_at_any_write_of_the_deletion_leads_to_the_same_end(server: FakeApiServer, write: int, when: When) -> None:
    stage = await begun(server)
    onlooker = Onlooker(server)
    delete(server, "Canary")
    victim = Life(stage, write, when)
    end = asyncio.create_task(eventually(lambda: gone(server), WITHIN))
    death = asyncio.create_task(victim.dead.wait())
    await asyncio.wait({end, death}, return_when=asyncio.FIRST_COMPLETED)
    await victim.killed(end, death)
    heir = Life(stage)
    await end
    death.cancel()
    await heir.ended()
    await check_given_back(server, onlooker)


@pytest.mark.fault("Q-28")
@pytest.mark.parametrize("broken", ["spec", "status"])
async def test_a_canary_that_cannot_be_read_goes_all_the_same(server: FakeApiServer, broken: str) -> None:
    stage = await begun(server)
    wrong: Obj = {"spec": {"analysis": {"stepWeight": "many"}}} if broken == "spec" else {"status": {"canaryWeight": "much"}}
    server.patch(kinds.CANARY, SHOP, NAME, wrong)
    life = Life(stage)
    delete(server, "Canary")
    await eventually(lambda: gone(server), WITHIN)
    await life.ended()
    if broken == "status":
        assert stage.get(kinds.SERVICE)["spec"]["selector"] == service()["spec"]["selector"]


@pytest.mark.fault("Q-61")
async def test_without_revert_the_target_is_told_that_nothing_serves(server: FakeApiServer, quick_farewell: None) -> None:
    await begun(server)
    server.patch(kinds.CANARY, SHOP, NAME, {"spec": {"revertOnDeletion": False}})
    async with controller(server):
        await eventually(lambda: not is_held(server), WITHIN)
        delete(server, "Canary")
        await eventually(lambda: bool(_warnings(server)), WITHIN)
    [told] = _warnings(server)
    assert told["involvedObject"]["kind"] == "Deployment"
    assert "podinfo stays at 0 replicas, podinfo-primary is gone with the Canary, nothing serves" in told["message"]
    assert "kubectl -n shop scale deployment podinfo --replicas=2" in told["message"]
    assert "apply your manifest of Service podinfo again, which selects app=podinfo-primary" in told["message"]


@pytest.mark.parametrize(
    ("kind", "moment"),
    [
        ("Canary", lambda obj: (obj.get("status") or {}).get("phase") == "Initialized"),
        ("Deployment", lambda obj: obj["metadata"]["name"] == NAME and obj["spec"]["replicas"] == 0),
    ],
    ids=["as it gets Initialized", "as the target is scaled to zero"],
)
async def test_one_that_goes_with_our_write_is_told_about_as_well(
    server: FakeApiServer, quick_farewell: None, kind: str, moment: Callable[[Obj], bool]
) -> None:
    stage = Stage(server, STRATEGY)
    server.add(target())
    server.add(canary(provider="gatewayapi:v1", service=GATEWAY, analysis=WEIGHTS))

    def goes(type_: str, obj: Obj) -> None:
        if obj["kind"] == kind and type_ == "MODIFIED" and moment(obj):
            delete(server, "Canary")

    server.reactors.append(goes)
    life = Life(stage)
    await eventually(lambda: bool(_warnings(server)), WITHIN)
    await life.ended()
    assert "nothing serves" in _warnings(server)[0]["message"]


def _warnings(server: FakeApiServer) -> list[Obj]:
    return [event for event in events(server) if event["type"] == "Warning" and "was deleted without revertOnDeletion" in event["message"]]


async def test_an_uninstall_of_everything_is_no_reason_for_a_warning(server: FakeApiServer, quick_farewell: None) -> None:
    await begun(server)
    server.patch(kinds.CANARY, SHOP, NAME, {"spec": {"revertOnDeletion": False}})
    async with controller(server):
        await eventually(lambda: not is_held(server), WITHIN)
        for kind in ("Service", "Canary", "Deployment"):
            delete(server, kind)
        since = len(server.requests)
        await eventually(lambda: any(seen.verb == "get" and seen.name == f"{NAME}-primary" for seen in server.requests[since:]), WITHIN)
    assert _warnings(server) == []


async def test_revert_may_be_the_rule_of_the_installation(server: FakeApiServer) -> None:
    stage = await begun(server)
    server.patch(kinds.CANARY, SHOP, NAME, {"spec": {"revertOnDeletion": None}, "metadata": {"finalizers": None}})
    onlooker = Onlooker(server)
    async with controller(server, revert_on_deletion=True):
        await eventually(lambda: is_held(server), WITHIN)
        delete(server, "Canary")
        await eventually(lambda: gone(server), WITHIN)
    assert stage.get(kinds.DEPLOYMENT)["spec"]["replicas"] == 2
    await check_given_back(server, onlooker)
