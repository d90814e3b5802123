"""The two controllers of one namespace, and a takeover as an operator does it: Flagger stopped, CRDs, RBAC, flaggerpy started."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from e2e.bench import controllers
from e2e.bench.controllers import Controller
from e2e.core.controllers import ROOT, await_crds, install_crds
from e2e.kube import Kube, until
from e2e.sandbox import Sandbox
from e2e.sandbox.build import part_dir, part_named
from e2e.sandbox.console import say
from e2e.sandbox.processes import start
from e2e.takeover.fleet import Changed, Fleet, State, now

FLAGS = ("-include-label-prefix=app.kubernetes.io", "-ingress-class=contour")
PROVIDERS = ("gatewayapi:v1", "kubernetes", "contour")
LOOKS = 25.0
"""Seconds in which a Flagger has looked twice at everything, and we long ago."""
Act = Callable[[], object]


@dataclass(frozen=True)
class TakenOver:
    """What a change of hands came to. `seconds`: from the other process' start until it serves; of ours until the last status is ours."""

    before: dict[str, State]
    changed: Changed
    seconds: float
    sent: int
    lost: int


class Hands:
    """`theirs` is Flagger, `ours` is flaggerpy; neither is started yet."""

    def __init__(self, kube: Kube, sandbox: Sandbox, namespace: str) -> None:
        self.kube, self.sandbox = kube, sandbox
        self.theirs: Controller = controllers.flagger(sandbox, kube, namespace, FLAGS)
        self.ours: Controller = controllers.flaggerpy(sandbox, kube, namespace, FLAGS, PROVIDERS)

    def flaggers_crds(self) -> None:
        """Flagger's own, in the place of what is there."""
        self.kube.apply_yaml((part_dir(part_named("flagger")) / "crds" / "crd.yaml").read_text())
        await_crds(self.kube)

    def our_crds(self) -> None:
        install_crds(self.kube)

    def start_ours_unready(self) -> str:
        """Started where it cannot lead: what it says of itself."""
        start(self.sandbox.layout, self.ours.program)
        port = next(word.partition("=")[2] for word in self.ours.program.argv if word.startswith("-port="))

        def told() -> str:
            answer = httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=2, trust_env=False)
            return answer.text if answer.status_code != 200 and "starting" not in answer.text else ""

        return until(told, 60, "flaggerpy to say why it does not lead")

    def stop(self) -> None:
        self.ours.stop()
        self.theirs.stop()


def take_over(fleet: Fleet, hands: Hands, *, look_at_old_crds: bool = False) -> TakenOver:
    """From a Flagger that runs with the fleet in its phases to a flaggerpy that leads, under load all the while."""

    def ours() -> None:
        if look_at_old_crds:
            sentence = hands.start_ours_unready()
            say(f"  with Flagger's CRD: {sentence}")
            assert "lacks status." in sentence
            assert not any("observedGeneration" in fleet.status(case.name) for case in fleet.cases)
            hands.ours.stop()
        hands.our_crds()

    def started() -> None:
        hands.ours.start()
        until(fleet.adopted, 90, "every Canary to be taken over", lambda: {case.name: fleet.status(case.name) for case in fleet.cases})

    return changes_hands(fleet, hands.theirs.stop, ours, started)


def start_again(fleet: Fleet, hands: Hands) -> TakenOver:
    """What a takeover is measured against: Flagger is stopped, and the same Flagger is started again."""
    return changes_hands(fleet, hands.theirs.stop, lambda: None, hands.theirs.start)


def hand_back(fleet: Fleet, hands: Hands) -> TakenOver:
    """From a flaggerpy that runs, every Canary idle, to a Flagger with its own CRDs."""

    def theirs() -> None:
        done = flaggerpy(hands.sandbox, "handback", "--all", "-n", fleet.namespace)
        assert done.returncode == 0, done.stdout + done.stderr
        hands.flaggers_crds()

    return changes_hands(fleet, hands.ours.stop, theirs, hands.theirs.start)


def changes_hands(fleet: Fleet, stop: Act, between: Act, begin: Act) -> TakenOver:
    """`begin` returns when the other one has the Canaries; what it does with them in its first looks counts as well."""
    fleet.start_load()
    time.sleep(2)
    with fleet.watched() as watched:
        stop()
        before, since = fleet.states(), now()
        between()
        say(f"  the other one is started at {time.strftime('%H:%M:%S')}")
        began = time.monotonic()
        begin()
        seconds = time.monotonic() - began
        time.sleep(LOOKS)
        changed = fleet.changed(before, since, watched)
    sent, lost = fleet.stop_load()
    say(f"  changed hands within {seconds:.1f} s: {changed}, {lost} of {sent} requests lost")
    return TakenOver(before, changed, seconds, sent, lost)


def flaggerpy(sandbox: Sandbox, *words: str) -> subprocess.CompletedProcess[str]:
    """The command, as an operator gives it."""
    environment = {**os.environ, "KUBECONFIG": str(sandbox.kubeconfig), "PYTHONPATH": str(ROOT)}
    argv = [sys.executable, "-m", "flaggerpy.cli.main", *words]
    return subprocess.run(argv, capture_output=True, text=True, env=environment, timeout=120)
