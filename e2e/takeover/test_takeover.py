"""A live Flagger 1.44 is replaced by flaggerpy, and flaggerpy by Flagger: nothing restarts, nothing begins anew, nothing is lost."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from e2e.core.conftest import kube, namespace, sandbox  # noqa: F401
from e2e.kube import Kube, until
from e2e.sandbox import Sandbox
from e2e.sandbox.build import build
from e2e.takeover.cases import EVERY, FEW
from e2e.takeover.fleet import Changed, Fleet, now
from e2e.takeover.hands import LOOKS, Hands, flaggerpy, hand_back, take_over
from flaggerpy.targets.flaggerhash import flagger_hash

pytestmark = [pytest.mark.slow, pytest.mark.alone]
NOTHING = Changed([], [], [], [])


@pytest.fixture
def hands(kube: Kube, sandbox: Sandbox, namespace: str) -> Iterator[Hands]:  # noqa: F811
    build(("flagger",))
    made = Hands(kube, sandbox, namespace)
    made.flaggers_crds()
    yield made
    made.stop()
    made.our_crds()


def test_canaries_in_every_phase_change_hands_and_go_back(kube: Kube, sandbox: Sandbox, namespace: str, hands: Hands) -> None:  # noqa: F811
    cases = EVERY
    with Fleet(kube, sandbox, namespace, cases) as fleet:
        hands.theirs.start()
        fleet.bring()
        taken = take_over(fleet, hands, look_at_old_crds=True)
        assert taken.changed == NOTHING
        assert taken.lost == 0
        assert taken.sent > 0
        for case in cases:
            if case.held:
                assert fleet.states()[case.name].hashes == taken.before[case.name].hashes, "Flagger's hashes stay"
        releases_under_way_are_not_handed_back(fleet, sandbox)
        fleet.finish()
        # and the next release is one like any other
        fleet.release(cases[0].name, "1.0.2")
        fleet.phase(cases[0].name, "Succeeded", seconds=120)
        go_back(fleet, hands, sandbox)


def releases_under_way_are_not_handed_back(fleet: Fleet, sandbox: Sandbox) -> None:  # noqa: F811
    refused = flaggerpy(sandbox, "handback", "--all", "-n", fleet.namespace, "--dry-run")
    assert refused.returncode == 1
    assert f"half.{fleet.namespace}: refused: it is Progressing with 20% of the traffic on the canary" in refused.stdout
    assert f"idle-gateway.{fleet.namespace}: would be Flagger's: Initialized" in refused.stdout
    fleet.open_gate("half")
    waited = flaggerpy(sandbox, "handback", "half", "-n", fleet.namespace, "--dry-run", "--wait", "100s")
    assert waited.returncode == 0, waited.stdout + waited.stderr
    assert f"half.{fleet.namespace}: would be Flagger's: Succeeded" in waited.stdout


def go_back(fleet: Fleet, hands: Hands, sandbox: Sandbox) -> None:  # noqa: F811
    """Every Canary is idle: handed back, Flagger finds nothing to do, and sees the next release."""
    told = flaggerpy(sandbox, "handback", "--all", "-n", fleet.namespace, "--dry-run")
    assert told.returncode == 0, told.stdout + told.stderr
    still = flaggerpy(sandbox, "handback", fleet.cases[0].name, "-n", fleet.namespace)
    assert "flaggerpy still runs" in still.stderr
    back = hand_back(fleet, hands)
    assert back.changed == NOTHING
    assert back.lost == 0
    last = fleet.cases[0]
    for case in fleet.cases:
        target = fleet.kube.get("Deployment", case.name, fleet.namespace)
        assert fleet.status(case.name)["lastAppliedSpec"] == flagger_hash(target["spec"]["template"]), case.name
    fleet.release(last.name, "1.0.3")
    fleet.phase(last.name, "Progressing", seconds=60)


def test_two_controllers_at_once_do_no_harm(kube: Kube, sandbox: Sandbox, namespace: str, hands: Hands) -> None:  # noqa: F811
    """flaggerpy is started beside a Flagger that still runs: it leaves to Flagger what that writes, says so, and nothing is lost."""
    hands.our_crds()
    hands.theirs.start()
    cases = tuple(case for case in FEW if case.name in ("idle-configs", "half"))
    with Fleet(kube, sandbox, namespace, cases) as fleet:
        fleet.bring()
        before, since = fleet.states(), now()
        with fleet.watched() as watched:
            hands.ours.start()
            fleet.start_load()
            time.sleep(LOOKS)
            assert fleet.changed(before, since, watched) == NOTHING
        for case in cases:
            fleet.open_gate(case.name)
        fleet.release("idle-configs", "1.0.1")
        for case in cases:
            fleet.phase(case.name, "Succeeded")
        told = [text for case in cases for text in fleet.texts(case.name, since)]
        assert any("Flagger still writes around this Canary" in text for text in told), json.dumps(told, indent=1)
        hands.theirs.stop()
        until(fleet.adopted, 200, "flaggerpy to take up what Flagger has left")
        _, lost = fleet.stop_load()
        assert lost == 0
