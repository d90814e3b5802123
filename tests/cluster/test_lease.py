"""Leader election: one leads, a lost Lease is noticed before anybody else may lead, a given-back one is taken at once."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from flaggerpy.cluster.kinds import LEASE
from flaggerpy.cluster.lease import LeaderElection
from tests.cluster.fake_apiserver import FakeApiServer, Request, eventually

FAST = {"duration": 5.0, "renew": 1.0, "retry": 0.02}
NAMED: dict[str, Any] = {"namespace": "flagger-system", "name": "flagger-leader-election"}


@pytest.fixture
async def run(server: FakeApiServer) -> AsyncIterator[Callable[..., LeaderElection]]:
    started: list[LeaderElection] = []

    def make(identity: str, **options: Any) -> LeaderElection:
        election = LeaderElection(server.client(), "flagger-system", identity=identity, **{**FAST, **options})
        election.start()
        started.append(election)
        return election

    yield make
    server.fault = lambda request: None
    for election in started:
        await election.stop()


def lease(server: FakeApiServer) -> dict[str, Any]:
    found = server.get(LEASE, "flagger-system", "flagger-leader-election")
    assert found
    spec: dict[str, Any] = found["spec"]
    return spec


async def test_the_first_makes_the_lease_and_leads(server: FakeApiServer, run: Callable[..., LeaderElection]) -> None:
    first = run("first", duration=15, renew=10, retry=0.02)
    await first.leading.wait()
    assert first.holds()
    assert first.holder == "first"
    spec = lease(server)
    assert spec["holderIdentity"] == "first"
    assert spec["leaseDurationSeconds"] == 15
    assert spec["leaseTransitions"] == 0
    assert spec["acquireTime"].endswith("Z")


async def test_a_campaign_that_ended_by_a_fault_of_ours_is_told(
    run: Callable[..., LeaderElection], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run("first")
    await first.leading.wait()
    assert first.failure is None

    async def broken(within: float) -> bool:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(first, "_attempt", broken)
    await eventually(lambda: isinstance(first.failure, RuntimeError))
    assert not first.leading.is_set()


async def test_the_leader_renews_by_one_request_each_time(server: FakeApiServer, run: Callable[..., LeaderElection]) -> None:
    first = run("first")
    await first.leading.wait()
    server.requests.clear()
    await eventually(lambda: len(server.requests) >= 5)
    assert {request.verb for request in server.requests if "watch" not in request.query} == {"update"}
    assert lease(server)["leaseTransitions"] == 0


async def test_while_one_leads_no_other_does(server: FakeApiServer, run: Callable[..., LeaderElection]) -> None:
    first = run("first")
    await first.leading.wait()
    second = run("second")
    await eventually(lambda: second.holder == "first")
    await eventually(lambda: sum(request.verb == "get" for request in server.requests) > 20)
    assert not second.leading.is_set()
    assert not second.holds()


async def test_a_lease_given_back_is_taken_at_once_not_after_the_retry(server: FakeApiServer, run: Callable[..., LeaderElection]) -> None:
    first = run("first", duration=60, renew=40, retry=30)
    await first.leading.wait()
    second = run("second", duration=60, renew=40, retry=30)
    await eventually(lambda: second.holder == "first" and server.watches >= 1)
    await first.stop()
    async with asyncio.timeout(5):
        await second.leading.wait()
    assert lease(server)["leaseTransitions"] == 1
    assert not first.leading.is_set()
    assert first.stood_down.is_set()


async def test_the_lease_of_a_dead_leader_is_taken_when_it_stood_still_for_its_duration(
    server: FakeApiServer, run: Callable[..., LeaderElection]
) -> None:
    renewed = "2099-01-01T00:00:00.000000Z"
    spec: dict[str, Any] = {"holderIdentity": "dead", "leaseDurationSeconds": 1, "renewTime": renewed, "leaseTransitions": 4}
    spec["strategy"] = "OldestEmulation"
    server.add({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": NAMED, "spec": spec})
    began = asyncio.get_running_loop().time()
    second = run("second")
    await second.leading.wait()
    assert asyncio.get_running_loop().time() - began >= 1
    assert lease(server)["leaseTransitions"] == 5
    assert lease(server)["strategy"] == "OldestEmulation"


async def test_a_leader_that_cannot_renew_stands_down_before_its_duration_is_over(
    server: FakeApiServer, run: Callable[..., LeaderElection]
) -> None:
    told: list[str] = []
    first = run("first", on_started=lambda: told.append("started"), on_stopped=lambda: told.append("stopped"))
    await first.leading.wait()
    server.fault = lambda request: 503
    began = asyncio.get_running_loop().time()
    await first.stood_down.wait()
    assert asyncio.get_running_loop().time() - began < FAST["duration"]
    assert told == ["started", "stopped"]
    assert first.problem
    server.fault = lambda request: None
    await first.leading.wait()
    assert told == ["started", "stopped", "started"]


async def test_a_request_that_hangs_does_not_keep_a_leader_in_office(server: FakeApiServer, run: Callable[..., LeaderElection]) -> None:
    first = run("first")
    await first.leading.wait()
    server.delay = 60
    began = asyncio.get_running_loop().time()
    await first.stood_down.wait()
    assert asyncio.get_running_loop().time() - began < FAST["duration"]
    server.delay = 0


@pytest.mark.fault("Q-52")
async def test_a_leader_whose_lease_was_taken_stands_down_at_once(server: FakeApiServer, run: Callable[..., LeaderElection]) -> None:
    first = run("first", duration=60, renew=40, retry=0.02)
    await first.leading.wait()
    taken = {"holderIdentity": "usurper", "leaseDurationSeconds": 60, "renewTime": "2026-01-01T00:00:00.000000Z"}
    server.patch(LEASE, "flagger-system", "flagger-leader-election", {"spec": taken})
    async with asyncio.timeout(5):
        await first.stood_down.wait()
    assert lease(server)["holderIdentity"] == "usurper"


async def test_after_a_stall_of_the_loop_the_lease_is_not_held(server: FakeApiServer) -> None:
    now = [0.0]
    election = LeaderElection(server.client(), "flagger-system", identity="a", monotonic=lambda: now[0])
    async with election:
        await election.leading.wait()
        assert election.holds()
        now[0] = 15.0
        assert not election.holds()


async def test_without_access_to_watch_the_poll_finds_the_free_lease(server: FakeApiServer, run: Callable[..., LeaderElection]) -> None:
    server.fault = lambda request: 403 if request.verb in ("watch", "list") else None
    first = run("first")
    await first.leading.wait()
    second = run("second")
    await eventually(lambda: second.holder == "first")
    await first.stop()
    await second.leading.wait()


async def test_a_lease_deleted_under_the_leader_is_made_again(server: FakeApiServer, run: Callable[..., LeaderElection]) -> None:
    first = run("first")
    await first.leading.wait()
    server.remove(LEASE, "flagger-system", "flagger-leader-election")
    await eventually(lambda: server.get(LEASE, "flagger-system", "flagger-leader-election"))
    assert first.leading.is_set()


async def test_a_lost_answer_to_a_renewal_does_not_lose_the_lease(server: FakeApiServer, run: Callable[..., LeaderElection]) -> None:
    first = run("first")
    await first.leading.wait()
    lost: list[Request] = []

    def lose(request: Request) -> bool:
        if request.verb == "update" and len(lost) < 3:
            lost.append(request)
            return True
        return False

    server.lose_answer = lose
    await eventually(lambda: len(lost) == 3)
    server.requests.clear()
    await eventually(lambda: len(server.requests) > 3)
    assert first.leading.is_set()


async def test_a_claim_whose_answer_never_came_is_given_back_too(server: FakeApiServer, run: Callable[..., LeaderElection]) -> None:
    claims: list[Request] = []

    def lose(request: Request) -> bool:
        claimed = request.verb == "create" and request.resource == "leases"
        claims.extend([request] if claimed else [])
        return claimed

    server.lose_answer = lose
    first = run("first", duration=15, renew=10, retry=5)
    await eventually(lambda: bool(claims) and first.problem is not None)
    assert lease(server)["holderIdentity"] == "first"
    assert not first.leading.is_set()
    await first.stop()
    assert "holderIdentity" not in lease(server)


async def test_of_many_candidates_under_trouble_never_two_hold_the_lease(server: FakeApiServer, run: Callable[..., LeaderElection]) -> None:
    chance = random.Random(7)
    server.fault = lambda request: chance.choice([None, None, 500, ConnectionResetError()]) if request.kind else None
    candidates = [run(f"c{number}", duration=0.6, renew=0.2, retry=0.02) for number in range(4)]
    worst = changes = 0
    last = ""
    for _ in range(600):
        await asyncio.sleep(0.002)
        holding = [candidate.identity for candidate in candidates if candidate.holds()]
        worst = max(worst, len(holding))
        if holding and holding[0] != last:
            last, changes = holding[0], changes + 1
    assert worst == 1
    assert changes >= 1


def test_seconds_must_be_in_order() -> None:
    with pytest.raises(ValueError, match="retry < renew < duration"):
        LeaderElection(None, "x", renew=20)  # type: ignore[arg-type]


@pytest.mark.parametrize("set_by", [3600.0, -3600.0])
async def test_a_successor_goes_on_with_the_time_of_its_predecessor(
    server: FakeApiServer, run: Callable[..., LeaderElection], set_by: float
) -> None:
    """The API server's clock is set under a leader, who follows slowly; what it has stored is in its own time."""
    moment = time.time
    server.clock = moment
    first = run("first")
    await first.leading.wait()
    server.clock = lambda: moment() + set_by
    renewed = lease(server)["renewTime"]
    await eventually(lambda: lease(server)["renewTime"] != renewed)
    await first.stop()
    second = run("second")
    await second.leading.wait()
    assert abs(second._client.now() - moment()) < 10


async def test_the_time_of_another_program_in_the_lease_is_of_no_interest(
    server: FakeApiServer, run: Callable[..., LeaderElection]
) -> None:
    spec = {"holderIdentity": "", "renewTime": "2020-01-01T00:00:00.000000Z", "leaseDurationSeconds": 1}
    entry = {"manager": "flagger", "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:spec": {"f:renewTime": {}}}}
    metadata = {"name": NAMED["name"], "namespace": NAMED["namespace"], "managedFields": [entry]}
    server.add({"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": metadata, "spec": spec})
    second = run("second")
    await second.leading.wait()
    assert abs(second._client.now() - time.time()) < 10
