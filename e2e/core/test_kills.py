"""SIGKILL of the controller at random points of releases under load: each ends as it would have, and nobody outside can tell.

A killed controller's Lease is given back for it three times out of four, as if its pod had had the time; else its successor waits until it
runs out. The seed is printed; KILL_SEED=n repeats it.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import partial
from itertools import cycle

import pytest

from e2e import releases
from e2e.core.controllers import Controller
from e2e.core.receiver import Received, Receiver
from e2e.core.stage import Stage
from e2e.kube import Kube, Object, until
from e2e.recorder import Recorder, Seen

INTERVAL = 2.0
SLACK = 0.5
"""Seconds by which a watch may tell one raise late and the next in time."""
HOOKS = {"confirm": "confirm-rollout", "before": "pre-rollout", "check": "rollout", "promote": "confirm-promotion", "after": "post-rollout"}
GOOD = "Canary analysis completed successfully, promotion finished."
BAD = "Failed checks threshold reached 2"
A_RUN = 4
"""The most kills in one run, so that several runs get some."""
WANTED = {
    True: Counter(confirm=1, before=1, check=3, promote=1, after=1),
    False: Counter(confirm=1, before=1, check=2, after=1),
}
"""How many different questions a run asks of each hook: one a round, however often a question had to be repeated."""
LEASE = ("flagger-leader-election", "kube-system")


def analysis(receiver: Receiver) -> Object:
    hooks = [{"name": name, "type": role, "url": f"{receiver.url}/{name}", "timeout": "5s"} for name, role in HOOKS.items()]
    alerts = [{"name": "all", "providerRef": {"name": "chat"}}]
    return {"interval": f"{INTERVAL:g}s", "threshold": 2, "stepWeight": 20, "maxWeight": 60, "webhooks": hooks, "alerts": alerts}


def chat(receiver: Receiver) -> Object:
    spec = {"type": "slack", "channel": "general", "username": "flagger", "address": f"{receiver.url}/chat"}
    return {"apiVersion": "flagger.app/v1beta1", "kind": "AlertProvider", "metadata": {"name": "chat"}, "spec": spec}


class Killer:
    """Kills the controller so often, at moments drawn from `dice`, and starts it again each time."""

    def __init__(self, kube: Kube, controller: Controller, dice: random.Random, kills: int) -> None:
        self.left = kills
        self.at: list[str] = []
        self._kube, self._controller, self._dice = kube, controller, dice

    def pause(self) -> float:
        """Seconds until the next one, counted from a controller that leads."""
        return self._dice.uniform(0.0, 5.0)

    def kill(self, status: Object) -> None:
        self.left -= 1
        self.at.append(f"{status.get('phase')} {status.get('canaryWeight')} %")
        self._controller.kill()
        if self._dice.random() < 0.75:
            name, namespace = LEASE
            self._kube.patch("Lease", name, {"spec": {"holderIdentity": ""}}, namespace)
        before = self._holder()
        self._controller.start()
        until(lambda: self._holder() not in ("", before), 40, "a controller that leads")

    def _holder(self) -> str:
        name, namespace = LEASE
        return str(self._kube.get("Lease", name, namespace)["spec"].get("holderIdentity") or "")


def ended(stage: Stage, image: str) -> bool:
    """Whether the release of an image is over, by the newest entry of the history."""
    status = stage.status()
    newest = (status.get("history") or [{}])[0]
    return image in newest.get("images", ()) and status.get("phase") in ("Succeeded", "Failed")


def one_run(stage: Stage, tag: str, killer: Killer) -> None:
    """A release from the change of the image to its end, with the kills that fall into it."""
    image = stage.image(tag)
    stage.release(tag)
    for _ in range(min(A_RUN, killer.left)):
        at = time.monotonic() + killer.pause()
        while time.monotonic() < at:
            if ended(stage, image):
                return
            time.sleep(0.1)
        killer.kill(stage.status())
    until(lambda: ended(stage, image), 120, f"the end of {tag}", stage.story)


def keys(received: Sequence[Received]) -> Counter[str]:
    """How many different Idempotency-Keys each hook was called with; an equal key with another body fails the test."""
    bodies: dict[tuple[str, str], Object] = {}
    for one in received:
        if one.path == "/chat":
            continue
        key = one.headers.get("idempotency-key", "")
        assert key, f"{one.path} without an Idempotency-Key"
        assert bodies.setdefault((one.path, key), one.body) == one.body, f"{one.path}: two calls of {key} differ"
    return Counter(path.lstrip("/") for path, _ in bodies)


def alerts(received: Sequence[Received]) -> list[str]:
    return [one.body["attachments"][0]["text"] for one in received if one.path == "/chat"]


def heard_of(receiver: Receiver, since: int, told: str) -> bool:
    """Whether the end of a run was told: by an alert, and to the post-rollout hook."""
    received = receiver.received[since:]
    return any(told in text for text in alerts(received)) and keys(received)["after"] > 0


def route_path(routes: Sequence[Seen], since: float) -> list[int]:
    """The canary's weights in a run, in order."""
    return [weight for _, weight in releases.weights([seen for seen in routes if seen.at >= since])]


@pytest.mark.alone
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("kills", [8, pytest.param(20, marks=pytest.mark.slow)])
def test_a_controller_that_is_killed_again_and_again_loses_nothing(
    kube: Kube, controller: Controller, stage: Stage, receiver: Receiver, kills: int
) -> None:
    seed = int(os.environ.get("KILL_SEED") or time.time_ns() % 1_000_000)
    print(f"KILL_SEED={seed}")
    killer = Killer(kube, controller, random.Random(seed), kills)
    kube.apply(chat(receiver), namespace=stage.namespace)
    stage.initialise(stage.canary(analysis=analysis(receiver)))
    promoted = stage.image("1.0.0")
    runs: dict[str, int] = defaultdict(int)
    with Recorder(kube, "HTTPRoute", stage.namespace) as routes, stage.load(rate=50) as load:
        for number, tag in enumerate(cycle(["1.0.1", "1.0.2", "1.0.3", "1.0.4", "1.0.5", "1.0.0"])):
            # one that passes, then one whose checks fail, and so on
            good = number % 2 == 0
            receiver.answers["/check"] = 200 if good else 500
            began, heard = time.time(), len(receiver.received)
            one_run(stage, tag, killer)
            outcome = "Succeeded" if good else "Failed"
            runs[outcome] += 1
            told = GOOD if good else BAD
            until(partial(heard_of, receiver, heard, told), 20, f"the alert {told!r} and the post-rollout hook", stage.story)
            promoted = stage.image(tag) if good else promoted
            stage.until_status(lambda status: not status.get("outbox"), 20, "an empty outbox")
            status = stage.status()
            print(f"{tag}: {outcome}, killed at {', '.join(killer.at)}; {len(receiver.received) - heard} requests")
            killer.at.clear()
            assert status["phase"] == outcome, stage.story()
            assert (status["history"][0]["outcome"], len(status["history"])) == (outcome, number + 2), stage.story()
            assert stage.primary_image() == promoted
            assert stage.replicas() == 0
            assert stage.weights() == {"app-primary": 100, "app-canary": 0}
            assert route_path(routes.so_far(), began) == ([20, 40, 60, 0] if good else [20, 0])
            assert keys(receiver.received[heard:]) == WANTED[good]
            if not killer.left and len(runs) == 2:
                break
    assert load.result["lost"] == 0, load.result
    assert load.result["sent"] > 1000
    gaps = releases.raises(releases.weights(routes.so_far()))
    assert gaps
    assert min(gaps) >= INTERVAL - SLACK, gaps
